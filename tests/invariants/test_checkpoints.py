"""Loading a checkpoint never executes code that it contains."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import sightseq
from sightseq.core import build
from sightseq.core.checkpoint import load_task, read_checkpoint
from sightseq.core.errors import CheckpointError


class Bomb:
    """Creates a directory when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_own_checkpoints_contain_only_plain_values(trained: Path) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        content = torch.load(trained / "checkpoints" / name, weights_only=True)
        assert content["sightseq"]["task"] == "sightseq.tasks.classification.images.ImageClassificationTask"
        assert content["hyper_parameters"]["spec"]["_target_"] == "sightseq.vision.spec.ImageSpec"
        assert content["sightseq"]["config"]["experiment"] == "digits"
        assert content["sightseq"]["versions"]["torch"] == torch.__version__.partition("+")[0]


@pytest.mark.parametrize("inside", ["alone", "in a checkpoint", "as a plain pickle"])
def test_a_malicious_pickle_does_not_run(inside: str, trained: Path, tmp_path: Path) -> None:
    path, mark = tmp_path / "bad.ckpt", tmp_path / "mark"
    if inside == "as a plain pickle":
        path.write_bytes(pickle.dumps(Bomb(mark)))
    elif inside == "alone":
        torch.save(Bomb(mark), path)
    else:
        content = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
        torch.save({**content, "hyper_parameters": {**content["hyper_parameters"], "net": Bomb(mark)}}, path)
    with pytest.raises(CheckpointError, match="was not opened"):
        load_task(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("place", "target", "complaint"),
    [
        ("net", "os.mkdir", "not from a trusted package"),
        ("net", "torch.os.mkdir", "cannot import torch.os"),
        ("net", "torch.hub.load", "is not a class of kind Module"),
        ("net", "torch.utils.data.DataLoader", "is not a class of kind Module"),
        ("net", "subprocess.Popen", "not from a trusted package"),
        ("net", "torch.nn.NoSuchLayer", "has no NoSuchLayer"),
        ("task", "torch.nn.Identity", "is not a class of kind Task"),
        ("task", "builtins.eval", "not from a trusted package"),
    ],
)
def test_a_target_that_is_not_trusted_is_refused(
    place: str, target: str, complaint: str, trained: Path, tmp_path: Path
) -> None:
    content = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    if place == "net":
        content["hyper_parameters"]["net"] = {"_target_": target, "path": str(tmp_path / "mark")}
    else:
        content["sightseq"]["task"] = target
    torch.save(content, tmp_path / "bad.ckpt")
    with pytest.raises(CheckpointError, match=complaint):
        sightseq.load(tmp_path / "bad.ckpt")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04 truncated"])
def test_a_file_that_is_not_a_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.ckpt"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_a_truncated_checkpoint_is_refused(trained: Path, tmp_path: Path) -> None:
    raw = (trained / "checkpoints" / "best.ckpt").read_bytes()
    (tmp_path / "x.ckpt").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(CheckpointError, match=r"x\.ckpt"):
        load_task(tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        ({}, "no state_dict and hyper_parameters"),
        ({"hyper_parameters": {}}, r"super\(\)\.on_save_checkpoint"),
        ({"hyper_parameters": {}, "sightseq": 3}, "does not name the class"),
    ],
)
def test_a_foreign_checkpoint_is_refused(rest: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, **rest}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=complaint):
        load_task(tmp_path / "x.ckpt")


def test_weights_that_do_not_fit_are_refused(trained: Path, tmp_path: Path) -> None:
    content = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    content["hyper_parameters"]["net"]["channels"] = [3, 5]
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="size mismatch"):
        load_task(tmp_path / "x.ckpt")


def test_python_can_trust_a_package(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_trusted", {*build._trusted})
    content = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    content["hyper_parameters"]["net"] = {"_target_": "subprocess.Popen"}
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"add trust=\[subprocess\]"):
        sightseq.load(tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="is not a class of kind Module"):
        sightseq.load(tmp_path / "x.ckpt", trust=["subprocess"])


def test_a_run_and_its_folders_load_the_best_checkpoint(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path in (trained, trained / "checkpoints", str(trained.parent)):
        assert type(sightseq.load(path).task.net).__name__ == "ConvNet"
    assert capfd.readouterr().err == f"the newest finished run is {trained}\n"
