"""Lines of real handwritten digits, composed of those that scikit-learn includes; they need no download."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.arrays import RaggedWriter, save_about
from sightseq.core.errors import ConfigError
from sightseq.data.image.digits import GREY, digits_file, read_digits
from sightseq.data.transcribed import Sample, save_transcripts
from sightseq.data.writing.lines import LineData

FORMS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)
"""First sample of each form in scikit-learn's digits. All writers copied the same form, 0123456789 three times and then
100 digits in a fixed order, so the labels show where a form begins; a few digits of some forms are missing."""
SIDE = 8  # pixels of a digit
LENGTHS = (3, 8)  # digits of the shortest and the longest line
SYNTHETIC = {"forms": 6, "digits": 40, "lines": 20}
SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")  # of 0 to 9
PLACES: dict[str, Any] = {
    **{"a": np.s_[0, 2:6], "g": np.s_[3, 2:6], "d": np.s_[7, 2:6]},
    **{"f": np.s_[0:4, 1], "e": np.s_[4:8, 1], "b": np.s_[0:4, 6], "c": np.s_[4:8, 6]},
}


class DigitLines(LineData):
    """Lines of 3 to 8 digits of one writer, such as "40938", with random spacing, slant, size and noise.

    The digits are the 1,797 of `sklearn.datasets.load_digits` (Alpaydin and Kaynak, 1998; 8x8 pixels, the test part of
    UCI's optical recognition of handwritten digits). They are 14 forms, see `FORMS`, by 13 writers according to UCI, so
    one of them may have two forms; but the nearest digits of the same class are farther apart in any two forms (23 grey
    levels or more) than within a form (15 to 20). All lines of a form are in one split: by default two forms validate
    and three test. Neighbouring digits may touch or overlap, and their order is random.

    Args:
        lines: number of lines composed of the digits of each form.
        val_fraction, test_fraction: fractions of the forms.
        common: see `LineData`.
    """

    def __init__(
        self, *, lines: int = 600, val_fraction: float = 0.15, test_fraction: float = 0.2, **common: Any
    ) -> None:
        super().__init__(val_fraction=val_fraction, test_fraction=test_fraction, **common)
        if lines < 1:
            raise ConfigError(f"data.lines={lines}: must be at least 1")
        self.lines = lines

    def cache_key(self) -> dict[str, Any]:
        """Options that change the lines."""
        return {**super().cache_key(), "lines": self.lines}

    def locate(self) -> list[Path]:
        """Return the file inside scikit-learn, or the synthetic one."""
        return [digits_file(self)]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Compose the lines of each form."""
        images, labels, others = read_digits(sources[0])
        starts, digits = others.get("forms", np.array(FORMS)), images / GREY
        lines = min(self.lines, SYNTHETIC["lines"]) if self.synthetic else self.lines
        (folder / "train").mkdir()
        writer = RaggedWriter(folder / "train" / "input.npy", np.uint8, (self.height, 1))
        samples = []
        for form, rows in enumerate(np.split(np.arange(len(digits)), starts[1:])):
            generator = np.random.default_rng([0, form])
            for _ in range(lines):
                chosen = generator.choice(rows, generator.integers(LENGTHS[0], LENGTHS[1], endpoint=True))
                writer.append(compose(digits[chosen], self.height, generator))
                samples.append(Sample(sources[0], "".join(str(int(label)) for label in labels[chosen]), str(form)))
        writer.close()
        save_transcripts(folder, "train", samples)
        save_about(folder, {})

    def write_synthetic(self, folder: Path) -> None:
        """Write digits of seven segments, in forms."""
        generator = np.random.default_rng(0)
        count = SYNTHETIC["forms"] * SYNTHETIC["digits"]
        labels = generator.integers(10, size=count)
        images = np.zeros((count, SIDE, SIDE))
        for image, label in zip(images, labels, strict=True):
            for segment in SEGMENTS[label]:
                image[PLACES[segment]] = generator.integers(GREY // 2, GREY, endpoint=True)
        forms = np.arange(0, count, SYNTHETIC["digits"])
        np.savez(folder / "digits.npz", images=images, labels=labels, forms=forms)


def compose(digits: NDArray[np.float32], height: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Compose a line of digits, as columns [W, height, 1]; paper is 0.

    The digits of a line share slant (up to 15 degrees to either side), size, spacing (from a slight overlap to a
    quarter of the height) and strength of the ink; each varies around them, and in rotation and position.

    Args:
        digits: at least one digit, grey levels 0..1, [N, 8, 8].
        height: height of the line in pixels.
        generator: source of all random numbers.
    """
    uniform = generator.uniform
    slant, size, gap = np.tan(np.radians(uniform(-15, 15))), uniform(0.65, 0.8), uniform(-0.08, 0.2)
    tiles = [draw(digit, height, slant, size * uniform(0.9, 1.1), generator) for digit in digits]
    starts = [round(height * uniform(0.1, 0.3))]
    for tile in tiles:
        step = tile.shape[1] + round(height * (gap + uniform(-0.04, 0.04)))
        starts.append(starts[-1] + max(step, tile.shape[1] // 2))
    line = np.zeros((height, starts[-1] + round(height * uniform(0.3, 0.5))), np.float32)
    for start, tile in zip(starts, tiles, strict=False):
        part = line[:, start : start + tile.shape[1]]
        np.maximum(part, tile, out=part)
    noisy = line * uniform(180, 255) + generator.normal(0, uniform(0, 12), line.shape)
    return noisy.clip(0, 255).astype(np.uint8).T[:, :, None]


def draw(
    digit: NDArray[np.float32], height: int, slant: float, size: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a digit [8, 8] with a random rotation of up to 8 degrees and a random position, [height, W].

    Args:
        digit: grey levels 0..1.
        height: height of the result in pixels; its width is that of the ink, at least 1.
        slant: tangent of the slant to the right.
        size: height of the digit, as a fraction of `height`.
        generator: source of all random numbers.
    """
    angle = np.radians(generator.uniform(-8, 8))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.diag([generator.uniform(0.9, 1.1), 1]) * size * height / SIDE
    back = np.linalg.inv(np.array([[1, -slant], [0, 1]]) @ turn @ stretch)  # from the tile to the digit
    padded = np.pad(digit, 2)
    centre = np.array([height, height * (0.5 + generator.uniform(-0.05, 0.05))])
    offset = padded.shape[0] / 2 - back @ centre
    matrix = (*back[0], offset[0], *back[1], offset[1])
    image = Image.fromarray(padded).transform(
        (2 * height, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    tile = np.asarray(image).clip(0, 1)
    columns = np.flatnonzero(tile.max(0) > 0.1)
    return tile[:, columns[0] : columns[-1] + 1] if len(columns) else tile[:, :1]
