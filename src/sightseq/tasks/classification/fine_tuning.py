"""Fine-tuning of an image classifier from pretrained weights."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.tasks.classification.images import ImageClassificationTask

DEPTHS = 8  # groups of layers that share a learning rate


class FineTuningTask(ImageClassificationTask):
    """Train the last layer first, then all layers, with lower learning rates for earlier layers.

    Gradual unfreezing and discriminative learning rates are from Howard and Ruder, 2018 (arXiv 1801.06146). The last
    layer is the last one registered in the network. While it is trained alone, the network is in evaluation mode.
    Batch norm keeps its pretrained statistics: statistics of few images are worse, and weights into which batch norm
    was folded do not work with others.

    Args:
        head_epochs: epochs in which only the last layer is trained.
        lowest_rate: learning rate of the first layers as a fraction (0, 1] of the last layer's; the rates between are
            spaced geometrically. Schedulers keep these ratios.
        freeze_statistics: whether batch norm keeps its statistics; None: yes if the network has pretrained weights.
        classification: see `ImageClassificationTask`.
    """

    bench_arguments: ClassVar[Mapping[str, Any]] = {"head_epochs": 0}

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
                f"model.head_epochs={head_epochs} must be 0 or more, and model.lowest_rate={lowest_rate} in (0, 1]"
            )
        if freeze_statistics is None:
            freeze_statistics = bool(getattr(self.net, "weights", None))
        self.head_epochs, self.lowest_rate, self.freeze_statistics = head_epochs, lowest_rate, freeze_statistics
        self._head_only: bool | None = None  # until the first batch

    @property
    def _layers(self) -> list[nn.Module]:
        """Modules that own parameters, from the input to the last layer."""
        return [module for module in self.net.modules() if list(module.parameters(recurse=False))]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return one parameter group per depth, with its learning rate."""
        *body, head = self._layers
        rate = (self.optimizer or {}).get("lr", 1e-3)
        groups: list[list[nn.Parameter]] = [[] for _ in range(DEPTHS)]
        for position, layer in enumerate(body):
            groups[position * DEPTHS // len(body)] += layer.parameters(recurse=False)
        groups.append(list(head.parameters(recurse=False)))
        return [
            {"params": parameters, "lr": rate * self.lowest_rate ** (1 - depth / DEPTHS)}
            for depth, parameters in enumerate(groups)
            if parameters
        ]

    def on_fit_start(self) -> None:
        """Check that a multi-process strategy accepts parameters without gradients.

        Raises:
            ConfigError: the strategy does not accept them.
        """
        strategy = self.trainer.strategy
        settings = getattr(strategy, "_ddp_kwargs", {})
        if self.head_epochs and self.trainer.world_size > 1 and not settings.get("find_unused_parameters"):
            raise ConfigError(
                "with several devices, training only the last layer needs trainer.strategy="
                "ddp_find_unused_parameters_true; or set model.head_epochs=0"
            )

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Freeze or unfreeze all but the last layer. Not at the epoch start, which a resumed epoch does not have."""
        super().on_train_batch_start(batch, batch_idx)
        head_only = self.current_epoch < self.head_epochs
        if head_only == self._head_only:
            return
        self._head_only = head_only
        self.net.train(not head_only)
        for norm in (m for m in self.net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
            norm.train(not (head_only or self.freeze_statistics))
        *body, _ = self._layers
        for parameter in (p for layer in body for p in layer.parameters(recurse=False)):
            parameter.requires_grad_(not head_only)
            parameter.grad = None
