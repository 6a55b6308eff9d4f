"""Classification of sounds: features, augmentation, report, saliency, prediction and baselines."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sightseq.audio.inputs import as_waveform
from sightseq.audio.spec import AudioSpec
from sightseq.core.arrays import Ragged
from sightseq.core.blocks import Page
from sightseq.core.errors import ConfigError, InputError
from sightseq.core.graph import graph_of
from sightseq.core.loading import Batch
from sightseq.core.media import GroupBlock
from sightseq.export.files import load_onnx, quantize, save_onnx
from sightseq.tasks.classification.baseline import Majority
from sightseq.tasks.classification.baseline_sounds import CepstrumSVM, NearestByWarping
from sightseq.tasks.classification.predict_sounds import SoundPredictor
from sightseq.tasks.classification.sound_saliency import spectrogram_heat
from sightseq.tasks.classification.sounds import SoundClassificationTask
from sightseq.tasks.classification.warping import warping_distances
from tests.unit.test_imports import PACKAGE, imports

CNN = {"_target_": "sightseq.nets.sound.SoundCNN", "channels": [4, 8]}
RATE = 8000


def make(net: dict[str, Any] = CNN, seconds: float = 1.0, **arguments: Any) -> SoundClassificationTask:
    torch.manual_seed(0)
    spec = AudioSpec(RATE, ("low", "middle", "high"), mean=-5.0, std=4.0, seconds=seconds)
    return SoundClassificationTask(spec=spec.to_dict(), net=net, **arguments).eval()


def example() -> Batch:
    return SoundClassificationTask.example()[1]


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """Write floats [N] or [N, channels] in -1..1 as a 16-bit WAV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).round().astype("<i2").tobytes())
    return path


def tone(hertz: float, seconds: float = 0.3, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


# The task


@pytest.mark.parametrize("module", ["task", "graph", "predict"])
def test_base_of_classification_names_no_modality(module: str) -> None:
    found = imports(PACKAGE / "tasks" / "classification" / f"{module}.py")
    assert not any(name.startswith(f"sightseq.{codec}.") for name in found for codec in ("text", "vision", "audio"))


def test_integers_and_floats_give_the_same_probabilities() -> None:
    task, batch = make(), example()
    floats = batch | {"input": batch["input"].float() / 32768}
    torch.testing.assert_close(task.predict_step(floats), task.predict_step(batch))


def test_network_gets_the_number_of_frequencies() -> None:
    net = {"_target_": "sightseq.nets.sound.AttentionRNN", "hidden": [4], "dense": []}
    features = {"_target_": "sightseq.audio.features.LogMel", "n_mels": 20}
    assert make(net, features=features).net.layers[0].input_size == 20
    assert make(net).net.layers[0].input_size == 64
    cepstra = {"_target_": "sightseq.audio.features.MFCC", "n_mfcc": 13}
    task = make(net, features=cepstra)
    assert task.net.layers[0].input_size == 13
    assert task.predict_step(example()).shape == (6, 3)


def test_augmentation_of_waveforms_comes_before_that_of_spectrograms() -> None:
    bricks = {
        "mask": {"_target_": "sightseq.audio.augment.SpecAugment"},
        "none": None,
        "gain": {"_target_": "sightseq.audio.augment.Gain", "decibel": 10.0},
    }
    task, batch = make(augment=bricks), example()
    plain = task.augment(batch)
    assert plain["input"].abs().max() <= 1
    torch.testing.assert_close(task.logits(plain), task.logits(batch))
    torch.manual_seed(0)
    changed = task.train().augment(batch)
    assert not torch.equal(changed["input"], plain["input"])  # louder
    real = torch.arange(changed["features"].shape[3]) < changed["feature_length"][:, None]
    masked = (changed["features"][:, 0] == 0).all(1) & real
    assert masked.any()
    assert task.training_differences()[0] == "augmentation"


def test_augmentation_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="Flip is not an augmentation of sounds"):
        make(augment={"flip": {"_target_": "sightseq.vision.augment.Flip"}})


def test_report_has_players_below_spectrograms(tmp_path: Path) -> None:
    task, batch = make(), example()
    output = task.step(batch, "val")
    task.scoreboard.update("val", output)
    task.collect_examples(batch, output)
    page = Page(tmp_path)
    blocks = {block.title: block for block in task.blocks("val")}
    heard = blocks["What it heard"]
    assert isinstance(heard, GroupBlock)
    html = heard.html(page)
    assert html.count("<audio") == html.count("<img") == 6
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".wav"}
    assert "Sample predictions" in blocks


