"""The base class gives predict, its options, its help and the list of bad inputs to a task from outside the package."""

import io
import json
import sys
import threading
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

import sightseq
from sightseq import predict as module
from sightseq.composition import compose
from sightseq.core.errors import CheckpointError, ConfigError, InputError, InputWarning
from sightseq.core.loading import Batch
from sightseq.core.predictor import Predictor, Row, Settings
from sightseq.core.scores import Output
from sightseq.core.spec import Spec
from sightseq.core.task import Task


@dataclass(frozen=True)
class ScaleSpec(Spec):
    """Spec of temperatures."""

    unit: str = "F"

    def net_arguments(self) -> dict[str, Any]:
        return {}


class Line(nn.Module):
    """A linear layer: [B] to [B]."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.zero = nn.Parameter(torch.tensor(1.8)), nn.Parameter(torch.tensor(32.0))

    def forward(self, values: Tensor) -> Tensor:
        return self.slope * values + self.zero


class ConversionTask(Task):
    """Converts temperatures from one scale to another."""

    net_kind = "scale"

    def step(self, batch: Batch, stage: str) -> Output:
        loss = (self.net(batch["input"]) - batch["target"]).square().sum()
        return Output(loss, torch.tensor(len(batch["input"])), {})

    @classmethod
    def example(cls) -> tuple[Spec, Batch]:
        return ScaleSpec(), {"input": torch.arange(4.0), "target": torch.arange(4.0), "index": torch.arange(4)}

    def plot_batch(self, batch: Batch) -> list[str]:
        return []

    @classmethod
    def predictor(cls) -> type[Predictor]:
        return Thermometer


class SilentTask(ConversionTask):
    """A task without a predictor."""

    @classmethod
    def predictor(cls) -> None:
        return None


class ThermometerSettings(Settings):
    """The options of this predictor."""

    digits: int = Field(1, description="after the point")


class Thermometer(Predictor):
    """Reads files with one number per line."""

    Settings = ThermometerSettings
    most = 0

    def expand(self, given: str, options: ThermometerSettings) -> Iterable[tuple[str, str]]:
        if not Path(given).is_file():
            raise InputError(f"{given}: there is no such file")
        return ((f"{given}:{n}", line.strip()) for n, line in enumerate(Path(given).open(), 1))

    def read(self, raw: str) -> float:
        assert threading.current_thread() is not threading.main_thread() or not isinstance(raw, str)
        try:
            value = float(raw)
        except ValueError:
            raise InputError(f"{raw!r} is no number") from None
        if value < -273.15:
            warnings.warn(InputWarning(f"{raw} is colder than anything"), stacklevel=2)
        return value

    def predict_items(self, items: Sequence[float], options: ThermometerSettings) -> list[Row]:
        self.most = max(self.most, len(items))
        assert torch.is_inference_mode_enabled()
        found = self.task.net(torch.tensor(items)).tolist()
        return [{self.task.spec.unit: round(value, options.digits)} for value in found]


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.core.build._trusted", {"sightseq", "torch", __name__.partition(".")[0]})


def save(task: type[Task] = ConversionTask) -> Path:
    """Save a checkpoint of the task, as a training writes it."""
    hyper = {"spec": ScaleSpec().to_dict(), "net": {"_target_": f"{__name__}.Line"}}
    content = {
        "sightseq": {"task": f"{__name__}.{task.__name__}", "config": {}},
        "hyper_parameters": hyper,
        "state_dict": task(**hyper).state_dict(),
    }
    torch.save(content, "model.ckpt")
    return Path("model.ckpt")


def run(*changes: str, inputs: Sequence[str] = ("in.txt",)) -> int:
    config = compose("ckpt=model.ckpt", "input=x", "device=cpu", *changes, command="predict")
    return module.predict(config | {"input": list(inputs)})


@pytest.fixture
def lines(trusted: None) -> None:
    save()
    Path("in.txt").write_text("0\n100\nwarm\n-300\n\n37\n")


BAD = ["InputError: in.txt:3: 'warm' is no number", "InputError: in.txt:5: '' is no number"]


def test_one_row_per_item_and_bad_items_at_the_end(lines: None, capfd: Any) -> None:
    assert run("format=jsonl", "batch_size=2", inputs=["in.txt", "missing.txt", "in.txt"]) == 2
    out, err = capfd.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    once = [("in.txt:1", 32.0), ("in.txt:2", 212.0), ("in.txt:4", -508.0), ("in.txt:6", 98.6)]
    assert rows == [{"input": place, "F": value} for place, value in once * 2]
    warned, *errors = err.splitlines()
    assert warned == "Warning: -300 is colder than anything"  # only once
    assert sorted(errors) == sorted([*BAD, *BAD, "InputError: missing.txt: there is no such file"])


def test_a_table_of_the_rows(lines: None, capfd: Any) -> None:
    assert run("digits=0") == 2
    words = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert words[0] == ["input", "F"]
    assert words[1:] == [["in.txt:1", "32.0"], ["in.txt:2", "212.0"], ["in.txt:4", "-508.0"], ["in.txt:6", "99.0"]]


def test_help_lists_own_options_after_the_common_ones(trusted: None) -> None:
    save()
    text = module.options_help(compose("ckpt=model.ckpt", "input=-", command="predict"))
    names = [line.partition(":")[0] for line in text.splitlines() if " # " in line]
    assert names == ["ckpt", "input", "format", "device", "trust", "batch_size", "digits"]
    assert "Thermometer" in text.splitlines()[0]
    assert "digits: 1              # after the point" in text


def test_an_input_is_required_unless_there_is_a_default(lines: None, capfd: Any, monkeypatch: Any) -> None:
    config = compose("ckpt=model.ckpt", "device=cpu", "format=jsonl", command="predict")
    with pytest.raises(ConfigError, match=r"^input= is required: sightseq predict input=\.\.\.$"):
        module.predict(config)
    text = module.options_help(config)
    assert "input=...: the options" in text.splitlines()[0]
    assert "\ninput: ???             # " in text
    monkeypatch.setattr(Thermometer, "default_input", "in.txt")
    assert module.predict(config) == 2
    assert len(capfd.readouterr().out.splitlines()) == 4
    text = module.options_help(config)
    assert "[input=...]: the options" in text.splitlines()[0]
    assert "\ninput: null            # " in text


def test_unknown_options_are_refused(lines: None) -> None:
    with pytest.raises(ConfigError, match=r"^digit=2: this model has no option 'digit'; did you mean digits\?$"):
        run("digit=2")
    with pytest.raises(ConfigError, match=r"^digits=many: "):
        run("digits=many")


class Terminal(io.StringIO):
    """A stream whose `isatty` is true."""

    def isatty(self) -> bool:
        return True


def test_rows_go_to_a_file_while_the_bar_is_on_the_terminal(lines: None, monkeypatch: pytest.MonkeyPatch) -> None:
    out, terminal = io.StringIO(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert run("format=jsonl", "batch_size=1") == 2
    assert [json.loads(line)["F"] for line in out.getvalue().splitlines()] == [32.0, 212.0, -508.0, 98.6]
    assert "predict" in terminal.getvalue()


def test_file_names_that_are_not_unicode_are_escaped(lines: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("\udcff.txt").write_text("37")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "utf-8"))
    assert run("format=jsonl", inputs=["\udcff.txt"]) == run("format=table", inputs=["\udcff.txt"]) == 0
    row, *table = written.getvalue().decode().splitlines()
    assert json.loads(row) == {"input": "\udcff.txt:1", "F": 98.6}
    assert len(table) == 2


def test_only_one_batch_is_read_at_a_time(trusted: None) -> None:
    predictor = sightseq.load(save(), "cpu")
    read = []

    class Watched(Thermometer):
        def expand(self, given: str, options: Any) -> Iterable[tuple[str, str]]:
            return ((str(n), str(n)) for n in range(1_000_000_000))

        def read(self, raw: str) -> float:
            read.append(raw)
            return float(raw)

    watched = Watched(predictor.task, "cpu")
    rows = watched.rows([""], watched.options({"batch_size": 3}), [])
    assert [next(rows)[1]["F"] for _ in range(7)] == [round(1.8 * n + 32, 1) for n in range(7)]
    assert len(read) == 9
    rows.close()
    assert watched.most == 3


class Sorted(Thermometer):
    """Batches by temperature, as texts are batched by length."""

    def expand(self, given: str, options: Any) -> Iterable[tuple[str, str]]:
        return ((str(n), str(n)) for n in (9, 1, 8, 2, 7, 3, 6, 4))

    def length(self, item: float) -> int:
        return int(item)

    def predict_items(self, items: Sequence[float], options: Any) -> list[Row]:
        return [{"mates": list(items)} for _ in items]


def test_items_of_similar_length_share_a_batch_and_rows_keep_their_order(trusted: None) -> None:
    predictor = Sorted(sightseq.load(save(), "cpu").task, "cpu")
    expected = [[8, 9], [1, 2], [8, 9], [1, 2], [6, 7], [3, 4], [6, 7], [3, 4]]
    options = predictor.options({"batch_size": 2})
    assert [row["mates"] for _, row in predictor.rows(["file"], options, [])] == expected
    assert [row["mates"] for row in predictor.predict([9.0, 1, 8, 2, 7, 3, 6, 4], batch_size=2)] == expected
    # Predictions of standard input wait for one batch, not for more.
    first = next(predictor.items(["-"], options, []))
    assert first == [("9", 9.0), ("1", 1.0)]


def test_from_python(trusted: None) -> None:
    predictor = sightseq.load(save(), "cpu")
    assert predictor.predict([0.0, 100.0, 37.0], batch_size=2, digits=2) == [{"F": 32.0}, {"F": 212.0}, {"F": 98.6}]
    assert predictor.predict([]) == []
    with pytest.raises(ConfigError, match="this model has no option 'top'"):
        predictor.predict([0.0], top=1)


def test_a_task_without_a_predictor(trusted: None) -> None:
    with pytest.raises(CheckpointError, match=r"^model\.ckpt: SilentTask has no predictor; "):
        sightseq.load(save(SilentTask))
