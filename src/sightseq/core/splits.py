"""Validation and test splits of datasets whose publisher provides none or only one of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError

Rows = NDArray[np.int64]


class SplitData(DataModule):
    """A dataset whose missing validation and test splits are drawn at random from "train".

    The draw depends only on `split_seed`, so all runs have the same splits. `strata` gives the classes that are equally
    frequent in all parts; `groups` gives the groups that are never divided.

    Args:
        val_fraction: fraction of the training samples used for validation, if there is no validation split.
        test_fraction: fraction of the samples used for the test, if there is no test split.
        split_seed: seed of both draws.
        fold: for cross-validation, the index (from 0) of the fold used for the test, if there is no test split.
        folds: number of folds.
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
        check_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
        if folds < 2:
            raise ConfigError(f"data.folds={folds}: must be at least 2: one to test, the others to train")
        if fold is not None and not 0 <= fold < folds:
            raise ConfigError(f"data.fold={fold}: the {folds} folds are numbered from 0 to {folds - 1}")
        self.val_fraction, self.test_fraction, self.split_seed = val_fraction, test_fraction, split_seed
        self.fold, self.folds = fold, folds

    def strata(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the class of each sample [N] of a split; all parts get an equal fraction of it. -1 leaves it out."""
        return np.zeros(len(next(iter(arrays.values()))), np.int64)

    def groups(self, arrays: Mapping[str, Any]) -> NDArray[Any] | None:
        """Return the group of each sample [N] of a split, such as a patient or a film; None if there are none.

        A group is never divided between parts. With groups, the parts are not stratified.
        """
        return None

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """Return the publisher's splits where they exist, otherwise parts of "train"."""
        rows = {name: (name, np.flatnonzero(self.strata(arrays) >= 0)) for name, arrays in splits.items()}
        if self.fold is not None and "test" in rows:
            raise ConfigError(f"data.fold={self.fold}: {self.name} has its own test split; leave data.fold out")
        for name, fraction in (("test", self.test_fraction), ("val", self.val_fraction)):
            if name not in rows:
                source, train = rows["train"]
                groups, strata = self.groups(splits[source]), self.strata(splits[source])
                if groups is not None:
                    part = grouped(groups[train], fraction, self.split_seed)
                else:
                    part = stratified(strata[train], fraction, self.split_seed)
                if name == "test" and self.fold is not None:
                    draw, keys = (stratified_fold, strata) if groups is None else (grouped_fold, groups)
                    part = draw(keys[train], self.fold, self.folds, self.split_seed)
                rows[name] = (source, train[part])
                rows["train"] = (source, np.delete(train, part))
        return rows


def check_fractions(**shares: float) -> None:
    """Check data options that are fractions, given by name.

    Raises:
        ConfigError: a fraction is not above 0 and below 1.
    """
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ConfigError(f"data.{name}={value}: a fraction must be above 0 and below 1")


def stratified(labels: NDArray[Any], fraction: float, seed: int) -> Rows:
    """Draw a random fraction of each class: positions in ascending order.

    Of a class of two or more samples, at least one is drawn and at least one is not.
    """
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        chosen.append(members[:count])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def stratified_fold(labels: NDArray[Any], fold: int, folds: int, seed: int) -> Rows:
    """Return one of `folds` equal, disjoint parts of each class: positions in ascending order."""
    generator = np.random.default_rng(seed)
    members = [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    return np.sort(np.concatenate([m[fold::folds] for m in members])).astype(np.int64)


def grouped(groups: NDArray[Any], fraction: float, seed: int) -> Rows:
    """Draw a random fraction of the groups: positions of their samples in ascending order.

    Of two or more groups, at least one is drawn and at least one is not.
    """
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    count = min(max(round(len(names) * fraction), 1), len(names) - 1)
    return np.flatnonzero(np.isin(groups, names[:count])).astype(np.int64)


def grouped_fold(groups: NDArray[Any], fold: int, folds: int, seed: int) -> Rows:
    """Return one of `folds` disjoint parts of the groups: positions of their samples in ascending order."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    return np.flatnonzero(np.isin(groups, names[fold::folds])).astype(np.int64)
