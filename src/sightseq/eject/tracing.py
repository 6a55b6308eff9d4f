"""Records with which values the functions of this framework are called."""

import inspect
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, ModuleType
from typing import Any

Values = dict[str, Any]
"""Values of the parameters at the start of a call, and of the other local variables at its end."""


class Trace:
    """The calls of functions, by their code.

    Attributes:
        building: calls while the model and the datasets were built.
        running: calls during some steps.
    """

    def __init__(self) -> None:
        self.building: dict[CodeType, list[Values]] = defaultdict(list)
        self.running: dict[CodeType, list[Values]] = defaultdict(list)

    @contextmanager
    def record(self, kind: str, only_constructors: bool = False) -> Iterator[None]:
        """Record calls as `kind`, "building" or "running"."""
        calls, open_calls = getattr(self, kind), dict[FrameType, Values]()

        def event(frame: FrameType, name: str, _: Any) -> None:
            if name == "call" and is_own(frame.f_globals.get("__name__", "")):
                if not only_constructors or frame.f_code.co_name == "__init__":
                    open_calls[frame] = dict(frame.f_locals)
            elif name == "return" and (start := open_calls.pop(frame, None)) is not None:
                calls[frame.f_code].append({**frame.f_locals, **start})

        before = sys.getprofile()
        sys.setprofile(event)
        try:
            yield
        finally:
            sys.setprofile(before)

    def constructor(self, instance: Any) -> Values | None:
        """Return the values with which the constructor of this object's class was called."""
        code = code_of(constructor_of(type(instance)))
        calls = self.building.get(code, []) if code else []
        return next((call for call in calls if call.get("self") is instance), None)


def constructor_of(kind: type) -> Any:
    """Return the `__init__` of a class."""
    return inspect.getattr_static(kind, "__init__")


def code_of(function: Any) -> CodeType | None:
    """Return the code of a function behind its decorators; None if it is not written in Python."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return getattr(getattr(function, "fget", function), "__code__", None)


def is_own(module: str | ModuleType | None) -> bool:
    """Return whether a module is part of this framework, so that its source is written into the file."""
    name = module if isinstance(module, str) else getattr(module, "__name__", "")
    return name.partition(".")[0] == __name__.partition(".")[0]
