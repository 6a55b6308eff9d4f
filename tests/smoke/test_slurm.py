"""Sweeps through submitit: on this machine, and on a stand-in for SLURM that records what it was asked."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from submitit.local.local import LocalJob

from sightseq.sweep.folder import SweepFolder
from sightseq.sweep.slurm import JOB_ID, Execute

RUN = """
import json, os, pathlib, sys, yaml
folder = pathlib.Path(sys.argv[1])
seed = yaml.safe_load((folder / "config.yaml").read_text())["seed"]
if seed == 3:
    sys.exit(2)
results = {"headline": "loss", "metrics": {"loss": {"title": "loss", "higher_is_better": False}}, "test": None}
if os.environ.get("SLURM_PROCID", "0") == "0":
    (folder / "results.json").write_text(json.dumps(results | {"val": {"loss": seed}, "seconds": {"total": 1.0}}))
"""
SBATCH = """#!/bin/sh
# Records the request, and runs the job in the background.
number=$(ls {log}/*.sh 2> /dev/null | wc -l)
cp "$1" {log}/$number.sh
export SLURM_NTASKS=2 SLURM_NNODES=1 SLURM_NODEID=0
SLURM_JOB_ID=$number SLURM_JOB_NODELIST=here nohup sh "$1" > {log}/$number.out 2>&1 < /dev/null &
echo "Submitted batch job $number"
"""
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do case "$1" in --output|--error) shift;; esac; shift; done
SLURM_PROCID=0 SLURM_LOCALID=0 "$@" &
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" &
wait
"""
SACCT = """#!/bin/sh
echo "JobID|State|NodeList"
"""


@pytest.fixture(autouse=True)
def run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.sweep.slurm.run_command", lambda folder: [sys.executable, "-c", RUN, str(folder)])


def jobs() -> list[tuple[str, float | None]]:
    (folder,) = Path("runs/sweeps").iterdir()
    return [(job.state, job.score) for job in SweepFolder(folder).jobs().values()]


def test_jobs_are_submitted_and_waited_for(sightseq) -> None:
    typed = ("hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.launcher.poll=0.2")
    status, output, errors = sightseq("train", "-m", "seed=1,2,3", *typed)
    assert status == 1, errors
    assert jobs() == [("finished", 1.0), ("finished", 2.0), ("failed", None)]
    assert "\ndigits   2 of 3 " in output


def test_what_slurm_is_asked(sightseq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, programs = tmp_path / "log", tmp_path / "bin"
    log.mkdir()
    programs.mkdir()
    for name, text in {"sbatch": SBATCH.replace("{log}", str(log)), "srun": SRUN, "sacct": SACCT}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    status, _, errors = sightseq(
        "train",
        "-m",
        "seed=1,2",
        "trainer.devices=2",
        "hydra/launcher=slurm",
        "hydra.launcher.poll=0.2",
        "hydra.launcher.parameters.slurm_partition=long",
        "hydra.launcher.parameters.gpus_per_node=2",
        "hydra.launcher.parameters.timeout_min=90",
        "+hydra.launcher.parameters.slurm_additional_parameters={account: mine}",
    )
    assert status == 0, errors
    assert jobs() == [("finished", 1.0), ("finished", 2.0)]
    asked = (log / "0.sh").read_text()
    for line in ("partition=long", "gpus-per-node=2", "time=90", "account=mine", "ntasks-per-node=2", "nodes=1"):
        assert f"#SBATCH --{line}\n" in asked
    assert "#SBATCH --job-name=sightseq-0" in asked
    assert "#SBATCH --signal=USR2@" in asked


def test_user_errors(sightseq, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: str) -> str:
        status, _, errors = sightseq("train", "-m", "seed=1,2", "hydra/launcher=slurm", *arguments)
        assert status == 2
        (line,) = errors.splitlines()
        return line

    monkeypatch.setenv("PATH", "")
    assert "srun" in refuse()
    assert "'memory'" in refuse("hydra.launcher.cluster=local", "+hydra.launcher.parameters.memory=3")
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert "pip install 'sightseq[slurm]'" in refuse()


def test_a_preempted_job_saves_and_is_queued_again(tmp_path: Path) -> None:
    saves = f"cd {tmp_path}; trap 'touch saved; exit 130' TERM; touch begun; while true; do sleep 0.05; done"
    execute = Execute(["sh", "-c", saves])
    with ThreadPoolExecutor() as pool:
        status = pool.submit(execute)
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        again = execute.checkpoint()
        assert status.result() == 130
    assert (tmp_path / "saved").exists()
    assert again.function.command == execute.command


def test_a_job_that_is_still_queued_is_not_submitted_twice(
    sightseq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launching process was killed after it had submitted the job."""
    typed = ("-m", "seed=1,2", "hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.launcher.poll=0.2")
    sightseq("train", *typed)
    (sweep,) = Path("runs/sweeps").iterdir()
    lines = (sweep / "jobs.jsonl").read_text().splitlines(keepends=True)
    (sweep / "jobs.jsonl").write_text("".join(line for line in lines if '"running"' in line))
    folders = [job.folder for job in SweepFolder(sweep).jobs().values()]
    (folders[1] / "results.json").rename(tmp_path / "later.json")
    looks = []

    def done(job: LocalJob) -> bool:
        looks.append(job.job_id)
        if len(looks) == 2:
            (tmp_path / "later.json").rename(folders[1] / "results.json")
        return len(looks) > 2

    next((sweep / "cluster").glob(f"{(folders[1] / JOB_ID).read_text()}_0_result.pkl")).rename(tmp_path / "result")
    monkeypatch.setattr(LocalJob, "done", done)
    monkeypatch.setattr(LocalJob, "results", lambda _: [0])
    assert sightseq("train", f"resume={sweep}")[0] == 0
    assert jobs() == [("finished", 1.0), ("finished", 2.0)]
    assert {*looks} == {(folders[1] / JOB_ID).read_text()}
