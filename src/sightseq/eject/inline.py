"""Writes functions that only return an expression into the places where they are called."""

import ast
import copy

from torch import Tensor, nn

from sightseq.eject.values import names


def inline_trivial(nodes: list[ast.stmt]) -> list[ast.stmt]:
    """Inline the functions and methods whose body is one `return`, where this is possible at all their calls."""
    while (found := next((one for one in _candidates(nodes) if _possible(nodes, one)), None)) is not None:
        owner, function = found
        for node in nodes:
            for place in _functions(node):
                _Inline(function, owner is not None).visit(place)
        body: list[ast.stmt] = nodes if owner is None else owner.body
        body[:] = [one for one in body if one is not function]
    return nodes


Candidate = tuple[ast.ClassDef | None, ast.FunctionDef]


def _functions(node: ast.stmt) -> list[ast.FunctionDef]:
    return [one for one in ast.walk(node) if isinstance(one, ast.FunctionDef)]


def _candidates(nodes: list[ast.stmt]) -> list[Candidate]:
    places: list[Candidate] = [(None, node) for node in nodes if isinstance(node, ast.FunctionDef)]
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            places += [(node, one) for one in node.body if isinstance(one, ast.FunctionDef)]
    count = [function.name for _, function in places]
    return [
        (owner, function)
        for owner, function in places
        if len(_body(function)) == 1
        and isinstance(_body(function)[0], ast.Return)
        and not function.decorator_list
        and not function.name.startswith("__")
        and count.count(function.name) == 1
        and function.name not in KEPT
        and not hasattr(nn.Module, function.name)
        and not hasattr(Tensor, function.name)
    ]


SHORT = 40  # characters of what is written into several places
KEPT = {"loss", "measure", "batch", "forward", "permuted", "similar", "streamed"}


def _body(function: ast.FunctionDef) -> list[ast.stmt]:
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.body[1:] if documented else function.body


def _simple(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name | ast.Constant)


def _matches(node: ast.AST, function: ast.FunctionDef, method: bool) -> bool:
    if method:
        return isinstance(node, ast.Attribute) and node.attr == function.name
    return isinstance(node, ast.Name) and node.id == function.name


def _bind(call: ast.Call, function: ast.FunctionDef, method: bool) -> dict[str, ast.expr] | None:
    """Return the argument of each parameter; None if they do not correspond."""
    parameters = [one.arg for one in [*function.args.args, *function.args.kwonlyargs]]
    given = [call.func.value, *call.args] if method and isinstance(call.func, ast.Attribute) else call.args
    bound = dict(zip(parameters, given, strict=False))
    bound |= {str(one.arg): one.value for one in call.keywords}
    plain = not any(isinstance(one, ast.Starred) for one in call.args) and all(one.arg for one in call.keywords)
    return bound if plain and set(bound) == set(parameters) and len(given) <= len(parameters) else None


def _possible(nodes: list[ast.stmt], candidate: Candidate) -> bool:
    owner, function = candidate
    method, (returned,) = owner is not None, _body(function)
    if any(isinstance(one, ast.Lambda | ast.Yield) for one in ast.walk(returned)):
        return False
    uses: dict[str, int] = {}
    for one in ast.walk(returned):
        if isinstance(one, ast.Name):
            uses[one.id] = uses.get(one.id, 0) + 1
    inner = any(isinstance(one, ast.comprehension) for one in ast.walk(returned))
    free = names(returned) - {one.arg for one in function.args.args}
    called = 0
    for node in nodes:
        for place in ast.walk(node):
            if place is function or not isinstance(place, ast.FunctionDef):
                constant = place is node and isinstance(place, ast.Assign)
                if constant and any(_matches(one, function, method) for one in ast.walk(place)):
                    return False
                continue
            calls = [n for n in ast.walk(place) if isinstance(n, ast.Call) and _matches(n.func, function, method)]
            if len(calls) != sum(_matches(n, function, method) for n in ast.walk(place)):
                return False  # it is also passed on, or a variable has the same name
            local = names(place, ast.Store) | {one.arg for one in ast.walk(place) if isinstance(one, ast.arg)}
            if calls and local & free:
                return False
            for call in calls:
                bound = _bind(call, function, method)
                if bound is None:
                    return False
                for name, argument in bound.items():
                    if uses.get(name, 0) != 1 and not _simple(argument):
                        return False
                    if inner and not isinstance(argument, ast.Constant) and not (name == "self" and _simple(argument)):
                        return False
            called += len(calls)
    return called == 1 or (called > 1 and len(ast.unparse(returned)) <= SHORT)


class _Inline(ast.NodeTransformer):
    def __init__(self, function: ast.FunctionDef, method: bool) -> None:
        self.function, self.method = function, method

    def visit_Call(self, node: ast.Call) -> ast.expr:
        node = self.generic_visit(node)  # type: ignore[assignment]  # of the same class
        if not _matches(node.func, self.function, self.method):
            return node
        bound = _bind(node, self.function, self.method) or {}
        (returned,) = _body(self.function)

        class Replace(ast.NodeTransformer):
            def visit_Name(self, node: ast.Name) -> ast.expr:
                return copy.deepcopy(bound.get(node.id, node))

        found: ast.expr = Replace().visit(copy.deepcopy(returned)).value
        return found
