"""What is typed after a command, as Hydra reads it. Imports Hydra and nothing heavier."""

import os
import re
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from sightseq.core.errors import ConfigError
from sightseq.core.places import groups

PATHS = (
    *("ckpt", "input", "init_from", "resume", "output", "data.path", "data.root", "data.cache"),
    *("paths.data", "paths.cache", "paths.runs"),
)
"""The keys whose values are files or folders."""
WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p", "--config-name", "-cn", "--config-path", "-cp", "--config-dir", "-cd"),
    *("--info", "--shell-completion", "-sc"),
)
"""Flags of Hydra that take the word after them."""


def as_overrides(command: str, arguments: Sequence[str]) -> list[str]:
    """What is typed after a command, as Hydra reads it: paths quoted, and keys added that no config file holds.

    `test` and `export` take any `data.KEY`, and `predict` any KEY: which there are depends on the checkpoint, whose
    data or model refuses others.

    Raises:
        ConfigError: an input is empty, or `predict` is given a `data.KEY`.
    """
    if command != "predict":
        overrides = [quote(_added(command, argument)) for argument in arguments]
        typed = {argument.split(".")[1].partition("=")[0] for argument in overrides if argument.startswith("++data.")}
        # For the data, which cannot tell a typed value from its default: see `checkpoint.read_as`.
        return [*overrides, f"++typed=[{','.join(sorted(typed))}]"] if typed else overrides
    overrides, inputs = split_inputs(arguments)
    if inputs:
        overrides.append(f"input={inputs[0]}" if len(inputs) == 1 else f"input=[{','.join(inputs)}]")
    return overrides


def _added(command: str, argument: str) -> str:
    key, _, value = argument.partition("=")
    key = key.lstrip("+")
    if command == "predict" and key.startswith("data."):
        raise ConfigError(f"{key}=: predict reads no dataset, but its input=; sightseq test takes data.KEY=")
    free = re.fullmatch(r"\w+", key) and key not in groups() if command == "predict" else key.startswith("data.")
    return f"++{key}={value}" if free and command in ("test", "export", "predict") else argument


def split_inputs(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is typed after `predict`: overrides and flags, and all inputs; quoted for Hydra.

    An input is what `input=` says, one or `[a.png,b.png]`, and whatever is no KEY=VALUE, such as the files that a
    shell makes of a pattern. A file whose name holds "=" is one.

    Raises:
        ConfigError: one is empty.
    """
    rest: list[str] = []
    named: list[str] = []
    others: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        key, sign, value = argument.partition("=")
        if before in WITH_VALUE or (argument[:1] in "-~" and argument not in ("", "-") and argument[:2] != "~/"):
            rest.append(argument)
        elif sign and re.fullmatch(r"\+*input", key):
            named = [quote(f"input={one}").partition("=")[2] for one in _listed(value)]
        elif sign and re.fullmatch(r"\+*[\w./@]+", key) and not os.path.exists(argument):  # noqa: PTH110 (raises)
            rest.append(quote(_added("predict", argument)))
        else:
            others.append(f"'{_escaped(argument)}'")
    if {"", "''"} & {*named, *others}:
        raise ConfigError("input= is empty; name files, or write a text")
    return rest, named + others


def _listed(value: str) -> list[str]:
    """The parts of `[a.png,'b, c.png']`; a single other thing in brackets, such as a text, as it is."""
    if not (value.startswith("[") and value.endswith("]")) or os.path.exists(value):  # noqa: PTH110 (raises)
        return [value]
    lexer = shlex.shlex(value[1:-1], posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters, lexer.escape = ",", True, "", ""
    try:
        parts = [part.strip() for part in lexer]
    except ValueError:  # a quotation mark that is not closed
        return [value]
    several = len(parts) > 1 or value[1] in "'\"" or any(map(os.path.exists, parts))
    return parts if several else [value]


def quote(argument: str) -> str:
    """Quotes a value that Hydra's grammar would not read, or not as it is written: spaces, signs, other scripts.

    Paths are always texts, and so is a name: 2e5 is no number there. Other values are quoted where the grammar cannot
    read them; sweeps, lists, mappings, functions and interpolations never are.
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
    # Backslashes are doubled where a quote or the end follows, and nowhere else; ${ would be an interpolation.
    return re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value).replace("${", r"\${")


def _readable(argument: str) -> bool:
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True
