"""Specialises functions to the values of one experiment: options that it does not use are left out."""

import ast
import builtins
from collections.abc import Sequence
from typing import Any

from torch import nn

from sightseq.eject.comments import note
from sightseq.eject.conditions import Conditions
from sightseq.eject.values import PLAIN, constant_truth, equal, is_plain, literal


def literal_name(name: str) -> ast.expr:
    """Return the expression of a name with dots."""
    return ast.parse(name, mode="eval").body


class Specialiser(Conditions):
    """Rewrites one function for the recorded calls.

    A condition is resolved if it has the same value in all calls and depends only on what cannot change: parameters of
    constructors, attributes that only constructors set, and constants.
    """

    # Expressions.

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and node.id in self.inlined:
            return literal(self.inlined[node.id])
        if isinstance(node.ctx, ast.Load) and node.id in self.locals:
            return literal(self.locals[node.id])
        if node.id not in self.local and node.id.isupper() and isinstance(self.scope.get(node.id), int | float | str):
            return literal(self.scope[node.id])
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """An attribute with the same number, text or None in all objects becomes that value."""
        if isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name) and node.value.id == "self":
            values = [getattr(call["self"], node.attr, self) for call in self.calls if "self" in call]
            fixed = node.attr in self.stable and node.attr not in self.stored
            if fixed and values and isinstance(values[0], PLAIN) and equal(values):
                return literal(values[0])
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        """An entry of a global dictionary of classes becomes the class."""
        node = self.generic_visit(node)  # type: ignore[assignment]  # of the same class
        if isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant):
            table = self.scope.get(node.value.id) if node.value.id not in self.local else None
            kind = table.get(node.slice.value) if isinstance(table, dict) else None
            name = getattr(kind, "__name__", "")
            if name and getattr(nn, name, None) is kind:
                return literal_name(f"nn.{name}")
        return node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        truth = self.truth(node.test)
        if truth is not None:
            return self.visit(node.body if truth else node.orelse)
        node = self.generic_visit(node)  # type: ignore[assignment]  # of the same class
        return node.body if ast.unparse(node.body) == ast.unparse(node.orelse) else node

    def visit_Compare(self, node: ast.Compare) -> Any:
        """Nothing is in an empty range."""
        if isinstance(node.ops[0], ast.In) and len(node.ops) == 1 and self.truth(node.comparators[0]) is False:
            return ast.Constant(False)
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        """`a and b` is b if a is true, and a if it is false."""
        node.values = [self.visit(value) for value in node.values]
        if (known := constant_truth(node)) is not None and any(isinstance(v, ast.Constant) for v in node.values):
            decided = [v for v in node.values if constant_truth(v) == known]
            return decided[0] if isinstance(node.op, ast.And) != known else node.values[-1]
        decisive, kept = isinstance(node.op, ast.Or), []
        for place, value in enumerate(node.values):
            truth = self.truth(value)
            last = place == len(node.values) - 1
            if truth is not None and truth != decisive and not last:
                continue
            kept.append(value)
            if truth is not None and truth == decisive:
                break
        return kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)

    def visit_ListComp(self, node: ast.ListComp) -> Any:
        return self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> Any:
        return self._comprehension(node)

    def _comprehension(self, node: Any) -> Any:
        for part in node.generators:
            truths = [self.truth(test) for test in part.ifs]
            if False in truths:
                return ast.List([], ast.Load())
            part.ifs = [test for test, truth in zip(part.ifs, truths, strict=True) if truth is None]
        first = node.generators[0].iter
        if self.empty(first):
            return ast.List([], ast.Load())
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        function = node.func.value if isinstance(node.func, ast.Subscript) else node.func
        if isinstance(function, ast.Name) and not node.args and not node.keywords and function.id not in self.local:
            kind = self.scope.get(function.id, getattr(builtins, function.id, None))
            if kind is list or getattr(kind, "__origin__", None) is list:
                return ast.List([], ast.Load())
        if isinstance(node.func, ast.Name) and node.func.id == "require":
            return literal_name(ast.literal_eval(node.args[0]))
        if isinstance(node.func, ast.Name) and node.func.id == "cast":
            return self.visit(node.args[1])
        for keyword in node.keywords:
            if keyword.arg is None and (value := self._known(keyword.value)) is not None and is_plain(value):
                keyword.value = literal(value)
        expanded = []
        for keyword in node.keywords:
            if keyword.arg is None and isinstance(keyword.value, ast.Dict):
                pairs = zip(keyword.value.keys, keyword.value.values, strict=True)
                expanded += [ast.keyword(ast.literal_eval(key), value) for key, value in pairs if key]
            else:
                expanded.append(keyword)
        node.keywords = expanded
        return self.generic_visit(self.rewrite(node))

    def _known(self, node: ast.expr) -> Any:
        """Return the value of a variable that is equal in all calls, else None."""
        if not isinstance(node, ast.Name) or node.id not in self.single or not self.building or not self.calls:
            return None
        values = [call.get(node.id) for call in self.calls]
        return values[0] if all(value == values[0] for value in values) else None

    # Statements.

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.args.defaults = [self.visit(one) for one in node.args.defaults]
        node.body = self.block(node.body)
        return node

    def block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Specialise a block; the comments of a statement that is left out go with it."""
        result: list[ast.stmt] = []
        comments: list[ast.stmt] = []
        kept = False
        for statement in statements:
            kind = note(statement)
            if kind == "__beside__":
                if kept:
                    result.append(statement)
                continue
            if kind:
                comments.append(statement)
                continue
            found = self.statement(statement)
            kept = bool(found)
            if found:
                result += [*comments, *found]
            comments = []
            if found and isinstance(found[-1], ast.Return | ast.Raise):
                break
        return result

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """Specialise a statement; the result may be empty, or several."""
        if isinstance(node, ast.If):
            truth = self.truth(node.test)
            if truth is None and self.building and isinstance(node.body[0], ast.Raise):
                truth = False  # the same arguments were accepted
            if truth is not None:
                return self.block(node.body if truth else node.orelse)
            node.test = self.visit(node.test)
            node.body, node.orelse = self.block(node.body), self.block(node.orelse)
            if not node.body and not node.orelse:
                return []
            if not node.body:
                node.test, node.body, node.orelse = ast.UnaryOp(ast.Not(), node.test), node.orelse, []
            return [node]
        if isinstance(node, ast.For):
            if self.empty(node.iter):
                return []
            node.iter = self.visit(node.iter)
            node.body = self.block(node.body)
            return [node] if node.body else []
        if isinstance(node, ast.With):
            node.items = [self.visit(item) for item in node.items]
            node.body = self.block(node.body)
            # The file computes in 32 bits, without autocast.
            return node.body if "torch.autocast" in ast.unparse(node.items[0]) else [node]
        if isinstance(node, ast.AnnAssign):
            if node.value is None:
                return []
            return [ast.Assign([node.target], self.visit(node.value), lineno=0)]
        return [self.visit(node)]
