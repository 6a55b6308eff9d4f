"""The objectives of a search and their directions. Imports nothing heavy before it is called.

A task knows its scores but imports torch, so another process is asked.
"""

from collections.abc import Sequence
from typing import Any

from sightseq.core.errors import ConfigError, SightseqError, nearest
from sightseq.core.rundir import Config
from sightseq.sweep.child import forking

COSTS = ("seconds", "parameters")
"""Objectives that every run has; less is better."""


def ask_objectives(config: Config, names: Sequence[str] | None) -> dict[str, Any]:
    """Return the result of `find_objectives`, called in a process of its own.

    The process is forked from the server that the local launcher also uses: what it imports is imported once.

    Raises:
        ConfigError: the task cannot be built, or has no such score.
    """
    context = forking(config)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(sender, config, names), daemon=True)
    process.start()
    sender.close()
    try:
        found: dict[str, Any] | str = receiver.recv()
    except EOFError:
        found = "the process that builds the task has died"
    process.join()
    if isinstance(found, str):
        raise ConfigError(found)
    return found


def answer(sender: Any, config: Config, names: Sequence[str] | None) -> None:
    """Send the result of `find_objectives`, or the text of its error."""
    try:
        sender.send(find_objectives(config, names))
    except SightseqError as error:
        sender.send(str(error))


def find_objectives(config: Config, names: Sequence[str] | None) -> dict[str, Any]:
    """Return the names and the directions of the objectives of a training.

    Args:
        config: the config of a job.
        names: scores with their stage, such as val/accuracy, or names in `COSTS`; None for the task's main score.

    Raises:
        ConfigError: the task cannot be built, or has no such score.
    """
    from sightseq.core.build import build, trust
    from sightseq.core.datamodule import DataModule
    from sightseq.core.task import Task

    trust(config["trust"])
    data = build(config["data"], DataModule, "data")
    task = build(config["model"], Task, "model", spec=data.example_spec.to_dict())
    names = [f"val/{task.headline}"] if names is None else names
    known = {f"val/{name}": bool(info.higher_is_better) for name, info in task.scoreboard.infos["val"].items()}
    known |= dict.fromkeys(COSTS, False)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"sweep.objectives: there is no score {unknown[0]}; {nearest(unknown[0], known)}")
    return {"names": list(names), "directions": ["maximize" if known[name] else "minimize" for name in names]}
