"""A spec survives a checkpoint and JSON, and nothing else becomes one."""

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from sightseq.core.errors import CheckpointError
from sightseq.core.spec import ImageSpec, Spec

SPEC = ImageSpec(3, 10, 20, ("cat", "${dog}", "ä,b=c"), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_round_trip_through_json() -> None:
    again = Spec.from_dict(json.loads(json.dumps(SPEC.to_dict())))
    assert again == SPEC
    assert isinstance(again, ImageSpec)
    assert again.classes == ("cat", "${dog}", "ä,b=c")
    assert hash(again) == hash(SPEC)  # tuples all the way down


def test_dictionary_is_plain() -> None:
    values = SPEC.to_dict()
    assert values["kind"] == "image"
    assert (values["channels"], values["height"], values["width"]) == (3, 10, 20)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "picture"},
        {"kind": None},
        {"kind": ""},
        {"kind": ["image"]},
        {"depth": 3},
    ],
)
def test_unknown_kinds_and_fields_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="no spec of kind"):
        Spec.from_dict(SPEC.to_dict() | change)


@pytest.mark.parametrize("field", ["classes", "kind", "std"])
def test_missing_fields_are_refused(field: str) -> None:
    values = SPEC.to_dict()
    del values[field]
    with pytest.raises(CheckpointError, match="no spec of kind"):
        Spec.from_dict(values)


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SPEC.channels = 1


def test_what_a_network_is_told() -> None:
    assert SPEC.net_arguments() == {"in_channels": 3, "num_classes": 3, "image_size": (10, 20)}


def test_examples_are_as_a_plot_wants_them() -> None:
    colour = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    assert SPEC.to_example(colour).shape == (2, 4, 3)
    assert SPEC.to_example(colour)[1, 2].tolist() == [6, 14, 22]
    grey = ImageSpec(1, 2, 4, ("a", "b"), (0.5,), (0.5,))
    assert np.array_equal(grey.to_example(colour[:1]), colour[0])
