"""The eight course networks as tasks of this framework, for compare_keras.py; two are not part of a project yet."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.composition import compose
from sightseq.core.build import trust
from sightseq.core.loading import Batch
from sightseq.core.scores import Output
from sightseq.core.spec import Spec
from sightseq.core.task import Task
from sightseq.music.spec import RollSpec
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.texts import TextClassificationTask
from sightseq.tasks.denoising.task import DenoisingTask
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.tasks.piano_roll.task import PianoRollTask
from sightseq.text.spec import LanguageSpec, TextSpec
from sightseq.vision.denoising_spec import DenoisingSpec
from sightseq.vision.spec import ImageSpec


def task(name: str, optimizer: dict[str, Any]) -> Task:
    """Return the task of a course network, with random weights."""
    if name == "cats and dogs":
        spec: Spec = ImageSpec(3, 150, 150, ("cat", "dog"), (0.5,) * 3, (0.3,) * 3)
        return ImageClassificationTask(spec=spec.to_dict(), net=net("cats_dogs_course"), optimizer=optimizer)
    if name == "faces":
        spec = ImageSpec(1, 48, 48, tuple("abcdefg"), (0.5,), (0.3,))
        return ImageClassificationTask(spec=spec.to_dict(), net=net("fer2013_course"), optimizer=optimizer)
    if name == "sentiment":
        spec = TextSpec("", 10_000, ("bad", "good"))
        return TextClassificationTask(spec=spec.to_dict(), net=net("imdb_course"), optimizer=optimizer)
    if name == "text generation":
        spec = LanguageSpec("", 10_000)
        return LanguageModelingTask(spec=spec.to_dict(), net=net("python_docs_course"), optimizer=optimizer)
    if name == "denoising":
        spec = DenoisingSpec(1, 28, 28)
        network = net("mnist_denoising") | {"channels": [32, 32]}
        return DenoisingTask(spec=spec.to_dict(), net=network, loss="l2", optimizer=optimizer)
    if name == "music":
        spec = RollSpec(1.0, 100.0, 4)
        return PianoRollTask(spec=spec.to_dict(), net=net("bach_course"), optimizer=optimizer)
    trust(["course_networks"])
    classes = {"forecasting": "Forecaster", "translation": "Translator"}
    return Plain(spec=NoSpec().to_dict(), net={"_target_": f"course_networks.{classes[name]}"}, optimizer=optimizer)


def net(experiment: str) -> dict[str, Any]:
    """Return the config of an experiment's network."""
    found: dict[str, Any] = compose(f"experiment={experiment}")["model"]["net"]
    return found


class NoSpec(Spec):
    """An empty spec, for networks without arguments from the data."""

    def net_arguments(self) -> dict[str, Any]:
        """Return no arguments."""
        return {}


class Plain(Task):
    """A task without metrics, whose network returns the mean loss of a batch."""

    def step(self, batch: Batch, stage: str) -> Output:
        """Return the loss of a batch."""
        count = torch.tensor(batch["target"].numel())
        return Output(self.net(batch) * count, count)

    def plot_batch(self, batch: Batch) -> list[str]:
        """Return an empty plot."""
        return []


class Forecaster(nn.Module):
    """Two LSTMs of 50 over [B, T, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, 50, 2, batch_first=True), nn.Linear(50, 1)

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean squared error of the next value."""
        return F.mse_loss(self.head(self.lstm(batch["input"])[0][:, -1]).float(), batch["target"])


class Translator(nn.Module):
    """An LSTM encoder and decoder of 256 units, with vocabularies of 8,000 words."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.before = nn.Embedding(8_000, 256), nn.Embedding(8_000, 256)
        self.encoder, self.decoder = (nn.LSTM(256, 256, batch_first=True) for _ in range(2))
        self.head = nn.Linear(256, 8_000)

    def forward(self, batch: Batch) -> Tensor:
        """Return the cross-entropy of each target word given the source and the words before it."""
        _, state = self.encoder(self.source(batch["input"]))
        decoded, _ = self.decoder(self.before(batch["before"]), state)
        return F.cross_entropy(self.head(decoded).float().flatten(0, 1), batch["target"].flatten())
