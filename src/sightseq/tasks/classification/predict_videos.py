"""Prediction with a trained classifier of videos: files, folders of frames or arrays to labels, window by window."""

import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt

from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.core.files import creating
from sightseq.core.inputs import check_targets, named_files
from sightseq.core.loading import Batch
from sightseq.core.page import Widget
from sightseq.core.plots import write_figure
from sightseq.core.predictor import Row
from sightseq.core.windows import Window, padded
from sightseq.tasks.classification.predict import Settings
from sightseq.tasks.classification.predict_windows import Vote, WindowPredictor
from sightseq.tasks.classification.videos import VideoClassificationTask
from sightseq.vision.figures import batch_figure
from sightseq.vision.footage import VideoSource, find_videos, frame_files, opened_footage
from sightseq.vision.video_files import SUFFIXES
from sightseq.vision.video_reading import Frames, prepared_frames, read_windows, window_grid
from sightseq.vision.video_summary import representatives
from sightseq.vision.video_writing import Caption, write_captioned

CANDIDATES = 600  # evenly spaced frames that a summary chooses from
SHOWN = 480  # pixels of the longer side of a frame in a summary


class VideoSettings(Settings):
    """Options of `sightseq predict` for a classifier of videos."""

    batch_size: PositiveInt = Field(8, description="windows per batch")
    window: PositiveFloat | None = Field(
        None,
        description="seconds of a window; null: of the model's clips if their frames have a fixed rate, else the whole "
        "video",
    )
    overlap: float = Field(0.5, ge=0, lt=1, description="fraction of a window that the next one shares")
    frame_rate: PositiveFloat = Field(25.0, description="frames per second of folders of frames")
    output: Path | None = Field(
        None, description="file (.mp4) or folder to write the videos to, with their labels drawn in"
    )
    summary: PositiveInt | None = Field(
        None,
        description="write NAME-summary.png with so many representative frames to the folder of output=, or to the "
        "current one",
    )


class Source(NamedTuple):
    """A video, and the options to read it."""

    video: VideoSource
    options: VideoSettings

    @property
    def name(self) -> str:
        """The name of the file or folder without its suffix."""
        return Path(self.video).stem if isinstance(self.video, str | Path) else "video"


class Video(NamedTuple):
    """A video that can be read, its duration in seconds, and its frames if it is read in one window."""

    source: Source
    seconds: float
    frames: Frames | None


