"""Fonts for figures: those that have the letters of what is written in one."""

import contextlib
import logging
import sys
import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font

DEFAULT = "DejaVu Sans"  # comes with matplotlib
UNFIT = ("Last Resort", "LastResort", ".", "Noto Color", "Apple Color")  # boxes for all letters, hidden, or bitmaps
log = logging.getLogger("sightseq")
_told: set[str] = set()  # scripts


def families(text: str) -> list[str]:
    """The font families to draw a text with, each for what those before it have not. Where no installed font has a
    letter, a warning says so, once for each script; the figure then shows a box.
    """
    if text.isascii():
        return [DEFAULT]
    missing = {letter for letter in set(text) - _letters(DEFAULT) if letter.isprintable()}
    return [DEFAULT, *(_others(frozenset(missing)) if missing else ())]


@cache
def _others(missing: frozenset[str]) -> tuple[str, ...]:
    """The installed families that have these letters, as few as possible."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # else it tells of each family without weights
    having = {name: missing & _letters(name) for name in installed()}
    left, found = set(missing), []
    while left and having:
        name = max(having, key=lambda name: (len(left & having[name]), name.startswith("Noto Sans"), "Sans" in name))
        if not left & having[name]:
            break
        found.append(name)
        left -= having[name]
    if left:
        _warn(left)
    return tuple(found)


def installed() -> list[str]:
    """The families on this machine, those included that were installed since matplotlib last looked."""
    for file in set(findSystemFonts()) - {str(entry.fname) for entry in fontManager.ttflist}:
        with contextlib.suppress(OSError, RuntimeError):  # a file that is no font
            fontManager.addfont(file)
    return sorted({entry.name for entry in fontManager.ttflist if not entry.name.startswith(UNFIT)})


@cache
def _letters(family: str) -> frozenset[str]:
    try:
        font = get_font(findfont(FontProperties(family=family), fallback_to_default=False))
    except (ValueError, OSError, RuntimeError):  # it is gone, or damaged
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()


def _warn(letters: Iterable[str]) -> None:
    scripts = {unicodedata.name(letter, "UNKNOWN").split()[0] for letter in letters} - _told
    if not scripts:
        return
    _told.update(scripts)
    names = ", ".join(name if name == "CJK" else name.capitalize() for name in sorted(scripts))
    text = f"no installed font has the letters of {names}, so figures show boxes; install one, such as Noto Sans"
    print(f"Warning: {text}", file=sys.stderr)
    if log.hasHandlers():  # else it would be printed twice
        log.warning(text)
    warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")  # of matplotlib, one for each letter
