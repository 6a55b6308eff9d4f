"""`sightseq predict`: applies a trained model to inputs. The task's predictor defines how inputs are read."""

import json
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sightseq.console import console, new_table
from sightseq.core.build import trust as trust_packages
from sightseq.core.build import validated
from sightseq.core.checkpoint import load_task, read_checkpoint, rebuild
from sightseq.core.errors import CheckpointError, ConfigError, InputError, InputWarning, nearest
from sightseq.core.places import conf_folder
from sightseq.core.predictor import Predictor
from sightseq.core.rundir import Config, split_name
from sightseq.core.task import Task


class Common(BaseModel):
    """Options common to all models, besides the checkpoint and the inputs."""

    format: str
    device: str
    trust: list[str]


COMMON = {"ckpt", "input", *Common.model_fields}
FORMATS = ("table", "jsonl")


def load(path: str | Path, device: str = "auto", trust: Iterable[str] = ()) -> Predictor:
    """Load the model of a checkpoint, ready to predict.

    Args:
        path: a checkpoint file, or a folder that `core.rundir.find_checkpoint` resolves to one.
        device: see `Predictor`.
        trust: additional packages whose classes the checkpoint may name.

    Raises:
        CheckpointError: the file is not a sightseq checkpoint, or its task has no predictor.
        ConfigError: the device is not available.
    """
    trust_packages(trust)
    return predictor_of(load_task(Path(path)), str(path), device)


def predictor_of(task: Task, path: str, device: str) -> Predictor:
    """Return the predictor of a task that was loaded from `path`; see `load`."""
    kind = task.predictor()
    if kind is None:
        name = type(task).__name__
        raise CheckpointError(f"{path}: {name} has no predictor; return one from {name}.predictor()")
    return kind(task, device)


@dataclass(frozen=True)
class Loaded:
    """A model, with its checkpoint's path and content."""

    path: Path
    content: dict[str, Any]
    predictor: Predictor

    @property
    def title(self) -> str:
        """Title of its experiment."""
        return str(self.content["sightseq"]["config"]["title"])


def load_named(given: Sequence[str], device: str) -> dict[str, Loaded]:
    """Load several models by name: the one given, or the experiment's, with a number if two models have the same.

    Args:
        given: paths, or NAME=PATH.
        device: see `Predictor`.

    Raises:
        CheckpointError: see `load`.
        ConfigError: two models were given the same name, or the device is not available.
    """
    models: dict[str, Loaded] = {}
    for typed in given:
        name, path = split_name(typed)
        content = read_checkpoint(Path(path))
        if name is None:
            own = re.sub(r"[^\w-]", "-", content["sightseq"]["config"]["experiment"].rpartition("/")[2]) or "model"
            name = next(one for one in chain([own], (f"{own}-{number}" for number in count(2))) if one not in models)
        if name in models:
            raise ConfigError(f"ckpt={typed}: there are two models named {name}")
        models[name] = Loaded(Path(path), content, predictor_of(rebuild(content, path), path, device))
    return models


def predict(config: Config) -> int:
    """Run `sightseq predict`: print the predictions; return exit status 2 if an input cannot be read, else 0.

    Raises:
        ConfigError: the model does not have an option that was given, a value is invalid, or the input is missing.
    """
    common = validated(config, Common)
    trust_packages(common.trust)
    predictor = load(config["ckpt"], common.device)
    if common.format not in (known := (*FORMATS, *predictor.formats)):
        raise ConfigError(f"format={common.format}: this model has no such format; {nearest(common.format, known)}")
    own = {name: value for name, value in config.items() if name not in {*COMMON, "paths"}}
    given = predictor.default_input if config["input"] is None else config["input"]
    if given is None:
        raise ConfigError("input= is required: sightseq predict input=...")
    inputs = list(map(str, given)) if isinstance(given, list) else [str(given)]
    return print_predictions(predictor, inputs, common.format, predictor.options(own, COMMON))


def print_predictions(predictor: Predictor, inputs: Sequence[str], format: str, options: Any) -> int:
    """Print the predictions, then the warnings, then the inputs that cannot be read.

    Args:
        predictor: the model's predictor.
        inputs: the inputs as typed.
        format: "table"; "jsonl": one JSON object per line, printed as soon as its batch is predicted; or one of the
            predictor's own `formats`.
        options: an instance of the predictor's `Settings`.

    Returns:
        The exit status: 2 if any input cannot be read, else 0.

    Raises:
        ConfigError: an option has no effect on these inputs.
    """
    predictor.check(inputs, options)
    if format in predictor.documents and (count := _count(predictor, inputs, options)) > 1:
        raise ConfigError(f"format={format}: is a document of one input, and there are {count}; predict each by itself")
    bad: list[InputError] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", InputWarning)
        if format == "jsonl":
            for _, row in predictor.rows(inputs, options, bad):
                line = json.dumps(row, ensure_ascii=False)
                # A file name that is not valid UTF-8 has lone surrogates, which must be escaped.
                print(line.encode("utf-8", "backslashreplace").decode(), flush=True)
        elif format in predictor.formats:
            for _, row in predictor.rows(inputs, options, bad):
                print(printable(predictor.formats[format](row)), end="", flush=True)
        elif (pieces := predictor.live(inputs, options, bad)) is not None:
            for piece in pieces:
                print(printable(piece), end="", flush=True)
        else:
            _print_table(predictor, inputs, options, bad)
    for text in sorted({str(warning.message) for warning in warned}):  # sorted, because threads warn in random order
        print(f"Warning: {printable(text)}", file=sys.stderr)
    for error in bad:
        print(f"InputError: {printable(str(error))}", file=sys.stderr)
    return 2 if bad else 0


def _count(predictor: Predictor, inputs: Sequence[str], options: Any) -> int:
    """Return the number of items of these inputs, without those that cannot be read."""
    count = 0
    for given in inputs:
        with suppress(InputError):  # reported when the input is predicted
            count += sum(1 for _ in predictor.expand(given, options))
    return count


def _print_table(predictor: Predictor, inputs: Sequence[str], options: Any, bad: list[InputError]) -> None:
    table = None
    for _, row in predictor.rows(inputs, options, bad):
        cells = predictor.cells(row)
        table = table or new_table(*cells)
        table.add_row(*map(printable, cells.values()))
    if table:
        console().print(table)


def printable(text: str) -> str:
    """Replace control characters, except line breaks, by spaces: they could control the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def options_help(config: Config) -> str:
    """Return the text of `sightseq predict ckpt=PATH --help`: the options of all models, and those of this model."""
    predictor = load(config["ckpt"], "cpu", config["trust"])
    lines = (conf_folder() / "predict.yaml").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("ckpt:"))
    common = lines[first : lines.index("", first)]
    if predictor.default_input is None:
        common = [line.replace("input: null", "input: ??? ") for line in common]
    fields = predictor.Settings.model_fields
    options = {f"{name}: {_default(field)}": field.description for name, field in fields.items()}
    width = max([22, *map(len, options)])
    own = [f"{option:<{width}} # {description}" for option, description in options.items()]
    given = "input=..." if predictor.default_input is None else "[input=...]"
    head = f"sightseq predict ckpt={config['ckpt']} {given}: the options of this {type(predictor).__name__}"
    return "\n".join([head, "", *common, "", *own])


def _default(field: FieldInfo) -> str:
    """Return the default of an option as typed on the command line; "???" if a value is required."""
    value = "???" if field.is_required() else field.get_default(call_default_factory=True)
    return "null" if value is None else str(value)
