"""Reading videos: their frames by time, upright and cropped, and files that are no videos or damaged."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.errors import InputError
from sightseq.data.video.synthetic import write_frames, write_video
from sightseq.vision.video_files import opened_video
from sightseq.vision.video_reading import read_clip, sample_times
from sightseq.vision.video_spec import VideoSpec

SPEC = VideoSpec(3, 32, 32, ("a", "b"), (0.5,) * 3, (0.25,) * 3, frames=4)
DENSE = replace(SPEC, sampling="dense", rate=5.0)
BITS = 8


def numbered(numbers: Iterable[int], size: int = 64) -> NDArray[np.uint8]:
    """Frames [T, size, size, 3] that show their numbers in binary: eight vertical stripes."""
    bits = np.array([[255 * (number >> bit & 1) for bit in range(BITS)] for number in numbers], np.uint8)
    row = np.repeat(bits, size // BITS, axis=1)
    return np.ascontiguousarray(np.broadcast_to(row[:, None, :, None], (len(bits), size, size, 3)))


def number(frame: NDArray[np.uint8]) -> int:
    """The number that a frame [C, H, W] shows."""
    height, width = frame.shape[1:]
    middles = frame[0, height // 2, width // BITS // 2 :: width // BITS]
    return sum(int(value > 127) << bit for bit, value in enumerate(middles))


def numbers(path: Path, spec: VideoSpec = SPEC, **options: Any) -> list[int]:
    clip = read_clip(path, spec, **options)
    assert clip.shape[1:] == (3, 32, 32)
    return [number(frame) for frame in clip]


def write_timed(path: Path, times: list[int]) -> None:
    """Write frames with numbers at these times, in tenths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0"})  # as phones write them
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for pixels, time in zip(numbered(range(len(times))), times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = time, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "codec"), [("1.mp4", "libx264"), ("1.avi", "mpeg4"), ("1.webm", "libvpx"), ("1.ts", "libx264")]
)
def test_frames_by_time(tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / name
    write_video(path, numbered(range(20)), rate=10, codec=codec)
    assert numbers(path) == [2, 7, 12, 17]  # the middles of four segments of half a second
    assert numbers(path, DENSE) == [6, 8, 10, 12]  # five frames a second from the middle 0.8 of 2 seconds
    assert numbers(path, replace(DENSE, frames=99)) == list(range(0, 20, 2))
    assert numbers(path, replace(DENSE, frames=6, rate=20.0)) == [8, 9, 9, 10, 10, 11]  # frames are shown repeatedly


def test_variable_frame_rate(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    write_timed(path, [0, 1, 2, 3, 4, 5, 15, 25])
    with opened_video(path) as video:
        assert video.seconds == pytest.approx(2.6, abs=0.05)
    assert numbers(path) == [3, 5, 6]  # at 0.33, 0.98, 1.63 and 2.28 seconds; the last two show one frame
    assert numbers(path, replace(DENSE, rate=2.0, frames=5)) == [0, 5, 5, 6, 6]


def test_a_long_video_is_read_at_its_times(tmp_path: Path) -> None:
    for name, codec in (("1.mp4", "libx264"), ("1.ts", "libx264"), ("1.avi", "mpeg4")):
        path = tmp_path / name
        write_video(path, numbered(range(240)), rate=2, codec=codec, gop_size=30)  # two minutes
        assert numbers(path, replace(SPEC, frames=11)) == [int(240 * (n + 0.5) / 11) for n in range(11)]
        few = numbers(path)  # of long segments, key frames: each in the half before the middle of its segment
        assert all(60 * n <= found <= 60 * n + 30 for n, found in enumerate(few)), few


def test_between_far_frames_nothing_isdecoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "1.mp4"
    write_video(path, numbered(n % 256 for n in range(600)), rate=2, gop_size=10)  # five minutes
    with opened_video(path) as video:
        decode, count = video.decoded, 0

        def counted(seek: float | None = None) -> Any:
            nonlocal count
            for one in decode(seek):
                count += 1
                yield one

        monkeypatch.setattr(video, "decoded", counted)
        times = [20.0, 150.0, 290.0]
        found = [frame.time for frame in video.frames(times, tolerance=10.0)]
        assert all(0 <= time - shown <= 5 for time, shown in zip(times, found, strict=True)), found
        assert count < 10


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_turned_videos_are_upright(tmp_path: Path, angle: int) -> None:
    upright = np.zeros((3, 48, 96, 3), np.uint8)
    upright[:, :24, 24:48] = 255, 0, 0  # the centre square is red at the upper left
    stored = np.ascontiguousarray(np.rot90(upright, -angle // 90, (1, 2)))
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *stored.shape[1:3], "yuv420p"
        stream.set_display_rotation(angle)
        for pixels in stored:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())
    frame = read_clip(path, SPEC)[0]
    assert frame.shape == (3, 32, 32)
    assert frame[0, :14, :14].min() > 180
    assert frame[0, 18:].max() < 60
    assert frame[0, :, 18:].max() < 60


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = tmp_path / "tape.mp4"
    wide = np.zeros((2, 64, 64, 3), np.uint8)
    wide[:, :, 16:48] = 255  # shown 128 pixels wide, the white part is the centre square
    write_video(path, wide, sample_aspect_ratio=Fraction(2, 1))
    frame = read_clip(path, SPEC)[0]
    assert frame[:, :, 2:-2].min() > 230


def test_grey_frames_and_a_margin(tmp_path: Path) -> None:
    path = tmp_path / "1.mp4"
    write_video(path, np.full((5, 48, 64, 3), (200, 100, 50), np.uint8))
    clip = read_clip(path, replace(SPEC, channels=1, margin=8))
    assert clip.shape == (4, 1, 40, 40)
    assert abs(int(clip[0, 0, 20, 20]) - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) < 6


def test_short_videos(tmp_path: Path) -> None:
    for count in (1, 2, 3):
        for name, codec in (("1.mp4", "libx264"), ("1.avi", "mpeg4"), ("1.mkv", "libx264")):
            write_video(tmp_path / name, numbered(range(1, count + 1)), codec=codec)
            assert numbers(tmp_path / name) == [1, 2, 3][:count]


def test_a_folder_of_frames(tmp_path: Path) -> None:
    write_frames(tmp_path, numbered(range(1, 12)), "frame_{}.png")  # frame_10 comes after frame_9
    assert numbers(tmp_path) == [2, 5, 7, 10]
    assert numbers(tmp_path, replace(DENSE, rate=5.0), folder_rate=10.0) == [2, 4, 6, 8]
    assert numbers(tmp_path, replace(SPEC, frames=20)) == list(range(1, 12))
    (tmp_path / "frame_6.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"frame_6\.png: is not an image"):
        read_clip(tmp_path, replace(SPEC, frames=11))


def test_frames_of_a_folder_may_differ_in_size(tmp_path: Path) -> None:
    for index, size in enumerate([(40, 60), (80, 50)]):
        Image.new("L", size, 99).save(tmp_path / f"{index}.png")
    clip = read_clip(tmp_path, SPEC)
    assert clip.shape == (2, 3, 32, 32)
    assert (clip == 99).all()


def broken(data: bytes) -> bytes:
    """Exchange bytes of the pictures."""
    start = data.index(b"mdat") + 200
    return data[:start] + np.random.default_rng(0).bytes(2000) + data[start + 2000 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "it is empty"),
        (lambda data: b"some text\n" * 50, "is not a video that can be read"),
        (lambda data: b"ffconcat version 1.0\nfile 1.mp4\n", "is not a video that can be read"),
        (lambda data: data[: len(data) // 2], "is not a video that can be read"),
        (broken, "is not a video that can be read"),
        (lambda data: data.replace(b"avc1", b"zzzz"), "its codec is unknown; convert it to H.264"),
    ],
    ids=["empty", "text", "script", "half", "broken", "codec"],
)
def test_bad_files(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    generator = np.random.default_rng(0)
    write_video(tmp_path / "1.mp4", generator.integers(0, 256, (20, 64, 64, 3), np.uint8))
    path = tmp_path / "bad.mp4"
    path.write_bytes(change((tmp_path / "1.mp4").read_bytes()))
    with pytest.raises(InputError, match=message) as error:
        read_clip(path, SPEC)
    assert str(path) in str(error.value)


def test_a_truncated_video_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "1.mkv", np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), np.uint8))
    data = (tmp_path / "1.mkv").read_bytes()
    (tmp_path / "1.mkv").write_bytes(data[: len(data) // 3])
    with pytest.raises(InputError, match=r"is truncated: it ends after [01]\.\d of 3\.3 seconds"):
        read_clip(tmp_path / "1.mkv", SPEC)


def test_sound_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "1.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="has only sound"):
        read_clip(path, SPEC)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_clip(tmp_path / "1.mp4", SPEC)
    with pytest.raises(InputError, match="contains no images"):
        read_clip(tmp_path, SPEC)


def test_a_file_without_duration(tmp_path: Path) -> None:
    write_video(tmp_path / "1.mkv", numbered(range(20)), rate=10)
    data = (tmp_path / "1.mkv").read_bytes()
    # As a browser writes it: the duration of the file (0x4489, eight bytes) and the tag of the stream are away.
    place = data.index(b"\x44\x89\x88")
    data = data[:place] + b"\xec\x89" + data[place + 2 :]
    (tmp_path / "1.mkv").write_bytes(data.replace(b"DURATION", b"XXXXXXXX"))
    with opened_video(tmp_path / "1.mkv") as video:
        assert video.seconds == pytest.approx(2.0, abs=0.01)
    assert numbers(tmp_path / "1.mkv") == [2, 7, 12, 17]


def test_sample_times() -> None:
    assert sample_times(SPEC, 8.0).tolist() == [1, 3, 5, 7]
    np.testing.assert_allclose(sample_times(DENSE, 10.0), [4.6, 4.8, 5.0, 5.2])
    np.testing.assert_allclose(sample_times(DENSE, 0.41), [0.005, 0.205])
    assert sample_times(DENSE, 0.04).tolist() == [0]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_memory_is_flat_on_long_videos(tmp_path: Path) -> None:
    """An hour in 4K is read with the memory of a few frames: one second of it is encoded, and repeated 3600 times."""
    path = tmp_path / "film.mp4"
    pixels = np.zeros((25, 2160, 3840, 3), np.uint8)
    pixels[:, :, :1920] = np.arange(25, dtype=np.uint8)[:, None, None, None] * 10
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 2160, 3840, "yuv420p"
        packets = [packet for frame in pixels for packet in stream.encode(av.VideoFrame.from_ndarray(frame))]
        packets += stream.encode()
        for number in range(3600 * 25):
            source = packets[number % 25]
            packet = av.Packet(bytes(source))
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), source.is_keyframe
            packet.pts = packet.dts = number
            container.mux(packet)
    del pixels
    memory_peak()
    before = memory_peak()
    frames = read_clip(path, replace(SPEC, frames=48, height=112, width=112))
    assert len(frames) == 48
    assert len(read_clip(path, replace(DENSE, frames=100, rate=25.0, height=112, width=112))) == 100
    assert memory_peak() - before < 300  # MB: a frame is 12 MB, and the decoder keeps up to 16 for reference


def memory_peak() -> float:
    """Reset the peak of this process's memory after reading it; in MB."""
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1000
    Path("/proc/self/clear_refs").write_text("5")
    return peak
