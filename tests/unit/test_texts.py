"""Labelled texts: storage, splits, tokens and batches, from IMDB and from tables of users."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightseq.core.arrays import Ragged
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.text.imdb import IMDB
from sightseq.data.text.text_csv import TextCSV
from sightseq.data.text.texts import TextDataset
from sightseq.data.text.tokenised import Texts
from sightseq.text.spec import TextSpec
from sightseq.text.tokenizer import Tokenizer, fit


def table(name: str, *rows: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return name


def prepared(**arguments: Any) -> TextCSV:
    data = TextCSV(name="mine", cache="cache", **arguments)
    data.prepare_data()
    return data


def texts_of(data: TextCSV | IMDB, split: str) -> list[tuple[str, int]]:
    arrays = data.dataset(split).numpy()
    return list(zip(arrays["input"].tolist(), arrays["target"].tolist(), strict=True))


ROWS = [f"{'good' if n % 2 else 'bad'} film number {n},{n % 2}" for n in range(40)]


# Storage


def test_texts_round_trip() -> None:
    strings = ["", "naïve", "\U0001f600", "a"]
    raw = [text.encode() for text in strings]
    texts = Texts(np.frombuffer(b"".join(raw), np.uint8), np.cumsum([len(r) for r in raw]))
    assert len(texts) == 4
    assert texts[np.array([3, 0, 2, 1])].tolist() == ["a", "", "\U0001f600", "naïve"]
    assert texts.lengths.tolist() == [0, 6, 4, 1]


# Tables


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_all_kinds_of_tables_give_the_same_data(suffix: str) -> None:
    lines = [json.dumps({"text": f'"Odd", text\n{n}', "label": "ab"[n % 2]}) for n in range(30)]
    if suffix != "jsonl":
        comma = "," if suffix == "csv" else "\t"
        lines = [f"text{comma}label", *(f'"""Odd"", text\n{n}"{comma}{"ab"[n % 2]}' for n in range(30))]
    data = prepared(path=table(f"mine.{suffix}", *lines))
    assert data.spec.classes == ("a", "b")
    every = [row for split in ("train", "val", "test") for row in texts_of(data, split)]
    assert sorted(every) == sorted((f'"Odd", text\n{n}', n % 2) for n in range(30))


def test_files_of_the_splits_are_the_splits() -> None:
    table("mine/train.csv", "text,label", *ROWS)
    table("mine/test.jsonl", json.dumps({"text": "a new one", "label": 1}))
    data = prepared(path="mine")
    assert texts_of(data, "test") == [("a new one", 1)]
    assert [len(data.dataset(split)) for split in ("train", "val")] == [36, 4]


