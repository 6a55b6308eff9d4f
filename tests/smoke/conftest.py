"""A fixture that runs commands within the test process."""

import os
import sys
from collections.abc import Callable

import pytest

from sightseq import cli, run

Outcome = tuple[int, str, str]


def run_command(patch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run `sightseq ARGUMENTS` in this process and return the exit status.

    Where a command would replace its process (os.execv), `sightseq.run` is called in this process instead.
    """

    def run_in_process(_: str, argv: list[str]) -> None:
        assert argv[1:3] == ["-m", "sightseq.run"]
        patch.setattr(sys, "argv", ["run", *argv[3:]])
        run.main()

    patch.setattr(os, "execv", run_in_process)
    patch.setattr(sys, "argv", ["sightseq", *arguments])
    try:
        cli.main()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@pytest.fixture
def sightseq(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`sightseq("train", "experiment=digits")` returns the exit status, standard output and standard error."""

    def run_and_read(*arguments: str) -> Outcome:
        capsys.readouterr()
        status = run_command(monkeypatch, *arguments)
        return status, *capsys.readouterr()

    return run_and_read
