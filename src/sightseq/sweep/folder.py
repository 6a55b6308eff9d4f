"""The folder of a sweep: what was typed, and a line for each job. Imports nothing heavy.

runs/sweeps/<date>-<random suffix>/
    sweep.json    the typed command, its arguments, the start, and the end once all jobs have ended
    jobs.jsonl    the jobs: one JSON object per line; the last line of a job's number counts
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sightseq.core.errors import ConfigError
from sightseq.core.files import replacing

JobState = Literal["running", "finished", "pruned", "failed", "interrupted"]
ENDED: tuple[JobState, ...] = ("finished", "pruned", "failed")


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        number: its place in the sweep, from 0.
        overrides: the overrides of its config.
        choice: the swept overrides without seeds and folds, which identify what is compared.
        folder: its run directory.
        state: see `JobState`.
        score: the headline score on the validation split; None if there is none.
    """

    number: int
    overrides: list[str]
    choice: str
    folder: Path
    state: JobState = "running"
    score: float | None = None

    def results(self) -> dict[str, Any] | None:
        """Return the content of results.json; None if the job has no results."""
        file = self.folder / "results.json"
        return json.loads(file.read_text()) if file.exists() else None

    def ended(self, status: int) -> "Job":
        """Return the job after its process has ended with an exit status."""
        results = self.results()
        if status or results is None:
            return replace(self, state="failed")
        score = results["val"][results["headline"]]
        return replace(self, state="pruned" if results.get("pruned") else "finished", score=score)


class SweepFolder:
    """A folder of a sweep. It may not exist yet.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, command: str, arguments: list[str]) -> None:
        """Create the folder and sweep.json; a folder that exists is kept."""
        self.path.mkdir(parents=True, exist_ok=True)
        about = {"command": command, "arguments": arguments, "started": now(), "ended": None}
        with suppress(FileExistsError), (self.path / "sweep.json").open("x") as file:  # jobs may begin at once
            file.write(json.dumps(about, indent=1) + "\n")

    def end(self) -> None:
        """Write down that all jobs have ended."""
        with replacing(self.path / "sweep.json") as file:
            file.write(json.dumps(self.about() | {"ended": now()}, indent=1).encode() + b"\n")

    def about(self) -> dict[str, Any]:
        """Return the content of sweep.json.

        Raises:
            ConfigError: the folder is not that of a sweep.
        """
        try:
            found: dict[str, Any] = json.loads((self.path / "sweep.json").read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.path} is not the folder of a sweep: it has no readable sweep.json") from error
        return found

    def record(self, job: Job) -> None:
        """Append the state of a job to jobs.jsonl."""
        line = json.dumps(asdict(job) | {"folder": str(job.folder), "time": now()})
        with (self.path / "jobs.jsonl").open("ab", buffering=0) as file:  # one write: a killed process leaves no half
            file.write(f"{line}\n".encode())

    def jobs(self) -> dict[int, Job]:
        """Return the jobs by number, in order."""
        file = self.path / "jobs.jsonl"
        found: dict[int, Job] = {}
        for line in file.read_text().splitlines() if file.exists() else ():
            fields = json.loads(line)
            del fields["time"]
            found[fields["number"]] = Job(**fields | {"folder": Path(fields["folder"])})
        return dict(sorted(found.items()))


def now() -> str:
    """Return the time in UTC, such as "2026-11-28T10:15:00+00:00"."""
    return datetime.now(UTC).isoformat(timespec="seconds")
