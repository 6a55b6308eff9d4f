"""The export graph of a piano-roll model: one step as a function of plain tensors."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Call, Graph
from sightseq.core.loading import Batch
from sightseq.decoding.step import single_tokens
from sightseq.tasks.piano_roll.task import PianoRollTask, real_frames


class PianoRollGraph(Graph):
    """One step of a piano-roll model: maps `frame` [B, K] and the state after the frames before it to `probabilities`
    [B, K] of the keys of the next frame and the next state. The initial state is zero.

    A joint network also has the input `target` [B, K], the next frame as far as it is known: the probability of a key
    depends on the higher keys in it. A frame is drawn key by key from the highest, with the same `frame` and state.
    """

    def __init__(self, task: PianoRollTask) -> None:
        super().__init__(task)
        self.task = task
        keys = task.spec.keys
        _, state = task(torch.zeros(1, 1, keys))
        self.widths = [[part.shape[-1] for part in layer] for layer in state]
        *layers, others = state
        names = [f"{part}{number}" for number, layer in enumerate(layers) for part, _ in zip("hc", layer, strict=True)]
        # Of what is read besides the layers' state: the position in the piece, and the last frames.
        names += ["position", "history"][: len(others)]
        states = {name: {1: "batch"} for name in names}
        self.frames = {"frame": {0: "batch"}} | ({"target": {0: "batch"}} if task.net.head.joint else {})
        self.inputs = {**self.frames, **states}
        self.outputs = {"probabilities": {0: "batch"}, **{f"next_{name}": axes for name, axes in states.items()}}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `self.outputs`; the inputs are in the order of `self.inputs`."""
        frames, parts = inputs[: len(self.frames)], iter(inputs[len(self.frames) :])
        target = frames[1][:, None] if len(frames) > 1 else None
        logits, after = self.task(
            frames[0][:, None], [tuple(next(parts) for _ in layer) for layer in self.widths], target
        )
        return logits[:, -1].sigmoid(), *(part for layer in after for part in layer)

    def call(self, arrays: Arrays) -> Arrays:
        """Run one step by PyTorch, with the same kernels as generation."""
        with single_tokens():
            return super().call(arrays)

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        frame, target = (
            np.resize(batch[name][:, 0].numpy(), (rows, self.task.spec.keys)) for name in ("input", "target")
        )
        return [*self._frames(frame, target), *self._begin(rows)]

    def _frames(self, frame: NDArray[np.uint8], target: NDArray[np.uint8]) -> Arrays:
        return [one.astype(np.float32) for one in (frame, target)[: len(self.frames)]]

    def _begin(self, rows: int) -> Arrays:
        return [np.zeros((1, rows, width), np.float32) for layer in self.widths for width in layer]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
        """Yield probabilities [T, B, K] given the true frames before, and the frames themselves [T, B, K]."""
        for batch in batches:
            state, steps = self._begin(len(batch["input"])), []
            frames, targets = (batch[name].numpy().swapaxes(0, 1) for name in ("input", "target"))
            for frame, target in zip(frames, targets, strict=True):
                probabilities, *state = call([*self._frames(frame, target), *state])
                steps.append(probabilities)
            yield np.stack(steps), targets

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the negative log-likelihood of a frame in nats."""
        nats, count = 0.0, 0
        for batch in batches:
            ((probabilities, target),) = self.read(call, [batch])
            chance = np.where(target > 0, probabilities, 1 - probabilities).clip(np.finfo(np.float32).tiny)
            real = real_frames(batch).numpy().T
            nats -= float(np.log(chance)[real].sum())
            count += int(real.sum())
        return nats / count
