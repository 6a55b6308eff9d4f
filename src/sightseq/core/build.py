"""Turns a plain dictionary with a `_target_` into an object, and refuses everything else.

This is the only place where a name in a config or a checkpoint becomes code that runs. A target must be a
class, of the kind that is asked for, defined in a trusted package. Functions are never targets.
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
    """Lets classes of these top-level packages be built, for the rest of the process.

    Where one of them is not installed, modules of the working directory can be imported from here on.

    Args:
        packages: their names; a text is one name.

    Raises:
        ConfigError: a name is not that of a top-level package.
    """
    names = [packages] if isinstance(packages, str) else list(packages)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(f"trust: {name} is not the name of a top-level package; write it as in trust=[mynet]")
    if any(name not in sys.modules and find_spec(name) is None for name in names):
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.append(here)  # the last place, where it hides nothing that is installed
        importlib.invalidate_caches()
    _trusted.update(names)


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

    A value with a `_target_` of its own is built too where the class annotates a class, an optional one, or a list,
    tuple or mapping of such (an encoder and a decoder); that annotation is then the kind. Where it annotates a mapping
    of plain values or `Any`, the value stays as it is.

    Args:
        config: plain values with a `_target_`.
        kind: the class that the target must be or inherit from.
        key: where `config` stands in the whole, for messages: "model.net".
        extra: further arguments, given when the class names them and ignored when it does not; nested classes are
            given them too, but `config` goes first.

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
    arguments = {name: _checked(cls, name, value, f"{key}.{name}", extra) for name, value in arguments.items()}
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


def _nested(hint: Any, value: Any, key: str, extra: Mapping[str, Any]) -> Any:
    """`value`, with what `hint` says is an object built: see `build`."""
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
                # Of a tuple each place may have a class of its own; tuple[X, ...] and list[X] have one for all.
                kinds = inner if len(inner) == len(value) and ... not in inner else inner[:1] * len(value)
                return [
                    _nested(kind, one, f"{key}.{i}", extra)
                    for i, (kind, one) in enumerate(zip(kinds, value, strict=True))
                ]
    return value


def _takes_mappings(hint: Any) -> bool:
    """Whether a mapping is a value of this annotation."""
    kind = get_origin(hint) or hint
    return kind in (Any, object) or (inspect.isclass(kind) and issubclass(kind, Mapping))


def _checked(cls: type, name: str, value: Any, key: str, extra: Mapping[str, Any]) -> Any:
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
        value = _nested(hint, value, key, extra)
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise ConfigError(f"{key}={value!r} does not fit {cls.__name__}: {problem}") from error
    return value
