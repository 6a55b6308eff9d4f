"""Reads checkpoints, also untrusted ones: no code in the file is run."""

import contextlib
import pickle
from pathlib import Path
from typing import Any

import torch

from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import CheckpointError, ConfigError
from sightseq.core.rundir import Config, find_checkpoint
from sightseq.core.shards.fetch import scheme
from sightseq.core.spec import Spec
from sightseq.core.task import Task

DEFAULT_CONFIG: Config = {"data": None, "experiment": "", "title": "", "baseline": {}, "seed": None}
"""Config assumed for a checkpoint that was not written by `sightseq train`."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the plain content of a checkpoint: tensors, numbers, strings, lists and dictionaries.

    Args:
        path: the file, or a folder that stands for it: see `find_checkpoint`.

    Raises:
        CheckpointError: the file does not exist, is damaged, contains objects, or is not a sightseq checkpoint.
    """
    path = find_checkpoint(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: is not a sightseq checkpoint, or contains objects that could run code; it was not opened"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        raise CheckpointError(
            f"{path}: is damaged, or not a checkpoint ({' '.join(str(error).split())[:100]})"
        ) from error
    if not isinstance(content, dict) or not {"state_dict", "hyper_parameters"} <= set(content):
        raise CheckpointError(f"{path}: is not a sightseq checkpoint: it has no state_dict and hyper_parameters")
    signature = content.get("sightseq")
    if not isinstance(signature, dict) or "task" not in signature:
        raise CheckpointError(
            f"{path}: does not name the class of its task; if your task overrides on_save_checkpoint, call "
            "super().on_save_checkpoint(checkpoint) there; or load the file with CLASS.load_from_checkpoint"
        )
    return {**content, "sightseq": {"config": DEFAULT_CONFIG, **signature}}


def check_resumable(path: Path) -> None:
    """Check that the checkpoint to resume from can be read, before slower work starts.

    Raises:
        CheckpointError: it is damaged; the message names the other readable checkpoints of the run, newest first.
    """
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        readable = []
        for other in sorted(path.parent.glob("*.ckpt"), key=lambda file: file.stat().st_mtime, reverse=True):
            with contextlib.suppress(CheckpointError):
                if other != path:
                    read_checkpoint(other)
                    readable.append(f"resume={other}")
        options = f"to resume from an older one: {' or '.join(readable)}"
        remedy = options if readable else "the run has no other readable checkpoint"
        raise CheckpointError(f"{error}; {remedy}") from error


def load_task(path: Path) -> Task:
    """Return the trained task, rebuilt from the file alone, on the CPU, in eval mode.

    Raises:
        CheckpointError: see `read_checkpoint`; or it names a class that is not trusted, or its weights do not fit.
    """
    return rebuild(read_checkpoint(path), str(path))


def rebuild(content: dict[str, Any], path: str) -> Task:
    """Return the task like `load_task`, from the content of the file at `path`."""
    try:
        config = {"_target_": content["sightseq"]["task"], **content["hyper_parameters"]}
        task = build(config, Task, "checkpoint")
        task.load_state_dict(content["state_dict"])
    except (CheckpointError, ConfigError, RuntimeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: {' '.join(str(error).split())[:400]}") from error
    return task.eval()


def data_of(content: dict[str, Any], task: Task, config: Config) -> DataModule:
    """Return the data a checkpoint was trained on, or other data encoded in the same way; not prepared yet.

    Args:
        content: content of the checkpoint.
        task: task rebuilt from it.
        config: config of the command; its `data` names other data, or changes options of the checkpoint's data.

    Raises:
        ConfigError: the data has no such argument, or is of another kind.
        CheckpointError: the checkpoint does not contain its data config, or names a server, and the command names no
            data.
    """
    saved, given = content["sightseq"]["config"]["data"], config["data"] or {}
    if "_target_" in given:
        data = build(given, DataModule, "data")
        read_as(data, task.spec)
        if useless := data.encoding_arguments & set(config.get("typed", ())):
            raise ConfigError(
                f"data.{min(useless)}: the checkpoint sets how other data is encoded; leave this option out"
            )
        return data
    if saved is None:
        raise CheckpointError(
            "the checkpoint was not written by sightseq train and has no data config; name it with data="
        )
    here = {"root": config["paths"]["data"], "cache": config["paths"]["cache"]}
    # An untrusted checkpoint may set how data is read, but not what is downloaded and to where.
    chosen = saved | {"url": None, "files": None} | here | given
    if (place := saved.get("shards")) and scheme(place) and "shards" not in given:
        raise CheckpointError(f"it was trained from {place}; to read the data from there, add data.shards={place}")
    if chosen.get("synthetic") and (typed := {"root", "path"} & set(given)):
        raise ConfigError(
            f"data.{typed.pop()}: the checkpoint was trained on generated data; add data.synthetic=false to test it on "
            "files"
        )
    data = build(chosen, DataModule, "data")
    data.given_spec = task.spec
    return data


def read_as(data: DataModule, spec: Spec) -> None:
    """Make unprepared data encode raw inputs as the model of this spec expects, regardless of the data's own options.

    Raises:
        ConfigError: the model takes data of another kind.
    """
    if type(data.example_spec) is not type(spec):
        given, expected = type(data.example_spec).__name__, type(spec).__name__
        raise ConfigError(
            f"data={data.name}: has the spec {given}, but the model expects {expected}; choose other data"
        )
    data.adopt(spec)
    data.given_spec = data.encoder = spec


def load_pretrained(task: Task) -> None:
    """Load the pretrained weights that the network, or a part of it, names; called only when a new training starts.

    Raises:
        ConfigError: they cannot be read or downloaded, or belong to another network.
    """
    for name, module in task.net.named_modules():
        load = getattr(module, "load_weights", None)
        if load is None:
            continue
        try:
            load()
        except Exception as error:  # torch.load raises almost any error for an unsuitable file
            key = ".".join(filter(None, ("model.net", name, "weights")))
            what = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"{key}: {what}; name the file of a state dict, or train without pretrained weights: {key}=null"
            ) from error


def warm_start(task: Task, content: dict[str, Any], path: str) -> list[str]:
    """Copy the network weights whose names and shapes match; return the names of the weights that did not match.

    Args:
        task: the task that will be trained.
        content: content of a checkpoint, as `read_checkpoint` returns it.
        path: path of the checkpoint, for messages.

    Raises:
        CheckpointError: no weight matches.
    """
    own = {name: value for name, value in task.state_dict().items() if name.startswith("net.")}
    given = content["state_dict"]
    matching = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    if not matching:
        raise CheckpointError(
            f"{path}: none of its {len(given)} weights fits this network (name and shape); "
            "choose a checkpoint of the same kind of network"
        )
    task.load_state_dict(matching, strict=False)
    return [name for name in own if name not in matching]
