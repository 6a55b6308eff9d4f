"""The next token of a text."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from sightseq.core.blocks import Block, TextBlock
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.scores import MeanLoss, Output, Score
from sightseq.core.task import Task
from sightseq.core.tracking import log_text
from sightseq.decoding.sampling import Sampling, sample
from sightseq.nets.recurrent import State
from sightseq.tasks.language_modeling.keystrokes import Keyboard, KeystrokeSavings
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import EOS_ID, UNKNOWN_ID, StreamDecoder, Tokenizer, fit

if TYPE_CHECKING:
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

__all__ = ["LanguageModelingTask", "State"]
log = logging.getLogger("sightseq")
SHOWN = 25  # streams of a batch
SAMPLES, LENGTH, TEMPERATURE = 3, 100, 0.8  # of the report


class Hits(Metric):
    """The share of tokens that are among the k most probable ones; as probable as the k-th is enough. An unknown word
    and a document's end count as any other token, though no keyboard would offer them.

    Reads `rank` [...], of each token among all, 0 for the most probable, and `target` [...], -1 for filler.
    """

    full_state_update = False
    higher_is_better = True
    hits: Tensor
    count: Tensor

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k
        self.add_state("hits", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, ranks: Tensor, tokens: Tensor) -> None:
        real = tokens != PAD_INDEX
        self.hits += ((ranks < self.k) & real).sum()
        self.count += real.sum()

    def compute(self) -> Tensor:
        return self.hits / self.count


class Perplexity(MeanLoss):
    """The exponential of the loss in nats for each token."""

    def compute(self) -> Tensor:
        return super().compute().exp()


class BitsPerCharacter(MeanLoss):
    """All nats, over ln 2, over the characters of the tokens. Reads `loss_sum`, and `target` [...], -1 for filler.

    Args:
        characters: of each token of the vocabulary.
    """

    def __init__(self, characters: Sequence[int]) -> None:
        super().__init__()
        self.characters = torch.tensor(characters)  # no buffer, of which EMA would take averages

    def update(self, loss_sum: Tensor, tokens: Tensor) -> None:
        super().update(loss_sum, self.characters.to(tokens.device)[tokens[tokens != PAD_INDEX]].sum())

    def compute(self) -> Tensor:
        return super().compute() / math.log(2)


class LanguageModelingTask(Task):
    """Cross-entropy of each token after those before it, by truncated back-propagation through time.

    A batch is a window of several streams: `input` and `target` [B, T], `fresh` [B]. The state after a window is where
    the next one begins, in training as in validation and test, each with a state of its own; no gradient goes back
    beyond the window.

    The loss is in nats for each token; `perplexity` is its exponential; `bits_per_character` is the sum of all nats,
    over ln 2, over the characters of the tokens: of subwords and characters those of the text, of words their letters
    and a space each, `<unk>` as it stands.

    Args:
        task: see `Task`. The network maps tokens [B, T] and a state to logits [B, T, vocab_size] and the next state; it
            is given `vocab_size`.
    """

    net_kind: ClassVar[str] = "language"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "causal", "stateful"})
    headline: ClassVar[str] = "perplexity"
    columns: ClassVar[tuple[str, ...]] = ("perplexity", "bits_per_character", "loss")
    spec: LanguageSpec

    def __init__(self, **task: Any) -> None:
        super().__init__(**task)
        self._states: dict[str, State] = {}

    @classmethod
    def example(cls) -> tuple[LanguageSpec, Batch]:
        """A window of eight words of four streams that begin anew."""
        tokenizer = fit(["the king loves the queen and the queen fears the king"] * 2, "words", 100)
        tokens = torch.randint(0, tokenizer.vocab_size, (4, 9), generator=torch.Generator().manual_seed(0))
        batch = {"input": tokens[:, :-1], "target": tokens[:, 1:]}
        batch |= {"fresh": torch.ones(4, dtype=torch.bool), "index": torch.arange(4) * 8}
        return LanguageSpec(tokenizer.json, tokenizer.vocab_size), batch

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Prompts to texts, or to next words."""
        from sightseq.tasks.language_modeling.predict import LanguagePredictor

        return LanguagePredictor

    @classmethod
    def graph(cls) -> "type[Graph]":
        """One token and a state to the probabilities of the next token and the next state."""
        from sightseq.tasks.language_modeling.graph import LanguageStep

        return LanguageStep

    def size(self, batch: Batch) -> int:
        """Tokens."""
        return int((batch["target"] != PAD_INDEX).sum())

    def scores(self, stage: str) -> Mapping[str, Score]:
        """In validation and test how often the next token is the most probable one, or among three; in the test, of
        words, what a keyboard saves.
        """
        scores = {"perplexity": Score(Perplexity(), "perplexity", ("loss_sum", "count"))}
        if stage == "train":
            return scores
        counts = self.tokenizer.characters() if self.spec.tokenizer else [1] * self.spec.vocab_size
        scores |= {
            "bits_per_character": Score(BitsPerCharacter(counts), "bits per character", ("loss_sum", "target")),
            "accuracy": Score(Hits(1), "accuracy", ("rank", "target"), percent=True),
            "top3": Score(Hits(3), "top-3 accuracy", ("rank", "target"), percent=True),
        }
        if stage == "test" and self.keyboard:
            savings = KeystrokeSavings(self.keyboard)
            scores["keystroke_savings"] = Score(savings, "keystroke savings", ("presses", "target"), percent=True)
        return scores

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Of the spec."""
        return Tokenizer(self.spec.tokenizer)

    @cached_property
    def keyboard(self) -> Keyboard | None:
        """Of a language in words."""
        return Keyboard(self.tokenizer) if self.spec.tokenizer and self.tokenizer.words else None

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """[B, T] to logits [B, T, vocab_size] and the next state."""
        logits, after = self.net(tokens, state)
        return logits.float(), after

    def step(self, batch: Batch, stage: str) -> Output:
        """One window; carries the state of the stage."""
        target = torch.where(batch["index"][:, None] == PAD_INDEX, PAD_INDEX, batch["target"])
        logits, after = self(batch["input"], self._carried(stage, batch["fresh"]))
        self._states[stage] = [tuple(part.detach() for part in layer) for layer in after]
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD_INDEX, reduction="sum")
        values = {"target": target}
        if stage != "train":
            tokens = target.clamp(min=0)
            values["rank"] = (logits > logits.gather(2, tokens[..., None])).sum(2)
            if stage == "test" and self.keyboard:
                presses = self.keyboard.presses(logits.flatten(0, 1), tokens.flatten())
                values["presses"] = presses.view_as(tokens)
        return Output(loss, (target != PAD_INDEX).sum(), values)

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """The natural logarithm of each token's probability [B, T]; 0 for filler."""
        logits, after = self(batch["input"], self._carried("predict", batch["fresh"]))
        self._states["predict"] = after
        target = torch.where(batch["index"][:, None] == PAD_INDEX, PAD_INDEX, batch["target"])
        return -F.cross_entropy(logits.transpose(1, 2), target, ignore_index=PAD_INDEX, reduction="none")

    def _carried(self, stage: str, fresh: Tensor) -> State | None:
        """The state in which the last window left the streams; zero for those that begin anew."""
        state = self._states.get(stage)
        if state is None or state[0][0].shape[1] != len(fresh):
            return None
        gone = fresh[:, None]
        return [tuple(part.to(fresh.device).masked_fill(gone, 0) for part in layer) for layer in state]

    def on_validation_epoch_start(self) -> None:
        """In a training, a sample goes to the log and the trackers: now, while the averaged weights of EMA are in."""
        super().on_validation_epoch_start()
        if self.trainer.state.fn == TrainerFn.FITTING and self.trainer.is_global_zero:
            (text,) = self._samples(1)
            log.info("after epoch %d it writes: %s", self.current_epoch + 1, text)
            log_text(self.trainer, "sample", text)

    def on_validation_epoch_end(self) -> None:
        """Drops the state of the validation."""
        super().on_validation_epoch_end()
        self._states.pop("val", None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the state of the streams too, where an epoch may be interrupted."""
        super().on_save_checkpoint(checkpoint)
        carried = self._states.get("train")
        if carried and self._trainer and self.trainer.world_size > 1:  # of every process, one after another
            carried = [tuple(torch.cat(list(self.all_gather(part)), dim=1) for part in layer) for layer in carried]
        checkpoint["carried"] = carried

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The inverse of `on_save_checkpoint`."""
        super().on_load_checkpoint(checkpoint)
        if carried := checkpoint["carried"]:
            rank, world = (self.trainer.global_rank, self.trainer.world_size) if self._trainer else (0, 1)
            self._states["train"] = [tuple(part.chunk(world, dim=1)[rank] for part in layer) for layer in carried]

    def generate(self, prompts: Sequence[str], count: int, sampling: Sampling, seed: int = 0) -> Iterator[list[int]]:
        """Goes on with prompts of one length in tokens, such as one repeated, as documents; never says `<unk>`.

        Yields:
            The next token of each, `count` times.

        Raises:
            InputError: a prompt is not valid Unicode.
        """
        token_ids = self.tokenizer.encode_all(prompts)
        rows = torch.tensor([[EOS_ID, *row] for row in token_ids], device=self.device)
        known = replace(sampling, forbidden=(*sampling.forbidden, UNKNOWN_ID))
        for tokens in sample(self, rows, count, known, seed):
            yield tokens.tolist()

    def plot_batch(self, batch: Batch) -> list[str]:
        """What the streams read."""
        return [self.tokenizer.decode(row) for row in batch["input"][:SHOWN].tolist()]

    def blocks(self, stage: str) -> list[Block]:
        """What the model writes."""
        text = "\n\n* * *\n\n".join(self._samples(SAMPLES))
        caption = f"Written from nothing, {LENGTH} tokens each, at a temperature of {TEMPERATURE}."
        return [TextBlock("Samples", text, caption=caption)]

    def _samples(self, count: int) -> list[str]:
        streams = [StreamDecoder(self.tokenizer) for _ in range(count)]
        rows = zip(*self.generate([""] * count, LENGTH, Sampling(TEMPERATURE)), strict=True)
        return ["".join(map(stream.add, row)).strip() for stream, row in zip(streams, rows, strict=True)]
