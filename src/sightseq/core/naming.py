"""How scores are formatted, and which of two values is better. Imports nothing heavy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ScoreInfo:
    """How to format and rank the values of a score; results.json stores this for each score under "metrics".

    Attributes:
        title: human-readable name, such as "top-3 accuracy".
        higher_is_better: whether a higher value is better.
        percent: whether the values lie in 0..1 and are shown as percentages.
        digits: digits after the decimal point in a mean over several runs; None: they depend on the value.
    """

    title: str
    higher_is_better: bool
    percent: bool = False
    digits: int | None = None

    def text(self, value: float | None) -> str:
        """Format a value as a percentage, a count, or a number of about four digits; a dash for None and NaN."""
        if value is None or math.isnan(value):
            return "\N{EN DASH}"
        if self.percent:
            return f"{value:.2%}"  # the second decimal is one sample of 10,000
        if isinstance(value, int):
            return f"{value:,}"
        if 0.001 <= abs(value) < 10 or value == 0:
            return f"{value:.3f}"
        if 10 <= abs(value) < 100:
            return f"{value:.2f}"
        return f"{value:,.1f}" if 100 <= abs(value) < 1e6 else f"{value:.2e}"

    def mean_std_text(self, mean: float, std: float) -> str:
        """Format the mean of several runs, such as "98.80 ± 0.12 %"; without ± if std is NaN, as for one run."""
        digits = 4 if abs(mean) < 10 else 2
        unit = ""
        if self.percent:
            mean, std, digits, unit = 100 * mean, 100 * std, 2, " %"
        digits = digits if self.digits is None else self.digits
        spread = "" if math.isnan(std) else f" ± {std:.{digits}f}"
        return f"{mean:.{digits}f}{spread}{unit}"

    def best(self, values: Mapping[str, float | None]) -> str | None:
        """Return the key of the best value; None if no value is finite."""
        finite = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
        return (max if self.higher_is_better else min)(finite, key=finite.__getitem__, default=None)


SECONDS = ScoreInfo("seconds", higher_is_better=False, digits=0)


def score_infos(results: Mapping[str, Any]) -> dict[str, ScoreInfo]:
    """Return the `ScoreInfo` of each score by name, from the content of a results.json."""
    return {name: ScoreInfo(**info) for name, info in (results.get("metrics") or {}).items()}


def network_name(net: object) -> str:
    """Return the name of the class; for a class that stands for many networks, its attribute `name`."""
    return str(getattr(net, "name", type(net).__name__))
