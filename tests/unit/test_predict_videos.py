"""Prediction with a classifier of videos: windows, the vote, what is written, and videos that are damaged or odd."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.data.video.synthetic import write_frames, write_video
from sightseq.nets.video import padding
from sightseq.tasks.classification.predict_videos import Source, VideoPredictor, clock
from sightseq.tasks.classification.videos import VideoClassificationTask
from sightseq.vision.footage import opened_footage

ENCODER = {"_target_": "sightseq.nets.feature_map.ConvFeatures", "channels": [4, 8]}
NET = {"_target_": "sightseq.nets.video.MeanPooling", "encoder": ENCODER}
SPEC = VideoClassificationTask.example()[0].to_dict()
CONVOLUTIONS = {"_target_": "sightseq.nets.video_conv.R2Plus1D", "channels": [4]}


class Colour(nn.Module):
    """The logits are the means of red, green and blue over the frames; their means are the features of a frame."""

    def describe(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))

    def forward(self, clips: Tensor, lengths: Tensor) -> Tensor:
        means = self.describe(clips.flatten(0, 1)).view(*clips.shape[:2], 3)
        return means.masked_fill(padding(clips, lengths)[..., None], 0).sum(1) / lengths[:, None]


def make(net: nn.Module | None = None, **changes: Any) -> VideoPredictor:
    """A model that tells red, green and blue videos apart in windows of 5 frames at 5 frames per second."""
    spec = {**SPEC, "classes": ["red", "green", "blue"], "sampling": "dense", "rate": 5.0, **changes}
    task = VideoClassificationTask(spec=spec, net=NET)
    task.net = net or Colour()
    return VideoPredictor(task, "cpu")


def coloured(*channels: int, size: tuple[int, int] = (36, 48)) -> NDArray[np.uint8]:
    """Ten frames [10, H, W, 3] of each colour."""
    frames = np.zeros((10 * len(channels), *size, 3), np.uint8)
    for number, channel in enumerate(channels):
        frames[10 * number : 10 * number + 10, ..., channel] = 250
    return frames


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of red, then one of blue."""
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    write_video(path, coloured(0, 0, 2), rate=10)
    return path


def rows(predictor: VideoPredictor, *inputs: Any, **options: Any) -> tuple[list[dict[str, Any]], list[InputError]]:
    """As on the command line."""
    settings, bad = predictor.options(options), list[InputError]()
    given = list(map(str, inputs))
    predictor.check(given, settings)
    return [row for _, row in predictor.rows(given, settings, bad)], bad


def test_windows_and_their_vote(video: Path) -> None:
    (row,) = make().predict([str(video)])
    assert row["seconds"] == pytest.approx(3.0)
    windows = [(one["start"], one["end"], one["label"]) for one in row["timeline"]]
    # Windows of five frames, each begins two frames after the one before.
    assert windows == [
        (0.0, 1.0, "red"),
        (0.4, 1.4, "red"),
        (0.8, 1.8, "red"),
        (1.2, 2.2, "red"),
        (1.6, 2.6, "blue"),
        (2.0, 3.0, "blue"),
    ]
    means = [one["probability"] for one in row["timeline"]]
    assert means[0] == pytest.approx(np.exp(2) / (np.exp(2) + 2 * np.exp(-2)), abs=0.01)
    assert row["label"] == "red"
    assert 0.5 < row["probability"] < means[0]
    assert VideoPredictor.cells(make(), {"file": "x", **row})["timeline"] == "0 .. 2.2 red; 1.6 .. 3 blue"


def test_all_kinds_of_inputs_give_the_same(video: Path, tmp_path: Path) -> None:
    predictor, frames = make(), coloured(0, 0, 2)
    write_frames(tmp_path / "frames", frames, "{}.png")
    (expected,) = predictor.predict([frames], frame_rate=10)
    for source in (video, list(frames), [Image.fromarray(frame) for frame in frames], tmp_path / "frames"):
        (row,) = predictor.predict([source], frame_rate=10)
        assert [one["label"] for one in row["timeline"]] == [one["label"] for one in expected["timeline"]]
        assert row["probability"] == pytest.approx(expected["probability"], abs=0.01)


