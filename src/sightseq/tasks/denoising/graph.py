"""Export graph of a denoiser: a function of plain tensors."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.nets.pixels import to_unit
from sightseq.tasks.denoising.task import DenoisingTask, group_by_size

EXAMPLE_SIDE = 128  # pixels: maximum height and width of the example images


class DenoisingGraph(Graph):
    """Maps `input`, noisy images [B, C, H, W] in 0..1, to `restored`, images [B, C, H, W] in 0..1; B, H and W are free.

    A network with a noise map has a second input, `level` [B] (0..255).
    """

    def __init__(self, task: DenoisingTask) -> None:
        super().__init__(task)
        self.task = task
        image = {0: "batch", 2: "height", 3: "width"}
        self.inputs = {"input": image} | ({"level": {0: "batch"}} if task.noise_map else {})
        self.outputs = {"restored": image}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the restored images."""
        images = inputs[0]
        return self.task.restore(images, inputs[1] if self.task.noise_map else images.new_zeros(images.shape[0]))

    def example(self, batch: Batch, rows: int) -> Arrays:
        """Return example inputs, cropped to at most `EXAMPLE_SIDE` pixels a side: see `Graph`."""
        height, width = (min(EXAMPLE_SIDE, int(side)) for side in batch["size"].min(0).values)
        return self._inputs(to_unit(batch["input"])[..., :height, :width].numpy(), batch["level"].numpy(), rows)

    def _inputs(self, images: NDArray[Any], level: NDArray[Any], rows: int) -> Arrays:
        """Return the inputs of the graph, repeated or cut to `rows` images."""
        arrays = [np.resize(images, (rows, *images.shape[1:])), np.resize(level, rows)]
        return arrays[: len(self.inputs)]

    def amount(self, inputs: Arrays) -> tuple[float, str]:
        """Return the megapixels of all images, which have `channels` values per pixel."""
        rows, _, height, width = inputs[0].shape
        return rows * height * width / 1e6, "megapixel"

    def baseline_batch(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the batch for a filter; the level is that of the test, or 25."""
        rows, _, *size = inputs[0].shape
        level = np.full(rows, self.task.default_level, np.float32)
        return {"input": inputs[0], "size": np.tile(size, (rows, 1)), "level": level}

    def calibration(self, batches: Iterable[Batch]) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield noisy training patches."""
        for batch in batches:
            noisy = self.task.augment(batch)
            yield {name: noisy[name].numpy() for name in self.inputs}

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield restored and clean images [N, C, H, W], one size at a time."""
        for batch in batches:
            noisy, clean = to_unit(batch["input"]), to_unit(batch["target"])
            for rows, height, width in group_by_size(batch["size"]):
                rows = rows[batch["index"][rows] != PAD_INDEX]
                if len(rows):
                    images, level = noisy[rows, :, :height, :width].numpy(), batch["level"][rows].numpy()
                    (restored,) = call(self._inputs(images, level, len(rows)))
                    yield restored, clean[rows, :, :height, :width].numpy()

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the mean PSNR in dB."""
        errors = [((restored - clean) ** 2).mean((1, 2, 3)) for restored, clean in self.read(call, batches)]
        return float((-10 * np.log10(np.concatenate(errors).clip(1e-10))).mean())
