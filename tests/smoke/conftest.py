"""A fixture that runs commands within the test process."""

import os
import sys
from collections.abc import Callable

import pytest

from sightseq import cli, run

Outcome = tuple[int, str, str]


@pytest.fixture
def sightseq(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`sightseq("train", "experiment=digits")` returns the exit status, standard output and standard error.

    Where a command would replace its process (os.execv), the fixture calls `sightseq.run` in this process instead.
    """

    def run_in_process(_: str, argv: list[str]) -> None:
        assert argv[1:3] == ["-m", "sightseq.run"]
        monkeypatch.setattr(sys, "argv", ["run", *argv[3:]])
        run.main()

    def run_command(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["sightseq", *arguments])
        capsys.readouterr()
        status = 0
        try:
            cli.main()
        except SystemExit as error:
            status = int(error.code or 0)
        return status, *capsys.readouterr()

    monkeypatch.setattr(os, "execv", run_in_process)
    return run_command
