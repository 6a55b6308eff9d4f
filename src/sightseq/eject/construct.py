"""Expressions that construct objects again."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sightseq.core.errors import ConfigError
from sightseq.eject.bundle import Bundle
from sightseq.eject.tracing import is_own
from sightseq.eject.values import is_plain


def construct(value: Any, bundle: Bundle, known: Callable[[Any], str]) -> str:
    """Return the expression that constructs an object again, as it was constructed.

    Args:
        value: a plain value, or an object of a class of this framework.
        bundle: the definitions; parameters that they inline are left out.
        known: returns the expression of other values, such as arrays, and "" for those that it does not know.
    """
    if isinstance(value, Mapping):
        items = (f"{key!r}: {construct(one, bundle, known)}" for key, one in value.items())
        return "{" + ", ".join(items) + "}"
    if is_plain(value):
        return repr(value)
    if text := known(value):
        return text
    if isinstance(value, list | tuple):
        return "[" + ", ".join(construct(one, bundle, known) for one in value) + "]"
    call = bundle.trace.constructor(value)
    if call is None or not is_own(type(value).__module__):
        raise ConfigError(f"eject: the source of {type(value).__module__}.{type(value).__name__} is not known")
    owner = next(base for base in type(value).__mro__ if "__init__" in vars(base))
    inlined = bundle.inlined(owner)
    arguments = []
    for name, parameter in inspect.signature(type(value).__init__).parameters.items():
        if name == "self" or name in inlined:
            continue
        now = call[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments += [f"{key}={construct(one, bundle, known)}" for key, one in now.items()]
        else:
            arguments.append(f"{name}={construct(now, bundle, known)}")
    return f"{type(value).__name__}({', '.join(arguments)})"
