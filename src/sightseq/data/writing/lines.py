"""Base of all datasets of lines of writing: reads, caches and measures them."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sightseq.core.arrays import ArrayDataset, Ragged, RaggedWriter, save_about
from sightseq.core.errors import ConfigError, InputWarning
from sightseq.core.splits import Rows
from sightseq.data.reading import read_each
from sightseq.data.transcribed import Sample, TranscribedData, save_transcripts
from sightseq.text.alphabet import Alphabet
from sightseq.vision.line_spec import LineSpec
from sightseq.vision.lines import LOWEST, read_line

LINES = 256  # whose pixels are converted at a time


class LineData(TranscribedData):
    """Grey images of lines of writing with their transcripts.

    `input` uint8 [B, W, H, 1] are the columns of the images from left to right; paper, which is also the padding, is 0.
    See `TranscribedDataset` for the other entries of a batch. Images are read once, by `vision.lines.read_line`.

    Args:
        height: height in pixels to which all images are scaled, with their aspect ratio kept.
        straight: make sloping lines horizontal: see `vision.lines.straighten`.
        common: see `TranscribedData`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"height", "straight"})
    example_spec: LineSpec = LineSpec(1, 32, Alphabet("ab"), (0.1,), (0.3,), 100)

    def __init__(self, *, height: int = 32, straight: bool = False, **common: Any) -> None:
        super().__init__(**common)
        if height < LOWEST:
            raise ConfigError(f"data.height={height}: at least {LOWEST} pixels are needed")
        self._height, self._straight = height, straight
        self.example_spec = replace(self.example_spec, height=height, straight=straight)

    @property
    def height(self) -> int:
        """Height of the images in pixels: that of the model, if there is one."""
        return self.encoder.height if isinstance(self.encoder, LineSpec) else self._height

    @property
    def straight(self) -> bool:
        """Whether lines are made horizontal: as for the model, if there is one."""
        return self.encoder.straight if isinstance(self.encoder, LineSpec) else self._straight

    def cache_key(self) -> dict[str, Any]:
        """Options that change the images."""
        return {"height": self.height, "straight": self.straight, "corrupt": self.corrupt}

    def save_lines(
        self, folder: Path, splits: Mapping[str, Sequence[Sample]], skipped: Sequence[str] = (), **about: Any
    ) -> None:
        """Read the images of each split on all cores, and save them with their transcripts.

        Args:
            folder: folder of the processed data.
            splits: the samples of each split.
            skipped: descriptions of what was left out before.
            about: further metadata: see `core.arrays.save_about`.

        Raises:
            DataError: an image cannot be read, and `corrupt` is "error"; or no sample of a split has both an image and
                a transcript.
        """
        read = partial(read_line, height=self.height, straight=self.straight)
        left_out = [*skipped]
        for split, given in splits.items():
            samples, without = self.check_samples(split, given)
            files = [sample.file for sample in samples]
            (folder / split).mkdir(parents=True)
            writer = RaggedWriter(folder / split / "input.npy", np.uint8, (self.height, 1))
            bad = []
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InputWarning)  # a wide line is counted as any other
                images = read_each(files, read, name=self.name, corrupt=self.corrupt, title=f"decode {split}")
                for row, image in enumerate(images):
                    writer.append(np.zeros((0, self.height, 1), np.uint8) if image is None else image)
                    if image is None:
                        bad.append(row)
            writer.close()
            self.check_readable(split, samples, bad)
            save_transcripts(folder, split, samples, bad)
            left_out += [*without, *(str(files[row]) for row in bad)]
        save_about(folder, {"skipped": left_out, **about})

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> LineSpec:
        """Collect the characters of the training transcripts; measure the training images."""
        images: Ragged = train.arrays["input"]
        mean, std = pixel_statistics(images, train.rows)
        longest = int(images.lengths[train.rows].max())
        alphabet = self.fit_alphabet(train)
        return LineSpec(images.values.shape[2], self.height, alphabet, mean, std, longest, self.straight)


def pixel_statistics(images: Ragged, rows: Rows) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel of some images [W, H, C], on pixel values scaled to 0..1."""
    total, squares, count = np.zeros(images.values.shape[2]), np.zeros(images.values.shape[2]), 0
    for chunk in np.array_split(rows, -(-len(rows) // LINES)):
        pixels = np.concatenate([images.row(row) for row in chunk]).astype(np.float64) / 255
        total += pixels.sum((0, 1))
        squares += np.square(pixels).sum((0, 1))
        count += pixels.shape[0] * pixels.shape[1]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 1e-8))
    return tuple(mean.round(6).tolist()), tuple(std.round(6).tolist())
