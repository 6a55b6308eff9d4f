"""How metrics are called and written for people: the only place that knows them by name."""

import math
import re

_SHARES = {
    "accuracy",
    "precision",
    "recall",
    "f1",
    "iou",
    "dice",
    "auroc",
    "wer",
    "cer",
    "calibration",
    "rate",
    "savings",
}
_LOWER = {"loss", "error", "perplexity", "bits", "nll", "mae", "mse", "rmse", "mape", "smape", "mase", "wer", "cer"}
_UPPER = {"f1", "iou", "auroc", "nll", "mae", "mse", "rmse", "mape", "smape", "mase", "wer", "cer", "bleu", "psnr"}
_TOP = re.compile(r"top(\d+)")


def is_share(metric: str) -> bool:
    """Whether its values lie in 0..1 and are read as a percentage."""
    return any(word in _SHARES or _TOP.fullmatch(word) for word in metric.split("_"))


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value is the better one."""
    return not _LOWER.isdisjoint(metric.split("_"))


def metric_title(metric: str) -> str:
    """The name as one reads it: "top3" is "top-3 accuracy", "f1" is "F1"."""
    if match := _TOP.fullmatch(metric):
        return f"top-{match[1]} accuracy"
    return " ".join(word.upper() if word in _UPPER else word for word in metric.split("_"))


def metric_text(metric: str, value: float | None) -> str:
    """The value as one reads it: a percentage, a count, or a number of about four digits; a dash if there is none."""
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    if is_share(metric):
        return f"{value:.2%}"  # two decimals: on 10,000 samples the second is one of them
    if isinstance(value, int):
        return f"{value:,}"
    if 0.001 <= abs(value) < 10 or value == 0:
        return f"{value:.3f}"
    return f"{value:,.1f}" if 10 <= abs(value) < 1e6 else f"{value:.2e}"


def mean_std_text(metric: str, mean: float, std: float) -> str:
    """Several runs in one text: "98.80 ± 0.12 %"; without ± where there was one run and so no deviation (nan)."""
    if is_share(metric):
        mean, std, digits, unit = 100 * mean, 100 * std, 2, " %"
    else:
        digits, unit = 0 if metric == "seconds" else 4 if abs(mean) < 10 else 2, ""
    spread = "" if math.isnan(std) else f" ± {std:.{digits}f}"
    return f"{mean:.{digits}f}{spread}{unit}"


def network_name(net: object) -> str:
    """Its class; where that class stands for many networks, the `name` it gives itself."""
    return str(getattr(net, "name", type(net).__name__))
