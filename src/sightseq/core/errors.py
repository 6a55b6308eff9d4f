"""Errors that the user can fix: each message says what is wrong, where, and the remedy, in one line."""

import difflib
from collections.abc import Iterable


class SightseqError(Exception):
    """Base class of errors that are printed as one line and end a command with exit status 2."""


class ConfigError(SightseqError):
    """A command, group, option, key or value that does not exist or does not fit."""


class DataError(SightseqError):
    """Data that is missing, incomplete or corrupt."""


class InputError(SightseqError):
    """A file or text given to `predict` that cannot be read."""


class InputWarning(UserWarning):
    """An input of `predict` that was read only in part, or not as the model expects it."""


class CheckpointError(SightseqError):
    """A file that is not a sightseq checkpoint, or that names a class that is not trusted."""


class DiskError(SightseqError):
    """A disk that is full, or a path that cannot be written."""


class ExportError(SightseqError):
    """A model that cannot be exported, or whose exported file gives other outputs than the model."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint for the end of an error message: the known names most similar to `word`.

    If no name is similar, the hint lists all names, or the three nearest ones if there are more than 12. A dotted key
    is also compared by its last part, so `lr` finds `model.optimizer.lr`.
    """
    names = sorted(known)
    tails = [name for name in names if name.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1]]
    close = tails[:5] or difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if not close and "." in word:
        by_tail = {name.rsplit(".", 1)[-1]: name for name in names}
        close = [by_tail[tail] for tail in difflib.get_close_matches(word.rsplit(".", 1)[-1], by_tail, n=3)]
    if close:
        return f"did you mean {' or '.join(close)}?"
    if 0 < len(names) <= 12:
        return f"available: {', '.join(names)}"
    close = difflib.get_close_matches(word.rsplit(".", 1)[-1], names, n=3, cutoff=0.0)
    return f"the nearest are {', '.join(close)}" if close else "none are available"
