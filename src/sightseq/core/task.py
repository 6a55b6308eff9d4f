"""The base class of all tasks: one LightningModule per learning problem.

A task owns the network, the loss and the metrics. It is rebuilt from its plain hyper-parameters alone, so it takes
dictionaries, not objects, and reads neither the whole config nor the data module.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer

from sightseq.core.accumulation import Accumulation
from sightseq.core.blocks import Block
from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.optimization import adapt_length, has_dropout, make_optimizer, make_schedule, remember_decay
from sightseq.core.scores import MeanLoss, Output, Score, Scoreboard
from sightseq.core.spec import Spec, check_spec_type

if TYPE_CHECKING:
    from sightseq.core.arrays import ArrayDataset
    from sightseq.core.baseline import Baseline
    from sightseq.core.frozen import Frozen
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

STAGES = ("train", "val", "test")


class Task(LightningModule, ABC):
    """A network with its loss, metrics and optimizer.

    Args:
        spec: the spec of the data, as returned by `Spec.to_dict`.
        net: `_target_` and arguments of the network; the values of `net_arguments` are added.
        optimizer: `_target_` and arguments of the optimizer.
        scheduler: the same of the schedule, see `core.optimization.make_schedule`; None: a constant learning rate.
    """

    net_kind: ClassVar[str]
    """Folder of its networks under conf/model/net/."""
    net_traits: ClassVar[frozenset[str]] = frozenset()
    """Invariants of its networks: "independent_rows", "ignores_padding", "causal", "stateful"; see `testing`."""
    monitor: ClassVar[str] = "val/loss"
    """The score that selects the best checkpoint, with its stage as a prefix."""
    headline: ClassVar[str] = "loss"
    """The main score, for tables that show only one."""
    columns: ClassVar[tuple[str, ...]] = ("loss",)
    """The scores in the table at the end of a run."""
    size_unit: ClassVar[str | None] = None
    """What `size` counts, such as "tokens"; None: the samples of the data module."""
    bench_arguments: ClassVar[Mapping[str, Any]] = {}
    """Arguments with which every epoch costs as much as the last ones; `sightseq bench` measures with them."""

    def __init__(
        self,
        spec: dict[str, Any],
        net: dict[str, Any],
        optimizer: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.spec = Spec.from_dict(spec)
        check_spec_type(type(self), self.spec)
        self.net = build(net, nn.Module, "model.net", **self.net_arguments())
        if empty := [name for name, weight in self.net.named_parameters() if not weight.numel()]:
            raise ConfigError(f"model.net: {empty[0]} has no weights; is a width 0?")
        remember_decay(self.net)
        self.optimizer, self.scheduler = optimizer, scheduler
        self._accumulation = Accumulation()
        self.total_steps: float | None = None  # None: the Trainer's estimate; run.py sets it before training
        self.scoreboard = Scoreboard(
            {
                stage: {"loss": Score(MeanLoss(), "loss", ("loss_sum", "count")), **self.scores(stage)}
                for stage in STAGES
            }
        )

    # Defined by each task.

    @abstractmethod
    def step(self, batch: Batch, stage: str) -> Output:
        """Return the loss of one batch and the values that the metrics read."""

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return the scores of "train", "val" or "test" by name, besides "loss". Those of "train" should be cheap."""
        return {}

    def decode(self, batch: Batch, stage: str) -> Mapping[str, Tensor]:
        """Decode freely, in "val" and "test" only; the values are added to those of `step`, never teacher-forced."""
        return {}

    def size(self, batch: Batch) -> int:
        """Return the number of counted units in a batch (samples, tokens, boxes), without padding."""
        return int((batch["index"] != PAD_INDEX).sum())

    @classmethod
    @abstractmethod
    def example(cls) -> tuple[Spec, Batch]:
        """Return a made-up spec and a batch for it of at least four rows, for the tests of every task."""

    @classmethod
    def predictor(cls) -> "type[Predictor] | None":
        """Return the predictor class, imported on demand; None if there is none."""
        return None

    @classmethod
    def graph(cls) -> "Callable[[Any], Graph] | None":
        """Return what makes the graph to export, a class or a function, imported on demand; None if there is none."""
        return None

    def plain(self) -> nn.Module | None:
        """Return the network with its loss in plain PyTorch, for `sightseq eject`; None if there is none."""

    @property
    def frozen(self) -> "Frozen | None":
        """The part of the network whose outputs are computed once for all samples; None if there is none."""
        return None

    def prepare_training(self, train: "ArrayDataset") -> None:
        """Fit what is not learned by gradients; called with the training split before training starts or resumes."""

    def net_arguments(self) -> dict[str, Any]:
        """Return the values that the network may take as arguments, by name: see `Spec.net_arguments`."""
        return self.spec.net_arguments()

    def augment(self, batch: Batch) -> Batch:
        """Augment a training batch; random numbers come from torch's default generator."""
        return batch

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trained parameters in groups: `params`, and `lr` if it differs from the optimizer's."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    @abstractmethod
    def plot_batch(self, batch: Batch) -> Figure | list[str]:
        """Plot a batch, as returned by `augment`, with its targets: as a figure, or as lines of text."""

    def counts(self, dataset: "ArrayDataset") -> Mapping[str, int]:
        """Return counts of a split for `sightseq show`, such as the number of samples by class name."""
        return {}

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Keep a few samples for the report; called with every batch that is scored after training."""

    def reset_examples(self) -> None:
        """Remove the samples that `collect_examples` has kept; called before scoring."""

    def blocks(self, stage: str) -> list[Block]:
        """Return the report blocks of the stage that has just ended; the scores are reported anyway."""
        return []

    def training_differences(self) -> list[str]:
        """Return what makes training scores worse than validation scores, for the report."""
        return ["dropout"] if has_dropout(self.net) else []

    def details(self, stage: str) -> dict[str, Any]:
        """Return results of the stage that are not single numbers, as plain values."""
        return {}

    def compare(self, baselines: Mapping[str, "Baseline"], stage: str) -> tuple[dict[str, Any], list[Block]]:
        """Compare the model with the baselines, by name, that were scored on the split of `stage` ("test" or "val").

        Returns:
            Plain values for results.json (`summary`: one or two sentences for RESULTS.md), and blocks for the report.
        """
        return {}, []

    # Common to all tasks.

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Free the last gradients before the forward pass, to save memory; bench calls this without a trainer."""
        if not self._trainer or batch_idx % self.trainer.accumulate_grad_batches == 0:
            self.zero_grad()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss, whose gradient is that of the mean over all samples: see `core.accumulation`."""
        # Augment in 32 bits: image positions and signal amplitudes need more than the 8 bits of bf16's mantissa.
        with torch.autocast(self.device.type, enabled=False):
            batch = self.augment(batch)
        output = self.step(batch, "train")
        self.scoreboard.update("train", output)
        count = output.count.float()
        if self.trainer.world_size > 1:
            count = self.trainer.strategy.reduce(count.clone(), reduce_op="mean")
        batches = self.trainer.accumulate_grad_batches
        return self._accumulation.loss(output.loss_sum, count, batch_idx % batches, batches)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Divide accumulated gradients by the true count."""
        if self.trainer.accumulate_grad_batches > 1:
            self._accumulation.correct(self.parameters(), self.trainer.accumulate_grad_batches)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the metrics; outside training, collect examples too."""
        output = self._scored(batch, "val")
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self.collect_examples(batch, output)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the metrics and collect examples."""
        self.collect_examples(batch, self._scored(batch, "test"))

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Any:
        """Return the values of `step` in the test stage; for `Trainer.predict`."""
        return self.step(batch, "test").values

    def _scored(self, batch: Batch, stage: str) -> Output:
        output = self.step(batch, stage)
        output = replace(output, values={**output.values, **self.decode(batch, stage)})
        self.scoreboard.update(stage, output)
        return output

    def _log(self, stage: str) -> None:
        self.log_dict({f"{stage}/{name}": value for name, value in self.scoreboard.compute(stage).items()})

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training metrics and reset them."""
        self._log("train")
        self.scoreboard.metrics("train").reset()

    def on_validation_epoch_start(self) -> None:
        """Reset the metrics and examples of a sanity check or an interrupted validation."""
        self.scoreboard.metrics("val").reset()
        self.reset_examples()

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics; their states are kept until the next validation."""
        self._log("val")

    def on_test_epoch_start(self) -> None:
        """Reset the metrics and examples of an earlier test."""
        self.scoreboard.metrics("test").reset()
        self.reset_examples()

    def on_test_epoch_end(self) -> None:
        """Log the test metrics; their states are kept for the report."""
        self._log("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the task's class, and the training metrics of an interrupted epoch, reduced over all processes."""
        task = f"{type(self).__module__}.{type(self).__qualname__}"
        checkpoint["sightseq"] = {**checkpoint.get("sightseq", {}), "task": task}
        checkpoint["train_metrics"] = self.scoreboard.state("train")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the training metrics; the first process gets those of all processes."""
        if not self._trainer or self.trainer.is_global_zero:
            self.scoreboard.restore("train", checkpoint["train_metrics"])

    def configure_optimizers(self) -> Any:
        """Return the optimizer, without weight decay on biases and normalisation layers, and the schedule."""
        optimizer = make_optimizer(self.optimizer or {"_target_": "torch.optim.AdamW"}, self.parameter_groups())
        if not self.scheduler:
            return optimizer
        higher = self.scoreboard.monitored(self.monitor).higher_is_better
        steps = self.trainer.estimated_stepping_batches if self.total_steps is None else self.total_steps
        schedule = make_schedule(self.scheduler, optimizer, steps, self.monitor, higher)
        self._schedule, self._fresh_schedule = schedule["scheduler"], schedule["scheduler"].state_dict()
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    @property
    def lr(self) -> float:
        """The learning rate of the optimizer."""
        return float((self.optimizer or {}).get("lr", 1e-3))

    def on_train_start(self) -> None:
        """Adapt the schedule of a resumed training to a new length: see `core.optimization.adapt_length`."""
        if self.scheduler:
            adapt_length(self._schedule, self._fresh_schedule)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Like torch's, but also for a plain dictionary, such as averaged weights: some layers read its `_metadata`."""
        if not hasattr(state_dict, "_metadata"):
            own = self.state_dict()
            own.clear()
            own.update(state_dict)
            state_dict = own
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the norm of all gradients, or each value, with torch: Lightning's clipping refuses fused optimizers."""
        if gradient_clip_val and gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)
        elif gradient_clip_val and self._trainer and isinstance(self.trainer.strategy, FSDPStrategy):
            cast(Any, self.trainer.strategy.model).clip_grad_norm_(gradient_clip_val)  # a process has a part of them
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)
