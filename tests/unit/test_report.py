"""The report is complete, escaped and self-contained, and can be written if parts are missing."""

import base64
import csv
import io
import math
import re
import warnings
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from sightseq.core import plots
from sightseq.core.blocks import Block, FigureBlock, Page, Passage, PassagesBlock, TableBlock, TextBlock
from sightseq.core.media import LARGEST_WAV, AudioBlock, ImageBlock
from sightseq.core.naming import ScoreInfo
from sightseq.core.report import SYNTHETIC, learning_curves, read_history, write_report
from sightseq.tasks.classification import figures
from sightseq.vision import figures as images

LOSS, SHARE = ScoreInfo("loss", higher_is_better=False), ScoreInfo("accuracy", higher_is_better=True, percent=True)
EVIL = "<script>alert('$')</script>"
RESULTS: dict[str, Any] = {
    "experiment": "digits",
    "title": f"Digits {EVIL}",
    "name": "2026-11-21_12-00-00-ab12",
    "finished": "2026-11-21T12:01:10+00:00",
    "command": "sightseq train experiment=digits 'data.name=<b>'",
    "commit": None,
    "seed": 7,
    "parameters": 123456,
    "seconds": {"fit": 20.1, "total": 135.2},
    "epochs": 30,
    "best_epoch": 28,
    "headline": "accuracy",
    "metrics": {
        "loss": {"title": "loss", "higher_is_better": False, "percent": False},
        "accuracy": {"title": "accuracy", "higher_is_better": True, "percent": True},
        "calibration_error": {"title": "calibration error", "higher_is_better": False, "percent": True},
        "precision": {"title": "precision", "higher_is_better": True, "percent": True},
    },
    "hardware": {"cpu": "A processor, 2 cores", "memory_gib": 24, "accelerator": "cpu"},
    "versions": {"sightseq": "0.1.0", "torch": "2.13.0"},
    "precision": "bf16-mixed",
    "data": {"name": "digits", "licence": "CC BY 4.0", "train": 808, "val": 90, "test": 1899, "classes": 2},
    "val": {"loss": 0.0534, "accuracy": 0.9889, "calibration_error": 0.01},
    "test": {"loss": 0.0871, "accuracy": 0.9741, "calibration_error": 0.02},
    "baselines": {
        "majority": {"val": {"accuracy": 0.1}, "test": {"accuracy": 0.101}, "seconds": 0.1},
        "nearest_neighbours": {"val": {"accuracy": 0.99}, "test": {"accuracy": 0.9633}, "seconds": 1.3},
    },
    "training_differs": ["label smoothing of 0.2 (in the loss)", "augmentation"],
}


