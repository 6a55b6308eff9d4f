"""Phrases that Babel formats in two languages from the Unicode CLDR: dates, times, numbers, amounts, names."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from babel import Locale
from babel.core import get_global
from babel.dates import format_date, format_datetime, format_skeleton, format_time
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent, get_territory_currencies
from babel.units import format_unit

Pair = tuple[Locale, Locale]
Phrases = Iterator[tuple[str, list[str]]]  # key, and the phrase in both languages

DATES, MOMENTS, MONTHS, QUARTERS, TIMES, NUMBERS, PERCENTS = 4000, 3000, 1500, 400, 3000, 4000, 1500
PER_CURRENCY: dict[Literal["name", "standard"], int] = {"name": 20, "standard": 10}
PER_UNIT, LANGUAGES, LISTS = 30, 8000, 5000
FIRST, DAYS = datetime(1900, 1, 1), 73_049  # to 2099
NO_PLACES = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}  # codes of unions and of tests
ZEROS = {"arab": "\u0660", "arabext": "\u06f0", "beng": "\u09e6", "deva": "\u0966", "mymr": "\u1040"}
UNITS = """angle-degree area-acre area-hectare area-square-kilometer area-square-meter area-square-mile digital-byte
digital-gigabyte digital-kilobyte digital-megabyte digital-terabyte duration-century duration-day duration-decade
duration-hour duration-millisecond duration-minute duration-month duration-second duration-week duration-year
electric-ampere electric-ohm electric-volt energy-calorie energy-joule energy-kilocalorie energy-kilowatt-hour
force-newton frequency-hertz frequency-kilohertz frequency-megahertz length-centimeter length-foot length-inch
length-kilometer length-light-year length-meter length-mile length-millimeter length-nautical-mile length-yard
mass-carat mass-gram mass-kilogram mass-milligram mass-ounce mass-pound mass-tonne power-horsepower power-kilowatt
power-megawatt power-watt pressure-bar pressure-hectopascal speed-kilometer-per-hour speed-knot
speed-meter-per-second speed-mile-per-hour temperature-celsius temperature-fahrenheit temperature-kelvin volume-barrel
volume-cubic-meter volume-cup volume-gallon volume-liter volume-milliliter volume-pint volume-teaspoon""".split()  # noqa: SIM905 (a list would take 70 lines)


def cldr_pairs(source: str, target: str) -> Iterator[tuple[str, str, str]]:
    """Yield the key of each phrase, and the phrase in two languages.

    The same phrases are drawn for every pair of languages, but for names that one of them lacks or that have two
    translations. Phrases with the same key belong to one split: all forms of one date have its key, for example. Bare
    names have an empty key: they are the dictionary, which cannot be derived, and are for training.

    Args:
        source: code of a language that Babel knows, such as "en" or "ur_IN".
        target: the other one.
    """
    pair = Locale.parse(source), Locale.parse(target)
    for phrases in (_dates, _times, _numbers, _amounts, _names):
        for key, texts in phrases(random.Random(0), pair):
            first, second = (_own_digits(text, locale) for text, locale in zip(texts, pair, strict=True))
            yield key, first, second


def _dates(draw: random.Random, pair: Pair) -> Phrases:
    """Dates, dates with times, months, quarters."""
    for number in range(DATES + MOMENTS):
        moment = FIRST + timedelta(days=draw.randrange(DAYS), seconds=draw.randrange(86_400))
        key = f"{moment:%Y-%m-%d}"
        if number < DATES:
            yield key, [format_date(moment, "full", locale) for locale in pair]
            yield key, [format_date(moment, "long", locale) for locale in pair]
        else:
            yield key, [format_datetime(moment, "long", locale=locale) for locale in pair]
    for number in range(MONTHS + QUARTERS):
        skeleton = "yMMMM" if number < MONTHS else "yQQQQ"
        moment = FIRST + timedelta(days=draw.randrange(DAYS))
        key = f"{moment:%Y-%m}" if number < MONTHS else f"{moment:%Y} quarter {(moment.month + 2) // 3}"
        yield key, [format_skeleton(skeleton, moment, locale=locale) for locale in pair]


def _times(draw: random.Random, pair: Pair) -> Phrases:
    """Times of the day, a third of them without seconds."""
    for number in range(TIMES):
        clock = time(draw.randrange(24), draw.randrange(60), draw.randrange(60))
        yield f"{clock:%H:%M}", [format_time(clock, "medium" if number % 3 else "short", locale=o) for o in pair]


def _numbers(draw: random.Random, pair: Pair) -> Phrases:
    """Numbers and percentages."""
    for _ in range(NUMBERS):
        value = _number(draw, 9, 3)
        yield str(value), [format_decimal(value, locale=locale, numbering_system="default") for locale in pair]
    for _ in range(PERCENTS):
        value = Decimal(draw.randrange(1, 2000)) / 1000
        yield (
            f"{value} of 1",
            [
                format_percent(value, locale=locale, decimal_quantization=False, numbering_system="default")
                for locale in pair
            ],
        )


def _amounts(draw: random.Random, pair: Pair) -> Phrases:
    """Amounts of money, and numbers with a unit."""

    def money(value: Decimal, code: str, form: Literal["name", "standard"]) -> list[str]:
        return [
            format_currency(value, code, locale=locale, format_type=form, numbering_system="default") for locale in pair
        ]

    def measure(value: Decimal, unit: str) -> list[str]:
        return [format_unit(value, unit, "long", locale=locale, numbering_system="default") for locale in pair]

    territories = sorted(get_global("territory_languages"))
    tender = sorted({code for territory in territories for code in get_territory_currencies(territory)})
    codes = [code for code in tender if all(code in locale.currencies for locale in pair)]
    for form, count in PER_CURRENCY.items():
        for code in _distinct({code: money(Decimal(2), code, form) for code in codes}):
            for _ in range(count):
                value = _number(draw, 6, 2)
                yield f"{value} {code}", money(value, code, form)
    for unit in _distinct({unit: measure(Decimal(2), unit) for unit in UNITS}):
        for _ in range(PER_UNIT):
            value = _number(draw, 5, 1)
            yield f"{value} {unit}", measure(value, unit)


def _names(draw: random.Random, pair: Pair) -> Phrases:
    """Languages, places, languages of a place, such as "French (Canada)", and lists of places."""
    spoken = get_global("territory_languages")
    official = {code for found in spoken.values() for code, about in found.items() if about.get("official_status")}
    known = [code for code in sorted(official) if all(code in locale.languages for locale in pair)]
    languages = {code: [locale.languages[code] for locale in pair] for code in known}
    known = [code for code in sorted(set(spoken) - NO_PLACES) if all(code in locale.territories for locale in pair)]
    places = {code: [locale.territories[code] for locale in pair] for code in known}
    languages, places = ({code: names[code] for code in _distinct(names)} for names in (languages, places))
    for texts in (*languages.values(), *places.values()):
        yield "", texts
    for _ in range(LANGUAGES):
        one, place = draw.choice(list(languages)), draw.choice(list(places))
        yield f"{one} in {place}", [f"{a} ({b})" for a, b in zip(languages[one], places[place], strict=True)]
    for _ in range(LISTS):
        some = draw.sample(list(places), draw.randrange(2, 5))
        yield " ".join(some), [format_list([o.territories[code] for code in some], locale=o) for o in pair]


def _number(draw: random.Random, digits: int, decimals: int) -> Decimal:
    """Return a number of at most these digits before and after the point; small and whole ones are frequent."""
    whole = draw.randrange(10 ** draw.randrange(1, digits + 1))
    after = draw.randrange(decimals + 1)
    return Decimal(whole) + Decimal(draw.randrange(10**after)).scaleb(-after)


def _distinct(names: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the codes whose source name has one target name, for (source name, target name) by code."""
    targets: dict[str, set[str]] = {}
    for source, target in names.values():
        targets.setdefault(source, set()).add(target)
    return [code for code, (source, _) in names.items() if len(targets[source]) == 1]


def _own_digits(text: str, locale: Locale) -> str:
    """Return a text with the digits that its locale uses; Babel writes all numbers with Latin digits."""
    zero = ZEROS.get(locale.default_numbering_system)
    return text.translate({ord("0") + n: ord(zero) + n for n in range(10)}) if zero else text