class VideoPredictor(WindowPredictor):
    """A trained classifier of videos; reads files, folders of frames, or arrays uint8 [T, H, W] or [T, H, W, 3].

    A video is read in overlapping windows; of a long one, only some are in memory. Its row has `seconds`, its duration;
    `label`, `probability` and `top`, averaged over the windows; and `timeline`: the label and probability of each
    window, with its start and end in seconds. With `output` and `summary` it also has the paths of what was written.
    """

    Settings: ClassVar[type[VideoSettings]] = VideoSettings
    widget: ClassVar[Widget | None] = Widget("file", "a video", SUFFIXES)
    local: ClassVar[Collection[str]] = {*WindowPredictor.local, "window", "overlap", "output", "summary"}
    task: VideoClassificationTask

    def check(self, inputs: Sequence[Any], options: VideoSettings) -> None:
        """Refuse a summary by a network without features of frames, and files that would replace others."""
        if options.summary and not hasattr(self.task.net, "describe"):
            raise ConfigError(
                f"summary={options.summary}: {type(self.task.net).__name__} has no features of single frames; use a "
                "model with another model/net"
            )
        targets: list[tuple[Path | None, Path]] = []
        sources: list[Source] = []
        for given in inputs:
            with suppress(InputError):  # reported when the input is expanded
                sources += [raw for _, raw in self.expand(given, options)] if isinstance(given, str) else [given]
        if options.output and _is_file(options.output) and len(sources) > 1:
            raise ConfigError(
                f"output={options.output}: is one file, and there are {len(sources)} videos; name a folder"
            )
        for source in sources:
            path = source.video if isinstance(source.video, str | Path) else None
            targets += [(None if path is None else Path(path), target) for target in _targets(source).values()]
        check_targets(targets)

    def expand(self, given: str, options: VideoSettings) -> list[tuple[str, Source]]:
        """Return the video, the folder of frames, the videos below a folder, or the pattern's matches.

        Raises:
            InputError: there are none.
        """

        def in_folder(folder: Path) -> list[Path]:
            return list(find_videos(folder)) or ([folder] if frame_files(folder) else [])

        contents = f"videos ({', '.join(sorted(SUFFIXES))}) or images of frames"
        return [(str(path), Source(path, options)) for path in named_files(given, in_folder, contents)]

    def predict(self, inputs: Sequence[VideoSource], **options: Any) -> list[Row]:
        """See `Predictor.predict`; an input is a file, a folder of frames, images, or an array."""
        settings = self.options(options)
        return super().predict([Source(video, settings) for video in inputs], **options)

    def read(self, raw: Source) -> Video:
        """Open a video and read its first window.

        Raises:
            InputError: the video cannot be read.
        """
        with opened_footage(raw.video, raw.options.frame_rate) as footage:
            grid = window_grid(self.task.spec, footage.seconds, raw.options.window)
            _, _, frames = next(read_windows(footage, self.task.spec, grid, raw.options.overlap))
            return Video(raw, footage.seconds, frames if len(grid.times) <= grid.steps else None)

    def predict_items(self, items: Sequence[Video], options: VideoSettings) -> list[Row]:
        """Return a row for each video."""
        windows = (window for number, item in enumerate(items) for window in self._windows(number, item))
        votes = self.votes(windows, len(items), options.batch_size)
        return [
            {"seconds": round(item.seconds, 3), **row, **self._write(item, vote)}
            for item, row, vote in zip(items, self.voted(votes, options), votes, strict=True)
        ]

    def batch(self, items: Sequence[Video]) -> Batch | None:
        """Return the frames of videos of one window each; None if one has several."""
        frames = [item.frames for item in items if item.frames is not None]
        return padded(frames) if len(frames) == len(items) else None

    def _windows(self, number: int, item: Video) -> Iterator[Window]:
        """Yield the windows of a video; a damaged one is read up to the damage."""
        if item.frames is not None:
            yield Window(number, 0.0, item.seconds, item.frames)
            return
        spec, options = self.task.spec, item.source.options
        try:
            with opened_footage(item.source.video, options.frame_rate) as footage:
                grid = window_grid(spec, item.seconds, options.window)
                for start, end, frames in read_windows(footage, spec, grid, options.overlap):
                    yield Window(number, start, end, frames)
        except InputError as error:  # not in the first window, which `read` has read
            warnings.warn(InputWarning(f"{error}; the rest was left out"), stacklevel=2)

    # What is written.

    def _write(self, item: Video, vote: Vote) -> Row:
        """Write what the options ask for; return the paths by option."""
        targets = _targets(item.source)
        for target in targets.values():
            with creating(target.parent, "output="):
                target.parent.mkdir(parents=True, exist_ok=True)
        if "output" in targets:
            starts, ends = (np.array([row[name] for row in vote.timeline]) for name in ("start", "end"))

            def caption(time: float) -> Caption:
                shown = np.flatnonzero((starts <= time) & (time <= ends))
                mean = vote.probabilities[shown if len(shown) else [-1]].mean(0)
                return self.task.spec.classes[int(mean.argmax())], float(mean.max())

            with opened_footage(item.source.video, item.source.options.frame_rate) as footage:
                write_captioned(footage, targets["output"], caption)
        if count := item.source.options.summary:
            self._summarise(item, targets["summary"], count)
        return {name: str(target) for name, target in targets.items()}

    def _summarise(self, item: Video, path: Path, count: int) -> None:
        """Write a contact sheet of the `count` frames that represent a video."""
        options = item.source.options
        spec = replace(self.task.spec, frames=CANDIDATES, sampling="uniform", rate=None)
        with opened_footage(item.source.video, options.frame_rate) as footage:
            times = window_grid(spec, footage.seconds).times
            frames = prepared_frames(footage, spec, times, footage.seconds / CANDIDATES)
            features = [self._features(batch) for batch in iter(lambda: list(islice(frames, 64)), [])]
        chosen = times[representatives(np.concatenate(features), count)]
        with opened_footage(item.source.video, options.frame_rate) as footage:
            pictures = []
            for frame in footage.frames(chosen):
                height, width = footage.size(frame)
                scale = min(1, SHOWN / max(height, width))
                shape = (3, max(1, round(scale * height)), max(1, round(scale * width)))
                pictures.append(footage.pixels(frame, shape).transpose(1, 2, 0))
        write_figure(batch_figure(pictures, [clock(time) for time in chosen.tolist()]), path)

    def _features(self, frames: Sequence[Frames]) -> np.ndarray:
        """Return the network's features of frames, one row each."""
        clip = torch.from_numpy(np.stack(frames)).to(self.task.device)[None]
        features: torch.Tensor = self.task.net.describe(self.task.prepare(clip)[0])
        return features.flatten(1).float().cpu().numpy()

    def origin(self, place: str, item: Any) -> Row:
        """Return the file name."""
        return {"file": place}

    def cells(self, row: Row) -> dict[str, str]:
        """Return the cells of `WindowPredictor`, and the paths of what was written."""
        return {**super().cells(row), **{name: row[name] for name in ("output", "summary") if name in row}}


def clock(seconds: float) -> str:
    """Return a time as minutes, seconds and tenths, such as "12:05.3"."""
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"


def _is_file(output: Path) -> bool:
    return output.suffix.lower() == ".mp4" and not output.is_dir()


def _targets(source: Source) -> dict[str, Path]:
    """Return the paths of what the options ask to be written, by option.

    Raises:
        ConfigError: `output` has the suffix of another kind of video.
    """
    options, targets = source.options, {}
    folder = Path.cwd()
    if options.output is not None:
        output = options.output.expanduser()
        if output.suffix.lower() in SUFFIXES - {".mp4"} and not output.is_dir():
            raise ConfigError(f"output={options.output}: videos are written as .mp4; name such a file, or a folder")
        targets["output"] = output if _is_file(output) else output / f"{source.name}.mp4"
        folder = targets["output"].parent
    if options.summary:
        targets["summary"] = folder / f"{source.name}-summary.png"
    return targets
