"""Splits of datasets without labels, and splits by group; test_images tests splits of labelled data."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightseq.core.splits import SplitData, grouped, grouped_fold

GROUPS = np.repeat(np.arange(20), np.arange(1, 21))


def split(groups: NDArray[Any] | None, **options: Any) -> dict[str, tuple[str, NDArray[np.int64]]]:
    """The splits of 210 samples by `SplitData`, without a data module."""
    common = {"val_fraction": 0.1, "test_fraction": 0.2, "split_seed": 3, "fold": None, "folds": 5, "name": "x"}
    own: Any = SimpleNamespace(**{**common, **options}, groups=lambda arrays: groups)
    own.strata = lambda arrays: SplitData.strata(own, arrays)
    return SplitData.split_rows(own, {"train": {"input": np.zeros((210, 1, 2, 2))}})


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_the_parts_are_disjoint_and_complete(groups: NDArray[Any] | None) -> None:
    parts = {name: rows for name, (_, rows) in split(groups).items()}
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(210))
    if groups is None:
        assert [len(parts[name]) for name in ("test", "val", "train")] == [42, 17, 151]
    else:
        of = {name: set(groups[rows].tolist()) for name, rows in parts.items()}
        assert [len(of[name]) for name in ("test", "val", "train")] == [4, 2, 14]
        assert len(set.union(*of.values())) == 20  # no group is divided


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_each_sample_is_tested_in_one_fold(groups: NDArray[Any] | None) -> None:
    tests = [split(groups, fold=fold)["test"][1] for fold in range(5)]
    assert sorted(np.concatenate(tests).tolist()) == list(range(210))


def test_group_splits_depend_on_the_seed_and_accept_names_and_integers() -> None:
    names = np.array([f"patient {number}" for number in GROUPS])
    assert np.array_equal(grouped(names, 0.2, 1), grouped(names, 0.2, 1))
    assert not np.array_equal(grouped(names, 0.2, 1), grouped(names, 0.2, 2))
    assert len(grouped(np.array([0, 0, 1]), 0.99, 0)) < 3  # at least one group is left for training
    assert len(np.unique(names[grouped_fold(names, 0, 5, 0)])) == 4
