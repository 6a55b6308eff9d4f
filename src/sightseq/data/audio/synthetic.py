"""Generated recordings: chirps whose pitch and direction are the class; learnable in seconds."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def chirp(label: int, rate: int, seconds: float, seed: int, voice: float = 1.0) -> NDArray[np.int16]:
    """Return a rising (even label) or falling chirp with some noise: int16 [N].

    Args:
        label: class; each pair of labels has its own pitch, up to 18 labels.
        rate: samples per second, in Hz; at least 8,000.
        seconds: mean length; the length varies by 20 %.
        seed: of the random numbers.
        voice: factor of the pitch, such as 0.97 to 1.03: the speaker.
    """
    generator = np.random.default_rng(seed)
    count = round(seconds * rate * generator.uniform(0.8, 1.2))
    low = 200 * 1.35 ** (label // 2) * voice * generator.uniform(0.99, 1.01)  # Hz
    sweep = np.geomspace(low, 1.5 * low, count)
    wave_form = np.sin(2 * np.pi * np.cumsum(sweep if label % 2 == 0 else sweep[::-1]) / rate)
    wave_form *= np.hanning(count) * generator.uniform(0.3, 0.9)
    noisy = np.clip(wave_form + generator.normal(0, 0.01, count), -1, 1)
    samples: NDArray[np.int16] = np.rint(noisy * 32767).astype(np.int16)
    return samples


def write_wav(path: Path, samples: NDArray[np.int16], rate: int) -> None:
    """Write a mono WAV file of 16 bits; create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples.astype("<i2").tobytes())
