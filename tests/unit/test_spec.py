"""Specs are restored from checkpoints and JSON; other content is refused."""

import json
from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import numpy as np
import pytest

from sightseq.core import build
from sightseq.core.errors import CheckpointError
from sightseq.core.spec import Spec
from sightseq.text.spec import LanguageSpec, TextSpec
from sightseq.text.tokenizer import fit
from sightseq.vision.spec import ImageSpec

SPEC = ImageSpec(3, 10, 20, ("cat", "${dog}", "ä,b=c"), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_round_trip_through_json() -> None:
    again = Spec.from_dict(json.loads(json.dumps(SPEC.to_dict())))
    assert again == SPEC
    assert isinstance(again, ImageSpec)
    assert again.classes == ("cat", "${dog}", "ä,b=c")
    assert hash(again) == hash(SPEC)  # nested lists became tuples again


def test_dictionary_is_plain() -> None:
    values = SPEC.to_dict()
    assert values["_target_"] == "sightseq.vision.spec.ImageSpec"
    assert (values["channels"], values["height"], values["width"]) == (3, 10, 20)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_target_": "sightseq.vision.spec.PictureSpec"}, "has no PictureSpec; did you mean .*ImageSpec"),
        ({"_target_": "sightseq.core.errors.DataError"}, "is not a class of kind Spec"),
        ({"_target_": "os.system"}, "spec._target_: os.system is not from a trusted package"),
        ({"_target_": None}, "is not a full name"),
        ({"depth": 3}, "spec.depth: ImageSpec takes no such argument"),
        ({"height": "tall"}, "spec.height='tall' does not fit ImageSpec"),
        ({"classes": 3}, "spec.classes=3 does not fit"),
        ({"subject": "moon"}, "Input should be 'centre' or 'face'"),
    ],
)
def test_values_that_are_not_a_spec_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        Spec.from_dict(SPEC.to_dict() | change)


def test_missing_fields_are_refused() -> None:
    values = SPEC.to_dict()
    del values["std"]
    with pytest.raises(CheckpointError, match=r"spec.std: ImageSpec needs this argument"):
        Spec.from_dict(values)
    del values["_target_"]
    with pytest.raises(CheckpointError, match="is of an older version"):
        Spec.from_dict(values | {"kind": "image"})


class Photographs(ImageSpec):
    """A spec from outside the package that only inherits."""


@dataclass(frozen=True)
class Side:
    """Part of a spec, but not a spec."""

    words: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Pair(Spec):
    """A spec of tasks with a source and a target."""

    source: Side
    target: ImageSpec
    more: tuple[Spec, ...] = ()

    def net_arguments(self) -> dict[str, Any]:
        return {}


def test_specs_from_outside_need_no_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Photographs(1, 2, 4, ("a", "b"), (0.5,), (0.5,))
    pair = Pair(Side(("a", "b"), 2), mine, (SPEC, LanguageSpec("", 3)))
    monkeypatch.setattr(build, "_trusted", build._trusted - {"tests"})  # another test may have trusted it
    with pytest.raises(CheckpointError, match=r"add trust=\[tests\]"):
        Spec.from_dict(mine.to_dict())
    monkeypatch.setattr(build, "_trusted", build._trusted | {"tests"})
    for spec in (mine, pair, SPEC):  # a subclass is restored as itself
        again = Spec.from_dict(json.loads(json.dumps(spec.to_dict())))
        assert again == spec
        assert type(again) is type(spec)
        assert hash(again) == hash(spec)


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SPEC.channels = 1


def test_arguments_for_the_network() -> None:
    assert SPEC.net_arguments() == {"in_channels": 3, "num_classes": 3, "image_size": (10, 20)}


def test_examples_have_the_layout_for_plots() -> None:
    colour = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    assert SPEC.to_example(colour).shape == (2, 4, 3)
    assert SPEC.to_example(colour)[1, 2].tolist() == [6, 14, 22]
    grey = ImageSpec(1, 2, 4, ("a", "b"), (0.5,), (0.5,))
    assert np.array_equal(grey.to_example(colour[:1]), colour[0])


@dataclass(frozen=True)
class Plain(Spec):
    size: int

    def net_arguments(self) -> dict[str, Any]:
        return {"size": self.size}


def test_summary_and_metadata() -> None:
    assert Plain(3).summary() == Plain(3).metadata() == {}
    assert SPEC.summary() == {"classes": 3}
    assert json.loads(SPEC.metadata()["labels"]) == ["cat", "${dog}", "ä,b=c"]
    assert json.loads(SPEC.metadata()["preprocessing"]) == {
        "channels": 3,
        "height": 10,
        "width": 20,
        "colours": "RGB",
        "values": "bytes",
        "crop_to": "centre",
    }
    tokenizer = fit(["the king"], "words", 10)
    text = TextSpec(tokenizer.json, tokenizer.vocab_size, ("bad", "good"), max_tokens=7)
    assert text.summary() == {"classes": 2}
    assert json.loads(text.metadata()["preprocessing"]) == {"max_tokens": 7}
    assert text.metadata()["tokenizer"] == tokenizer.json
    language = LanguageSpec(tokenizer.json, tokenizer.vocab_size)
    assert language.summary() == {}
    labels = json.loads(language.metadata()["labels"])
    assert len(labels) == tokenizer.vocab_size
    assert {"the", "king"} <= {label.strip() for label in labels}
