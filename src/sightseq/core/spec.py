"""What the data says of itself: the numbers that size a model and turn its output into words.

A spec is computed from the training split when data is prepared, travels into the model as a plain
dictionary, and is stored in every checkpoint. It knows no config, no file and no network.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from inspect import get_annotations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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
        """What a network that fits this data may ask for by name in its `__init__`."""


@dataclass(frozen=True)
class ImageSpec(Spec):
    """Images with one label each.

    Attributes:
        channels: 1 for grey, 3 for RGB.
        height, width: in pixels, as the network sees them.
        classes: the name of each label, in the order of the logits.
        mean, std: of each channel over the training split, on pixel values scaled to 0..1.
        counts: training samples of each class; empty if they are not known.
        margin: pixels that photographs are prepared taller and wider than the network sees them, which looks
            at the centre; training moves about in it.
        subject: what a photograph is cropped to: "centre", or "face", the largest one.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: tuple[int, ...] = ()
    margin: int = 0
    subject: Literal["centre", "face"] = "centre"

    def difference(self, other: Spec) -> str:
        """Another shape or other classes; the statistics of the pixels may differ."""
        if not isinstance(other, ImageSpec):
            return super().difference(other)
        if self.classes != other.classes:
            return f"it knows the classes {', '.join(self.classes)}, and the data has {', '.join(other.classes)}"
        shapes = [" x ".join(map(str, spec.prepared)) for spec in (self, other)]
        return "" if shapes[0] == shapes[1] else f"it was trained on images of {shapes[0]}, and these are {shapes[1]}"

    @property
    def prepared(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of an image before the network crops it: with the margin."""
        return self.channels, self.height + self.margin, self.width + self.margin

    def net_arguments(self) -> dict[str, Any]:
        """`in_channels`, `num_classes` and `image_size` (height, width)."""
        return {
            "in_channels": self.channels,
            "num_classes": len(self.classes),
            "image_size": (self.height, self.width),
        }

    def to_example(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[C, H, W] to what a plot shows: [H, W] for grey, [H, W, 3] for colour."""
        return image[0] if self.channels == 1 else image.transpose(1, 2, 0)


@dataclass(frozen=True)
class TextSpec(Spec):
    """Texts with one label each.

    Attributes:
        tokenizer: what turns a text into numbers and back, as JSON: see `text.tokenizer`.
        vocab_size: how many numbers there are; 0 fills short rows up, 1 stands for what is unknown.
        classes: the name of each label, in the order of the logits.
        counts: training samples of each class; empty if they are not known.
        max_tokens: of a longer text, the middle is left out.
    """

    tokenizer: str = field(repr=False)
    vocab_size: int
    classes: tuple[str, ...]
    counts: tuple[int, ...] = ()
    max_tokens: int = 1000

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise CheckpointError(f"max_tokens={self.max_tokens} of the spec is below 2")

    def difference(self, other: Spec) -> str:
        """Other classes; the tokenizer is the model's own."""
        if not isinstance(other, TextSpec):
            return super().difference(other)
        if self.classes == other.classes:
            return ""
        return f"it knows the classes {', '.join(self.classes)}, and the data has {', '.join(other.classes)}"

    def net_arguments(self) -> dict[str, Any]:
        """`vocab_size` and `num_classes`."""
        return {"vocab_size": self.vocab_size, "num_classes": len(self.classes)}


@dataclass(frozen=True)
class LanguageSpec(Spec):
    """A language.

    Attributes:
        tokenizer: what turns a text into numbers and back, as JSON: see `text.tokenizer`.
        vocab_size: how many numbers there are; 0 ends a document, 1 stands for what is unknown.
    """

    tokenizer: str = field(repr=False)
    vocab_size: int

    def difference(self, other: Spec) -> str:
        """None: the tokenizer is the model's own, and reads any text."""
        return "" if isinstance(other, LanguageSpec) else super().difference(other)

    def net_arguments(self) -> dict[str, Any]:
        """`vocab_size`."""
        return {"vocab_size": self.vocab_size}


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
