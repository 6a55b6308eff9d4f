"""Labels in any script are drawn with a font that has their characters; missing fonts give one warning."""

import io
import logging
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from sightseq.core import fonts
from sightseq.tasks.classification.figures import confusion_matrix_figure
from sightseq.vision.figures import batch_figure

BUNDLED = "STIXGeneral"  # a font that comes with matplotlib too


@pytest.fixture(autouse=True)
def only_bundled_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "installed", lambda: [fonts.DEFAULT, BUNDLED])
    monkeypatch.setattr(fonts, "_told", set())
    fonts._others.cache_clear()


def families_of(figure: Figure, label: str) -> list[str]:
    """The font families of the text that shows a label; drawing it must give no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO())
    return next(found.get_fontfamily() for found in figure.findobj(Text) if found.get_text() == label)


@pytest.mark.parametrize("label", ["cat", "кошка", "γάτα"])
def test_characters_of_the_default_font_need_no_search(label: str, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setattr(fonts, "installed", None)
    assert families_of(confusion_matrix_figure(np.eye(2, dtype=np.int64), [label, "b"]), label) == [fonts.DEFAULT]
    assert capfd.readouterr().err == ""


def test_characters_of_another_font_are_drawn_with_it(capfd) -> None:
    label = next(c for c in sorted(fonts._letters(BUNDLED) - fonts._letters(fonts.DEFAULT)) if c.isprintable())
    for figure in (
        confusion_matrix_figure(np.eye(2, dtype=np.int64), ["a", label]),
        batch_figure([np.zeros((4, 4), np.uint8)], [label]),
    ):
        assert families_of(figure, label) == [fonts.DEFAULT, BUNDLED]
    assert capfd.readouterr().err == ""


def test_characters_without_a_font_give_one_warning(capfd, caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        for label in ("बिल्ली", "बिल्ली", "कुत्ता"):
            batch_figure([np.zeros((4, 4), np.uint8)], [label]).savefig(io.BytesIO())
    text = "no installed font has the characters of Devanagari, so figures show boxes; install one, such as Noto Sans"
    assert capfd.readouterr().err == f"Warning: {text}\n"
    assert [(record.levelno, record.message) for record in caplog.records] == [(logging.WARNING, text)]


def test_invalid_font_files_are_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.undo()
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: [str(tmp_path / "broken.ttf")])
    before = len(fontManager.ttflist)
    assert {fonts.DEFAULT, BUNDLED} <= set(fonts.installed())
    assert not any(name.startswith("Last Resort") for name in fonts.installed())
    assert len(fontManager.ttflist) == before
