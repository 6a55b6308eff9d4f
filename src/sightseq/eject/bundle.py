"""Collects the source of classes and functions, and of all that they use, into one text."""

import ast
import builtins
import copy
import inspect
import sys
from collections.abc import Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sightseq.core.errors import ConfigError
from sightseq.eject import comments
from sightseq.eject.imports import Imports
from sightseq.eject.shorten import remove_attributes, remove_parameters, shorten, strip
from sightseq.eject.specialise import Specialiser
from sightseq.eject.tracing import Trace, Values, code_of, constructor_of, is_own
from sightseq.eject.unused import remove_unused
from sightseq.eject.values import is_plain, names, single_assigned


class Bundle:
    """Definitions that a file needs.

    Args:
        trace: recorded calls, to which the definitions are specialised.
        instances: objects by class, for methods without recorded calls.
    """

    def __init__(self, trace: Trace, instances: Iterable[Any]) -> None:
        self.trace = trace
        self.instances = list(instances)
        self.modules: dict[str, dict[str, ast.stmt]] = {}
        self.used_attributes: set[str] = {"forward", "__init__", "backward", "__len__", "__call__"}
        self.blocked: set[Any] = set()  # classes and functions whose parameters are not inlined

    # Finding definitions.

    def tree(self, module: str) -> dict[str, ast.stmt]:
        """Return the top-level statements of a module by the name that they define."""
        if module not in self.modules:
            found: dict[str, ast.stmt] = {}
            for statement in comments.parse(inspect.getsource(sys.modules[module])).body:
                for name in defined(statement):
                    found.setdefault(name, statement)
            self.modules[module] = found
        return self.modules[module]

    def place(self, name: str, module: str) -> tuple[str, ast.stmt] | None:
        """Return the module that defines a global name of another module, and the statement."""
        statement = self.tree(module).get(name)
        while isinstance(statement, ast.ImportFrom) and is_own(statement.module or ""):
            alias = next(one for one in statement.names if (one.asname or one.name) == name)
            if isinstance(getattr(sys.modules.get(statement.module or ""), alias.name, None), ModuleType):
                raise ConfigError(f"eject: {module} imports the module {alias.name}, not what it needs of it")
            module, name = str(statement.module), alias.name
            statement = self.tree(module).get(name)
        return None if statement is None else (module, statement)

    # Facts.

    def calls(self, function: Any, owner: type | None) -> tuple[list[Values], bool]:
        """Return the recorded calls of a function, and whether all were made while the model was built."""
        code = code_of(function)
        running = self.trace.running.get(code, []) if code else []
        building = [call for call in self.trace.building.get(code, []) if self._relevant(call)] if code else []
        if not running and not building and owner:
            return [{"self": one} for one in self.instances if isinstance(one, owner)], False
        return [*building, *running], not running

    def _relevant(self, call: Values) -> bool:
        """Return whether a constructor was called for an object of the file: a dataset builds others on its way."""
        made = call.get("self")
        return not isinstance(made, Dataset) or any(made is one for one in self.instances)

    def inlined(self, target: Any) -> dict[str, Any]:
        """Return the parameters of a class or function that have the same plain value in all calls."""
        if target in self.blocked:
            return {}
        function = constructor_of(target) if isinstance(target, type) else target
        if isinstance(target, type) and "__init__" not in vars(target):
            return {}
        found, building = self.calls(function, None)
        if not found or not building:
            return {}
        place = self.place(target.__name__, target.__module__)
        node = place and place[1]
        if isinstance(node, ast.ClassDef):
            node = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        if not isinstance(node, ast.FunctionDef):
            return {}
        single = single_assigned(node)
        same: dict[str, Any] = {}
        for name, parameter in inspect.signature(function).parameters.items():
            values = [call[name] for call in found if name in call]
            if name == "self" or name not in single or parameter.kind is parameter.VAR_POSITIONAL or not values:
                continue
            if all(is_plain(value) and value == values[0] for value in values):
                same[name] = values[0]
        return same

    def stable(self, kind: type) -> set[str]:
        """Return the attributes that only constructors of this class and its bases set, or that its classes have."""
        assigned: dict[str, set[str]] = {}
        for base in kind.__mro__:
            if not is_own(base.__module__):
                continue
            place = self.place(base.__name__, base.__module__)
            for method in place[1].body if place and isinstance(place[1], ast.ClassDef) else ():
                if not isinstance(method, ast.FunctionDef):
                    for name in defined(method):
                        assigned.setdefault(name, set()).add("__init__")
                    continue
                for node in ast.walk(method):
                    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                        assigned.setdefault(node.attr, set()).add(method.name)
        return {name for name, methods in assigned.items() if methods == {"__init__"}}

    # Specialised definitions.

    def specialised(self, node: ast.stmt, scope: Mapping[str, Any], value: Any) -> ast.stmt:
        """Return a definition without annotations, with short docstrings, specialised to the recorded calls."""
        node = copy.deepcopy(node)
        if isinstance(node, ast.FunctionDef):
            return self._function(node, value, None, scope)
        if not isinstance(node, ast.ClassDef):
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                return ast.Assign([node.target], node.value, lineno=0)
            return node
        body: list[ast.stmt] = []
        data = any("dataclass" in ast.unparse(one) for one in node.decorator_list)
        for part in node.body:
            if isinstance(part, ast.FunctionDef):
                abstract = any("abstract" in ast.unparse(one) for one in part.decorator_list)
                abstract |= part.name == "__len__" and issubclass(value, Dataset)
                code = code_of(vars(value).get(part.name))
                executed = code in self.trace.building or code in self.trace.running
                if part.name not in self.used_attributes or abstract or not executed:
                    continue
                method = self._function(part, vars(value).get(part.name), value, scope)
                trivial = [ast.unparse(one) for one in method.body] in (["super().__init__()"], ["pass"])
                if part.name != "__init__" or not trivial or method.args.args[1:]:
                    body.append(method)
            elif isinstance(part, ast.AnnAssign) and not data:
                if part.value is not None and set(defined(part)) & self.used_attributes:
                    body.append(ast.Assign([part.target], part.value, lineno=0))
            elif isinstance(part, ast.Assign) and not set(defined(part)) & self.used_attributes:
                continue
            elif not comments.note(part) and (not is_text(part) or part is node.body[0]):
                body.append(part)
        shorten(body)
        node.body = body or [ast.Pass()]
        node.bases = [one for one in node.bases if self._kept(one, scope)]
        node.keywords = []
        return node

    def _kept(self, base: ast.expr, scope: Mapping[str, Any]) -> bool:
        kind = eval(ast.unparse(base), dict(scope))
        return isinstance(kind, type) and (
            is_own(kind.__module__) or not (issubclass(kind, Dataset | Sampler) or kind.__module__ in ("abc", "typing"))
        )

    def _function(
        self, node: ast.FunctionDef, value: Any, owner: type | None, scope: Mapping[str, Any]
    ) -> ast.FunctionDef:
        function = getattr(value, "__func__", value)
        found, building = self.calls(function, owner)
        target = owner if node.name == "__init__" else value if owner is None else None
        inlined = self.inlined(target) if target is not None else {}

        def rewrite(call: ast.Call) -> ast.Call:
            return self._rewritten(call, owner, scope)

        stable = self.stable(owner) if owner else set()
        strip(node)
        shorten(node.body)
        Specialiser(node, found, building, stable, scope, inlined, rewrite).visit(node)
        if node.name == "__init__":
            remove_attributes(node, self.used_attributes, scope)
        remove_unused(node)
        remove_parameters(node, set(inlined))
        node.decorator_list = [one for one in node.decorator_list if "override" not in ast.unparse(one)]
        node.body = node.body or [ast.Pass()]
        return node

    def _rewritten(self, call: ast.Call, owner: type | None, scope: Mapping[str, Any]) -> ast.Call:
        """Leave out the arguments whose parameters are inlined."""
        target: Any = None
        if isinstance(call.func, ast.Name):
            target = scope.get(call.func.id)
        elif ast.unparse(call.func) == "super().__init__" and owner:
            target = next((base for base in owner.__mro__[1:] if "__init__" in vars(base)), None)
        if not isinstance(target, type | FunctionType) or not is_own(target.__module__):
            return call
        if isinstance(target, type):
            target = next((base for base in target.__mro__ if "__init__" in vars(base)), None)
            if target is None or not is_own(target.__module__):
                return call
        inlined = self.inlined(target)
        if not inlined:
            return call
        if any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords):
            self.blocked.add(target)
            raise _BlockedError
        function = constructor_of(target) if isinstance(target, type) else target
        parameters = [name for name in inspect.signature(function).parameters if name != "self"]
        variable = {n for n, p in inspect.signature(function).parameters.items() if p.kind is p.VAR_KEYWORD}
        args = [one for name, one in zip(parameters, call.args, strict=False) if name not in inlined]
        named = set(parameters) - variable
        keywords = [
            one for one in call.keywords if one.arg not in inlined and (one.arg in named or not variable & set(inlined))
        ]
        return ast.Call(call.func, args, keywords)

    # The text.

    def collect(self, roots: Iterable[Any]) -> tuple[list[ast.stmt], Imports]:
        """Return the definitions that `roots` need, each after those that it needs, and the imports."""
        roots = list(roots)
        while True:
            before = (len(self.used_attributes), len(self.blocked))
            try:
                found = self._collect(roots)
            except _BlockedError:
                continue
            if before == (len(self.used_attributes), len(self.blocked)):
                return found

    def _collect(self, roots: list[Any]) -> tuple[list[ast.stmt], Imports]:
        order: list[ast.stmt] = []
        seen: dict[str, str] = {}
        imports = Imports()

        def add(name: str, module: str) -> None:
            place = self.place(name, module)
            if place is None:
                return
            origin, statement = place
            if isinstance(statement, ast.Import | ast.ImportFrom):
                imports.add(statement, name)
                return
            if name in seen:
                if seen[name] != origin:
                    raise ConfigError(f"eject: {seen[name]} and {origin} both define {name}, which one file cannot")
                return
            seen[name] = origin
            scope = vars(sys.modules[origin])
            node = self.specialised(statement, scope, scope[name])
            self.used_attributes |= used_attributes(node)
            for one in ast.walk(statement):
                if isinstance(one, ast.Call) and ast.unparse(one.func) == "require":
                    imports.whole.add((ast.literal_eval(one.args[0]), None))
            for used in sorted(names(node)):
                if used in scope and not (hasattr(builtins, used) and used not in self.tree(origin)):
                    add(used, origin)
            order.append(node)

        for root in roots:
            add(root.__name__, root.__module__)
        return order, imports


class _BlockedError(Exception):
    """A call has unknown arguments, so that its parameters cannot be inlined."""


def defined(statement: ast.stmt) -> list[str]:
    """Return the names that a top-level statement defines."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [one.asname or one.name.partition(".")[0] for one in statement.names]
    if isinstance(statement, ast.If):  # if TYPE_CHECKING
        return []
    return sorted(names(statement, ast.Store))


def is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def used_attributes(node: ast.AST) -> set[str]:
    """Return the attributes that a definition reads; those of tensors and arrays only of `self` and `super()`."""
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Load):
            own = ast.unparse(one.value) in ("self", "super()")
            if own or not (hasattr(Tensor, one.attr) or hasattr(np.ndarray, one.attr)):
                found.add(one.attr)
    return found
