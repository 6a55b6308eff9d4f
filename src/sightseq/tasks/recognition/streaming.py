"""Transcription of speech while it is recorded, with a causal network."""

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.errors import ConfigError
from sightseq.decoding.ctc import BLANK, Span
from sightseq.tasks.recognition.speech import SpeechRecognitionTask
from sightseq.text.alphabet import UNKNOWN_ID


class Transcriber:
    """Reads a recording in parts of any length, and returns the text of each as soon as it is known.

    The texts of all parts together are the most probable path of the whole recording.

    Args:
        task: a trained task whose network is causal; in eval mode.

    Attributes:
        spans: place of each character, in frames of the network's output.
        seconds: of the recording until now.
        busy: seconds of computation until now.
        parts: number of parts that were read.

    Raises:
        ConfigError: the network or the features also read what comes later.
    """

    def __init__(self, task: SpeechRecognitionTask) -> None:
        if not getattr(task.net, "causal", False):
            raise ConfigError(
                "stream=true: this network also reads what comes later; train one with model/net=recognition/streaming"
            )
        mel = task.front.mel
        if mel.remove_mean:
            raise ConfigError(
                "stream=true: this model has model.features.remove_mean=true, a mean of the whole recording"
            )
        self.task = task
        self.spans: list[Span] = []
        self.busy, self.parts, self._samples = 0.0, 0, 0
        self._hop: int = mel.hop
        # Samples around the centre of a frame: see `audio.features.LogMel`.
        self._left, self._right = (mel.size + 1) // 2, mel.size // 2
        self._margin = -(-self._left // self._hop)  # frames whose window may start before the samples that are kept
        self._waiting = torch.zeros(0)  # samples from frame `_first - _margin` on, or from the start
        self._first = 0  # number of frames that the network has read
        self._state: Any = None
        self._last = BLANK  # of the path
        self._frames = 0  # of the path

    @property
    def seconds(self) -> float:
        """Length of the recording until now, in seconds."""
        return self._samples / self.task.spec.rate

    @property
    def look_ahead(self) -> float:
        """Seconds that are read beyond the start of an output frame before it is computed."""
        steps = self.task.net.reduction - 1
        return float((steps * self._hop + self._right) / self.task.spec.rate)

    def add(self, waveform: NDArray[np.float32]) -> str:
        """Read the next samples [N], floats in -1..1, and return the text that they add."""
        return self._read(torch.from_numpy(waveform), end=False)

    def finish(self) -> str:
        """Return the text of what is left at the end of the recording."""
        return self._read(torch.zeros(0), end=True)

    @torch.inference_mode()
    def _read(self, samples: Tensor, end: bool) -> str:
        began = time.perf_counter()
        self._samples += len(samples)
        self._waiting = torch.cat([self._waiting, samples])
        skipped = min(self._first, self._margin)  # frames at the start of `_waiting` that were read before
        complete = (len(self._waiting) - self._right) // self._hop + 1 - skipped  # frames whose window is complete
        if end:
            complete = len(self._waiting) // self._hop + 1 - skipped
        reduction = self.task.net.reduction
        count = max(complete, 0) if end else max(complete, 0) // reduction * reduction
        text = ""
        if count:
            length = torch.tensor([len(self._waiting)])
            features, _ = self.task.front(self._waiting[None].to(self.task.device), length.to(self.task.device))
            features = features[:, :, :, skipped : skipped + count]
            features = torch.nn.functional.pad(features, (0, -count % reduction))
            logits, self._state = self.task.net.stream(features, self._state)
            text = self._decode(logits[0].float().log_softmax(1).cpu())
            self._first += count
            start = max(self._first - self._margin, 0) - max(self._first - count - self._margin, 0)
            self._waiting = self._waiting[start * self._hop :]
        self.busy += time.perf_counter() - began
        self.parts += 1
        return text

    def _decode(self, log_p: Tensor) -> str:
        """Return the text that these frames [T, V] add to the path."""
        log_p[:, UNKNOWN_ID] = -torch.inf
        values, path = log_p.max(1)
        added = []
        for token, value in zip(path.tolist(), values.tolist(), strict=True):
            if token != BLANK and token == self._last:
                last = self.spans[-1]
                frames = last.end - last.start
                mean = (last.log_probability * frames + value) / (frames + 1)
                self.spans[-1] = Span(token, last.start, last.end + 1, mean)
            elif token != BLANK:
                self.spans.append(Span(token, self._frames, self._frames + 1, value))
                added.append(token)
            self._last = token
            self._frames += 1
        return self.task.alphabet.decode(added)
