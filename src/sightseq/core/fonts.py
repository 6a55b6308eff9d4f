"""Fonts for figures: finds installed fonts that have the characters of a text."""

import contextlib
import logging
import sys
import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font

DEFAULT = "DejaVu Sans"  # installed with Matplotlib
UNFIT = ("Last Resort", "LastResort", ".", "Noto Color", "Apple Color")  # boxes for all characters, hidden, or bitmaps
log = logging.getLogger("sightseq")
_told: set[str] = set()  # scripts that a warning was printed for


def families(text: str) -> list[str]:
    """Return the font families to draw a text with; each is for the characters that the families before it lack.

    If no installed font has a character, a warning is printed, once for each script; the figure then shows a box.
    """
    if text.isascii():
        return [DEFAULT]
    missing = {character for character in set(text) - _letters(DEFAULT) if character.isprintable()}
    return [DEFAULT, *(_others(frozenset(missing)) if missing else ())]


@cache
def _others(missing: frozenset[str]) -> tuple[str, ...]:
    """Return installed families that together have these characters, as few as a greedy choice finds.

    Characters that no family has are warned about.
    """
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # else it logs each family without weights
    covered = {name: missing & _letters(name) for name in installed()}
    left, chosen = set(missing), []
    while left and covered:
        name = max(covered, key=lambda name: (len(left & covered[name]), name.startswith("Noto Sans"), "Sans" in name))
        if not left & covered[name]:
            break
        chosen.append(name)
        left -= covered[name]
    if left:
        _warn(left)
    return tuple(chosen)


def installed() -> list[str]:
    """Return the font families on this machine, including those installed after Matplotlib built its font list."""
    for file in set(findSystemFonts()) - {str(entry.fname) for entry in fontManager.ttflist}:
        with contextlib.suppress(OSError, RuntimeError):  # not a font file
            fontManager.addfont(file)
    return sorted({entry.name for entry in fontManager.ttflist if not entry.name.startswith(UNFIT)})


@cache
def _letters(family: str) -> frozenset[str]:
    try:
        font = get_font(findfont(FontProperties(family=family), fallback_to_default=False))
    except (ValueError, OSError, RuntimeError):  # the file is missing or damaged
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()


def _warn(characters: Iterable[str]) -> None:
    scripts = {unicodedata.name(character, "UNKNOWN").split()[0] for character in characters} - _told
    if not scripts:
        return
    _told.update(scripts)
    names = ", ".join(name if name == "CJK" else name.capitalize() for name in sorted(scripts))
    text = f"no installed font has the characters of {names}, so figures show boxes; install one, such as Noto Sans"
    print(f"Warning: {text}", file=sys.stderr)
    if log.hasHandlers():  # else it would be printed twice
        log.warning(text)
    warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")  # Matplotlib's, one for each character
