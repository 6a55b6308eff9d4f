"""Translation memories in TMX (Translation Memory eXchange 1.4), an XML format of translators' programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.parsers import expat

from sightseq.core.errors import DataError
from sightseq.text.sentences import clean_sentence

CODES = {"bpt", "ept", "it", "ph", "ut"}  # elements with the markup of another program, not with text


def read_tmx(file: Path, languages: Sequence[str | None], skipped: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of texts in two languages.

    Nothing but the file is read: a DTD is not loaded, and declared entities, which can expand without limit, are
    refused.

    Args:
        file: the file, in the encoding that it declares.
        languages: codes of the source and of the target language. "en" also stands for "en-US" if the file has no "en".
        skipped: the places of units without a text in both languages are appended.

    Raises:
        DataError: the file is not XML, declares entities, or has no unit in one of the languages, or a language is
            None.
    """
    reader = _Reader(file)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.EntityDeclHandler = reader.refuse_entity
    reader.line = lambda: parser.CurrentLineNumber
    try:
        with file.open("rb") as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, LookupError, ValueError) as error:  # an unknown encoding raises LookupError
        raise DataError(f"{file} is not valid XML: {error}") from error
    known = sorted({language for _, texts in reader.units for language in texts})
    source, target = (_matching(file, wanted, side, known) for wanted, side in zip(languages, SIDES, strict=True))
    pairs = []
    for line, texts in reader.units:
        pair = (clean_sentence(texts.get(source, "")), clean_sentence(texts.get(target, "")))
        if all(pair):
            pairs.append(pair)
        else:
            skipped.append(f"{file}, line {line}, without a text in {source} and in {target}")
    return pairs


SIDES = ("source", "target")


def _matching(file: Path, wanted: str | None, side: str, known: Sequence[str]) -> str:
    """Return the language of the file that a code stands for."""
    names = [] if wanted is None else [name for name in known if name == wanted.lower()]
    names = names or [name for name in known if wanted and name.partition("-")[0] == wanted.lower().partition("-")[0]]
    if not names:
        raise DataError(f"{file} has the languages {', '.join(known) or 'none'}; name one with data.{side}=CODE")
    return names[0]


class _Reader:
    """Handlers of an XML parser. `units` has the line of each unit, and its first text in each language.

    Args:
        file: the file, for messages.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.units: list[tuple[int, dict[str, str]]] = []
        self.line: Any = None
        self._language = ""
        self._text: list[str] | None = None  # parts of the segment that is open
        self._codes = 0  # open elements of `CODES`

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "tu":
            self.units.append((self.line(), {}))
        elif name == "tuv":
            self._language = (attributes.get("xml:lang") or attributes.get("lang") or "").replace("_", "-").lower()
        elif name == "seg":
            self._text = []
        self._codes += name in CODES

    def end(self, name: str) -> None:
        self._codes -= name in CODES
        if name == "seg" and self._text is not None and self.units:
            self.units[-1][1].setdefault(self._language, "".join(self._text))
            self._text = None

    def characters(self, text: str) -> None:
        if self._text is not None and not self._codes:
            self._text.append(text)

    def refuse_entity(self, name: str, *_: Any) -> None:
        raise DataError(f"{self.file} declares the entity {name!r}, which is refused; write its text instead")
