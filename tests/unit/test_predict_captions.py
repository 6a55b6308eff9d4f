"""Prediction with a captioning model: files, images and arrays agree; unreadable inputs are named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightseq.core.errors import ConfigError, InputError
from sightseq.predict import print_predictions
from sightseq.tasks.captioning.predict import CaptionPredictor
from sightseq.tasks.captioning.task import CaptioningTask

NET = {
    "_target_": "sightseq.nets.captioning.Captioner",
    "encoder": {"_target_": "sightseq.nets.feature_map.ConvFeatures", "channels": [8, 8, 8]},
    "embedding": 16,
    "hidden": [32],
    "attention": "multiplicative",
}


@pytest.fixture(scope="module")
def predictor() -> CaptionPredictor:
    """An untrained model of images of 64x64 pixels."""
    torch.manual_seed(0)
    spec, _ = CaptioningTask.example()
    return CaptionPredictor(CaptioningTask(spec=spec.to_dict(), net=NET), "cpu")


@pytest.fixture
def photos() -> list[Path]:
    """Photos of several sizes and modes in the folder `photos`."""
    generator = np.random.default_rng(0)
    Path("photos", "more").mkdir(parents=True)
    paths = []
    for name, shape in (("a.png", (64, 64, 3)), ("b.png", (90, 70, 3)), ("more/grey.png", (64, 64))):
        paths.append(Path("photos", name))
        coarse = Image.fromarray(generator.integers(0, 256, (4, 4, *shape[2:]), dtype=np.uint8))
        coarse.resize(shape[1::-1]).save(paths[-1])
    return paths


def show(predictor: CaptionPredictor, *inputs: str, format: str = "table", **options: object) -> int:
    return print_predictions(predictor, inputs, format, predictor.options(options))


def test_files_images_and_arrays_give_the_same_caption(predictor: CaptionPredictor, photos: list[Path]) -> None:
    for path in photos:
        image = Image.open(path)
        found = [predictor.predict([one])[0]["caption"] for one in (path, str(path), image, np.asarray(image))]
        assert len(set(found)) == 1
        assert found[0]


def test_a_caption_does_not_depend_on_the_other_images(predictor: CaptionPredictor, photos: list[Path]) -> None:
    rows = predictor.predict(photos)
    for path, row in zip(photos, rows, strict=True):
        (alone,) = predictor.predict([path], batch_size=1)
        assert alone["caption"] == row["caption"]
        assert alone["score"] == pytest.approx(row["score"], abs=1e-4)


def test_n_best(predictor: CaptionPredictor, photos: list[Path]) -> None:
    rows = predictor.predict(photos[:2], n_best=3, beam=4)
    assert len(rows) == 6
    for three in (rows[:3], rows[3:]):
        assert [row["score"] for row in three] == sorted((row["score"] for row in three), reverse=True)
        assert len({row["caption"] for row in three}) == 3
    best = predictor.predict(photos[:2], beam=4)
    assert [row["caption"] for row in best] == [rows[0]["caption"], rows[3]["caption"]]
    with pytest.raises(ConfigError, match="n_best=6: a beam of 5"):
        predictor.predict(photos, n_best=6)


def test_options_of_the_search(predictor: CaptionPredictor, photos: list[Path]) -> None:
    (free,) = predictor.predict(photos[:1], beam=1)
    (blocked,) = predictor.predict(photos[:1], beam=1, no_repeat_ngram=1)
    words = blocked["caption"].split()
    assert blocked["caption"] != free["caption"]
    assert len(set(words)) == len(words)
    (unnormalised,) = predictor.predict(photos[:1], length_penalty=0)
    assert unnormalised["score"] == pytest.approx(unnormalised["log_probability"])


def test_a_folder_with_a_damaged_photo(
    predictor: CaptionPredictor, photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos", "damaged.jpg").write_bytes(photos[0].read_bytes()[:100])
    assert show(predictor, "photos", format="jsonl", n_best=2) == 2
    captured = capsys.readouterr()
    assert "damaged.jpg: is not an image that can be read" in " ".join(captured.err.split())
    rows = [json.loads(line) for line in captured.out.splitlines()]
    assert [row["file"] for row in rows] == [str(path) for path in photos for _ in range(2)]
    assert all(list(row) == ["file", "caption", "score", "log_probability"] for row in rows)


def test_the_printed_table(predictor: CaptionPredictor, photos: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert show(predictor, str(photos[0])) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["file", "caption", "score"]
    assert str(photos[0]) in " ".join(lines)


def test_bad_inputs_from_python(predictor: CaptionPredictor) -> None:
    with pytest.raises(InputError, match=r"nowhere\.png: there is no such file"):
        predictor.predict(["nowhere.png"])
    with pytest.raises(InputError, match="must be uint8"):
        predictor.predict([np.zeros((8, 8), np.float32)])
