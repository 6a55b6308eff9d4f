"""Words with their times: from characters, and as subtitles."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

PAUSE = 0.8  # seconds of silence, after which a new subtitle begins
LONGEST = 6.0  # seconds of a subtitle
WIDEST = 84  # characters of a subtitle: two lines of 42
LINE = 42


class Word(NamedTuple):
    """A word, and when it was said, in seconds."""

    text: str
    start: float
    end: float


def words_of(characters: Iterable[tuple[str, float, float]]) -> list[Word]:
    """Join characters with their starts and ends to words; spaces separate them."""
    words: list[Word] = []
    between = True
    for character, start, end in characters:
        if character.isspace():
            between = True
        elif between:
            words.append(Word(character, start, end))
            between = False
        else:
            words[-1] = Word(words[-1].text + character, words[-1].start, end)
    return words


def subtitles(words: Sequence[Word]) -> list[Word]:
    """Join words to subtitles: a new one begins after a pause, and before one gets too long to read."""
    found: list[Word] = []
    for word in words:
        last = found[-1] if found else None
        if (
            last is None
            or word.start - last.end > PAUSE
            or word.end - last.start > LONGEST
            or len(last.text) + 1 + len(word.text) > WIDEST
        ):
            found.append(word)
        else:
            found[-1] = Word(f"{last.text} {word.text}", last.start, word.end)
    return found


def srt(words: Sequence[Word]) -> str:
    """Return the words as SubRip subtitles: numbered, with times, in lines of at most 42 characters where possible."""
    blocks = [
        f"{number}\n{_time(one.start)} --> {_time(one.end)}\n{_lines(one.text)}\n"
        for number, one in enumerate(subtitles(words), start=1)
    ]
    return "\n".join(blocks)


def _time(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"


def _lines(text: str) -> str:
    """Break a text at the space nearest to its middle if it is longer than a line."""
    if len(text) <= LINE or " " not in text:
        return text
    spaces = [place for place, character in enumerate(text) if character == " "]
    middle = min(spaces, key=lambda place: abs(place - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"
