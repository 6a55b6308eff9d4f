"""What the page of `sightseq demo` answers: the blocks of the predictors, without the page itself."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

from sightseq.demo.session import LONGEST_TEXT, Session
from sightseq.serve.worker import showing
from sightseq.tasks.classification.predict_sounds import SoundPredictor
from sightseq.vision.drawings import canvas
from tests.unit.test_predict import make as image_predictor
from tests.unit.test_predict import random_pixels
from tests.unit.test_predict_denoising import make as denoising_predictor
from tests.unit.test_predict_texts import make as text_predictor
from tests.unit.test_serve import EchoPredictor
from tests.unit.test_sound_classification import make as sound_task
from tests.unit.test_sound_classification import tone, write


def session(predictor: Any) -> Session:
    return Session(predictor, {"top": 2})


def stroke(*points: tuple[int, int]) -> np.ndarray:
    ImageDraw.Draw(image := Image.new("L", (320, 320))).line(points, fill=255, width=14)
    return np.asarray(image)


def cells(row: dict[str, Any]) -> str:
    return f'<th scope="row">{row["label"]}</th><td>{100 * row["probability"]:.2f}%</td>'


def test_a_text_shows_its_label_and_the_words_that_mattered() -> None:
    answer = session(text_predictor()).text("a good film", {"top": 1})
    (row,) = text_predictor().predict(["a good film"], top=1)
    assert cells(row) in answer
    assert answer.count('scope="row"') == 1
    assert "The words that mattered" in answer
    assert re.search(r'<span style="background: rgb\([\d ]+/ [\d.]+\)">good ?</span>', answer)
    assert "chosen at random" not in answer
    assert "✓" not in answer
    assert re.search(r"[\d.]+ ms on cpu", answer)


def test_texts_are_escaped_and_limited_and_problems_named() -> None:
    page = session(text_predictor())
    assert "<script>" not in page.text("<script>alert(1)</script> good", {})
    assert "at most 20,000" in page.text("a" * (LONGEST_TEXT + 1), {})
    assert "there is nothing to classify" in page.text(" ", {})
    with showing():
        assert "the model knows none of its words" in page.text("xyz", {})
    assert "top=3: input should be less than or equal to 2" in page.text("good", {"top": 3})
    Path("secret.txt").write_text("a good film")
    assert "good" not in page.text("secret.txt", {})


def test_a_photo_and_a_file_that_is_none(tmp_path: Path) -> None:
    photo = tmp_path / "x.png"
    Image.fromarray(random_pixels()).save(photo)
    page = session(image_predictor())
    assert cells(image_predictor().predict([photo])[0]) in page.file(photo, "a.png", {})
    photo.write_bytes(photo.read_bytes()[:50])
    answer = page.file(photo, "my <photo>.png", {})
    assert 'class="problem"' in answer
    assert "my &lt;photo&gt;.png: " in answer
    assert "/tmp" not in answer
    assert "there is no input yet" in page.file(None, "", {})


def test_a_larger_photo_shows_where_the_network_looked(tmp_path: Path) -> None:
    Image.fromarray(random_pixels(size=(32, 32))).save(photo := tmp_path / "x.png")
    answer = session(image_predictor(size=32)).file(photo, "x.png", {})
    assert "Where it looked" in answer
    assert "data:image/png;base64" in answer


def test_a_recording_is_played_and_explained(tmp_path: Path) -> None:
    predictor = SoundPredictor(sound_task(), "cpu")
    answer = session(predictor).file(write(tmp_path / "a.wav", tone(440)), "a.wav", {})
    assert "Label of 0 to 0.3 s" in answer
    assert "What it heard" in answer
    assert answer.count("<audio") == 1


def test_files_that_a_model_writes_are_shown(tmp_path: Path) -> None:
    Image.fromarray(pixels := random_pixels(size=(20, 10))).save(photo := tmp_path / "x.png")
    answer = session(predictor := denoising_predictor()).file(photo, "x.png", {})
    (data,) = re.findall(r'<img src="data:image/png;base64,([^"]+)"', answer)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(shown, np.asarray(predictor.denoise(pixels)))
    assert [*tmp_path.rglob("*.png")] == [photo]


def test_only_the_first_items_of_a_file_are_shown(tmp_path: Path) -> None:
    (file := tmp_path / "a.txt").write_text("".join(f"line {n}\n" for n in range(12)))
    predictor = EchoPredictor()
    predictor.task.device = "cpu"
    answer = session(predictor).file(file, "a.txt", {"shout": True})
    assert "LINE 9" in answer
    assert "LINE 10" not in answer
    assert "The first 10 of 12." in answer


# Drawings


@pytest.mark.parametrize("bright", [True, False])
def test_a_drawing_is_placed_as_the_examples_are(bright: bool) -> None:
    examples = np.zeros((20, 28, 28), np.uint8)
    examples[:, 4:24, 9:19] = 250
    found = canvas(list(examples if bright else 255 - examples))
    assert found is not None
    assert found.stroke == pytest.approx(2 * 20 * 10 / (20 + 10 + 20 + 10) / 20, rel=0.05)  # as of a filled box
    draw = found.image
    image = draw(stroke((40, 20), (40, 300))).astype(int)
    ink = image if bright else 255 - image
    rows, columns = np.flatnonzero(ink.max(1) > 60), np.flatnonzero(ink.max(0) > 60)
    assert (rows[0], rows[-1]) == (4, 23)
    assert columns.mean() == pytest.approx(13.5, abs=1)
    assert ink.max() >= 245
    columns = np.flatnonzero(np.ptp(draw(stroke((20, 40), (300, 40))), axis=0))
    assert columns[-1] - columns[0] + 1 == pytest.approx(20, abs=1)  # at most the larger side of the examples
    assert np.ptp(draw(np.zeros((320, 320), np.uint8))) == 0


def test_photographs_are_no_drawings() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)
    assert canvas(list(noise)) is None
    assert canvas([np.zeros((28, 28, 3), np.uint8)]) is None
    assert canvas([np.zeros((100, 100), np.uint8)]) is None
    assert canvas([]) is None


def test_drawn_digits_look_like_those_of_the_data() -> None:
    """Most of the nearest digits of the data are of the drawn kind."""
    digits = load_digits()
    images = (digits.images * 16).clip(0, 255).astype(np.uint8)
    found = canvas(list(images[:64]))
    assert found is not None
    draw = found.image
    drawn = {
        7: stroke((90, 60), (230, 60), (140, 260)),
        4: stroke((180, 270), (180, 50), (80, 190), (250, 190)),
        1: stroke((160, 50), (160, 270)),
    }
    for digit, ink in drawn.items():
        distances = np.abs(images.astype(float) - draw(ink)).sum((1, 2))
        assert np.bincount(digits.target[distances.argsort()[:9]]).argmax() == digit


# Examples


def test_examples_are_inputs_of_the_data() -> None:
    batch = {"input": torch.from_numpy(np.stack([random_pixels(seed=n) for n in range(2)]))[:, None]}
    np.testing.assert_array_equal(image_predictor().examples(batch)[1], random_pixels(seed=1))
    texts = text_predictor()
    read = [texts.read(text) for text in ("a good film", "bad")]
    assert texts.examples(texts.batch(read)) == ["a good film", "bad"]
