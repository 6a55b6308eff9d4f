"""The spec of a dataset: the values that size a model, encode its inputs and decode its outputs.

A spec is computed from the training split when data is prepared, is passed to the model as a plain dictionary, and is
stored in every checkpoint. It does not depend on a config, a file or a network.
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
    """Base class of all specs: frozen plain values and nested specs. Its dictionary names its class as `_target_`."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values only, for JSON and checkpoints."""
        target = f"{type(self).__module__}.{type(self).__qualname__}"
        return {"_target_": target} | {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Spec":
        """Rebuild the spec from the values of `to_dict`.

        Raises:
            CheckpointError: the class is not a spec or not from a trusted package, or the values do not fit its
                fields.
        """
        if "_target_" not in values:
            raise CheckpointError(
                "the spec names no class: it is of an older version; train the model again with this version"
            )
        try:
            return build({name: _restored(value) for name, value in values.items()}, Spec, "spec")
        except ConfigError as error:
            raise CheckpointError(str(error)) from error

    def difference(self, other: "Spec") -> str:
        """Return why a model with this spec cannot read data with the other one; empty if it can."""
        return "" if self == other else f"it was trained on {self}, but the data is {other}"

    @abstractmethod
    def net_arguments(self) -> dict[str, Any]:
        """Return the values that a network for this data may take as arguments of its `__init__`, by name.

        A value may have several names: `num_classes` of one network is `out_features` or `out_channels` of another, and
        a spec that offers all of them works with each. A network gets only the arguments that it names.
        """

    def summary(self) -> dict[str, Any]:
        """Return plain values for the terminal and results.json, such as {"classes": 10}."""
        return {}

    def metadata(self) -> dict[str, str]:
        """Return how to encode the inputs of an exported file and what its outputs mean, as JSON texts by name."""
        return {}


class LabelledSpec(Spec):
    """Base class of the specs of data with one label per sample; a subclass has these fields.

    Attributes:
        classes: the name of each label, in the order of the logits.
        counts: number of training samples of each class; empty if unknown.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.to_dict()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, tuple | list) else value


def _restored(value: Any) -> Any:
    """Invert `_plain`; lists become tuples.

    `build` makes specs and other dataclasses where a field is annotated with one. In a field `dict[str, Any]`, a
    mapping with a `_target_`, such as the config of a module, stays a mapping.
    """
    if isinstance(value, Mapping):
        return {name: _restored(item) for name, item in value.items()}
    return tuple(map(_restored, value)) if isinstance(value, tuple | list) else value


def check_spec_type(task: type, spec: Spec) -> None:
    """Check that a spec is of the class that the task annotates, such as `spec: ImageSpec`.

    Raises:
        ConfigError: the data is of another kind.
    """
    expected = next((hints["spec"] for c in task.__mro__ if "spec" in (hints := get_annotations(c))), Spec)
    if not isinstance(expected, str) and not isinstance(spec, expected):
        names = " or ".join(kind.__name__ for kind in getattr(expected, "__args__", (expected,)))
        raise ConfigError(
            f"model: {task.__name__} takes data with {names}, but this data has {type(spec).__name__}; "
            "choose a model= and a data= of the same kind"
        )
