"""Single-label classification of texts."""

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.blocks import Block, Passage, PassagesBlock
from sightseq.core.graph import Axes
from sightseq.core.loading import Batch
from sightseq.core.scores import Output
from sightseq.tasks.classification.attribution import token_weights
from sightseq.tasks.classification.task import SHOWN, ClassificationTask, expand_single_logit
from sightseq.text.batch import pad
from sightseq.text.spec import TextSpec
from sightseq.text.tokenizer import Tokenizer, fit

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor

LONGEST = 120  # tokens of a text in the report; a longer text is truncated in the middle


class TextClassificationTask(ClassificationTask):
    """Classification of texts: `input` [B, T] of token ids and `length` [B].

    Args:
        classification: see `ClassificationTask`. The network maps token ids and lengths to logits [B, num_classes]; it
            receives `vocab_size` and `num_classes`.
    """

    net_kind: ClassVar[str] = "text"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "ignores_padding"})
    graph_inputs: ClassVar[Axes] = {"input": {0: "batch", 1: "tokens"}, "length": {0: "batch"}}
    calibrated: ClassVar[bool] = False
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
        """Return `TextPredictor`: texts, files of lines or tables to labels."""
        from sightseq.tasks.classification.predict_texts import TextPredictor

        return TextPredictor

    def plain(self) -> nn.Module:
        """Return `Classifier` of tokens and their lengths."""
        from sightseq.tasks.classification.plain import classifier

        return classifier(self)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the spec."""
        return Tokenizer(self.spec.tokenizer)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Map token ids [B, T] and lengths [B] to logits [B, num_classes]."""
        return expand_single_logit(self.net(tokens, lengths))

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits [B, num_classes] of the texts."""
        logits: Tensor = self(batch["input"], batch["length"])
        return logits

    def plot_batch(self, batch: Batch) -> list[str]:
        """Return the texts as tokenized, each after the name of its class."""
        rows = {name: tensor[:SHOWN].cpu() for name, tensor in batch.items()}
        truths = [self.spec.classes[label] for label in rows["target"].tolist()]
        return [f"{truth}: {''.join(words)}" for truth, words in zip(truths, self._pieces(rows), strict=True)]

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Pad the texts to `max_tokens`, so that batches can be joined, and keep samples as all classifiers do."""
        padding = self.spec.max_tokens - batch["input"].shape[1]
        super().collect_examples({**batch, "input": F.pad(batch["input"], (0, padding))}, output)

    def examples(self, title: str, rows: Batch, caption: str) -> Block:
        """Return the texts as tokenized; a long text is truncated in the middle."""
        passages = []
        for label, words in zip(self.labels(rows), self._pieces(rows), strict=True):
            shown = words if len(words) <= LONGEST else [*words[: LONGEST // 2], "[...] ", *words[-LONGEST // 2 :]]
            passages.append(_passage(label, [(word, 0.0) for word in shown]))
        return PassagesBlock(title, passages, caption=caption)

    def explanation(self, rows: Batch) -> Block | None:
        """Return the texts with each word marked by its weight; None if the network has no embedding."""
        tokens = rows["input"][:, : int(rows["length"].max())]
        weights = token_weights(self, tokens, rows["length"], rows["probabilities"].argmax(dim=1))
        if weights is None:
            return None
        passages = [
            _passage(label, list(zip(words, row, strict=False)))  # weights are padded, words are not
            for label, words, row in zip(self.labels(rows), self._pieces(rows), weights.tolist(), strict=True)
        ]
        caption = (
            "Blue: words that support the prediction; red: words against it (integrated gradients, Sundararajan et "
            "al., 2017). Samples chosen at random, then the most confident mistakes."
        )
        return PassagesBlock("The words that mattered", passages, caption=caption)

    def _pieces(self, rows: Batch) -> list[list[str]]:
        rows_and_lengths = zip(rows["input"].tolist(), rows["length"].tolist(), strict=True)
        return [self.tokenizer.pieces(token_ids[:length]) for token_ids, length in rows_and_lengths]


def _passage(label: tuple[str, float, str], words: list[tuple[str, float]]) -> Passage:
    """Return a text with its prediction; if that is wrong, also the true class."""
    prediction, probability, truth = label
    wrong = truth not in ("", prediction)
    mark = "" if not truth else "✗ " if wrong else "✓ "
    row = f"{mark}{prediction} ({probability:.0%})"
    return Passage(f"{row}, truth: {truth}" if wrong else row, words, wrong)
