"""Base of all data with transcripts: lines of writing and recordings of speech."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset, Ragged, save_split
from sightseq.core.errors import DataError
from sightseq.core.loading import Batch
from sightseq.core.splits import Rows, SplitData
from sightseq.data.plain import PlainTranscripts
from sightseq.data.reading import Corrupt
from sightseq.data.text.tokenised import Texts
from sightseq.text.alphabet import Alphabet, fit
from sightseq.text.sentences import clean_sentence

CHUNK = 10_000  # transcripts decoded at a time
SHOWN = 20  # unknown characters in a remark
GROUPS = 3  # fewer speakers or writers cannot be divided into three splits


@dataclass(frozen=True)
class Sample:
    """One file and its transcript.

    Attributes:
        file: the image or the recording.
        text: the transcript.
        group: the writer or speaker, or anything else that must not be in two splits; "" if it is unknown.
    """

    file: Path
    text: str
    group: str = ""


class TranscribedDataset(ArrayDataset):
    """Inputs of unequal lengths with their transcripts.

    A batch has `input` [B, longest, ...], padded, and `length` int64 [B]; `target` int64 [B, L], the character ids of
    the transcripts padded with 0, and `target_length` int64 [B]; and `index` int64 [B].

    Args:
        arrays: `input`, a `Ragged`, and `target`, the transcripts, each [N].
        rows, source: see `ArrayDataset`.
        alphabet: encodes the transcripts.
    """

    def __init__(self, arrays: Mapping[str, Any], rows: Rows, source: str, alphabet: Alphabet) -> None:
        super().__init__(arrays, rows, source)
        self.alphabet = alphabet

    def plain(self) -> PlainTranscripts:
        """See `ArrayDataset.plain`."""
        inputs, texts = self.arrays["input"], self.arrays["target"]
        ids = Ragged.of([np.array(self.alphabet.encode(text), np.int64) for text in texts[np.arange(len(texts))]])
        return PlainTranscripts(inputs.values, inputs.ends, ids.values, ids.ends, self.rows, inputs.padding)

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these indices: see `ArrayDataset.batch`."""
        rows = self.rows[indices.clamp(min=0).numpy()]
        values, lengths = self.arrays["input"].padded(rows)
        ids = [self.alphabet.encode(text) for text in self.arrays["target"][rows]]
        target_length = torch.tensor([len(one) for one in ids])
        target = torch.zeros(len(ids), int(target_length.max()), dtype=torch.int64)
        for row, one in enumerate(ids):
            target[row, : len(one)] = torch.tensor(one)
        return {
            "input": torch.from_numpy(values),
            "length": torch.from_numpy(lengths),
            "target": target,
            "target_length": target_length,
            "index": torch.where(indices < 0, indices, torch.from_numpy(rows)),
        }


class TranscribedData(SplitData):
    """Inputs of unequal lengths with one transcript each.

    A subclass's `process` saves the columns of each split: `input`, a `Ragged`, and those of `save_transcripts`. A
    sample with an empty transcript is left out.

    Validation and test splits that the publisher does not provide are drawn by writer or speaker, or by sample if fewer
    than three are known: see `SplitData`.

    Args:
        corrupt: "error" stops at a file that cannot be read, "skip" leaves it out and counts it.
        common: see `SplitData`.
    """

    def __init__(self, *, corrupt: Corrupt = "error", **common: Any) -> None:
        super().__init__(**common)
        self.corrupt = corrupt

    def read_split(self, folder: Path) -> dict[str, Any]:
        """Return `input` (a `Ragged`), `target` (texts) and `group`, each [N]."""
        arrays = super().read_split(folder)
        return {**arrays, "target": Texts.like(arrays["target"])}

    def strata(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return 0 for each sample, or -1 if its transcript is empty."""
        return np.where(arrays["target"].lengths > 0, 0, -1)

    def groups(self, arrays: Mapping[str, Any]) -> NDArray[Any] | None:
        """Return the writer or speaker of each sample [N]; None if there are fewer than three."""
        groups: NDArray[Any] = arrays["group"]
        return groups if len(np.unique(groups)) >= GROUPS else None

    def fit_alphabet(self, train: ArrayDataset) -> Alphabet:
        """Return the characters of the training transcripts."""
        chunks = np.array_split(train.rows, -(-len(train.rows) // CHUNK))
        return fit(text for rows in chunks for text in train.arrays["target"][rows])

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Return the splits with character ids; remark on characters that the alphabet does not have."""
        spec: Any = self.spec
        for split, dataset in datasets.items():
            texts = [text for text in dataset.arrays["target"][dataset.rows] if spec.alphabet.unknown(text)]
            if texts:
                characters = spec.alphabet.unknown("".join(texts))
                shown = " ".join(characters[:SHOWN].replace(" ", "\u2423")) + (
                    " ..." if len(characters) > SHOWN else ""
                )
                text = f"{len(texts):,} transcripts of {split} have characters that are unknown in training: {shown}"
                self.remarks = [*self.remarks, text]
        return {
            split: TranscribedDataset(one.arrays, one.rows, one.source, spec.alphabet)
            for split, one in datasets.items()
        }

    def check_samples(self, split: str, samples: Sequence[Sample]) -> tuple[list[Sample], list[str]]:
        """Return the samples with transcripts, as clean sentences, and descriptions of those without one.

        Raises:
            DataError: no sample has a transcript.
        """
        cleaned = [replace(sample, text=clean_sentence(sample.text)) for sample in samples]
        kept = [sample for sample in cleaned if sample.text]
        if not kept:
            raise DataError(f"{self.name}: none of the {len(samples):,} samples of {split} has a transcript")
        return kept, [f"{sample.file}, which has no transcript" for sample in cleaned if not sample.text]

    def check_readable(self, split: str, samples: Sequence[Sample], bad: Sequence[int]) -> None:
        """Check that not all files of a split are bad, given the indices of the bad ones.

        Raises:
            DataError: no file can be read.
        """
        if len(bad) == len(samples):
            raise DataError(
                f"{self.name}: none of the {len(bad):,} files of {split} can be read, such as {samples[0].file}"
            )


def save_transcripts(folder: Path, split: str, samples: Sequence[Sample], bad: Sequence[int] = ()) -> None:
    """Save the transcripts of the N samples of one of the publisher's splits, and who wrote or spoke them.

    The columns are `target`, the texts, and `group` int64 [N], the writer or speaker of each sample. Samples whose
    writer or speaker is unknown, "", are groups of their own if others are known.

    Args:
        folder: folder of the processed data.
        split: name of the split.
        samples: the samples.
        bad: indices of samples that cannot be read; their transcripts are saved as empty, so that they are left out.
    """
    left_out = set(bad)
    texts = ["" if row in left_out else sample.text for row, sample in enumerate(samples)]
    known = any(sample.group for sample in samples)
    names = [sample.group or (row if known else 0) for row, sample in enumerate(samples)]
    numbers: dict[str | int, int] = {}
    save_split(
        folder,
        split,
        target=Texts.of([np.frombuffer(text.encode(), np.uint8) for text in texts]),
        group=np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64),
    )
