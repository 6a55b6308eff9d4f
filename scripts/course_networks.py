"""The eight course networks as tasks of this framework, for compare_keras.py; four are not part of a project yet."""

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
    trust(["course_networks"])
    classes = {"denoising": "Denoiser", "forecasting": "Forecaster", "translation": "Translator", "music": "Musician"}
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


class UpsamplingConv2d(nn.Conv2d):
    """Nearest-neighbour upsampling by 2 and a 3 x 3 convolution in one layer: [B, C, H, W] -> [B, C', 2 H, 2 W].

    The four output pixels of one input pixel depend on the same input pixels. So one convolution of the input, with
    sums of the weights as kernels, computes all four. The result is the same; from 32 channels to one it takes 0.6 of
    the time (Shi et al., 2016, arXiv 1609.07009).
    """

    # [output pixel of 2, input pixel of 3, weight of 3]: 1 if the weight applies to the input pixel.
    FALLS = torch.tensor([[[1.0, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]])
    # The same in two dimensions: maps the 3 x 3 weights to the kernels of the 2 x 2 output pixels.
    KERNELS = torch.einsum("pai, qbj -> ijpqab", FALLS, FALLS).reshape(9, 36)

    def forward(self, images: Tensor) -> Tensor:
        """Upsample and convolve images [B, C, H, W]."""
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
        """Return the binary cross-entropy with the clean images."""
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


class Musician(nn.Module):
    """Three LSTMs of 512 over [B, T, 1], and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 512, 3, batch_first=True, dropout=0.3)
        self.head = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 358))

    def forward(self, batch: Batch) -> Tensor:
        """Return the cross-entropy of the next note."""
        return F.cross_entropy(self.head(self.lstm(batch["input"])[0][:, -1]).float(), batch["target"])
