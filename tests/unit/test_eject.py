"""`sightseq eject`: one file of plain PyTorch that trains with the same losses as the framework."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sightseq.composition import compose
from sightseq.core.errors import ConfigError
from sightseq.core.loading import BatchSampler, StreamSampler
from sightseq.eject import collect, comments, ejected_losses, fitting, framework_losses
from sightseq.eject.inline import inline_trivial
from sightseq.eject.order import plain_order
from sightseq.eject.specialise import Specialiser
from sightseq.eject.unused import remove_unused

STEPS = 10
# For each learning problem an experiment, and the most lines of its file.
EXPERIMENTS = {
    "digits": 200,  # images
    "imdb_course": 200,  # texts
    "fsdd": 200,  # sounds
    "python_docs": 200,  # language modelling
    "sunspots": 200,  # forecasting
    "mnist_denoising": 200,  # denoising
    "bach_course": 200,  # piano rolls
    "digit_lines": 250,  # recognition
    "multi30k_course": 250,  # translation
    "shapes": 340,  # captioning
}


def config(tmp_path: Path, experiment: str, *overrides: str) -> dict[str, Any]:
    folders = (f"paths.cache={tmp_path / 'cache'}", f"paths.runs={tmp_path / 'runs'}")
    return compose(f"experiment={experiment}", "debug=synthetic", *folders, *overrides, command="eject")


def check(tmp_path: Path, experiment: str) -> str:
    most = EXPERIMENTS[experiment]
    # Enough epochs for ten steps on the small generated data.
    parts, files = collect(config(tmp_path, experiment, "trainer.max_epochs=6"))
    text = fitting(parts, files, most)
    losses, expected = ejected_losses(text, STEPS), framework_losses(parts.config, parts.data, STEPS)
    assert len(losses) == STEPS
    assert losses == pytest.approx(expected, abs=1e-4)
    assert len(set(losses)) == STEPS
    assert len(text.splitlines()) <= most
    assert not {"sightseq", "lightning", "hydra"} & imported(text)
    with pytest.raises(ConfigError, match=r"has \d+ lines; allow them with lines="):
        fitting(parts, files, 50)
    return text


def imported(text: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


def test_the_first_ten_losses_of_digits_are_those_of_the_framework(tmp_path: Path) -> None:
    text = check(tmp_path, "digits")
    assert "label_smoothing=0.2" in text  # the numbers of the experiment
    assert "Left out: augmentation (affine), the callback ema." in text
    assert "stage_dropout" not in text  # an option that the experiment does not use


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name != "digits"])
def test_the_first_ten_losses_are_those_of_the_framework(tmp_path: Path, experiment: str) -> None:
    check(tmp_path, experiment)


@pytest.mark.slow
def test_the_file_runs_without_the_framework(tmp_path: Path) -> None:
    (tmp_path / "digits.py").write_text(fitting(*collect(config(tmp_path, "digits")), 200))
    hidden = "import sys, runpy; sys.modules.update(dict.fromkeys(['sightseq', 'lightning', 'hydra'])); "
    run = "sys.argv = ['digits.py']; runpy.run_path('digits.py', run_name='__main__')"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", hidden + run], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "epoch 2: validation accuracy" in done.stdout
    assert "net.layers.0.weight" in torch.load(tmp_path / "digits.pt", weights_only=True)


def test_what_cannot_be_in_the_file_is_refused(tmp_path: Path) -> None:
    for override, message in {
        "trainer.accumulate_grad_batches=2": "accumulated",
        "+trainer.max_steps=3": "max_epochs",
        "scheduler=plateau": "validation score",
    }.items():
        with pytest.raises(ConfigError, match=message):
            collect(config(tmp_path, "digits", override))


def test_the_order_of_the_samples_is_that_of_the_samplers() -> None:
    lengths = torch.randint(1, 30, (70,), generator=torch.Generator().manual_seed(0))
    for sampler in (BatchSampler(70, 16, True, seed=3), BatchSampler(70, 16, True, seed=3, lengths=lengths)):
        sampler.set_epoch(2)
        order = plain_order(sampler)
        assert [one.tolist() for one in order(epoch=2)] == [one.tolist() for one in sampler.batches()]
    streams = StreamSampler(103, 4, 7)
    assert [one.tolist() for one in plain_order(streams)()] == [one.tolist() for one in streams.batches()]
    with pytest.raises(ConfigError, match="shuffled"):
        plain_order(BatchSampler(70, 16))


def test_comments_survive() -> None:
    lines = ["def f(x):", "    # above", "    y = x + 1  # beside", "    if y:", "        # inner", "        y = 2"]
    text = "\n".join([*lines, "    return y"])
    assert comments.unparse(comments.parse(text)) == text


def specialised(text: str, calls: list[dict[str, Any]], building: bool = True, **inlined: Any) -> str:
    (function,) = comments.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    node = Specialiser(function, calls, building, set(), {}, inlined, lambda call: call).visit(function)
    remove_unused(node)
    return comments.unparse(node)


def test_a_function_is_specialised_to_its_calls() -> None:
    text = "def f(x, wide, kind):\n    if wide:\n        x = x * 2  # twice\n    return x if kind == 'a' else -x"
    same = [{"x": 1, "wide": False, "kind": "a"}, {"x": 2, "wide": False, "kind": "a"}]
    assert specialised(text, same) == "def f(x, wide, kind):\n    return x"
    differs = [{"x": 1, "wide": True, "kind": "a"}, {"x": 2, "wide": False, "kind": "b"}]
    kept = specialised(text, differs)
    assert "if wide:" in kept
    assert "if kind == 'a' else" in kept
    # A number may change in the next step of a training, but not while the network is built.
    counting = "def f(n):\n    if n > 3:\n        return 1\n    return 2"
    assert specialised(counting, [{"n": 5}]) == "def f(n):\n    return 1"
    assert specialised(counting, [{"n": 5}], building=False) == counting


def test_trivial_functions_are_inlined() -> None:
    text = "def twice(x):\n    return 2 * x\n\ndef f(y):\n    return twice(y + 1)"
    assert (
        "\n".join(map(comments.unparse, inline_trivial(comments.parse(text).body)))
        == "def f(y):\n    return 2 * (y + 1)"
    )
    squared = (
        "def square(x):\n    return x * x\n\ndef f(y):\n    return square(y.sum())"  # y.sum() would be computed twice
    )
    assert len(inline_trivial(comments.parse(squared).body)) == 2
