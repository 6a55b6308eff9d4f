"""The loss of the generation of texts from a source in plain PyTorch, for `sightseq eject`."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX
from sightseq.nets.pixels import centre, to_unit
from sightseq.text.tokenizer import EOS_ID

FLIP = 0.5


class Generator(nn.Module):
    """An encoder-decoder network with its loss: cross-entropy of each target token given the true ones before it.

    Args:
        net: the network: see `nets.translation` and `nets.captioning`.
        smoothing: label smoothing, in training.
        pixels: normalisation of the pixels, if the sources are images; None: they are texts.
        crop: (height, width) of the centre of the images that the network reads; None: the whole images.
        flips: mirror half of the images, in training.
    """

    def __init__(
        self,
        net: Any,
        smoothing: float,
        pixels: Any = None,
        crop: tuple[int, int] | None = None,
        flips: bool = False,
    ) -> None:
        super().__init__()
        self.net, self.smoothing, self.pixels, self.crop, self.flips = net, smoothing, pixels, crop, flips
        if pixels is not None:
            net.encoder.to(memory_format=torch.channels_last)

    def maps(self, images: Tensor) -> Any:
        """Return the features of each position of images."""
        images = centre(to_unit(images), *self.crop) if self.crop else to_unit(images)
        if self.training:
            mirrored = torch.rand(len(images), device=images.device) < FLIP * self.flips
            images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        return self.net.maps(self.pixels(images))

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, summed over its target tokens, and their number."""
        target = batch["target"]
        if self.pixels is None:
            memory, state = self.net.encode(batch["input"], batch["length"])
        else:
            memory, state = self.net.encode(self.maps(batch["input"]))
        tokens = F.pad(target[:, :-1].clamp(min=0), (1, 0), value=EOS_ID)  # the decoder reads the token before each
        real = target != PAD_INDEX
        logits = self.net.decoder.project(self.net.decoder.features(tokens, state, memory)[0][real])
        smoothing = self.smoothing if self.training else 0.0
        return F.cross_entropy(logits, target[real], reduction="sum", label_smoothing=smoothing), real.sum()


def check_plain(task: Any) -> None:
    """Check that plain cross-entropy is the task's loss.

    Raises:
        ConfigError: it has further terms, or reads its own predictions.
    """
    for name in ("scheduled_sampling", "attention_penalty"):
        if value := getattr(task, name):
            raise ConfigError(f"eject: model.{name}={value} is not supported; set it to 0")
