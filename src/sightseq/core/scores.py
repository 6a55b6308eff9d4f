"""The output of a step, and the scores computed from it: metrics with their titles, directions and inputs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from sightseq.core.errors import ConfigError, nearest
from sightseq.core.naming import ScoreInfo


@dataclass(frozen=True)
class Output:
    """Result of one step.

    Attributes:
        loss_sum: sum of the loss over the units that it is averaged over (samples, tokens, pixels); scalar.
        count: number of these units, without padding; scalar.
        values: tensors by name, which the scores of the stage and the report read.
    """

    loss_sum: Tensor
    count: Tensor
    values: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """A metric of a task.

    Attributes:
        metric: updated after every batch, computed at the end of an epoch. Its `higher_is_better` is the direction.
        title: human-readable name. None: the metric is not one number, but data for the report (a confusion matrix).
        reads: arguments of `metric.update`, in order: names of `Output.values`, or "loss_sum" and "count".
        percent: whether the values lie in 0..1 and are shown as percentages.
    """

    metric: Metric
    title: str | None
    reads: tuple[str, ...] = ("prediction", "target")
    percent: bool = False

    @property
    def info(self) -> ScoreInfo:
        """How to format and rank the score.

        Raises:
            ConfigError: the metric does not define whether higher is better.
        """
        if self.title is None or self.metric.higher_is_better is None:
            raise ConfigError(
                f"the metric {type(self.metric).__name__} ({self.title}) does not define its direction: "
                "set higher_is_better = True or False on its class"
            )
        return ScoreInfo(self.title, self.metric.higher_is_better, self.percent)


class MeanLoss(Metric):
    """Loss averaged over the true count of samples, tokens or pixels. Reads `loss_sum` and `count`."""

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


class Scoreboard(nn.Module):
    """The metrics of a task for each stage, updated with the output of each step.

    Args:
        scores: the scores of "train", "val" and "test", by stage and name.

    Attributes:
        infos: how to format and rank each score that is one number, by stage and name.
    """

    def __init__(self, scores: Mapping[str, Mapping[str, Score]]) -> None:
        super().__init__()
        self.reads = {
            stage: {name: score.reads for name, score in stage_scores.items()} for stage, stage_scores in scores.items()
        }
        self.infos = {
            stage: {name: score.info for name, score in stage_scores.items() if score.title is not None}
            for stage, stage_scores in scores.items()
        }
        self.stages = nn.ModuleDict(  # a key must not be the name of an attribute of ModuleDict, such as "train"
            {
                f"{stage}_metrics": MetricCollection({name: score.metric for name, score in stage_scores.items()})
                for stage, stage_scores in scores.items()
            }
        )

    def metrics(self, stage: str) -> MetricCollection:
        """Return the metrics of a stage."""
        return cast(MetricCollection, self.stages[f"{stage}_metrics"])

    def update(self, stage: str, output: Output) -> None:
        """Update the metrics of a stage with the output of one step."""
        values = {**output.values, "loss_sum": output.loss_sum.detach(), "count": output.count}
        for name, metric in self._each(stage):
            metric.update(*(values[value] for value in self.reads[stage][name]))

    def compute(self, stage: str) -> dict[str, Tensor]:
        """Compute the scores of a stage that are one number."""
        metrics = self.metrics(stage)
        return {name: metrics[name].compute() for name in self.infos[stage]}

    def monitored(self, name: str) -> ScoreInfo:
        """Return how to rank the score that a callback or schedule monitors, such as "val/loss".

        Raises:
            ConfigError: no score of training or validation has this name.
        """
        known = {f"{stage}/{score}": info for stage in ("val", "train") for score, info in self.infos[stage].items()}
        if name not in known:
            raise ConfigError(f"monitor={name}: the task has no such score; {nearest(name, known)}")
        return known[name]

    def state(self, stage: str) -> dict[str, dict[str, Any]]:
        """Return the metric states of a stage, reduced over all processes, for a checkpoint."""
        states = {}
        for name, metric in self._each(stage):
            with metric.sync_context():
                states[name] = dict(metric.metric_state)
        return states

    def restore(self, stage: str, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Restore the metric states that `state` returned, in one process."""
        for name, metric in self._each(stage):
            for key, value in state.get(name, {}).items():
                setattr(metric, key, value)

    def _each(self, stage: str) -> Iterable[tuple[str, Any]]:
        return self.metrics(stage).items(keep_base=True, copy_state=False)
