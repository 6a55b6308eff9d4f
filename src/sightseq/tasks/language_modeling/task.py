"""Language modelling: prediction of the next token."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from torch import Tensor, nn
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
SHOWN = 25  # streams of a batch in `plot_batch`
SAMPLES, LENGTH, TEMPERATURE = 3, 100, 0.8  # number, tokens and temperature of the samples in the report


class TopKAccuracy(Metric):
    """Fraction of target tokens that are among the k most probable ones (ties with the k-th count).

    Unknown words and the end of a document count like any other token, although a keyboard would not offer them.

    Reads `rank` [...], the rank of each target token (0: most probable), and `target` [...], -1 for padding.
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
    """Exponential of the loss in nats per token."""

    def compute(self) -> Tensor:
        return super().compute().exp()


class BitsPerCharacter(MeanLoss):
    """Sum of the loss in bits, divided by the characters of the tokens.

    Reads `loss_sum` in nats, and `target` [...], -1 for padding.

    Args:
        characters: number of characters of each token of the vocabulary.
    """

    def __init__(self, characters: Sequence[int]) -> None:
        super().__init__()
        self.characters = torch.tensor(characters)  # not a buffer, which EMA would average

    def update(self, loss_sum: Tensor, tokens: Tensor) -> None:
        super().update(loss_sum, self.characters.to(tokens.device)[tokens[tokens != PAD_INDEX]].sum())

    def compute(self) -> Tensor:
        return super().compute() / math.log(2)


