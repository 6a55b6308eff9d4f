"""The handwritten digits that scikit-learn includes, read row by row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sightseq.data.sensors.recordings import Recording, Recordings, SensorData
from sightseq.data.sensors.synthetic import waves
from sightseq.series.sequence_spec import SequenceSpec

SIDE = 8


class DigitRows(SensorData):
    """1,797 real digits as sequences of eight rows of eight pixels (0 to 16), from top to bottom.

    898 for training and validation, then 899 of other writers for test: the halves of scikit-learn's own example
    (auto_examples/classification/plot_digits_classification). Reading an image row by row is the sequence task of Le et
    al., 2015 (arXiv 1504.00941), there pixel by pixel.
    """

    example_spec: SequenceSpec = SequenceSpec(
        tuple(f"column_{number}" for number in range(SIDE)), ("a", "b"), (5.0,) * SIDE, (5.0,) * SIDE, steps=SIDE
    )

    def locate(self) -> list[Path]:
        """Return the file inside scikit-learn, or the synthetic one."""
        if self.synthetic:
            return [self.root / self.folders[0] / "digits.npz"]
        import sklearn.datasets

        return [Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"]

    def recordings(self, sources: Sequence[Path]) -> Recordings:
        """Return the images, those of the second half as test."""
        if self.synthetic:
            with np.load(sources[0]) as file:
                images, labels = file["images"], file["labels"]
        else:
            from sklearn.datasets import load_digits

            images, labels = load_digits(return_X_y=True)
        half = len(labels) // 2
        items = [
            Recording(image.reshape(SIDE, SIDE), str(label), "train" if number < half else "test")
            for number, (image, label) in enumerate(zip(np.asarray(images), np.asarray(labels), strict=True))
        ]
        return Recordings(self.example_spec.channels, None, items)

    def write_synthetic(self, folder: Path) -> None:
        """Write 240 images of waves with 17 grey levels."""
        labels = np.arange(240) % 10
        images = [waves(label, SIDE, SIDE, 20, seed) for seed, label in enumerate(labels.tolist())]
        np.savez(folder / "digits.npz", images=(6 * np.stack(images) + 8).round().clip(0, 16), labels=labels)
