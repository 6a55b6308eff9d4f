"""What the experiment trackers record, read back from their files."""

import csv
import json
import re
import shlex
import struct
import sys
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
import yaml
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from wandb.proto import wandb_internal_pb2
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from sightseq.core.blocks import FigureBlock, Passage, PassagesBlock, TableBlock, TextBlock
from sightseq.core.errors import ConfigError
from sightseq.core.media import AudioBlock, ImageBlock
from sightseq.core.tracking import log_results, log_text, make_loggers
from sightseq.core.wandb_run import Wandb, make_wandb, reachable, why_offline
from sightseq.sweep.wandb_yaml import wandb_sweep
from tests.conftest import composed

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
    monkeypatch.setattr("sightseq.core.wandb_run.reachable", lambda *_: True)
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
    monkeypatch.setattr("sightseq.core.wandb_run.why_offline", lambda _: "")
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


def values(items: Any) -> dict[str, Any]:
    """The items of a history, summary or config record by key; the parts of a nested key are joined by a slash."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def rows_of(found: list[wandb_internal_pb2.Record]) -> list[dict[str, Any]]:
    return [values(record.history.item) for record in found if record.HasField("history")]


def test_all_trackers_of_a_training_and_of_its_resume(
    sightseq, tmp_path: Path, netrc_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        *("trainer.max_epochs=2", "trainer.log_every_n_steps=3", "baseline=none", "data.synthetic=true"),
        *("logger=[wandb,tensorboard,mlflow,csv]", "logger.wandb.group=${experiment}", "logger.wandb.notes=a note"),
        *("logger.wandb.tags=[mine]", "logger.wandb.log_model=true", "logger.wandb.code=true", "logger.csv.watch=true"),
    ]
    status, output, errors = sightseq("train", *arguments)
    assert status == 0, errors
    (run,) = (tmp_path / "runs" / "digits").iterdir()
    results = json.loads((run / "results.json").read_text())
    assert re.search(rf"^wandb +offline: no account for {NOWHERE}", output, re.M)
    (line,) = re.findall("wandb sync (.*)", output)
    assert [Path(folder).resolve() for folder in shlex.split(line)] == list(run.glob("wandb/offline-run-*"))
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    check_wandb(run, records(file), results)
    check_tensorboard(run, results)
    with (run / "csv" / "version_0" / "metrics.csv").open(newline="") as opened:
        table = list(csv.DictReader(opened))
    steps = [row for row in table if row["step/lr"]]
    assert [row["step"] for row in steps] == ["3", "4", "6", "8"]  # 4 is the end of the first epoch
    assert [float(row["epoch"]) for row in steps] == [0.75, 1, 1.5, 2]
    assert all(float(row["step/gradient_norm"]) > 0 and float(row["step/loss"]) > 0 for row in steps)
    (folder,) = check_mlflow(tmp_path, results)

    monkeypatch.setattr("sightseq.core.report.write_report", lambda folder, *_: folder / "report.html")
    status, output, errors = sightseq("train", f"resume={run}", "trainer.max_epochs=3")
    assert status == 0, errors
    (line,) = re.findall("wandb sync (.*)", output)
    folders = [Path(folder).resolve() for folder in shlex.split(line)]
    assert folders == sorted(run.glob("wandb/offline-run-*"))
    found = [records(next(folder.glob("*.wandb"))) for folder in folders]
    assert [one.run.run_id for part in found for one in part if one.HasField("run")] == [run.name] * 2
    epochs = [[row["epoch"] for row in rows_of(part) if "val/accuracy" in row] for part in found]
    assert epochs == [[1, 2], [3]]
    assert (run / "csv" / "version_1" / "metrics.csv").exists()
    assert list(check_mlflow(tmp_path, json.loads((run / "results.json").read_text()))) == [folder]
    epochs = [line.split()[1:] for line in (folder / "metrics" / "val" / "accuracy").read_text().splitlines()]
    assert [int(step) for _, step in epochs] == [4, 8, 12]


def check_wandb(run: Path, found: list[wandb_internal_pb2.Record], results: dict[str, Any]) -> None:
    (described,) = [record.run for record in found if record.HasField("run")]
    assert (described.run_id, described.project) == (run.name, "sightseq")
    assert (described.run_group, described.job_type, described.notes) == ("digits", "train", "a note")
    assert described.display_name == f"digits/{run.name}"
    assert list(described.tags) == ["mine", "synthetic"]
    config = values(described.config.update)
    assert config["trainer"]["max_epochs"] == 2
    assert config["model"]["optimizer"]["_target_"] == "torch.optim.AdamW"

    axes = {
        record.metric.glob_name or record.metric.name: record.metric.step_metric
        for record in found
        if record.HasField("metric")
    }
    assert axes["train/*"] == axes["val/*"] == "epoch"
    assert axes["*"] == "trainer/global_step"
    rows = rows_of(found)
    assert [(row["epoch"], row["trainer/global_step"]) for row in rows if "val/accuracy" in row] == [(1, 4), (2, 8)]
    assert [(row["epoch"], row["trainer/global_step"]) for row in rows if "train/loss" in row] == [(1, 4), (2, 8)]
    steps = [row for row in rows if "step/lr" in row]
    assert [row["trainer/global_step"] for row in steps] == [3, 4, 6, 8]
    assert all(row["step/samples_per_second"] > 0 for row in steps)

    summary: dict[str, Any] = {}
    for record in found:
        summary |= values(record.summary.update)
    assert {name: summary[f"best/val/{name}"] for name in results["val"]} == results["val"]
    assert {name: summary[f"test/{name}"] for name in results["test"]} == results["test"]

    kinds = {name.removesuffix("/_type"): value for row in rows for name, value in row.items() if "/_type" in name}
    pictures = {name for name, kind in kinds.items() if kind == "images/separated"}
    assert len(pictures) == len(list((run / "figures").iterdir()))  # all figures of the report
    assert {"Learning curves", "Confusion matrix", "Sample predictions", "Most confident mistakes"} <= pictures
    tables = {
        path.name.rpartition("_")[0].rpartition("_")[0]: json.loads(path.read_text())
        for path in run.glob("wandb/offline-run-*/files/media/table/*.json")
    }
    assert tables[TABLE]["columns"] == ["class", "precision", "recall", "F1", "support"]
    assert [row[0] for row in tables[TABLE]["data"]] == [str(digit) for digit in range(10)]
    assert all(isinstance(value, int | float) for row in tables[TABLE]["data"] for value in row[1:])
    confusion = tables["Confusion matrix table"]["data"]
    assert [count for _, _, count in confusion] == [n for row in results["details"]["confusion"] for n in row]
    for title in ("Sample predictions table", "Most confident mistakes table"):
        assert tables[title]["columns"] == ["image", "prediction", "probability", "true class"]
        assert len(images_of(title, found)) == len(tables[title]["data"])
    assert all(row[1] != row[3] for row in tables["Most confident mistakes table"]["data"])

    artifacts = {record.artifact.type: record.artifact for record in found if record.HasField("artifact")}
    paths = [entry.path for entry in artifacts["code"].manifest.contents]
    assert "sightseq/core/task.py" in paths
    assert [entry.path for entry in artifacts["model"].manifest.contents] == ["model.ckpt"]
    assert "best" in artifacts["model"].aliases


def images_of(title: str, found: list[wandb_internal_pb2.Record]) -> list[str]:
    """The image files of a table, which W&B saves in an artifact; the JSON file has only "Image" in their place."""
    name = f"-{title.replace(' ', '')}-"
    (artifact,) = [r.artifact for r in found if r.artifact.type == "run_table" and name in r.artifact.name]
    return [entry.path for entry in artifact.manifest.contents if entry.path.endswith(".png")]


def check_tensorboard(run: Path, results: dict[str, Any]) -> None:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "val/accuracy", "best/val/accuracy", "test/accuracy", "step/lr"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("val/accuracy")] == [4, 8]
    assert {"data/text_summary", f"{TABLE}/text_summary"} <= set(tags["tensors"])  # `data`: it is synthetic
    assert {"Learning curves", "Confusion matrix"} <= set(tags["images"])
    plugin = {tag: HParamsPluginData.FromString(raw) for tag, raw in events.PluginTagToContent("hparams").items()}
    session = plugin["_hparams_/session_start_info"].session_start_info.hparams
    assert session["model/optimizer/_target_"].string_value == "torch.optim.AdamW"
    assert session["trainer/max_epochs"].number_value == 2
    metrics = [one.name.tag for one in plugin["_hparams_/experiment"].experiment.metric_infos]
    assert {f"test/{name}" for name in results["test"]} <= set(metrics)


def check_mlflow(tmp_path: Path, results: dict[str, Any]) -> Iterator[Path]:
    """Check the runs in MLflow's local files; yield their folders."""
    for meta in (tmp_path / "runs" / "mlruns").glob("*/*/meta.yaml"):
        folder = meta.parent
        assert yaml.safe_load(meta.read_text())["status"] == 3  # finished
        assert (folder / "params" / "model" / "optimizer" / "_target_").read_text() == "torch.optim.AdamW"
        last = (folder / "metrics" / "test" / "accuracy").read_text().splitlines()[-1]
        assert float(last.split()[1]) == results["test"]["accuracy"]
        assert (folder / "artifacts" / "report.html").exists()
        assert len(list((folder / "artifacts" / "figures").iterdir())) >= 4
        yield folder


