"""Typing commands, in this process where that is enough."""

import os
import sys
from collections.abc import Callable

import pytest

from sightseq import cli, run

Outcome = tuple[int, str, str]


@pytest.fixture
def sightseq(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`sightseq("train", "experiment=digits")` gives the exit status and what was printed on both streams.

    The process that a command would replace itself with is called instead.
    """

    def replaced(_: str, argv: list[str]) -> None:
        assert argv[1:3] == ["-m", "sightseq.run"]
        monkeypatch.setattr(sys, "argv", ["run", *argv[3:]])
        run.main()

    def typed(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["sightseq", *arguments])
        capsys.readouterr()
        status = 0
        try:
            cli.main()
        except SystemExit as error:
            status = int(error.code or 0)
        return status, *capsys.readouterr()

    monkeypatch.setattr(os, "execv", replaced)
    return typed
