"""Export graphs of video classifiers: the encoder of a frame, and one step of the network that reads a stream."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Axes, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.nets.pixels import centre
from sightseq.nets.recurrent import State
from sightseq.tasks.classification.graph import ClassifierGraph
from sightseq.tasks.classification.videos import VideoClassificationTask


def video_graph(task: VideoClassificationTask) -> Graph:
    """Return the graph of one frame of a stream, or of whole clips if the network also reads what comes later."""
    return StreamGraph(task) if hasattr(task.net, "stream") else ClassifierGraph(task)


class FrameGraph(Graph):
    """Base of the graphs below: reads clips frame by frame. The score is the accuracy of whole clips."""

    task: VideoClassificationTask

    def __init__(self, task: VideoClassificationTask) -> None:
        super().__init__(task)
        self.task = task

    def metadata(self) -> dict[str, str]:
        """Add `vote`: how the probabilities after each frame are combined to those of a clip (see `nets.video`)."""
        return {**super().metadata(), "vote": self.task.net.vote}

    @abstractmethod
    def frames(self, call: Call, batch: Batch) -> NDArray[np.float32]:
        """Return the probabilities [B, T, num_classes] after each frame of the clips of a batch."""

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield probabilities after each frame [B, T, num_classes] and targets [B], without padding rows."""
        for batch in batches:
            real = batch["index"] != PAD_INDEX
            rows = {name: tensor[real] for name, tensor in batch.items()}
            yield self.frames(call, rows), rows["target"].numpy()

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the accuracy of whole clips."""
        hits = []
        for batch in batches:
            real = batch["index"] != PAD_INDEX
            rows = {name: tensor[real] for name, tensor in batch.items()}
            logits = torch.from_numpy(self.frames(call, rows)).log()
            hits.append(self.task.net.combine(logits, rows["length"]).argmax(1) == rows["target"])
        return float(torch.cat(hits).float().mean())


class StreamGraph(FrameGraph):
    """One frame of a running stream: maps `input`, a prepared frame uint8 [B, C, H, W], and the state after the frames
    before it to `probabilities` [B, num_classes] after this frame and the next state. At the start the state is 0.

    It is exported in two files, `encoder` and `step`.
    """

    encoder: "EncoderGraph"
    step: "StepGraph"

    def __init__(self, task: VideoClassificationTask) -> None:
        super().__init__(task)
        self.encoder, self.step = EncoderGraph(task), StepGraph(task)
        self.inputs = {**self.encoder.inputs, **self.step.states}
        self.outputs = self.step.outputs

    def parts(self) -> dict[str, Graph]:
        """Return both parts."""
        return {"encoder": self.encoder, "step": self.step}

    def amount(self, inputs: Arrays) -> tuple[float, str]:
        """One call reads one frame."""
        return 1.0, "frame"

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `self.outputs`; the inputs are in the order of `self.inputs`."""
        frames, *state = inputs
        outputs: tuple[Tensor, ...] = self.step(self.encoder(frames), *state)
        return outputs

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        _, *state = self.step.example(batch, rows)
        return [*self.encoder.example(batch, rows), *state]

    def frames(self, call: Call, batch: Batch) -> NDArray[np.float32]:
        """See `FrameGraph`."""
        _, *state = self.step.example(batch, len(batch["index"]))
        return unroll(call, batch["input"].numpy(), state)


class EncoderGraph(FrameGraph):
    """Maps `input`, prepared frames uint8 [B, C, H, W], to their `features` [B, ...]."""

    def __init__(self, task: VideoClassificationTask) -> None:
        super().__init__(task)
        self.inputs, self.outputs = {"input": {0: "batch"}}, {"features": {0: "batch"}}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the features of frames."""
        spec = self.task.spec
        features: Tensor = self.task.net.describe(self.task.pixels(centre(inputs[0], spec.height, spec.width)))
        return features

    def calibration(self, batches: Iterable[Batch]) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the frames of each batch."""
        return ({"input": batch["input"].flatten(0, 1).numpy()} for batch in batches)

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        frames = batch["input"][:, 0].numpy()
        return [np.resize(frames, (rows, *frames.shape[1:]))]

    def describe(self, call: Call, batch: Batch) -> NDArray[np.float32]:
        """Return the features [B, T, ...] of all frames of the clips of a batch."""
        (features,) = call([batch["input"].flatten(0, 1).numpy()])
        return features.reshape(*batch["input"].shape[:2], *features.shape[1:])

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield the features [B, T, ...] and the targets."""
        for batch in batches:
            yield self.describe(call, batch), batch["target"].numpy()

    def frames(self, call: Call, batch: Batch) -> NDArray[np.float32]:
        """See `FrameGraph`; the steps are those of PyTorch."""
        features, step = self.describe(call, batch), StepGraph(self.task).eval()
        return unroll(step.call, features, step.start(len(features)))


class StepGraph(FrameGraph):
    """Maps the `features` [B, ...] of a frame and the state after the frames before it to `probabilities`
    [B, num_classes] after this frame and the next state. At the start the state is 0.
    """

    def __init__(self, task: VideoClassificationTask) -> None:
        super().__init__(task)
        frame = torch.zeros(1, *task.spec.frame.prepared, dtype=torch.uint8)
        with torch.inference_mode():
            self.first = EncoderGraph(task).eval()(frame)[:, None]  # [1, 1, ...]: only its shape is used
        self.states: Axes = {
            f"{part}{layer}": {task.net.batch_axis: "batch"}
            for layer, parts in enumerate(self._zeros(1))
            for part, _ in zip("hc", parts, strict=False)
        }
        self.inputs = {"features": {0: "batch"}, **self.states}
        self.outputs = {"probabilities": {0: "batch"}, **{f"next_{name}": axes for name, axes in self.states.items()}}

    def _zeros(self, rows: int) -> State:
        state: State = self.task.net.begin(self.first.expand(rows, *self.first.shape[1:]))
        return state

    def start(self, rows: int) -> Arrays:
        """Return the state before the first frame of `rows` streams."""
        return [part.numpy() for parts in self._zeros(rows) for part in parts]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `self.outputs`; the inputs are in the order of `self.inputs`."""
        features, *flat = inputs
        parts = iter(flat)
        state: State = [tuple(next(parts) for _ in layer) for layer in self._zeros(1)]
        logits, after = self.task.net.stream(features[:, None], state)
        return logits[:, 0].float().softmax(dim=1), *(part for layer in after for part in layer)

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        encoder = EncoderGraph(self.task).eval()
        return [*encoder.call(encoder.example(batch, rows)), *self.start(rows)]

    def frames(self, call: Call, batch: Batch) -> NDArray[np.float32]:
        """See `FrameGraph`; the encoder is that of PyTorch."""
        encoder = EncoderGraph(self.task).eval()
        features = encoder.describe(encoder.call, batch)
        return unroll(call, features, self.start(len(features)))


def unroll(step: Call, sequence: NDArray[Any], state: Arrays) -> NDArray[np.float32]:
    """Call a step for each position of [B, T, ...] with the state before it; return the first outputs [B, T, ...]."""
    outputs = []
    for position in range(sequence.shape[1]):
        output, *state = step([np.ascontiguousarray(sequence[:, position]), *state])
        outputs.append(output)
    return np.stack(outputs, axis=1)
