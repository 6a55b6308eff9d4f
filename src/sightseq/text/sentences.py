"""Normal forms of sentences, and files with one sentence per line."""

import gzip
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

from sightseq.core.errors import DataError


def clean_sentence(text: str) -> str:
    """Return a sentence in Unicode normal form C, with single plain spaces between words.

    No-break spaces and line ends become plain spaces. Joiners and direction marks, which Urdu and Hindi need, are kept.
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def fold_sentence(text: str) -> str:
    """Return a sentence in lower case without punctuation and symbols; near-duplicates become equal.

    A sentence of punctuation only is returned with it.
    """
    lower = unicodedata.normalize("NFKC", text).casefold()
    letters = "".join(" " if unicodedata.category(character)[0] in "PSZC" else character for character in lower)
    return " ".join(letters.split()) or " ".join(lower.split())


def read_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, or of one compressed with gzip (`.gz`), without line ends.

    Raises:
        DataError: a line is not UTF-8, or the compressed file is damaged.
    """
    number = 0
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                mark = b"\xef\xbb\xbf" if number == 1 else b""  # byte order mark
                yield line.removeprefix(mark).rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{file}, line {number}, is not UTF-8; save the file as UTF-8") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{file} is damaged after line {number} ({error}); get it again") from error
