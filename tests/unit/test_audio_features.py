"""Log-mel features and MFCC: as torchaudio computes them, independent of padding, and the same in an exported file."""

import io
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
import torchaudio
from torch import nn

from sightseq.audio.features import INT16, MFCC, LogMel
from sightseq.core.errors import ConfigError


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def full(waveforms: torch.Tensor) -> torch.Tensor:
    return torch.full((len(waveforms),), waveforms.shape[1])


@pytest.mark.parametrize(("rate", "n_mels"), [(8000, 64), (16000, 80), (22050, 40), (44100, 64)])
def test_log_mel_is_torchaudios(rate: int, n_mels: int) -> None:
    layer = LogMel(rate, n_mels, low=20, high=rate / 2 - 100)
    assert layer.filters.sum(1).min() > 0  # no empty band
    waveforms = noise(2, rate // 3 + 1)
    expected = torchaudio.transforms.MelSpectrogram(
        rate, layer.n_fft, layer.size, layer.hop, f_min=20, f_max=rate / 2 - 100, n_mels=n_mels, pad_mode="constant"
    )(waveforms)
    found, frames = layer(waveforms, full(waveforms))
    assert found.shape == (2, 1, n_mels, 1 + waveforms.shape[1] // layer.hop)
    assert frames.tolist() == [found.shape[3]] * 2
    torch.testing.assert_close(found[:, 0], torch.log(expected + 1e-6), atol=1e-4, rtol=0)


def test_mfcc_is_torchaudios() -> None:
    layer = MFCC(16000, n_mfcc=13, n_mels=40)
    mel = {
        "n_fft": layer.mel.n_fft,
        "win_length": 400,
        "hop_length": 160,
        "f_min": 20.0,
        "n_mels": 40,
        "pad_mode": "constant",
    }
    expected = torchaudio.transforms.MFCC(16000, n_mfcc=13, log_mels=True, melkwargs=mel)(noise(2, 5000))
    found, _ = layer(noise(2, 5000), torch.tensor([5000, 5000]))
    torch.testing.assert_close(found[:, 0], expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("make", [lambda: LogMel(8000, mean=-6, std=3), lambda: MFCC(8000)])
def test_padding_changes_nothing(make: type[nn.Module]) -> None:
    layer, waveforms = make(), noise(4, 900)
    lengths = torch.tensor([900, 410, 1, 0])
    found, frames = layer(waveforms, lengths)
    assert frames.tolist() == [12, 6, 1, 1]
    for row, length in enumerate(lengths.tolist()):
        alone, count = layer(waveforms[row : row + 1, :length], lengths[row : row + 1])
        assert count.item() == alone.shape[3] == frames[row]
        torch.testing.assert_close(found[row : row + 1, :, :, : frames[row]], alone, atol=1e-5, rtol=1e-5)
        assert not found[row, :, :, frames[row] :].any()
    other = waveforms.clone()
    other[1, 410:] = torch.nan
    torch.testing.assert_close(layer(other, lengths)[0], found)


def test_int16_and_normalisation() -> None:
    waveforms = (noise(2, 1000) * INT16).round()
    plain, _ = LogMel(8000)(waveforms / INT16, full(waveforms))
    assert torch.equal(LogMel(8000)(waveforms.short(), full(waveforms))[0], plain)
    found, _ = LogMel(8000, mean=-5.5, std=2.5)(waveforms.short(), full(waveforms))
    torch.testing.assert_close(found, (plain + 5.5) / 2.5)


def test_autocast_does_not_change_the_features() -> None:
    waveforms = noise(2, 1000)
    layer = MFCC(8000)
    plain, _ = layer(waveforms, full(waveforms))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(waveforms, full(waveforms))[0], plain)


@pytest.mark.parametrize("layer", [LogMel(8000, mean=-6, std=3), MFCC(16000)], ids=["log-mel", "mfcc"])
def test_exported_with_dynamic_length(layer: nn.Module) -> None:
    file = io.BytesIO()
    waveforms, lengths = noise(2, 1200), torch.tensor([1200, 700])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            layer,
            (waveforms, lengths),
            file,
            input_names=["input", "length"],
            output_names=["features", "frames"],
            dynamic_axes={
                "input": {0: "B", 1: "N"},
                "length": {0: "B"},
                "features": {0: "B", 3: "T"},
                "frames": {0: "B"},
            },
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(file.getvalue())
    for count, size in ((2, 1200), (1, 1), (3, 5007)):
        waveforms, lengths = noise(count, size), torch.arange(count) * size // 3 + 1
        expected, frames = layer(waveforms, lengths)
        found = session.run(None, {"input": waveforms.numpy(), "length": lengths.numpy()})
        np.testing.assert_allclose(found[0], expected.numpy(), atol=1e-4)
        assert found[1].tolist() == frames.tolist()


def test_impossible_bands() -> None:
    with pytest.raises(ConfigError, match="low=20"):
        LogMel(8000, high=5000)
    with pytest.raises(ConfigError, match="n_mfcc=70"):
        MFCC(8000, n_mfcc=70)


def test_mean_of_each_band_is_removed_within_the_length() -> None:
    waves = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0)) * 0.1
    lengths = torch.tensor([4000, 1700, 1])
    plain, centred = LogMel(8000, mean=-5.0, std=4.0), LogMel(8000, mean=-5.0, std=4.0, remove_mean=True)
    features, frames = plain(waves, lengths)
    found, _ = centred(waves, lengths)
    for row, count in enumerate(frames.tolist()):
        expected = features[row, 0, :, :count]
        torch.testing.assert_close(found[row, 0, :, :count], expected - expected.mean(1, keepdim=True))
        assert not found[row, 0, :, count:].any()
    louder, _ = centred(2 * waves, lengths)
    torch.testing.assert_close(louder[:2], found[:2], atol=0.01, rtol=0)
