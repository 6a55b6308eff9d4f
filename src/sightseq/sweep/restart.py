"""Finds the sweep that `resume=` continues. Imports nothing heavy."""

from collections.abc import Sequence
from pathlib import Path

from sightseq import console
from sightseq.composition import compose
from sightseq.core.errors import ConfigError
from sightseq.sweep.folder import SweepFolder
from sightseq.sweep.job import CHANGEABLE, changes_jobs, key_of

FLAGS = frozenset({"-m", "--multirun"})


def restart(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of `sightseq train` with which a sweep continues in its own folder.

    Without `resume=`, and for a single run, they are returned unchanged. `resume=auto` finds the newest sweep of the
    same arguments that has not ended; with repeat_failed=true, also one with failed jobs. `resume=SWEEP_DIR` reads the
    arguments from the folder.

    Raises:
        ConfigError: the sweep of a named folder would get other arguments.
    """
    named = next((a.partition("=")[2] for a in arguments if a.startswith("resume=")), "null")
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    if (Path(named).expanduser() / "sweep.json").is_file():
        folder = Path(named).expanduser().absolute()
        if wrong := {argument for argument in others if changes_jobs(argument)} - FLAGS:
            raise ConfigError(
                f"resume={named}: a sweep is resumed with its own arguments; only {', '.join(sorted(CHANGEABLE))} may "
                f"change, not {', '.join(sorted(wrong))}"
            )
        typed = {key_of(argument) for argument in others}
        kept = [argument for argument in SweepFolder(folder).about()["arguments"] if key_of(argument) not in typed]
        return [*kept, *others, f"hydra.sweep.dir={folder}"]
    if not FLAGS & set(arguments):
        return list(arguments)
    if named == "null":
        return others
    if named != "auto":
        raise ConfigError(f"resume={named}: it is not the folder of a sweep; name one, or write resume=auto")
    found = find_sweep(others)
    if found is None:
        print("resume=auto: there is no unfinished sweep of this command, so a new one starts")
        return others
    console.say("resume", console.short(found))
    return [*others, f"hydra.sweep.dir={found}"]


def find_sweep(arguments: Sequence[str]) -> Path | None:
    """Return the newest sweep of these arguments that has not ended, or has failed jobs that are to be repeated.

    A folder that the arguments name is returned as it is.

    Args:
        arguments: as typed, in any order; those that `changes_jobs` refuses are not compared.
    """
    if named := [argument for argument in arguments if argument.startswith("hydra.sweep.dir=")]:
        return Path(named[-1].partition("=")[2])
    runs = Path(compose(*(argument for argument in arguments if argument.startswith("paths.")))["paths"]["runs"])
    asked = sorted(filter(changes_jobs, arguments))
    for file in sorted(runs.glob("sweeps/*/sweep.json"), reverse=True):
        sweep = SweepFolder(file.parent)
        try:
            about = sweep.about()
        except ConfigError:  # its process was killed before it had written the file, and so before its first job
            continue
        if sorted(filter(changes_jobs, about["arguments"])) != asked:
            continue
        failed = any(job.state == "failed" for job in sweep.jobs().values())
        if not about["ended"] or (failed and "repeat_failed=true" in arguments):
            return file.parent
    return None
