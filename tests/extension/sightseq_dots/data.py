"""The dataset: one NumPy archive."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sightseq_dots.spec import CountingSpec

from sightseq.core.arrays import ArrayDataset, save_split
from sightseq.core.datamodule import DataModule
from sightseq.core.download import find_folder, missing_error


class Dots(DataModule):
    """Images of dots in noise, from `dots.npz` with the arrays `images` uint8 [N, 24, 24] and `counts` [N].

    A batch has `input` uint8 [B, 1, 24, 24] and `target` float32 [B].
    """

    example_spec = CountingSpec(24, 24, 4.0, 2.0)

    def locate(self) -> list[Path]:
        """Find the archive."""
        folder = find_folder(self.root, self.folders)
        if folder is None or not (folder / "dots.npz").is_file():
            raise missing_error(self.name, self.root, self.folders, "dots.npz")
        return [folder / "dots.npz"]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Write the single split that the publisher provides."""
        with np.load(sources[0]) as file:
            save_split(folder, "train", input=file["images"][:, None], target=file["counts"].astype(np.float32))

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, NDArray[np.int64]]]:
        """Use every tenth image for validation and every tenth for the test."""
        rows = np.arange(len(splits["train"]["target"]))
        parts = {"val": rows % 10 == 8, "test": rows % 10 == 9, "train": rows % 10 < 8}
        return {split: ("train", rows[chosen]) for split, chosen in parts.items()}

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> CountingSpec:
        """Compute the image size, and the mean and standard deviation of the counts."""
        counts = train.arrays["target"][train.rows]
        height, width = train.arrays["input"].shape[2:]
        return CountingSpec(height, width, float(counts.mean()), float(counts.std()))

    def write_synthetic(self, folder: Path) -> None:
        """Write 600 images with one to eight dots."""
        generator = np.random.default_rng(0)
        counts = generator.integers(1, 9, 600)
        images = generator.uniform(0, 60, (600, 24, 24))
        for image, count in zip(images, counts, strict=True):
            # Dots are placed in cells of a grid, so that they never overlap.
            for cell in generator.choice(36, count, replace=False):
                y, x = 4 * (cell // 6) + 1, 4 * (cell % 6) + 1
                image[y : y + 2, x : x + 2] = generator.uniform(150, 255)
        np.savez(folder / "dots.npz", images=images.astype(np.uint8), counts=counts)
