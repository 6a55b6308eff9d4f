"""Characters as ids, and the specs that contain them."""

import json
from typing import Any

import pytest

from sightseq.audio.transcript_spec import TranscriptSpec
from sightseq.core.errors import CheckpointError
from sightseq.core.spec import Spec
from sightseq.text.alphabet import Alphabet, fit
from sightseq.vision.line_spec import LineSpec

ALPHABET = fit(["a cab", "b\u00e9"])
SPECS: list[Any] = [TranscriptSpec(8000, ALPHABET, -3.0, 2.0, 4.5), LineSpec(1, 32, ALPHABET, (0.1,), (0.2,), 300)]


def test_ids_by_hand() -> None:
    assert ALPHABET.characters == " abc\u00e9"
    assert (len(ALPHABET), ALPHABET.size) == (5, 7)
    assert ALPHABET.encode("cab d") == [5, 3, 4, 2, 1]
    assert ALPHABET.decode([5, 0, 3, 4, 2, 1, 0]) == "cab \ufffd"
    assert ALPHABET.unknown("dad x") == "dx"
    assert ALPHABET.labels[:3] == ("", "\ufffd", " ")


def test_a_text_is_encoded_and_decoded_in_its_composed_form() -> None:
    assert ALPHABET.decode(ALPHABET.encode("be\u0301")) == "b\u00e9"  # e and an accent
    assert fit(["\ufffd\u0905\u0915\u094d"]).characters == "\u0905\u0915\u094d"


def test_an_empty_alphabet_and_an_empty_text() -> None:
    assert fit([]).size == 2
    assert ALPHABET.encode("") == []
    assert ALPHABET.decode([]) == ""


@pytest.mark.parametrize("characters", ["aba", "a\ufffd"])
def test_an_alphabet_without_distinct_characters_is_refused(characters: str) -> None:
    with pytest.raises(CheckpointError, match="must differ"):
        Alphabet(characters)


@pytest.mark.parametrize("spec", SPECS)
def test_specs_survive_json_and_size_networks(spec: Any) -> None:
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.net_arguments()["num_classes"] == 7
    assert spec.net_arguments()["in_channels"] == 1
    assert json.loads(spec.metadata()["labels"])[6] == "\u00e9"
    assert spec.summary()["characters"] == 5


def test_a_model_reads_data_with_other_characters_but_of_its_own_kind() -> None:
    speech, lines = SPECS
    other = fit(["xyz"])
    assert not speech.difference(TranscriptSpec(16000, other, 0.0, 1.0, 2.0))
    assert not lines.difference(LineSpec(1, 32, other, (0.0,), (1.0,), 20))
    assert "1 x 48 x width" in lines.difference(LineSpec(1, 48, other, (0.0,), (1.0,), 20))
    assert speech.difference(lines)
    assert lines.net_arguments()["image_size"] == (32, None)
