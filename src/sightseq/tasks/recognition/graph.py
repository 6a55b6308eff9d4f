"""The export graph of a recogniser."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.tasks.recognition.task import RecognitionTask, transcribe
from sightseq.text.edits import error_rate, text_statistics


class RecognitionGraph(Graph):
    """Maps `input` (uint8 images [B, W, H, C], or int16 waveforms [B, N]) and `length` [B] to `log_probabilities` of
    the ids [B, T, V], and their lengths `frames` [B]. Front end and normalisation are included.
    """

    exact = ("front",)

    def __init__(self, task: RecognitionTask) -> None:
        super().__init__(task)
        self.task = task
        self.inputs = {"input": {0: "batch", 1: "positions"}, "length": {0: "batch"}}
        self.outputs = {"log_probabilities": {0: "batch", 1: "frames"}, "frames": {0: "batch"}}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs; the inputs are in the order of `self.inputs`."""
        log_p, frames = self.task(dict(zip(self.inputs, inputs, strict=True)))
        return log_p, frames

    def amount(self, inputs: Arrays) -> tuple[float, str] | None:
        """Return the seconds of the recordings: `bench` then prints the real-time factor. None for images."""
        rate = getattr(self.spec, "rate", None)
        return None if rate is None else (float(inputs[1].sum() / rate), "s of sound")

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        return [np.resize(batch[name].numpy(), (rows, *batch[name].shape[1:])) for name in self.inputs]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield log-probabilities [B, T, V] and targets [B, L], without padding rows."""
        for batch in batches:
            real = (batch["index"] != PAD_INDEX).numpy()
            log_p, _ = call([batch[name].numpy() for name in self.inputs])
            yield log_p[real], batch["target"].numpy()[real]

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the character error rate of the most probable paths."""
        alphabet, counts = self.task.alphabet, []
        for batch in batches:
            real = batch["index"] != PAD_INDEX
            log_p, frames = map(torch.from_numpy, call([batch[name].numpy() for name in self.inputs]))
            texts = [alphabet.decode(row) for row in transcribe(log_p, frames)]
            references = [alphabet.decode(row) for row in batch["target"].tolist()]
            counts.append(text_statistics(texts, references)["characters"][real])
        return error_rate(torch.cat(counts))
