"""Base of datasets whose samples come from known groups: persons, speakers, source videos."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import ConfigError, DataError
from sightseq.core.splits import Rows, stratified
from sightseq.data.labelled import LabelledData

FOLDS = 5  # of a cross-validation without groups


class GroupedData(LabelledData):
    """Samples with one label each, and with a group: no group is in two of the splits that are drawn here.

    Each fold of a cross-validation is one group (or several, with `folds`). Where the groups are unknown, the splits
    are stratified as in `LabelledData`. `process` saves the groups of `group_column`.

    Args:
        val_groups: "unseen" validates on groups that are not in the training split; "seen" on a stratified part of the
            training samples, so that more groups are left for training.
        fold: index of the group (or of the part) used for the test, if there is no test split.
        folds: number of folds; None: one for each group, or 5 if the groups are unknown.
        common: see `LabelledData` and `DataModule`.
    """

    group: ClassVar[str] = "group"
    """What a group is: the column of the arrays, the word in messages, and, as a plural, in the option `val_groups`."""

    def __init__(
        self,
        *,
        val_groups: Literal["unseen", "seen"] = "unseen",
        fold: int | None = None,
        folds: int | None = None,
        **common: Any,
    ) -> None:
        # The number of groups is not known yet.
        super().__init__(fold=fold, folds=max(FOLDS, (fold or 0) + 1) if folds is None else folds, **common)
        self.val_groups, self.fold_is_group = val_groups, folds is None

    def groups(self, arrays: Mapping[str, Any]) -> NDArray[Any] | None:
        """Return the group of each sample [N], in alphabetical order; None if they are unknown."""
        return arrays.get(self.group)

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """Return the publisher's splits where they exist, otherwise parts of "train": see the class.

        Raises:
            ConfigError: there are fewer groups than `fold` or `folds` needs.
            DataError: there are too few groups for three splits.
        """
        groups, labels = self.groups(splits["train"]), self.strata(splits["train"])
        count = len(labels) if groups is None else len(np.unique(groups[labels >= 0]))
        if self.fold_is_group:
            self.folds = FOLDS if groups is None else count
        if self.fold is not None and "test" not in splits and not self.fold < self.folds <= count:
            what = "samples" if groups is None else f"{self.group}s"
            raise ConfigError(
                f"data.fold={self.fold}: there are {self.folds} folds, numbered from 0, of {count} {what}"
            )
        if groups is not None:
            drawn = 3 - len(splits) - ("val" not in splits and self.val_groups == "seen")
            if count <= drawn:
                raise DataError(
                    f"{self.name}: {count} {self.group}s are too few for splits with different {self.group}s; "
                    f"add some, or validate on the training {self.group}s with data.val_{self.group}s=seen"
                )
        rows = super().split_rows(splits)
        if groups is not None and self.val_groups == "seen" and "val" not in splits:
            pool = np.union1d(rows["train"][1], rows["val"][1])
            part = stratified(labels[pool], self.val_fraction, self.split_seed)
            rows |= {"val": ("train", pool[part]), "train": ("train", np.delete(pool, part))}
        return rows

    def group_column(self, groups: Sequence[str], known: Iterable[str]) -> dict[str, NDArray[np.int64]]:
        """Return the column to save for the samples of one split, by its name: the place of each group in `known`.

        It is empty if all groups are unknown ("").

        Args:
            groups: group of each sample of the split.
            known: groups of all samples of all splits.
        """
        names = sorted(set(known))
        return {} if names == [""] else {self.group: np.array([names.index(name) for name in groups], np.int64)}

    def shared_groups(self, groups: Mapping[str, Iterable[str]]) -> list[str]:
        """Return remarks on groups that are in the publisher's training split and in another one too.

        Args:
            groups: groups of the samples of each split; "" is unknown.
        """
        train = set(groups["train"]) - {""}
        shared = {split: train & set(names) for split, names in groups.items() if split != "train"}
        return [f"{self.group}s both in train and in {split}: {len(both):,}" for split, both in shared.items() if both]
