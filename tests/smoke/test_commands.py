"""The commands as a new user types them."""

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import sightseq as package
from sightseq.composition import compose
from sightseq.core.places import experiments

from .conftest import run_command

README = Path(__file__).parents[2] / "README.md"
PAGES = README.parent / "scripts" / "site" / "pages"


def run_of(folder: Path, experiment: str = "digits") -> Path:
    (found,) = (folder / "runs" / experiment).iterdir()
    return found


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the standard output of `sightseq train trainer.max_epochs=20`."""
    folder, output = tmp_path_factory.mktemp("first_run"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        for name in ("data", "runs"):
            patch.delenv(f"SIGHTSEQ_{name.upper()}", raising=False)
        patch.setenv("SIGHTSEQ_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        assert run_command(patch, "train", "trainer.max_epochs=20") == 0
    return folder, output.getvalue()


@pytest.mark.slow
def test_the_first_command_of_the_readme(tmp_path: Path) -> None:
    """`sightseq train` in a new process reaches the documented accuracy and prints nothing to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", "from sightseq.cli import main; main()", "train"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert json.loads((run_of(tmp_path) / "results.json").read_text())["test"]["accuracy"] > 0.98


def test_train_writes_and_prints_the_results(first_run: tuple[Path, str]) -> None:
    folder, output = first_run
    run = run_of(folder)
    assert {path.name for path in run.iterdir() if not path.name.startswith(".")} == {
        "config.yaml",
        "log.txt",
        "metrics.csv",
        "results.json",
        "report.html",
        "figures",
        "checkpoints",
    }
    results = json.loads((run / "results.json").read_text())
    assert results["data"] | {"train": 808, "val": 90, "test": 899, "classes": 10} == results["data"]
    assert results["test"]["accuracy"] > 0.97
    assert results["baselines"]["majority"]["test"]["accuracy"] == pytest.approx(91 / 899)
    assert 0.96 < results["baselines"]["SVM"]["test"]["accuracy"] < results["test"]["accuracy"]
    for word in ("majority", "SVM", "validation", "test", "runs/digits/"):
        assert word in output
    assert (folder / re.search(r"^report +(\S+)$", output, re.M)[1]).exists()
    commands = re.findall(r"sightseq .*", output)
    assert len(commands) == 2
    for line in commands:
        compose(*(word for word in shlex.split(line)[2:] if word != "-m" and "," not in word))


def test_the_report_is_self_contained(first_run: tuple[Path, str]) -> None:
    page = (run_of(first_run[0]) / "report.html").read_text()
    assert len(page) > 50_000
    assert not re.search(r"""(src|href)=["']?(https?:|/|\.)""", page)
    for word in ("Confusion matrix", "Most confident mistakes", "sightseq train", "SVM", "torch", "seed"):
        assert word in page


def digit_files(folder: Path) -> list[Path]:
    images, labels = load_digits(return_X_y=True)
    folder.mkdir()
    for n in range(-20, 0):
        pixels = (images[n].reshape(8, 8) * 255 / 16).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{n + 20:02}_is_{labels[n]}.png")
    return sorted(folder.iterdir())


def test_predict_test_and_resume_after_training(first_run: tuple[Path, str], sightseq, tmp_path: Path) -> None:
    run = run_of(first_run[0])
    files = digit_files(tmp_path / "my digits")
    status, output, _ = sightseq("predict", f"ckpt={run}/checkpoints/best.ckpt", f"input={tmp_path}/my digits/*.png")
    assert status == 0
    assert len(output.splitlines()) == 21
    status, output, _ = sightseq(
        "predict", f"ckpt={run}", f"input={tmp_path}/my digits", "format=jsonl", "batch_size=7"
    )
    found = [json.loads(line) for line in output.splitlines()]
    assert [Path(row["file"]) for row in found] == files
    assert sum(row["label"] == Path(row["file"]).stem[-1] for row in found) >= 18
    for row in found:
        assert len(row["top"]) == 5
        assert row["top"][0] == [row["label"], row["probability"]]
        assert 0 < row["probability"] <= 1
    model = package.load(run)
    assert [row["label"] for row in model.predict(files)] == [row["label"] for row in found]
    assert model.predict([np.asarray(Image.open(files[0]))]) == model.predict([files[0]])

    status, output, errors = sightseq("test", f"ckpt={run}/checkpoints/best.ckpt")
    assert status == 0, errors
    again = json.loads((run_of(tmp_path, "test") / "results.json").read_text())
    results = json.loads((run / "results.json").read_text())
    assert again["test"] == pytest.approx(results["test"])
    status, _, errors = sightseq("train", f"resume={run}")
    assert status == 2
    assert "the run has finished after 20 epochs; to train it longer: resume=" in errors


