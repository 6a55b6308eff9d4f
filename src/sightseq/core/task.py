"""The base of all tasks: one LightningModule for each learning problem.

A task owns the network, the loss and the metrics. It is rebuilt from its plain hyper-parameters alone, so it
takes dictionaries, not objects, and reads neither the config as a whole nor the data module.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.optim import Optimizer

from sightseq.core.blocks import Block
from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.optimization import has_dropout, make_optimizer, make_schedule, stretch
from sightseq.core.scores import MeanLoss, Output, Score, Scoreboard
from sightseq.core.spec import Spec, check_kind

if TYPE_CHECKING:
    from sightseq.core.arrays import ArrayDataset
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

STAGES = ("train", "val", "test")


class Task(LightningModule, ABC):
    """A network, its loss, its metrics and its optimiser.

    Args:
        spec: of the data, as `Spec.to_dict` gives it.
        net: `_target_` and arguments of the network; what `Spec.net_arguments` names is added.
        optimizer: `_target_` and arguments of the optimiser.
        scheduler: `_target_` and arguments of the schedule; None keeps the rate. `total_steps` is added; see
            `core.optimization.make_schedule` for when it is stepped.
    """

    net_kind: ClassVar[str]
    """The folder of its networks under conf/model/net/."""
    net_traits: ClassVar[frozenset[str]] = frozenset()
    """What is true of its networks: "independent_rows", "ignores_padding", "causal", "stateful"; see `testing`."""
    monitor: ClassVar[str] = "val/loss"
    """The score that chooses the best checkpoint, after its stage."""
    headline: ClassVar[str] = "loss"
    """The score that a table with room for one shows."""
    columns: ClassVar[tuple[str, ...]] = ("loss",)
    """The scores that the table at the end of a run shows."""
    steady: ClassVar[Mapping[str, Any]] = {}
    """Arguments with which every epoch costs the same, as the last ones do: what `sightseq bench` measures."""

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
        check_kind(type(self), self.spec)
        self.net = build(net, nn.Module, "model.net", **self.spec.net_arguments())
        if empty := [name for name, weight in self.net.named_parameters() if not weight.numel()]:
            raise ConfigError(f"model.net: {empty[0]} has no weights, as with a width of 0")
        self.optimizer, self.scheduler = optimizer, scheduler
        self.total_steps: float | None = None  # None: the Trainer's own estimate; run.py sets it before training
        loss = ("loss_sum", "count")
        self.scoreboard = Scoreboard(
            {stage: {"loss": Score(MeanLoss(), "loss", loss), **self.scores(stage)} for stage in STAGES}
        )

    # What a task says of itself.

    @abstractmethod
    def step(self, batch: Batch, stage: str) -> Output:
        """The loss of one batch and what the metrics need."""

    def scores(self, stage: str) -> Mapping[str, Score]:
        """The scores of "train", "val" or "test" by name, besides "loss". Those of "train" should be cheap."""
        return {}

    def decode(self, batch: Batch) -> Mapping[str, Tensor]:
        """What the model writes freely, without looking at the targets; called in validation and test only.

        The values join those of `step`, under names of their own: nothing of them is ever teacher-forced.
        """
        return {}

    def size(self, batch: Batch) -> int:
        """How much a batch holds of what is counted (samples, tokens, boxes), fillers apart."""
        return int((batch["index"] != PAD_INDEX).sum())

    @classmethod
    @abstractmethod
    def example(cls) -> tuple[Spec, Batch]:
        """A made-up spec and a batch of it, of at least four rows: what the tests of every task are run on."""

    @classmethod
    def predictor(cls) -> "type[Predictor] | None":
        """How a person uses the model; imported when asked for."""
        return None

    @classmethod
    def graph(cls) -> "type[Graph] | None":
        """The model as a function of plain tensors, for export; imported when asked for."""
        return None

    def augment(self, batch: Batch) -> Batch:
        """The training batch as the network is to see it; draws from torch's default generator."""
        return batch

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is optimised: `params`, and where it is not the optimiser's, `lr`."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    @abstractmethod
    def plot_batch(self, batch: Batch) -> Figure | list[str]:
        """A batch as `augment` gives it, with its targets, for people: a figure, or lines of text."""

    def counts(self, dataset: "ArrayDataset") -> Mapping[str, int]:
        """What `sightseq show` counts in a split, such as the samples of each class by its name."""
        return {}

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Called with every batch that is scored after training: keeps the few samples that the report shows."""

    def reset_examples(self) -> None:
        """Called before such a scoring: empties what `collect_examples` has kept."""

    def blocks(self, stage: str) -> list[Block]:
        """What the report says about the stage that has just ended, besides the numbers."""
        return []

    def training_differs(self) -> list[str]:
        """What makes the scores of training worse than those of validation, for the report."""
        return ["dropout"] if has_dropout(self.net) else []

    def details(self, stage: str) -> dict[str, Any]:
        """Results of that stage that are more than one number each, as plain values."""
        return {}

    # What all tasks have in common.

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Frees the last gradients before the network needs room, not after it; bench calls this without a trainer."""
        if not self._trainer or batch_idx % self.trainer.accumulate_grad_batches == 0:
            self.zero_grad()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss, such that the gradients of an optimizer step are those of the mean over all its samples: of every
        process and of every accumulated batch.
        """
        # Positions in an image, or amplitudes of a signal, need more than the 8 bits of bf16's mantissa.
        with torch.autocast(self.device.type, enabled=False):
            batch = self.augment(batch)
        output = self.step(batch, "train")
        self.scoreboard.update("train", output)
        count = output.count.float()
        if self.trainer.world_size > 1:
            count = self.trainer.strategy.reduce(count.clone(), reduce_op="mean")
        if self.trainer.accumulate_grad_batches == 1:
            return output.loss_sum / count
        # The count of all accumulated batches is known after the last of them: see `on_before_optimizer_step`.
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self._first_count, self._count = count.clamp(min=1), torch.zeros_like(count)
        self._count += count
        return output.loss_sum / self._first_count

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Divides accumulated gradients by the true count: Lightning's mean of means is wrong for unequal counts."""
        batches = self.trainer.accumulate_grad_batches
        if batches > 1:
            scale = batches * self._first_count / self._count
            for parameter in self.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(scale)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Updates the metrics, and outside training shows the samples to `collect_examples`."""
        output = self._scored(batch, "val")
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self.collect_examples(batch, output)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Updates the metrics and shows the samples to `collect_examples`."""
        self.collect_examples(batch, self._scored(batch, "test"))

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Any:
        """For `Trainer.predict`: the values of `step` in a test."""
        return self.step(batch, "test").values

    def _scored(self, batch: Batch, stage: str) -> Output:
        output = self.step(batch, stage)
        output = replace(output, values={**output.values, **self.decode(batch)})
        self.scoreboard.update(stage, output)
        return output

    def _log(self, stage: str) -> None:
        scores = self.scoreboard.compute(stage)
        self.log_dict({f"{stage}/{name}": value for name, value in scores.items()}, prog_bar=False)

    def on_train_epoch_end(self) -> None:
        """Logs the epoch's training metrics."""
        self._log("train")
        self.scoreboard.metrics("train").reset()

    def on_validation_epoch_start(self) -> None:
        """A sanity check or an interrupted validation leaves nothing behind."""
        self.scoreboard.metrics("val").reset()
        self.reset_examples()

    def on_validation_epoch_end(self) -> None:
        """Logs the validation metrics; their states stay until the next validation."""
        self._log("val")

    def on_test_epoch_start(self) -> None:
        """A second test begins anew."""
        self.scoreboard.metrics("test").reset()
        self.reset_examples()

    def on_test_epoch_end(self) -> None:
        """Logs the test metrics; their states stay for the report."""
        self._log("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the task's class, and what the training metrics have seen of an interrupted epoch, in all processes."""
        task = f"{type(self).__module__}.{type(self).__qualname__}"
        checkpoint["sightseq"] = {**checkpoint.get("sightseq", {}), "task": task}
        checkpoint["train_metrics"] = self.scoreboard.state("train")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The inverse of `on_save_checkpoint`: one process takes over what all have seen."""
        if not self._trainer or self.trainer.is_global_zero:
            self.scoreboard.restore("train", checkpoint["train_metrics"])

    def configure_optimizers(self) -> Any:
        """The optimizer, without weight decay on biases and normalisation, and the schedule."""
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
        """The learning rate; setting it makes a new optimizer and schedule, as Lightning's LearningRateFinder does."""
        return float((self.optimizer or {}).get("lr", 1e-3))

    @lr.setter
    def lr(self, value: float) -> None:
        schedule = self.scheduler or {}
        if "max_lr" in schedule:
            self.scheduler = {**schedule, "max_lr": schedule["max_lr"] * value / self.lr}
        self.optimizer = {**(self.optimizer or {"_target_": "torch.optim.AdamW"}), "lr": value}
        self.trainer.strategy.setup_optimizers(self.trainer)

    def on_train_start(self) -> None:
        """A resumed training that was prolonged stretches its schedule: see `core.optimization.stretch`."""
        if self.scheduler:
            stretch(self._schedule, self._fresh_schedule)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As torch's, also of a plain dictionary, as averaged weights are saved: some layers ask for their version."""
        if not hasattr(state_dict, "_metadata"):
            own = self.state_dict()
            own.clear()
            own.update(state_dict)
            state_dict = own
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips the norm of all gradients, or each value, by torch: Lightning's own refuses fused optimizers."""
        if gradient_clip_val and gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)
