"""Completion in bash, and `python -m sightseq`; each in a separate process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASH = shutil.which("bash")
TRY = """eval "$(sightseq --shell-completion install=bash)"
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE} COMPREPLY=()
    _sightseq
    (IFS='|'; echo "${COMPREPLY[*]}")
done
eval "$(sightseq --shell-completion uninstall=bash)"
complete -p sightseq 2> /dev/null || echo gone
"""


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes_commands_groups_options_and_keys() -> None:
    lines = {
        "sightseq tra": "train ",
        "sightseq train schedu": "scheduler=",
        "sightseq train experiment=ptb scheduler=": "cosine|none|one_cycle|plateau|step",  # bash splits words at =
        "sightseq train model/net=text/o": "text/onehot_cnn ",
        "sightseq predict ckp": "ckpt=",
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [BASH or "", "-c", TRY],
        input="\n".join([*lines, ""]),
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
    )
    assert done.stdout.splitlines() == [*lines.values(), "gone"], done.stderr


@pytest.mark.parametrize("typed", ["-sc install=fish", "train --shell-completion install=zsh", "--shell-completion"])
def test_other_shells_are_refused_with_the_line_for_bash(typed: str, sightseq) -> None:
    status, _, errors = sightseq(*typed.split())
    assert status == 2
    assert errors.startswith("ConfigError: completion supports only bash: eval ")


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "sightseq", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("sightseq ")
