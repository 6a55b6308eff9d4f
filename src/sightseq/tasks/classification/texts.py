"""One label for each text."""

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sightseq.core.blocks import Block, Passage, PassagesBlock
from sightseq.core.loading import Batch
from sightseq.core.scores import Output
from sightseq.tasks.classification.attribution import token_weights
from sightseq.tasks.classification.task import SHOWN, ClassificationTask, two_logits
from sightseq.text.batch import pad
from sightseq.text.spec import TextSpec
from sightseq.text.tokenizer import Tokenizer, fit

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

LONGEST = 120  # tokens of a text in the report


class TextClassificationTask(ClassificationTask):
    """Classification of texts: `input` [B, T] of token ids and `length` [B].

    Args:
        classification: see `ClassificationTask`. The network maps tokens and lengths to logits [B, num_classes]; it is
            given `vocab_size` and `num_classes`.
    """

    net_kind: ClassVar[str] = "text"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "ignores_padding"})
    spec: TextSpec

    @classmethod
    def example(cls) -> tuple[TextSpec, Batch]:
        """Six texts of three to eight words, of two classes."""
        tokenizer = fit(["a good film the actors are fine", "a bad film the story was dull"] * 2, "words", 100)
        generator = torch.Generator().manual_seed(0)
        rows = [torch.randint(2, tokenizer.vocab_size, (count,), generator=generator).tolist() for count in range(3, 9)]
        spec = TextSpec(tokenizer.json, tokenizer.vocab_size, ("bad", "good"), (3, 3), max_tokens=20)
        return spec, {**pad(rows, spec.max_tokens), "target": torch.arange(6) % 2, "index": torch.arange(6)}

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Texts, files of lines or tables to labels."""
        from sightseq.tasks.classification.predict_texts import TextPredictor

        return TextPredictor

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Of the spec."""
        return Tokenizer(self.spec.tokenizer)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """[B, T] and [B] to logits [B, num_classes]."""
        return two_logits(self.net(tokens, lengths))

    def logits(self, batch: Batch) -> Tensor:
        """Of the tokens."""
        logits: Tensor = self(batch["input"], batch["length"])
        return logits

    def plot_batch(self, batch: Batch) -> list[str]:
        """The texts as the network sees them, each after the name of its class."""
        rows = {name: tensor[:SHOWN].cpu() for name, tensor in batch.items()}
        truths = [self.spec.classes[label] for label in rows["target"].tolist()]
        return [f"{truth}: {''.join(words)}" for truth, words in zip(truths, self._pieces(rows), strict=True)]

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """As for all classifiers; the texts of all batches are filled up to one length."""
        room = self.spec.max_tokens - batch["input"].shape[1]
        super().collect_examples({**batch, "input": F.pad(batch["input"], (0, room))}, output)

    def examples(self, title: str, rows: Batch, caption: str) -> Block:
        """The texts as the network sees them; long ones without their middle."""
        passages = []
        for label, words in zip(self.labels(rows), self._pieces(rows), strict=True):
            shown = words if len(words) <= LONGEST else [*words[: LONGEST // 2], "[...] ", *words[-LONGEST // 2 :]]
            passages.append(_passage(label, [(word, 0.0) for word in shown]))
        return PassagesBlock(title, passages, caption=caption)

    def explanation(self, rows: Batch) -> Block | None:
        """The words that mattered; nothing where the network has no embedding."""
        tokens = rows["input"][:, : int(rows["length"].max())]
        weights = token_weights(self, tokens, rows["length"], rows["probabilities"].argmax(dim=1))
        if weights is None:
            return None
        passages = [
            _passage(label, list(zip(words, row, strict=False)))  # a row goes on after the text
            for label, words, row in zip(self.labels(rows), self._pieces(rows), weights.tolist(), strict=True)
        ]
        caption = (
            "Blue: what spoke for the prediction; red: what spoke against it (integrated gradients, Sundararajan et "
            "al., 2017). Samples chosen at random, then the most confident mistakes."
        )
        return PassagesBlock("The words that mattered", passages, caption=caption)

    def _pieces(self, rows: Batch) -> list[list[str]]:
        found = zip(rows["input"].tolist(), rows["length"].tolist(), strict=True)
        return [self.tokenizer.pieces(token_ids[:length]) for token_ids, length in found]


def _passage(label: tuple[str, float, str], words: list[tuple[str, float]]) -> Passage:
    """A text with its prediction, and where that is wrong the truth."""
    guess, probability, truth = label
    wrong = guess != truth
    row = f"{'✗' if wrong else '✓'} {guess} ({probability:.0%})"
    return Passage(f"{row}, truth: {truth}" if wrong else row, words, wrong)
