"""The loss of classifiers in plain PyTorch, for `sightseq eject`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.nets.pixels import centre

if TYPE_CHECKING:
    from sightseq.tasks.classification.task import ClassificationTask


class Classifier(nn.Module):
    """A network with its loss: cross-entropy over the classes.

    Args:
        net: the network, which returns logits [B, num_classes]; [B, 1] if `single`.
        first: a layer before the network, such as the normalisation of pixels; with `lengths` it also maps those.
        crop: (height, width) of the centre that the network reads; None: the whole image.
        lengths: the network also reads the lengths of the inputs.
        single: the network returns one logit, that of the second of two classes; the other logit is 0.
        smoothing: label smoothing, in training.
        weights: weight of each class, in training; None: equal weights.
    """

    score = "accuracy"

    def __init__(
        self,
        net: nn.Module,
        first: nn.Module | None,
        crop: tuple[int, int] | None,
        lengths: bool,
        single: bool,
        smoothing: float,
        weights: Sequence[float] | None,
    ) -> None:
        super().__init__()
        self.net, self.first, self.crop, self.lengths = net, first, crop, lengths
        self.single, self.smoothing, self.weights = single, smoothing, weights
        if not lengths:  # images
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's overloads

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the logits [B, num_classes] of a batch."""
        inputs = centre(batch["input"], *self.crop) if self.crop else batch["input"]
        if self.first is None:
            logits = self.net(inputs, batch["length"])
        elif self.lengths:
            logits = self.net(*self.first(inputs, batch["length"]))
        else:
            logits = self.net(self.first(inputs))
        return F.pad(logits, (1, 0)) if self.single else logits

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the loss of a training batch, summed over its samples, and the number that divides it."""
        target = batch["target"]
        if self.weights is None:
            loss = F.cross_entropy(self(batch), target, reduction="sum", label_smoothing=self.smoothing)
            return loss, torch.tensor(len(target))
        weights = torch.tensor(self.weights, device=target.device)
        loss = F.cross_entropy(self(batch), target, weights, reduction="sum", label_smoothing=self.smoothing)
        return loss, weights[target].sum()

    def measure(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the number of right classes in a validation batch, and the number of samples."""
        target = batch["target"]
        return (self(batch).argmax(1) == target).sum(), torch.tensor(len(target))


def classifier(
    task: "ClassificationTask",
    first: nn.Module | None = None,
    crop: tuple[int, int] | None = None,
    lengths: bool = True,
) -> Classifier:
    """Return network and loss of a task: see `Classifier`."""
    weights = None if task.class_weights is None else task.class_weights.tolist()
    single = [layer for layer in task.net.modules() if isinstance(layer, nn.Linear)][-1].out_features == 1
    return Classifier(task.net, first, crop, lengths, single, task.label_smoothing, weights)
