"""A sweep that is killed at any moment and typed again ends like an uninterrupted one; jobs start quickly."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightseq.sweep.folder import Job, SweepFolder
from sightseq.sweep.study import load_study

pytestmark = pytest.mark.slow

TYPED = ("-m", "optimizer=adamw,sgd", "seed=1,2", "trainer.max_epochs=2", "baseline=none", "callbacks.last.steps=5")


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sightseq", "train", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def jobs(runs: str = "runs") -> list[Job]:
    (folder,) = Path(runs, "sweeps").iterdir()
    return list(SweepFolder(folder).jobs().values())


def scores(found: list[Job]) -> list[tuple[str, dict[str, float]]]:
    return [(job.choice, (job.results() or {})["val"]) for job in found]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, dict[str, float]]]:
    """The choice and the scores of each job."""
    folder = tmp_path_factory.mktemp("whole")
    environment = os.environ | {f"SIGHTSEQ_{name}": str(folder / name.lower()) for name in ("DATA", "CACHE", "RUNS")}
    subprocess.run([sys.executable, "-m", "sightseq", "train", *TYPED], check=True, env=environment)
    (sweep,) = (folder / "runs" / "sweeps").iterdir()
    return scores(list(SweepFolder(sweep).jobs().values()))


@pytest.mark.parametrize("moment", range(10))
@pytest.mark.parametrize("jobs_at_once", [1, 2])
def test_a_killed_sweep_continues(moment: int, jobs_at_once: int, uninterrupted) -> None:
    process = start(*TYPED, f"jobs={jobs_at_once}")
    while not list(Path("runs").glob("digits/*/checkpoints/last.ckpt")):
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(random.Random(moment).uniform(0, 8))
    if moment % 2:
        os.kill(process.pid, signal.SIGKILL)  # the jobs save and end by themselves
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert start(*TYPED, "resume=auto").wait() == 0
    assert scores(jobs()) == uninterrupted


def times(runs: str = "runs") -> tuple[list[float], list[float]]:
    """When each job's process began, and when it had written its results; in seconds."""
    folders = [job.folder for job in jobs(runs)]
    began = [(folder / ".lock").stat().st_mtime for folder in folders]  # created by the job's process
    return began, [(folder / "results.json").stat().st_mtime for folder in folders]


def test_later_jobs_start_within_seconds() -> None:
    """The guide to sweeps states this time; it needs a quiet machine."""
    assert start("-m", "seed=1,2,3,4", "debug=one_batch").wait() == 0
    began, ended = times()
    pauses = [after - before for before, after in zip(ended, began[1:], strict=False)]
    print(f"from the end of a job to the start of the next: {', '.join(f'{pause:.1f}' for pause in pauses)} s")
    assert max(pauses) < 1.5


def test_two_jobs_at_once_are_faster() -> None:
    """From the start of the first job to the end of the last; the imports before it take as long with one at a time."""
    seconds = []
    for number in (1, 2):
        assert start("-m", "seed=range(8)", "debug=one_batch", f"jobs={number}", f"paths.runs=runs{number}").wait() == 0
        began, ended = times(f"runs{number}")
        seconds.append(max(ended) - min(began))
    print(f"8 jobs: {seconds[0]:.1f} s one after another, {seconds[1]:.1f} s two at once")
    assert seconds[1] < 0.65 * seconds[0]


WITNESS = """
import hashlib, json
from lightning.pytorch import Callback

class Witness(Callback):
    \"\"\"Writes what one rank has trained, and with which learning rate.\"\"\"

    def on_train_end(self, trainer, task):
        weights = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in task.parameters())).hexdigest()
        lr = task.hparams["optimizer"]["lr"]
        file = f"{trainer.default_root_dir}/rank{trainer.global_rank}.json"
        with open(file, "w") as f:
            json.dump([trainer.world_size, lr, weights], f)
"""


def test_the_ranks_of_a_trial_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes train each trial of a search, with gloo: equal hyper-parameters and weights, others per trial.

    The study has one trial per job, and not one per rank.
    """
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "witness.py").write_text(WITNESS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    typed = ("sweep=optuna", "sweep.n_trials=2", "model.optimizer.lr=tag(log,interval(1e-3,1e-1))", "baseline=none")
    witness = ("trust=[witness]", "+callbacks.witness._target_=witness.Witness")
    assert start("-m", *typed, *witness, "trainer=ddp_cpu", "trainer.max_epochs=1").wait() == 0
    found = jobs()
    trials = [[json.loads((job.folder / f"rank{rank}.json").read_text()) for rank in (0, 1)] for job in found]
    assert [job.state for job in found] == ["finished", "finished"]
    assert len(list(Path("runs/digits").iterdir())) == 2
    (file,) = Path("runs/sweeps").glob("*/study.journal")
    assert [trial.value for trial in load_study(file).trials] == [job.score for job in found]
    assert all(first == second and first[0] == 2 for first, second in trials)
    assert len({lr for (_, lr, _), _ in trials}) == len({weights for (_, _, weights), _ in trials}) == 2
