"""Reading sounds: formats, rates and channels; damaged, odd and long files."""

import io
import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from sightseq.audio.files import _resampler, audio_files, blocks, duration, find_files, read_audio, resample
from sightseq.core.errors import ConfigError, InputError, InputWarning

RATE = 8000


def tone(seconds: float = 0.5, rate: int = RATE, hertz: float = 440, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def save(samples: Any, name: str = "sound.wav", rate: int = RATE, **format: Any) -> Path:
    soundfile.write(name, samples, rate, **format)
    return Path(name)


def refusal(source: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_audio(source, RATE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [
        ("a.wav", "PCM_U8", 0.01),
        ("a.wav", "PCM_16", 1e-4),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "PCM_32", 1e-6),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "DOUBLE", 0),
        ("a.wav", "ULAW", 0.02),
        ("a.flac", "PCM_16", 1e-4),
        ("a.flac", "PCM_24", 1e-6),
        ("a.aiff", "PCM_16", 1e-4),
        ("a.ogg", "VORBIS", 0.1),
        ("a.mp3", "MPEG_LAYER_III", 0.1),
    ],
)
def test_formats_and_bits(name: str, subtype: str, error: float) -> None:
    given = tone(1, 16000)
    found = read_audio(save(given, name, 16000, subtype=subtype), 16000)
    assert found.dtype == np.float32
    assert len(found) == pytest.approx(len(given), abs=2500 if name == "a.mp3" else 0)  # MP3 has whole frames
    middle = slice(4000, 12000)
    assert np.abs(found[middle] - given[middle]).max() <= error or name == "a.mp3"
    assert found.std() == pytest.approx(given.std(), rel=0.06)


def test_channels_are_averaged() -> None:
    eight = np.stack([tone(hertz=100 * number) for number in range(1, 9)], axis=1)
    np.testing.assert_allclose(read_audio(save(eight, subtype="FLOAT"), RATE), eight.mean(1), atol=1e-6)


def test_path_text_bytes_and_open_files_are_the_same() -> None:
    path = save(tone())
    found = [read_audio(source, RATE) for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()))]
    assert all(np.array_equal(one, found[0]) for one in found)


@pytest.mark.parametrize(("own", "rate"), [(44100, 16000), (8000, 16000), (48000, 44100)])
def test_resampling_is_torchaudios(own: int, rate: int) -> None:
    given = tone(0.2, own)
    expected = torchaudio.functional.resample(torch.from_numpy(given), own, rate).numpy()
    found = read_audio(save(given, rate=own, subtype="FLOAT"), rate)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_resampling_between_odd_rates_keeps_the_pitch_and_the_length() -> None:
    found = resample(tone(1, 24414), 24414, 16000)  # the rate of TESS
    assert len(found) == pytest.approx(16000, abs=1)
    np.testing.assert_allclose(found[800:15000], tone(1, 16000)[800:15000], atol=0.02)


def test_a_part_of_a_file() -> None:
    path = save(given := tone(1), subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path, RATE, start=0.25, seconds=0.5), given[2000:6000])
    assert len(read_audio(path, RATE, start=0.9, seconds=5)) == 800
    with pytest.raises(InputError, match="has no samples there"):
        read_audio(path, RATE, start=2)
    assert duration(path) == 1


@pytest.mark.parametrize("rate", [RATE, 16000, 3000])
def test_one_sample(rate: int) -> None:
    assert 1 <= len(read_audio(save(np.array([0.5])), rate)) <= 2


def test_files_that_are_no_sounds() -> None:
    path = Path("a.wav")
    assert refusal("missing.wav") == "missing.wav: there is no such file"
    path.write_bytes(b"")
    assert "it is empty" in refusal(path)
    path.write_text("Dear Sir or Madam, ü" * 200)
    assert "it is a text" in refusal(path)
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    assert "convert it to WAV" in refusal(path)
    path.write_bytes(bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8)))
    assert "is not a sound that can be read" in refusal(path)
    assert "it is empty" in refusal(b"")
    Path("folder.wav").mkdir()
    assert "it is a folder" in refusal(Path("folder.wav"))
    assert "has no samples" in refusal(save(np.zeros(0)))
    content = bytearray(save(tone()).read_bytes())
    content[24:28] = b"\xff\xff\xff\x7f"  # the rate in the header
    assert "it says 2,147,483,647 Hz" in refusal(bytes(content))


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("in_memory", [False, True])
def test_truncated_files(name: str, in_memory: bool) -> None:
    path = save(np.random.default_rng(0).normal(0, 0.1, 60000), name)
    path.write_bytes(path.read_bytes()[:40000])
    message = refusal(path.read_bytes() if in_memory else path)
    assert "truncated" in message or "flac" in message.lower()


