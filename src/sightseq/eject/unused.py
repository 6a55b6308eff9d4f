"""Removes what a function computes and does not read."""

import ast
from typing import Any

from sightseq.eject.comments import note
from sightseq.eject.values import is_pure, names


def remove_unused(function: ast.FunctionDef) -> None:
    """Remove assignments to variables that are not read, if they have no other effect; join `x = y; return x`."""
    while _remove(function, names(function)):
        pass


def _remove(node: Any, read: set[str]) -> bool:
    removed = dropped = False
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if not isinstance(block, list):
            continue
        kept: list[ast.stmt] = []
        for statement in block:
            if dropped and note(statement) == "__beside__":
                continue
            dropped = False
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target, value = statement.targets[0], statement.value
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs = list(zip(target.elts, value.elts, strict=True))
                    unused = [isinstance(t, ast.Name) and t.id not in read and is_pure(v) for t, v in pairs]
                    if any(unused):
                        removed = True
                        pairs = [pair for pair, drop in zip(pairs, unused, strict=True) if not drop]
                        if not pairs:
                            dropped = True
                            continue
                        target.elts, value.elts = [t for t, _ in pairs], [v for _, v in pairs]
                        if len(pairs) == 1:
                            statement.targets, statement.value = [target.elts[0]], value.elts[0]
                elif isinstance(target, ast.Name) and target.id not in read and is_pure(value):
                    removed = dropped = True
                    continue
            last = kept[-1] if kept else None
            if (
                isinstance(statement, ast.Return)
                and isinstance(statement.value, ast.Name)
                and isinstance(last, ast.Assign)
                and isinstance(last.targets[0], ast.Name)
                and last.targets[0].id == statement.value.id
            ):
                kept[-1] = ast.Return(last.value)
                removed = True
                continue
            if (
                isinstance(statement, ast.Return)
                and isinstance(statement.value, ast.Tuple)
                and isinstance(last, ast.Assign)
                and isinstance(last.targets[0], ast.Tuple)
                and not isinstance(last.value, ast.Tuple)
                and ast.unparse(statement.value) == ast.unparse(last.targets[0])
            ):
                kept[-1] = ast.Return(last.value)
                removed = True
                continue
            removed |= _remove(statement, read)
            kept.append(statement)
        setattr(node, field, kept)
    return removed
