"""Comments as statements, so that they survive changes of a syntax tree."""

import ast
import io
import re
import tokenize

ABOVE, BESIDE = "__above__", "__beside__"
WIDTH = 118  # of a line with the comment beside it


def parse(source: str) -> ast.Module:
    """Parse source code; a comment above or beside a statement becomes the statement `__above__("...")` or
    `__beside__("...")`. Comments within brackets are lost.
    """
    lines, depth, fresh = source.splitlines(), 0, True
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for number, token in enumerate(tokens):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        if token.type == tokenize.COMMENT and not depth:
            row, column = token.start
            text, code = token.string.lstrip("# "), lines[row - 1][:column].rstrip()
            following = next(t for t in tokens[number + 1 :] if t.type not in _LAYOUT)
            if text.startswith(("type:", "fmt:", "noqa")):
                lines[row - 1] = code
            elif fresh:  # nothing but the comment in this line
                keep = following.string not in ("else", "elif", "except", "finally") and following.start[1] > 0
                lines[row - 1] = f"{' ' * following.start[1]}{ABOVE}({text!r})" if keep else ""
            else:
                lines[row - 1] = code if code.endswith(":") else f"{code}; {BESIDE}({text!r})"
        if token.type not in (tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT):
            fresh = token.type in (tokenize.NEWLINE, tokenize.NL)
    return ast.parse("\n".join(lines))


_LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE)


def note(statement: ast.stmt) -> str | None:
    """Return `ABOVE` or `BESIDE` if the statement stands for a comment."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in (ABOVE, BESIDE):
        return call.func.id
    return None


def unparse(tree: ast.AST) -> str:
    """Return the source code of a tree of `parse`, with its comments."""
    lines: list[str] = []
    for line in ast.unparse(ast.fix_missing_locations(tree)).splitlines():
        found = re.fullmatch(rf"(\s*)({ABOVE}|{BESIDE})\((.*)\)", line)
        if not found:
            lines.append(line)
            continue
        indent, kind, literal = found.groups()
        comment = f"# {ast.literal_eval(literal)}"
        if kind == BESIDE and lines and len(lines[-1]) + len(comment) < WIDTH:
            lines[-1] += f"  {comment}"
        elif kind == BESIDE and lines:
            lines.insert(len(lines) - 1, indent + comment)
        else:
            lines.append(indent + comment)
    return "\n".join(lines)
