"""User errors end with exit status 2 and one line: what is wrong, where, and the remedy."""

import gzip
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightseq.data.image.mnist import FILES, write_idx


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("trian", "did you mean train?"),
        ("train optimzer=sgd", "did you mean optimizer"),
        ("train optimizer=adamm", "did you mean adam"),
        ("train experiment=digit", "did you mean digits"),
        ("train model/net=image/resnet81", "did you mean image/resnet18"),
        ("train lr=0.1", "did you mean model.optimizer.lr"),
        ("train model.optimizer.lrr=0.1", "did you mean model.optimizer.lr"),
        ("train trainer.max_epoch=3", "did you mean trainer.max_epochs"),
        ("train experiment", "write key=value"),
        ("test", "ckpt= is required"),
        ("predict input=x.png", "ckpt= is required"),
        ("train -m seed=1,2 optimizer=adamw,sdg", "did you mean sgd"),
        (
            "train -m model/net=image/convnt,image/resnet",
            "model/net=image/convnt: there is no such option",
        ),
        ("train -m sed=1,2", "did you mean seed"),
        ("train seed=1 -m optimizer=adamw,sdg", "did you mean sgd"),  # flags may follow overrides
        ("list please", "takes no please"),
        ("train -m seed=1,2 resume=runs/digits/RUN", "it is not the folder of a sweep"),
    ],
)
def test_a_mistyped_name_suggests_the_nearest(typed: str, words: str, sightseq) -> None:
    status, _, errors = sightseq(*typed.split())
    assert status == 2
    assert words in errors
    assert errors.startswith("ConfigError: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.optimizer.lr=abc", "model.optimizer.lr='abc' does not fit AdamW"),
        ("model.optimizer.lr=-1", "model.optimizer.lr=-1 is not above 0"),
        ("+model.optimizer.momentum=0.9", "AdamW takes no such argument"),
        ("+model.net.chanels=[3]", "did you mean channels"),
        ("model.net.channels=many", "does not fit ConvNet"),
        ("model.net._target_=sightseq.nets.convnet.ConvNett", "did you mean sightseq.nets.convnet.ConvNet"),
        ("model.net._target_=os.system", "not from a trusted package"),
        ("model.label_smoothing=2", "a fraction lies in"),
        ("+trainer.foo=1", "trainer.foo: Trainer takes no such argument; the nearest are "),
        (
            "model.scheduler._target_=torch.optim.lr_scheduler.StepLR",
            "model.scheduler: StepLR takes no max_lr, pct_start, cycle_momentum; to leave them out, "
            "add ~model.scheduler.max_lr ~model.scheduler.pct_start ~model.scheduler.cycle_momentum",
        ),
        (
            "model=text_classification augment=none",
            "TextClassificationTask takes data with TextSpec, but this data has ImageSpec; choose a model=",
        ),
        ("model.optimizer._target_=torch.optim.SGD", "to leave it out, add ~model.optimizer.betas"),
        ("augment=affine model.augment.affine.degrees=wide", "does not fit Affine"),
        ("trainer.max_epochs=soon", "does not fit Trainer"),
        ("trainer.accelerator=abacus", "Trainer refuses its arguments"),
        ("callbacks=[default,ema] callbacks.ema.decay=2", "does not lie between 0 and 1"),
        ("data.batch_size=0", "at least 1"),
        ("init_from=nothing.ckpt", "there is no such checkpoint"),
    ],
)
def test_a_wrong_value_is_found_before_data_is_read(override: str, words: str, sightseq, tmp_path: Path) -> None:
    # The MNIST files are missing, so reading the data first would raise another error.
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    (tmp_path / "data" / "mnist" / "something").touch()
    status, _, errors = sightseq(
        "train", "experiment=mnist", "data.url=null", "model/net=image/convnet", *override.split()
    )
    assert status == 2, errors
    assert words in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("command", ["train", "data", "show", "bench"])
def test_missing_data(command: str, sightseq, tmp_path: Path) -> None:
    status, _, errors = sightseq(command, "experiment=mnist", "data.url=null")
    assert status == 2
    assert "DataError: mnist: found no files" in errors
    assert not (tmp_path / "runs").exists()
    assert str(tmp_path / "data" / "mnist") in errors
    assert "debug=synthetic" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("typed", ["train", "data debug=synthetic", "show", "explain", "bench"])
