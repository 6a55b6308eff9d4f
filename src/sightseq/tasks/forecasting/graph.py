"""A forecaster as a function of plain tensors."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.series.spec import SeriesSpec
from sightseq.tasks.forecasting.task import ForecastingTask


class ForecastingGraph(Graph):
    """Map `input` [B, L, C + P] and, if the network uses known covariates, `known` [B, L + H, K] to `quantiles`
    [B, H, C, Q], all in the units of the data. The batch size is dynamic.
    """

    spec: SeriesSpec

    def __init__(self, task: ForecastingTask) -> None:
        super().__init__(task)
        self.task = task
        rows = {0: "batch"}
        self.inputs = {"input": rows} | (
            {"known": rows} if self.spec.known and getattr(task.net, "uses_known", True) else {}
        )
        self.outputs = {"quantiles": rows}

    def metadata(self) -> dict[str, str]:
        """See `Graph`; `quantiles` are the levels."""
        return super().metadata() | {"quantiles": str(list(self.task.quantiles))}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return quantiles [B, H, C, Q]."""
        windows = inputs[0]
        steps = self.spec.lookback + self.spec.horizon
        known = inputs[1] if len(inputs) > 1 else windows.new_zeros(windows.shape[0], steps, len(self.spec.known))
        found: Tensor = self.task(windows, known)
        return found

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        return [np.resize(batch[name].numpy(), (rows, *batch[name].shape[1:])) for name in self.inputs]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield quantiles [B, H, C, Q] and targets [B, H, C], NaN where they are missing."""
        for batch in batches:
            real = batch["index"] != PAD_INDEX
            (found,) = call([batch[name][real].numpy() for name in self.inputs])
            yield found, batch["target"][real].numpy()

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return MASE."""
        total, count = 0.0, 0
        for batch in batches:
            ((found, target),) = self.read(call, [batch])
            scale = batch["scale"][batch["index"] != PAD_INDEX].numpy()
            errors = np.abs(found[..., found.shape[-1] // 2] - target) / scale[:, None]
            total, count = total + float(np.nansum(errors)), count + int(np.isfinite(errors).sum())
        return total / count
