"""Opening audio files with soundfile, with errors that name the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from sightseq.core.errors import InputError
from sightseq.core.extras import require

Source = str | Path | bytes | BinaryIO
"""Path, content or open file of a sound."""
ENDLESS = {0, 0x7FFFFFFF, 0xFFFFFFFF}  # lengths that programs write into a WAV header when they do not know the length
LOWEST_RATE, HIGHEST_RATE = 500, 768_000  # Hz, of a file


def source_name(source: Source) -> str:
    """Return the path of a sound, for messages; "a sound" if it has none."""
    name = source if isinstance(source, str | Path) else getattr(source, "name", None)
    return str(name) if isinstance(name, str | Path) else "a sound"


@contextmanager
def opened_sound(source: Source) -> Iterator[Any]:
    """Open a sound as a `soundfile.SoundFile`.

    Raises:
        InputError: the file cannot be read, is empty or truncated, or has no samples; or decoding fails in the block.
        ConfigError: the extra `audio` is not installed.
    """
    soundfile = require("soundfile", "audio")
    name = source_name(source)
    content: Any = BytesIO(source) if isinstance(source, bytes) else source
    try:
        with soundfile.SoundFile(content) as file:
            if not file.frames:
                raise InputError(f"{name}: has no samples; record or export it again")
            if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
                raise InputError(f"{name}: its header is damaged, it says {file.samplerate:,} Hz; copy it again")
            if file.format in ("WAV", "WAVEX") and _is_cut(content):
                raise truncated_error(source)
            yield file
    except InputError:
        raise
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
        if isinstance(content, str | Path) and not Path(content).exists():
            raise InputError(f"{name}: there is no such file") from error
        raise InputError(f"{name}: is not a sound that can be read{_reason(content, error)}") from error


def _is_cut(content: Any) -> bool:
    """Whether the header of a WAV file announces more bytes than the file has."""
    if isinstance(content, str | Path):
        with Path(content).open("rb") as file:
            return _is_cut(file)
    position = content.tell()
    size = content.seek(0, 2)
    content.seek(12)
    cut = False
    while len(header := content.read(8)) == 8:
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            cut = length not in ENDLESS and content.tell() + length > size
            break
        content.seek(length + length % 2, 1)
    content.seek(position)
    return cut


def truncated_error(source: Source) -> InputError:
    """Return the error of a file with fewer samples than its header announces."""
    return InputError(
        f"{source_name(source)}: is truncated, its header announces more samples; copy or download it again"
    )


def _reason(content: Any, error: Exception) -> str:
    """Return what is wrong with a file, and the remedy if there is one; otherwise the decoder's message."""
    if isinstance(content, str | Path):
        if Path(content).is_dir():
            return " (it is a folder)"
        try:
            with Path(content).open("rb") as file:
                head = file.read(1024)
        except OSError as unreadable:
            return f" ({unreadable.strerror})"
    else:
        content.seek(0)
        head = content.read(1024)
    if not head:
        return " (it is empty)"
    if head[4:8] == b"ftyp" or head[:4] in (b"\x1aE\xdf\xa3", b"0&\xb2u", b"#!AM"):
        return " (its format is not supported: convert it to WAV, FLAC, OGG or MP3, such as with ffmpeg)"
    if b"\0" not in head and _is_text(head):
        return " (it is a text)"
    text = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
    # libsndfile says of some damaged contents that the file does not exist.
    return " (its format is unknown)" if "does not exist" in text else f" ({text}; copy or download it again)"


def _is_text(head: bytes) -> bool:
    try:
        head[:1000].decode(errors="strict")
    except UnicodeDecodeError as error:
        return error.start > len(head[:1000]) - 4  # a character that is cut
    return True
