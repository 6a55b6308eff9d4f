"""A generated spec and batch of time series for tests."""

import torch

from sightseq.core.loading import Batch
from sightseq.series.spec import SeriesSpec

LOOKBACK, HORIZON, SEASON = 24, 6, 12


def example() -> tuple[SeriesSpec, Batch]:
    """Six windows of waves with a trend: two targets, a past and two known covariates; one target is missing."""
    generator = torch.Generator().manual_seed(0)
    rows, length = 6, LOOKBACK + HORIZON
    start = torch.randint(0, 400, (rows, 1), generator=generator)
    time = start + torch.arange(length)
    phase = 2 * torch.pi * time / SEASON
    waves = torch.stack([50 + 10 * phase.sin() + 0.05 * time, 0.5 * phase.cos() - 3, phase.sin()], dim=-1)
    waves = waves + torch.tensor([1.0, 0.05, 0.1]) * torch.randn(waves.shape, generator=generator)
    spec = SeriesSpec(
        targets=("load", "price"),
        past=("wind",),
        known=("holiday", "hour_sin"),
        lookback=LOOKBACK,
        horizon=HORIZON,
        season=SEASON,
        frequency="h",
        step_seconds=3600.0,
        mean=(60.0, -3.0, 0.0),
        std=(9.0, 0.36, 0.7),
        known_mean=(0.1, 0.0),
        known_std=(0.3, 1.0),
        scale=(1.4, 0.06),
        calendar=("hour_sin",),
    )
    target = waves[:, LOOKBACK:, :2].clone()
    target[1, 2, 0] = torch.nan
    return spec, {
        "input": waves[:, :LOOKBACK],
        "target": target,
        "known": torch.stack([(time % 7 == 0).float(), phase.sin()], dim=-1),
        "scale": torch.tensor([[1.4, 0.06]] * 3 + [[2.8, 0.06]] * 3),
        "series": torch.tensor([0, 0, 0, 1, 1, 1]),
        "time": 3600 * time,
        "index": torch.arange(rows),
    }
