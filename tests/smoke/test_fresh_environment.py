"""The wheel and an extension, installed in an empty environment outside the repository."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from uv import find_uv_bin

REPOSITORY = Path(__file__).parents[2]
EXTENSION = REPOSITORY / "tests" / "extension"
CHECKS = """
import importlib.metadata, pathlib, sightseq
from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.places import conf_folder
from sightseq.core.task import Task
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.testing import check_datamodule, check_network, check_task
from sightseq_rings.data import Rings
from sightseq_rings.nets import RingNet

package = pathlib.Path(sightseq.__file__).parent
assert "site-packages" in package.parts and conf_folder() == package / "conf", (package, conf_folder())
assert any(file.name == "LICENSE" for file in importlib.metadata.files("sightseq"))
check_network(ImageClassificationTask, RingNet, width=8)
make = lambda **changes: Rings(name="rings", cache="cache", synthetic=True, **changes)
check_datamodule(make)
data = make()
data.prepare_data()
task = build(compose("experiment=rings")["model"], Task, "model", spec=data.spec.to_dict())
check_task(task, next(iter(data.train_dataloader())))
print("checked")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    uv = find_uv_bin()
    newest = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["uv"]["exclude-newer"]
    dated = ["--exclude-newer", newest, "-q"]
    wheels = folder / "wheels"
    for source in (REPOSITORY, EXTENSION):
        subprocess.run([uv, "build", "--wheel", "--out-dir", wheels, *dated, source], check=True, cwd=folder)
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--python", python, *dated, *wheels.glob("*.whl")], check=True, cwd=folder)
    return folder


def command(environment: Path, *arguments: str) -> str:
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("SIGHTSEQ_", "PYTHON"))}
    done = subprocess.run(
        [environment / "env" / "bin" / arguments[0], *arguments[1:]],
        cwd=environment,
        env={**variables, "OMP_NUM_THREADS": "1", "SIGHTSEQ_CACHE": str(environment / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def results(environment: Path, experiment: str) -> dict[str, object]:
    (file,) = (environment / "runs" / experiment).glob("*/results.json")
    return json.loads(file.read_text())


def test_the_wheel_trains_digits(environment: Path) -> None:
    command(environment, "sightseq", "train", "trainer.max_epochs=2")
    assert results(environment, "digits")["data"]["train"] == 808


def test_the_extension_is_listed_trained_and_checked(environment: Path) -> None:
    assert "Rings" in command(environment, "sightseq", "list")
    assert "rings" in command(environment, "sightseq", "train", "experiment=rings", "--help")
    command(environment, "sightseq", "train", "experiment=rings", "debug=synthetic", "trainer.max_epochs=3")
    assert results(environment, "rings")["network"] == "RingNet"
    assert command(environment, "python", "-c", CHECKS).strip() == "checked"