class LanguageModelingTask(Task):
    """Cross-entropy of each token given those before it, by truncated back-propagation through time.

    A batch is a window of B parallel streams: `input` and `target` [B, T], and `fresh` [B], true where a stream
    restarts. The state after a window is the initial state of the next one; training, validation and test each carry
    their own. Gradients stop at the start of the window.

    The loss is in nats per token; `perplexity` is its exponential. `bits_per_character` is the sum of the loss divided
    by ln 2 and by the number of characters: for subwords and characters those of the text, for words the letters of
    each word plus a space (`<unk>` has five).

    Args:
        task: see `Task`. The network maps token ids [B, T] and a state to logits [B, T, vocab_size] and the next
            state; it receives `vocab_size`.
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
        """A window of eight words from four streams, at their start."""
        tokenizer = fit(["the king loves the queen and the queen fears the king"] * 2, "words", 100)
        tokens = torch.randint(0, tokenizer.vocab_size, (4, 9), generator=torch.Generator().manual_seed(0))
        batch = {"input": tokens[:, :-1], "target": tokens[:, 1:]}
        batch |= {"fresh": torch.ones(4, dtype=torch.bool), "index": torch.arange(4) * 8}
        return LanguageSpec(tokenizer.json, tokenizer.vocab_size), batch

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `LanguagePredictor`: prompts to texts, or to next words."""
        from sightseq.tasks.language_modeling.predict import LanguagePredictor

        return LanguagePredictor

    @classmethod
    def graph(cls) -> "type[Graph]":
        """Return `LanguageStepGraph`: a token and a state to next-token probabilities and the next state."""
        from sightseq.tasks.language_modeling.graph import LanguageStepGraph

        return LanguageStepGraph

    def plain(self) -> nn.Module:
        """Return `LanguageModel`."""
        from sightseq.tasks.language_modeling.plain import LanguageModel

        return LanguageModel(self.net)

    def size(self, batch: Batch) -> int:
        """Return the number of tokens."""
        return int((batch["target"] != PAD_INDEX).sum())

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return perplexity; for validation and test also bits per character and accuracy (top 1 and top 3); for the
        test of a word model also keystroke savings.
        """
        scores = {"perplexity": Score(Perplexity(), "perplexity", ("loss_sum", "count"))}
        if stage == "train":
            return scores
        counts = self.tokenizer.characters() if self.spec.tokenizer else [1] * self.spec.vocab_size
        scores |= {
            "bits_per_character": Score(BitsPerCharacter(counts), "bits per character", ("loss_sum", "target")),
            "accuracy": Score(TopKAccuracy(1), "accuracy", ("rank", "target"), percent=True),
            "top3": Score(TopKAccuracy(3), "top-3 accuracy", ("rank", "target"), percent=True),
        }
        if stage == "test" and self.keyboard:
            savings = KeystrokeSavings(self.keyboard)
            scores["keystroke_savings"] = Score(savings, "keystroke savings", ("presses", "target"), percent=True)
        return scores

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the spec."""
        return Tokenizer(self.spec.tokenizer)

    @cached_property
    def keyboard(self) -> Keyboard | None:
        """The keyboard of a word model; None for characters and subwords."""
        return Keyboard(self.tokenizer) if self.spec.tokenizer and self.tokenizer.words else None

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map token ids [B, T] to logits [B, T, vocab_size] and the next state."""
        logits, after = self.net(tokens, state)
        return logits.float(), after

    def step(self, batch: Batch, stage: str) -> Output:
        """Compute the loss of one window; carries the state of the stage."""
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
        """Return the natural logarithm of each target token's probability [B, T]; 0 for padding."""
        logits, after = self(batch["input"], self._carried("predict", batch["fresh"]))
        self._states["predict"] = after
        target = torch.where(batch["index"][:, None] == PAD_INDEX, PAD_INDEX, batch["target"])
        return -F.cross_entropy(logits.transpose(1, 2), target, ignore_index=PAD_INDEX, reduction="none")

    def _carried(self, stage: str, fresh: Tensor) -> State | None:
        """Return the state after the last window, reset to zero for streams that restart; None before the first."""
        state = self._states.get(stage)
        if state is None or state[0][0].shape[1] != len(fresh):
            return None
        restarts = fresh[:, None]
        return [tuple(part.to(fresh.device).masked_fill(restarts, 0) for part in layer) for layer in state]

    def on_validation_epoch_start(self) -> None:
        """In training, write a sample to the log and trackers; at this point the EMA weights are in use."""
        super().on_validation_epoch_start()
        if self.trainer.state.fn == TrainerFn.FITTING and self.trainer.is_global_zero:
            (text,) = self._samples(1)
            log.info("sample after epoch %d: %s", self.current_epoch + 1, text)
            log_text(self.trainer, "sample", text)

    def on_validation_epoch_end(self) -> None:
        """Discard the state of the validation."""
        super().on_validation_epoch_end()
        self._states.pop("val", None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the state of the streams, so that an interrupted epoch can be resumed."""
        super().on_save_checkpoint(checkpoint)
        carried = self._states.get("train")
        if carried and self._trainer and self.trainer.world_size > 1:  # of all processes, in order of rank
            carried = [tuple(torch.cat(list(self.all_gather(part)), dim=1) for part in layer) for layer in carried]
        checkpoint["carried"] = carried

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Load the state of the streams; each process takes its own part."""
        super().on_load_checkpoint(checkpoint)
        if carried := checkpoint["carried"]:
            rank, world = (self.trainer.global_rank, self.trainer.world_size) if self._trainer else (0, 1)
            self._states["train"] = [tuple(part.chunk(world, dim=1)[rank] for part in layer) for layer in carried]

    def generate(self, prompts: Sequence[str], count: int, sampling: Sampling, seed: int = 0) -> Iterator[list[int]]:
        """Continue prompts, each as the start of a document; `<unk>` is never generated.

        Args:
            prompts: texts of equal length in tokens, such as one text repeated.
            count: tokens to generate for each prompt.
            sampling: how each token is chosen.
            seed: of the random numbers.

        Yields:
            The next token id of each prompt, `count` times.

        Raises:
            InputError: a prompt is not valid Unicode.
        """
        token_ids = self.tokenizer.encode_all(prompts)
        rows = torch.tensor([[EOS_ID, *row] for row in token_ids], device=self.device)
        settings = replace(sampling, forbidden=(*sampling.forbidden, UNKNOWN_ID))
        for tokens in sample(self, rows, count, settings, seed):
            yield tokens.tolist()

    def plot_batch(self, batch: Batch) -> Figure | list[str]:
        """Return the input text of each stream."""
        return [self.tokenizer.decode(row) for row in batch["input"][:SHOWN].tolist()]

    def blocks(self, stage: str) -> list[Block]:
        """Return a block of generated samples."""
        text = "\n\n* * *\n\n".join(self._samples(SAMPLES))
        caption = f"Generated without a prompt, {LENGTH} tokens each, temperature {TEMPERATURE}."
        return [TextBlock("Samples", text, caption=caption)]

    def _samples(self, count: int) -> list[str]:
        streams = [StreamDecoder(self.tokenizer) for _ in range(count)]
        rows = zip(*self.generate([""] * count, LENGTH, Sampling(TEMPERATURE)), strict=True)
        return ["".join(map(stream.add, row)).strip() for stream, row in zip(streams, rows, strict=True)]
