"""Base of the tasks that generate a text from a source: loss, decoding, scores and examples."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.reservoir import Reservoir
from sightseq.core.scores import MeanLoss, Output, Score
from sightseq.core.task import Task
from sightseq.decoding.beam import BeamSearch, beam_search
from sightseq.decoding.consensus import rank_by_consensus
from sightseq.decoding.hypotheses import Hypothesis
from sightseq.tasks.conditional_generation.figures import length_figure
from sightseq.tasks.conditional_generation.loss import SmoothedCrossEntropy
from sightseq.tasks.conditional_generation.scores import LengthBLEU, Perplexity
from sightseq.text import quality
from sightseq.text.batch import to_bytes, to_texts
from sightseq.text.similarity import chrf_matrix
from sightseq.text.tokenizer import EOS_ID, UNKNOWN_ID, Tokenizer

SHOWN = 10  # texts of each kind in the report


class ConditionalGenerationTask(Task):
    """Cross-entropy of each token of a target given its source and the tokens before it.

    A batch has `target` int64 [B, T], which ends with EOS and is padded with -1, and whatever `encode` reads. The
    tokens that the decoder reads are the target's, shifted to the right, after EOS. With `reference` uint8 [B, R], the
    target as UTF-8 padded with 0, generated texts are compared with this text; otherwise with the decoded target. A
    task may have several references for each row: see `references`.

    The loss is in nats per token, and its reported values and the perplexity are without label smoothing. BLEU, chrF
    and exact match are those of texts that are decoded freely: by greedy search in validation, by beam search in test.

    Args:
        label_smoothing: fraction of the target probability that is spread over all tokens in training (Szegedy et al.,
            2016, arXiv 1512.00567).
        scheduled_sampling: probability, at the end of training, that the decoder reads a token that it has predicted
            itself (Bengio et al., 2015, arXiv 1506.03099). It rises linearly from 0. The predictions of all positions
            come from one more pass over the target (Mihaylova and Martins, 2019, arXiv 1906.07651).
        beam: number of hypotheses in the beam search of the test.
        length_penalty: exponent of the length in the score of a hypothesis: see `decoding.beam`.
        consensus: rank the hypotheses of a beam search by their similarity (chrF) to the others, weighted by their
            probabilities at this temperature: see `decoding.consensus`. It needs a large beam, such as 32. None: rank
            them by their scores.
        attention_penalty: weight, in training, of the sum over the source's positions of (1 - a)^2, where a is the sum
            of the position's attention weights over all target tokens: the doubly stochastic attention of Xu et al.,
            2015 (arXiv 1502.03044, eq. 14). The network must have attention.
        tokenize: tokenisation for BLEU: see `text.quality.bleu`.
        task: see `Task`. The network has the methods `features`, `project` and `decode` of the networks in
            `nets.translation`.
    """

    monitor: ClassVar[str] = "val/bleu"
    headline: ClassVar[str] = "bleu"
    size_unit: ClassVar[str | None] = "target tokens"
    columns: ClassVar[tuple[str, ...]] = ("bleu", "chrf", "exact", "perplexity")
    net: Any

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        scheduled_sampling: float = 0.0,
        beam: int = 5,
        length_penalty: float = 1.0,
        consensus: float | None = None,
        attention_penalty: float = 0.0,
        tokenize: str = "13a",
        **task: Any,
    ) -> None:
        super().__init__(**task)
        for name, value in (("label_smoothing", label_smoothing), ("scheduled_sampling", scheduled_sampling)):
            if not 0 <= value < 1:
                raise ConfigError(f"model.{name}={value}: a fraction lies in [0, 1)")
        for name, value, least in (
            ("beam", beam, 1),
            ("length_penalty", length_penalty, 0),
            ("attention_penalty", attention_penalty, 0),
        ):
            if value < least:
                raise ConfigError(f"model.{name}={value} must be at least {least}")
        if consensus is not None and consensus <= 0:
            raise ConfigError(f"model.consensus={consensus}: a temperature is above 0; null: no consensus")
        quality.check_tokenization(tokenize)  # not only when the first epoch is scored
        self.label_smoothing, self.scheduled_sampling = label_smoothing, scheduled_sampling
        self.beam, self.length_penalty, self.tokenize = beam, length_penalty, tokenize
        self.consensus, self.attention_penalty = consensus, attention_penalty
        self._worst, self._random = Reservoir(SHOWN), Reservoir(SHOWN)

    # Defined by each task.

    @abstractmethod
    def encode(self, batch: Batch) -> tuple[Any, Any]:
        """Return the memory of the sources and the initial state of the decoder: see `decoding.step.Step`."""

    @abstractmethod
    def longest(self, batch: Batch) -> Tensor:
        """Return the largest number of tokens to generate for each row [B], without EOS."""

    @cached_property
    @abstractmethod
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the targets."""

    @property
    def lowercase(self) -> bool:
        """Whether texts are compared in lower case."""
        return False

    def references(self, batch: Batch) -> list[list[str]]:
        """Return the references of each row, at least one."""
        if "reference" in batch:
            return [[text] for text in to_texts(batch["reference"])]
        return [[self.tokenizer.decode([n for n in row if n > EOS_ID])] for row in batch["target"].tolist()]

    def normalise(self, text: str) -> str:
        """Return the form in which a generated text or a reference is scored."""
        return text

    def bleu_signature(self) -> str:
        """Return sacrebleu's signature of BLEU."""
        return quality.bleu_signature(self.tokenize, self.lowercase)

    # Common to all.

    def size(self, batch: Batch) -> int:
        """Return the number of target tokens, each with its EOS."""
        return int((batch["target"] != PAD_INDEX).sum())

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return loss and perplexity; for validation and test also BLEU, chrF, exact match and BLEU by length."""
        nll = ("nll_sum", "count")
        scores = {"loss": Score(MeanLoss(), "loss", nll), "perplexity": Score(Perplexity(), "perplexity", nll)}
        if stage == "train":
            return scores
        return scores | {
            "bleu": Score(quality.CorpusScore("bleu"), "BLEU", ("bleu_statistics", "index")),
            "chrf": Score(quality.CorpusScore("chrf"), "chrF", ("chrf_statistics", "index")),
            "exact": Score(quality.TextMean(), "exact match", ("exact", "index"), percent=True),
            "length_bleu": Score(LengthBLEU(), None, ("bleu_statistics", "index")),
        }

    def step(self, batch: Batch, stage: str) -> Output:
        """Compute the loss of one batch; every token is predicted from the true ones before it.

        `values`: `nll` [B, T], the negative log-likelihood of each target token in nats, 0 for padding; `nll_sum`, its
        sum; and `index` [B].
        """
        index = batch["index"]
        target = torch.where(index[:, None] == PAD_INDEX, PAD_INDEX, batch["target"])
        memory, state = self.encode(batch)
        tokens = shift_right(target)
        training = stage == "train"
        if training and self.scheduled_sampling:
            tokens = self._mix_predictions(tokens, state, memory)
        features, _, weights = self.net.features(tokens, state, memory)
        real = target != PAD_INDEX
        # The last layer is the largest; it is not computed for padding.
        logits = self.net.project(features[real])  # [R, vocab_size]
        smoothing = self.label_smoothing if training else 0.0
        loss, nll = SmoothedCrossEntropy.apply(logits, target[real], smoothing)  # type: ignore[no-untyped-call]  # no types
        if training and self.attention_penalty:
            loss = loss + self.attention_penalty * self._uneven_attention(weights, real, memory)
        rows = nll.new_zeros(target.shape).masked_scatter(real, nll)
        return Output(loss, real.sum(), {"nll": rows, "nll_sum": nll.sum(), "index": index})

    def _uneven_attention(self, weights: Tensor | None, real: Tensor, memory: Any) -> Tensor:
        """Return the term that `attention_penalty` weights, summed over the rows.

        Args:
            weights: attention weights [B, T, S].
            real: bool [B, T], false at padding of the target.
            memory: `mask` [B, S] is false at padding of the source.
        """
        if weights is None:
            raise ConfigError(f"model.attention_penalty={self.attention_penalty}: the network has no attention; set 0")
        total = (weights * real[:, :, None]).sum(1)  # [B, S]
        positions: Tensor = memory["mask"] & real.any(1)[:, None]
        return ((1 - total).square() * positions).sum()

    @torch.no_grad()
    def _mix_predictions(self, tokens: Tensor, state: Any, memory: Any) -> Tensor:
        """Return the decoder's input [B, T] with some tokens replaced by the network's own predictions."""
        total = self.total_steps or 0.0
        progress = min(1.0, self.global_step / total) if total else 1.0
        logits, _ = self.net.decode(tokens[:, :-1], state, memory)
        predicted = F.pad(logits.argmax(2), (1, 0), value=EOS_ID)
        own = torch.rand(tokens.shape, device=tokens.device) < progress * self.scheduled_sampling
        return torch.where(own, predicted, tokens)

    def search(self, batch: Batch, settings: BeamSearch) -> list[list[Hypothesis]]:
        """Return the best hypotheses for each row: see `decoding.beam.beam_search`."""
        memory, state = self.encode(batch)
        found = beam_search(self.net.decode, state, memory, len(batch["index"]), settings)
        if self.consensus is None or settings.size == 1:
            return found
        return [
            rank_by_consensus(
                several, chrf_matrix([self.tokenizer.decode(one.tokens) for one in several]), self.consensus
            )
            for several in found
        ]

    def settings(self, batch: Batch, beam: int) -> BeamSearch:
        """Return the settings of a search for a batch; unknown words are never generated."""
        return BeamSearch(beam, self.longest(batch), length_penalty=self.length_penalty, forbidden=(UNKNOWN_ID,))

    def decode(self, batch: Batch, stage: str) -> Mapping[str, Tensor]:
        """Generate a text for each row, and compare it with its references: see `compared`."""
        found = self.search(batch, self.settings(batch, self.beam if stage == "test" else 1))
        values = self.compared([best.tokens for best, *_ in found], batch)
        return {name: tensor.to(self.device) for name, tensor in values.items()}

    def compared(self, rows: list[list[int]], batch: Batch) -> dict[str, Tensor]:
        """Compare generated texts with their references.

        Args:
            rows: tokens of the text of each row, without EOS.
            batch: what `references` reads.

        Returns:
            `hypothesis` and `reference`, the texts as UTF-8, uint8 [B, ...], padded with 0; several references are
            joined by line ends; `tokens` int64 [B, L], the generated tokens padded with 0; and `statistics`.
        """
        texts = [self.tokenizer.decode(row) for row in rows]
        references = self.references(batch)
        return {
            "hypothesis": to_bytes(texts),
            "reference": to_bytes(["\n".join(several) for several in references]),
            "tokens": torch.nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], True),
            **self.statistics(
                list(map(self.normalise, texts)), [list(map(self.normalise, several)) for several in references]
            ),
        }

    def statistics(self, texts: list[str], references: list[list[str]]) -> dict[str, Tensor]:
        """Return what the scores read of the B texts and their references, both normalised: tensors [B, ...]."""
        return {
            "bleu_statistics": quality.bleu_statistics(texts, references, self.tokenize, self.lowercase),
            "chrf_statistics": quality.chrf_statistics(texts, references, self.lowercase),
            "exact": quality.exact_matches(texts, references, self.lowercase),
        }

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """Return the tokens of the best hypotheses [B, L], padded with 0."""
        return self.decode(batch, "test")["tokens"]

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Keep the texts with the lowest chrF, and some random ones."""
        real = batch["index"] != PAD_INDEX
        values = {name: output.values[name] for name in ("hypothesis", "reference", "tokens")}
        chrf = torch.tensor([quality.chrf_score(row) for row in output.values["chrf_statistics"]], device=real.device)
        rows = {**batch, **values, "chrf": chrf}
        self._worst.add(torch.where(real, 100 - chrf, -1.0), rows)
        # A multiplicative hash of the index chooses random texts, but the same ones in every run.
        self._random.add(torch.where(real, (batch["index"] * 2654435761 % 2**32).float(), -1.0), rows)

    def reset_examples(self) -> None:
        """Discard the texts that `collect_examples` has kept."""
        self._worst.clear()
        self._random.clear()

    def details(self, stage: str) -> dict[str, Any]:
        """Return sacrebleu's signatures, how texts were decoded, and BLEU by the length of the reference."""
        groups = self.scoreboard.metrics(stage)["length_bleu"].compute().tolist()
        return {
            "bleu_signature": self.bleu_signature(),
            "chrf_signature": quality.chrf_signature(self.lowercase),
            "beam": self.beam if stage == "test" else 1,
            "length_penalty": self.length_penalty,
            "consensus": self.consensus if stage == "test" else None,
            "bleu_by_length": [[int(count), bleu if count else None] for count, bleu in groups],
        }

    def blocks(self, stage: str) -> list[Block]:
        """Return BLEU by the length of the reference."""
        groups = self.scoreboard.metrics(stage)["length_bleu"].compute().cpu().numpy()
        search = f"beam search, {self.beam} hypotheses" if stage == "test" else "greedy search"
        caption = f"Decoding: {search}. {self.bleu_signature()}"
        return [FigureBlock("BLEU by length", length_figure(groups), caption=caption)]

    def training_differences(self) -> list[str]:
        """Add scheduled sampling."""
        own = [f"scheduled sampling of {self.scheduled_sampling}"] if self.scheduled_sampling else []
        return [*own, *super().training_differences()]


def shift_right(target: Tensor) -> Tensor:
    """Return the tokens that the decoder reads [B, T]: EOS, then all target tokens but the last; padding is 0."""
    return F.pad(target[:, :-1].clamp(min=0), (1, 0), value=EOS_ID)
