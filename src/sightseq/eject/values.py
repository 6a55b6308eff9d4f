"""Questions about pieces of code and their values."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SAFE = {"all", "any", "bool", "int", "isinstance", "len", "list", "max", "min", "range", "round", "str", "sum", "tuple"}
SHORT = 60  # characters of a value that replaces a variable
PURE = SAFE | {"pairwise", "zip", "enumerate", "dict", "set"}
PLAIN = (bool, int, float, str, type(None))


def is_plain(value: Any) -> bool:
    """Return whether a value consists of numbers, texts and None in lists, tuples and dictionaries."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(one) for key, one in value.items())
    return isinstance(value, PLAIN)


def equal(values: Sequence[Any]) -> bool:
    """Return whether values are of one type and equal."""
    return all(type(value) is type(values[0]) and value == values[0] for value in values)


def literal(value: Any) -> ast.expr:
    """Return the expression of a plain value."""
    if isinstance(value, Mapping):
        value = {key: value[key] for key in value}
    return ast.parse(repr(value), mode="eval").body


def names(node: ast.AST, kind: type[ast.expr_context] = ast.Load) -> set[str]:
    """Return the variables that a node reads, or assigns with `ast.Store`."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}


def single_assigned(function: ast.FunctionDef) -> set[str]:
    """Return the parameters that are never reassigned, and the variables that are assigned once, not in a loop."""
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    counts = {one.arg: 1 for one in parameters if one is not None}
    inner = {n.id for c in ast.walk(function) if isinstance(c, ast.comprehension) for n in ast.walk(c.target)
             if isinstance(n, ast.Name)}  # fmt: skip

    def count(statements: Iterable[ast.AST], weight: int) -> None:
        for node in statements:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
                counts[node.id] = counts.get(node.id, 0) + weight
            loop = isinstance(node, ast.For | ast.While | ast.FunctionDef | ast.Lambda | ast.If)
            count(ast.iter_child_nodes(node), 2 if loop and not isinstance(node, ast.If) else weight)

    count(function.body, 1)
    return {name for name, times in counts.items() if times == 1 and name not in inner}


def is_pure(value: ast.expr) -> bool:
    """Return whether an expression calls only functions without effect."""
    calls = [one for one in ast.walk(value) if isinstance(one, ast.Call)]
    return all(
        (isinstance(one.func, ast.Name) and one.func.id in PURE) or ast.unparse(one) == "nn.ModuleList([])"
        for one in calls
    )


def constant_truth(node: ast.expr) -> bool | None:
    """Return the truth of a constant, or of `and`, `or` and `not` with one that decides; else None."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.List | ast.Tuple) and not any(isinstance(one, ast.Starred) for one in node.elts):
        return bool(node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = constant_truth(node.operand)
        return None if inner is None else not inner
    if isinstance(node, ast.BoolOp):
        decisive = isinstance(node.op, ast.Or)
        truths = [constant_truth(value) for value in node.values]
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive
    return None
