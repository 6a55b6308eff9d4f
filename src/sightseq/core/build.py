"""Turns a plain dictionary with a `_target_` into an object, and refuses everything else.

This is the only place where a name in a config or a checkpoint becomes code that runs. A target must be a
class, of the kind that is asked for, defined in a trusted package. Functions are never targets.
"""

import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from sightseq.core.errors import ConfigError, SightseqError, nearest
from sightseq.core.places import extension_packages

T = TypeVar("T")
AnyModel = TypeVar("AnyModel", bound=BaseModel)
_trusted = {"sightseq", "torch", "torchvision", "torchmetrics", "lightning"} | extension_packages()


def trust(packages: Iterable[str]) -> None:
    """Lets classes of these top-level packages be built, for the rest of the process."""
    _trusted.update(packages)


def find_class(target: object, kind: type[T], key: str) -> type[T]:
    """The class that a `_target_` names.

    Raises:
        ConfigError: no such class, not a class, not a subclass of `kind`, or not from a trusted package.
    """
    name = str(target)
    module_name, _, class_name = name.rpartition(".")
    package = module_name.partition(".")[0]
    if not module_name:
        raise ConfigError(f"{key}._target_: {name} is no full name; write it as in package.module.ClassName")
    if package not in _trusted:
        raise ConfigError(
            f"{key}._target_: {name} is not from a trusted package ({', '.join(sorted(_trusted))}); "
            f"if you know what it does, add trust=[{package}] to the command"
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{key}._target_: cannot import {module_name} ({error})") from error
    found = getattr(module, class_name, None)
    if found is None:
        classes = [f"{module_name}.{n}" for n, c in vars(module).items() if inspect.isclass(c) and issubclass(c, kind)]
        raise ConfigError(f"{key}._target_: {module_name} has no {class_name}; {nearest(name, classes)}")
    if not inspect.isclass(found) or not issubclass(found, kind):
        raise ConfigError(f"{key}._target_: {name} is not a class of kind {kind.__name__}")
    if found.__module__.partition(".")[0] not in _trusted:  # a trusted module may re-export what is not
        raise ConfigError(f"{key}._target_: {name} comes from {found.__module__}, which is not trusted")
    return found


def build(config: Mapping[str, Any], kind: type[T], key: str, **extra: Any) -> T:
    """Calls the class that `config` names with the other values of `config` as its arguments.

    Args:
        config: plain values with a `_target_`.
        kind: the class that the target must be or inherit from.
        key: where `config` stands in the whole, for messages: "model.net".
        extra: further arguments, given when the class names them and ignored when it does not.

    Raises:
        ConfigError: the target is refused, an argument is unknown, missing or of the wrong type, or the
            class itself refuses a value.
    """
    if not isinstance(config, Mapping) or "_target_" not in config:
        raise ConfigError(f"{key}: no _target_ says which class this is")
    cls = find_class(config["_target_"], kind, key)
    known = parameters(cls)
    arguments = {name: value for name, value in config.items() if name != "_target_"}
    unknown = [name for name in arguments if name not in known]
    if len(unknown) > 1:  # as when another _target_ was typed: the arguments of the former one are left
        remedy = " ".join(f"~{key}.{name}" for name in unknown)
        raise ConfigError(f"{key}: {cls.__name__} takes no {', '.join(unknown)}; to leave them out, add {remedy}")
    for name in unknown:
        hint = nearest(name, known)
        remedy = "" if hint.startswith("did you mean") else f"; to leave it out, add ~{key}.{name}"
        raise ConfigError(f"{key}.{name}: {cls.__name__} takes no such argument; {hint}{remedy}")
    arguments = {name: _checked(cls, name, value, f"{key}.{name}") for name, value in arguments.items()}
    arguments = {name: value for name, value in extra.items() if name in known} | arguments
    for name, parameter in inspect.signature(cls).parameters.items():
        if name in known and parameter.default is parameter.empty and name not in arguments:
            raise ConfigError(f"{key}.{name}: {cls.__name__} needs this argument")
    try:
        return cls(**arguments)
    except SightseqError:
        raise
    except Exception as error:  # whatever a constructor raises, it raises for its arguments
        raise ConfigError(f"{key}: {cls.__name__} refuses its arguments: {error}") from error


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The named arguments of a class; where it has **kwargs, those of its base classes too."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        open_ended = False
        for parameter in list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]:
            open_ended |= parameter.kind is parameter.VAR_KEYWORD
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if not open_ended:
            break
    return found


def settings(config: Mapping[str, Any], kind: type[BaseModel]) -> dict[str, Any]:
    """The config with its values as `kind` has them: 3.0 tokens are 3.

    Raises:
        ConfigError: a value does not fit.
    """
    return {**config, **validated(config, kind).model_dump()}


def validated(config: Mapping[str, Any], kind: type[AnyModel]) -> AnyModel:
    """The values of the config that `kind` has, as it has them; `model_fields_set` says which were given.

    Raises:
        ConfigError: a value does not fit.
    """
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ConfigError(f"{problem['loc'][0]}={problem['input']}: {problem['msg'].lower()}") from error


def _checked(cls: type, name: str, value: Any, key: str) -> Any:
    """`value`, converted to what the class annotates, so that `lr=abc` is found before anything is built."""
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if init is None or name not in inspect.signature(init).parameters:
            continue
        try:
            hint = get_type_hints(init).get(name, Any)
            options = None if is_dataclass(hint) else ConfigDict(arbitrary_types_allowed=True)
            adapter: TypeAdapter[Any] = TypeAdapter(hint, config=options)
        except (NameError, TypeError, PydanticUserError):
            return value  # a foreign class whose annotations cannot be resolved
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise ConfigError(f"{key}={value!r} does not fit {cls.__name__}: {problem}") from error
    return value
