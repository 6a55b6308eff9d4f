"""Sweeps: which jobs use the test split, what is averaged, and how failures are reported."""

import json
import math
import os
import signal
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sightseq.core.errors import ConfigError
from sightseq.core.naming import SECONDS, ScoreInfo
from sightseq.core.places import conf_folder
from sightseq.sweep import Job, check, mean_std, run_command, run_job, run_process, summarise

TYPED = "sightseq train -m seed=1,2"

LOSS, SHARE = ScoreInfo("loss", higher_is_better=False), ScoreInfo("accuracy", higher_is_better=True, percent=True)


def job(name: str, choice: str, accuracy: float | None, test: float | None = None, status: int = 0) -> Job:
    """A finished job; without an accuracy, it wrote no results."""
    folder = Path("runs").absolute() / name
    folder.mkdir(parents=True)
    if accuracy is not None:
        results = {
            "headline": "accuracy",
            "metrics": {"accuracy": asdict(SHARE), "loss": asdict(LOSS)},
            "val": {"accuracy": accuracy, "loss": 1 - accuracy},
            "test": None if test is None else {"accuracy": test, "loss": 1 - test},
            "seconds": {"total": 10.0},
        }
        (folder / "results.json").write_text(json.dumps(results))
    return Job(folder, choice, status)


