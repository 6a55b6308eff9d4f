"""Runs a job in a process of its own. Imports nothing heavy."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

INTERRUPTED = 130  # exit status of a process that SIGINT or SIGTERM ended


def run_command(folder: Path) -> list[str]:
    """Return the command that executes the run of a run directory."""
    return [sys.executable, "-m", "sightseq.run", str(folder)]


def run_process(command: list[str]) -> int:
    """Run a process and wait for its end. On SIGINT or SIGTERM, give the process the time to save and exit by itself.

    Returns:
        Its exit status.

    Raises:
        KeyboardInterrupt: this process received SIGINT or SIGTERM, or the other one was interrupted.
    """
    received: list[int] = []
    missed: list[int] = []  # by the process, which did not exist yet
    process: subprocess.Popen[bytes] | None = None

    def on_signal(number: int, frame: Any) -> None:
        received.append(number)
        if process is None:
            missed.append(number)
        elif number == signal.SIGTERM:  # the terminal sends Ctrl-C to both processes
            process.terminate()

    handlers = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = subprocess.Popen(command)
        if missed:
            process.terminate()
        status = process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if received or status == INTERRUPTED:
        raise KeyboardInterrupt
    return status
