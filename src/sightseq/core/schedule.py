"""Learning rate schedules that torch does not have."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class WarmupCosine(LambdaLR):
    """Linear warmup, then cosine decay: Loshchilov and Hutter, 2017 (arXiv 1608.03983).

    Args:
        total_steps: optimizer steps of the whole training.
        warmup: fraction of the steps in which the learning rate rises.
        final: learning rate at the end, as a fraction of the highest.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.05, final: float = 0.0) -> None:
        warmup_steps = max(round(warmup * total_steps), 1)

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / warmup_steps
            progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
            return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2

        super().__init__(optimizer, factor)
