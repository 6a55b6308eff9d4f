"""How scores are written for people, and which of two values is the better one. Imports nothing heavy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ScoreInfo:
    """What it takes to print and to rank the values of a score; results.json holds it for each score under "metrics".

    Attributes:
        title: the name as people read it: "top-3 accuracy".
        higher_is_better: the direction.
        percent: the values lie in 0..1 and are read as a percentage.
        digits: after the point, in a mean over several runs; None fits them to the value.
    """

    title: str
    higher_is_better: bool
    percent: bool = False
    digits: int | None = None

    def text(self, value: float | None) -> str:
        """A value as one reads it: a percentage, a count, or a number of about four digits; a dash for None and nan."""
        if value is None or math.isnan(value):
            return "\N{EN DASH}"
        if self.percent:
            return f"{value:.2%}"  # two decimals: on 10,000 samples the second is one of them
        if isinstance(value, int):
            return f"{value:,}"
        if 0.001 <= abs(value) < 10 or value == 0:
            return f"{value:.3f}"
        return f"{value:,.1f}" if 10 <= abs(value) < 1e6 else f"{value:.2e}"

    def mean_std_text(self, mean: float, std: float) -> str:
        """Several runs in one text: "98.80 ± 0.12 %"; without ± where std is nan, as it is of one run."""
        digits = 4 if abs(mean) < 10 else 2
        unit = ""
        if self.percent:
            mean, std, digits, unit = 100 * mean, 100 * std, 2, " %"
        digits = digits if self.digits is None else self.digits
        spread = "" if math.isnan(std) else f" ± {std:.{digits}f}"
        return f"{mean:.{digits}f}{spread}{unit}"

    def best(self, values: Mapping[str, float | None]) -> str | None:
        """The key of the best value; None if no value is a finite number."""
        finite = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
        return (max if self.higher_is_better else min)(finite, key=finite.__getitem__, default=None)


SECONDS = ScoreInfo("seconds", higher_is_better=False, digits=0)


def score_infos(results: Mapping[str, Any]) -> dict[str, ScoreInfo]:
    """Of each score by name, from the content of a results.json."""
    return {name: ScoreInfo(**info) for name, info in (results.get("metrics") or {}).items()}


def network_name(net: object) -> str:
    """Its class; where that class stands for many networks, the `name` it gives itself."""
    return str(getattr(net, "name", type(net).__name__))
