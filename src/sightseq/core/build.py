"""Builds an object from a plain dictionary with a `_target_`, and rejects everything else.

This is the only place where a name in a config or a checkpoint becomes code that runs. A target must be a
class, a subclass of the requested kind, and defined in a trusted package. Functions are never targets.
"""

import importlib
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from sightseq.core.errors import ConfigError, SightseqError, nearest
from sightseq.core.places import extension_packages

T = TypeVar("T")
AnyModel = TypeVar("AnyModel", bound=BaseModel)
_trusted = {"sightseq", "torch", "torchvision", "torchmetrics", "lightning"} | extension_packages()


def trust(packages: str | Iterable[str]) -> None:
    """Allow classes of these top-level packages to be built, for the rest of the process.

    If one of them is not installed, modules of the working directory become importable too.

    Args:
        packages: names of the packages; a str is one name.

    Raises:
        ConfigError: a name is not the name of a top-level package.
    """
    names = [packages] if isinstance(packages, str) else list(packages)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(f"trust: {name} is not the name of a top-level package; write it as in trust=[mynet]")
    if any(name not in sys.modules and find_spec(name) is None for name in names):
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.append(here)  # last, so that it hides no installed package
        importlib.invalidate_caches()
    _trusted.update(names)


def find_class(target: object, kind: type[T], key: str) -> type[T]:
    """Return the class that a `_target_` names.

    Raises:
        ConfigError: no such class, not a class, not a subclass of `kind`, or not from a trusted package.
    """
    name = str(target)
    module_name, _, class_name = name.rpartition(".")
    package = module_name.partition(".")[0]
    if not module_name:
        raise ConfigError(f"{key}._target_: {name} is not a full name; write it as in package.module.ClassName")
    if package not in _trusted:
        raise ConfigError(
            f"{key}._target_: {name} is not from a trusted package ({', '.join(sorted(_trusted))}); "
            f"if you know what it does, add trust=[{package}] to the command"
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{key}._target_: cannot import {module_name} ({error})") from error
    cls = getattr(module, class_name, None)
    if cls is None:
        classes = [f"{module_name}.{n}" for n, c in vars(module).items() if inspect.isclass(c) and issubclass(c, kind)]
        raise ConfigError(f"{key}._target_: {module_name} has no {class_name}; {nearest(name, classes)}")
    if not inspect.isclass(cls) or not issubclass(cls, kind):
        raise ConfigError(f"{key}._target_: {name} is not a class of kind {kind.__name__}")
    if cls.__module__.partition(".")[0] not in _trusted:  # a trusted module may re-export an untrusted class
        raise ConfigError(f"{key}._target_: {name} comes from {cls.__module__}, which is not trusted")
    return cls


def build(config: Mapping[str, Any], kind: type[T], key: str, **extra: Any) -> T:
    """Call the class that `config` names, with the other values of `config` as arguments.

    A value with its own `_target_` is built too if its parameter is annotated with a class, an optional class, or a
    list, tuple or mapping of classes (an encoder and a decoder); the annotated class is then the required kind. If the
    parameter is annotated with a mapping of plain values or `Any`, the value is passed unchanged.

    Args:
        config: plain values with a `_target_`.
        kind: the class that the target must be or inherit from.
        key: position of `config` in the whole config, for messages: "model.net".
        extra: further arguments, passed to the class and to nested classes if they have parameters of these names,
            else ignored; a value in `config` takes precedence.

    Raises:
        ConfigError: the target is rejected, an argument is unknown, missing or of the wrong type, or the
            class itself rejects a value.
    """
    if not isinstance(config, Mapping) or "_target_" not in config:
        raise ConfigError(f"{key}: no _target_; name a class, as in package.module.ClassName")
    cls = find_class(config["_target_"], kind, key)
    known = parameters(cls)
    arguments = {name: value for name, value in config.items() if name != "_target_"}
    unknown = [name for name in arguments if name not in known]
    if len(unknown) > 1:  # such as after a new _target_: the arguments of the old one remain
        remedy = " ".join(f"~{key}.{name}" for name in unknown)
        raise ConfigError(f"{key}: {cls.__name__} takes no {', '.join(unknown)}; to leave them out, add {remedy}")
    for name in unknown:
        hint = nearest(name, known)
        remedy = "" if hint.startswith("did you mean") else f"; to leave it out, add ~{key}.{name}"
        raise ConfigError(f"{key}.{name}: {cls.__name__} takes no such argument; {hint}{remedy}")
    arguments = {name: _checked(cls, name, value, f"{key}.{name}", extra) for name, value in arguments.items()}
    arguments = {name: value for name, value in extra.items() if name in known} | arguments
    for name, parameter in inspect.signature(cls).parameters.items():
        if name in known and parameter.default is parameter.empty and name not in arguments:
            raise ConfigError(f"{key}.{name}: {cls.__name__} needs this argument")
    try:
        return cls(**arguments)
    except SightseqError:
        raise
    except Exception as error:  # any error in a constructor is reported as one of its arguments
        raise ConfigError(f"{key}: {cls.__name__} refuses its arguments: {error}") from error


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """Return the named parameters of a class; if it takes **kwargs, those of its base classes too."""
    named: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        open_ended = False
        for parameter in list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]:
            open_ended |= parameter.kind is parameter.VAR_KEYWORD
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                named.setdefault(parameter.name, parameter)
        if not open_ended:
            break
    return named