def test_columns_may_have_other_names_and_a_file_may_start_with_a_bom() -> None:
    data = prepared(path=table("mine.csv", "\ufeffreview,extra,stars", *(r.replace(",", ",x,") for r in ROWS)),
                    text="review", label="stars")  # fmt: skip
    assert data.spec.classes == ("0", "1")
    assert data.spec.counts == (16, 16)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["text,stars", *ROWS], r"mine.csv, row 1, has no column 'label'; did you mean|mine.csv, row 1, has no column"),
        (["text,label", *ROWS, ",1"], "row 41, has no text .* or no label; correct it"),
        (["text,label", *ROWS, "fine,"], "row 41, has no text"),
        (["text,label", *ROWS, "fine"], "row 41, has no text"),
        (["text,label", *(row[:-1] + "1" for row in ROWS)], "have the label"),
        (["text,label"], "have the label"),
        (["text,label", *ROWS, "fine, really,1"], "row 41, has more values than columns; put its text in quotes"),
        (["text,label", '"fine,1', *ROWS], "cannot be read after row 0: unexpected end of data"),
        (["text,label", *ROWS, '"fine" film,1'], "cannot be read after row 40: ',' expected after '\"'"),
    ],
)
def test_invalid_tables_are_refused(rows: list[str], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        prepared(path=table("mine.csv", *rows))


SEMICOLONS = [row.replace(" film", ", film").replace(",0", ";0").replace(",1", ";1") for row in ROWS]


@pytest.mark.parametrize(
    ("rows", "arguments", "words"),
    [
        (["text;label", *SEMICOLONS], {}, r"columns text, label are .* a semicolon; set data.delimiter=semi"),
        (['"text";"label"', *SEMICOLONS], {}, "data.delimiter=semicolon"),
        (["text|label", "a|1"], {"delimiter": "tab"}, "data.delimiter=bar"),
        (["review;stars", *SEMICOLONS], {}, "columns review, stars are separated by a semicolon"),
        (["text;label", *SEMICOLONS], {"delimiter": ";", "text": "txt"}, "no column 'txt'; did you mean text"),
    ],
)
def test_another_delimiter_is_named(rows: list[str], arguments: dict[str, str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        prepared(path=table("mine.csv", *rows), **arguments)


@pytest.mark.parametrize("delimiter", ["semicolon", ";"])
def test_the_delimiter_is_an_option(delimiter: str) -> None:
    data = prepared(path=table("mine.csv", "text;label", *SEMICOLONS), delimiter=delimiter)
    assert data.spec.counts == (16, 16)
    assert texts_of(data, "train")[0][0].startswith(("good, film", "bad, film"))


def test_an_invalid_delimiter_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.delimiter=semi is not a delimiter; .*semicolon"):
        prepared(path=table("mine.csv", "text;label", *SEMICOLONS), delimiter="semi")
    with pytest.raises(ConfigError, match=r"data.delimiter=tab: mine.jsonl has one JSON object per line"):
        prepared(path=table("mine.jsonl", json.dumps({"text": "a", "label": 1})), delimiter="tab")


def test_a_different_label_in_each_row_is_refused() -> None:
    with pytest.raises(DataError, match=r"each of the 40 rows has a different label in the column 'id' \('0', '1', "):
        prepared(path=table("mine.csv", "text,id", *(f"film,{n}" for n in range(40))), label="id")


def test_rows_without_text_or_label_are_left_out_on_request() -> None:
    data = prepared(path=table("mine.csv", "text,label", *ROWS, ",1", "fine,"), corrupt="skip")
    assert sum(len(data.dataset(split)) for split in ("train", "val", "test")) == 40
    assert [place.split(", ")[1] for place in data.skipped] == ["row 41", "row 42"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("mine.csv", b"text,label\nfine,1\n\xff\xfe,0\n", "is not UTF-8"),
        ("mine.jsonl", b'{"text": "a", "label": 1}\n{"text": \n', "cannot be read after row 1"),
        ("mine.jsonl", b"[1, 2]\n", "row 1, is not a JSON object"),
        ("mine.txt", b"text", r"is not one of \.csv"),
    ],
)
def test_files_that_are_not_tables_are_refused(name: str, content: bytes, complaint: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        prepared(path=name)


def test_missing_files_are_refused() -> None:
    with pytest.raises(DataError, match=r"data.path=FILE"):
        prepared(path="nowhere.csv")
    table("mine/val.csv", "text,label", *ROWS)
    with pytest.raises(DataError, match=r"needs one train\.csv"):
        prepared(path="mine")


def test_labels_without_training_samples_are_refused() -> None:
    table("mine/train.csv", "text,label", *ROWS)
    table("mine/test.csv", "text,label", "what,7")
    with pytest.raises(DataError, match=r"test has labels that train does not have: \['7'\]"):
        prepared(path="mine")


# Tokens and batches


def test_the_tokenizer_is_fitted_only_on_the_training_texts() -> None:
    table("mine/train.csv", "text,label", *ROWS)
    table("mine/val.csv", "text,label", "unheard,0", "bad,1")
    table("mine/test.csv", "text,label", "unseen,0", "good,1")
    tokenizer = Tokenizer(prepared(path="mine").spec.tokenizer)
    assert [tokenizer.encode(word) == [1] for word in ("unheard", "unseen", "good", "film")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_batch_by_hand() -> None:
    tokenizer = fit(["a b c d e"], "words", 100)
    texts = ["a b c d e", "b", ""]
    token_ids = [tokenizer.encode(text) for text in texts]
    tokens = Ragged(np.concatenate([np.array(n, np.int32) for n in token_ids]), np.cumsum([len(n) for n in token_ids]))
    arrays = {"input": None, "target": np.array([1, 0, 1])}
    dataset = TextDataset(arrays, np.array([0, 1, 2]), "train", tokens, max_tokens=4)
    batch = dataset[torch.tensor([2, 0, -1])]
    first = tokenizer.encode("a b") + tokenizer.encode("d e")
    assert batch["input"].tolist() == [[0] * 4, first, first]
    assert batch["length"].tolist() == [1, 4, 4]
    assert batch["target"].tolist() == [1, 1, 1]
    assert batch["index"].tolist() == [2, 0, -1]
    assert dataset.lengths is not None
    assert dataset.lengths.tolist() == [4, 1, 1]


def test_a_tested_model_keeps_its_tokenizer() -> None:
    path = table("mine.csv", "text,label", *ROWS)
    given = TextSpec(fit(["film"], "words", 100).json, 3, ("0", "1"), max_tokens=7)
    data = TextCSV(name="mine", cache="cache", path=path)
    data.given_spec = given
    data.prepare_data()
    assert data.spec == given
    batch = next(iter(data.train_dataloader()))
    assert batch["input"].max() == 2  # all words except "film" are unknown
    other = TextCSV(name="mine", cache="cache", path=path)
    other.given_spec = TextSpec(given.tokenizer, 3, ("yes", "no"))
    with pytest.raises(DataError, match="it knows the classes yes, no, and the data has 0, 1"):
        other.prepare_data()


def test_a_warm_start_keeps_the_tokenizer() -> None:
    path = table("mine.csv", "text,label", *ROWS)
    own = prepared(path=path)
    data = TextCSV(name="mine", cache="cache", path=path)
    data.adopt(TextSpec(fit(["film"], "words", 100).json, 3, ("other",)))
    data.prepare_data()
    assert (data.spec.vocab_size, data.spec.classes) == (3, ("0", "1"))
    assert own.spec.vocab_size > 3


def test_batches_have_texts_of_similar_length() -> None:
    rows = [f"{'word ' * (1 + n % 37)}end,{n % 2}" for n in range(400)]
    data = prepared(path=table("mine.csv", "text,label", *rows), batch_size=16)
    used_fractions = [float((batch["length"] / batch["input"].shape[1]).mean()) for batch in data.train_dataloader()]
    assert np.mean(used_fractions) > 0.9  # about 0.5 in random order


@pytest.mark.parametrize("unit", ["subwords", "characters"])
def test_other_units_are_lossless(unit: Any) -> None:
    data = prepared(path=table("mine.csv", "text,label", *ROWS), unit=unit, vocab_size=300, lowercase=False)
    assert data.spec.vocab_size <= 300
    tokenizer, batch = Tokenizer(data.spec.tokenizer), next(iter(data.val_dataloader()))
    found = [
        tokenizer.decode(row[:length])
        for row, length in zip(batch["input"].tolist(), batch["length"].tolist(), strict=True)
    ]
    assert sorted(found) == sorted(text for text, _ in texts_of(data, "val"))


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.max_tokens=1"):
        TextCSV(name="mine", max_tokens=1)


# IMDB


def reviews(folder: Path, count: int = 20) -> None:
    for split in ("train", "test"):
        for name, stars in (("neg", 1), ("pos", 10)):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                (place / f"{number}_{stars}.txt").write_text(
                    f"{split} {name}<br /><br />{number} \u201cquoted\u201d", "utf-8"
                )
    (folder / "train" / "unsup").mkdir()
    (folder / "train" / "unsup" / "0_0.txt").write_text("no label")


@pytest.mark.parametrize("packed", [False, True])
def test_reviews_in_folders_or_in_an_archive(packed: bool) -> None:
    reviews(Path("data/aclImdb"))
    if packed:
        with tarfile.open("aclImdb_v1.tar.gz", "w:gz") as archive:
            archive.add("data/aclImdb", "aclImdb")
        for file in Path("data/aclImdb").rglob("*.txt"):
            file.unlink()
        Path("data/aclImdb").rename("data/elsewhere")
        Path("aclImdb_v1.tar.gz").rename("data/aclImdb_v1.tar.gz")
    data = IMDB(name="imdb", root="data", cache="cache", folders=["aclImdb"])
    data.prepare_data()
    assert data.spec.classes == ("negative", "positive")
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [36, 4, 40]
    assert ("train neg\n\n3 \u201cquoted\u201d", 0) in texts_of(data, "train")
    # The reviews with the highest numbers are the validation split, in numeric order: 9 comes before 10.
    assert sorted(texts_of(data, "val")) == [
        (f"train {name}\n\n{n} \u201cquoted\u201d", label)
        for label, name in enumerate(("neg", "pos"))
        for n in (18, 19)
    ]


def test_reviews_without_a_class_are_refused() -> None:
    reviews(Path("data/aclImdb"))
    for file in Path("data/aclImdb/test/pos").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"test.pos contains no reviews"):
        IMDB(name="imdb", root="data", cache="cache", folders=["aclImdb"]).prepare_data()


def test_a_damaged_archive_is_refused() -> None:
    Path("data").mkdir()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("aclImdb/train/pos/0_9.txt")
        member.size = 100_000
        archive.addfile(member, io.BytesIO(np.random.default_rng(0).bytes(100_000)))
    Path("data/aclImdb_v1.tar.gz").write_bytes(buffer.getvalue()[:50_000])
    with pytest.raises(DataError, match=r"aclImdb_v1.tar.gz is damaged"):
        IMDB(name="imdb", root="data", cache="cache", folders=["aclImdb"]).prepare_data()


def test_missing_reviews_are_reported() -> None:
    with pytest.raises(DataError, match=r"imdb: found no reviews .* debug=synthetic"):
        IMDB(name="imdb", root="data", cache="cache", folders=["aclImdb"]).prepare_data()
