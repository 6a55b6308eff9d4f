"""Figures and audio of pieces."""

import io

import numpy as np
import pretty_midi
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from sightseq.core.plots import BLUE, GREY, ORANGE
from sightseq.music.figures import histogram_figure, roll_figure
from sightseq.music.statistics import describe
from sightseq.music.synthesis import waveform
from tests.unit.test_music_pieces import make

PIECE = make((0, 1, 60), (1, 2, 64), (2, 8, 67), (2, 4, 36, 80, 0, True), (7, 8.5, 72))


def pixels(figure: Figure) -> np.ndarray:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=60)
    return np.asarray(Image.open(stream).convert("RGB"))


def boxes(figure: Figure) -> dict[str, list[list[float]]]:
    """Left, bottom, right and top of the drawn notes, by colour."""
    (axes,) = figure.axes
    return {
        to_hex(collection.get_facecolor()[0]).upper(): [
            path.get_extents().extents.round(2).tolist() for path in collection.get_paths()
        ]
        for collection in axes.collections
    }


def test_roll_figure_has_a_box_for_each_note() -> None:
    figure = roll_figure(PIECE, PIECE.notes["start"] < 2, title="A $tune$")
    found = boxes(figure)
    assert found[ORANGE] == [[0, 59.55, 0.25, 60.45], [0.25, 63.55, 0.5, 64.45]]
    assert found[BLUE] == [[0.5, 66.55, 2, 67.45], [1.75, 71.55, 2.12, 72.45]]
    assert found[GREY] == [[0.5, 35.55, 1, 36.45]]
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "A $tune$"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["C2", "C3", "C4", "C5"]
    assert axes.get_xlim() == (0, 3)  # whole bars
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["given", "composed", "drums"]
    assert pixels(figure).std() > 10


def test_roll_figure_of_one_kind_needs_no_legend() -> None:
    figure = roll_figure(make((0, 1, 60), (1, 6, 62)), bar=3)
    assert not figure.legends
    assert figure.axes[0].get_xlim() == (0, 2)
    assert boxes(figure)[BLUE][1] == [0.33, 61.55, 2, 62.45]


def test_roll_figures_of_unusual_pieces() -> None:
    for piece in (make(), make((0, 0.1, 0)), make((0, 1, 127)), make((4000, 4001, 60)), make((0, 1, 36, 80, 0, True))):
        assert pixels(roll_figure(piece)).ndim == 3


def test_histogram_figure_shows_both() -> None:
    composed, training = describe([PIECE]), describe([make((0, 1, 62), (1, 2, 60))])
    figure = histogram_figure(composed, training)
    upper, lower = figure.axes
    heights = [[bar.get_height() for bar in bars] for bars in upper.containers]
    np.testing.assert_allclose(heights, [training["pitch_classes"], composed["pitch_classes"]])
    assert [len(bars) for bars in lower.containers] == [25, 25]
    assert lower.get_xticklabels()[0].get_text() == "≤-12"
    assert pixels(figure).std() > 10
    assert pixels(histogram_figure(describe([make()]), training)).ndim == 3


def test_waveforms_are_normalised_and_as_long_as_the_piece() -> None:
    loud = make(*((0, 4, pitch, 127) for pitch in range(40, 80)), tempi=((0.0, 60.0),))
    sound = waveform(loud, 8000)
    assert sound.dtype == np.float32
    assert len(sound) == 8000 * 5  # a second more than the last note
    assert np.abs(sound).max() == pytest.approx(0.9)
    assert np.abs(waveform(make((0, 1, 60, 1)), 8000)).max() == pytest.approx(0.9)


def test_silence() -> None:
    for piece in (make(), make((0, 1, 36, 80, 0, True))):
        sound = waveform(piece, 8000)
        assert len(sound) >= 8000
        assert np.isfinite(sound).all()
    assert not waveform(make(), 8000).any()


def test_pitch_and_time_of_a_tone() -> None:
    sound = waveform(make((2, 4, 69)), 8000)  # A4 at second 1
    assert not sound[:8000].any()
    spectrum = np.abs(np.fft.rfft(sound[8000:16000]))
    assert spectrum.argmax() == 440


def test_fluidsynth_plays_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    played = []

    def fluidsynth(self: pretty_midi.Instrument, fs: float) -> np.ndarray:
        played.append((self.program, self.is_drum, len(self.notes), fs))
        return np.full(100, 20000.0)

    monkeypatch.setattr(pretty_midi.Instrument, "fluidsynth", fluidsynth)
    sound = waveform(make((0, 1, 60), (1, 2, 60), (0, 1, 60, 80, 41), (0, 1, 36, 80, 0, True)), 8000)
    assert sorted(played) == [(0, False, 2, 8000.0), (0, True, 1, 8000.0), (41, False, 1, 8000.0)]
    assert np.abs(sound).max() == pytest.approx(0.9)
    for error in (ImportError, OSError, ValueError, AttributeError):

        def broken(*_: object, error: type[Exception] = error, **__: object) -> None:
            raise error("no sound font")

        monkeypatch.setattr(pretty_midi.Instrument, "fluidsynth", broken)
        assert np.abs(waveform(make((0, 1, 60)), 8000)).max() == pytest.approx(0.9)