def test_a_job_of_wandb_agent(
    sightseq, tmp_path: Path, netrc_file: Path, monkeypatch: pytest.MonkeyPatch, no_report: None
) -> None:
    """The agent passes a command, and the ids of the sweep and the run in the environment."""
    sweep = wandb_sweep(
        [
            *("experiment=digits", "data.synthetic=true", "baseline=none", "debug=one_batch"),
            *("model.optimizer.lr=tag(log,interval(1e-4,1e-1))", "model/net=image/convnet,image/resnet"),
        ]
    )
    sweep = yaml.safe_load(yaml.safe_dump(sweep))
    chosen = {"model.optimizer.lr": {"value": 0.00123}, "model/net": {"value": "image/resnet"}}
    command = create_sweep_command(sweep["command"])
    at = command.index("${args_no_hyphens}")
    command[at : at + 1] = create_sweep_command_args({"args": chosen})["args_no_hyphens"]
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump({"wandb_version": 1, **chosen}))
    for name, value in {"SWEEP_ID": "abc123", "RUN_ID": "x1y2z3", "SWEEP_PARAM_PATH": str(params)}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    wandb.teardown()
    assert command[:2] == ["${env}", "sightseq"]

    status, _, errors = sightseq(*command[2:])
    assert status == 0, errors
    wandb.teardown()  # its service writes the rest of the file
    (run,) = (tmp_path / "runs" / "digits").iterdir()
    assert json.loads((run / "results.json").read_text())["test"] is None
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    found = records(file)
    (described,) = [record.run for record in found if record.HasField("run")]
    assert (described.run_id, described.sweep_id) == ("x1y2z3", "abc123")
    model = values(described.config.update)["model"]
    assert (model["optimizer"]["lr"], model["net"]["_target_"].rpartition(".")[2]) == (0.00123, "ResNet")
    assert any(sweep["metric"]["name"] in row for row in rows_of(found))
    config = composed()
    assert make_wandb({}, config, run).version == "x1y2z3"  # a run that is resumed without the agent


