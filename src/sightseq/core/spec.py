"""What the data says of itself: the numbers that size a model and turn its output into words.

A spec is computed from the training split when data is prepared, travels into the model as a plain
dictionary, and is stored in every checkpoint. It knows no config, no file and no network.
"""

from abc import ABC, abstractmethod
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.errors import CheckpointError


@dataclass(frozen=True)
class Spec(ABC):
    """The base of all specs: frozen plain values, with a `kind` that names the class in a dictionary."""

    kind: ClassVar[str] = ""
    kinds: ClassVar[dict[str, type["Spec"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Spec.kinds[cls.kind] = cls

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: what JSON and a checkpoint can hold."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Spec":
        """The spec that `to_dict` gave these values.

        Raises:
            CheckpointError: the kind is unknown or the values are not its fields.
        """
        cls = Spec.kinds.get(str(values.get("kind")))
        known = fields(cls) if cls else ()
        needed = {one.name for one in known if one.default is MISSING}
        if cls is None or not needed <= set(values) - {"kind"} <= {one.name for one in known}:
            raise CheckpointError(f"no spec of kind {values.get('kind')!r} with the fields {sorted(values)} is known")
        return cls(**{name: _frozen(value) for name, value in values.items() if name != "kind"})

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

    kind: ClassVar[str] = "image"
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

    kind: ClassVar[str] = "text"
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

    kind: ClassVar[str] = "language"
    tokenizer: str = field(repr=False)
    vocab_size: int

    def difference(self, other: Spec) -> str:
        """None: the tokenizer is the model's own, and reads any text."""
        return "" if isinstance(other, LanguageSpec) else super().difference(other)

    def net_arguments(self) -> dict[str, Any]:
        """`vocab_size`."""
        return {"vocab_size": self.vocab_size}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
