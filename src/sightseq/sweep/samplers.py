"""Samplers and pruners by name. Imports Optuna; loaded when a search starts."""

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from sightseq.core.errors import ConfigError, nearest
from sightseq.core.extras import require
from sightseq.sweep.space import Space, from_unit

T = TypeVar("T")
SAMPLERS: Mapping[str, type[BaseSampler] | None] = {
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
    "gp": optuna.samplers.GPSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "quasi_random": None,
    "grid": None,
}
"""Samplers by name; None for those whose n-th trial depends on nothing but n: see `fixed_point`."""
PRUNERS: Mapping[str, type[BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
}


def check_sampler(name: str) -> None:
    """Check that there is a sampler of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SAMPLERS:
        raise ConfigError(f"sweep.sampler={name}: there is no such sampler; {nearest(name, SAMPLERS)}")


def make_sampler(name: str, arguments: Mapping[str, Any], seed: int, number: int) -> BaseSampler | None:
    """Return the sampler of one trial, seeded from (seed, number), or None: see `SAMPLERS`.

    A sampler that lived longer would continue its random numbers, so a resumed search would suggest other values.

    Raises:
        ConfigError: the sampler has no such argument, or refuses its value.
    """
    kind = SAMPLERS[name]
    if kind is None:
        if arguments:
            raise ConfigError(f"sweep.sampler_args: the sampler {name} takes no arguments")
        return None
    if name == "gp":
        require("torch", "sweep")
    digest = hashlib.sha256(f"{seed} {number}".encode()).digest()
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        return _build(kind, arguments, "sampler_args", seed=int.from_bytes(digest[:4]))


def make_pruner(name: str, arguments: Mapping[str, Any], epochs: int | None = None) -> BasePruner:
    """Return a pruner.

    Args:
        name: a key of `PRUNERS`.
        arguments: further arguments of the class; steps are epochs, counted from 1.
        epochs: length of a training, if it is known before the first one ends.

    Raises:
        ConfigError: there is no such pruner, or it refuses an argument.
    """
    if name not in PRUNERS:
        raise ConfigError(f"sweep.pruner={name}: there is no such pruner; {nearest(name, PRUNERS)}")
    known = {"max_resource": epochs} if name == "hyperband" and epochs else {}
    return _build(PRUNERS[name], {**known, **arguments}, "pruner_args")


def _build(kind: type[T], arguments: Mapping[str, Any], key: str, **extra: Any) -> T:
    try:
        return kind(**{**extra, **arguments})
    except (TypeError, ValueError) as error:
        text = " ".join(str(error).split()).replace(f"{kind.__name__}.__init__()", kind.__name__)
        raise ConfigError(f"sweep.{key}: {text}") from error


def fixed_point(name: str, space: Space, number: int, seed: int) -> dict[str, Any]:
    """Return the values of trial `number` of the sampler "grid" or "quasi_random".

    The latter is a scrambled Sobol sequence (Owen, 1998), whose points cover the space more evenly than random ones.
    """
    if name == "grid":
        return space.grid()[number]
    if not space.searched:
        return {}
    from scipy.stats.qmc import Sobol

    sequence = Sobol(len(space.searched), scramble=True, rng=seed)
    if number:
        sequence.fast_forward(number)
    with warnings.catch_warnings(action="ignore"):  # it is balanced only over 2^n points
        point = sequence.random(1)[0]
    return {key: from_unit(one, float(u)) for (key, one), u in zip(space.searched.items(), point, strict=True)}
