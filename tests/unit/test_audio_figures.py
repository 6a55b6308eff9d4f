"""Figures of sounds."""

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from sightseq.audio.features import LogMel
from sightseq.audio.figures import alignment_figure, batch_figure, examples_figure, saliency_figure

RATE = 8000
LAYER = LogMel(RATE)


def tone(hertz: float = 1000, seconds: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def features(wave: np.ndarray) -> np.ndarray:
    found, _ = LAYER(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))
    return found[0, 0].numpy()


def pixels(figure: Figure) -> np.ndarray:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=60)
    return np.asarray(Image.open(stream).convert("RGB"))


def test_a_spectrogram_in_seconds_and_hertz() -> None:
    figure = batch_figure([features(tone())], LAYER.axes, ["tone"])
    assert pixels(figure).std() > 10
    (cell,) = figure.axes
    labels = [label.get_text() for label in cell.get_yticklabels()]
    assert labels == ["200", "500", "1,000", "2,000"]  # 4,000 is above the highest band's middle
    (image,) = cell.images
    left, right, low, high = image.get_extent()
    assert (left, right) == pytest.approx((-0.005, 0.505))
    band = features(tone())[:, 25].argmax()
    middle = low + (band + 0.5) * (high - low) / 64
    assert 700 * (10 ** (middle / 2595) - 1) == pytest.approx(1000, rel=0.03)


@pytest.mark.parametrize("samples", [0, 1])
def test_a_sound_without_samples_can_be_drawn(samples: int) -> None:
    pixels(batch_figure([features(np.zeros(samples, np.float32))], LAYER.axes, ["nothing"]))


def test_grids_name_the_samples_and_mark_mistakes() -> None:
    sounds = [features(tone(300 * number, 0.1 * number)) for number in range(1, 7)]
    figure = examples_figure(sounds, LAYER.axes, [("$7$", 0.9, "$7$")] * 5 + [("7", 0.6, "1")])
    assert [cell.get_title(loc="left") for cell in figure.axes][4:] == ["✓ $7$ (90%)", "✗ 7 (60%)\ntruth: 1"]
    assert pixels(figure).std() > 10
    names = batch_figure(sounds, LAYER.axes, list("abcdef"))
    assert [cell.get_title(loc="left") for cell in names.axes] == list("abcdef")
    pixels(names)


def test_saliency_is_an_overlay() -> None:
    sound = features(tone())
    heat = np.zeros_like(sound)
    figures = []
    for value in (0, 1):
        heat[30:40, 20:30] = value
        figures.append(pixels(saliency_figure([sound], LAYER.axes, [heat], [("a", 0.5, "a")])))
    changed = np.argwhere((figures[0] != figures[1]).any(axis=2))
    assert 0 < len(changed) < 0.05 * figures[0][..., 0].size


def test_alignment_has_each_character_in_its_row() -> None:
    sound = features(tone(seconds=12.5))
    spans = [("a", 0.5, 0.7), (" ", 1, 1.1), ("b", 4.1, 6.4), ("c", 12, 12.4)]  # b begins in the first row
    figure = alignment_figure(sound, LAYER.axes, spans)
    assert len(figure.axes) == 3
    assert [[text.get_text() for text in cell.texts] for cell in figure.axes] == [["a", "␣"], ["b"], ["c"]]
    assert [len(cell.patches) for cell in figure.axes] == [3, 1, 1]
    pixels(figure)
