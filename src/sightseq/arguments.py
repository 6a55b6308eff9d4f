"""Converts the arguments of a command to Hydra overrides. Imports Hydra and nothing heavier."""

import os
import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from sightseq.core.errors import ConfigError
from sightseq.core.places import groups

PATHS = (
    *("paths.data", "paths.cache", "paths.runs"),
    *("data.path", "data.root", "data.cache", "data.shards"),
    *("ckpt", "input", "init_from", "resume", "output", "shards"),
)
"""Keys whose values are files or folders; those of `paths` come first, because others refer to them."""
SERVERS = ("serve", "demo")
"""Commands that take several checkpoints."""
WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p", "--config-name", "-cn", "--config-path", "-cp", "--config-dir", "-cd"),
    *("--info", "--shell-completion", "-sc"),
)
"""Hydra flags that take the next word as their value."""


def to_overrides(command: str, arguments: Sequence[str]) -> list[str]:
    """Convert the arguments of a command to Hydra overrides: quote paths, and prefix keys not in the config with `++`.

    `sweep.KEY` of `train` stands for hydra.sweeper.KEY.

    `serve` and `demo` accept several `ckpt`.

    `test` and `export` accept any `data.KEY`, and `predict` any KEY, because the valid keys depend on the checkpoint:
    its data or model rejects unknown ones later.

    Raises:
        ConfigError: an input is empty, or `predict` is given a `data.KEY`.
    """
    if command in SERVERS:
        return gather_checkpoints(arguments)
    if command != "predict":
        overrides = [quote(_added(command, argument)) for argument in arguments]
        typed = {argument.split(".")[1].partition("=")[0] for argument in overrides if argument.startswith("++data.")}
        # The data module cannot distinguish a typed value from its default: see `checkpoint.read_as`.
        return [*overrides, f"++typed=[{','.join(sorted(typed))}]"] if typed else overrides
    overrides, inputs = split_inputs(arguments)
    if inputs:
        overrides.append(f"input={inputs[0]}" if len(inputs) == 1 else f"input=[{','.join(inputs)}]")
    return overrides


def _added(command: str, argument: str) -> str:
    if command == "train":  # sweep.n_trials is a setting of Hydra's sweeper
        return re.sub(r"^(\+*)sweep\.", r"\1hydra.sweeper.", argument)
    key, _, value = argument.partition("=")
    key = key.lstrip("+")
    if command == "predict" and key.startswith("data."):
        raise ConfigError(f"{key}=: predict reads its input=, not a dataset; sightseq test takes data.KEY=")
    free = re.fullmatch(r"\w+", key) and key not in groups() if command == "predict" else key.startswith("data.")
    return f"++{key}={value}" if free and command in ("test", "export", "predict") else argument


def split_inputs(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the arguments of `predict` into overrides (with flags) and inputs; both are quoted for Hydra.

    Inputs are the value of `input=` (one, or a list `[a.png,b.png]`) and every argument that is not KEY=VALUE, such as
    the files that a shell pattern expands to. The name of an existing file that contains "=" is an input too.

    Raises:
        ConfigError: an input is empty.
    """
    overrides: list[str] = []
    named: list[str] = []
    positional: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        key, sign, value = argument.partition("=")
        if before in WITH_VALUE or (argument[:1] in "-~" and argument not in ("", "-") and argument[:2] != "~/"):
            overrides.append(argument)
        elif sign and re.fullmatch(r"\+*input", key):
            named = [quote(f"input={one}").partition("=")[2] for one in _listed(value)]
        elif sign and re.fullmatch(r"\+*[\w./@]+", key) and not os.path.exists(argument):  # noqa: PTH110 (raises)
            overrides.append(quote(_added("predict", argument)))
        else:
            positional.append(f"'{_escaped(argument)}'")
    if {"", "''"} & {*named, *positional}:
        raise ConfigError("input= is empty; name files, or write a text")
    return overrides, named + positional


def gather_checkpoints(arguments: Sequence[str]) -> list[str]:
    """Join all `ckpt=PATH` and `ckpt=[NAME=PATH,PATH]` to one override, a list; quote the others."""
    others = [argument for argument in arguments if not re.match(r"\+*ckpt=", argument)]
    paths: list[str] = []
    for argument in arguments:
        if argument not in others:
            value = argument.partition("=")[2]
            found = _listed(value)
            paths += [value[1:-1]] if found == [value] and re.fullmatch(r"\[.+\]", value) else found
    joined = ",".join(f"'{_escaped(path)}'" for path in paths)
    return [*map(quote, others), *([f"ckpt=[{joined}]"] if paths else [])]


def _listed(value: str) -> list[str]:
    """Return the items of `[a.png,'b, c.png']`; anything else, such as a text in brackets, as a single item."""
    if not (value.startswith("[") and value.endswith("]")) or os.path.exists(value):  # noqa: PTH110 (raises)
        return [value]
    lexer = shlex.shlex(value[1:-1], posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters, lexer.escape = ",", True, "", ""
    try:
        parts = [part.strip() for part in lexer]
    except ValueError:  # an unclosed quotation mark
        return [value]
    several = len(parts) > 1 or value[1] in "'\"" or any(map(os.path.exists, parts))
    return parts if several else [value]


def quote(argument: str) -> str:
    """Quote a value that Hydra's grammar cannot parse or would change: spaces, special characters, non-Latin scripts.

    Paths and `name=` are always strings: `name=2e5` is not a number. Other values are quoted only if the grammar cannot
    parse them. Sweeps, lists, mappings, functions and interpolations are never quoted.
    """
    key, _, value = argument.partition("=")
    quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0] not in value[1:-1]
    if not value or quoted or argument.startswith(("-", "~")):
        return argument
    text = f"{key}='{_escaped(value)}'"
    if key.lstrip("+") in PATHS:
        return argument if value in ("null", "auto") and key != "input" else text
    if value.startswith(("[", "{")) or "," in value or "${" in value or re.match(r"\w+\(", value):
        return argument
    if key == "name":
        return argument if value == "null" else text
    return text if not _readable(argument) and _readable(text) else argument


def _escaped(value: str) -> str:
    # Double backslashes only before a quote or the end; escape ${, which would start an interpolation.
    return re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value).replace("${", r"\${")


def _readable(argument: str) -> bool:
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True