def test_predict_takes_files_folders_and_runs(first_run: tuple[Path, str], sightseq, tmp_path: Path) -> None:
    run = run_of(first_run[0])
    files = [str(path) for path in digit_files(tmp_path / "my digits")[:3]]
    (tmp_path / "bad.png").write_text("no image")
    status, output, errors = sightseq(
        "predict", f"ckpt={run.parent}", "format=jsonl", "top=2", *files, f"{tmp_path}/bad.png"
    )
    assert status == 2
    rows = [json.loads(line) for line in output.splitlines()]
    assert [row["file"] for row in rows] == files
    assert [len(row["top"]) for row in rows] == [2, 2, 2]
    assert errors.splitlines() == [
        f"the newest finished run is {run}",
        f"InputError: {tmp_path}/bad.png: is not an image that can be read",
    ]
    listed = f"input=[{','.join(files)}]"
    status, again, errors = sightseq("predict", f"ckpt={run}/checkpoints", listed, "format=jsonl", "top=2")
    assert (status, again, errors) == (0, output, "")
    status, output, errors = sightseq("predict", f"ckpt={run}", *files, "temperature=0.7")
    assert (status, output) == (2, "")
    assert errors == (
        "ConfigError: temperature=0.7: this model has no option 'temperature'; its options are batch_size, top\n"
    )
    status, output, _ = sightseq("predict", f"ckpt={run}", "--help")
    assert status == 0
    for option in ("input", "device", "batch_size", "top"):
        assert re.search(rf"^{option}: .* # ", output, re.M)
    assert "temperature" not in output


def test_other_data_is_prepared_as_in_predict(first_run: tuple[Path, str], sightseq, tmp_path: Path) -> None:
    """A model of grey 8x8 images tests the digits as colour photographs that are ten times as large and not square."""
    run = run_of(first_run[0])
    images, labels = load_digits(return_X_y=True)
    for n in range(-100, 0):
        folder = tmp_path / "scans" / str(labels[n])
        folder.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray((images[n].reshape(8, 8) * 255 / 16).round().astype(np.uint8))
        wide = Image.new("RGB", (100, 80))
        wide.paste(small.resize((80, 80)).convert("RGB"), (10, 0))
        wide.save(folder / f"{n + 100}.png")
    status, _, errors = sightseq("test", f"ckpt={run}", "data=image_folder", f"data.path={tmp_path}/scans")
    assert status == 0, errors
    results = json.loads((run_of(tmp_path, "test") / "results.json").read_text())
    assert results["data"]["module"] == "ImageFolder"
    assert results["checkpoint"] == f"{run}/checkpoints/best.ckpt"
    assert results["test"]["accuracy"] >= 0.8  # of ten classes
    assert results["val"]["accuracy"] >= 0.8


def test_data_keys_change_the_data_of_a_checkpoint(first_run: tuple[Path, str], sightseq, tmp_path: Path) -> None:
    run = run_of(first_run[0])
    status, output, errors = sightseq(
        "export", f"ckpt={run}", "data=digits", "data.batch_size=10", f"output={tmp_path}/model.onnx"
    )
    assert status == 0, errors
    assert "agrees" in output
    assert (tmp_path / "model.onnx").exists()
    for command in ("test", "export"):
        status, _, errors = sightseq(command, f"ckpt={run}", "data.rot=/elsewhere")
        assert (status, errors) == (2, "ConfigError: data.rot: Digits takes no such argument; did you mean root?\n")
    Path("file").touch()
    status, _, errors = sightseq("export", f"ckpt={run}", "output=file/model.onnx")
    assert (status, errors.count("\n")) == (2, 1)
    assert "name another place with output=FILE" in errors
    status, _, errors = sightseq("export", f"ckpt={run}", "paths.cache=file/cache", f"output={tmp_path}/other.onnx")
    assert (status, errors.count("\n")) == (2, 1)
    assert "name another place with paths.cache=FOLDER" in errors


