"""Generated sentence pairs that are learnable quickly."""

import random

NOUNS = ("dog", "cat", "bird", "girl", "boy", "horse")
VERBS = ("sees", "likes", "follows", "hears")
ADJECTIVES = ("red", "small", "old", "quick")


def synthetic_pairs(count: int, seed: int, languages: tuple[str, str]) -> list[tuple[str, str]]:
    """Return sentences of one small grammar in two languages.

    English has the adjective before the noun. In any other language it comes after it, and each word is its English
    word and the code of the language: "the red dog sees a cat." is "thede dogde redde seesde ade catde." in "de".
    """
    generator = random.Random(seed)
    pairs = []
    for _ in range(count):
        subject, verb, thing = (generator.choice(words) for words in (NOUNS, VERBS, NOUNS))
        phrases = [("the", generator.choice(ADJECTIVES), subject), (verb,), ("a", thing)]
        source, target = (_sentence(phrases, language) for language in languages)
        pairs.append((source, target))
    return pairs


def _sentence(phrases: list[tuple[str, ...]], language: str) -> str:
    if language == "en":
        return " ".join(word for phrase in phrases for word in phrase) + "."
    return " ".join(f"{word}{language}" for phrase in phrases for word in (phrase[0], *phrase[:0:-1])) + "."
