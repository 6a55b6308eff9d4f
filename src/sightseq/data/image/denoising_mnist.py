"""MNIST with noise: a common first exercise with denoising autoencoders."""

from pathlib import Path

import numpy as np

from sightseq.core.arrays import save_about, save_split
from sightseq.core.errors import DataError
from sightseq.data.image.denoising import DenoisingData, synthetic_photos
from sightseq.data.image.mnist import FILES, REMEDY, locate_idx, read_idx, write_idx
from sightseq.data.image.noisy import to_ragged


class DenoisingMNIST(DenoisingData):
    """60,000 training and 10,000 test digits of 28x28 pixels (LeCun et al., 1998).

    A random `val_fraction` of "train" is the validation split.
    """

    def locate(self) -> list[Path]:
        """Return the four idx files of MNIST; the labels are not used."""
        return locate_idx(self)

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the images.

        Raises:
            DataError: a file is damaged or does not contain images.
        """
        for (split, kind), path in zip(FILES, sources, strict=True):
            if kind == "input":
                images = read_idx(path)
                if images.ndim != 3:
                    raise DataError(
                        f"{self.name}: {path} contains an array {list(images.shape)} instead of images; {REMEDY}"
                    )
                photo, size = to_ragged(images[:, None])
                save_split(folder, split, photo=photo, size=size)
        save_about(folder, {"channels": 1})

    def write_synthetic(self, folder: Path) -> None:
        """Write four small idx files."""
        for split, count in (("train", 200), ("test", 40)):
            write_idx(folder / FILES[split, "input"], synthetic_photos(count, 1, 28, 28, seed=count)[:, 0])
            write_idx(folder / FILES[split, "target"], np.zeros(count, np.uint8))
