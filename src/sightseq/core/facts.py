"""Facts about a run for the report: what ran, on which data and hardware, and when."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def facts(results: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return labels and texts; facts that are not known are left out.

    Args:
        results: content of results.json.
        baselines: baselines of the results, by the names shown in the report.
    """
    seconds, hardware, data, versions = (results.get(key) or {} for key in ("seconds", "hardware", "data", "versions"))
    splits = {"train": "training", "val": "validation", "test": "test"}
    sizes = _join(*(f"{data[split]:,} {name}" for split, name in splits.items() if data.get(split)))
    counts = [f"{value:,} {key}" for key, value in data.items() if type(value) is int and key not in splits]
    fits = {name: _duration(baseline.get("seconds")) for name, baseline in baselines.items()}
    texts = {
        "Finished": _date(results.get("finished")),
        "Commit": results.get("commit") or "not recorded",
        "Seed": results.get("seed"),
        "Epochs": results.get("epochs"),
        "Time": _join(
            _with(_duration(seconds.get("fit")), "of training"), _with(_duration(seconds.get("total")), "in all")
        ),
        "Baselines": _join(*(_with(time, f"for {name}") for name, time in fits.items())),
        "Parameters": None if results.get("parameters") is None else f"{results['parameters']:,}",
        "Precision": results.get("precision"),
        "Hardware": _join(
            hardware.get("cpu"),
            _with(hardware.get("cores"), "cores"),
            _with(hardware.get("memory_gib"), "GiB of memory"),
            _with(hardware.get("accelerator"), "as accelerator"),
        ),
        "Data": _join(data.get("name"), _with(sizes, data.get("counted", "samples")), *counts),
        "Licence": data.get("licence"),
        "Versions": _join(*(f"{name} {version}" for name, version in versions.items())),
    }
    return [(label, str(text)) for label, text in texts.items() if text not in (None, "")]


def _with(value: object, words: str) -> str:
    return f"{value} {words}" if value else ""


def _join(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _duration(seconds: float | None) -> str | None:
    """Format seconds in at most two units: "35 s", "2 min 5 s", "3 h 20 min"."""
    if seconds is None:
        return None
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, remainder = divmod(round(seconds), 60)
    return f"{minutes} min {remainder} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _date(text: str | None) -> str | None:
    """Format an ISO 8601 time for the reader; return any other text unchanged."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return text
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or ''}".strip()
