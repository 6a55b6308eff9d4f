"""Generated sequences for the datasets of sensors."""

import numpy as np
from numpy.typing import NDArray


def waves(label: int, steps: int, channels: int, rate: float, seed: int) -> NDArray[np.float64]:
    """Return sine waves in noise [steps, channels] between about -1.3 and 1.3, whose frequency is 1 Hz + 1 Hz * label.

    Args:
        label: 0, 1, ...
        steps: length.
        channels: number of waves; each has its own phase.
        rate: steps per second, in Hz.
        seed: of phases and noise.
    """
    generator = np.random.default_rng(seed)
    phase = generator.uniform(0, 2 * np.pi, channels)
    time = np.arange(steps)[:, None] / rate
    return np.sin(2 * np.pi * (1 + label) * time + phase) + generator.normal(0, 0.1, (steps, channels))