def test_a_header_without_the_length_is_no_error() -> None:
    """Programs that write to a pipe do not know the length."""
    path = save(tone())
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[4:8] = content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(read_audio(path, RATE)) == 4000


@pytest.mark.parametrize(
    ("samples", "subtype", "warning"),
    [
        (np.zeros(4000), "PCM_16", "is silent"),
        (np.clip(4 * tone(), -1, 1), "PCM_16", r"is clipped: \d\d\.\d% of its samples"),
        (4 * tone(peak=1), "FLOAT", r"its samples reach 4; they were scaled to 1"),
    ],
)
def test_warnings(samples: np.ndarray, subtype: str, warning: str) -> None:
    with pytest.warns(InputWarning, match=f"sound.wav: {warning}"):
        found = read_audio(save(samples, subtype=subtype), RATE)
    assert np.abs(found).max() <= 1
    if subtype == "FLOAT":
        np.testing.assert_allclose(found, tone(peak=1), atol=1e-6)


def test_normal_files_cause_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_audio(save(tone(peak=1)), RATE)


@pytest.mark.parametrize("package", ["soundfile", "torchaudio.transforms"])
def test_a_missing_package_is_answered_with_the_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tone(rate=7000), rate=7000)
    monkeypatch.setitem(sys.modules, package, None)
    _resampler.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'sightseq\[audio\]'"):
        read_audio(path, RATE)


def test_samples_that_are_not_finite() -> None:
    assert "not finite" in refusal(save(np.array([0.0, np.nan, 0.5]), subtype="FLOAT"))


def test_blocks_of_a_recording() -> None:
    path = save(given := np.random.default_rng(0).uniform(-0.9, 0.9, 20_500).astype(np.float32), subtype="FLOAT")
    found = list(blocks(path, RATE, seconds=1, overlap=0.25))
    assert [start for start, _ in found] == [0, 0.75, 1.5, 2.25]
    assert [len(block) for _, block in found] == [8000, 8000, 8000, 2500]
    for start, block in found:
        first = round(start * RATE)
        np.testing.assert_array_equal(block, given[first : first + len(block)])


def test_a_recording_that_is_clipped_everywhere_has_one_warning() -> None:
    path = save(np.concatenate([np.zeros(4000), np.sign(np.sin(np.arange(20_000) / 50))]).astype(np.float32))
    with pytest.warns(InputWarning) as warned:
        assert len(list(blocks(path, RATE, seconds=0.5))) == 6
    (only,) = warned
    assert "is clipped" in str(only.message)
    assert str(only.message).endswith("(in the window at 0 s)")


def test_an_hour_is_read_in_flat_memory() -> None:
    rate = 2000
    with soundfile.SoundFile("hour.wav", "w", rate, 2, subtype="PCM_16") as file:
        for minute in range(60):
            file.write(np.full((60 * rate, 2), minute / 100))
    tracemalloc.start()
    starts = []
    for start, block in blocks("hour.wav", 1000, seconds=30, overlap=5):
        starts.append(start)
        assert block[len(block) // 2] == pytest.approx((start + 15) // 60 / 100, abs=0.011)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert starts == list(range(0, 3576, 25))
    assert peak < 4_000_000  # bytes; the file has 14.4 MB


def test_files_in_folders() -> None:
    for name in ("b/2.WAV", "a/1.flac", "a/.hidden.wav", ".git/3.wav", "a/notes.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert [file.name for file in audio_files(Path())] == ["1.flac", "2.WAV"]
    assert find_files("b/*") == [Path("b/2.WAV")]
    Path("empty").mkdir()
    with pytest.raises(InputError, match=r"contains no sounds \(\.aac"):
        find_files("empty")
