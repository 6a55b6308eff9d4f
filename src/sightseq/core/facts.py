"""What ran, on what, when and where, as the report says it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def facts(results: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Labels and texts, without those that are not known.

    Args:
        results: what results.json holds.
        baselines: those of the results, by the names that a reader sees.
    """
    seconds, hardware, data, versions = (results.get(key) or {} for key in ("seconds", "hardware", "data", "versions"))
    splits = {"train": "training", "val": "validation", "test": "test"}
    sizes = _join(*(f"{data[split]:,} {name}" for split, name in splits.items() if data.get(split)))
    counts = [f"{value:,} {key}" for key, value in data.items() if type(value) is int and key not in splits]
    fits = {name: _duration(found.get("seconds")) for name, found in baselines.items()}
    found = {
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
    return [(label, str(text)) for label, text in found.items() if text not in (None, "")]


def _with(value: object, words: str) -> str:
    return f"{value} {words}" if value else ""


def _join(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _duration(seconds: float | None) -> str | None:
    """In the two largest units that fit: "35 s", "2 min 5 s", "3 h 20 min"."""
    if seconds is None:
        return None
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _date(text: str | None) -> str | None:
    """An ISO 8601 time as one reads it; what is none stays as it is."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return text
    return f"{time.day} {time:%B %Y, %H:%M} {time.tzname() or ''}".strip()