def table(sweep: list[Job], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit status and the printed lines, with single spaces."""
    status = summarise(sweep)
    return status, [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_mean_std_by_hand() -> None:
    assert mean_std([1.0, 2.0, 3.0, 4.0]) == pytest.approx((2.5, math.sqrt(5 / 3)))  # n - 1
    mean, std = mean_std([0.5])
    assert mean == 0.5
    assert math.isnan(std)


@pytest.mark.parametrize(
    ("info", "mean", "std", "text"),
    [
        (SHARE, 0.98804, 0.00123, "98.80 ± 0.12 %"),
        (SHARE, 0.5, math.nan, "50.00 %"),
        (SHARE, 0.5, 0.0, "50.00 ± 0.00 %"),
        (LOSS, 0.12345, 0.0001, "0.1235 ± 0.0001"),
        (LOSS, 2.0, math.nan, "2.0000"),
        (SECONDS, 61.7, 2.2, "62 ± 2"),
    ],
)
def test_formatted_means_and_deviations(info: ScoreInfo, mean: float, std: float, text: str) -> None:
    assert info.mean_std_text(mean, std) == text


def test_seeds_are_averaged_and_choices_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = [job("1", "optimizer=sgd", 0.8, 0.7), job("2", "optimizer=adamw", 0.9, 0.5)]
    sweep += [job("3", "optimizer=sgd", 0.9, 0.8), job("4", "optimizer=sgd", 1.0, 0.9)]
    status, lines = table(sweep, capsys)
    assert status == 0
    assert lines[1] == "optimizer=sgd 3 90.00 ± 10.00 % 0.1000 ± 0.1000 80.00 ± 10.00 % 0.2000 ± 0.1000 10 ± 0"
    assert lines[2] == "optimizer=adamw 1 90.00 % 0.1000 50.00 % 0.5000 10"
    assert len(lines) == 3


def test_without_a_test_split_only_validation_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    _, lines = table([job("1", "a", 0.8), job("2", "b", 0.9)], capsys)
    assert "test" not in lines[0]
    assert lines[1] == "a 1 80.00 % 0.2000 10"


def test_failed_job_is_counted_named_and_gives_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = [job("1", "a", 0.8), job("bad", "a", None, status=2), job("worse", "b", None, status=1)]
    (sweep[1].folder / "log.txt").touch()  # the other job failed before it trained
    status, lines = table(sweep, capsys)
    assert status == 1
    assert lines[1] == "a 1 of 2 80.00 % 0.2000 10"
    assert lines[2] == "b 0 of 1"
    log = Path("runs/bad/log.txt").absolute()
    assert lines[3:] == [f"failed with status 2: {log}", "failed with status 1: b"]


def test_sweep_with_only_failed_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = table([job("1", "a", None, status=2)], capsys)
    assert status == 1
    assert lines[1] == "a 0 of 1"


def test_experiments_of_different_headlines(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = job("1", "experiment=a", 0.8), job("2", "experiment=b", 0.5)
    file = two.folder / "results.json"
    file.write_text(file.read_text().replace("accuracy", "mae"))
    assert len(table([one, two], capsys)[1]) == 3


def config(**changes: Any) -> dict[str, Any]:
    return {
        "experiment": "digits",
        "run_test": "auto",
        "resume": None,
        "paths": {"runs": str(Path("runs").absolute())},
        "trainer": {},
        **changes,
    }


@pytest.fixture
def overrides(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The overrides of the current job; its process is replaced by a function that writes results or fails."""
    typed: list[str] = []
    with initialize_config_dir(str(conf_folder()), version_base="1.3", job_name="t"):
        composed = compose("train", return_hydra_config=True)
    composed.hydra.overrides.task = typed
    monkeypatch.setattr(
        HydraConfig, "get", lambda: DictConfig({"overrides": {"task": typed}, "sweep": {"dir": "runs/sweeps/1"}})
    )

    def process(command: list[str]) -> int:
        if "fails=1" in typed:
            return 2
        if "stops=1" in typed:
            raise KeyboardInterrupt
        results = {"headline": "accuracy", "val": {"accuracy": 0.75}, "test": None}
        (Path(command[-1]) / "results.json").write_text(json.dumps(results))
        return 0

    monkeypatch.setattr("sightseq.sweep.run_process", process)
    return typed


@pytest.mark.parametrize(
    ("swept", "uses_test"),
    [({"seed"}, True), ({"seed", "data.fold"}, True), ({"seed", "optimizer"}, False), ({"model.optimizer.lr"}, False)],
)
def test_only_repetitions_use_the_test_split(overrides: list[str], swept: set[str], uses_test: bool) -> None:
    sweep: list[Job] = []
    assert run_job(job_config := config(), swept, TYPED, sweep) == 0.75
    assert job_config["run_test"] is uses_test
    assert f"run_test: {str(uses_test).lower()}" in (sweep[0].folder / "config.yaml").read_text()


def test_an_explicit_run_test_is_kept(overrides: list[str]) -> None:
    run_job(job_config := config(run_test=True), {"optimizer"}, TYPED, [])
    assert job_config["run_test"] is True


def test_choice_consists_of_swept_keys_except_seeds(overrides: list[str]) -> None:
    overrides += ["optimizer=sgd", "seed=3", "trainer.max_epochs=2", "model.optimizer.lr=0.1"]
    sweep: list[Job] = []
    run_job(config(), {"optimizer", "seed", "model.optimizer.lr"}, TYPED, sweep)
    assert sweep[0].choice == "optimizer=sgd, model.optimizer.lr=0.1"
    run_job(config(), {"seed"}, TYPED, sweep)
    assert sweep[1].choice == "digits"
    assert "command: sightseq train optimizer=sgd seed=3" in (sweep[1].folder / "config.yaml").read_text()


def test_choice_of_an_added_key(overrides: list[str]) -> None:
    overrides += ["+trainer.val_check_interval=0.5"]
    sweep: list[Job] = []
    run_job(config(), {"trainer.val_check_interval"}, TYPED, sweep)
    assert "val_check_interval=0.5" in sweep[0].choice


def test_failed_job_scores_nan_and_the_sweep_continues(overrides: list[str]) -> None:
    overrides.append("fails=1")
    sweep: list[Job] = []
    score = run_job(config(), {"seed"}, TYPED, sweep)
    assert score is not None
    assert math.isnan(score)
    assert sweep[0].status == 2
    assert sweep[0].results() is None


def test_interrupted_job_ends_the_sweep(overrides: list[str]) -> None:
    overrides.append("stops=1")
    with pytest.raises(KeyboardInterrupt):
        run_job(config(), {"seed"}, TYPED, [])


def test_the_status_of_a_process() -> None:
    assert run_process(["sh", "-c", "exit 3"]) == 3
    with pytest.raises(KeyboardInterrupt):
        run_process(["sh", "-c", "exit 130"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_waits_until_the_job_has_saved(number: int, tmp_path: Path) -> None:
    # In a terminal, Ctrl-C reaches both processes. Here only the parent gets SIGINT, so the job ends by itself.
    ends = "sent" if number == signal.SIGINT else "never"
    job = (
        f"cd {tmp_path}; trap 'sleep 0.2; touch saved; exit 130' TERM; touch begun; "
        f"for i in $(seq 600); do [ -e {ends} ] && sleep 0.5 && exit 0; sleep 0.1; done"
    )
    # The pause: a signal that arrives before `run_process` has its job would end the job.
    sender = (
        f"cd {tmp_path}; until [ -e begun ]; do sleep 0.1; done; sleep 1; kill -{number:d} {os.getpid()}; touch sent"
    )
    signal_sender = subprocess.Popen(["sh", "-c", sender])
    with pytest.raises(KeyboardInterrupt):
        run_process(["sh", "-c", job])
    signal_sender.wait()
    assert (tmp_path / "saved").exists() == (number == signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_start_ends_the_job(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen

    def signalled(command: list[str]) -> subprocess.Popen[bytes]:
        os.kill(os.getpid(), number)
        return start(command)

    monkeypatch.setattr("sightseq.sweep.subprocess.Popen", signalled)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_process(["sleep", "60"])
    assert time.monotonic() - began < 30


def test_only_training_is_swept() -> None:
    with pytest.raises(ConfigError, match="sightseq test runs once"):
        check("test", ["-m", "seed=1,2"])
    check("test", ["seed=1"])
    check("train", ["-m", "seed=1,2", "resume=auto"])


def test_command_of_a_run() -> None:
    assert run_command(Path("runs/a b"))[1:] == ["-m", "sightseq.run", "runs/a b"]
