"""Base of all datasets of labelled audio clips: caches and batches them, and computes their spec."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from sightseq.audio.features import LogMel
from sightseq.audio.spec import AudioSpec
from sightseq.core.arrays import ArrayDataset, save_about
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.data.audio.waveforms import Piece, remarks, save_waveforms
from sightseq.data.grouped import GroupedData
from sightseq.data.labelled_files import save_labelled
from sightseq.data.plain import PlainClips
from sightseq.data.reading import Corrupt

MEASURED = 4000  # training clips whose features give mean and standard deviation, evenly spaced
CHUNK = 16  # of them at a time


@dataclass(frozen=True)
class Clip:
    """A labelled recording.

    Attributes:
        piece: the recording.
        label: its class.
        split: the publisher's split: "train", "val" or "test".
        speaker: who speaks; "" if unknown.
    """

    piece: Piece
    label: str
    split: str = "train"
    speaker: str = ""

    @property
    def path(self) -> Path:
        """The file."""
        return self.piece.path

    @property
    def group(self) -> str:
        """The speaker."""
        return self.speaker


class WaveformDataset(ArrayDataset):
    """Waveforms of one split; a batch has `input` int16 [B, N], padded with 0, and `length` int64 [B]."""

    unread = frozenset({"speaker"})

    def plain(self) -> PlainClips:
        """See `ArrayDataset.plain`."""
        waves = self.arrays["input"]
        return PlainClips(waves.values, waves.ends, self.arrays["target"], self.rows)

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these indices: see `ArrayDataset.batch`."""
        batch = super().batch(indices)
        batch["length"] = batch.pop("input_length")
        return batch


class ClipData(GroupedData):
    """Audio clips with one label each: `input` int16 [B, N], padded with 0, and `length` int64 [B].

    A subclass defines `clips`. The groups are the speakers.

    Args:
        rate: samples per second, in Hz; recordings are resampled to it.
        seconds: longest clip; of a longer one, the middle is used.
        corrupt: "error" stops at a file that cannot be read, "skip" leaves it out and counts it.
        val_speakers: `val_groups` of `GroupedData`.
        common: see `GroupedData` and `DataModule`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"rate", "seconds"})
    group: ClassVar[str] = "speaker"
    example_spec: AudioSpec = AudioSpec(16000, ("a", "b"), -8.0, 4.0)

    def __init__(
        self,
        *,
        rate: int = 16000,
        seconds: float = 10.0,
        corrupt: Corrupt = "error",
        val_speakers: Literal["unseen", "seen"] = "unseen",
        **common: Any,
    ) -> None:
        super().__init__(val_groups=val_speakers, **common)
        if not 2000 <= rate <= 192_000:
            raise ConfigError(f"data.rate={rate}: samples per second must be between 2,000 and 192,000")
        if not 0.05 <= seconds <= 3600:
            raise ConfigError(f"data.seconds={seconds}: the longest clip must have between 0.05 and 3600 seconds")
        self.rate, self.seconds, self.corrupt = rate, seconds, corrupt
        self.example_spec = replace(self.example_spec, rate=rate, seconds=seconds)

    @abstractmethod
    def clips(self, sources: Sequence[Path]) -> list[Clip]:
        """Return all clips of the files that `locate` has found.

        Raises:
            DataError: a label or a file is missing.
        """

    def cache_key(self) -> dict[str, Any]:
        """Options that change the waveforms or the labels."""
        if self.encoder is None:
            return {"rate": self.rate, "seconds": self.seconds, "corrupt": self.corrupt}
        return {"encoder": self.encoder.to_dict(), "corrupt": self.corrupt}

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read every recording once, on all cores; one that is skipped gets the label -1.

        Raises:
            DataError: a file cannot be read, and `corrupt` is "error"; a split has classes that "train" does not have;
                or fewer than two classes have readable files.
        """
        rate, seconds = self._limits()
        found: Counter[str] = Counter()

        def save(split: str, clips: Sequence[Clip]) -> list[int]:
            pieces = [clip.piece for clip in clips]
            options: dict[str, Any] = {"name": self.name, "longest": seconds, "corrupt": self.corrupt}
            bad, kinds = save_waveforms(folder, split, pieces, rate, **options)
            found.update(kinds)
            return bad

        about = save_labelled(self, folder, self.clips(sources), save)
        save_about(folder, {**about, "remarks": [*remarks(found), *about["remarks"]]})

    def _limits(self) -> tuple[int, float]:
        """Return the rate in Hz and the longest clip in seconds: those of the model, if there is one."""
        given = self.encoder
        return (given.rate, given.seconds) if isinstance(given, AudioSpec) else (self.rate, self.seconds)

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> AudioSpec:
        """Compute class counts, and mean and standard deviation of the log-mel features of the training clips."""
        rate, seconds = self._limits()
        classes = tuple(about["classes"])
        counts = np.bincount(train.arrays["target"][train.rows], minlength=len(classes))
        mean, std = feature_statistics(train, rate)
        return AudioSpec(rate, classes, mean, std, tuple(counts.tolist()), seconds)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Return the splits with `length` in their batches."""
        return {split: WaveformDataset(d.arrays, d.rows, d.source) for split, d in datasets.items()}


def feature_statistics(train: ArrayDataset, rate: int) -> tuple[float, float]:
    """Return mean and standard deviation of the log-mel features of waveforms; of at most `MEASURED` of them.

    Args:
        train: waveforms: `input` of its batches is int16 [B, N], and `input_length` [B].
        rate: of the waveforms, in Hz.
    """
    features, total, squares, count = LogMel(rate), 0.0, 0.0, 0
    chosen = np.unique(np.linspace(0, len(train) - 1, MEASURED).round().astype(np.int64))
    with torch.inference_mode():
        for start in range(0, len(chosen), CHUNK):
            batch = train[torch.from_numpy(chosen[start : start + CHUNK])]
            values, frames = features(batch["input"], batch["input_length"])  # 0 beyond the length
            total += values.double().sum().item()
            squares += values.double().square().sum().item()
            count += int(frames.sum()) * features.n_mels
    mean = total / count
    return round(mean, 6), round(max(squares / count - mean**2, 1e-8) ** 0.5, 6)
