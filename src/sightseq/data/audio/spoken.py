"""Generated speech: each letter is a tone of its own pitch; learnable in seconds."""

import numpy as np
from numpy.typing import NDArray

WORDS = ("tea", "a", "set", "seat", "eat", "test", "at")
LETTER, PAUSE = 0.07, 0.05  # seconds


def speak(text: str, rate: int, generator: np.random.Generator) -> NDArray[np.int16]:
    """Return the tones of a text, int16 [N]: two pitches for each letter, in any case, and silence for a space.

    Args:
        text: ASCII letters and spaces.
        rate: samples per second, in Hz; at least 8,000.
        generator: source of the noise and of the small differences of pitch and strength.
    """
    voice, pieces = generator.uniform(0.98, 1.02), [np.zeros(round(PAUSE * rate))]
    for letter in text.lower():
        if letter == " ":
            pieces.append(np.zeros(round(PAUSE * rate)))
            continue
        number = ord(letter) - ord("a")
        time = np.arange(round(LETTER * rate)) / rate
        low, high = (voice * first * step**number for first, step in ((300, 1.05), (1100, 1.04)))
        tone = np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)
        pieces += [tone * np.hanning(len(time)), np.zeros(round(0.02 * rate))]
    sound = np.concatenate([*pieces, np.zeros(round(PAUSE * rate))]) * generator.uniform(0.2, 0.4)
    samples: NDArray[np.int16] = np.rint((sound + generator.normal(0, 0.003, len(sound))).clip(-1, 1) * 32767).astype(
        np.int16
    )
    return samples


def random_sentence(generator: np.random.Generator) -> str:
    """Return one to three short words."""
    return " ".join(str(word) for word in generator.choice(WORDS, generator.integers(1, 4)))
