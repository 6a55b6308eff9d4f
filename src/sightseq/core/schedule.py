"""Learning rate schedules that torch does not have."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class WarmupCosine(LambdaLR):
    """A linear rise from nothing, then half a cosine down: Loshchilov and Hutter, 2017 (arXiv 1608.03983).

    Args:
        total_steps: steps of the whole training.
        warmup: share of the steps in which the rate rises.
        final: the rate at the end, as a fraction of the highest.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.05, final: float = 0.0) -> None:
        rise = max(round(warmup * total_steps), 1)

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            done = min((step - rise) / max(total_steps - rise, 1), 1.0)
            return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2

        super().__init__(optimizer, factor)
