"""log.txt: all that is logged during a run, warnings and tracebacks too. Imports nothing heavy before it is used."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger("sightseq")


class LogFile(logging.FileHandler):
    """Of a disk that is full, whoever is ended by it speaks, and not the log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (its name in the library)
        """Says nothing."""

    def close(self) -> None:
        """As far as there is room."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def logged(folder: Path) -> Iterator[None]:
    """All that is logged goes to log.txt, and not to the terminal."""
    import lightning.pytorch  # noqa: F401 (for its handlers, which are taken away here)

    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):  # they print, from when they are imported
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
    except BaseException:  # Ctrl-C and exits too are worth a line in the log
        log.exception("stopped by")
        raise
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
