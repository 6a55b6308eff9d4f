"""Predictions of recognisers: files, options of the search, long recordings, subtitles and streams."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sightseq.audio.front import LOG_MEL
from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.decoding.ctc_beam import prefix_beam_search
from sightseq.predict import print_predictions
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.tasks.recognition.lines import LineRecognitionTask
from sightseq.tasks.recognition.predict_lines import LinePredictor
from sightseq.tasks.recognition.predict_speech import SpeechPredictor
from sightseq.tasks.recognition.speech import SpeechRecognitionTask
from sightseq.tasks.recognition.streaming import Transcriber
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import fit

from .test_recognition import fitted, make


@pytest.fixture(scope="module")
def lines() -> LinePredictor:
    task, batch = make(LineRecognitionTask)
    fitted(task, batch)
    return LinePredictor(task, "cpu")


@pytest.fixture(scope="module")
def speech() -> SpeechPredictor:
    task, batch = make(SpeechRecognitionTask, net={"causal": True, "width": 16})
    fitted(task, batch)
    return SpeechPredictor(task, "cpu")


def target_text(kind: Any, row: int) -> str:
    spec, batch = kind.example()
    return str(spec.alphabet.decode(batch["target"][row].tolist()))


def waveform(row: int = 0) -> np.ndarray:
    _, batch = SpeechRecognitionTask.example()
    return (batch["input"][row, : batch["length"][row]] / 32768).numpy()


def settings(predictor: Any, **options: Any) -> Any:
    return predictor.options(options)


def test_a_file_of_a_line(lines: LinePredictor, tmp_path: Path) -> None:
    pixels = np.full((20, 60), 230, np.uint8)
    pixels[4:15, 10:14] = 20
    Image.fromarray(pixels).save(tmp_path / "line.png")
    (row,) = lines.predict([tmp_path / "line.png"], output=str(tmp_path / "out"))
    (same,) = lines.predict([pixels])
    assert row["text"] == same["text"]
    assert 0 <= row["probability"] <= 1
    assert [character for character, _, _ in row["characters"]] == list(row["text"])
    assert all(0 <= start <= end < 60 * 16 / 20 for _, start, end in row["characters"])
    assert row["output"] == str(tmp_path / "out" / "line.png")
    assert Image.open(row["output"]).width > 100


def test_bad_lines_are_refused(lines: LinePredictor, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 50), np.uint8)).save(tmp_path / "flat.png")
    (tmp_path / "text.png").write_text("this is not an image")
    for name in ("flat.png", "text.png"):
        with pytest.raises(InputError, match=name):
            lines.predict([tmp_path / name])


def test_word_lists_and_language_models_change_the_text(lines: LinePredictor, tmp_path: Path) -> None:
    _, batch = LineRecognitionTask.example()
    reading = lines.readings(batch, settings(lines))
    truth = target_text(LineRecognitionTask, 0)
    assert reading[0].text == truth
    assert reading[0].probability > 0.5
    words = tmp_path / "words.txt"
    words.write_text(f"ab\n{truth[:3]}\nxyz\n")
    (one, *_) = lines.readings(batch, settings(lines, words=str(words)))
    assert one.text == truth[:3]
    assert one.probability < reading[0].probability
    (tmp_path / "lm.txt").write_text("eeee\nee\neeeeee\n" * 20)
    (one, *_) = lines.readings(batch, settings(lines, lm=str(tmp_path / "lm.txt"), lm_weight=200.0))
    assert set(one.text) <= {"e"}
    (one, *_) = lines.readings(batch, settings(lines, lm=str(tmp_path / "lm.txt"), lm_weight=0.0, beam=4))
    assert one.text == truth


def language_task(unit: Any) -> LanguageModelingTask:
    tokenizer = fit(["abba cab", "a bad cab"], unit, 300)
    net = {"_target_": "sightseq.nets.language.RecurrentLanguageModel", "embedding": 8, "hidden": [8]}
    torch.manual_seed(0)
    return LanguageModelingTask(spec=LanguageSpec(tokenizer.json, tokenizer.vocab_size).to_dict(), net=net).eval()


@torch.no_grad()
def test_a_recurrent_language_model_scores_each_character(
    lines: LinePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = language_task("characters")
    monkeypatch.setattr("sightseq.tasks.recognition.predict.find_checkpoint", Path)
    monkeypatch.setattr("sightseq.tasks.recognition.predict.load_task", lambda _: task)
    search = lines.search(settings(lines, lm="runs", lm_weight=0.3, beam=4))
    assert search is not None
    assert search.model is not None
    assert (search.model.tokens < 0).tolist() == [True, True, *[False] * 5]  # e is written as its byte
    (log_p,) = torch.randn(1, 6, 7, generator=torch.Generator().manual_seed(0)).log_softmax(2)
    ((best, *_),) = prefix_beam_search(log_p[None], torch.tensor([6]), search)
    text = lines.task.alphabet.decode(best.tokens)
    tokens = torch.tensor([[0, *task.tokenizer.encode(text)]])
    p = task(tokens[:, :-1])[0].log_softmax(2).gather(2, tokens[:, 1:, None]).sum()
    assert len(text) > 1
    assert best.score == pytest.approx(best.log_probability + 0.3 * p.item(), abs=1e-4)


@pytest.mark.parametrize("unit", ["words", "subwords"])
def test_language_models_of_words_are_refused(unit: str, lines: LinePredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.tasks.recognition.predict.find_checkpoint", Path)
    monkeypatch.setattr("sightseq.tasks.recognition.predict.load_task", lambda _: language_task(unit))
    with pytest.raises(ConfigError, match="is not a language model of characters"):
        lines.check([], settings(lines, lm="runs"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"lm_weight": 1.0}, "lm_weight=1: has no effect without lm="),
        ({"length_bonus": 1.0}, "length_bonus=1: has no effect"),
        ({"words": "none.txt"}, "words=none.txt: cannot be read"),
        ({"words": "foreign.txt"}, "has no word in the characters of this model"),
        ({"lm": "empty.txt"}, "lm=empty.txt: has no text"),
        ({"lm": "foreign.txt"}, "lm=foreign.txt: has no text in the characters of this model: abcde"),
        ({"lm": "nowhere"}, "name a run, a checkpoint, or a text file"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, Any], complaint: str, lines: LinePredictor) -> None:
    Path("foreign.txt").write_text("xyz\n")
    Path("empty.txt").write_text("\n")
    with pytest.raises(ConfigError, match=complaint):
        lines.check([], settings(lines, **options))


def test_a_recording_and_its_subtitles(
    speech: SpeechPredictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", waveform(), 8000, subtype="FLOAT")
    (row,) = speech.predict([tmp_path / "a.wav"], output=str(tmp_path / "out"))
    assert row["text"] == target_text(SpeechRecognitionTask, 0)
    assert row["seconds"] == 0.4
    ((word, start, end),) = row["words"]
    assert word == row["text"]
    assert 0 <= start < end <= 0.45
    assert Image.open(row["output"]).width > 100
    for format, expected in (("srt", "1\n00:00:00,"), ("text", f"{word}\n"), ("jsonl", f'"text": "{word}"')):
        options = settings(speech)
        assert print_predictions(speech, [str(tmp_path / "a.wav")], format, options) == 0
        assert expected in capsys.readouterr().out
    soundfile.write(tmp_path / "b.wav", waveform(), 8000)
    with pytest.raises(ConfigError, match="format=srt: is a document of one input, and there are 2"):
        print_predictions(speech, [str(tmp_path)], "srt", settings(speech))


def test_arrays_of_several_types(speech: SpeechPredictor) -> None:
    wave = waveform()
    texts = [row["text"] for row in speech.predict([wave, (wave * 32768).astype(np.int16), np.stack([wave, wave], 1)])]
    assert texts == [target_text(SpeechRecognitionTask, 0)] * 3
    for bad in (np.zeros(0, np.float32), np.zeros(10, np.int32), np.full(10, np.nan)):
        with pytest.raises(InputError, match="a waveform"):
            speech.predict([bad])
    (row,) = speech.predict([np.zeros(1, np.float32)])  # a single sample
    assert row["seconds"] == 0


@torch.inference_mode()
def test_windows_give_the_text_of_the_whole(speech: SpeechPredictor, tmp_path: Path) -> None:
    """A long recording is read in windows, from memory and from a file, as it is at once."""
    soundfile = pytest.importorskip("soundfile")
    pause = np.zeros(1200, np.float32)
    wave = np.concatenate([part for row in (0, 3, 1, 4, 5, 2, 0) for part in (waveform(row), pause)])
    (whole,) = speech.predict([wave], window=60)
    with pytest.warns(InputWarning, match=r"is read in windows of 1\.5 s"):
        (parts,) = speech.predict([wave], window=1.5, output=str(tmp_path / "out"))
    assert "output" not in parts
    assert abs(len(parts["text"]) - len(whole["text"])) <= 2
    assert "probability" not in parts
    starts = [start for _, start, _ in parts["words"]]
    assert starts == sorted(starts)
    soundfile.write(tmp_path / "long.wav", np.tile(wave, 6), 8000, subtype="FLOAT")
    (long,) = speech.predict([tmp_path / "long.wav"], window=1.5)
    assert long["seconds"] == pytest.approx(6 * len(wave) / 8000, abs=1e-3)
    assert long["text"].startswith(parts["text"][:8])
    assert len(long["text"]) > 5 * len(parts["text"])


@pytest.mark.parametrize("size", [37, 400, 1600, 20000])
def test_a_stream_gives_the_path_of_the_whole(speech: SpeechPredictor, size: int) -> None:
    wave = np.concatenate([waveform(row) for row in (0, 4, 2)])
    task = speech.task
    with torch.inference_mode():
        (expected,) = speech.readings(
            {"input": torch.from_numpy(wave)[None], "length": torch.tensor([len(wave)])}, settings(speech)
        )
    reader = Transcriber(task)
    text = "".join(reader.add(wave[start : start + size]) for start in range(0, len(wave), size)) + reader.finish()
    assert text == expected.text
    assert [span[:3] for span in reader.spans] == [span[:3] for span in expected.spans]
    assert reader.seconds == len(wave) / 8000


def test_streaming_is_measured_and_needs_a_causal_network(speech: SpeechPredictor) -> None:
    (row,) = speech.predict([waveform()], stream=True, part=0.1)
    assert row["text"] == target_text(SpeechRecognitionTask, 0)
    assert row["delay"] > 0.1
    assert row["real_time_factor"] > 0
    assert {"delay", "real-time factor"} <= set(speech.cells({"file": "x", **row}))
    task, _ = make(SpeechRecognitionTask)
    with pytest.raises(ConfigError, match="model/net=recognition/streaming"):
        SpeechPredictor(task, "cpu").predict([waveform()], stream=True)
    with pytest.raises(ConfigError, match=r"part=0\.1: has no effect"):
        speech.predict([waveform()], part=0.1)
    for name, value in (("beam", 4), ("output", "out")):
        with pytest.raises(ConfigError, match=f"{name}={value}: has no effect with stream=true"):
            speech.predict([waveform()], stream=True, **{name: value})
    task, _ = make(SpeechRecognitionTask, net={"causal": True, "width": 16}, features={**LOG_MEL, "remove_mean": True})
    with pytest.raises(ConfigError, match="remove_mean=true"):
        SpeechPredictor(task, "cpu").predict([waveform()], stream=True)


def test_rows_are_plain(speech: SpeechPredictor, lines: LinePredictor) -> None:
    _, batch = LineRecognitionTask.example()
    for rows in (speech.predict([waveform()]), lines.predict([255 - batch["input"][0, :, :, 0].numpy().T])):
        assert json.loads(json.dumps(rows)) == rows


def test_pictures_of_files_with_the_same_name_are_refused(lines: LinePredictor) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Image.fromarray(np.full((20, 60), 230, np.uint8)).save(Path(folder, "line.png"))
    with pytest.raises(ConfigError, match="would both be written"):
        lines.predict(["a/line.png", "b/line.png"], output="out")
    (row,) = lines.predict([np.full((20, 60), 230, np.uint8)], output="out")
    assert row["output"] == "out/image.png"
