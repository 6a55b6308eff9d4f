"""Opening video files with PyAV: frames by their time, with errors that name the remedy."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightseq.core.errors import InputError
from sightseq.core.extras import require

SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".3gp", ".ts", ".m2ts"}
)
# FFmpeg's names of formats. Others, such as playlists and scripts, open further files.
FORMATS = "mov,avi,matroska,mpeg,mpegvideo,mpegts,asf,flv,ogg,h264,hevc"
GAP = 6.0  # seconds; further ahead, seeking to a key frame is faster than decoding all frames: x264 sets one every 10 s
ROUNDING = 1e-6  # seconds
MARGIN = 1.0  # seconds that a seek goes back: a key frame is stored before frames that are shown before it
FURTHER = 12.0


class VideoFile:
    """The video stream of an open file. Times are in seconds after its first frame.

    Args:
        container: PyAV's container.
        stream: its video stream.
        name: path of the file, for messages.
    """

    def __init__(self, container: Any, stream: Any, name: str) -> None:
        self._container, self._stream, self._name = container, stream, name
        self.pixel_aspect = float(stream.sample_aspect_ratio or 1)
        """Width of a pixel divided by its height."""
        self._first: float | None = None  # time stamp of the first frame
        self._rate = float(stream.average_rate or stream.guessed_rate or 25)
        announced = (container.duration or 0) / 1e6
        if stream.duration:
            announced = stream.duration * float(stream.time_base)
        # The sound of a container may be longer than the video.
        self._announced = announced if stream.duration or len(container.streams) == 1 else 0.0
        self.seconds: float = announced or self._measured()
        """Duration."""

    def _measured(self) -> float:
        """Read all packets, without decoding, of a file that does not say its duration, and go back to its beginning.

        Browsers and cameras that stream write such files.
        """
        count, stamps = 0, []
        for packet in self._container.demux(self._stream):
            if packet.size:
                count += 1
                stamps += [] if packet.pts is None else [packet.pts]
        self._container.seek(0)
        # Without time stamps, as in a raw stream, frames follow one another at the frame rate.
        span = (max(stamps) - min(stamps)) * float(self._stream.time_base) if len(stamps) == count else 0.0
        return (span or (count - 1) / self._rate) + 1 / self._rate

    def frames(self, times: Iterable[float], tolerance: float = 0.0) -> Iterator[Any]:
        """Yield for each time the frame that is shown then, or the last one: the same object while it is shown.

        Only few frames are in memory, whatever the length of the video, and where times lie far apart, the frames
        between them are not decoded.

        Args:
            times: in ascending order.
            tolerance: a frame that was shown at most this many seconds before a time will do, too. A key frame then
                needs no other frames to be decoded.

        Raises:
            InputError: the file has no frames, or ends before its announced duration.
        """
        decoded = self.decoded()
        shown: Any = None
        ahead: Any = next(decoded, None)
        if ahead is None:
            raise InputError(f"{self._name}: has no frames that can be decoded; export or download it again")
        seeking = ahead[1].time is not None  # a raw stream has no time stamps
        for time in times:
            if ahead is not None and seeking and time - ahead[0] > GAP:
                place, shown = ahead[0], ahead
                # In some containers a seek may end at a later key frame.
                for back in (0.0 if tolerance else MARGIN, FURTHER, time):
                    decoded = self.decoded(seek=time - back)
                    ahead = next(decoded, None)
                    if ahead is not None and ahead[0] <= time:
                        break
                # A file with few key frames: from now on, decoding on is faster.
                seeking = ahead is not None and ahead[0] > place
            while ahead and ahead[0] <= time + ROUNDING and not (shown and time - tolerance <= shown[0]):
                shown, ahead = ahead, next(decoded, None)
            if ahead is None:
                self._check_end(shown[0], time)
            yield shown[1] if shown else ahead[1]

    def decoded(self, seek: float | None = None) -> Iterator[tuple[float, Any]]:
        """Yield the times of frames and the frames, from the beginning or from the last key frame before `seek`.

        Only few frames are in memory.
        """
        if seek is not None and seek <= 0:
            self._container.seek(0)
        elif seek is not None:
            stamp = int((seek + (self._first or 0)) / self._stream.time_base)
            self._container.seek(stamp, stream=self._stream)
        for count, frame in enumerate(self._container.decode(self._stream)):
            time = count / self._rate if frame.time is None else frame.time
            if self._first is None:
                self._first = time
            yield time - self._first, frame

    def _check_end(self, last: float, wanted: float) -> None:
        if self._announced and wanted - last > max(1.0, 0.1 * self._announced):
            raise InputError(
                f"{self._name}: is truncated: it ends after {last:.1f} of {self._announced:.1f} seconds; "
                "copy or download it again"
            )


@contextmanager
def opened_video(path: Path, threads: int = 1) -> Iterator[VideoFile]:
    """Open a video file.

    Args:
        path: the file.
        threads: of the decoder; 0: one for each core.

    Raises:
        InputError: the file cannot be read, or has no video; or decoding fails within the block.
        ConfigError: the extra `video` is not installed.
    """
    av = require("av", "video")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a video")
    try:
        # "file:", because a name may contain a colon.
        options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        with av.open(f"file:{path}", options=options, metadata_errors="ignore") as container:
            attached = av.stream.Disposition.attached_pic  # the cover of a music file
            streams = [stream for stream in container.streams.video if not stream.disposition & attached]
            if not streams:
                kind = "only sound" if container.streams.audio else "no video"
                raise InputError(f"{path}: has {kind}; remove it, or export it with its pictures")
            if streams[0].codec_context is None:
                raise InputError(f"{path}: its codec is unknown; convert it to H.264, such as with ffmpeg")
            streams[0].codec_context.thread_count = threads
            yield VideoFile(container, streams[0], str(path))
    except av.FFmpegError as error:
        raise InputError(f"{path}: is not a video that can be read{_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    """Return what is wrong with a file; otherwise the decoder's message."""
    if not path.exists():
        return " (there is no such file)"
    if not path.stat().st_size:
        return " (it is empty)"
    return f" ({getattr(error, 'strerror', None) or error}; copy, download or convert it again)"
