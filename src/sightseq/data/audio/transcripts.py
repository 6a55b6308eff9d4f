"""Base of all datasets of speech with transcripts: reads, caches and measures the recordings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from sightseq.audio.transcript_spec import TranscriptSpec
from sightseq.core.arrays import ArrayDataset, save_about
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.splits import Rows
from sightseq.data.audio.clips import feature_statistics
from sightseq.data.audio.waveforms import Piece, remarks, save_waveforms
from sightseq.data.transcribed import Sample, TranscribedData, save_transcripts
from sightseq.text.alphabet import Alphabet


class TranscriptData(TranscribedData):
    """Recordings of speech with their transcripts.

    `input` int16 [B, N] are mono waveforms, padded with 0; see `TranscribedDataset` for the other entries of a batch.

    Args:
        rate: samples per second, in Hz; recordings are resampled to it.
        longest: seconds; longer training recordings are left out, those of validation and test are whole. None: no
            limit.
        common: see `TranscribedData`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"rate"})
    example_spec: TranscriptSpec = TranscriptSpec(16000, Alphabet("ab"), -8.0, 4.0, 10.0)

    def __init__(self, *, rate: int = 16000, longest: float | None = None, **common: Any) -> None:
        super().__init__(**common)
        if not 1000 <= rate <= 192_000:
            raise ConfigError(f"data.rate={rate}: samples per second must be between 1,000 and 192,000")
        if longest is not None and longest <= 0:
            raise ConfigError(f"data.longest={longest}: must be above 0 seconds")
        self._rate, self.longest = rate, longest
        self.too_long = 0  # training recordings, known after `prepare_data`
        self.example_spec = replace(self.example_spec, rate=rate)

    @property
    def rate(self) -> int:
        """Samples per second: those of the model, if there is one."""
        return self.encoder.rate if isinstance(self.encoder, TranscriptSpec) else self._rate

    def cache_key(self) -> dict[str, Any]:
        """Options that change the waveforms."""
        return {"rate": self.rate, "corrupt": self.corrupt}

    def save_recordings(
        self,
        folder: Path,
        splits: Mapping[str, Sequence[Sample]],
        skipped: Sequence[str] = (),
        further: Sequence[str] = (),
    ) -> None:
        """Read the recordings of each split on all cores, and save them with their transcripts.

        Args:
            folder: folder of the processed data.
            splits: the samples of each split.
            skipped: descriptions of what was left out before.
            further: remarks on the data.

        Raises:
            DataError: a recording cannot be read, and `corrupt` is "error"; or no sample of a split has both a
                recording and a transcript.
        """
        left_out = [*skipped]
        found: Counter[str] = Counter()
        for split, given in splits.items():
            samples, without = self.check_samples(split, given)
            pieces = [Piece(sample.file) for sample in samples]
            bad, kinds = save_waveforms(folder, split, pieces, self.rate, name=self.name, corrupt=self.corrupt)
            self.check_readable(split, samples, bad)
            save_transcripts(folder, split, samples, bad)
            left_out += [*without, *(str(samples[row].file) for row in bad)]
            found += kinds
        save_about(folder, {"skipped": left_out, "remarks": [*further, *remarks(found)]})

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Rows]]:
        """Return the splits of `SplitData`, without training recordings that are longer than `longest`."""
        rows = super().split_rows(splits)
        if self.longest is not None:
            source, train = rows["train"]
            short = splits[source]["input"].lengths[train] <= self.longest * self.rate
            self.too_long = len(train) - int(short.sum())
            if not short.any():
                raise DataError(f"{self.name}: all training recordings are longer than data.longest={self.longest} s")
            rows["train"] = (source, train[short])
        return rows

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Return the splits with character ids: see `TranscribedData.encode`."""
        if self.too_long:
            text = f"{self.too_long:,} training recordings are longer than {self.longest} s and were left out"
            self.remarks = [*self.remarks, text]
        return super().encode(datasets, folder)

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> TranscriptSpec:
        """Collect the characters of the training transcripts; measure the training recordings."""
        mean, std = feature_statistics(train, self.rate)
        longest = int(train.arrays["input"].lengths[train.rows].max()) / self.rate
        return TranscriptSpec(self.rate, self.fit_alphabet(train), mean, std, round(longest, 3))
