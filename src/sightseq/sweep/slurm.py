"""Runs the jobs of a sweep on a SLURM cluster, through submitit. Imports nothing heavy."""

import signal
import subprocess
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sightseq.core.errors import ConfigError
from sightseq.core.extras import require
from sightseq.core.rundir import read_config
from sightseq.sweep.folder import Job
from sightseq.sweep.launcher import ProcessLauncher
from sightseq.sweep.processes import run_command

JOB_ID = "cluster_job.txt"
"""File in the run directory with the id of the cluster job that executes it."""


class SlurmLauncher(ProcessLauncher):
    """Submits jobs to a SLURM cluster, and waits for them.

    The cluster's nodes see the same Python environment and the same folder of runs. A job has as many tasks as its
    Trainer has devices, and as many nodes as `trainer.num_nodes`. If it reaches its time limit or is preempted, it
    saves a checkpoint, is queued again and resumes. If the launching process is killed, the jobs go on; the resumed
    sweep waits for them.

    Args:
        cluster: "slurm", or "local" for processes of this machine, to try a sweep out.
        parameters: of `submitit.AutoExecutor.update_parameters`, such as timeout_min, gpus_per_node, cpus_per_task,
            mem_gb, slurm_partition, slurm_additional_parameters.
        jobs: number of jobs in the queue at once.
        poll: seconds between two looks at the jobs.
    """

    forwarded = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, cluster: str, parameters: Mapping[str, Any], jobs: int = 1000, poll: float = 5.0) -> None:
        super().__init__(jobs)
        self.cluster, self.poll = cluster, poll
        given: Any = OmegaConf.to_container(DictConfig(parameters))
        self.parameters = {name: value for name, value in given.items() if value is not None}

    def start(self, job: Job, slot: int) -> "ClusterJob":
        """Submit a job, or find the one that an earlier start of the sweep has submitted.

        Raises:
            ConfigError: submitit is not installed, there is no cluster, or a parameter is unknown.
        """
        submitit = require("submitit", "slurm")
        trainer = read_config(job.folder)["trainer"]
        log = Path(self.config.hydra.sweep.dir).absolute() / "cluster"
        try:
            executor = submitit.AutoExecutor(folder=log, cluster=self.cluster)
            devices = trainer.get("devices")
            executor.update_parameters(
                name=f"sightseq-{job.number}",
                nodes=trainer.get("num_nodes") or 1,
                tasks_per_node=devices if isinstance(devices, int) else 1,
                **self.parameters,
            )
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            raise ConfigError(f"hydra/launcher=slurm: {' '.join(str(error).split())}") from error
        file = job.folder / JOB_ID
        if file.exists():
            earlier = ClusterJob(executor._executor.job_class(folder=log, job_id=file.read_text()))
            if earlier.exitcode is None:
                return earlier
        submitted = executor.submit(Execute(run_command(job.folder)))
        file.write_text(submitted.job_id)
        return ClusterJob(submitted)

    def wait(self, running: Collection[Any]) -> None:
        time.sleep(self.poll)


class ClusterJob:
    """A submitted job.

    Args:
        job: submitit's.
    """

    def __init__(self, job: Any) -> None:
        self.job = job

    @property
    def exitcode(self) -> int | None:
        """The exit status of the run, 1 if the cluster ended it; None while it waits or runs."""
        if not self.job.paths.result_pickle.exists() and not self.job.done():
            return None
        try:
            statuses: list[int] = self.job.results()  # of each task
            return max(statuses)
        except Exception as error:  # submitit raises many kinds, and the job's own
            print(f"cluster job {self.job.job_id}: {' '.join(str(error).split())[:200]}", flush=True)
            return 1

    def terminate(self) -> None:
        """Cancel the job; SLURM sends SIGTERM first, on which the run saves a checkpoint."""
        self.job.cancel(check=False)


class Execute:
    """What a node executes: the run in a process of its own.

    Args:
        command: of the run.
    """

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def __call__(self) -> int:
        """Return the exit status of the run."""
        self.process = subprocess.Popen(self.command)
        return self.process.wait()

    def checkpoint(self) -> Any:
        """Save and stop the run, and return what resumes it. submitit calls this before a time limit or preemption."""
        self.process.terminate()
        self.process.wait()
        return require("submitit", "slurm").helpers.DelayedSubmission(Execute(self.command))
