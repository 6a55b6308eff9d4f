"""Optimizers and learning rate schedules from their configs, as a LightningModule hands them to the Trainer."""

import math
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from sightseq.core.build import build, find_class, parameters
from sightseq.core.errors import ConfigError


def make_optimizer(config: Mapping[str, Any], groups: list[dict[str, Any]]) -> Optimizer:
    """The optimizer, without weight decay on biases and normalisation.

    Args:
        config: `_target_` and arguments.
        groups: parameter groups with `params`, and where it is not the optimizer's, `lr`.

    Raises:
        ConfigError: the optimizer is refused, or its learning rate is not above 0.
    """
    rate = config.get("lr", 1.0)
    if isinstance(rate, int | float) and rate <= 0:
        raise ConfigError(f"model.optimizer.lr={rate} is not above 0")
    if config.get("weight_decay"):
        large = [group | {"params": [p for p in group["params"] if p.ndim >= 2]} for group in groups]
        small = [group | {"params": [p for p in group["params"] if p.ndim < 2]} for group in groups]
        groups = [group for group in large + [g | {"weight_decay": 0.0} for g in small] if group["params"]]
    return build(config, Optimizer, "model.optimizer", params=groups)


def make_schedule(
    config: Mapping[str, Any], optimizer: Optimizer, total_steps: float, monitor: str, higher_is_better: bool
) -> dict[str, Any]:
    """The schedule, as Lightning's `lr_scheduler` config.

    One that takes `total_steps` is stepped after every optimizer step; ReduceLROnPlateau after every validation, by
    the monitored score; any other after every epoch, unless the config says `interval: step`.

    Args:
        config: `_target_` and arguments.
        optimizer: whose rates it sets.
        total_steps: of the whole training; infinite when only time ends it.
        monitor: the score of a plateau, such as "val/loss".
        higher_is_better: the direction of that score.

    Raises:
        ConfigError: the schedule is refused, or needs a length that is not known.
    """
    arguments = dict(config)
    kind = find_class(arguments.get("_target_"), LRScheduler, "model.scheduler")
    counts = "total_steps" in parameters(kind)
    interval = arguments.pop("interval", "step" if counts else "epoch")
    if interval not in ("step", "epoch"):
        raise ConfigError(f"model.scheduler.interval={interval} is neither step nor epoch")
    if counts and "total_steps" not in arguments and math.isinf(total_steps):
        raise ConfigError(
            f"model.scheduler: {kind.__name__} needs the length of the training: give trainer.max_epochs or "
            "+trainer.max_steps, or choose scheduler=none"
        )
    if "max_lr" in arguments:  # OneCycleLR would give all groups the same rate
        share = arguments["max_lr"] / optimizer.defaults["lr"]
        arguments["max_lr"] = [share * group["lr"] for group in optimizer.param_groups]
    extra: dict[str, Any] = {"optimizer": optimizer}
    if counts:
        extra["total_steps"] = int(total_steps) if math.isfinite(total_steps) else arguments["total_steps"]
    plateau = issubclass(kind, ReduceLROnPlateau)
    if plateau:
        extra["mode"] = "max" if higher_is_better else "min"
    found = {"scheduler": build(arguments, LRScheduler, "model.scheduler", **extra), "interval": interval}
    # Not strict: an epoch without a validation has no score to look at.
    return found | ({"monitor": monitor, "reduce_on_plateau": True, "strict": False} if plateau else {})


def stretch(scheduler: LRScheduler, fresh: Mapping[str, Any]) -> None:
    """Gives a restored schedule the length of a training that was prolonged: from here on its rate is that of a new
    schedule of the new length at the same step. One without `total_steps` has no length, and stays as it was restored.

    Args:
        scheduler: restored from a checkpoint.
        fresh: its `state_dict()` before that, of the new length.
    """
    restored = scheduler.state_dict()
    if restored.get("total_steps") == fresh.get("total_steps"):
        return
    # One step back and forth, which sets the rate of each parameter group.
    steps = {key: restored[key] - 1 for key in ("last_epoch", "_step_count")}
    scheduler.load_state_dict({**fresh, "_last_lr": restored["_last_lr"], **steps})
    scheduler.step()


def has_dropout(net: nn.Module) -> bool:
    """Whether a part of the network drops values in training: by its probability `p`, or what it calls dropout."""
    for module in net.modules():
        for name, value in vars(module).items():
            if name == "p" or "dropout" in name:
                rates = value if isinstance(value, list | tuple) else [value]
                if any(isinstance(rate, float) and 0 < rate <= 1 for rate in rates):
                    return True
    return False
