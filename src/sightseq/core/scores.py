"""What a step gives, and the scores that are made of it: metrics with their titles, directions and inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torchmetrics import Metric

from sightseq.core.errors import ConfigError
from sightseq.core.naming import ScoreInfo


@dataclass(frozen=True)
class Output:
    """Result of one step.

    Attributes:
        loss_sum: the loss, summed over what it is averaged by (samples, tokens, pixels); scalar.
        count: how many those are, fillers not counted; scalar.
        values: by name, what the scores of the stage and the report read.
    """

    loss_sum: Tensor
    count: Tensor
    values: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """A metric of a task.

    Attributes:
        metric: updated after every batch, computed at the end of an epoch. Its `higher_is_better` is the direction.
        title: the name as people read it. None: not one number, but what the report draws from (a confusion matrix).
        reads: what `metric.update` takes, in order: names of `Output.values`, or "loss_sum" and "count".
        percent: the values lie in 0..1 and are read as a percentage.
    """

    metric: Metric
    title: str | None
    reads: tuple[str, ...] = ("prediction", "target")
    percent: bool = False

    @property
    def info(self) -> ScoreInfo:
        """How to print and rank it.

        Raises:
            ConfigError: the metric does not say whether higher is better.
        """
        if self.title is None or self.metric.higher_is_better is None:
            raise ConfigError(
                f"the metric {type(self.metric).__name__} ({self.title}) does not say its direction: "
                "set higher_is_better = True or False on its class"
            )
        return ScoreInfo(self.title, self.metric.higher_is_better, self.percent)


class MeanLoss(Metric):
    """The loss averaged by its true count: of samples, tokens, pixels. Reads `loss_sum` and `count`."""

    full_state_update = False
    higher_is_better = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, loss_sum: Tensor, count: Tensor) -> None:
        self.total += loss_sum
        self.count += count

    def compute(self) -> Tensor:
        return self.total / self.count
