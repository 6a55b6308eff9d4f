"""Handwritten digits that move: they are generated from real digits, and need no download."""

from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import save_about, save_split
from sightseq.core.errors import ConfigError
from sightseq.core.splits import Rows
from sightseq.data.image.digits import GREY, digits_file, read_digits
from sightseq.data.video.clips import VideoData
from sightseq.vision.video_spec import VideoSpec

DIRECTIONS = {  # steps (down, right) in pixels per frame, at slow speed
    **{"right": (0, 1), "down-right": (1, 1), "down": (1, 0), "down-left": (1, -1)},
    **{"left": (0, -1), "up-left": (-1, -1), "up": (-1, 0), "up-right": (-1, 1)},
}
SPEEDS = {"slow": 1, "fast": 2}
MOTIONS = {
    f"{direction}, {speed}": (down * factor, right * factor)
    for (direction, (down, right)), (speed, factor) in product(DIRECTIONS.items(), SPEEDS.items())
}
SCALE = 2  # from the 8x8 pixels of a digit to those of a frame


class MovingDigits(VideoData):
    """Videos of the 1,797 real digits of scikit-learn, each moving in some of eight directions, slowly or fast.

    A digit that leaves the frame enters it again on the opposite side, and starts anywhere: a single frame says nothing
    about the motion. No image of a digit is in two splits. Batches also have `digit` int64 [B].

    Args:
        target: what the classes are: "motion", the 16 pairs of a direction and a speed; or "digit".
        image_size: height and width of a frame in pixels.
        motions: videos made of each image of a digit.
        common: see `VideoData`.
    """

    example_spec: VideoSpec = VideoSpec(1, 32, 32, ("a", "b"), (0.5,), (0.25,))

    def __init__(
        self, *, target: Literal["motion", "digit"] = "motion", image_size: int = 32, motions: int = 4, **common: Any
    ) -> None:
        super().__init__(**common)
        if not 8 * SCALE <= image_size <= 256:
            raise ConfigError(
                f"data.image_size={image_size}: frames must have between {8 * SCALE} and 256 pixels a side"
            )
        if not 1 <= motions <= len(MOTIONS):
            raise ConfigError(f"data.motions={motions}: must be between 1 and {len(MOTIONS)}")
        self.target, self.image_size, self.motions = target, image_size, motions

    def cache_key(self) -> dict[str, Any]:
        """Options that change the videos or their labels."""
        return {"target": self.target, "image_size": self.image_size, "motions": self.motions, "frames": self.frames}

    def locate(self) -> list[Path]:
        """Return the file inside scikit-learn, or the synthetic one."""
        return [digits_file(self)]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Draw the videos, each image with `motions` different motions."""
        images, digits, _ = read_digits(sources[0])
        pixels = (images * (255 / GREY)).round().astype(np.uint8)
        generator = np.random.default_rng(0)
        groups = np.repeat(np.arange(len(pixels)), self.motions)
        every = np.tile(np.arange(len(MOTIONS)), (len(pixels), 1))
        motions = generator.permuted(every, axis=1)[:, : self.motions].ravel()
        starts = generator.integers(0, self.image_size, (len(groups), 2))
        steps = np.array(list(MOTIONS.values()))
        videos = [
            moving(pixels[image], start, steps[motion], self.frames, self.image_size)
            for image, start, motion in zip(groups, starts, motions, strict=True)
        ]
        digit = digits[groups]
        target = motions if self.target == "motion" else digit
        length = np.full(len(videos), self.frames)
        save_split(folder, "train", input=np.stack(videos), length=length, target=target, digit=digit, group=groups)
        classes = list(MOTIONS) if self.target == "motion" else [str(number) for number in range(10)]
        save_about(folder, {"classes": classes})

    def write_synthetic(self, folder: Path) -> None:
        """Write 60 blots with 17 grey levels, each as tall as its digit says."""
        digits = np.arange(60) % 10
        images = np.zeros((60, 8, 8))
        for image, digit in zip(images, digits, strict=True):
            image[: 1 + digit * 7 // 9, 2:6] = 16
        np.savez(folder / "digits.npz", images=images, labels=digits)


def moving(image: NDArray[np.uint8], start: Rows, step: Rows, frames: int, size: int) -> NDArray[np.uint8]:
    """Draw the video [frames, 1, size, size] of an image [8, 8] that moves over a black ground.

    Args:
        image: grey values.
        start: row and column of its upper left corner in the first frame.
        step: pixels that it moves down and right from frame to frame.
        frames: number of frames.
        size: height and width of a frame.
    """
    ground = np.zeros((size, size), np.uint8)
    large = np.kron(image, np.ones((SCALE, SCALE), np.uint8))
    ground[: len(large), : len(large)] = large
    places = start + np.arange(frames)[:, None] * step
    return np.stack([np.roll(ground, tuple(place), (0, 1))[None] for place in places])
