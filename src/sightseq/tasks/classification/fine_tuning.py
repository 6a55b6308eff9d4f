"""Classification that begins with pretrained weights."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.tasks.classification.images import ImageClassificationTask

DEPTHS = 8  # groups of layers that share a learning rate


class FineTuningTask(ImageClassificationTask):
    """Trains the last layer first, then all, the first layers least: Howard and Ruder, 2018 (arXiv 1801.06146).

    The last layer is the last that was registered in the network. While it learns alone, the others are as in
    validation. Batch norm keeps the statistics that came with the weights: few images give worse ones, and weights
    into which it was folded would be ruined by others.

    Args:
        head_epochs: epochs in which the last layer learns alone.
        lowest_rate: learning rate of the first layers, as a fraction of the last one's; those between have rates
            between, in equal ratios. Schedulers keep these ratios.
        freeze_statistics: whether batch norm keeps its statistics; by default where the network begins with weights.
        classification: see `ImageClassificationTask`.
    """

    steady: ClassVar[Mapping[str, Any]] = {"head_epochs": 0}

    def __init__(
        self,
        *,
        head_epochs: int = 1,
        lowest_rate: float = 0.1,
        freeze_statistics: bool | None = None,
        **classification: Any,
    ) -> None:
        super().__init__(**classification)
        if head_epochs < 0 or not 0 < lowest_rate <= 1:
            raise ConfigError(
                f"model.head_epochs={head_epochs} is 0 or more, model.lowest_rate={lowest_rate} in (0, 1]"
            )
        if freeze_statistics is None:
            freeze_statistics = bool(getattr(self.net, "weights", None))
        self.head_epochs, self.lowest_rate, self.freeze_statistics = head_epochs, lowest_rate, freeze_statistics
        self._head_alone: bool | None = None  # until the first batch

    @property
    def _layers(self) -> list[nn.Module]:
        """The modules with parameters of their own, from the input to the last layer."""
        return [module for module in self.net.modules() if list(module.parameters(recurse=False))]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """A group for each depth, with its learning rate."""
        *body, head = self._layers
        rate = (self.optimizer or {}).get("lr", 1e-3)
        groups: list[list[nn.Parameter]] = [[] for _ in range(DEPTHS)]
        for place, layer in enumerate(body):
            groups[place * DEPTHS // len(body)] += layer.parameters(recurse=False)
        groups.append(list(head.parameters(recurse=False)))
        return [
            {"params": parameters, "lr": rate * self.lowest_rate ** (1 - depth / DEPTHS)}
            for depth, parameters in enumerate(groups)
            if parameters
        ]

    def on_fit_start(self) -> None:
        """Several processes need a strategy that bears parameters without gradients.

        Raises:
            ConfigError: they have another.
        """
        strategy = self.trainer.strategy
        settings = getattr(strategy, "_ddp_kwargs", {})
        if self.head_epochs and self.trainer.world_size > 1 and not settings.get("find_unused_parameters"):
            raise ConfigError(
                "with several devices the last layer can learn alone under trainer.strategy="
                "ddp_find_unused_parameters_true; or leave that out with model.head_epochs=0"
            )

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Freezes or thaws all but the last layer; here, because a resumed epoch has no start."""
        super().on_train_batch_start(batch, batch_idx)
        alone = self.current_epoch < self.head_epochs
        if alone == self._head_alone:
            return
        self._head_alone = alone
        self.net.train(not alone)
        for norm in (m for m in self.net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
            norm.train(not (alone or self.freeze_statistics))
        *body, _ = self._layers
        for parameter in (p for layer in body for p in layer.parameters(recurse=False)):
            parameter.requires_grad_(not alone)
            parameter.grad = None
