"""The source code of all modules that a module imports, found without importing them."""

import importlib
import py_compile
import sys
from pathlib import Path

import pytest

from sightseq.core.sources import sources


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch):
    """A function that imports a module from the current folder; its package is removed from sys.modules afterwards."""
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_only_imported_modules_are_found(imported) -> None:
    write(
        {
            "cottage/__init__.py": "",
            "cottage/entry.py": """
import os
import cottage.plain as p
from . import beside
from .deep import NAME, inner
def late():
    from cottage.late import x
class Data: pass
""",
            "cottage/plain.py": "from other import anything",
            "cottage/beside.py": "from .entry import Data  # a cycle",
            "cottage/late.py": "raise RuntimeError('was imported')",
            "cottage/deep/__init__.py": "from .re_exported import NAME",
            "cottage/deep/inner.py": "from ..parent import *",
            "cottage/deep/re_exported.py": "NAME = 1",
            "cottage/parent.py": "this is no Python",
            "cottage/unrelated.py": "",
            "other/__init__.py": "",
        }
    )
    imported("cottage")
    imported("other")
    inner = {"deep", "deep.inner", "deep.re_exported", "parent"}
    found = sources(["cottage.entry"], {"cottage"})
    assert set(found) == {f"cottage.{name}" for name in {"entry", "plain", "beside", "late", *inner}}
    assert found["cottage.plain"] == "from other import anything"
    assert "cottage.late" not in sys.modules
    assert set(sources(["cottage.entry"], {"cottage"}, left_out="cottage.deep")) == {
        f"cottage.{name}" for name in ("entry", "plain", "beside", "late")
    }
    assert "other" in sources(["cottage.entry"], {"cottage", "other"})


def test_packages_without_init_and_compiled_modules(imported) -> None:
    write(
        {"space/part/entry.py": "from ..tools import fast\nfrom space.tools import plain", "space/tools/plain.py": ""}
    )
    write({"source.py": "x = 1"})
    py_compile.compile("source.py", "space/tools/fast.pyc", doraise=True)
    imported("space.part.entry")
    found = sources(["space.part.entry"], {"space"})
    assert set(found) == {"space.part.entry", "space.tools.fast", "space.tools.plain"}
    assert found["space.tools.fast"].encode("latin-1") == Path("space/tools/fast.pyc").read_bytes()


def test_a_changed_file_is_read_again(imported) -> None:
    write({"one/__init__.py": "", "one/entry.py": "from one import two", "one/two.py": "x = 1", "one/three.py": ""})
    imported("one.entry")
    assert sources(["one.entry"], {"one"})["one.two"] == "x = 1"
    write({"one/two.py": "from one import three"})
    assert set(sources(["one.entry"], {"one"})) == {"one.entry", "one.two", "one.three"}


def test_a_module_without_a_file_has_no_source() -> None:
    assert sources(["sys", "not.there"], {"sys"}) == {}
