"""Shortens the signature, the docstring and the constructor of functions."""

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from sightseq.eject.values import is_pure

LONGEST = 104  # characters of a docstring's line


def strip(function: ast.FunctionDef) -> None:
    """Remove the annotations of a function."""
    function.returns = None
    for one in ast.walk(function):
        if isinstance(one, ast.arg):
            one.annotation = None


def shorten(body: list[ast.stmt]) -> None:
    """Shorten the docstring of a body to its first sentence."""
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        paragraph = " ".join(inspect.cleandoc(first.value.value).partition("\n\n")[0].split())
        sentence = paragraph.partition(". ")[0].rstrip(".:")
        sentence = sentence.partition(": see `")[0]
        if len(sentence) > LONGEST:
            sentence = re.sub(r" \([^()]*\)", "", sentence)  # without citations
        first.value = ast.Constant(textwrap.fill(sentence + ".", LONGEST))


def remove_attributes(function: ast.FunctionDef, used: set[str], scope: Mapping[str, Any]) -> None:
    """Remove assignments to attributes of `self` that are not read, of values without effect."""

    def unused(target: ast.expr, value: ast.expr) -> bool:
        own = isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self" and target.attr not in used
        called = value.func if isinstance(value, ast.Call) else None
        kind = scope.get(called.id) if isinstance(called, ast.Name) else None
        if isinstance(kind, type) and issubclass(kind, tuple):
            return own
        return own and not isinstance(value, ast.Name) and is_pure(value)

    def visit(body: list[ast.stmt]) -> list[ast.stmt]:
        kept = []
        for statement in body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target, value = statement.targets[0], statement.value
                if unused(target, value):
                    continue
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs = [pair for pair in zip(target.elts, value.elts, strict=True) if not unused(*pair)]
                    if not pairs:
                        continue
                    target.elts, value.elts = [one for one, _ in pairs], [one for _, one in pairs]
                    if len(pairs) == 1:
                        statement.targets, statement.value = target.elts, value.elts[0]
            elif isinstance(statement, ast.If | ast.For):
                statement.body = visit(statement.body) or [ast.Pass()]
            kept.append(statement)
        return kept

    function.body = visit(function.body)


def remove_parameters(function: ast.FunctionDef, dropped: set[str]) -> None:
    """Remove parameters and their defaults."""
    args = function.args
    offset = len(args.args) - len(args.defaults)
    defaults = {one.arg: args.defaults[i - offset] for i, one in enumerate(args.args) if i >= offset}
    args.args = [one for one in args.args if one.arg not in dropped]
    args.defaults = [defaults[one.arg] for one in args.args if one.arg in defaults]
    pairs = [pair for pair in zip(args.kwonlyargs, args.kw_defaults, strict=True) if pair[0].arg not in dropped]
    args.kwonlyargs, args.kw_defaults = [one for one, _ in pairs], [one for _, one in pairs]
    if args.kwarg and args.kwarg.arg in dropped:
        args.kwarg = None


def remove_docstrings(nodes: list[ast.stmt]) -> None:
    """Remove the docstrings of methods."""
    for node in nodes:
        for method in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(method, ast.FunctionDef) and ast.get_docstring(method):
                method.body = method.body[1:] or [ast.Pass()]
