"""What all datasets with one label for each sample have in common: their splits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.datamodule import DataModule, check_shares
from sightseq.core.errors import ConfigError

Rows = NDArray[np.int64]


class LabelledData(DataModule):
    """Samples with one label each: `target` int64 [B].

    A dataset whose publisher has no validation split loses a stratified part of "train" to it; one without
    a test split, another part. Which part depends on `split_seed` alone, so all runs share it.

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

    def order_classes(self, names: set[str]) -> list[str]:
        """The classes in the order of their labels: that of `encoder`, if it has them all, else of the alphabet."""
        known = getattr(self.encoder, "classes", ())
        return list(known) if names <= set(known) else sorted(names)

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """The publisher's splits where there are any, else stratified parts; rows without a label are left out."""
        targets = {name: arrays["target"] for name, arrays in splits.items()}
        rows = {name: (name, np.flatnonzero(labels >= 0)) for name, labels in targets.items()}
        if self.fold is not None and "test" in rows:
            raise ConfigError(f"data.fold={self.fold}: {self.name} has a test split of its own; leave data.fold out")
        for name, fraction in (("test", self.test_fraction), ("val", self.val_fraction)):
            if name not in rows:
                source, train = rows["train"]
                part = stratified(targets[source][train], fraction, self.split_seed)
                if name == "test" and self.fold is not None:
                    part = stratified_fold(targets[source][train], self.fold, self.folds, self.split_seed)
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
