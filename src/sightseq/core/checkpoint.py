"""Reading checkpoints, a stranger's too: nothing in the file is run."""

import contextlib
import pickle
from pathlib import Path
from typing import Any

import torch

from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import CheckpointError, ConfigError
from sightseq.core.rundir import Config, find_checkpoint
from sightseq.core.spec import Spec
from sightseq.core.task import Task

UNSAID: Config = {"data": None, "experiment": "", "title": "", "baseline": {}, "seed": None}
"""The config of a checkpoint that a Trainer other than that of `sightseq train` wrote."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The plain content of a checkpoint: tensors, numbers, texts, lists and dictionaries.

    Args:
        path: of the file, or of what stands for it: see `find_checkpoint`.

    Raises:
        CheckpointError: there is no such file, it is damaged, it holds objects, or it is not ours.
    """
    path = find_checkpoint(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: is no checkpoint of sightseq, or holds objects that could run code; it was not opened"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        raise CheckpointError(
            f"{path}: is damaged, or no checkpoint at all ({' '.join(str(error).split())[:100]})"
        ) from error
    if not isinstance(content, dict) or not {"state_dict", "hyper_parameters"} <= set(content):
        raise CheckpointError(f"{path}: is no checkpoint of a sightseq task: it has no state_dict and hyper_parameters")
    signature = content.get("sightseq")
    if not isinstance(signature, dict) or "task" not in signature:
        raise CheckpointError(
            f"{path}: does not name the class of its task; a task writes it in on_save_checkpoint, so call "
            "super().on_save_checkpoint(checkpoint) where yours overrides it; or use CLASS.load_from_checkpoint"
        )
    return {**content, "sightseq": {"config": UNSAID, **signature}}


def read_resumable(path: Path) -> None:
    """Reads the checkpoint that a run is to be resumed from, before anything else takes time.

    Raises:
        CheckpointError: it is damaged; names the other checkpoints of the run that are whole, the newest first.
    """
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        whole = []
        for other in sorted(path.parent.glob("*.ckpt"), key=lambda file: file.stat().st_mtime, reverse=True):
            with contextlib.suppress(CheckpointError):
                if other != path:
                    read_checkpoint(other)
                    whole.append(f"resume={other}")
        remedy = f"to resume from an older one: {' or '.join(whole)}" if whole else "no other checkpoint is whole"
        raise CheckpointError(f"{error}; {remedy}") from error


def load_task(path: Path) -> Task:
    """The trained task, rebuilt from the file alone, on the CPU, ready to predict.

    Raises:
        CheckpointError: see `read_checkpoint`; or it asks for a class that is not trusted, or its weights do not fit.
    """
    return rebuild(read_checkpoint(path), str(path))


def rebuild(content: dict[str, Any], path: str) -> Task:
    """As `load_task`, from the content of the file at `path`."""
    try:
        config = {"_target_": content["sightseq"]["task"], **content["hyper_parameters"]}
        task = build(config, Task, "checkpoint")
        task.load_state_dict(content["state_dict"])
    except (CheckpointError, ConfigError, RuntimeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: {' '.join(str(error).split())[:400]}") from error
    return task.eval()


def data_of(content: dict[str, Any], task: Task, config: Config) -> DataModule:
    """The data that a checkpoint was trained on, or other data to be read as that was; not prepared yet.

    Args:
        content: of the checkpoint.
        task: rebuilt from it.
        config: of the command; its `data` names other data, or changes the checkpoint's.

    Raises:
        ConfigError: the data takes no such argument, or is of another kind.
        CheckpointError: the checkpoint does not say its data, and the command names none.
    """
    saved, given = content["sightseq"]["config"]["data"], config["data"] or {}
    if "_target_" in given:
        data = build(given, DataModule, "data")
        read_as(data, task.spec)
        if useless := data.encoding & set(config.get("typed", ())):
            raise ConfigError(
                f"data.{min(useless)}: other data is read as the checkpoint's model takes it; leave it out"
            )
        return data
    if saved is None:
        raise CheckpointError("the checkpoint is not of sightseq train and does not say its data; name it with data=")
    here = {"root": config["paths"]["data"], "cache": config["paths"]["cache"]}
    # A stranger's checkpoint says how data is read, but not what is downloaded and where to.
    chosen = saved | {"url": None, "files": None} | here | given
    if chosen.get("synthetic") and (typed := {"root", "path"} & set(given)):
        raise ConfigError(
            f"data.{typed.pop()}: the checkpoint was trained on generated data; add data.synthetic=false to test it on "
            "files"
        )
    data = build(chosen, DataModule, "data")
    data.given_spec = task.spec
    return data


def read_as(data: DataModule, spec: Spec) -> None:
    """Has data that is not prepared yet encode raw inputs as a model of this spec takes them, whatever its options say.

    Raises:
        ConfigError: the model takes data of another kind.
    """
    if type(data.example_spec) is not type(spec):
        own, wanted = type(data.example_spec).__name__, type(spec).__name__
        raise ConfigError(f"data={data.name}: its samples have a {own}, and the model takes those with a {wanted}")
    data.adopt(spec)
    data.given_spec = data.encoder = spec


def load_pretrained(task: Task) -> None:
    """Loads the weights that the network names, if it does; called when a training begins, and only then.

    Raises:
        ConfigError: they cannot be read or downloaded, or belong to another network.
    """
    if load := getattr(task.net, "load_weights", None):
        try:
            load()
        except Exception as error:  # a strange file makes torch.load raise nearly anything
            what = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"model.net.weights: {what}; name the file of a state dict, or begin without any: "
                "model.net.weights=null"
            ) from error


def warm_start(task: Task, content: dict[str, Any], path: str) -> list[str]:
    """Copies the network's weights whose name and shape agree; returns the names of those that stay as they were.

    Args:
        task: the task that is about to be trained.
        content: of a checkpoint, as `read_checkpoint` gives it.
        path: of that checkpoint, for messages.

    Raises:
        CheckpointError: no weight agrees.
    """
    own = {name: value for name, value in task.state_dict().items() if name.startswith("net.")}
    given = content["state_dict"]
    fitting = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    if not fitting:
        raise CheckpointError(f"{path}: none of its {len(given)} weights fits this network; is it of another kind?")
    task.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]
