"""The loss of recognisers in plain PyTorch, for `sightseq eject`."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Recogniser(nn.Module):
    """A network with its loss: connectionist temporal classification (Graves et al., 2006).

    Args:
        net: the network: see `nets.recognition`.
        first: normalisation of pixels, or a spectrogram.
        image: the inputs are images [B, W, H, C]; else waveforms [B, N].
        shortcut: weight of the loss on the further logits that the network returns in training.
    """

    def __init__(self, net: nn.Module, first: nn.Module, image: bool, shortcut: float) -> None:
        super().__init__()
        self.net, self.first, self.image, self.shortcut = net, first, image, shortcut
        if image:
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's overloads

    def loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, summed over its texts, and the number of their characters."""
        target, lengths = batch["target"], batch["target_length"]
        if self.image:
            logits, frames, *others = self.net(self.first(batch["input"].permute(0, 3, 2, 1)), batch["length"])
        else:
            logits, frames, *others = self.net(*self.first(batch["input"], batch["length"]))
        losses = ctc(logits, target, frames, lengths)
        if self.shortcut:
            for other in others:
                losses = losses + self.shortcut * ctc(other, target, frames, lengths)
        # Equal neighbours need a blank between them; a text that does not fit into its frames is left out.
        repeated = (target[:, 1:] == target[:, :-1]) & (target[:, 1:] > 0)
        fits = lengths + repeated.sum(1) <= frames
        return (losses * fits).sum(), (lengths.clamp(min=1) * fits).sum().clamp(min=1)


def ctc(logits: Tensor, target: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """Return the negative log-likelihood of each text, in nats [B]."""
    log_p = logits.log_softmax(2).transpose(0, 1)
    return F.ctc_loss(log_p, target, frames, lengths, reduction="none", zero_infinity=True)
