"""Training of networks with an `encoder`, such as a pretrained one, at its own learning rate."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sightseq.core.errors import ConfigError


def check_rate(rate: float) -> None:
    """Check `model.encoder_rate`, the learning rate of an encoder as a fraction of that of the other parts.

    Raises:
        ConfigError: it is not in 0..1.
    """
    if not 0 <= rate <= 1:
        raise ConfigError(f"model.encoder_rate={rate}: a fraction lies in [0, 1]")


def keep_statistics(encoder: nn.Module, rate: float) -> None:
    """Put what does not learn into eval mode; call it after every change of the mode.

    That is the whole encoder if its rate is 0, and the batch norm of an encoder with pretrained weights, whose
    statistics are better than those of few images.
    """
    if not rate:
        encoder.eval()
    elif getattr(encoder, "weights", None):
        for module in encoder.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


def groups_with_encoder(net: Any, rate: float, lr: float) -> list[dict[str, Any]]:
    """Return the parameter groups: the parts besides `net.encoder`, and the encoder at the rate `rate * lr` if it is
    not 0.
    """
    encoder = {id(parameter) for parameter in net.encoder.parameters()}
    groups: list[dict[str, Any]] = [{"params": [p for p in net.parameters() if id(p) not in encoder]}]
    if rate:
        groups.append({"params": list(net.encoder.parameters()), "lr": rate * lr})
    return groups
