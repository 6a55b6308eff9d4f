"""Normal forms of sentences, and files of lines."""

import gzip
from pathlib import Path

import pytest

from sightseq.core.errors import DataError
from sightseq.text.sentences import clean_sentence, fold_sentence, read_lines


def test_a_clean_sentence_has_composed_characters_and_plain_spaces() -> None:
    assert clean_sentence("  cafe\u0301\u00a0! \t2:05\u202fPM\n") == "café ! 2:05 PM"


@pytest.mark.parametrize(
    "text",
    [
        "क्या आप हिन्दी बोलते हैं?",
        "میں اُردو بولتا ہوں۔",
        "می\u200cخواهم",  # a zero-width non-joiner
        "\u200fسلام\u200e!",  # direction marks
        "क\u094d\u200dष",  # a zero-width joiner
    ],
)
def test_joiners_direction_marks_and_combining_marks_are_kept(text: str) -> None:
    assert clean_sentence(text) == text


def test_hindi_letters_with_a_dot_have_one_form() -> None:
    assert clean_sentence("\u0958") == clean_sentence("\u0915\u093c")


def test_near_duplicates_have_one_folded_form() -> None:
    assert fold_sentence("Don't cheat him!") == fold_sentence("don\u2019t  CHEAT him.") == "don t cheat him"
    assert fold_sentence("क्या?") == "क्या" != fold_sentence("क्यों?")
    assert fold_sentence("?!") == "?!" != fold_sentence("...")


def test_lines_of_plain_and_of_compressed_files() -> None:
    raw = "\ufeffone\r\n\ntwo\u2028still two\nthree".encode()
    Path("a.txt").write_bytes(raw)
    Path("a.txt.gz").write_bytes(gzip.compress(raw))
    for name in ("a.txt", "a.txt.gz"):
        assert list(read_lines(Path(name))) == ["one", "", "two\u2028still two", "three"]


def test_bad_files_are_refused_by_name_and_line() -> None:
    Path("latin.txt").write_bytes("fine\ncaf\u00e9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt, line 2, is not UTF-8"):
        list(read_lines(Path("latin.txt")))
    Path("utf16.txt").write_bytes("fine\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"utf16\.txt, line 1, is not UTF-8"):
        list(read_lines(Path("utf16.txt")))
    Path("cut.gz").write_bytes(gzip.compress(bytes(range(100)) * 100)[:-20])
    with pytest.raises(DataError, match=r"cut\.gz"):
        list(read_lines(Path("cut.gz")))
