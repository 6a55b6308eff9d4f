"""Builds optimizers and learning rate schedules from their configs, in the form that the Trainer expects."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from sightseq.core.build import build, find_class, parameters
from sightseq.core.errors import ConfigError


def make_optimizer(config: Mapping[str, Any], groups: list[dict[str, Any]]) -> Optimizer:
    """Build the optimizer, without weight decay on biases and normalisation layers.

    Args:
        config: `_target_` and arguments.
        groups: parameter groups with `params`, and with `lr` if it differs from the optimizer's.

    Raises:
        ConfigError: the optimizer is refused, or its learning rate is not above 0.
    """
    lr = config.get("lr", 1.0)
    if isinstance(lr, int | float) and lr <= 0:
        raise ConfigError(f"model.optimizer.lr={lr} is not above 0")
    if config.get("weight_decay"):
        decay = [group | {"params": [p for p in group["params"] if decays(p)]} for group in groups]
        no_decay = [group | {"params": [p for p in group["params"] if not decays(p)]} for group in groups]
        groups = [group for group in decay + [g | {"weight_decay": 0.0} for g in no_decay] if group["params"]]
    return build(config, Optimizer, "model.optimizer", params=groups)


def remember_decay(module: nn.Module) -> None:
    """Remember which weights decay: FSDP later cuts all of them into flat pieces."""
    for parameter in module.parameters():
        parameter.sightseq_decays = parameter.ndim >= 2  # type: ignore[attr-defined]


def decays(parameter: Tensor) -> bool:
    """Return whether weight decay applies: not to biases and the weights of normalisation layers."""
    return bool(getattr(parameter, "sightseq_decays", parameter.ndim >= 2))


def make_schedule(
    config: Mapping[str, Any], optimizer: Optimizer, total_steps: float, monitor: str, higher_is_better: bool
) -> dict[str, Any]:
    """Build the schedule, as Lightning's `lr_scheduler` config.

    A schedule that takes `total_steps` is stepped after every optimizer step; ReduceLROnPlateau after every
    validation, with the monitored score; any other after every epoch, unless the config says `interval: step`.

    Args:
        config: `_target_` and arguments.
        optimizer: the optimizer whose learning rates the schedule sets.
        total_steps: optimizer steps of the whole training; infinite if only time limits it.
        monitor: the score that ReduceLROnPlateau reads, such as "val/loss".
        higher_is_better: whether a higher score is better.

    Raises:
        ConfigError: the schedule is refused, or needs a length of the training that is unknown.
    """
    arguments = dict(config)
    kind = find_class(arguments.get("_target_"), LRScheduler, "model.scheduler")
    takes_steps = "total_steps" in parameters(kind)
    interval = arguments.pop("interval", "step" if takes_steps else "epoch")
    if interval not in ("step", "epoch"):
        raise ConfigError(f"model.scheduler.interval={interval} is neither step nor epoch")
    if takes_steps and "total_steps" not in arguments and math.isinf(total_steps):
        raise ConfigError(
            f"model.scheduler: {kind.__name__} needs the length of the training: give trainer.max_epochs or "
            "+trainer.max_steps, or choose scheduler=none"
        )
    if "max_lr" in arguments:  # OneCycleLR would give all groups the same learning rate
        factor = arguments["max_lr"] / optimizer.defaults["lr"]
        arguments["max_lr"] = [factor * group["lr"] for group in optimizer.param_groups]
    extra: dict[str, Any] = {"optimizer": optimizer}
    if takes_steps:
        extra["total_steps"] = int(total_steps) if math.isfinite(total_steps) else arguments["total_steps"]
    plateau = issubclass(kind, ReduceLROnPlateau)
    if plateau:
        extra["mode"] = "max" if higher_is_better else "min"
    schedule = {"scheduler": build(arguments, LRScheduler, "model.scheduler", **extra), "interval": interval}
    # Not strict: an epoch without validation has no score.
    return schedule | ({"monitor": monitor, "reduce_on_plateau": True, "strict": False} if plateau else {})


def adapt_length(scheduler: LRScheduler, fresh: Mapping[str, Any]) -> None:
    """Adapt a restored schedule to the new length of a prolonged training.

    From the current step on, the learning rate is that of a new schedule of the new length at the same step. A
    schedule without `total_steps` has no length and stays as it was restored.

    Args:
        scheduler: the schedule, restored from a checkpoint.
        fresh: its `state_dict()` before it was restored, with the new length.
    """
    restored = scheduler.state_dict()
    if restored.get("total_steps") == fresh.get("total_steps"):
        return
    # Go back one step and step again: this sets the learning rate of each parameter group.
    steps = {key: restored[key] - 1 for key in ("last_epoch", "_step_count")}
    scheduler.load_state_dict({**fresh, "_last_lr": restored["_last_lr"], **steps})
    scheduler.step()


def peak_rate(group: dict[str, Any]) -> float:
    """Return the learning rate of a parameter group that its schedule starts from, or reaches with OneCycleLR."""
    return float(group.get("max_lr", group.setdefault("initial_lr", group["lr"])))


def has_dropout(net: nn.Module) -> bool:
    """Return whether a module drops values in training: `p` or an attribute named like "dropout" is in (0, 1]."""
    for module in net.modules():
        for name, value in vars(module).items():
            if name == "p" or "dropout" in name:
                rates = value if isinstance(value, list | tuple) else [value]
                if any(isinstance(rate, float) and 0 < rate <= 1 for rate in rates):
                    return True
    return False
