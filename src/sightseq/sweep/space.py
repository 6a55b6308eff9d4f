"""The search space of a search, from Hydra's override grammar. Imports Optuna; loaded when a search starts.

model.optimizer.lr=tag(log,interval(1e-4,1e-1))     a float, uniform in its logarithm; both ends included
model.net.dropout=interval(0,0.5)                   a float
model.net.layers=int(interval(1,4))                 1, 2, 3 or 4
data.batch_size=range(32,129,32)                    32, 64, 96 or 128; like Python's range without the end
model/net=image/convnet,image/resnet                a choice: an option of a group, or a value of a key
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sightseq.core.errors import ConfigError

MIN_DIGITS = 4  # significant digits of a suggested float; more if the interval is narrow


@dataclass(frozen=True)
class Space:
    """The overrides of a search: what all trials share, and what is searched.

    Attributes:
        fixed: overrides that all trials share, by key.
        searched: distributions by key. Categorical choices are texts in Hydra's grammar, such as "[64,128]".
        keys: all keys in the order of the overrides, with their prefix: "+model.net.width".
    """

    fixed: dict[str, str] = field(default_factory=dict)
    searched: dict[str, BaseDistribution] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """Return the overrides of one trial.

        Args:
            values: the value of each searched key.
        """
        names = {key: key.lstrip("+") for key in self.keys}
        return [self.fixed.get(name) or f"{key}={values[name]}" for key, name in names.items()]

    def grid(self) -> list[dict[str, Any]]:
        """Return all combinations of values; the last key varies fastest.

        Raises:
            ConfigError: a key has infinitely many values.
        """
        values = {name: discrete_values(name, distribution) for name, distribution in self.searched.items()}
        return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


def parse_space(overrides: Sequence[Override]) -> Space:
    """Return the space of the parsed overrides; if a key occurs several times, the last one counts.

    Raises:
        ConfigError: an override describes no valid range of values, or a key occurs with and without `+`.
    """
    space = Space()
    for override in overrides:
        key = override.get_key_element()
        name = key.lstrip("+")
        for other in [other for other in space.keys if other.lstrip("+") == name]:
            if other != key:
                raise ConfigError(f"{other} and {key} are the same key: write it once")
            space.fixed.pop(name, None)
            space.searched.pop(name, None)
            space.keys.remove(other)
        space.keys.append(key)
        if override.is_sweep_override():
            space.searched[name] = to_distribution(override)
        else:
            space.fixed[name] = override.input_line or key
    return space


def check_repeats(overrides: Sequence[Override]) -> None:
    """Check that no searched key is given twice on one command line.

    Raises:
        ConfigError: one is.
    """
    first: dict[str, Override] = {}
    for override in overrides:
        other = first.setdefault(override.get_key_element().lstrip("+"), override)
        if other is not override and (other.is_sweep_override() or override.is_sweep_override()):
            raise ConfigError(f"{other.input_line} and {override.input_line}: give each key once")


def to_distribution(override: Override) -> BaseDistribution:
    """Return the distribution of a swept value.

    Raises:
        ConfigError: the bounds, the step, the tags or the choices are invalid.
    """
    typed, value = override.input_line, override.value()
    tags = set(getattr(value, "tags", ()))
    if tags - {"log"}:
        raise ConfigError(f"{typed}: the only tag of a search is log, not {', '.join(sorted(tags - {'log'}))}")
    if tags and not isinstance(value, IntervalSweep):
        raise ConfigError(f"{typed}: log needs an interval, as in tag(log,interval(1e-4,1e-1))")
    if isinstance(value, IntervalSweep):
        # Hydra's grammar demands both bounds.
        low, high, log = cast(float, value.start), cast(float, value.end), bool(tags)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ConfigError(f"{typed}: the first bound of an interval must be below the second")
        if log and low <= 0:
            raise ConfigError(f"{typed}: the bounds of a logarithmic interval must be above 0")
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    if isinstance(value, RangeSweep):
        if not value.step:
            raise ConfigError(f"{typed}: the step of a range must not be 0")
        values = sorted(value.range())
        if not values:
            raise ConfigError(f"{typed}: this range is empty; its end is not part of it")
        step = abs(value.step)
        if all(isinstance(one, int) for one in values):
            return IntDistribution(int(values[0]), int(values[-1]), step=int(step))
        return FloatDistribution(values[0], values[-1], step=step)
    choices = list(override.sweep_string_iterator())
    if not choices:
        raise ConfigError(f"{typed}: there is nothing to choose from")
    if len(set(choices)) < len(choices):
        raise ConfigError(f"{typed}: a choice is listed twice")
    return CategoricalDistribution(choices)


def discrete_values(name: str, distribution: BaseDistribution) -> list[Any]:
    """Return the values of a distribution in ascending order, or the choices in their own order.

    Raises:
        ConfigError: it has infinitely many.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        count = round((distribution.high - distribution.low) / distribution.step) + 1
        return [float(f"{distribution.low + index * distribution.step:.12g}") for index in range(count)]
    raise ConfigError(f"{name}: a grid needs single values, as in {name}=0.1,0.2 or {name}=range(0,1,0.25)")


def from_unit(distribution: BaseDistribution, position: float) -> Any:
    """Return the value at a position in [0, 1): equal lengths hold equal shares of the values."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(position * len(distribution.choices))]
    if isinstance(distribution, IntDistribution) and distribution.log:
        low, high = math.log(distribution.low - 0.5), math.log(distribution.high + 0.5)
        value = round(math.exp(low + position * (high - low)))
        return min(max(value, distribution.low), distribution.high)
    if isinstance(distribution, IntDistribution) or getattr(distribution, "step", None):
        values = discrete_values("", distribution)
        return values[int(position * len(values))]
    interval = cast(FloatDistribution, distribution)
    if interval.log:
        return interval.low * (interval.high / interval.low) ** position
    return interval.low + position * (interval.high - interval.low)


def rounded(value: Any, distribution: BaseDistribution) -> Any:
    """Return a suggested float with few digits, by at most a thousandth of the interval away; others unchanged."""
    if not isinstance(distribution, FloatDistribution):
        return value
    if distribution.step is not None:
        return float(f"{value:.12g}")
    scale = math.log if distribution.log else float
    tolerance = (scale(distribution.high) - scale(distribution.low)) / 1000
    for digits in range(MIN_DIGITS, 17):
        short = float(f"{value:.{digits}g}")
        if distribution.low <= short <= distribution.high and abs(scale(short) - scale(value)) <= tolerance:
            return short
    return value
