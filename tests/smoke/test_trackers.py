"""What the experiment trackers hold, read back from their files."""

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from sightseq.core.tracking import log_text


def records(file: Path) -> list[wandb_internal_pb2.Record]:
    """A .wandb file: 7 bytes, then LevelDB's log format, whose blocks of 32 KiB hold pieces of records."""
    raw, at, data, found = file.read_bytes(), 7, b"", []
    while at + 7 <= len(raw):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        length, kind = struct.unpack("<HB", raw[at + 4 : at + 7])
        data += raw[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last piece
            found.append(wandb_internal_pb2.Record.FromString(data))
            data = b""
    return found


def test_wandb_and_tensorboard(sightseq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    status, _, errors = sightseq(
        "train", "logger=[wandb,tensorboard]", "trainer.max_epochs=2", "baseline=none", "data.synthetic=true"
    )
    assert status == 0, errors
    (run,) = (tmp_path / "runs" / "digits").iterdir()
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    found = records(file)
    (described,) = [record.run for record in found if record.HasField("run")]
    assert described.run_id == run.name
    config = {item.key: item.value_json for item in described.config.update}
    assert '"max_epochs":2' in config["trainer"].replace(" ", "")
    assert '"_target_":"torch.optim.AdamW"' in config["model"].replace(" ", "")
    rows = [
        {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    names = {name.partition("/_type")[0] for row in rows for name in row}
    assert {"train/loss", "val/accuracy", "best/test/accuracy", "Confusion matrix"} <= names, names
    assert sum("val/accuracy" in row for row in rows) == 2
    assert len(list(run.glob("wandb/offline-run-*/files/media/images/*.png"))) >= 4

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert {"train/loss", "val/accuracy", "best/test/accuracy"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("val/accuracy")) == 2
    assert "Confusion matrix" in events.Tags()["images"]


def test_texts_go_to_the_trackers(tmp_path: Path) -> None:
    board, wandb = TensorBoardLogger(tmp_path), Mock(spec=WandbLogger)
    log_text(cast(Any, SimpleNamespace(loggers=[board, wandb], global_step=3)), "sample", "the king")
    wandb.log_text.assert_called_once_with("sample", columns=["text"], data=[["the king"]])
    board.finalize("success")
    events = EventAccumulator(board.log_dir)
    events.Reload()
    (event,) = events.Tensors("sample/text_summary")
    assert (event.step, list(event.tensor_proto.string_val)) == (3, [b"the king"])
