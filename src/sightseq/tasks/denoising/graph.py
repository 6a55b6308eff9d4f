"""A denoiser as a function of plain tensors."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.nets.pixels import to_unit
from sightseq.tasks.denoising.task import DenoisingTask, sizes

EXAMPLE_SIDE = 128  # pixels: larger images are cropped for the example


class DenoisingGraph(Graph):
    """`input` (noisy images, float [B, C, H, W] in 0..1) and, for a network with a noise map, `level` [B] (0..255) to
    `restored` [B, C, H, W] in 0..1. All sizes but C are free.
    """

    def __init__(self, task: DenoisingTask) -> None:
        super().__init__(task)
        self.task = task
        image = {0: "batch", 2: "height", 3: "width"}
        self.inputs = {"input": image} | ({"level": {0: "batch"}} if task.noise_map else {})
        self.outputs = {"restored": image}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Restored images."""
        images = inputs[0]
        return self.task.restore(images, inputs[1] if self.task.noise_map else images.new_zeros(images.shape[0]))

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`: images cropped to at most 128 pixels a side."""
        height, width = (min(EXAMPLE_SIDE, int(side)) for side in batch["size"].min(0).values)
        return self._inputs(to_unit(batch["input"])[..., :height, :width].numpy(), batch["level"].numpy(), rows)

    def _inputs(self, images: NDArray[Any], level: NDArray[Any], rows: int) -> Arrays:
        arrays = [np.resize(images, (rows, *images.shape[1:])), np.resize(level, rows)]
        return arrays[: len(self.inputs)]

    def calibration(self, batches: Iterable[Batch]) -> Iterator[dict[str, NDArray[Any]]]:
        """Noisy training patches."""
        for batch in batches:
            noisy = self.task.augment(batch)
            yield {name: noisy[name].numpy() for name in self.inputs}

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Restored and clean images [N, C, H, W] of one size at a time."""
        for batch in batches:
            noisy, clean = to_unit(batch["input"]), to_unit(batch["target"])
            for rows, height, width in sizes(batch["size"]):
                rows = rows[batch["index"][rows] != PAD_INDEX]
                if len(rows):
                    images, level = noisy[rows, :, :height, :width].numpy(), batch["level"][rows].numpy()
                    (restored,) = call(self._inputs(images, level, len(rows)))
                    yield restored, clean[rows, :, :height, :width].numpy()

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """The mean PSNR in dB."""
        errors = [((mine - true) ** 2).mean((1, 2, 3)) for mine, true in self.read(call, batches)]
        return float((-10 * np.log10(np.concatenate(errors).clip(1e-10))).mean())