# Saliency


class Region(nn.Module):
    """Two logits: the mean of one region of the spectrogram, and of the rest."""

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        region = features[:, 0, 20:30, 4:14]
        return torch.stack([region.mean((1, 2)), features.mean((1, 2, 3)) - region.mean((1, 2))], dim=1)


def test_gradients_point_to_the_region_that_counts() -> None:
    features = 1 + torch.rand(2, 1, 64, 30)
    heat = spectrogram_heat(Region(), features, torch.tensor([30, 10]), torch.tensor([0, 0]))
    assert heat.shape == (2, 64, 30)
    assert heat[0].max() == 1
    assert heat[0, 22:28, 6:12].mean() > 10 * heat[0, 40:].mean()
    assert not heat[1, :, 10:].any()


@pytest.mark.parametrize("name", ["SoundCNN", "AttentionRNN"])
def test_saliency_leaves_the_network_unchanged(name: str) -> None:
    task, batch = make({"_target_": f"sightseq.nets.sound.{name}"}).train(), example()
    features, lengths = task.front(batch["input"], batch["length"])
    with torch.inference_mode():
        heat = spectrogram_heat(task.net, features, lengths, batch["target"])
    assert heat.shape == features[:, 0].shape
    assert 0 <= heat.min() < heat.max() <= 1
    assert task.net.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in task.net.parameters())


# Prediction


@pytest.fixture
def predictor() -> SoundPredictor:
    return SoundPredictor(make(), "cpu")


def test_files_and_arrays_agree(predictor: SoundPredictor, tmp_path: Path) -> None:
    samples = np.round(tone(900) * 32767).astype(np.int16)
    path = write(tmp_path / "a.wav", tone(900))
    stereo = np.stack([samples, samples], axis=1)
    inputs: list[Any] = [path, str(path), path.read_bytes(), samples, samples / 32768, stereo, (samples, RATE)]
    rows = predictor.predict(inputs)
    assert len(rows) == len(inputs)
    assert rows[0]["start"] == 0
    assert rows[0]["end"] == 0.3
    assert len(rows[0]["top"]) == 3
    for row in rows[1:]:
        assert row["probability"] == pytest.approx(rows[0]["probability"], abs=1e-3)
        assert row["label"] == rows[0]["label"]


def test_other_rates_are_resampled(predictor: SoundPredictor, tmp_path: Path) -> None:
    rows = predictor.predict([write(tmp_path / "a.wav", tone(900)), (tone(900, rate=44100), 44100)])
    assert rows[1]["end"] == pytest.approx(rows[0]["end"], abs=1e-3)
    assert rows[1]["probability"] == pytest.approx(rows[0]["probability"], abs=0.02)


def test_long_recordings_are_read_in_windows(predictor: SoundPredictor, tmp_path: Path) -> None:
    long = np.concatenate([tone(hertz, 0.7) for hertz in (300, 900, 2500)])  # 2.1 s
    path = write(tmp_path / "long.wav", long)
    rows = predictor.predict([path, tone(300)])
    spans = [(row["start"], row["end"]) for row in rows]
    assert spans == [(0, 1), (0.5, 1.5), (1, 2), (1.5, 2.1), (0, 0.3)]
    from_array = predictor.predict([long.astype(np.float32)], batch_size=2)
    assert [(row["start"], row["end"]) for row in from_array] == spans[:4]
    for row, other in zip(rows, from_array, strict=False):
        assert row["probability"] == pytest.approx(other["probability"], abs=1e-3)
    apart = predictor.predict([path], window=0.7, overlap=0.0)
    assert [row["start"] for row in apart] == [0, 0.7, 1.4]
    pieces = predictor.predict([tone(hertz, 0.7) for hertz in (300, 900, 2500)], window=0.7)
    assert [row["label"] for row in apart] == [row["label"] for row in pieces]


