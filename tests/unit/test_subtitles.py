"""Words with times, and subtitles: by hand."""

from sightseq.text.subtitles import Word, srt, subtitles, words_of


def test_words_are_separated_by_spaces() -> None:
    characters = [(" ", 0.0, 0.1), ("a", 0.1, 0.2), ("b", 0.3, 0.4), (" ", 0.4, 0.5), (" ", 0.5, 0.6), ("c", 0.7, 0.8)]
    assert words_of(characters) == [("ab", 0.1, 0.4), ("c", 0.7, 0.8)]
    assert words_of([]) == []


def test_a_subtitle_ends_at_a_pause_or_before_it_is_too_long() -> None:
    words = [Word("one", 0.0, 0.4), Word("two", 0.5, 0.9), Word("three", 3.0, 3.4)]
    assert subtitles(words) == [("one two", 0.0, 0.9), ("three", 3.0, 3.4)]
    steady = [Word("word", 0.5 * n, 0.5 * n + 0.4) for n in range(40)]
    assert all(one.end - one.start <= 6 for one in subtitles(steady))
    wide = [Word("w" * 30, 0.1 * n, 0.1 * n + 0.1) for n in range(5)]
    assert [len(one.text) for one in subtitles(wide)] == [61, 61, 30]


def test_srt_by_hand() -> None:
    words = [Word("yes", 0.25, 0.5), Word("no", 3661.0, 3661.5)]
    expected = "1\n00:00:00,250 --> 00:00:00,500\nyes\n\n2\n01:01:01,000 --> 01:01:01,500\nno\n"
    assert srt(words) == expected
    assert srt([]) == ""


def test_long_subtitles_have_two_lines() -> None:
    text = "the quick brown fox jumps over the lazy dog again"
    words = [Word(word, n / 10, n / 10 + 0.1) for n, word in enumerate(text.split())]
    lines = srt(words).splitlines()[2:]
    assert " ".join(lines) == text
    assert max(map(len, lines)) <= 42
