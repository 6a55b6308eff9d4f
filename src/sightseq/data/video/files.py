"""Base of all datasets of video files: decodes them once into the cache."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import new_array, save_about, save_split
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.labelled_files import save_labelled
from sightseq.data.reading import Corrupt, read_each
from sightseq.data.video.clips import VideoData
from sightseq.vision.video_reading import read_clip
from sightseq.vision.video_spec import Sampling, VideoSpec


@dataclass(frozen=True)
class Video:
    """A labelled video.

    Attributes:
        path: a video file, or a folder of frames.
        label: its class.
        split: the publisher's split: "train", "val" or "test".
        group: the film that it is cut from, or who acts in it; "" if unknown.
    """

    path: Path
    label: str
    split: str = "train"
    group: str = ""


class VideoFiles(VideoData):
    """Videos in files or in folders of frames; a subclass defines `videos`.

    Args:
        frames: frames of a clip: see `VideoData`. A task that reads a clip in parts needs those of all parts.
        image_size: height and width in pixels of the network's input.
        margin: extra pixels of height and width of the cached frames, for random crops and shifts in training;
            validation, test and prediction use the centre.
        sampling: "uniform" spreads the frames over the whole video, "dense" takes the middle of it: see
            `vision.video_spec.Sampling`.
        rate: frames per second of dense sampling.
        folder_rate: frames per second of the folders of frames.
        corrupt: "error" stops at a video that cannot be read, "skip" leaves it out and counts it.
        common: see `VideoData`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"frames", "image_size", "margin", "sampling", "rate"})

    def __init__(
        self,
        *,
        image_size: int = 112,
        margin: int = 16,
        sampling: Sampling = "uniform",
        rate: float | None = None,
        folder_rate: float = 25.0,
        corrupt: Corrupt = "error",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if image_size < 4:
            raise ConfigError(f"data.image_size={image_size}: at least 4 pixels a side are needed")
        if margin < 0:
            raise ConfigError(f"data.margin={margin}: must be 0 or more pixels")
        if (sampling == "dense") != (rate is not None):
            remedy = (
                "set the frames per second, such as data.rate=8" if rate is None else "it needs data.sampling=dense"
            )
            raise ConfigError(f"data.rate={'null' if rate is None else rate}: {remedy}")
        for name, value in (("rate", rate), ("folder_rate", folder_rate)):
            if value is not None and not 0 < value <= 1000:
                raise ConfigError(f"data.{name}={value}: frames per second must be above 0 and at most 1000")
        self.folder_rate, self.corrupt = folder_rate, corrupt
        if self.synthetic:  # a laptop's memory then suffices for the networks of recipes for a GPU
            self.batch_size, self.eval_batch_size = (min(size, 4) for size in (self.batch_size, self.eval_batch_size))
        self.example_spec = replace(
            self.example_spec, height=image_size, width=image_size, margin=margin, sampling=sampling, rate=rate
        )

    @abstractmethod
    def videos(self, sources: Sequence[Path]) -> list[Video]:
        """Return all videos of the files that `locate` has found.

        Raises:
            DataError: a label or a video is missing.
        """

    @property
    def prepared(self) -> VideoSpec:
        """How clips are read: as the options say, or as a given model expects."""
        return self.encoder if isinstance(self.encoder, VideoSpec) else self.example_spec

    def cache_key(self) -> dict[str, Any]:
        """Options that change the clips or their labels."""
        return {"clips": self.prepared.to_dict(), "folder_rate": self.folder_rate, "corrupt": self.corrupt}

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read every video once, on all cores; one that is skipped gets the label -1.

        Raises:
            DataError: a video cannot be read, and `corrupt` is "error"; or see `save_labelled`.
        """
        spec = self.prepared

        def read(video: Video) -> NDArray[np.uint8]:
            return read_clip(video.path, spec, self.folder_rate)

        def save(split: str, videos: Sequence[Video]) -> list[int]:
            clips = new_array(folder, split, "input", (len(videos), spec.frames, *spec.frame.prepared))
            length = np.zeros(len(videos), np.int64)
            results = read_each(videos, read, name=self.name, corrupt=self.corrupt, title=f"decode {split}")
            for row, frames in enumerate(results):
                if frames is not None:
                    length[row] = len(frames)
                    clips[row, : len(frames)] = frames
            save_split(folder, split, length=length)
            return np.flatnonzero(length == 0).tolist()

        save_about(folder, {**save_labelled(self, folder, self.videos(sources), save), "margin": spec.margin})


class OfficialSplits(VideoFiles):
    """Videos with three official splits into training and test, as UCF101 and HMDB51.

    Args:
        split: number of the official split.
        common: see `VideoFiles`.
    """

    def __init__(self, *, split: Literal[1, 2, 3] = 1, **common: Any) -> None:
        super().__init__(**common)
        self.split = split

    def cache_key(self) -> dict[str, Any]:
        """Options that change the clips or their splits."""
        return {**super().cache_key(), "split": self.split}

    def check(self, videos: Sequence[Path], archive: str) -> None:
        """Check that the videos of the lists are there.

        Args:
            videos: their files.
            archive: what contains them.

        Raises:
            DataError: one is missing.
        """
        if missing := next((video for video in videos if not video.is_file()), None):
            raise DataError(f"{self.name}: the lists name {missing}, which is not there; unpack {archive} again")