def test_jobs_of_a_sweep_are_a_group(tmp_path: Path) -> None:
    config = composed("logger=wandb")
    settings = config["logger"]["wandb"]
    assert make_wandb(settings, config, tmp_path)._wandb_init["group"] is None
    config["sweep"] = {"command": "", "folder": "/runs/sweeps/2026-11-28_10-00-00", "job": 3}
    assert make_wandb(settings, config, tmp_path)._wandb_init["group"] == "2026-11-28_10-00-00"
    assert make_wandb({**settings, "group": "mine"}, config, tmp_path)._wandb_init["group"] == "mine"


def test_only_the_first_process_starts_a_wandb_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning.fabric.utilities.rank_zero.rank_zero_only.rank", 1)
    logger = Wandb(save_dir=str(tmp_path))
    logger.experiment.log({"loss": 1.0})
    assert not list(tmp_path.iterdir())


def test_invalid_loggers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = composed("logger=[wandb,mlflow]", "logger.wandb.watch=all")
    config["logger"]["wandb"]["watch"] = "weights"
    with pytest.raises(ConfigError, match=r"logger\.wandb\.watch=weights: must be null, gradients"):
        make_loggers(config, tmp_path)
    del config["logger"]["wandb"]
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"pip install 'sightseq\[mlflow\]'"):
        make_loggers(config, tmp_path)


BLOCKS = [
    FigureBlock("A figure", Figure(), columns=["image", "score"], rows=[[np.zeros((2, 3), np.uint8), 0.5]]),
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
        **dict.fromkeys(["A figure table", "A text", "Passages", "A table"], '"table-file"'),
        "A sound": '"audio-file"',
    }
    media = file.parent / "files" / "media"
    tables = {path.name.partition("_")[0]: json.loads(path.read_text())["data"] for path in media.glob("table/*.json")}
    assert tables.pop("A figure table") == [["Image", 0.5]]
    assert len(images_of("A figure table", records(file))) == 1
    assert tables == {
        "A text": [["the king\nthe queen"]],
        "Passages": [["right", False, "a b"]],
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
    results: dict[str, Any] = {"val": None, "test": None, "data": {"synthetic": False}}
    log_results(trainer, {}, Path(), results, [stereo, BLOCKS[1]])
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
