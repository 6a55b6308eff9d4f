"""Windows of a long video, its summary, and writing it with captions."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightseq.core.errors import InputError
from sightseq.data.video.synthetic import write_frames, write_video
from sightseq.vision.footage import VideoSource, opened_footage
from sightseq.vision.video_reading import read_clip, read_windows, window_grid
from sightseq.vision.video_spec import VideoSpec
from sightseq.vision.video_summary import representatives
from sightseq.vision.video_writing import write_captioned

SPEC = VideoSpec(3, 32, 32, ("a", "b"), (0.5,) * 3, (0.25,) * 3, frames=4)
DENSE = replace(SPEC, sampling="dense", rate=5.0)


def ramp(count: int, size: int = 32) -> NDArray[np.uint8]:
    """Frames [T, size, size, 3], each of one grey: four times its number."""
    return np.broadcast_to(4 * np.arange(count, dtype=np.uint8)[:, None, None, None], (count, size, size, 3)).copy()


def numbers(clip: NDArray[np.uint8]) -> list[int]:
    """The numbers of the frames of a clip [T, C, H, W]."""
    return [round(float(frame.mean()) / 4) for frame in clip]


def windows(
    source: VideoSource, spec: VideoSpec, window: float | None = None, overlap: float = 0.5
) -> list[tuple[float, float, list[int]]]:
    with opened_footage(source, 10.0) as footage:
        grid = window_grid(spec, footage.seconds, window)
        found = list(read_windows(footage, spec, grid, overlap))
    return [(round(start, 3), round(end, 3), numbers(frames)) for start, end, frames in found]


def test_windows_of_a_fixed_rate(tmp_path: Path) -> None:
    frames = ramp(20)
    expected = [
        (0.0, 0.8, [0, 2, 4, 6]),
        (0.4, 1.2, [4, 6, 8, 10]),
        (0.8, 1.6, [8, 10, 12, 14]),
        (1.2, 2.0, [12, 14, 16, 18]),
    ]
    assert windows(frames, DENSE) == expected
    assert windows(list(frames), DENSE) == expected
    write_frames(tmp_path / "frames", frames, "{}.png")
    assert windows(tmp_path / "frames", DENSE) == expected
    write_video(tmp_path / "1.mp4", frames, rate=10)
    assert windows(tmp_path / "1.mp4", DENSE) == expected
    assert windows(frames, DENSE, 1.2, 0.0) == [(0.0, 1.2, [0, 2, 4, 6, 8, 10]), (0.8, 2.0, [8, 10, 12, 14, 16, 18])]


def test_windows_of_spread_frames() -> None:
    assert windows(ramp(20), SPEC) == [(0.0, 2.0, [2, 7, 12, 17])]  # the whole video, as in training
    assert windows(ramp(20), SPEC, 0.8, 0.0) == [
        (0.0, 0.8, [1, 3, 5, 7]),
        (0.8, 1.6, [9, 11, 13, 15]),
        (1.2, 2.0, [13, 15, 17, 19]),
    ]
    assert windows(ramp(20), SPEC, 99.0) == windows(ramp(20), SPEC)


@pytest.mark.parametrize("spec", [SPEC, DENSE])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_short_video_is_read_as_in_training(spec: VideoSpec, count: int) -> None:
    ((start, _, found),) = windows(ramp(count), spec)
    assert (start, found) == (0.0, numbers(read_clip(ramp(count), spec, 10.0)))


def test_only_the_frames_of_a_window_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened_footage(ramp(60), 10.0) as footage:
        read: list[float] = []
        frames = footage.frames

        def counted(times: Iterable[float], tolerance: float = 0.0) -> Any:
            return frames(map(noted, times), tolerance)

        def noted(time: float) -> float:
            read.append(time)
            return time

        monkeypatch.setattr(footage, "frames", counted)
        next(read_windows(footage, DENSE, window_grid(DENSE, footage.seconds), 0.5))
    assert read == pytest.approx([0.0, 0.2, 0.4, 0.6])


def test_captions_are_drawn_at_their_times(tmp_path: Path) -> None:
    path = tmp_path / "1.mp4"
    with opened_footage(np.full((20, 48, 64, 3), 200, np.uint8), 10.0) as footage:
        write_captioned(footage, path, lambda time: ("wave", 1.0 if time < 1 else 0.25))
    with opened_footage(path) as footage:
        assert footage.seconds == pytest.approx(2.0, abs=0.1)
        early, late = (footage.pixels(frame, (3, 240, 320)) for frame in footage.frames([0.5, 1.5]))
    assert early[:, :200].min() > 180  # the picture itself
    assert early[:, 220:236].mean() < 120  # the dark band of the caption
    bar = [frame[0, 238].astype(int) - frame[2, 238] > 100 for frame in (early, late)]  # orange, not grey
    assert bar[0].mean() > 0.95
    assert bar[1].mean() == pytest.approx(0.25, abs=0.03)
    assert list(tmp_path.iterdir()) == [path]


def test_no_frames() -> None:
    with pytest.raises(InputError, match="at least one frame"), opened_footage([]):
        pass


def test_summary_takes_the_frame_in_the_middle_of_each_cluster() -> None:
    scenes = np.array([0.0, 5.0, -7.0])
    features = np.concatenate([scene + np.array([-0.2, 0.0, 0.3, -0.1]) for scene in scenes])[:, None]
    features = np.hstack([features, np.ones_like(features)])  # a constant feature says nothing
    assert representatives(features, 3) == [1, 5, 9]
    assert representatives(np.ones((4, 2)), 3) == [0]  # frames that are all the same
    assert len(representatives(features[:2], 5)) == 2
