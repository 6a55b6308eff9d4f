"""What the data says of itself: the numbers that size a model and turn its output into words.

A spec is computed from the training split when data is prepared, travels into the model as a plain
dictionary, and is stored in every checkpoint. It knows no config, no file and no network.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from inspect import get_annotations
from typing import Any

from sightseq.core.build import build
from sightseq.core.errors import CheckpointError, ConfigError


@dataclass(frozen=True)
class Spec(ABC):
    """The base of all specs: frozen plain values, and other specs. As a dictionary it names its class as `_target_`."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: what JSON and a checkpoint can hold."""
        target = f"{type(self).__module__}.{type(self).__qualname__}"
        return {"_target_": target} | {one.name: _plain(getattr(self, one.name)) for one in fields(self)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Spec":
        """The spec that `to_dict` gave these values.

        Raises:
            CheckpointError: the class is no spec or not from a trusted package, or the values are not its fields.
        """
        if "_target_" not in values:
            raise CheckpointError("the spec names no class: it is of an older version; train anew with this one")
        try:
            return build({name: _restored(value) for name, value in values.items()}, Spec, "spec")
        except ConfigError as error:
            raise CheckpointError(str(error)) from error

    def difference(self, other: "Spec") -> str:
        """Why a model of this spec cannot read data of the other; empty if it can."""
        return "" if self == other else f"it was trained on {self}, and the data is {other}"

    @abstractmethod
    def net_arguments(self) -> dict[str, Any]:
        """What a network that fits this data may ask for by name in its `__init__`.

        One number may stand under several names: what a classifier's network calls `num_classes` is `out_features` or
        `out_channels` to another, and a spec that offers all of them can use either. A network is given those that it
        names.
        """

    def summary(self) -> dict[str, Any]:
        """Plain values for the terminal and results.json, such as {"classes": 10}."""
        return {}

    def metadata(self) -> dict[str, str]:
        """What a program needs that runs an exported file: how inputs are made, and what outputs mean; JSON by name."""
        return {}


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.to_dict()
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, tuple | list) else value


def _restored(value: Any) -> Any:
    """The inverse of `_plain`; lists become tuples. Other dataclasses are made where a field asks for one."""
    if isinstance(value, Mapping):
        inner = {name: _restored(one) for name, one in value.items()}
        return Spec.from_dict(inner) if "_target_" in value else inner
    return tuple(map(_restored, value)) if isinstance(value, tuple | list) else value


def check_kind(task: type, spec: Spec) -> None:
    """Compares a spec with a task's own annotation, `spec: ImageSpec`.

    Raises:
        ConfigError: the data is of another kind.
    """
    wanted = next((hints["spec"] for c in task.__mro__ if "spec" in (hints := get_annotations(c))), Spec)
    if not isinstance(wanted, str) and not isinstance(spec, wanted):
        names = " or ".join(one.__name__ for one in getattr(wanted, "__args__", (wanted,)))
        raise ConfigError(
            f"model: {task.__name__} takes data with {names}, and this data has {type(spec).__name__}; "
            "choose a model= and a data= of one kind"
        )
