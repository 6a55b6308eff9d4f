"""What texts say of themselves."""

import json
from dataclasses import dataclass, field
from typing import Any

from sightseq.core.errors import CheckpointError
from sightseq.core.spec import Spec
from sightseq.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextSpec(Spec):
    """Texts with one label each.

    Attributes:
        tokenizer: what turns a text into token ids and back, as JSON: see `text.tokenizer`.
        vocab_size: how many token ids there are; 0 fills short rows up, 1 stands for what is unknown.
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

    def summary(self) -> dict[str, Any]:
        """The number of classes."""
        return {"classes": len(self.classes)}

    def metadata(self) -> dict[str, str]:
        """`labels`, `tokenizer`, and as `preprocessing` the most tokens of a text."""
        return {
            "labels": json.dumps(self.classes, ensure_ascii=False),
            "preprocessing": json.dumps({"max_tokens": self.max_tokens}),
            "tokenizer": self.tokenizer,
        }


@dataclass(frozen=True)
class LanguageSpec(Spec):
    """A language.

    Attributes:
        tokenizer: what turns a text into token ids and back, as JSON: see `text.tokenizer`.
        vocab_size: how many token ids there are; 0 ends a document, 1 stands for what is unknown.
    """

    tokenizer: str = field(repr=False)
    vocab_size: int

    def difference(self, other: Spec) -> str:
        """None: the tokenizer is the model's own, and reads any text."""
        return "" if isinstance(other, LanguageSpec) else super().difference(other)

    def net_arguments(self) -> dict[str, Any]:
        """`vocab_size`."""
        return {"vocab_size": self.vocab_size}

    def metadata(self) -> dict[str, str]:
        """`labels`, which are the tokens as text, `tokenizer`, and an empty `preprocessing`."""
        tokenizer = Tokenizer(self.tokenizer)
        labels = [tokenizer.decode([number]) for number in range(self.vocab_size)]
        return {
            "labels": json.dumps(labels, ensure_ascii=False),
            "preprocessing": json.dumps({}),
            "tokenizer": self.tokenizer,
        }
