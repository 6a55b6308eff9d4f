"""The eight course networks as tasks of this framework, for compare_keras.py; four wait here for their projects."""

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
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.texts import TextClassificationTask
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.text.spec import LanguageSpec, TextSpec
from sightseq.vision.spec import ImageSpec


def task(name: str, optimizer: dict[str, Any]) -> Task:
    """The task of a course network, with random weights."""
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
    trust(["course_networks"])
    of = {"denoising": "Denoiser", "forecasting": "Forecaster", "translation": "Translator", "music": "Musician"}
    return Plain(spec=NoSpec().to_dict(), net={"_target_": f"course_networks.{of[name]}"}, optimizer=optimizer)


def net(experiment: str) -> dict[str, Any]:
    """The config of an experiment's network."""
    found: dict[str, Any] = compose(f"experiment={experiment}")["model"]["net"]
    return found


class NoSpec(Spec):
    """Of data that says nothing of itself."""

    def net_arguments(self) -> dict[str, Any]:
        """None."""
        return {}


class Plain(Task):
    """A network that says its own loss, and no metrics."""

    def step(self, batch: Batch, stage: str) -> Output:
        """The loss of a batch."""
        count = torch.tensor(batch["target"].numel())
        return Output(self.net(batch) * count, count)

    def plot_batch(self, batch: Batch) -> list[str]:
        """Nothing."""
        return []


class UpsamplingConv2d(nn.Conv2d):
    """A 3 x 3 convolution of an image that each pixel of [B, C, H, W] fills four pixels of: [B, C', 2 H, 2 W].

    The four see the same pixels of [B, C, H, W], so one convolution of these finds all four, with sums of the weights
    as its kernels: the same numbers, and from 32 channels to one in 0.6 of the time (Shi et al., 2016,
    arXiv 1609.07009).
    """

    # For each of two neighbours, and each of the three pixels that they see: which of the three weights fall on it.
    FALLS = torch.tensor([[[1.0, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]])
    # The same in two dimensions, from 3 x 3 weights to the kernels of 2 x 2 pixels.
    KERNELS = torch.einsum("pai, qbj -> ijpqab", FALLS, FALLS).reshape(9, 36)

    def forward(self, images: Tensor) -> Tensor:
        """Of [B, C, H, W]."""
        assert self.bias is not None
        kernels = (self.weight.flatten(2) @ self.KERNELS).unflatten(2, (4, 3, 3)).transpose(1, 2).flatten(0, 1)
        return F.pixel_shuffle(F.conv2d(images, kernels, self.bias.repeat_interleave(4), padding=1), 2)


class Denoiser(nn.Module):
    """A convolutional autoencoder of images [B, 1, H, W]."""

    def __init__(self) -> None:
        super().__init__()

        def conv(before: int) -> nn.Module:
            return nn.Conv2d(before, 32, 3, padding=1)

        self.layers = nn.Sequential(  # pooling before ReLU, as in ConvNet
            *(conv(1), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
            *(conv(32), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
            *(conv(32), nn.ReLU(inplace=True), nn.Upsample(scale_factor=2)),
            *(conv(32), nn.ReLU(inplace=True), UpsamplingConv2d(32, 1, 3, padding=1)),
        ).to(memory_format=torch.channels_last)

    def forward(self, batch: Batch) -> Tensor:
        """The binary cross-entropy of the clean images."""
        images, clean = (
            (batch[name].float() / 255).contiguous(memory_format=torch.channels_last) for name in ("input", "target")
        )
        return F.binary_cross_entropy_with_logits(self.layers(images).float(), clean)


class Forecaster(nn.Module):
    """Two LSTMs of 50 over [B, T, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, 50, 2, batch_first=True), nn.Linear(50, 1)

    def forward(self, batch: Batch) -> Tensor:
        """The squared error of what comes next."""
        return F.mse_loss(self.head(self.lstm(batch["input"])[0][:, -1]).float(), batch["target"])


class Translator(nn.Module):
    """An LSTM of 256 that reads and one that writes, over 8,000 words each."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.before = nn.Embedding(8_000, 256), nn.Embedding(8_000, 256)
        self.encoder, self.decoder = (nn.LSTM(256, 256, batch_first=True) for _ in range(2))
        self.head = nn.Linear(256, 8_000)

    def forward(self, batch: Batch) -> Tensor:
        """The cross-entropy of each word after those before it."""
        _, state = self.encoder(self.source(batch["input"]))
        said, _ = self.decoder(self.before(batch["before"]), state)
        return F.cross_entropy(self.head(said).float().flatten(0, 1), batch["target"].flatten())


class Musician(nn.Module):
    """Three LSTMs of 512 over [B, T, 1], and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 512, 3, batch_first=True, dropout=0.3)
        self.head = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 358))

    def forward(self, batch: Batch) -> Tensor:
        """The cross-entropy of the next note."""
        return F.cross_entropy(self.head(self.lstm(batch["input"])[0][:, -1]).float(), batch["target"])
