"""Hydra launchers whose jobs are processes of their own on saved configs. Imports nothing heavy.

`ProcessLauncher` is the base; `LocalLauncher` runs jobs on this machine, `sightseq.sweep.slurm` on a cluster.
"""

import signal
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, cast

from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from sightseq import console
from sightseq.core.errors import ConfigError
from sightseq.core.naming import score_infos
from sightseq.core.rundir import locked, read_config
from sightseq.sweep import child
from sightseq.sweep.folder import ENDED, Job
from sightseq.sweep.job import JobFunction, command_of
from sightseq.sweep.processes import INTERRUPTED

Ask = Callable[[], tuple[int, Sequence[str]] | None]
Tell = Callable[[int, JobReturn], None]


class Process(Protocol):
    """A started job, such as `multiprocessing.Process`."""

    @property
    def exitcode(self) -> int | None:
        """The exit status; None while it runs."""

    def terminate(self) -> None:
        """Ask it to save and end."""


class Running(NamedTuple):
    """A running job, the result that Hydra prepared for it, and its process."""

    job: Job
    result: JobReturn
    process: Process


class ProcessLauncher(Launcher):
    """Base of the launchers: keeps up to `jobs` processes running.

    Args:
        jobs: number of jobs at once.

    Attributes:
        forwarded: signals that are forwarded to the jobs; a terminal sends SIGINT (Ctrl-C) to local processes itself.
    """

    forwarded: ClassVar[tuple[int, ...]] = (signal.SIGTERM,)

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra passes; see `hydra.plugins.launcher.Launcher`."""
        self.hydra_context, self.config = hydra_context, config
        if isinstance(self.jobs, bool) or not isinstance(self.jobs, int) or self.jobs < 1:
            raise ConfigError(f"jobs={self.jobs}: must be a whole number above 0, of jobs at once")
        if not isinstance(task_function, JobFunction):
            raise ConfigError("this launcher runs jobs of sightseq train; another program needs one of Hydra's own")
        self.function = task_function

    @abstractmethod
    def start(self, job: Job, slot: int) -> Process:
        """Start a process that executes the job's run directory.

        Args:
            job: to run.
            slot: from 0 to `jobs` - 1; no two running jobs have the same.
        """

    @abstractmethod
    def wait(self, running: Collection[Any]) -> None:
        """Wait until one of the processes may have ended, or some time has passed."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, several at once, and return their results in order. Hydra's sweepers call this."""
        waiting = iter(list(enumerate(job_overrides, initial_job_idx)))
        found: dict[int, JobReturn] = {}

        def tell(number: int, result: JobReturn) -> None:
            found[number] = result
            if self.jobs > 1 and self.function.sweep:  # the output of the job itself is in its folder
                job = self.function.sweep.jobs()[number]
                print(f"job {number} {job.state}: {describe(job)}", flush=True)

        self.stream(lambda: next(waiting, None), tell)
        return [found[number] for number in sorted(found)]

    def stream(self, ask: Ask, tell: Tell) -> None:
        """Run jobs until there are no more and all have ended.

        Args:
            ask: called whenever a slot is free; returns a job's number and overrides, or None if there are no more.
            tell: called with the number and the result of each job that has ended.

        Raises:
            KeyboardInterrupt: this process received SIGINT or SIGTERM, or a job was interrupted; all jobs have ended.
            ConfigError: another process sweeps into the same folder.
        """
        setup_globals()
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        running: dict[int, Running] = {}  # by slot
        more = True
        with locked(folder), interruptible(running, self.forwarded) as received:
            while more or running:
                while more and not received and len(running) < self.jobs:
                    more = self._next(running, ask, tell)
                    if set(received) & set(self.forwarded):  # it arrived while the job was started
                        terminate(running)
                if received and not running:
                    break
                if running:
                    self.wait([one.process for one in running.values()])
                for slot in [slot for slot, one in running.items() if one.process.exitcode is not None]:
                    self._end(running.pop(slot), tell, received)
        if received:
            raise KeyboardInterrupt

    def _next(self, running: dict[int, Running], ask: Ask, tell: Tell) -> bool:
        """Start the next job, or tell its result if it has ended before; returns False if there is no next job."""
        if (asked := ask()) is None:
            return False
        number, overrides = asked
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = number
        result = run_job(self.function.prepare, composed, "hydra.sweep.dir", "hydra.sweep.subdir", self.hydra_context)
        if result.status != JobStatus.COMPLETED:
            raise result._return_value  # its property would print a line of Hydra's
        job: Job = result.return_value
        if job.state in ENDED:
            result.return_value = self.function.objective(job)
            tell(number, result)
        else:
            print(f"\njob {number}: {command_of(job)}", flush=True)
            slot = next(slot for slot in range(self.jobs) if slot not in running)
            running[slot] = Running(job, result, self.start(job, slot))
        return True

    def _end(self, ended: Running, tell: Tell, received: list[int]) -> None:
        """Record how a job ended, and tell its result unless the sweep was interrupted."""
        status = ended.process.exitcode or 0
        if status == INTERRUPTED:
            received.append(signal.SIGINT)
        if received and status:
            self.function.record(replace(ended.job, state="interrupted"))
            return
        job = self.function.record(ended.job.ended(status))
        ended.result.return_value = self.function.objective(job)
        tell(job.number, ended.result)


def describe(job: Job) -> str:
    """Return what is printed of a job that has ended: its headline score and seconds, or where its output is."""
    results = job.results()
    if job.score is None or results is None:
        return f"see {console.short(job.folder / child.OUTPUT)}"
    info = score_infos(results)[results["headline"]]
    return f"{info.title} {info.text(job.score)}, {results['seconds']['total']:.0f} s, {console.short(job.folder)}"


def terminate(running: Mapping[int, Running]) -> None:
    """Tell all running jobs to save and end."""
    for one in list(running.values()):
        one.process.terminate()


@contextmanager
def interruptible(running: Mapping[int, Running], forwarded: Collection[int]) -> Iterator[list[int]]:
    """Context in which SIGINT and SIGTERM are collected. On those in `forwarded`, the jobs are told to save and end."""
    received: list[int] = []

    def on_signal(number: int, frame: Any) -> None:
        received.append(number)
        if number in forwarded:
            terminate(running)

    handlers = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class LocalLauncher(ProcessLauncher):
    """Runs jobs on this machine. They are forked from a server that has imported everything once.

    With several jobs at once, each has its share of the cores and of the GPUs, and its output goes to output.txt in its
    run directory.

    Args:
        jobs: number of jobs at once.
    """

    def start(self, job: Job, slot: int) -> Process:
        """Fork a process; the first one waits until the server has imported what its config names."""
        context = child.forking(read_config(job.folder))
        process = context.Process(target=child.execute, args=(job.folder, slot, self.jobs))
        process.start()
        return cast(Process, process)

    def wait(self, running: Collection[Any]) -> None:
        wait([process.sentinel for process in running])
