"""Phrases of the Unicode CLDR in two languages."""

from functools import cache
from typing import Any

import pytest

from sightseq.core.errors import ConfigError
from sightseq.data.parallel import calendar, cldr
from sightseq.data.parallel.calendar import CalendarPairs, split_of
from tests.unit.test_parallel import pairs_of


@cache
def phrases(source: str, target: str) -> dict[str, str]:
    return {one: two for _, one, two in cldr.cldr_pairs(source, target)}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATES", "MOMENTS", "MONTHS", "QUARTERS", "TIMES", "NUMBERS", "PERCENTS", "LANGUAGES", "LISTS"):
        monkeypatch.setattr(cldr, name, 200)
    monkeypatch.setattr(cldr, "PER_CURRENCY", {"name": 1, "standard": 1})
    monkeypatch.setattr(cldr, "PER_UNIT", 5)
    phrases.cache_clear()


def prepared(**arguments: Any) -> CalendarPairs:
    data = CalendarPairs(
        **({"name": "calendar", "cache": "cache", "vocab_size": 600, "unit": "characters"} | arguments)
    )
    data.prepare_data()
    return data


@pytest.mark.usefixtures("few")
def test_phrases_are_those_of_the_languages() -> None:
    french = phrases("en", "fr")
    assert french["Canada"] == "Canada"
    assert french["Germany"] == "Allemagne"
    assert french["Hindi"] == "hindi"
    assert any(one.startswith("Monday, ") and two.startswith("lundi ") for one, two in french.items())
    assert any(one.endswith(" kilometers") and two.endswith("kilomètres") for one, two in french.items())
    hindi = phrases("en", "hi")
    assert hindi["India"] == "भारत"
    assert any(
        one.count(",") == 2 and two.count(",") == 3 for one, two in hindi.items() if one.replace(",", "").isdigit()
    )
    assert phrases("ur", "en")["پاکستان"] == "Pakistan"


@pytest.mark.usefixtures("few")
def test_digits_are_those_of_the_language() -> None:
    assert any("१" in two for two in phrases("en", "mr").values())
    assert not any(digit in two for two in phrases("en", "mr").values() for digit in "0123456789")
    assert not any("१" in two for two in phrases("en", "hi").values())  # Hindi uses Latin digits by default


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("languages", [("en", "fr"), ("ur", "en")])
def test_no_test_phrase_was_seen_in_any_form(languages: tuple[str, str]) -> None:
    data = prepared(source=languages[0], target=languages[1])
    train, test = (dict(pairs_of(data, split)) for split in ("train", "test"))
    assert 0.02 < len(test) / (len(train) + len(test)) < 0.08
    assert not set(test) & {*train, *dict(pairs_of(data, "val"))}
    dates = [text for text in test if languages[0] == "en" and ", 19" in text]
    assert not any(date in text for date in dates for text in train)


def test_the_split_depends_on_the_key_alone() -> None:
    keys = [f"2021-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    assert [split_of(key) for key in keys] == [split_of(key) for key in keys]
    counts = {split: sum(split_of(key) == split for key in keys) for split in ("train", "val", "test")}
    assert counts["train"] > 0.8 * len(keys) > counts["test"] > counts["val"] > 0
    assert split_of("") == "train"


def test_a_source_with_two_translations_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"key {n}", f"source {n}", f"target {n}") for n in range(200)]
    rows += [("a", "bank", "Bank"), ("b", "bank", "Ufer"), ("c", "source 0", "target 0")]
    monkeypatch.setattr(cldr, "cldr_pairs", lambda *_: iter(rows))
    data = prepared(source="en", target="de")
    every = [dict(pairs_of(data, split)) for split in ("train", "val", "test")]
    assert sum(map(len, every)) == 200
    assert not any("bank" in pairs for pairs in every)


def test_unknown_languages_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.target=english: Babel has no such language"):
        CalendarPairs(name="calendar", source="fr", target="english")
    assert calendar.FORTIETHS == {"val": 1, "test": 2}
