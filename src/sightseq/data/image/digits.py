"""The handwritten digits that scikit-learn includes."""

from pathlib import Path

import numpy as np

from sightseq.core.arrays import save_about, save_split
from sightseq.data.image.images import ImageData, synthetic_images
from sightseq.vision.spec import ImageSpec


class Digits(ImageData):
    """1,797 real digits of 8x8 pixels by 13 writers: 898 for training and validation, then 899 for test.

    These are the halves of scikit-learn's own example (auto_examples/classification/plot_digits_classification).
    Source: Alpaydin and Kaynak, 1998, UCI Optical Recognition of Handwritten Digits, test part.
    """

    example_spec: ImageSpec = ImageSpec(1, 8, 8, ("a", "b"), (0.5,), (0.25,))

    def locate(self) -> list[Path]:
        """Return the file inside scikit-learn, or the synthetic one."""
        if self.synthetic:
            return [self.root / self.folders[0] / "digits.npz"]
        import sklearn.datasets

        return [Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Scale the 17 grey levels to 0..255 and save both halves."""
        if self.synthetic:
            with np.load(sources[0]) as file:
                images, labels = file["images"], file["labels"]
        else:
            from sklearn.datasets import load_digits

            images, labels = load_digits(return_X_y=True)
        pixels = (np.asarray(images).reshape(-1, 1, 8, 8) * (255 / 16)).round().astype(np.uint8)
        labels = np.asarray(labels, np.int64)
        half = len(pixels) // 2
        save_split(folder, "train", input=pixels[:half], target=labels[:half])
        save_split(folder, "test", input=pixels[half:], target=labels[half:])
        save_about(folder, {"classes": [str(label) for label in np.unique(labels)]})

    def write_synthetic(self, folder: Path) -> None:
        """Write 240 images of stripes with 17 grey levels."""
        images, labels = synthetic_images(240, 10, 8, 1, seed=0)
        np.savez(folder / "digits.npz", images=images // 15, labels=labels)
