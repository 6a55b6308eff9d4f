"""Properties of every dataset that has a config, checked on its synthetic data."""

from typing import Any

import numpy as np
import pytest

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
from sightseq.core.places import group_options
from sightseq.data.image.digits import Digits
from sightseq.testing import check_datamodule

DATASETS = sorted(group_options("data"))


@pytest.mark.parametrize("dataset", DATASETS)
def test_dataset(dataset: str) -> None:
    config = compose(f"data={dataset}", "debug=synthetic")["data"]

    def make(**changes: Any) -> DataModule:
        return build(config | changes, DataModule, "data")

    check_datamodule(make)


def test_real_digits() -> None:
    config = compose("data=digits")["data"]
    check_datamodule(lambda **changes: build(config | changes, DataModule, "data"))


class Overlapping(Digits):
    """The training split contains the validation samples."""

    def split_rows(self, splits: Any) -> Any:
        rows = super().split_rows(splits)
        source, train = rows["train"]
        return rows | {"train": (source, np.union1d(train, rows["val"][1]))}


def test_the_check_finds_overlapping_splits() -> None:
    with pytest.raises(AssertionError, match="samples are in train and in val"):
        check_datamodule(lambda **changes: Overlapping(name="digits", cache="cache", **changes))
