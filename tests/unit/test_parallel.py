"""Sentence pairs: spec, tokens, batches, and the splits of Multi30k and Tatoeba."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightseq.core.arrays import Ragged
from sightseq.core.errors import CheckpointError, ConfigError, DataError
from sightseq.core.spec import Spec
from sightseq.data.parallel.grouped import group_pairs
from sightseq.data.parallel.multi30k import Multi30k
from sightseq.data.parallel.parallel import ParallelData, TranslationDataset
from sightseq.data.parallel.tatoeba import Tatoeba
from sightseq.data.text.tokenised import Texts
from sightseq.tasks.translation.baseline import TranslationMemory
from sightseq.text.tokenizer import Tokenizer, fit
from sightseq.text.tokens_spec import Tokens
from sightseq.text.translation_spec import TranslationSpec

COMMON: dict[str, Any] = {"root": "data", "cache": "cache", "vocab_size": 400}
URDU = ["میں اُردو بولتا ہوں۔", "آپ کیسے ہیں؟", "ٹام نے کہا: «نہیں»", "۱۲۳ کتابیں"]
HINDI = ["क्या आप हिन्दी बोलते हैं?", "मैं फ़िल्म देख रहा हूँ।", "१२ घंटे", "श्रीमती, ज़रूर!"]


def multi30k(**arguments: Any) -> Multi30k:
    data = Multi30k(**({"name": "multi30k", "source": "de", "target": "en"} | COMMON | arguments))
    data.prepare_data()
    return data


def write_multi30k(folder: str = "data/multi30k", end: str = "", **texts: list[str]) -> None:
    Path(folder).mkdir(parents=True)
    for language in ("de", "en", "fr"):
        for stem, count in (("train", 60), ("val", 6), ("test_2016_flickr", 7), ("test_2017_flickr", 8)):
            lines = texts.get(f"{stem}_{language}", [f"{stem} {language} {n}." for n in range(count)])
            raw = "".join(f"{line}\n" for line in lines).encode()
            Path(folder, f"{stem}.{language}{end}").write_bytes(gzip.compress(raw) if end else raw)


def tatoeba(rows: list[str], **arguments: Any) -> Tatoeba:
    Path("data/tatoeba").mkdir(parents=True, exist_ok=True)
    Path("data/tatoeba/fra.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    data = Tatoeba(**({"name": "tatoeba", "source": "en", "target": "fr"} | COMMON | arguments))
    data.prepare_data()
    return data


def pairs_of(data: ParallelData, split: str) -> list[tuple[str, str]]:
    dataset: Any = data.dataset(split)
    return list(zip(*(dataset.arrays[side][dataset.rows] for side in ("input", "target")), strict=True))


# Spec


def spec(**changes: Any) -> TranslationSpec:
    tokenizer = fit(["a b"], "words", 100)
    sides = [Tokens(tokenizer.json, size, language, 50) for size, language in ((4, "de"), (5, "en"))]
    return TranslationSpec(*sides, **changes)


def test_the_spec_describes_both_sides() -> None:
    assert spec().net_arguments() == {"source_vocab_size": 4, "target_vocab_size": 5, "joint": False}
    assert spec().summary() == {"languages": "de-en", "vocabulary": "4 and 5"}
    assert spec(joint=True).summary()["vocabulary"] == "joint, 4"
    assert Spec.from_dict(json.loads(json.dumps(spec().to_dict()))) == spec()
    assert json.loads(spec().metadata()["preprocessing"]) == {"source_max_tokens": 50, "target_max_tokens": 50}
    assert Tokenizer(spec().metadata()["target_tokenizer"]).vocab_size == 4
    assert not spec().target.lowercase
    assert Tokens(fit(["A"], "words", 100, lowercase=True).json, 3, "en").lowercase


def test_models_differ_by_their_languages_only() -> None:
    other = TranslationSpec(Tokens("", 100, "de"), Tokens("", 200, "en"))
    assert spec().difference(other) == ""
    assert "de to en, and the data is de to fr" in spec().difference(TranslationSpec(other.source, Tokens("", 9, "fr")))


def test_invalid_specs_are_refused() -> None:
    with pytest.raises(CheckpointError, match="max_tokens"):
        TranslationSpec(Tokens("", 9, "de", 1), Tokens("", 9, "en"))
    with pytest.raises(CheckpointError, match="two tokenizers"):
        TranslationSpec(Tokens("a", 9, "de"), Tokens("b", 9, "en"), joint=True)


# Batches


def dataset(references: bool = True, most: int = 4) -> TranslationDataset:
    def ragged(rows: list[list[int]]) -> Ragged:
        return Ragged.of([np.array(row, np.uint16) for row in rows])

    def texts(words: list[str]) -> Texts:
        return Texts.like(Ragged.of([np.frombuffer(word.encode(), np.uint8) for word in words]))

    arrays = {"input": texts(["ein", "zwei", "drei"]), "target": texts(["é", "two", "three"])}
    tokens = ragged([[5, 0], [6, 7, 8, 9, 9, 0], [4, 4, 0]]), ragged([[3, 3, 0], [8, 0], [2, 2, 2, 2, 2, 0]])
    return TranslationDataset(arrays, np.array([0, 1, 2]), "val", tokens, (most, most), references)


def test_a_batch_by_hand() -> None:
    batch = dataset()[torch.tensor([0, 2, -1])]
    assert batch["input"].tolist() == [[5, 0, 0], [4, 4, 0], [5, 0, 0]]
    assert batch["length"].tolist() == [2, 3, 2]
    assert batch["target"].tolist() == [[3, 3, 0, -1], [2, 2, 2, 0], [3, 3, 0, -1]]  # truncated before EOS
    assert batch["index"].tolist() == [0, 2, -1]
    assert bytes(batch["reference"][1][: batch["reference_length"][1]].tolist()).decode() == "three"  # whole
    assert batch["reference"][0].tolist() == [*"é".encode(), 0, 0, 0]
    assert batch["source_text_length"].tolist() == [3, 4, 3]
    assert {batch[name].dtype for name in ("reference", "source_text")} == {torch.uint8}
    assert set(dataset(references=False)[torch.tensor([1])]) == {"input", "length", "target", "index"}


def test_batches_are_sorted_by_the_longer_side() -> None:
    lengths = dataset(most=10).lengths
    assert lengths is not None
    assert lengths.tolist() == [3, 6, 6]


# Multi30k


@pytest.mark.parametrize(("folder", "end"), [("data/multi30k", ""), ("data/multi30k/data/task1/raw", ".gz")])
def test_the_files_of_the_publisher_in_any_direction(folder: str, end: str) -> None:
    write_multi30k(folder, end)
    for languages in (("de", "en"), ("en", "de"), ("fr", "de")):
        data = multi30k(source=languages[0], target=languages[1])
        assert data.spec.languages == languages
        assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [60, 6, 7]
        assert pairs_of(data, "val")[3] == tuple(f"val {language} 3." for language in languages)
    assert len(multi30k(test="test_2017_flickr").dataset("test")) == 8


def test_encoding_is_lossless_and_ends_with_eos() -> None:
    write_multi30k()
    data = multi30k()
    batch = next(iter(data.val_dataloader()))
    tokenizer, rows = Tokenizer(data.spec.target.tokenizer), batch["target"].tolist()
    texts = [tokenizer.decode(row[: row.index(0)]) for row in rows]
    assert texts == [f"val en {n}." for n in batch["index"].tolist()]
    assert (batch["input"][torch.arange(6), batch["length"] - 1] == 0).all()


@pytest.mark.parametrize("joint", [False, True])
def test_tokenizers_are_fitted_only_on_the_training_texts(joint: bool) -> None:
    write_multi30k(val_en=["unheard"] * 6, train_de=["ein"] * 60)
    data = multi30k(unit="words", joint=joint, lowercase=True)
    source, target = (Tokenizer(side.tokenizer) for side in (data.spec.source, data.spec.target))
    assert target.encode("unheard") == [1]
    assert 1 not in target.encode("Train EN 7.")
    assert (source.json == target.json) == joint
    assert (target.encode("ein") == [1]) != joint
    assert data.spec.target.lowercase
    assert next(iter(data.val_dataloader()))["reference_length"].tolist() == [7] * 6


def test_empty_lines_are_skipped_and_counted() -> None:
    lines = [f"{n}" for n in range(60)]
    write_multi30k(train_de=["", *lines[1:]], train_en=[*lines[:59], "  \u00a0"])
    data = multi30k()
    assert len(data.dataset("train")) == 58
    assert data.skipped == [f"data/multi30k/train.de, line {n}, where a side is empty" for n in (1, 60)]


def test_files_of_unequal_length_are_refused() -> None:
    write_multi30k(train_en=["only one"])
    with pytest.raises(DataError, match=r"train\.de has 60 lines, and .*train\.en has 1;"):
        multi30k()


def test_missing_files_and_wrong_options_are_refused() -> None:
    with pytest.raises(DataError, match=r"found no train\.de, train\.en, .* debug=synthetic"):
        multi30k()
    with pytest.raises(ConfigError, match="are both de"):
        multi30k(target="de")
    with pytest.raises(ConfigError, match=r"data\.test=test_2016: .* did you mean test_2016_flickr"):
        multi30k(test="test_2016")
    with pytest.raises(ConfigError, match=r"data\.max_tokens=1"):
        multi30k(max_tokens=1)


def test_long_training_pairs_are_left_out_and_long_sources_of_the_test_truncated() -> None:
    long = " ".join(["wort"] * 10_000)
    short = ["kurz"] * 59
    write_multi30k(train_de=[*short, long], test_2016_flickr_de=[*short[:6], long], val_en=[*short[:5], long])
    data = multi30k(unit="words", max_tokens=50)
    assert len(data.dataset("train")) == 59
    assert data.skipped == ["training pair 60 with 10,001 tokens (data.max_tokens)"]
    test, val = next(iter(data.test_dataloader())), next(iter(data.val_dataloader()))
    assert test["input"].shape == (7, 50)
    assert test["source_text_length"].max() == len(long)
    assert val["target"].shape == (6, 50)
    assert val["reference_length"].max() == len(long)
    with pytest.raises(DataError, match="all training pairs have more than"):
        multi30k(unit="characters", max_tokens=2)


# A model's own tokenizers


def test_a_tested_model_keeps_its_tokenizers() -> None:
    write_multi30k()
    tokenizer = fit(["train"], "words", 100).json
    given = TranslationSpec(Tokens(tokenizer, 3, "de", 7), Tokens(tokenizer, 3, "en", 7))
    data = Multi30k(name="multi30k", source="de", target="en", **COMMON)
    data.given_spec = given
    data.prepare_data()
    assert data.spec == given
    assert next(iter(data.train_dataloader()))["input"].max() == 2
    other = Multi30k(name="multi30k", source="fr", target="en", **COMMON)
    other.given_spec = given
    with pytest.raises(DataError, match="it translates de to en, and the data is fr to en"):
        other.prepare_data()


def test_a_warm_start_keeps_the_tokenizers() -> None:
    write_multi30k()
    tokenizer = fit(["train"], "words", 100).json
    data = Multi30k(name="multi30k", source="fr", target="en", **COMMON)
    data.adopt(TranslationSpec(Tokens(tokenizer, 3, "de", 7), Tokens(tokenizer, 3, "en", 7), joint=True))
    data.prepare_data()
    assert data.spec == TranslationSpec(Tokens(tokenizer, 3, "fr", 7), Tokens(tokenizer, 3, "en", 7), joint=True)


# Tatoeba


def test_both_directions_and_the_attribution() -> None:
    rows = [f"Sentence {n}!\tPhrase {n} !\tCC-BY" for n in range(30)]
    assert ("Sentence 7!", "Phrase 7 !") in [
        pair for s in ("train", "val", "test") for pair in pairs_of(tatoeba(rows), s)
    ]
    data = tatoeba(rows, source="fr", target="en")
    assert data.spec.languages == ("fr", "en")
    assert ("Phrase 7 !", "Sentence 7!") in [pair for s in ("train", "val", "test") for pair in pairs_of(data, s)]
    with pytest.raises(ConfigError, match="one of them must be en"):
        tatoeba(rows, source="fr", target="hi")
    with pytest.raises(DataError, match=r"found no deu\.txt"):
        Tatoeba(name="tatoeba", source="en", target="de", **COMMON).prepare_data()


def test_near_duplicates_are_in_one_split() -> None:
    rows = [
        f"{text}\tUne {n} {m}." for n in range(60) for m, text in enumerate((f"One {n}!", f"one  {n}", f"ONE {n}."))
    ]
    data = tatoeba([*rows, "Two.\tUne 1 0!", "Three\tUne 1 1"])
    splits = {split: pairs_of(data, split) for split in ("train", "val", "test")}
    assert sum(map(len, splits.values())) == 182
    english = {split: {pair[0].casefold().strip("!.").split()[1:][-1:][0] for pair in pairs if "ne" in pair[0].lower()}
               for split, pairs in splits.items() if pairs}  # fmt: skip
    assert not english["train"] & english["test"]
    assert not english["train"] & english["val"]
    assert sum("Two." in dict(pairs) or "Three" in dict(pairs) for pairs in splits.values()) == 1


def test_auxiliary_languages_teach_nothing_of_the_test() -> None:
    """The splits are those without auxiliary languages; what is held out is left out of the other languages too."""
    rows = [f"Sentence {n}!\tPhrase {n}" for n in range(100)]
    alone = tatoeba(rows, source="fr", target="en")
    hindi = [f"sentence {n}\tवाक्य {n}" for n in range(90)] + ["New.\tनया", "Newer.\tवाक्य 3"]
    Path("data/tatoeba/hin.txt").write_text("\n".join(hindi) + "\n", encoding="utf-8")
    data = tatoeba(rows, source="fr", target="en", auxiliary=["hi"], repeat=3)
    for split in ("val", "test"):
        assert pairs_of(data, split) == pairs_of(alone, split)
    train = pairs_of(data, "train")
    assert [pair for pair in train if pair[0].startswith("Phrase")] == sorted(
        3 * pairs_of(alone, "train"), key=lambda pair: int(pair[0].split()[1])
    )
    held = {pair[1].casefold().strip("!") for split in ("val", "test") for pair in pairs_of(alone, split)}
    others = [pair for pair in train if not pair[0].startswith("Phrase")]
    assert {pair[1] for pair in others} & held == set()
    assert ("नया", "New.") in others
    assert (("वाक्य 3", "Newer.") in others) == ("sentence 3" not in held)
    assert 60 < len(others) < 90
    assert "à¤¨à¤¯" in data.spec.source.tokenizer  # the bytes of नय
    (memory := TranslationMemory()).spec = data.spec
    assert {*memory.read(data.dataset("train"))["input"]} == {pair[0] for pair in pairs_of(alone, "train")}
    tagged = pairs_of(tatoeba(rows, auxiliary=["hi"]), "train")
    assert ("<2hi> New.", "नया") in tagged
    assert {one.startswith("<2hi>") for one, two in tagged if not two.startswith("Phrase")} == {True}
    with pytest.raises(DataError, match=r"found no fra\.txt and deu\.txt"):
        tatoeba(rows, source="fr", target="en", auxiliary=["de"])


def test_groups_by_hand() -> None:
    pairs = [("Run!", "Cours !"), ("Go.", "Va !"), ("run", "Courez !"), ("Leave", "va"), ("Off you go", "Pars")]
    assert group_pairs(pairs).tolist() == [0, 1, 0, 1, 4]
    chain = [("a", "1"), ("b", "2"), ("c", "3"), ("a", "2"), ("b", "3")]
    assert group_pairs(chain).tolist() == [0] * 5


# Other scripts


@pytest.mark.parametrize("unit", ["subwords", "characters"])
@pytest.mark.parametrize(
    "texts", [URDU, HINDI, ["12,50", "1 000", "3"], ["\u13a0\u13b4\u13a9", "\U00012000", "\U0001f600"]]
)
def test_any_script_survives(unit: Any, texts: list[str]) -> None:
    rows = [f"{number} {text}\t{text}" for number in range(15) for text in texts]
    data = tatoeba(rows, unit=unit, vocab_size=300)
    batch = next(iter(data.test_dataloader()))
    for side, name in ((data.spec.source, "source_text"), (data.spec.target, "reference")):
        tokenizer, tokens = Tokenizer(side.tokenizer), batch["input" if name == "source_text" else "target"].tolist()
        for row, raw, length in zip(tokens, batch[name], batch[f"{name}_length"], strict=True):
            text = bytes(raw[:length].tolist()).decode()
            assert tokenizer.decode(row[: row.index(0)]) == text
            assert text.split(" ", 1)[-1] in texts or text in texts
