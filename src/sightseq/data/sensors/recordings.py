"""Base of all datasets of labelled sequences of vectors: cuts windows, caches them, and computes their spec."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset, Ragged, save_about, save_split
from sightseq.core.errors import ConfigError, DataError, nearest
from sightseq.core.loading import Batch
from sightseq.core.splits import Rows
from sightseq.core.windows import windows
from sightseq.data.grouped import GroupedData
from sightseq.series.sequence_spec import SequenceSpec

SMALLEST = 1e-6  # standard deviation of a constant channel: its normalised values are 0


@dataclass(frozen=True)
class Recording:
    """Vectors of one activity of one person.

    Attributes:
        values: [T, D], T >= 1, NaN where a value is missing.
        label: its class.
        split: the publisher's split: "train", "val" or "test".
        person: who was recorded; "" if unknown.
    """

    values: NDArray[np.floating]
    label: str
    split: str = "train"
    person: str = ""


@dataclass(frozen=True)
class Recordings:
    """All recordings of a dataset.

    Attributes:
        channels: name of each column of the values.
        rate: steps per second, in Hz; None if unknown.
        items: the recordings.
        remarks: what is to be said of them.
    """

    channels: tuple[str, ...]
    rate: float | None
    items: Sequence[Recording]
    remarks: Sequence[str] = ()


class SequenceDataset(ArrayDataset):
    """Windows of one split; a batch has `input` float32 [B, T, D], padded with 0, and `length` int64 [B]."""

    unread = frozenset({"group"})

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these indices: see `ArrayDataset.batch`."""
        batch = super().batch(indices)
        batch["length"] = batch.pop("input_length")
        return batch


