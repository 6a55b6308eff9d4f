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
PACKAGE = "my_counting"
# One process runs all commands: importing Lightning takes ten seconds.
TYPED = """
import contextlib, importlib.metadata, io, os, pathlib, sys
import numpy as np
import sightseq
from PIL import Image
from sightseq import cli, run
from sightseq.core.places import conf_folder

package = pathlib.Path(sightseq.__file__).parent
assert "site-packages" in package.parts and conf_folder() == package / "conf", (package, conf_folder())
assert any(file.name == "LICENSE" for file in importlib.metadata.files("sightseq"))

def replaced(_, argv):
    sys.argv = ["run", *argv[3:]]
    run.main()

def typed(line):
    sys.argv, out = ["sightseq", *line.split()], io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            cli.main()
        except SystemExit as error:
            assert not error.code, (line, out.getvalue())
    print(">>>", line, out.getvalue(), sep="\\n")
    return out.getvalue()

os.execv = replaced
typed("train experiment=dots debug=synthetic trainer.max_epochs=3")
(first,) = pathlib.Path("runs/dots").glob("*")
typed(f"train resume={first} trainer.max_epochs=4")
assert "mean absolute error" in (first / "report.html").read_text()
assert "Largest errors" in (first / "report.html").read_text()
assert "mean absolute error" in typed("test ckpt=runs/dots")
for name, count in (("a.png", 0), ("b.png", 3)):
    image = np.zeros((24, 24), np.uint8)
    for place in range(count):
        image[4 * place + 1 : 4 * place + 3, 5:7] = 200
    Image.fromarray(image).save(name)
found = typed("predict ckpt=runs/dots a.png b.png")
assert "a.png" in found and "b.png" in found
assert "digits: 1" in typed("predict ckpt=runs/dots --help")
typed("export ckpt=runs/dots")
assert (first / "model.onnx").exists()
assert "sightseq" in typed("bench experiment=dots debug=synthetic repeats=2 measured=0.05")
assert "batch" in typed("show experiment=dots debug=synthetic")
assert "CountingTask" in typed("explain experiment=dots debug=synthetic")
assert "Dots, counted" in typed("list")
sys.path.insert(0, "my_counting/tests")
import test_my_counting
test_my_counting.test_data(pathlib.Path("checked"))
test_my_counting.test_network()
test_my_counting.test_task()
print("checked")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    uv = find_uv_bin()
    newest = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["uv"]["exclude-newer"]
    dated = ["--exclude-newer", newest, "-q"]
    wheels = folder / "wheels"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder / "env"], check=True)
    install = [uv, "pip", "install", "--python", folder / "env" / "bin" / "python", *dated]
    subprocess.run([uv, "build", "--wheel", "--out-dir", wheels, *dated, REPOSITORY], check=True, cwd=folder)
    subprocess.run([*install, *wheels.glob("*.whl")], check=True, cwd=folder)
    command(folder, "sightseq", "new", PACKAGE)
    subprocess.run([*install, "--no-deps", folder / PACKAGE], check=True, cwd=folder)
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
    assert not [line for line in done.stderr.splitlines() if not line.startswith("the newest finished run is ")]
    return done.stdout


def results(environment: Path, experiment: str) -> dict[str, object]:
    (file,) = (environment / "runs" / experiment).glob("*/results.json")
    return json.loads(file.read_text())


def test_the_wheel_trains_digits(environment: Path) -> None:
    command(environment, "sightseq", "train", "trainer.max_epochs=2")
    assert results(environment, "digits")["data"]["train"] == 808


def test_all_commands_work_with_a_task_from_an_extension(environment: Path) -> None:
    assert command(environment, "python", "-c", TYPED).strip().endswith("checked")
    found = results(environment, "dots")
    assert found["network"] == "DotNet"
    assert found["metrics"]["mae"] == {"title": "mean absolute error", "higher_is_better": False, "percent": False}
    assert set(found["baselines"]["brightness"]["test"]) == {"mae"}