def settings(config: Mapping[str, Any], kind: type[BaseModel]) -> dict[str, Any]:
    """Return the config with its values converted to the types of `kind`: 3.0 tokens become 3.

    Raises:
        ConfigError: a value is invalid.
    """
    return {**config, **validated(config, kind).model_dump()}


def validated(config: Mapping[str, Any], kind: type[AnyModel]) -> AnyModel:
    """Return the values of the config as a `kind`; its `model_fields_set` contains the names that were given.

    Raises:
        ConfigError: a value is invalid.
    """
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(f"{problem['loc'][0]}={problem['input']}: {problem['msg'].lower()}") from error


def _nested(hint: Any, value: Any, key: str, extra: Mapping[str, Any]) -> Any:
    """Return `value` with nested objects built as the annotation `hint` requires: see `build`."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if isinstance(value, Mapping) and "_target_" in value:
        classes = [option for option in options if inspect.isclass(option) and option is not type(None)]
        if not classes or any(_takes_mappings(option) for option in options):
            return value
        fitting = [kind for kind in classes if issubclass(find_class(value["_target_"], object, key), kind)]
        return build(value, (fitting or classes)[0], key, **extra)
    if isinstance(value, Mapping):
        for option in filter(_takes_mappings, options):
            if inner := get_args(option):
                return {name: _nested(inner[-1], one, f"{key}.{name}", extra) for name, one in value.items()}
    if isinstance(value, list | tuple) and any(isinstance(one, Mapping | list | tuple) for one in value):
        for option in options:
            origin, inner = get_origin(option), get_args(option)
            if inspect.isclass(origin) and issubclass(origin, Sequence):
                # A tuple may have a class for each position; tuple[X, ...] and list[X] have one class for all.
                kinds = inner if len(inner) == len(value) and ... not in inner else inner[:1] * len(value)
                return [
                    _nested(kind, one, f"{key}.{i}", extra)
                    for i, (kind, one) in enumerate(zip(kinds, value, strict=True))
                ]
    return value


def _takes_mappings(hint: Any) -> bool:
    """Return whether this annotation accepts a mapping."""
    kind = get_origin(hint) or hint
    return kind in (Any, object) or (inspect.isclass(kind) and issubclass(kind, Mapping))


def _checked(cls: type, name: str, value: Any, key: str, extra: Mapping[str, Any]) -> Any:
    """Return `value` converted to the annotated type, so that `lr=abc` is reported before the class is called."""
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if init is None or name not in inspect.signature(init).parameters:
            continue
        try:
            hint = get_type_hints(init).get(name, Any)
            options = None if is_dataclass(hint) else ConfigDict(arbitrary_types_allowed=True)
            adapter: TypeAdapter[Any] = TypeAdapter(hint, config=options)
        except (NameError, TypeError, PydanticUserError):
            return value  # a third-party class whose annotations cannot be resolved
        value = _nested(hint, value, key, extra)
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise ConfigError(f"{key}={value!r} does not fit {cls.__name__}: {problem}") from error
    return value
