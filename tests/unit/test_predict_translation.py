"""Prediction with a translation model: what it reads, what it writes, and bad input."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.predict import print_predictions
from sightseq.tasks.translation.predict import TranslationPredictor
from sightseq.tasks.translation.task import TranslationTask
from sightseq.text.tokenizer import fit
from sightseq.text.tokens_spec import Tokens
from sightseq.text.translation_spec import TranslationSpec

NET = {"_target_": "sightseq.nets.translation.EncoderDecoder", "embedding": 16, "encoder": [16], "decoder": [32]}
SENTENCES = ["Ein Hund.", "Zwei Kinder spielen im Park.", "12 345", "اردو میں لکھیں", "हिन्दी में", "🙂"]


@pytest.fixture(scope="module")
def predictor() -> TranslationPredictor:
    """An untrained model that reads any text, as subwords, and writes words."""
    torch.manual_seed(0)
    source = fit(["ein hund und zwei kinder spielen im park"] * 4, "subwords", 300)
    target = fit(["a dog and two children are playing in the park"] * 4, "words", 300)
    sides = [Tokens(one.json, one.vocab_size, language, 40) for one, language in ((source, "de"), (target, "en"))]
    return TranslationPredictor(TranslationTask(spec=TranslationSpec(*sides).to_dict(), net=NET), "cpu")


def show(predictor: TranslationPredictor, *inputs: str, format: str = "table", **options: object) -> int:
    return print_predictions(predictor, inputs, format, predictor.options(options))


def test_a_translation_does_not_depend_on_the_others(predictor: TranslationPredictor) -> None:
    rows = predictor.predict(SENTENCES)
    assert [row["source"] for row in rows] == SENTENCES
    for sentence, row in zip(SENTENCES, rows, strict=True):
        (alone,) = predictor.predict([sentence], batch_size=1)
        assert alone["translation"] == row["translation"]
        assert alone["score"] == pytest.approx(row["score"], abs=1e-4)


def test_spaces_and_normal_forms_do_not_matter(predictor: TranslationPredictor) -> None:
    plain, spaced, decomposed = predictor.predict(["Ein Hund, süß.", " Ein  Hund,\u00a0süß. ", "Ein Hund, su\u0308ß."])
    assert spaced["translation"] == decomposed["translation"] == plain["translation"]
    assert spaced["score"] == pytest.approx(plain["score"], abs=1e-4)


def test_n_best(predictor: TranslationPredictor) -> None:
    rows = predictor.predict(SENTENCES[:2], n_best=3, beam=4)
    assert [row["source"] for row in rows] == [SENTENCES[0]] * 3 + [SENTENCES[1]] * 3
    for three in (rows[:3], rows[3:]):
        assert [row["score"] for row in three] == sorted((row["score"] for row in three), reverse=True)
        assert len({row["translation"] for row in three}) == 3
        assert all(row["log_probability"] < row["score"] < 0 for row in three)
    best = predictor.predict(SENTENCES[:2], beam=4)
    assert [row["translation"] for row in best] == [rows[0]["translation"], rows[3]["translation"]]
    with pytest.raises(ConfigError, match="n_best=6: a beam of 5"):
        predictor.predict(SENTENCES, n_best=6)


def test_options_of_the_search(predictor: TranslationPredictor) -> None:
    (free,) = predictor.predict(["ein hund"], beam=1)
    (blocked,) = predictor.predict(["ein hund"], beam=1, no_repeat_ngram=1)
    words = blocked["translation"].split()
    assert blocked["translation"] != free["translation"]
    assert len(set(words)) == len(words) > 1
    (unnormalised,) = predictor.predict(["ein hund"], length_penalty=0)
    assert unnormalised["score"] == pytest.approx(unnormalised["log_probability"])


def test_a_file_of_lines_keeps_its_empty_lines(
    predictor: TranslationPredictor, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("lines.txt").write_text("Ein Hund.\n\n   \nZwei Kinder spielen.\n", encoding="utf-8")
    assert show(predictor, "lines.txt", batch_size=2) == 0
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 5
    assert [bool(line) for line in lines] == [True, False, False, True, False]
    assert lines[0] == " ".join(predictor.predict(["Ein Hund."])[0]["translation"].split())


def test_standard_input_is_translated_line_by_line(
    predictor: TranslationPredictor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"Ein Hund.\nZwei Kinder.\n")))
    assert show(predictor, "-", format="jsonl", batch_size=1) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["source"] for row in rows] == ["Ein Hund.", "Zwei Kinder."]


def test_n_best_on_the_terminal(predictor: TranslationPredictor, capsys: pytest.CaptureFixture[str]) -> None:
    show(predictor, "ein hund", n_best=2)
    first, second, *rest = capsys.readouterr().out.split("\n")
    assert float(first.split()[0]) >= float(second.split()[0])
    assert rest == ["", ""]


def test_a_very_long_sentence_is_truncated_with_a_warning(predictor: TranslationPredictor) -> None:
    with pytest.warns(InputWarning, match=r"only the first 39 are translated"):
        (row,) = predictor.predict(["hund " * 10_000])
    assert isinstance(row["translation"], str)


def test_other_encodings_are_refused(predictor: TranslationPredictor, capsys: pytest.CaptureFixture[str]) -> None:
    Path("latin.txt").write_bytes("Ein Hund.\nEin großer Hund.\n".encode("latin-1"))
    assert show(predictor, "latin.txt") == 2
    captured = capsys.readouterr()
    assert "latin.txt, line 2: is not UTF-8" in captured.err
    assert captured.out.count("\n") == 1
    with pytest.raises(InputError):
        predictor.predict(["\ud800"])


def test_unknown_words_are_named() -> None:
    spec, _ = TranslationTask.example()
    model = TranslationPredictor(TranslationTask(spec=spec.to_dict(), net=NET), "cpu")
    with pytest.warns(InputWarning, match="the model does not know: elephant"):
        model.predict(["the elephant sees the elephant"])


def test_columns_of_a_table(predictor: TranslationPredictor, capsys: pytest.CaptureFixture[str]) -> None:
    Path("texts.tsv").write_text("id\tde\n1\tEin Hund.\n", encoding="utf-8")
    assert show(predictor, "texts.tsv", column="de", format="jsonl") == 0
    assert json.loads(capsys.readouterr().out)["source"] == "Ein Hund."
    with pytest.raises(ConfigError, match="column: no input is a table"):
        show(predictor, "Ein Hund.", column="de")
