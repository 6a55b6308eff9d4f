"""Characters as the classes of a recogniser: the ids of connectionist temporal classification (CTC)."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from sightseq.core.errors import CheckpointError

BLANK_ID, UNKNOWN_ID = 0, 1
SPECIAL = 2  # ids before those of the characters
UNKNOWN = "\ufffd"  # Unicode's replacement character


@dataclass(frozen=True)
class Alphabet:
    """The characters that a recogniser writes.

    Id 0 is the blank of CTC (Graves et al., 2006), which also pads rows of ids; id 1 is an unknown character; the
    characters follow from id 2 on. Texts are converted to Unicode's form NFC before they are encoded.

    Attributes:
        characters: different characters, in the order of their ids.

    Raises:
        CheckpointError: a character occurs twice, or is the replacement character U+FFFD.
    """

    characters: str

    def __post_init__(self) -> None:
        if len(set(self.characters)) < len(self.characters) or UNKNOWN in self.characters:
            raise CheckpointError(f"the characters of an alphabet must differ, and U+FFFD is none: {self.characters!r}")

    def __len__(self) -> int:
        """Return the number of characters, without the two special ids."""
        return len(self.characters)

    @property
    def size(self) -> int:
        """The number of ids, which is the number of logits: the characters, the blank and the unknown character."""
        return SPECIAL + len(self.characters)

    @property
    def labels(self) -> tuple[str, ...]:
        """The text of each id; "" for the blank."""
        return "", UNKNOWN, *self.characters

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {character: number for number, character in enumerate(self.characters, SPECIAL)}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, 1 for each character that is not in the alphabet."""
        return [self._ids.get(character, UNKNOWN_ID) for character in unicodedata.normalize("NFC", text)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of these ids; blanks are left out, and an unknown character is U+FFFD."""
        labels = self.labels
        return "".join(labels[number] for number in ids)

    def unknown(self, text: str) -> str:
        """Return the different characters of a text that are not in the alphabet, in order of their first place."""
        return "".join(dict.fromkeys(c for c in unicodedata.normalize("NFC", text) if c not in self._ids))


def fit(texts: Iterable[str]) -> Alphabet:
    """Return the alphabet of these texts, of the training split only; its characters are sorted."""
    characters: set[str] = set()
    for text in texts:
        characters.update(unicodedata.normalize("NFC", text))
    return Alphabet("".join(sorted(characters - {UNKNOWN})))