def write_metrics(run_dir: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with (run_dir / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def render(figure: Figure) -> Image.Image:
    """Draw a figure; warnings are errors (missing glyph, collapsed layout, log of zero)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(data := io.BytesIO(), dpi=50)
    return Image.open(data)


def words(figure: Figure) -> str:
    """All texts of a figure, one per line."""
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_report_contains_the_results(tmp_path: Path) -> None:
    write_metrics(tmp_path, [{"epoch": 1, "train/loss": 2, "val/loss": 1.5, "val/accuracy": 0.5}])
    page = write_report(tmp_path, {"seed": 7}, RESULTS, learning_curves(tmp_path, RESULTS)).read_text("utf-8")
    for text in (
        *("97.41%", "test accuracy", "96.33%", "best baseline: nearest neighbours", "0.087", "2.00%"),
        *("epoch 28 of 30", "Test, 1,899 samples", "Validation, 90 samples"),
        *("21 November 2026, 12:01 UTC", "20 s of training, 2 min 15 s in all", "123,456", "24 GiB of memory"),
        *("808 training, 90 validation, 1,899 test samples, 2 classes", "CC BY 4.0", "torch 2.13.0", "seed: 7"),
        *(
            "Learning curves",
            "Both ran in bf16-mixed; the scores in the table were computed in 32 bits.",
            "not recorded",
        ),
    ):
        assert text in page, text


def test_curves_explain_worse_training_scores(tmp_path: Path) -> None:
    write_metrics(tmp_path, [{"epoch": 1, "train/loss": 2, "val/loss": 1.5}])
    (block,) = learning_curves(tmp_path, RESULTS)
    assert "measured with label smoothing of 0.2 (in the loss) and augmentation, validation without" in block.caption
    (block,) = learning_curves(tmp_path, RESULTS | {"training_differs": []})
    assert "measured with" not in block.caption


def test_best_of_each_column_is_marked(tmp_path: Path) -> None:
    page = write_report(tmp_path, {}, RESULTS, []).read_text("utf-8")
    # The model on test, a baseline on validation; a loss without competitors is not marked.
    assert re.findall("<strong>(.*?)</strong>", page) == ["97.41%", "99.00%"]


def test_synthetic_data_is_marked(tmp_path: Path) -> None:
    assert SYNTHETIC not in write_report(tmp_path, {}, RESULTS, []).read_text("utf-8")
    results = RESULTS | {"data": RESULTS["data"] | {"synthetic": True}}
    assert f'<p class="warning">{SYNTHETIC}</p>' in write_report(tmp_path, {}, results, []).read_text("utf-8")


def test_a_failed_baseline_is_named(tmp_path: Path) -> None:
    results = RESULTS | {"baselines": RESULTS["baselines"] | {"SVM": {"error": f"ValueError: {EVIL}"}}}
    page = write_report(tmp_path, {}, results, []).read_text("utf-8")
    assert re.search('SVM</th><td class="failed" colspan="3">failed: ValueError: &lt;script&gt;', page)
    assert "best baseline: nearest neighbours" in page


def test_lower_is_better_for_errors(tmp_path: Path) -> None:
    results = {
        "headline": "mae",
        "metrics": {"mae": {"title": "mean absolute error", "higher_is_better": False}},
        "test": {"mae": 3.5},
        "baselines": {"naive": {"test": {"mae": 3.1}}, "mean": {"test": {"mae": 9.0}}},
    }
    page = write_report(tmp_path, {}, results, []).read_text("utf-8")
    assert "best baseline: naive" in page
    assert "test mean absolute error" in page
    assert re.findall("<strong>(.*?)</strong>", page) == ["3.100"]


def test_everything_is_escaped(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8), np.uint8)
    blocks = [
        FigureBlock(EVIL, images.batch_figure([pixels], [EVIL]), caption=EVIL),
        TextBlock(EVIL, EVIL),
        PassagesBlock(EVIL, [Passage(EVIL, [(EVIL, 1.0), (EVIL, 0.0)])]),
        TableBlock(EVIL, [EVIL, EVIL], [[EVIL, EVIL]]),
        ImageBlock(EVIL, [pixels], [EVIL]),
        AudioBlock(EVIL, np.zeros(8), 8000, caption=EVIL),
    ]
    page = write_report(tmp_path, {"note": f"</pre>{EVIL}"}, RESULTS, blocks).read_text("utf-8")
    assert "<script" not in page
    assert "data.name=<b>" not in page
    assert page.count("</pre>") == 2
    assert page.count("&lt;script&gt;") > 12


def test_passages_are_marked_by_their_weights(tmp_path: Path) -> None:
    words = [("good ", 1.0), ("bad ", -0.5), ("film", 0.01)]
    page = PassagesBlock("Words", [Passage("✗ a", words, wrong=True), Passage("✓ a", [("fine", 0.0)])]).html(
        Page(tmp_path)
    )
    assert '<p class="passage wrong"><strong>✗ a</strong>' in page
    assert '<p class="passage"><strong>✓ a</strong>' in page
    blue, red = "rgb(0 114 178 / 0.60)", "rgb(213 94 0 / 0.30)"
    assert f'<span style="background: {blue}">good </span><span style="background: {red}">bad </span>film' in page


def test_a_table_aligns_texts_left_and_formats_numbers(tmp_path: Path) -> None:
    rows: list[list[str | float | None]] = [["cat", 0.5, 1000, "a | b"], ["dog", None, 12.34, "c"]]
    table = TableBlock("Classes", ["class", "recall", "support", "note"], rows, percent=("recall",))
    page = table.html(Page(tmp_path))
    assert '<th scope="row">cat</th><td>50.00%</td><td>1,000</td><td class="text">a | b</td>' in page
    assert "<td>\N{EN DASH}</td><td>12.34</td>" in page
    assert "<details" not in page
    assert "<summary" in TableBlock("Many", ["n"], [[n] for n in range(31)]).html(Page(tmp_path))


def test_images_of_any_kind_and_size_are_shown_and_saved(tmp_path: Path) -> None:
    Image.new("L", (300, 200)).save(file := tmp_path / "photo.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (1000, 2000, 3), dtype=np.uint8)
    block = ImageBlock("Before and after", [noise[:8, :8, 0], file, noise], ["small", "file", "large"])
    page = block.html(Page(tmp_path / "figures"))
    shown = [Image.open(io.BytesIO(base64.b64decode(source))) for source in re.findall('base64,(.*?)"', page)]
    assert [image.size for image in shown] == [(8, 8), (300, 200), (1600, 800)]  # the large one is reduced, WebP
    assert [image.format for image in shown] == ["PNG", "PNG", "WEBP"]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "figures" / "before-and-after-3.png")), noise)
    assert page.count('class="pixels" width="32"') == 1
    with pytest.raises(ValueError, match="argument"):
        ImageBlock("One caption too few", [noise, noise], ["one"]).html(Page(tmp_path))


def test_sounds_are_embedded_and_long_ones_truncated(tmp_path: Path) -> None:
    def sound(source: bytes | Path) -> tuple[int, Any]:
        with wave.open(io.BytesIO(source) if isinstance(source, bytes) else str(source), "rb") as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767

    tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)
    page = AudioBlock("Tone", tone, 16000, spectrogram=True).html(Page(tmp_path))
    source, image_data = re.findall('src="(data:.*?)"', page)
    rate, heard = sound(base64.b64decode(source.removeprefix("data:audio/wav;base64,")))
    assert rate == 16000
    assert heard == pytest.approx(tone, abs=1e-4)
    assert image_data.startswith("data:image/png")
    assert np.array_equal(sound(tmp_path / "tone.wav")[1], heard)

    loud = np.full(LARGEST_WAV, 3.0)
    page = AudioBlock("Long", loud, 10_000).html(Page(tmp_path))
    assert "The first 50 s of 100 s; complete file: figures/long.wav" in page
    assert len(page) < 1.5 * LARGEST_WAV
    assert np.array_equal(sound(tmp_path / "long.wav")[1], np.ones(LARGEST_WAV))
    with pytest.raises(ValueError, match="one dimension"):
        AudioBlock("Stereo", np.zeros((2, 9)), 8000).html(Page(tmp_path))


def test_a_spectrogram_shows_the_pitch() -> None:
    tone = np.sin(2 * np.pi * 2000 * np.arange(16000) / 16000)
    (axes,) = plots.spectrogram_figure(tone, 16000).axes
    (image_data,) = axes.images
    assert tuple(image_data.get_extent()) == (0, 1, 0, 8)  # seconds, kHz
    loudest = np.asarray(image_data.get_array()).argmax(axis=0)
    assert set(loudest) == {64}  # 2 kHz: index 64 of 257 frequencies up to 8 kHz
    render(plots.spectrogram_figure(np.zeros(10), 8000))


class Circle(Block):
    """A block class from outside the package."""

    def __init__(self, radius: int) -> None:
        super().__init__("A circle")
        self.radius = radius

    def html(self, page: Page) -> Markup:
        svg = Markup('<svg><circle r="{}"/></svg>').format(self.radius)
        page.path(self.title, ".svg").write_text(svg)
        if self.radius < 0:
            raise ValueError(f"<{self.radius}>")
        return svg


def test_a_block_from_outside_needs_no_registration(tmp_path: Path) -> None:
    page = write_report(tmp_path, {}, RESULTS, [Circle(3), Circle(-1), TextBlock("After", "the end")]).read_text(
        "utf-8"
    )
    assert '<h2>A circle</h2>\n<svg><circle r="3"/></svg>' in page
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"a-circle.svg", "a-circle-2.svg"}
    assert "failed: ValueError: &lt;-1&gt;" in page  # the page is written nevertheless
    assert "the end" in page


def test_page_is_self_contained_and_figures_are_saved(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 96, 96, 3), dtype=np.uint8)
    large, small = images.batch_figure(list(noise), ["x"] * 24), images.batch_figure(list(noise[:1] // 255), ["x"])
    blocks = [
        FigureBlock("Sample predictions", large, caption="Large: WebP in the page."),
        FigureBlock("Sample predictions", small, caption="Small, and of the same name."),
        TextBlock("A text", "Once upon a time\nthere was a net."),
    ]
    path = write_report(tmp_path, {}, RESULTS, blocks)
    page = path.read_text("utf-8")
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {
        "sample-predictions.png",
        "sample-predictions-2.png",
    }
    for file in (tmp_path / "figures").iterdir():
        Image.open(file).load()
    sources = re.findall(r'src="(.*?)"', page)
    assert [source.split(";")[0] for source in sources] == ["data:image/webp", "data:image/png"]
    for source in sources:
        Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).load()
    assert not re.search(r"https?://|url\(|@import|<link|<script", page)
    assert path.stat().st_size < 2_000_000
    assert "Once upon a time\nthere was a net." in page


@pytest.mark.parametrize("missing", [*RESULTS, None])
def test_missing_parts(tmp_path: Path, missing: str | None) -> None:
    results = {key: value for key, value in RESULTS.items() if missing and key != missing}
    page = write_report(tmp_path / "run", {}, results, []).read_text("utf-8")
    assert "Run details" in page
    assert "None" not in page
    assert "nan" not in page


@pytest.mark.parametrize("empty", list(RESULTS))
def test_parts_with_the_value_none(tmp_path: Path, empty: str) -> None:
    page = write_report(tmp_path / "run", {}, {**RESULTS, empty: None}, []).read_text("utf-8")
    assert "None" not in page


def test_a_report_without_test_scores_says_so(tmp_path: Path) -> None:
    page = write_report(tmp_path, {}, {**RESULTS, "test": None}, []).read_text("utf-8")
    assert "validation accuracy" in page
    assert "98.89%" in page
    assert "test data was not read" in page


def test_history_reads_empty_cells_as_nan(tmp_path: Path) -> None:
    assert read_history(tmp_path / "metrics.csv") == []
    write_metrics(tmp_path, [{"epoch": 1, "val/loss": ""}, {"epoch": 2, "val/loss": 0.5}])
    first, second = read_history(tmp_path / "metrics.csv")
    assert first["epoch"] == 1
    assert math.isnan(first["val/loss"])
    assert second["val/loss"] == 0.5


@pytest.mark.parametrize(
    ("info", "value", "text"),
    [
        (SHARE, 0.98765, "98.77%"),
        (SHARE, 1.0, "100.00%"),
        (LOSS, 0.05341, "0.053"),
        (LOSS, 0.0, "0.000"),
        (LOSS, 0.00012, "1.20e-04"),
        (LOSS, 28.794, "28.79"),
        (LOSS, 1234.56, "1,234.6"),
        (LOSS, 1000, "1,000"),
        (LOSS, math.nan, "\N{EN DASH}"),
        (SHARE, None, "\N{EN DASH}"),
    ],
)
def test_formatted_scores(info: ScoreInfo, value: float | None, text: str) -> None:
    assert info.text(value) == text


def test_the_best_value_follows_the_direction() -> None:
    values = {"a": 0.2, "b": 0.1, "c": math.nan, "d": None}
    assert (LOSS.best(values), SHARE.best(values), LOSS.best({"c": math.nan})) == ("b", "a", None)


@pytest.mark.parametrize("size", [1, 2, 20, 21, 47, 100])
def test_confusion_matrix_of_any_size(size: int) -> None:
    matrix = np.random.default_rng(size).integers(0, 3, (size, size)) + 500 * np.eye(size, dtype=np.int64)
    figure = figures.confusion_matrix_figure(matrix, [f"a rather long name of ${i}$ <b>" for i in range(size)])
    image = render(figure)
    assert image.width <= 8 * 50
    assert ("most frequent mistakes" in words(figure)) == (size > figures.COUNTED)
    assert (str(matrix[0, 0]) in words(figure).split("\n")) == (size <= figures.COUNTED)


def test_confusion_matrix_shows_one_mistake_among_thousands() -> None:
    image = np.asarray(
        render(figures.confusion_matrix_figure(np.array([[5000, 1], [0, 5000]]), ["a", "b"])).convert("RGB")
    )
    red, _, blue = (image[..., channel].astype(int) for channel in range(3))
    assert (red - blue > 5).sum() > 500  # pixels: the whole cell is tinted


@pytest.mark.parametrize("size", [3, 30])
def test_confusion_matrix_without_samples_or_mistakes(size: int) -> None:
    names = [str(i) for i in range(size)]
    render(figures.confusion_matrix_figure(np.zeros((size, size), np.int64), names))
    render(figures.confusion_matrix_figure(np.eye(size, dtype=np.int64), names))


def test_reliability_bins() -> None:
    count, confidence, hits = torch.zeros(3, 15)
    count[7], confidence[7], hits[7] = 1, 0.52, 1
    count[14], confidence[14], hits[14] = 4, 3.92, 3
    figure = figures.reliability_figure(count, confidence, hits)
    line = figure.axes[0].lines[1]
    assert np.asarray(line.get_xdata()).tolist() == pytest.approx([0.52, 0.98])
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([1.0, 0.75])
    assert [bar.get_height() for bar in figure.axes[1].patches] == count.tolist()
    assert figure.axes[1].patches[14].get_x() == pytest.approx(14 / 15)
    render(figure)
    render(figures.reliability_figure(*torch.zeros(3, 15)))
    render(figures.reliability_figure(*torch.full((3, 15), 40.0)))


def test_examples_mark_mistakes_with_a_symbol_and_the_truth() -> None:
    inputs = [np.zeros((8, 8), np.uint8), np.zeros((28, 20, 3), np.uint8), np.zeros((300, 200), np.uint8)]
    labels = [("cat", 0.987, "cat"), ("$dog", 0.5, "a very long\nname of a class"), ("x", 1.0, "x")]
    figure = images.examples_figure(inputs, labels)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["✓ cat (99%)", "✗ $dog (50%)\ntruth: a very long n…", "✓ x (100%)"]
    assert [axes.images[0].get_interpolation() for axes in figure.axes] == ["nearest", "nearest", "auto"]
    render(figure)


def test_heat_map_is_shown_on_a_grey_copy_beside_the_image() -> None:
    image = np.full((40, 20, 3), (200, 0, 0), np.uint8)
    heat = np.zeros((40, 20), np.float32)
    heat[:, 10:] = np.linspace(0.5, 1, 40, dtype=np.float32)[:, None]
    labels = [("cat", 0.987, "cat"), ("dog", 0.5, "cat")]
    figure = images.saliency_figure([image, image[..., 0]], [heat, heat], labels)
    assert [axes.get_title("left") for axes in figure.axes] == ["✓ cat (99%)", "✗ dog (50%)\ntruth: cat"]
    for axes, unlike in zip(figure.axes, (image, image[..., 0]), strict=True):
        plain, grey, glow = (np.asarray(layer.get_array()) for layer in axes.images)
        left, right, above = (layer.get_extent() for layer in axes.images)
        assert np.array_equal(plain, unlike)
        assert grey.shape == (40, 20)  # grey, so that no colour of the photograph looks like heat
        assert right == above
        assert left[1] < right[0]
        assert axes.get_xlim() == (0, right[1])
        assert np.all(glow[:, :10, 3] == 0)  # without heat, the photograph is unchanged
        assert np.all(np.diff(glow[:, 15, 3]) > 0)
        assert np.all(np.diff(glow[:, 15, :3].sum(axis=1)) > 0)  # more heat is brighter
        assert glow[..., 3].max() < 0.8  # the photograph stays visible
    image = np.asarray(render(figure).convert("RGB")).astype(int)
    assert (image[..., 0] - image[..., 2] > 100).sum() > 500


@pytest.mark.parametrize("count", [0, 1, 2, 5, 12])
def test_heat_maps_of_any_number_and_shape(count: int) -> None:
    for shape in ((48, 48), (40, 200), (200, 40, 3)):
        heats = [np.ones(shape[:2], np.float32)] * count
        figure = images.saliency_figure([np.zeros(shape, np.uint8)] * count, heats, [("a", 1.0, "b")] * count)
        assert len(figure.axes) == count
        assert render(figure).width <= 8 * 50


@pytest.mark.parametrize("count", [0, 1, 5, 24])
def test_batch_of_any_size(count: int) -> None:
    for shape in ((8, 8), (40, 200), (200, 40, 3)):
        figure = images.batch_figure([np.zeros(shape, np.uint8)] * count, ["label"] * count)
        assert len(figure.axes) == count
        assert render(figure).width <= 8 * 50


def test_curves_mark_the_best_epoch_by_the_kind_of_metric() -> None:
    history = [
        {"epoch": 1, "train/loss": 2.0, "val/loss": 1.0, "val/accuracy": 0.25},
        {"epoch": 2, "train/loss": 1.0, "val/loss": 0.5, "val/accuracy": math.nan},
        {"epoch": 3, "train/loss": math.inf, "val/loss": 0.7, "val/accuracy": 0.75},
    ]
    figure = plots.curves_figure(history, {"loss": LOSS, "accuracy": SHARE})
    assert [axes.get_title("left").split("\n") for axes in figure.axes] == [
        ["loss", "best validation: 0.500, epoch 2"],
        ["accuracy", "best validation: 75.00%, epoch 3"],
    ]
    render(figure)


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_curves_of_any_length(count: int) -> None:
    history = [{"epoch": e, "train/loss": 100.0 / e**2, "val/loss": 90.0 / e**2} for e in range(1, count + 1)]
    figure = plots.curves_figure(history, {"loss": LOSS, "accuracy": SHARE, "f1": SHARE})
    render(figure)
    assert not count or all(line.get_marker() == ("o" if count < 13 else "") for line in figure.axes[0].lines[:2])


def test_figures_do_not_change_the_style_of_the_user() -> None:
    with matplotlib.rc_context({"font.size": 31}):
        figure = plots.curves_figure([{"epoch": 1, "val/loss": 1.0}], {"loss": LOSS})
        assert matplotlib.rcParams["font.size"] == 31
    assert figure.axes[0].xaxis.label.get_fontsize() == plots.STYLE["font.size"]
