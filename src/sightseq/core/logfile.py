"""log.txt: all log records of a run, with warnings and tracebacks. Imports nothing heavy before it is used."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger("sightseq")


class LogFile(logging.FileHandler):
    """A log file that ignores write errors: when the disk is full, the code that fails reports it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the library's name)
        """Ignore the error."""

    def close(self) -> None:
        """Close the file, and ignore that the last records may not fit on the disk."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def log_to_file(folder: Path) -> Iterator[None]:
    """Within this context all log records go to log.txt and none to the terminal."""
    import lightning.pytorch  # noqa: F401 (installs the handlers that are removed here)

    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):  # on import they add handlers that print
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    root, handler = logging.getLogger(), LogFile(folder / "log.txt")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    except BaseException:  # Ctrl-C and exits are logged too
        log.exception("stopped by")
        raise
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
