"""Text to token ids and back."""

import json
from random import Random
from typing import Any

import pytest

from sightseq.core.errors import CheckpointError, ConfigError, InputError
from sightseq.text.batch import pad
from sightseq.text.tokenizer import Tokenizer, Unit, fit

TEXTS = ["Don't panic, don't!", "The film, the FILM.", "a film"]
ODD = [
    "",
    " two  spaces \n\tand a tab\r\n",
    "naïve café, e\u0301",
    "नमस्ते दुनिया",
    "سلام دنیا",
    "\U0001f600\u200d\u2764\ufe0f",
    "<eos> <unk> <0x41>",
    "\x00\x1b[31m",
    "日本語",
    "\ufeffmark",
]


def test_words_by_hand() -> None:
    tokenizer = fit(TEXTS, "words", 7, lowercase=True)
    # "film" occurs three times, ",", "don't" and "the" twice, all others once.
    assert tokenizer.vocab_size == 7
    assert tokenizer.decode(tokenizer.encode("The film, don't panic")) == "the film , don't <unk>"
    assert tokenizer.pieces(tokenizer.encode("Film, film")) == ["film ", ", ", "film "]
    assert tokenizer.encode("panic") == [1]


def test_upper_case_is_kept_on_request() -> None:
    tokenizer = fit(TEXTS, "words", 100)
    assert tokenizer.encode("film") != tokenizer.encode("FILM") != [1]


@pytest.mark.parametrize("unit", ["subwords", "characters"])
@pytest.mark.parametrize("text", [*TEXTS, *ODD])
def test_decoding_is_the_inverse_of_encoding(unit: Unit, text: str) -> None:
    tokenizer = fit(TEXTS, unit, 300)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("unit", ["subwords", "characters"])
def test_any_unicode_round_trips(unit: Unit) -> None:
    tokenizer, random = fit(TEXTS, unit, 300), Random(0)
    for _ in range(1000):
        top = random.choice([0x80, 0x800, 0xD800, 0x110000])  # characters of up to one, two, three and four bytes
        codes = [random.randrange(top) for _ in range(random.randrange(30))]
        text = "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)  # surrogates
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("unit", ["words", "subwords", "characters"])
def test_no_part_of_a_text_is_a_special_token(unit: Unit) -> None:
    assert 0 not in fit([*TEXTS, *ODD], unit, 400).encode("<eos> a<eos>b")


@pytest.mark.parametrize("unit", ["words", "subwords", "characters"])
def test_json_contains_the_whole_tokenizer(unit: Unit) -> None:
    tokenizer = fit([*TEXTS, *ODD], unit, 300, lowercase=True)
    again = Tokenizer(tokenizer.json)
    assert again.json == tokenizer.json
    assert again.vocab_size == tokenizer.vocab_size
    for text in (*TEXTS, *ODD):
        assert again.encode(text) == tokenizer.encode(text)
        assert max(tokenizer.encode(text), default=0) < tokenizer.vocab_size


def test_frequent_characters_are_tokens_and_rare_ones_are_bytes() -> None:
    tokenizer = fit(["aaab", "aé"], "characters", 2 + 256 + 2)
    assert [len(tokenizer.encode(text)) for text in ("a", "b", "é", "日")] == [1, 1, 2, 3]


def test_subwords_grow_with_the_vocabulary() -> None:
    lengths = [len(fit(TEXTS * 9, "subwords", size).encode("the film")) for size in (258, 300)]
    assert lengths[0] == 8 > lengths[1]


def test_a_word_with_combining_marks_can_be_one_subword() -> None:
    tokenizer = fit(["नमस्ते दुनिया"] * 9, "subwords", 400)
    assert tokenizer.pieces(tokenizer.encode("नमस्ते दुनिया")) == ["नमस्ते", " दुनिया"]


def test_subwords_of_older_versions_are_read() -> None:
    description = json.loads(fit(TEXTS * 9, "subwords", 300).json)
    old = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = Tokenizer(json.dumps(description | {"pre_tokenizer": old}))
    assert tokenizer.encode("the film") == Tokenizer(json.dumps(description)).encode("the film")


@pytest.mark.parametrize(("unit", "least"), [("words", 3), ("subwords", 258), ("characters", 258)])
def test_a_vocabulary_has_a_smallest_size(unit: Unit, least: int) -> None:
    assert fit(TEXTS, unit, least).vocab_size <= least
    with pytest.raises(ConfigError, match=rf"data.vocab_size={least - 1}: {unit} need at least {least}"):
        fit(TEXTS, unit, least - 1)


def test_surrogates_are_refused() -> None:
    with pytest.raises(InputError, match="not valid Unicode"):
        fit(TEXTS, "words", 100).encode("a \udc80 b")


SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}


def changed(**parts: Any) -> str:
    return json.dumps({**json.loads(fit(TEXTS, "words", 100).json), **parts})


@pytest.mark.parametrize(
    "description",
    [
        "",
        "{",
        "[]",
        '{"version": "1.0"}',
        changed(normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaa"}),
        changed(
            pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
        ),
        changed(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        changed(padding={"strategy": {"Fixed": 1000000}}),
        changed(model={"type": "WordLevel", "vocab": {"<eos>": 0, "<unk>": 1, "a": 1000000}, "unk_token": "<unk>"}),
        changed(model={"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}),
        changed(model={"type": "Unigram", "vocab": []}),
        changed(more=1),
    ],
)
def test_invalid_tokenizers_are_refused(description: str) -> None:
    with pytest.raises(CheckpointError, match="tokenizer"):
        Tokenizer(description)


def test_padding_by_hand() -> None:
    batch = pad([[5, 6, 7, 8, 9, 10], [4], []], 5)
    assert batch["input"].tolist() == [[5, 6, 7, 9, 10], [4, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert batch["length"].tolist() == [5, 1, 1]
    assert pad([[3, 4]], 400)["input"].tolist() == [[3, 4]]
