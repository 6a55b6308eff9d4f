"""What the experiment trackers record, read back from their files."""

import json
import re
import shlex
import struct
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import numpy as np
import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from sightseq.core.blocks import FigureBlock, Passage, PassagesBlock, TableBlock, TextBlock
from sightseq.core.errors import ConfigError
from sightseq.core.media import AudioBlock, ImageBlock
from sightseq.core.tracking import Wandb, log_results, log_text, reachable, why_offline

TABLE = "Each class, on the test data"
NOWHERE = "http://127.0.0.1:1"  # no server answers here


@pytest.fixture
def netrc_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Path of the netrc file, the only place where W&B can find an account; W&B reloads its settings."""
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb_settings"))
    monkeypatch.setenv("WANDB_BASE_URL", NOWHERE)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()
    yield tmp_path / "netrc"
    wandb.teardown()


def entry(host: str) -> str:
    return f"machine {host}\n  login user\n  password {'a' * 40}\n"


def records(file: Path) -> list[wandb_internal_pb2.Record]:
    """The records of a .wandb file: 7 bytes, then LevelDB's log format (fragments of records in 32 KiB blocks)."""
    raw, at, data, found = file.read_bytes(), 7, b"", []
    while at + 7 <= len(raw):
        left_in_block = 32768 - at % 32768
        if left_in_block < 7:
            at += left_in_block
            continue
        length, kind = struct.unpack("<HB", raw[at + 4 : at + 7])
        data += raw[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last fragment
            found.append(wandb_internal_pb2.Record.FromString(data))
            data = b""
    return found


@pytest.mark.parametrize(
    ("netrc", "why"),
    [
        ("", "no account"),
        ("# wandb\n" + entry("api.wandb.ai"), "no account"),
        (entry("127.0.0.1:1"), "cannot be reached"),
    ],
)
def test_wandb_decides_whether_there_is_an_account(netrc: str, why: str, netrc_file: Path) -> None:
    netrc_file.write_text(netrc)
    assert why in why_offline(None)
    assert NOWHERE in why_offline(None)


def test_wandb_is_offline_on_request(netrc_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_offline("offline") == "set by logger.wandb"
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()
    assert why_offline(None) == "set by WANDB_MODE"


def test_wandb_starts_offline_if_the_server_does_not_answer(
    netrc_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    start = wandb.init

    def init(mode: str | None = None, **arguments: Any) -> wandb.Run:
        if mode != "offline":
            raise wandb.errors.CommError("Timed out\nConsider increasing the init_timeout")
        return start(mode="offline", **arguments)

    netrc_file.write_text(entry("127.0.0.1:1"))
    monkeypatch.setattr("sightseq.core.tracking.reachable", lambda *_: True)
    monkeypatch.setattr(wandb, "init", init)
    logger = Wandb(save_dir=str(tmp_path))
    logger.log_metrics({"loss": 1.0})
    assert "offline: W&B did not answer (Timed out)" in capsys.readouterr().out
    (folder,) = logger.address()["folders"]
    logger.experiment.finish()
    assert list(Path(folder).glob("*.wandb"))


def test_an_online_wandb_run_prints_its_address(
    netrc_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sightseq.core.tracking.why_offline", lambda _: "")
    monkeypatch.setattr(wandb, "init", lambda **_: Mock(url="https://wandb.example/run"))
    logger = Wandb(save_dir="here")
    assert logger.experiment is logger.experiment
    assert capsys.readouterr().out == "wandb     https://wandb.example/run\n"
    assert logger.address() == {"url": "https://wandb.example/run"}


def test_a_server_that_returns_an_error_is_reachable() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # answers every request with 501
        thread = Thread(target=server.handle_request)
        thread.start()
        assert reachable(f"http://127.0.0.1:{server.server_port}", {})
        thread.join()
    assert not reachable(NOWHERE, {})


@pytest.mark.parametrize(("name", "value"), [("WANDB_API_KEY", "short"), ("WANDB_MODE", "of")])
def test_settings_that_wandb_refuses(
    name: str, value: str, netrc_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(name, value)
    wandb.teardown()
    with pytest.raises(ConfigError, match=r"logger\.wandb: .*") as error:
        _ = Wandb(save_dir=str(tmp_path)).experiment
    assert "\n" not in str(error.value)
    assert not (tmp_path / "wandb").exists()


def test_wandb_and_tensorboard(sightseq, tmp_path: Path, netrc_file: Path) -> None:
    status, output, errors = sightseq(
        "train", "logger=[wandb,tensorboard]", "trainer.max_epochs=2", "baseline=none", "data.synthetic=true"
    )
    assert status == 0, errors
    (run,) = (tmp_path / "runs" / "digits").iterdir()
    assert re.search(rf"^wandb +offline: no account for {NOWHERE}", output, re.M)
    (line,) = re.findall("wandb sync (.*)", output)
    assert [Path(folder).resolve() for folder in shlex.split(line)] == list(run.glob("wandb/offline-run-*"))
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    found = records(file)
    (described,) = [record.run for record in found if record.HasField("run")]
    assert described.run_id == run.name
    assert list(described.tags) == ["synthetic"]
    config = {item.key: item.value_json for item in described.config.update}
    assert '"max_epochs":2' in config["trainer"].replace(" ", "")
    assert '"_target_":"torch.optim.AdamW"' in config["model"].replace(" ", "")
    rows = [
        {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    names = {name.partition("/_type")[0] for row in rows for name in row}
    assert {"train/loss", "val/accuracy", "best/test/accuracy", "data", "Confusion matrix", TABLE} <= names, names
    assert sum("val/accuracy" in row for row in rows) == 2
    assert [float(row["epoch"]) for row in rows if "val/accuracy" in row] == [1, 2]
    assert len(list(run.glob("wandb/offline-run-*/files/media/images/*.png"))) >= 4
    (file,) = run.glob("wandb/offline-run-*/files/media/table/Each class*.json")
    table = json.loads(file.read_text())
    assert table["columns"] == ["class", "precision", "recall", "F1", "support"]
    assert [row[0] for row in table["data"]] == [str(digit) for digit in range(10)]
    assert all(isinstance(value, int | float) for row in table["data"] for value in row[1:])

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert {"train/loss", "val/accuracy", "best/test/accuracy"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("val/accuracy")) == 2
    assert [event.value for event in events.Scalars("epoch")] == [1, 1, 2, 2]  # validation and training of each epoch
    assert {"data/text_summary", f"{TABLE}/text_summary"} <= set(events.Tags()["tensors"])  # `data`: it is synthetic
    assert "Confusion matrix" in events.Tags()["images"]


BLOCKS = [
    FigureBlock("A figure", Figure()),
    TextBlock("A text", "the king\nthe queen"),
    PassagesBlock("Passages", [Passage("right", [("a ", 1.0), ("b", 0.0)])]),
    TableBlock("A table", ["name", "share", "both"], [["a|b", 0.5, 1.0], ["c", None, "two"]], percent=("share",)),
    ImageBlock("Images", [np.full((4, 6), 255, np.uint8), np.zeros((4, 6, 3), np.uint8)], ["white", "black"]),
    AudioBlock("A sound", np.sin(np.arange(8000)), 8000, caption="loud"),
]


def test_every_block_goes_to_wandb(netrc_file: Path, tmp_path: Path) -> None:
    logger = Wandb(save_dir=str(tmp_path), offline=True)
    for block in BLOCKS:
        block.log(logger, 3)
    logger.experiment.finish()
    wandb.teardown()  # blocks until the file is written
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    items = [item for record in records(file) for item in record.history.item]
    kinds = {item.nested_key[0]: item.value_json for item in items if item.nested_key[1:] == ["_type"]}
    assert kinds == {
        **dict.fromkeys(["A figure", "Images"], '"images/separated"'),
        **dict.fromkeys(["A text", "Passages", "A table"], '"table-file"'),
        "A sound": '"audio-file"',
    }
    media = file.parent / "files" / "media"
    tables = {path.name.partition("_")[0]: json.loads(path.read_text())["data"] for path in media.glob("table/*.json")}
    assert tables == {
        "A text": [["the king\nthe queen"]],
        "Passages": [["right", "a b"]],
        "A table": [["a|b", 0.5, "1.0"], ["c", None, "two"]],
    }
    (sound,) = media.glob("audio/*.wav")
    assert sound.read_bytes() == cast(AudioBlock, BLOCKS[-1]).wav()


def test_every_block_goes_to_tensorboard(tmp_path: Path) -> None:
    board = TensorBoardLogger(tmp_path)
    for block in BLOCKS:
        block.log(board, 3)
        block.log(CSVLogger(tmp_path), 3)  # a tracker that accepts only numbers gets nothing
    board.finalize("success")
    events = EventAccumulator(board.log_dir)
    events.Reload()
    tags = events.Tags()
    assert set(tags["images"]) == {"A figure", "Images/1", "Images/2"}
    assert tags["audio"] == ["A sound"]
    texts = {tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in tags["tensors"]}
    assert texts == {
        "A text/text_summary": "the king  \nthe queen",
        "Passages/text_summary": "**right**  \na b",
        "A table/text_summary": "| name | share | both |\n| --- | --- | --- |\n| a\\|b | 50.00% | 1.000 |\n"
        "| c | \N{EN DASH} | two |",
    }


def test_a_failing_block_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    logger, stereo = Mock(spec=WandbLogger), AudioBlock("Stereo", np.zeros((2, 9)), 8000)
    trainer = cast(Any, SimpleNamespace(loggers=[logger], global_step=3))
    log_results(trainer, {"val": None, "test": None, "data": {"synthetic": False}}, [stereo, BLOCKS[1]])
    assert "the block Stereo did not reach" in caplog.text
    logger.log_text.assert_called_once()
    logger.experiment.finish.assert_called_once()


def test_texts_go_to_the_trackers(tmp_path: Path) -> None:
    board, wandb = TensorBoardLogger(tmp_path), Mock(spec=WandbLogger)
    log_text(cast(Any, SimpleNamespace(loggers=[board, wandb], global_step=3)), "sample", "the king")
    wandb.log_text.assert_called_once_with("sample", columns=["text"], data=[["the king"]], step=3)
    board.finalize("success")
    events = EventAccumulator(board.log_dir)
    events.Reload()
    (event,) = events.Tensors("sample/text_summary")
    assert (event.step, list(event.tensor_proto.string_val)) == (3, [b"the king"])
