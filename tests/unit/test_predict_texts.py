"""Prediction of texts: arguments, files of lines, tables, standard input, and unusual texts."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sightseq import predict as module
from sightseq.composition import compose
from sightseq.core.errors import ConfigError, DataError, InputError
from sightseq.tasks.classification.predict_texts import TextPredictor, TextWarning
from sightseq.tasks.classification.texts import TextClassificationTask
from sightseq.text.files import read_texts, short
from sightseq.text.spec import TextSpec
from sightseq.text.tokenizer import fit

TOKENIZER = fit(["a good bad film, the actors are fine"], "words", 100)


def make(max_tokens: int = 20) -> TextPredictor:
    spec = TextSpec(TOKENIZER.json, TOKENIZER.vocab_size, ("negative", "positive"), max_tokens=max_tokens)
    net = {"_target_": "sightseq.nets.text.RecurrentClassifier", "embedding": 4, "hidden": [4]}
    torch.manual_seed(0)
    return TextPredictor(TextClassificationTask(spec=spec.to_dict(), net=net), "cpu")


def run(monkeypatch: pytest.MonkeyPatch, given: str | list[str], **changes: Any) -> int:
    monkeypatch.setattr(module, "load", lambda path, device: make())
    config = compose("ckpt=x", "input=x", "format=jsonl", "batch_size=2", "device=cpu", command="predict")
    return module.predict(config | {"input": given} | changes)


def rows(capfd: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_a_text_is_classified(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, "a good film") == 0
    (row,) = rows(capfd)
    assert row == {"text": "a good film", **make().predict(["a good film"])[0]}
    assert row["label"] in ("negative", "positive")
    assert sum(p for _, p in row["top"]) == pytest.approx(1, abs=1e-5)


def test_each_line_of_a_file_is_classified(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    Path("lines.txt").write_text("a good film\r\na bad film\nfine")
    assert run(monkeypatch, "lines.txt") == 0
    found = rows(capfd)
    assert [row["text"] for row in found] == ["a good film", "a bad film", "fine"]
    alone = [make().predict([row["text"]])[0]["probability"] for row in found]
    assert [row["probability"] for row in found] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'label,review\n1,"a good film,\nfine"\n0,bad\n'),
        ("a.tsv", 'label\treview\n1\t"a good film,\nfine"\n0\tbad\n'),
        ("a.jsonl", '{"review": "a good film,\\nfine"}\n{"review": "bad"}\n'),
    ],
)
def test_a_column_of_a_table_is_classified(
    name: str, content: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    Path(name).write_text(content)
    assert run(monkeypatch, name, column="review") == 0
    assert [row["text"] for row in rows(capfd)] == ["a good film,\nfine", "bad"]
    assert run(monkeypatch, name, column="reveiw") == 2
    assert "row 1, has no column 'reveiw'; did you mean review?; name it with column=" in capfd.readouterr().err
    with pytest.raises(ConfigError, match=r"^column: no input is a table \(\.csv, \.jsonl, \.tsv\)"):
        run(monkeypatch, "a good film", column="review")


def test_a_table_with_another_delimiter(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    Path("a.csv").write_text("review;label\na good film, fine;1\n")
    with pytest.raises(DataError, match=r"separated by a semicolon; set delimiter=semicolon"):
        run(monkeypatch, "a.csv", column="review")
    assert run(monkeypatch, "a.csv", column="review", delimiter="semicolon") == 0
    assert [row["text"] for row in rows(capfd)] == ["a good film, fine"]


def test_a_row_without_text_is_listed(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    Path("a.jsonl").write_text('{"text": 7}\n{"text": "fine"}\n{"text": "half \\ud800"}\n')
    assert run(monkeypatch, "a.jsonl") == 2
    out, err = capfd.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["fine"]
    assert err.splitlines() == [
        "InputError: a.jsonl, row 1: a text is empty; there is nothing to classify",
        "InputError: a.jsonl, row 3: is not UTF-8",
    ]


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"fine\na film")))
    assert run(monkeypatch, "-") == 0
    assert [row["text"] for row in rows(capfd)] == ["fine", "a film"]


def test_bad_lines_are_listed_and_the_others_classified(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    Path("lines.txt").write_bytes(b"a film\n\nfine\n\xff\xfe\nbad\n \t\n")
    assert run(monkeypatch, "lines.txt") == 2
    out, err = capfd.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["a film", "fine", "bad"]
    assert err.splitlines() == [
        "InputError: lines.txt, line 2: a text is empty; there is nothing to classify",
        "InputError: lines.txt, line 4: is not UTF-8",
        "InputError: lines.txt, line 6: a text is empty; there is nothing to classify",
    ]


@pytest.mark.parametrize(
    ("given", "complaint"), [("", "input: a text is empty"), ("fine \udcff", "input: is not UTF-8")]
)
def test_an_input_that_is_not_a_text_is_refused(
    given: str, complaint: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    assert run(monkeypatch, given) == 2
    assert complaint in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("\U0001f600\U0001f600", "knows none of its words"),
        ("यह फ़िल्म अच्छी है", "knows none of its words"),
        ("film " * 100_000, "the text has 100,000 tokens; the model reads only the first and last 10"),
        ("a film \U0001f600 यह \u200f سلام", ""),
        ("x" * 1_000_000, "knows none of its words"),
        ("\x00 fine \x1b[31m", ""),
    ],
)
def test_odd_texts_are_classified(text: str, warning: str, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, text, format="table") == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[1].count("%") == 1
    assert "\x1b[31m" not in out
    assert warning in err
    assert err.count("Warning") == bool(warning)


def test_a_long_text_is_classified_by_its_ends() -> None:
    model = make(max_tokens=6)
    with pytest.warns(TextWarning):
        (found,) = model.predict(["a good film " + "bad " * 1000 + "actors are fine"])
    assert found == model.predict(["a good film actors are fine"])[0]


def test_a_table_has_one_row_per_text(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    Path("lines.txt").write_text(f"{'film ' * 50}\nfine\n")
    assert run(monkeypatch, "lines.txt", format="table") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == ["text", "label", "probability", "top", "2"]
    assert len(lines) == 3
    assert lines[1].startswith(("film " * 12)[:60] + "...")


def test_predicting_from_python() -> None:
    model = make()
    texts = ["a good film", "the actors", "bad", "fine, fine"]
    whole = model.predict(texts)
    assert [row["probability"] for row in model.predict(texts, batch_size=1)] == pytest.approx(
        [row["probability"] for row in whole], abs=1e-5
    )
    assert model.predict([]) == []
    with pytest.raises(InputError, match="a text is empty"):
        model.predict(["fine", ""])


@pytest.mark.parametrize("given", ["a [good] film", "stray [/i] tag", "x" * 300, "a film. " * 40])
def test_texts_are_not_markup_or_file_names(given: str, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, given, format="table") == 0
    assert capfd.readouterr().out.splitlines()[1].startswith(short(given).strip())


def test_an_input_that_looks_like_a_file_is_not_a_text(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    Path("folder").mkdir()
    for given, complaint in (("folder", "is a folder"), ("reviwes.txt", "reviwes.txt: there is no such file")):
        assert run(monkeypatch, given) == 2
        out, err = capfd.readouterr()
        assert not out
        assert complaint in err
    Path("marked.txt").write_bytes(b"\xef\xbb\xbffine")
    assert run(monkeypatch, "marked.txt") == 0
    assert [row["text"] for row in rows(capfd)] == ["fine"]


def test_a_text_that_cannot_be_a_file_name_is_a_text() -> None:
    assert list(read_texts("a" * 5000)) == [("", b"a" * 5000)]
    assert list(read_texts("a\0b")) == [("", b"a\0b")]


def test_short_texts_are_not_truncated() -> None:
    assert short("naïve \u0928") == "naïve \u0928"
    assert short("two\nlines\x1b") == "two lines "


def test_several_texts_and_files_keep_their_order(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    Path("lines.txt").write_text("bad\n\nfine\n")
    assert run(monkeypatch, ["a good film", "missing.txt", "lines.txt", "", "the actors"]) == 2
    out, err = capfd.readouterr()
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["a good film", "bad", "fine", "the actors"]
    assert err.splitlines() == [
        "InputError: missing.txt: there is no such file",
        "InputError: lines.txt, line 2: a text is empty; there is nothing to classify",
        "InputError: input 4: a text is empty; there is nothing to classify",
    ]


def test_options_of_other_models_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        run(monkeypatch, "fine", tokens=5)
    assert (
        str(caught.value)
        == "tokens=5: this model has no option 'tokens'; its options are batch_size, top, column, delimiter"
    )
    with pytest.raises(ConfigError, match="colum=x: this model has no option 'colum'; did you mean column"):
        run(monkeypatch, "fine", colum="x")
