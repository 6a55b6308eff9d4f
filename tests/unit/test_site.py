"""The documentation site: the numbers on its pages are the recorded ones, and its builder finds broken pages."""

import json
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch):
    """The module scripts/site/build.py."""
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), str(SCRIPTS / "site"), *sys.path])
    import build

    return build


def test_recorded_numbers_replace_their_names(build, monkeypatch: pytest.MonkeyPatch) -> None:
    record = {
        "headline": "mase",
        "metrics": {"mase": {"title": "MASE", "higher_is_better": False, "percent": False}},
        "scores": {"test/mase": [0.5, 0.01]},
        "baselines": {"last value": {"mase": [1.25, 0]}},
        "parameters": 12345,
        "seconds": {"fit": [60.4, 1.6]},
    }
    monkeypatch.setattr("gallery.recorded", lambda: {"co2": record})
    text = "{{co2}}, {{co2: last value}}, {{co2: parameters}}, {{co2: seconds}}"
    assert build.filled(text) == "0.5000 ± 0.0100, 1.2500, 12,345, 60 ± 2"
    with pytest.raises(KeyError):
        build.filled("{{co2: no such baseline}}")


def test_missing_files_and_other_servers_are_found(build, tmp_path: Path) -> None:
    (tmp_path / "style.css").touch()
    (tmp_path / "one.html").write_text(
        '<link href="style.css"><img src="data:image/png;base64,"><a href="https://pytorch.org">a</a>'
        '<a href="two.html#part">b</a><a href="#part">c</a><img src="gone.png"><script src="//cdn.org/x.js"></script>'
    )
    (tmp_path / "two.html").write_text('<a href="one.html?q=1">a</a><a href="three.html">b</a>')
    assert sorted(build.check(tmp_path)) == [
        "one.html loads //cdn.org/x.js",
        "one.html: there is no gone.png",
        "two.html: there is no three.html",
    ]


def test_a_notebook_is_rendered_with_what_its_cells_print(build, tmp_path: Path) -> None:
    cells = [("markdown", ["# Title\n", "text"]), ("code", ["x = 6"]), ("code", ["print(x * 7)"])]
    content = {"cells": [{"cell_type": kind, "source": source} for kind, source in cells]}
    (tmp_path / "book.ipynb").write_text(json.dumps(content))
    assert build.run_notebook(tmp_path / "book.ipynb") == (
        "# Title\ntext\n\n```python\nx = 6\n```\n\n```python\nprint(x * 7)\n```\n\n```text\n42\n```\n"
    )