def test_command_reads_a_folder_and_lists_bad_files(predictor: SoundPredictor, tmp_path: Path) -> None:
    write(tmp_path / "sounds" / "b" / "one.wav", tone(900))
    (tmp_path / "sounds" / "a.wav").write_text("not a sound")
    bad: list[InputError] = []
    rows = list(predictor.rows([str(tmp_path / "sounds")], predictor.options({"top": 1}), bad))
    assert [place.endswith("one.wav") for place, _ in rows] == [True]
    assert len(bad) == 1
    assert "a.wav" in str(bad[0])
    assert list(predictor.cells(rows[0][1])) == ["file", "seconds", "label", "probability"]


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        (np.zeros(0, np.float32), "[0]"),
        (np.zeros((2, 2, 2), np.float32), "[2, 2, 2]"),
        (np.zeros(5, np.uint8), "not uint8"),
        (np.array([0, np.nan], np.float32), "not finite"),
    ],
)
def test_bad_arrays_are_refused(samples: np.ndarray, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint.replace("[", r"\[")):
        as_waveform(samples, RATE, RATE)


def test_one_sample_is_a_sound(predictor: SoundPredictor) -> None:
    assert predictor.predict([np.array([0.1], np.float32)])[0]["end"] == pytest.approx(0, abs=1e-3)


def test_graph_has_the_lengths_as_input() -> None:
    graph = graph_of(make())
    assert list(graph.inputs) == ["input", "length"]
    parts = list(graph.calibration([example()]) or ())
    assert {tuple(part) for part in parts} == {("input", "length")}
    assert sum(len(part["input"]) for part in parts) == len(example()["index"])


def test_8_bits_keep_the_spectrum_in_32_bits(tmp_path: Path) -> None:
    batch, files = example(), [tmp_path / f"{name}.onnx" for name in ("whole", "small", "worse")]
    features = {"_target_": "sightseq.audio.features.LogMel", "remove_mean": True}
    graph = graph_of(make(features=features))
    save_onnx(graph, graph.example(batch, 3), files[0], {})
    for path, exact in zip(files[1:], (graph.exact, ()), strict=True):
        quantize(files[0], path, graph.calibration([batch]), exact)
    whole, small, worse = (load_onnx(path)(graph.example(batch, 6))[0] for path in files)
    assert np.abs(whole - graph.call(graph.example(batch, 6))[0]).max() < 1e-5
    assert 0 < np.abs(small - whole).max() < 0.5 * np.abs(worse - whole).max()


# Baselines


def sounds(count: int, seed: int) -> dict[str, Any]:
    """Tones of three pitches, of random lengths and volumes, with noise."""
    generator = np.random.default_rng(seed)
    target = np.arange(count) % 3
    waves = []
    for label in target:
        pitch = (300, 900, 2500)[label] * generator.uniform(0.9, 1.1)
        clip = tone(pitch, generator.uniform(0.1, 0.4)) * generator.uniform(0.2, 1)
        clip = clip + 0.02 * generator.standard_normal(len(clip))
        waves.append((20000 * clip).astype(np.int16))
    return {"input": Ragged.of(waves), "target": target}


@pytest.mark.parametrize("baseline", [CepstrumSVM(), NearestByWarping(frames=10)])
def test_baselines_learn_pitches(baseline: CepstrumSVM | NearestByWarping) -> None:
    baseline.spec = SoundClassificationTask.example()[0]
    train, test = ({**s, "input": baseline.features(s["input"])} for s in (sounds(60, 0), sounds(30, 1)))
    baseline.fit(train)
    assert baseline.score(test)["accuracy"] > 0.9


def test_majority_needs_no_input() -> None:
    assert Majority().features(sounds(7, 0)["input"]).shape == (7, 0)


def test_baselines_read_a_sound_of_one_sample() -> None:
    for baseline in (CepstrumSVM(), NearestByWarping()):
        baseline.spec = SoundClassificationTask.example()[0]
        assert np.isfinite(baseline.features(Ragged.of([np.zeros(1, np.int16), np.ones(300, np.int16)]))).all()


def warped_by_hand(one: np.ndarray, other: np.ndarray, band: int) -> float:
    frames = len(one)
    costs = np.full((frames + 1, frames + 1), np.inf)
    costs[0, 0] = 0
    for i in range(frames):
        for j in range(frames):
            if abs(i - j) <= band:
                step = min(costs[i, j], costs[i, j + 1], costs[i + 1, j])
                costs[i + 1, j + 1] = step + np.linalg.norm(one[i] - other[j])
    return float(costs[-1, -1])


@pytest.mark.parametrize("band", [0, 2, 9])
def test_warping_distances_by_hand(band: int) -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(3, 7, 2, generator=generator), torch.randn(4, 7, 2, generator=generator)
    expected = [[warped_by_hand(a.numpy(), b.numpy(), band) for b in other] for a in one]
    torch.testing.assert_close(warping_distances(one, other, band), torch.tensor(expected), rtol=1e-4, atol=1e-4)
