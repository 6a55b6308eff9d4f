"""What a user can mend: each message says what is wrong, where, and the remedy, in one line."""

import difflib
from collections.abc import Iterable


class SightseqError(Exception):
    """The base of all errors that are printed as one line and end a command with exit status 2."""


class ConfigError(SightseqError):
    """A command, group, option, key or value that does not exist or does not fit."""


class DataError(SightseqError):
    """Data that is missing, incomplete or corrupt."""


class InputError(SightseqError):
    """A file or text given to `predict` that cannot be read."""


class InputWarning(UserWarning):
    """An input of `predict` that was read only in part, or not as the model expects it."""


class CheckpointError(SightseqError):
    """A file that is no checkpoint of ours, or one that asks for what is not trusted."""


class DiskError(SightseqError):
    """A disk that is full, or a place where nothing can be written."""


class ExportError(SightseqError):
    """A model that cannot be written as a file of another kind, or whose file does not say what the model says."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that ends an error message: the names most like `word`, or all of them when none is and they are few.

    A dotted key is also compared by its last part, so `lr` finds `model.optimizer.lr`.
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
        return f"there is: {', '.join(names)}"
    close = difflib.get_close_matches(word.rsplit(".", 1)[-1], names, n=3, cutoff=0.0)
    return f"the nearest are {', '.join(close)}" if close else "there is none"
