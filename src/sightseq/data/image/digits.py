"""The handwritten digits that scikit-learn includes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import save_about, save_split
from sightseq.core.datamodule import DataModule
from sightseq.core.splits import Rows
from sightseq.data.image.images import ImageData, synthetic_images
from sightseq.vision.spec import ImageSpec

GREY = 16  # strongest grey level


class Digits(ImageData):
    """1,797 real digits of 8x8 pixels by 13 writers: 898 for training and validation, then 899 for test.

    These are the halves of scikit-learn's own example (auto_examples/classification/plot_digits_classification).
    Source: Alpaydin and Kaynak, 1998, UCI Optical Recognition of Handwritten Digits, test part.
    """

    example_spec: ImageSpec = ImageSpec(1, 8, 8, ("a", "b"), (0.5,), (0.25,))

    def locate(self) -> list[Path]:
        """Return the file inside scikit-learn, or the synthetic one."""
        return [digits_file(self)]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Scale the 17 grey levels to 0..255 and save both halves."""
        images, labels, _ = read_digits(sources[0])
        pixels = (images[:, None] * (255 / GREY)).round().astype(np.uint8)
        half = len(pixels) // 2
        save_split(folder, "train", input=pixels[:half], target=labels[:half])
        save_split(folder, "test", input=pixels[half:], target=labels[half:])
        save_about(folder, {"classes": [str(label) for label in np.unique(labels)]})

    def write_synthetic(self, folder: Path) -> None:
        """Write 240 images of stripes with 17 grey levels."""
        images, labels = synthetic_images(240, 10, 8, 1, seed=0)
        np.savez(folder / "digits.npz", images=images // 15, labels=labels)


def digits_file(data: DataModule) -> Path:
    """Return the file of digits inside scikit-learn, or the synthetic one, digits.npz."""
    if data.synthetic:
        return data.root / data.folders[0] / "digits.npz"
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"


def read_digits(file: Path) -> tuple[NDArray[np.float32], Rows, dict[str, NDArray[Any]]]:
    """Return the images [N, 8, 8] of a file of `digits_file` in 0..16, their labels [N], and its other arrays."""
    others: dict[str, NDArray[Any]] = {}
    if file.suffix == ".npz":
        with np.load(file) as content:
            others = dict(content)
        images, labels = others.pop("images"), others.pop("labels")
    else:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
    return np.asarray(images, np.float32).reshape(-1, 8, 8), np.asarray(labels, np.int64), others