@pytest.mark.parametrize("case", ["text", "missing", "empty folder", "huge", "one bad of three"])
def test_predict_refuses_what_it_cannot_read(case: str, first_run: tuple[Path, str], sightseq, tmp_path: Path) -> None:
    given = tmp_path / "given"
    if case == "text":
        given.write_text("I am no image")
    elif case == "empty folder":
        given.mkdir()
    elif case == "huge":
        Image.new("1", (20_000, 20_000)).save(given, "PNG")
    elif case == "one bad of three":
        given.mkdir()
        for n in range(3):
            Image.new("L", (8, 8)).save(given / f"{n}.png")
        (given / "1.png").write_bytes(b"nothing")
    status, output, errors = sightseq("predict", f"ckpt={run_of(first_run[0])}", f"input={given}")
    assert status == 2
    assert errors.startswith("InputError: ")
    assert str(given) in errors
    assert errors.count("\n") == 1
    assert len(output.splitlines()) == (3 if case == "one bad of three" else 0)


def test_data_and_show(sightseq, tmp_path: Path) -> None:
    assert sightseq("data", "experiment=digits")[0] == 0
    status, output, _ = sightseq("show", "experiment=digits", "output=batch.png")
    assert status == 0
    assert re.search(r"^0 +81 +9 +88", output, re.M)
    assert "[32, 1, 8, 8]" in output
    assert Image.open(tmp_path / "batch.png").size[0] > 400


def test_list(sightseq) -> None:
    status, output, _ = sightseq("list", "format=json")
    assert status == 0
    rows = {row["experiment"]: row for row in json.loads(output)}
    assert rows.keys() == experiments().keys()
    assert rows["digits"]["here"]
    assert not rows["mnist"]["here"]
    assert rows["mnist"]["downloads"]


def test_a_sweep_continues_after_a_failed_job_and_prints_a_table(sightseq, tmp_path: Path) -> None:
    status, output, _ = sightseq(
        "train",
        "-m",
        "trainer.max_epochs=1",
        "baseline=none",
        "data.synthetic=true",
        "model.net.channels=[4,4,4,4],[4,4]",
    )
    assert status == 1
    assert len(list((tmp_path / "runs" / "digits").iterdir())) == 1  # the other job failed before it trained
    bad, good = (re.search(rf"^model\.net\.channels=\[{c}\] +(.*)$", output, re.M)[1] for c in ("4,4,4,4", "4,4"))
    assert re.search(r"^1 +\d+\.\d\d %", good)
    assert bad.strip() == "0 of 1"
    assert output.count("job 0 failed") == 1
    # A sweep that chooses a network does not see the test split.
    results = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "digits").glob("*/results.json")]
    assert [run["test"] for run in results] == [None]


def test_warm_start(first_run: tuple[Path, str], sightseq) -> None:
    short = ("trainer.max_epochs=1", "baseline=none", "run_test=false", "trainer.limit_train_batches=1")
    status, output, errors = sightseq("train", f"init_from={run_of(first_run[0])}", "data.synthetic=true", *short)
    assert status == 0, errors
    assert "missing or of a different shape: nothing" in output
    status, _, errors = sightseq("train", f"init_from={run_of(first_run[0])}", "model/net=image/resnet", *short)
    assert status == 2
    assert "fits this network" in errors


def documented_commands() -> list[str]:
    """The commands in the shell blocks of README and of the site's pages, each once."""
    texts = [path.read_text() for path in (README, *sorted(PAGES.rglob("*.md")))]
    blocks = [block for text in texts for block in re.findall(r"```sh\n(.*?)```", text, re.S)]
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    commands = [line.removeprefix("pip install uv && ") for line in lines if "sightseq " in line and line[0] != "#"]
    return list(dict.fromkeys(commands))


def test_readme_and_site_have_commands() -> None:
    assert documented_commands()[0] == "uv run sightseq train"
    assert any("sightseq new" in line for line in documented_commands())
    assert len(documented_commands()) > 50


@pytest.mark.parametrize("line", documented_commands())
def test_documented_command(line: str, sightseq, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command parses and composes; other tests run the commands."""
    words = shlex.split(line)
    assert words[:3] == ["uv", "run", "sightseq"]
    passed: list[object] = []
    monkeypatch.setattr("sightseq.cli.execute", lambda command, config, *_: passed.append(config))
    monkeypatch.setattr("sightseq.sweep.launcher.LocalLauncher.stream", lambda _, ask, __: passed.append(ask()))
    monkeypatch.setattr("sightseq.compare.print_comparison", passed.append)
    objectives = {"names": ["val/accuracy"], "directions": ["maximize"]}
    monkeypatch.setattr("sightseq.sweep.search.ask_objectives", lambda *_: objectives)
    status, _, errors = sightseq(*words[3:])
    assert status == 0, errors
    assert passed or words[3] in ("list", "--help", "wandb-sweep", "new") or "--help" in words