def test_a_folder_of_videos(video: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "1.mp4").write_bytes(video.read_bytes())
    write_frames(tmp_path / "frames", coloured(1))
    found, bad = rows(make(), tmp_path)
    assert [(Path(row["file"]).name, row["label"]) for row in found] == [("frames", "green"), ("1.mp4", "red")]
    assert not bad
    (row,), _ = rows(make(), tmp_path / "frames")  # ten frames at 25 per second
    assert (row["label"], row["seconds"], len(row["timeline"])) == ("green", 0.4, 1)


def test_spread_frames_read_the_whole_video_or_windows(video: Path) -> None:
    predictor = make(sampling="uniform", rate=None)
    (row,) = predictor.predict([video])
    assert [(one["start"], one["end"]) for one in row["timeline"]] == [(0, 3)]
    (row,) = predictor.predict([video], window=1, overlap=0)
    assert [one["label"] for one in row["timeline"]] == ["red", "red", "blue"]


def test_the_video_is_written_with_its_labels(video: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "labelled.mp4"
    (row,), _ = rows(make(), video, output=target)
    assert row["output"] == str(target)
    with opened_footage(target) as footage:
        frames = [footage.pixels(frame, (3, *footage.size(frame))) for frame in footage.frames([0.2, 2.6])]
    assert frames[0].shape == (3, 240, 320)
    assert [int(frame[:, :200].mean((1, 2)).argmax()) for frame in frames] == [0, 2]
    assert all((frame[:, 215:235].min(0) > 150).mean() > 0.005 for frame in frames)  # white letters


def test_a_summary_shows_each_scene(video: Path, tmp_path: Path) -> None:
    (row,), _ = rows(make(), video, output=tmp_path, summary=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip-summary.png", "clip.mp4"]
    pixels = np.asarray(Image.open(row["summary"]).convert("RGB")).astype(int)
    red, blue = ((pixels[..., one] > 150) & (pixels[..., other] < 80) for one, other in ((0, 2), (2, 0)))
    assert np.flatnonzero(red.any(0)).max() < np.flatnonzero(blue.any(0)).min()  # in the order of their times


def test_time_of_a_frame() -> None:
    assert [clock(seconds) for seconds in (0, 65.28, 3599.96)] == ["0:00.0", "1:05.3", "60:00.0"]


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "x.avi"}, "are written as .mp4"),
        ({"window": 0}, "window"),
        ({"overlap": 1}, "overlap"),
        ({"windows": 2}, "did you mean window"),
    ],
)
def test_refused_options(video: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rows(make(), video, **options)


def test_what_cannot_be_written(video: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is an input"):
        rows(make(), video, output=video)
    with pytest.raises(ConfigError, match="is one file, and there are 2 videos"):
        rows(make(), video, video, output=tmp_path / "1.mp4")
    convolutions = VideoPredictor(VideoClassificationTask(spec=SPEC, net=CONVOLUTIONS), "cpu")
    with pytest.raises(ConfigError, match="no features of single frames"):
        rows(convolutions, video, summary=3)


# Bad and odd videos


def cut(path: Path, source: Path) -> None:
    """A file whose end is missing, where MP4 has its index."""
    path.write_bytes(source.read_bytes()[:-400])


def damaged(path: Path, source: Path) -> None:
    """An index without content."""
    content = bytearray(source.read_bytes())
    place = content.index(b"mdat") + 4
    content[place : content.index(b"moov") - 4] = bytes(content.index(b"moov") - 4 - place)
    path.write_bytes(content)


def sound(path: Path, source: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def empty(path: Path, source: Path) -> None:
    path.touch()


def text(path: Path, source: Path) -> None:
    path.write_text("no video")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (cut, "can be read"),
        (damaged, "can be read"),
        (sound, "only sound"),
        (empty, "is empty"),
        (text, "is not a video"),
    ],
)
def test_bad_files_are_named_and_the_others_predicted(
    video: Path, tmp_path: Path, write: Callable[[Path, Path], None], message: str
) -> None:
    write(tmp_path / "bad.mp4", video)
    found, bad = rows(make(), video, tmp_path / "bad.mp4", tmp_path / "missing.mp4")
    assert [row["label"] for row in found] == ["red"]
    assert len(bad) == 2
    (error,) = [str(one) for one in bad if "bad.mp4" in str(one)]
    assert message in error


def test_a_video_that_breaks_off_is_read_up_to_there(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 100, (60, 36, 48, 3), np.uint8)
    write_video(tmp_path / "1.mkv", np.maximum(noise, coloured(1, 1, 1, 1, 1, 1)), rate=10, gop_size=5)
    content = (tmp_path / "1.mkv").read_bytes()
    (tmp_path / "1.mkv").write_bytes(content[: len(content) // 2])
    with pytest.warns(InputWarning, match="truncated.*the rest was left out"):
        (row,) = make().predict([tmp_path / "1.mkv"])
    assert row["label"] == "green"
    assert 1 < row["timeline"][-1]["end"] < 4


@pytest.mark.parametrize("count", [1, 2])
def test_very_short_videos(tmp_path: Path, count: int) -> None:
    write_video(tmp_path / "1.mp4", coloured(2)[:count], rate=10)
    (row,), _ = rows(make(), tmp_path / "1.mp4", output=tmp_path / "out", summary=3)
    assert (row["label"], len(row["timeline"])) == ("blue", 1)
    with opened_footage(tmp_path / "out" / "1.mp4") as footage:
        assert len(list(footage.all())) == count


def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [*range(10), *range(10, 60, 10)]  # in tenths of a second: a second of red, then few frames of blue
    with av.open(str(tmp_path / "1.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 48, 36, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for time, pixels in zip(times, coloured(0, 2), strict=False):
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = time, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (row,), _ = rows(make(), tmp_path / "1.mp4", output=tmp_path / "out", overlap=0)
    assert [one["label"] for one in row["timeline"]] == ["red", *["blue"] * (len(row["timeline"]) - 1)]
    assert row["seconds"] > 5
    with opened_footage(row["output"]) as footage:
        assert [round(10 * time) for time, _ in footage.all()] == times


def test_a_rotated_video_is_upright(tmp_path: Path) -> None:
    """A phone writes its frames as the sensor gives them, and a matrix that turns them."""
    write_video(tmp_path / "flat.mp4", coloured(1, size=(36, 48)), rate=10)
    content = (tmp_path / "flat.mp4").read_bytes()
    plain = b"".join(value.to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    turned = b"".join(
        value.to_bytes(4, "big", signed=True) for value in (0, 1 << 16, 0, -(1 << 16), 0, 0, 36 << 16, 0, 1 << 30)
    )
    place = content.index(plain, content.index(b"tkhd"))
    (tmp_path / "1.mp4").write_bytes(content[:place] + turned + content[place + len(turned) :])
    (row,), _ = rows(make(), tmp_path / "1.mp4", output=tmp_path / "out")
    assert row["label"] == "green"
    with opened_footage(row["output"]) as footage:
        (frame,) = footage.frames([0.5])
        height, width = footage.size(frame)
    assert (height, width) == (320, 240)


def test_a_long_video_is_read_when_it_is_predicted() -> None:
    predictor = make()
    item = predictor.read(Source(coloured(*[0, 1] * 10), predictor.options({"frame_rate": 10})))
    assert item.frames is None
    windows = list(predictor._windows(0, item))
    assert {len(window.values) for window in windows} == {5}
    assert windows[-1].end == pytest.approx(20.0)
