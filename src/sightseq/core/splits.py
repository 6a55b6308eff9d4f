"""Parts of a dataset whose publisher has not split it, or not all of it: to validate and to test."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.datamodule import DataModule, check_shares
from sightseq.core.errors import ConfigError

Rows = NDArray[np.int64]


class SplitData(DataModule):
    """A dataset of samples that are drawn at random to validate and to test.

    A dataset whose publisher has no validation split loses a part of "train" to it; one without a test split, another
    part. Which part depends on `split_seed` alone, so all runs share it. `strata` and `groups` say of what the parts
    have equal shares, and what they do not tear apart.

    Args:
        val_fraction: share of the training samples that validate, where there is no validation split.
        test_fraction: share of the samples that test, where there is no test split.
        split_seed: of both choices.
        fold: cross-validation: which of `folds` parts of the samples tests (from 0), where there is no test split.
        folds: how many parts that are.
        common: see `DataModule`.
    """

    def __init__(
        self,
        *,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        fold: int | None = None,
        folds: int = 5,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_shares(val_fraction=val_fraction, test_fraction=test_fraction)
        if folds < 2:
            raise ConfigError(f"data.folds={folds}: at least 2, one to test and the others to train")
        if fold is not None and not 0 <= fold < folds:
            raise ConfigError(f"data.fold={fold}: the {folds} folds are numbered from 0 to {folds - 1}")
        self.val_fraction, self.test_fraction, self.split_seed = val_fraction, test_fraction, split_seed
        self.fold, self.folds = fold, folds

    def strata(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Of each sample [N] of a split the class of which all parts get an equal share; -1 leaves it out."""
        return np.zeros(len(next(iter(arrays.values()))), np.int64)

    def groups(self, arrays: Mapping[str, Any]) -> NDArray[Any] | None:
        """Of each sample [N] of a split what it is of: a patient, a film. All of one lie in one part; the strata are
        then not looked at. None: each sample is on its own.
        """
        return None

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """The publisher's splits where there are any, else parts of the one to train."""
        rows = {name: (name, np.flatnonzero(self.strata(arrays) >= 0)) for name, arrays in splits.items()}
        if self.fold is not None and "test" in rows:
            raise ConfigError(f"data.fold={self.fold}: {self.name} has a test split of its own; leave data.fold out")
        for name, fraction in (("test", self.test_fraction), ("val", self.val_fraction)):
            if name not in rows:
                source, train = rows["train"]
                groups, strata = self.groups(splits[source]), self.strata(splits[source])
                if groups is not None:
                    part = grouped(groups[train], fraction, self.split_seed)
                else:
                    part = stratified(strata[train], fraction, self.split_seed)
                if name == "test" and self.fold is not None:
                    how, of = (stratified_fold, strata) if groups is None else (grouped_fold, groups)
                    part = how(of[train], self.fold, self.folds, self.split_seed)
                rows[name] = (source, train[part])
                rows["train"] = (source, np.delete(train, part))
        return rows


def stratified(labels: NDArray[Any], fraction: float, seed: int) -> Rows:
    """Positions of a random share of each class, in ascending order; of two or more some are taken and some left."""
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        wanted = min(max(round(len(members) * fraction), 1), len(members) - 1)
        chosen.append(members[:wanted])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def stratified_fold(labels: NDArray[Any], fold: int, folds: int, seed: int) -> Rows:
    """Positions of one of `folds` equal parts of each class, in ascending order; the parts are disjoint."""
    generator = np.random.default_rng(seed)
    members = [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    return np.sort(np.concatenate([m[fold::folds] for m in members])).astype(np.int64)


def grouped(groups: NDArray[Any], fraction: float, seed: int) -> Rows:
    """Positions of a random share of the groups, in ascending order; of two or more some are taken and some left."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    wanted = min(max(round(len(names) * fraction), 1), len(names) - 1)
    return np.flatnonzero(np.isin(groups, names[:wanted])).astype(np.int64)


def grouped_fold(groups: NDArray[Any], fold: int, folds: int, seed: int) -> Rows:
    """Positions of one of `folds` parts of the groups, in ascending order; no group is in two of them."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    return np.flatnonzero(np.isin(groups, names[fold::folds])).astype(np.int64)
