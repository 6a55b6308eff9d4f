"""Gradients of the mean over all samples of an optimizer step, also if it accumulates batches of unequal counts."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Accumulation:
    """Scales the losses and the gradients of the batches of an optimizer step, over all processes.

    Lightning divides each loss by the number of batches; a mean of means is wrong for unequal counts. The total count
    is known only after the last batch, so losses are divided by the first count, and the gradients are corrected.
    """

    def loss(self, loss_sum: Tensor, count: Tensor, number: int, batches: int) -> Tensor:
        """Return the loss to minimise.

        Args:
            loss_sum: loss of the batch, summed over its samples; scalar.
            count: number of samples (or tokens, ...), averaged over all processes; scalar float.
            number: number of the batch within the optimizer step, from 0.
            batches: number of batches of an optimizer step.
        """
        if batches == 1:
            return loss_sum / count
        if number == 0:
            self._first, self._total = count.clamp(min=1), torch.zeros_like(count)
        self._total += count
        return loss_sum / self._first

    def correct(self, parameters: Iterable[nn.Parameter], batches: int) -> None:
        """Scale the gradients of `batches` accumulated batches; called before the optimizer step."""
        scale = self.scale(batches)
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(scale)

    def scale(self, batches: int) -> Tensor | float:
        """Return the factor by which `correct` scales the gradients of `batches` accumulated batches."""
        return 1.0 if batches == 1 else batches * self._first / self._total