class SensorData(GroupedData):
    """Sequences of vectors with one label each: `input` float32 [B, T, D], NaN where a value is missing, `length` [B].

    A longer recording is cut into overlapping windows, each a sample; `recording` int64 [B] says of which one. The
    groups are the persons. A subclass defines `recordings`.

    Args:
        window: longest window, in seconds; in steps if the recordings have no rate.
        overlap: fraction of a window that the next one shares.
        test_persons: persons whose recordings are the test split, if the publisher provides none.
        min_persons: leave out classes of fewer persons: what one person alone has done cannot be learned and tested
            with different persons.
        anomalies: classes to be detected as unlike the others: the training split has none of their windows.
        common: see `GroupedData` and `DataModule`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"window", "overlap"})
    example_spec: SequenceSpec = SequenceSpec(("x",), ("a", "b"), (0.0,), (1.0,))
    zero_missing: ClassVar[bool] = False
    """Whether a value of 0 in a file is a missing one."""

    def __init__(
        self,
        *,
        window: float = 10.0,
        overlap: float = 0.5,
        test_persons: Sequence[str] = (),
        min_persons: int = 1,
        anomalies: Sequence[str] = (),
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if window <= 0 or not 0 <= overlap < 1:
            raise ConfigError(
                f"data.window={window}, data.overlap={overlap}: a window is longer than 0, an overlap lies in [0, 1)"
            )
        self.window, self.overlap = window, overlap
        self.test_persons, self.min_persons = tuple(map(str, test_persons)), min_persons
        self.anomalies = tuple(map(str, anomalies))

    @abstractmethod
    def recordings(self, sources: Sequence[Path]) -> Recordings:
        """Return all recordings of the files that `locate` has found.

        Raises:
            DataError: a file cannot be read, or a label is missing.
        """

    def cache_key(self) -> dict[str, Any]:
        """Options that change the windows or the labels."""
        encoder = self.encoder.to_dict() if self.encoder else None
        names = ("window", "overlap", "test_persons", "min_persons")
        return {"encoder": encoder} | {name: getattr(self, name) for name in names}

    def process(self, sources: list[Path], folder: Path) -> None:
        """Cut the recordings into windows and save them.

        Raises:
            DataError: there are fewer than two classes; a split has classes that "train" does not have; or the model
                reads channels that the recordings do not have.
        """
        found = self.recordings(sources)
        items, said = self._chosen(found.items)
        channels, steps, stride = self._layout(found)
        columns = [found.channels.index(name) for name in channels]
        classes = self.order_classes({item.label for item in items if item.split == "train"})
        if len(classes) < 2:
            raise DataError(f"{self.name}: all recordings are {classes}; at least two classes are needed")
        persons: dict[str, list[str]] = {}
        missing = 0
        for split in sorted({item.split for item in items}):
            own = [item for item in items if item.split == split]
            if unknown := {item.label for item in own} - set(classes):
                raise DataError(f"{self.name}: {split} has classes that train does not have: {sorted(unknown)}")
            cut = [
                (number, *span) for number, item in enumerate(own) for span in windows(len(item.values), steps, stride)
            ]
            inputs = Ragged.of([own[n].values[start:end, columns].astype(np.float32) for n, start, end in cut])
            numbers = np.array([number for number, _, _ in cut], np.int64)
            labels = np.array([classes.index(own[number].label) for number in numbers], np.int64)
            persons[split] = [own[number].person for number in numbers]
            group = self.group_column(persons[split], {item.person for item in items})
            save_split(folder, split, input=inputs, target=labels, recording=numbers, **group)
            missing += int(np.isnan(inputs.values).sum())
        said += [f"missing values: {missing:,}"] if missing else []
        longest = int(max(len(item.values) for item in items))
        about = {"channels": channels, "rate": found.rate, "steps": min(steps, longest)}
        about |= {"stride": stride if longest > steps else None}
        remarks = [*found.remarks, *said, *self.shared_groups(persons)]
        save_about(folder, about | {"classes": classes, "remarks": remarks})

    def _chosen(self, items: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
        """Return the recordings of classes with enough persons, in their splits, and remarks on the others."""
        persons = {item.person for item in items}
        if unknown := [name for name in self.test_persons if name not in persons]:
            raise ConfigError(f"data.test_persons: there is no person {unknown[0]!r}; {nearest(unknown[0], persons)}")
        if self.test_persons:
            items = [
                Recording(
                    item.values, item.label, "test" if item.person in self.test_persons else item.split, item.person
                )
                for item in items
            ]
        counts = Counter(label for label, _ in {(item.label, item.person) for item in items})
        few = sorted(label for label, count in counts.items() if count < self.min_persons)
        kept = [item for item in items if item.label not in few]
        remark = (
            f"left out, of fewer than {self.min_persons} persons: {', '.join(few)} ({len(items) - len(kept):,} of them)"
        )
        return kept, [remark] if few else []

    def _layout(self, found: Recordings) -> tuple[tuple[str, ...], int, int]:
        """Return channels, steps and stride of the windows: those of the model, if there is one."""
        if isinstance(self.encoder, SequenceSpec):
            given = self.encoder
            if absent := [name for name in given.channels if name not in found.channels]:
                raise DataError(
                    f"{self.name}: there is no channel {absent[0]!r}, which the model reads; "
                    f"there are {', '.join(found.channels)}"
                )
            return given.channels, given.steps, given.stride or given.steps
        steps = max(1, round(self.window * (found.rate or 1)))
        return found.channels, steps, max(1, round(steps * (1 - self.overlap)))

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """Return the windows of each split; all windows of a recording are in the same one: see `GroupedData`.

        Raises:
            ConfigError: there is no class with the name of one of the `anomalies`.
        """
        firsts = {name: np.flatnonzero(np.diff(arrays["recording"], prepend=-1)) for name, arrays in splits.items()}
        columns = ("target", self.group)
        once = {
            name: {column: arrays[column][firsts[name]] for column in columns if column in arrays}
            for name, arrays in splits.items()
        }
        rows = {
            name: (source, np.flatnonzero(np.isin(splits[source]["recording"], recordings)))
            for name, (source, recordings) in super().split_rows(once).items()
        }
        if self.anomalies:
            classes, (source, train) = self.about["classes"], rows["train"]
            if unknown := [name for name in self.anomalies if name not in classes]:
                raise ConfigError(f"data.anomalies: there is no class {unknown[0]!r}; {nearest(unknown[0], classes)}")
            unusual = [classes.index(name) for name in self.anomalies]
            rows["train"] = source, train[~np.isin(splits[source]["target"][train], unusual)]
        return rows

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> SequenceSpec:
        """Compute class counts, and mean and standard deviation of each channel over the training windows.

        Raises:
            DataError: a channel has no value in the training split.
        """
        classes, channels = tuple(about["classes"]), tuple(about["channels"])
        counts = np.bincount(train.arrays["target"][train.rows], minlength=len(classes))
        values = train.arrays["input"][train.rows].values.astype(np.float64)
        known = ~np.isnan(values)
        if not known.any(axis=0).all():
            absent = channels[int(np.flatnonzero(~known.any(axis=0))[0])]
            raise DataError(f"{self.name}: the channel {absent!r} has no value in the training split; leave it out")
        mean, std = np.nanmean(values, axis=0), np.maximum(np.nanstd(values, axis=0), SMALLEST)
        return SequenceSpec(
            channels,
            classes,
            tuple(float(f"{value:.6g}") for value in mean),
            tuple(float(f"{value:.6g}") for value in std),
            tuple(counts.tolist()),
            about["rate"],
            about["steps"],
            about["stride"],
            self.zero_missing,
        )

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Return the splits with `length` in their batches."""
        return {split: SequenceDataset(d.arrays, d.rows, d.source) for split, d in datasets.items()}
