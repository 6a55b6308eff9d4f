"""Import statements of a file."""

import ast
import sys


class Imports:
    """Import statements of a file."""

    def __init__(self) -> None:
        self.whole: set[tuple[str, str | None]] = set()
        self.parts: dict[str, set[tuple[str, str | None]]] = {}

    def add(self, statement: ast.Import | ast.ImportFrom, name: str) -> None:
        """Add what defines `name`."""
        alias = next(one for one in statement.names if (one.asname or one.name.partition(".")[0]) == name)
        if isinstance(statement, ast.Import):
            self.whole.add((alias.name, alias.asname))
        else:
            self.parts.setdefault(str(statement.module), set()).add((alias.name, alias.asname))

    def text(self) -> str:
        """Return the statements: those of the standard library, then the others."""
        lines: dict[bool, list[str]] = {True: [], False: []}
        for name, other in sorted(self.whole, key=str):
            lines[_standard(name)].append(f"import {name}" + (f" as {other}" if other else ""))
        for module, parts in sorted(self.parts.items()):
            listed = ", ".join(name + (f" as {other}" if other else "") for name, other in sorted(parts, key=str))
            lines[_standard(module)].append(f"from {module} import {listed}")
        return "\n\n".join("\n".join(group) for group in lines.values() if group)


def _standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names
