"""Specs of text data."""

import json
from dataclasses import dataclass, field
from typing import Any

from sightseq.core.errors import CheckpointError
from sightseq.core.spec import LabelledSpec, Spec
from sightseq.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextSpec(LabelledSpec):
    """Texts with one label each.

    Attributes:
        tokenizer: the tokenizer as JSON: see `text.tokenizer`.
        vocab_size: number of token ids; 0 is padding, 1 is an unknown token.
        classes: the name of each label, in the order of the logits.
        counts: number of training samples of each class; empty if unknown.
        max_tokens: a longer text is truncated in the middle.
    """

    tokenizer: str = field(repr=False)
    vocab_size: int
    classes: tuple[str, ...]
    counts: tuple[int, ...] = ()
    max_tokens: int = 1000

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise CheckpointError(f"the spec has max_tokens={self.max_tokens}; at least 2 are needed")

    def difference(self, other: Spec) -> str:
        """Compare the classes only: the data is encoded with the model's own tokenizer."""
        if not isinstance(other, TextSpec):
            return super().difference(other)
        if self.classes == other.classes:
            return ""
        return f"it knows the classes {', '.join(self.classes)}, and the data has {', '.join(other.classes)}"

    def net_arguments(self) -> dict[str, Any]:
        """Return `vocab_size` and `num_classes`."""
        return {"vocab_size": self.vocab_size, "num_classes": len(self.classes)}

    def summary(self) -> dict[str, Any]:
        """Return the number of classes."""
        return {"classes": len(self.classes)}

    def metadata(self) -> dict[str, str]:
        """Return `labels`, `tokenizer`, and `preprocessing` with `max_tokens`."""
        return {
            "labels": json.dumps(self.classes, ensure_ascii=False),
            "preprocessing": json.dumps({"max_tokens": self.max_tokens}),
            "tokenizer": self.tokenizer,
        }


@dataclass(frozen=True)
class LanguageSpec(Spec):
    """Texts for a language model.

    Attributes:
        tokenizer: the tokenizer as JSON: see `text.tokenizer`.
        vocab_size: number of token ids; 0 ends a document, 1 is an unknown token.
    """

    tokenizer: str = field(repr=False)
    vocab_size: int

    def difference(self, other: Spec) -> str:
        """Return no difference between texts: the model's own tokenizer reads any text."""
        return "" if isinstance(other, LanguageSpec) else super().difference(other)

    def net_arguments(self) -> dict[str, Any]:
        """Return `vocab_size`."""
        return {"vocab_size": self.vocab_size}

    def metadata(self) -> dict[str, str]:
        """Return `labels` (the tokens as text), `tokenizer`, and an empty `preprocessing`."""
        tokenizer = Tokenizer(self.tokenizer)
        labels = [tokenizer.decode([token_id]) for token_id in range(self.vocab_size)]
        return {
            "labels": json.dumps(labels, ensure_ascii=False),
            "preprocessing": json.dumps({}),
            "tokenizer": self.tokenizer,
        }
