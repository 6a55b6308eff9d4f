"""Finds out which conditions have the same value in all calls of a function."""

import ast
import builtins
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sightseq.eject.values import SAFE, SHORT, constant_truth, equal, is_plain, names, single_assigned


class Conditions(ast.NodeTransformer):
    """The values of expressions in one function.

    Args:
        function: the function.
        calls: values of its variables in each recorded call.
        building: whether all calls were made while the model was built; else tensors and numbers may change.
        stable: names of attributes of `self` that only constructors set.
        scope: its global variables.
        inlined: values of parameters that are written into the code.
        rewrite: changes a call of another function whose parameters are inlined.
    """

    def __init__(
        self,
        function: ast.FunctionDef,
        calls: Sequence[Mapping[str, Any]],
        building: bool,
        stable: set[str],
        scope: Mapping[str, Any],
        inlined: Mapping[str, Any],
        rewrite: Callable[[ast.Call], ast.Call],
    ) -> None:
        self.calls, self.building, self.stable, self.scope = calls, building, stable, scope
        self.inlined, self.rewrite, self.constructor = inlined, rewrite, function.name == "__init__"
        self.local = names(function, ast.Store) | {one.arg for one in ast.walk(function) if isinstance(one, ast.arg)}
        self.single = single_assigned(function)
        attributes = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
        self.stored = {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
        self.locals = self._local_values(function) if building else {}

    # Values.

    def _local_values(self, function: ast.FunctionDef) -> dict[str, Any]:
        """Return the variables that are assigned once, to a short plain value that is equal in all calls."""
        changed = {ast.unparse(one.value) for one in ast.walk(function) if isinstance(one, ast.Attribute)}
        parameters = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
        found = {}
        for name in self.single & names(function, ast.Store) - parameters - changed:
            values = [call.get(name, function) for call in self.calls]
            if values and is_plain(values[0]) and len(repr(values[0])) <= SHORT and equal(values):
                found[name] = values[0]
        return found

    def _environments(self, test: ast.expr) -> list[dict[str, Any]] | None:
        """Return the values of the variables of an expression in each call; None if one may change."""
        bound = {n for c in ast.walk(test) if isinstance(c, ast.comprehension) for n in names(c.target, ast.Store)}
        compared = {
            id(n.left)
            for n in ast.walk(test)
            if isinstance(n, ast.Compare) and len(n.ops) == 1 and isinstance(n.ops[0], ast.Is | ast.IsNot)
        }
        used: set[str] = set()
        for node in ast.walk(test):
            if isinstance(node, ast.NamedExpr | ast.Lambda | ast.Await | ast.Yield):
                return None
            if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in SAFE):
                return None
            if isinstance(node, ast.Attribute):
                owner = node.value
                if isinstance(owner, ast.Name) and owner.id == "self" and node.attr not in self.stable:
                    return None
            if isinstance(node, ast.Name) and node.id not in bound:
                used.add(node.id)
        for name in used:
            if name in self.local:
                if name not in self.single and name != "self":
                    return None
                loads = [n for n in ast.walk(test) if isinstance(n, ast.Name) and n.id == name]
                for call in self.calls:
                    if name not in call:
                        return None
                    value = call[name]
                    if name == "self" or (self.building and not isinstance(value, Tensor)):
                        continue
                    fixed = isinstance(value, bool | str | type(None) | nn.Module)
                    if not fixed and any(id(one) not in compared for one in loads):
                        return None
            elif (
                name not in SAFE and callable(self.scope.get(name, len)) and not isinstance(self.scope.get(name), type)
            ):
                return None
        if used & self.local:
            return [dict(call) for call in self.calls] or None
        return [{}]

    def truth(self, test: ast.expr) -> bool | None:
        """Return the truth of a condition if it is the same in all calls, else None."""
        test = self.visit(copy.deepcopy(test))
        if (known := constant_truth(test)) is not None:
            return known
        environments = self._environments(test)
        if environments is None:
            return None
        code = compile(ast.fix_missing_locations(ast.Expression(test)), "condition", "eval")
        found = set()
        for values in environments:
            try:
                value = eval(code, {**self.scope, "__builtins__": vars(builtins), **values})
            except Exception:  # of any kind: a condition that cannot be evaluated here stays in the file
                return None
            if not (is_plain(value) or isinstance(value, nn.Module | range)):
                return None
            found.add(bool(value))
        return found.pop() if len(found) == 1 else None

    def empty(self, iterable: ast.expr) -> bool:
        """Return whether a loop has no passes."""
        node = self.visit(copy.deepcopy(iterable))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "pairwise":
            return isinstance(node.args[0], ast.Tuple | ast.List) and len(node.args[0].elts) < 2
        return self.truth(iterable) is False