def test_a_cache_that_cannot_be_created(typed: str, sightseq, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, errors = sightseq(*typed.split(), f"paths.cache={tmp_path / 'file' / 'cache'}")
    assert status == 2
    assert "cannot be written (Not a directory); name another place with paths.cache=FOLDER" in errors
    assert errors.count("\n") == 1


def broken_mnist(folder: Path, damage: str) -> None:
    folder.mkdir(parents=True)
    for (split, part), name in FILES.items():
        count = 40 if split == "train" else 20
        shape = (count, 28, 28) if part == "input" else (count,)
        write_idx(folder / f"{name}.gz", np.arange(np.prod(shape)).reshape(shape).astype(np.uint8) % 10)
    path = folder / "train-images-idx3-ubyte.gz"
    if damage == "truncated archive":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "truncated inside":
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-20]))
    else:
        path.write_bytes(gzip.compress(b"<html>Not found</html>"))


@pytest.mark.parametrize("damage", ["truncated archive", "truncated inside", "an error page"])
def test_broken_files_are_named_and_kept(damage: str, sightseq, tmp_path: Path) -> None:
    broken_mnist(tmp_path / "data" / "mnist", damage)
    before = {path: path.read_bytes() for path in (tmp_path / "data" / "mnist").iterdir()}
    status, _, errors = sightseq("data", "experiment=mnist")
    assert status == 2
    assert "DataError: " in errors
    assert "train-images-idx3-ubyte.gz" in errors
    assert errors.count("\n") == 1
    assert {path: path.read_bytes() for path in (tmp_path / "data" / "mnist").iterdir()} == before


def test_an_image_folder_with_a_corrupt_file(sightseq, tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for n in range(12):
            Image.new("RGB", (20, 20), (20 * n, 5, 5)).save(tmp_path / "photos" / label / f"{n}.jpg")
    bad = tmp_path / "photos" / "a" / "12.jpg"
    bad.write_bytes((bad.parent / "0.jpg").read_bytes()[:100])
    arguments = ("data", "experiment=image_folder", f"data.path={tmp_path / 'photos'}")
    status, _, errors = sightseq(*arguments)
    assert status == 2
    assert str(bad) in errors
    assert "data.corrupt=skip" in errors
    status, output, _ = sightseq(*arguments, "data.corrupt=skip")
    assert status == 0
    assert "skipped 1 of 25" in output
    (tmp_path / "photos" / "empty").mkdir()
    status, _, errors = sightseq(*arguments, "data.corrupt=skip")
    assert status == 2
    assert "contains no images" in errors


def test_windows_waits_for_the_training(sightseq, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("sightseq.cli.run_process", lambda process: started.append(process) or 3)
    monkeypatch.setattr("sightseq.cli.sys.platform", "win32")
    assert sightseq("train", "debug=synthetic")[0] == 3
    assert started[0][1:3] == ["-m", "sightseq.run"]


FAST_COMMANDS = [
    "--help",
    "train --help",
    "train --cfg job",
    "list",
    "trian",
    "train optimzer=sgd",
    "train optimizer=adamm",
    "train model.optimizer.lrr=1",
    "train experiment=ptb",
    "data experiment=text_csv data.path=nowhere.csv",
]
CHECK_NO_TORCH = """
import sys
from sightseq.cli import main
sys.argv[1:] = {!r}
try:
    main()
finally:
    assert "torch" not in sys.modules
"""


def cpu_seconds(typed: str) -> float:
    """CPU time of a command in seconds; checks that it does not import torch."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", CHECK_NO_TORCH.format(typed.split())], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "AssertionError" not in done.stderr
    assert done.returncode in (0, 2)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("typed", FAST_COMMANDS)
def test_help_and_errors_are_fast(typed: str) -> None:
    seconds = cpu_seconds(typed)
    for _ in range(2):  # parallel tests make it slower
        if seconds > 1.5:
            seconds = min(seconds, cpu_seconds(typed))
    assert seconds <= 1.5, f"{seconds:.2f} s of CPU time"
