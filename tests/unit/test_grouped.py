"""Splits of samples that come from persons or source videos."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightseq.core.errors import ConfigError, DataError
from sightseq.data.grouped import GroupedData
from sightseq.data.image.digits import Digits

PERSONS = np.repeat([0, 1, 2, 3], [10, 20, 30, 40])
LABELS = np.arange(100) % 2


class Persons(GroupedData, Digits):
    """Labelled samples of four persons, without files."""


def split(persons: NDArray[Any] | None = PERSONS, **options: Any) -> dict[str, NDArray[np.int64]]:
    arrays = {"target": LABELS} | ({} if persons is None else {"group": persons})
    rows = Persons(name="toy", cache="cache", **options).split_rows({"train": arrays})
    return {name: chosen for name, (_, chosen) in rows.items()}


@pytest.mark.parametrize("fold", [None, 0, 1, 2, 3])
def test_no_person_is_in_two_splits(fold: int | None) -> None:
    rows = split(fold=fold)
    persons = [set(PERSONS[rows[name]].tolist()) for name in ("train", "val", "test")]
    assert [len(found) for found in persons] == [2, 1, 1]
    assert set.union(*persons) == {0, 1, 2, 3}
    assert sorted(np.concatenate(list(rows.values()))) == list(range(100))


def test_each_person_is_tested_in_one_fold() -> None:
    assert sorted(int(PERSONS[split(fold=fold)["test"]].max()) for fold in range(4)) == [0, 1, 2, 3]
    assert sorted(len(np.unique(PERSONS[split(fold=fold, folds=2)["test"]])) for fold in range(2)) == [2, 2]


def test_validation_on_the_training_persons_is_stratified() -> None:
    rows = split(fold=0, val_groups="seen", val_fraction=0.2)
    test = set(PERSONS[rows["test"]].tolist())
    assert set(PERSONS[rows["train"]].tolist()) == {0, 1, 2, 3} - test
    counts = np.bincount(LABELS[rows["val"]])
    assert counts[0] == counts[1] == round(0.2 * (100 - len(rows["test"])) / 2)


def test_without_groups_the_five_folds_are_stratified() -> None:
    rows = split(None, fold=4)
    assert np.bincount(LABELS[rows["test"]]).tolist() == [10, 10]


def test_too_few_persons_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.fold=4: there are 4 folds, numbered from 0, of 4 groups"):
        split(fold=4)
    with pytest.raises(DataError, match=r"2 groups are too few .* with data.val_groups=seen"):
        split(PERSONS.clip(max=1), fold=0)


def test_groups_are_numbered_over_all_splits() -> None:
    data = Persons(name="toy", cache="cache")
    known = ["eve", "ann", "bob"]
    assert data.group_column(["bob", "ann"], known)["group"].tolist() == [1, 0]
    assert data.group_column(["", ""], ["", ""]) == {}
    remarks = data.shared_groups({"train": ["ann", "bob", ""], "val": ["eve", ""], "test": ["bob", "bob"]})
    assert remarks == ["groups both in train and in test: 1"]
