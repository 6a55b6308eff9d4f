"""Statistics of the channels of sequences, the usual features of wearable sensors."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import Ragged

BANDS = 4  # of the spectrum


def rows_of(inputs: Ragged) -> Iterable[NDArray[np.float32]]:
    """Yield each sequence [T, D]."""
    return (inputs.row(number) for number in range(len(inputs)))


def statistics(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the statistics of a sequence [T, D]: [(9 + BANDS) * D + D - 1]. Those of a missing channel are 0.

    Mean, standard deviation, minimum, maximum, quartiles, crossings of the mean per step, fraction of missing values,
    and the logarithm of the energy in bands of the spectrum; also the correlation of each channel with the next one.
    """
    values = values.astype(np.float64)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of channels that are always missing
        mean, std = np.nanmean(values, 0), np.nanstd(values, 0)
        quantiles = np.nanquantile(values, (0, 0.25, 0.5, 0.75, 1), axis=0)
    centred = np.nan_to_num(values - mean)
    crossings = np.diff(np.signbit(centred), axis=0).mean(0) if len(values) > 1 else np.zeros(len(mean))
    power = np.abs(np.fft.rfft(centred, axis=0)[1:]) ** 2 / len(values)
    energy = [np.log(band.sum(0) + 1e-6) for band in np.array_split(power, BANDS)]
    scale = np.maximum(np.sqrt((centred**2).mean(0)), 1e-12)
    correlation = (centred[:, :-1] * centred[:, 1:]).mean(0) / (scale[:-1] * scale[1:])
    parts = [mean, std, *quantiles, crossings, np.isnan(values).mean(0), *energy, correlation]
    found: NDArray[np.float64] = np.nan_to_num(np.concatenate(parts))
    return found
