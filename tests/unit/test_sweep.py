"""Sweeps: what is averaged, how failures are reported, how processes end, and what the folder remembers."""

import json
import math
import os
import signal
import subprocess
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from sightseq.core.errors import ConfigError
from sightseq.core.naming import SECONDS, ScoreInfo
from sightseq.sweep.child import modules, share
from sightseq.sweep.folder import Job, SweepFolder
from sightseq.sweep.job import measured
from sightseq.sweep.processes import run_command, run_process
from sightseq.sweep.restart import find_sweep
from sightseq.sweep.table import mean_std, summarise

LOSS, SHARE = ScoreInfo("loss", higher_is_better=False), ScoreInfo("accuracy", higher_is_better=True, percent=True)


def job(name: str, choice: str, accuracy: float | None, test: float | None = None) -> Job:
    """A job that has ended; without an accuracy, it failed."""
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
        (folder / "config.yaml").write_text("data: {}")
    return Job(int(name), [choice], choice, folder).ended(0 if accuracy is not None else 2)


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
    sweep = [job("1", "a=1", 0.8), job("2", "a=1", None), job("3", "b=1", None)]
    (sweep[1].folder / "log.txt").touch()  # the other job failed before it trained
    status, lines = table(sweep, capsys)
    assert status == 1
    assert lines[1] == "a=1 1 of 2 80.00 % 0.2000 10"
    assert lines[2] == "b=1 0 of 1"
    assert lines[3:] == ["job 2 failed: runs/2/log.txt", "job 3 failed: sightseq train b=1"]


def test_sweep_with_only_failed_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = table([job("1", "a", None)], capsys)
    assert status == 1
    assert lines[1] == "a 0 of 1"


def test_experiments_of_different_headlines(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = job("1", "experiment=a", 0.8), job("2", "experiment=b", 0.5)
    file = two.folder / "results.json"
    file.write_text(file.read_text().replace("accuracy", "mae"))
    assert len(table([one, two], capsys)[1]) == 3


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

    monkeypatch.setattr("sightseq.sweep.processes.subprocess.Popen", signalled)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_process(["sleep", "60"])
    assert time.monotonic() - began < 30


def test_command_of_a_run() -> None:
    assert run_command(Path("runs/a b"))[1:] == ["-m", "sightseq.run", "runs/a b"]


def test_the_last_line_of_a_job_counts(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "sweep")
    assert sweep.jobs() == {}
    sweep.begin("sightseq train -m seed=1,2", ["-m", "seed=1,2"])
    one, two = (Job(number, [f"seed={number}"], "digits", tmp_path / str(number)) for number in (1, 2))
    for job in (two, one, replace(one, state="finished", score=0.5)):
        sweep.record(job)
    assert list(sweep.jobs().values()) == [replace(one, state="finished", score=0.5), two]
    sweep.begin("another", [])  # a sweep that begins again keeps its command
    assert sweep.about()["command"] == "sightseq train -m seed=1,2"
    with pytest.raises(ConfigError, match="is not the folder of a sweep"):
        SweepFolder(tmp_path).about()


def test_the_newest_unfinished_sweep_of_the_same_arguments_is_found(tmp_path: Path) -> None:
    for name, arguments in (("1", ["-m", "seed=1,2"]), ("2", ["seed=1,2", "-m", "jobs=2"]), ("3", ["-m", "seed=1,3"])):
        SweepFolder(tmp_path / "runs" / "sweeps" / name).begin("", arguments)
    typed = ["-m", "seed=1,2"]
    newest = SweepFolder(tmp_path / "runs" / "sweeps" / "2")
    assert find_sweep(typed) == newest.path
    newest.end()
    assert find_sweep(typed) == tmp_path / "runs" / "sweeps" / "1"
    newest.record(Job(0, ["seed=1"], "digits", tmp_path, "failed"))
    assert find_sweep([*typed, "repeat_failed=true"]) == newest.path
    assert find_sweep(["-m", "seed=5,6"]) is None


def test_objectives_are_numbers_of_the_results() -> None:
    results = {"seconds": {"total": 3.5}, "parameters": 12, "val": {"accuracy": 0.5, "loss": 1.0}, "test": None}
    names = ("seconds", "parameters", "val/accuracy")
    assert [measured(results, name) for name in names] == [3.5, 12, 0.5]
    for name in ("val/acuracy", "test/accuracy", "val"):
        with pytest.raises(ConfigError, match="choose from seconds, parameters, val/accuracy, val/loss"):
            measured(results, name)


def test_slots_share_cores() -> None:
    assert [share(range(8), slot, 2) for slot in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [share(range(2), slot, 3) for slot in range(3)] == [[0], [1], [0]]
    assert [share(range(5), slot, 2) for slot in range(2)] == [[0, 1], [2, 3]]


def test_the_server_imports_no_package_that_must_be_trusted() -> None:
    config = {"model": {"_target_": "sightseq.tasks.a.B", "net": [{"_target_": "theirs.nets.Net"}]}, "seed": 1}
    assert "sightseq.tasks.a" in modules(config)
    assert not [name for name in modules(config) if "theirs" in name]
