"""A dataset in a format of its own: one numpy archive."""

from pathlib import Path

import numpy as np

from sightseq.core.arrays import save_about, save_split
from sightseq.core.download import find_folder, missing
from sightseq.data.image.images import ImageData


class Rings(ImageData):
    """Rings of three sizes, in `rings.npz` with the arrays `images` [N, 16, 16] and `labels` [N]."""

    def locate(self) -> list[Path]:
        """The archive."""
        folder = find_folder(self.root, self.folders)
        if folder is None or not (folder / "rings.npz").is_file():
            raise missing(self.name, self.root, self.folders, "rings.npz")
        return [folder / "rings.npz"]

    def process(self, sources: list[Path], folder: Path) -> None:
        """One split: validation and test are parts of it."""
        with np.load(sources[0]) as file:
            save_split(folder, "train", input=file["images"][:, None], target=file["labels"])
        save_about(folder, {"classes": ["small", "middle", "large"]})

    def write_synthetic(self, folder: Path) -> None:
        """600 rings with noise."""
        generator = np.random.default_rng(0)
        labels = np.arange(600) % 3
        y, x = np.mgrid[-8:8, -8:8] + 0.5
        radius = np.hypot(x, y)[None] - (2 + 2 * labels)[:, None, None]
        images = 200 * np.exp(-(radius**2)) + generator.uniform(0, 50, (600, 16, 16))
        np.savez(folder / "rings.npz", images=images.astype(np.uint8), labels=labels)
