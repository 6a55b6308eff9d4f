"""Base of the recognisers: connectionist temporal classification over columns of writing or frames of sound."""

import logging
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sightseq.audio.transcript_spec import TranscriptSpec
from sightseq.core.blocks import Block
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.reservoir import Reservoir
from sightseq.core.scores import MeanLoss, Output, Score
from sightseq.core.task import Task
from sightseq.decoding.beam import BeamSearch, beam_search
from sightseq.decoding.ctc import Span, align, frames_needed, greedy
from sightseq.decoding.ctc_beam import PrefixSearch, prefix_beam_search
from sightseq.tasks.recognition.report import confusions_block, most_confused, transcripts_block
from sightseq.text.alphabet import UNKNOWN_ID, Alphabet
from sightseq.text.batch import to_bytes
from sightseq.text.edits import Confusions, ErrorRate, text_statistics
from sightseq.text.quality import TextMean
from sightseq.vision.line_spec import LineSpec

if TYPE_CHECKING:
    from sightseq.core.graph import Graph

log = logging.getLogger("sightseq")
SHOWN = 10  # transcripts of each kind in the report


class RecognitionTask(Task):
    """CTC (Graves et al., 2006): the negative log-likelihood of a text, summed over all alignments with the frames.

    A batch has `target` int64 [B, L], ids of the alphabet padded with 0, `target_length` [B], and whatever `features`
    reads. The loss is in nats per character; an empty text counts as one. A text that needs more frames than the
    network returns has no loss and is not counted: `skipped` is the fraction of such texts.

    The character error rate, word error rate and exact match are those of texts that are decoded freely, without a
    language model: the most probable path in validation, and a prefix beam search in test if `beam` is above 1.

    Args:
        beam: number of texts that the search of the test keeps; 1 takes the most probable path.
        shortcut_weight: weight of the loss on the network's shortcut, if it has one (Retsinas et al., 2022).
        attention_weight: fraction 0..1 of the attention decoder's cross-entropy in the loss, if the network has such a
            decoder; the rest is CTC (Kim et al., 2017, arXiv 1609.06773).
        decoder: "ctc" or "attention": which one writes the texts of validation, test and prediction.
        task: see `Task`. The network maps features [B, C, F, T] and lengths [B] to logits [B, T', num_classes], their
            lengths [B] and, in training, any number of further logits [B, T', num_classes] of the same lengths; it
            receives `in_channels`, `num_classes` and `image_size` (F, None). Its attribute `reduction` is T / T'.
    """

    net_kind: ClassVar[str] = "recognition"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "ignores_padding"})
    monitor: ClassVar[str] = "val/cer"
    headline: ClassVar[str] = "cer"
    size_unit: ClassVar[str | None] = "characters"
    columns: ClassVar[tuple[str, ...]] = ("cer", "wer", "exact", "loss")
    spec: LineSpec | TranscriptSpec
    net: Any

    def __init__(
        self,
        *,
        beam: int = 1,
        shortcut_weight: float = 0.1,
        attention_weight: float = 0.5,
        decoder: Literal["ctc", "attention"] = "ctc",
        **task: Any,
    ) -> None:
        super().__init__(**task)
        if beam < 1 or shortcut_weight < 0:
            raise ConfigError(
                f"model.beam={beam} must be at least 1, model.shortcut_weight={shortcut_weight} at least 0"
            )
        if not 0 <= attention_weight <= 1:
            raise ConfigError(f"model.attention_weight={attention_weight}: a fraction lies in [0, 1]")
        self.attends = hasattr(self.net, "decoder")
        if decoder == "attention" and not self.attends:
            raise ConfigError(
                "model.decoder=attention: this network has no such decoder; use model/net=recognition/crnn_attention"
            )
        self.beam, self.shortcut_weight = beam, shortcut_weight
        self.attention_weight, self.decoder = attention_weight, decoder
        self._worst, self._random = Reservoir(SHOWN), Reservoir(SHOWN)

    # Defined by each kind of input.

    @abstractmethod
    def features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the features [B, C, F, T] of a batch, and their lengths [B]."""

    @abstractmethod
    def alignment_block(self, rows: Batch) -> Block:
        """Return a figure of a few rows with the place of each character."""

    # Common to all.

    @classmethod
    def graph(cls) -> "type[Graph]":
        """Return `RecognitionGraph`: inputs to log-probabilities of characters."""
        from sightseq.tasks.recognition.graph import RecognitionGraph

        return RecognitionGraph

    @property
    def alphabet(self) -> Alphabet:
        """The characters and their ids."""
        return self.spec.alphabet

    def size(self, batch: Batch) -> int:
        """Return the number of characters of the targets; an empty text counts as one."""
        return int(batch["target_length"].clamp(min=1)[batch["index"] != PAD_INDEX].sum())

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return the fraction of skipped targets; for validation and test also error rates, exact match, confusions."""
        skipped = Score(MeanLoss(), "targets longer than the frames", ("skipped", "rows"), percent=True)
        if stage == "train":
            return {"skipped": skipped}
        return {
            "cer": Score(ErrorRate(), "character error rate", ("characters", "index"), percent=True),
            "wer": Score(ErrorRate(), "word error rate", ("words", "index"), percent=True),
            "exact": Score(TextMean(), "exact match", ("exact", "index"), percent=True),
            "skipped": skipped,
            "confusions": Score(Confusions(self.alphabet.size), None, ("tokens", "target", "index")),
        }

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Map a batch to log-probabilities of the ids [B, T', V] in float32, and their lengths [B]."""
        logits, frames, *_ = self.net(*self.features(batch))
        return logits.float().log_softmax(2), frames

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """Return the ids of the most probable texts [B, L], padded with 0."""
        return self.decode(batch, "test")["tokens"]

    def step(self, batch: Batch, stage: str) -> Output:
        """Compute the loss of one batch."""
        target, lengths, index = batch["target"], batch["target_length"], batch["index"]
        tokens = [start_tokens(target)] if self.attends else []
        logits, frames, *others = self.net(*self.features(batch), *tokens)
        real = index != PAD_INDEX
        possible = frames_needed(target, lengths) <= frames
        losses = ctc_loss(logits, frames, target, lengths)
        if self.attends:
            attended = next_token_loss(others.pop(), target, lengths)
            losses = torch.lerp(losses, attended, self.attention_weight)
        for other in others:
            losses = losses + self.shortcut_weight * ctc_loss(other, frames, target, lengths)
        counted = real & possible
        # A batch whose texts are all skipped has no loss, and must not divide by 0.
        count = (lengths.clamp(min=1) * counted).sum().clamp(min=1)
        values = {"skipped": (real & ~possible).sum(), "rows": real.sum(), "index": index, "target": target}
        return Output((losses * counted).sum(), count, values)

    def decode(self, batch: Batch, stage: str) -> Mapping[str, Tensor]:
        """Write each row as text and compare it with its target.

        Returns:
            `tokens` int64 [B, L], padded with 0; `hypothesis` and `reference`, the texts as UTF-8, uint8 [B, ...]; and
            what `text.edits.text_statistics` returns.
        """
        rows = self.texts(batch, self.beam if stage == "test" else 1)
        texts = [self.alphabet.decode(row) for row in rows]
        references = [self.alphabet.decode(row) for row in batch["target"].tolist()]
        tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], True)
        values = {"tokens": tokens, "hypothesis": to_bytes(texts), "reference": to_bytes(references)}
        values |= text_statistics(texts, references)
        return {name: tensor.to(self.device) for name, tensor in values.items()}

    def texts(self, batch: Batch, beam: int) -> list[list[int]]:
        """Return the ids of the best text of each row, found by a search that keeps `beam` texts."""
        if self.decoder == "ctc":
            log_p, frames = self(batch)
            return transcribe(log_p, frames, PrefixSearch(beam, forbidden=(UNKNOWN_ID,)) if beam > 1 else None)
        features, lengths = self.features(batch)
        memory, state = self.net.encode(features, lengths)
        frames = (lengths + self.net.reduction - 1) // self.net.reduction
        settings = BeamSearch(beam, frames, forbidden=(UNKNOWN_ID,))
        return [best.tokens for best, *_ in beam_search(self.net.decode, state, memory, len(lengths), settings)]

    def spans(self, batch: Batch) -> list[list[Span]]:
        """Return the place of each character of the texts `tokens` [B, L], in frames of the network's output."""
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                log_p, frames = self(batch)
        finally:
            self.train(training)
        rows = zip(log_p.cpu(), frames.tolist(), batch["tokens"].tolist(), strict=True)
        return [align(row[:length], [n for n in tokens if n]) or [] for row, length, tokens in rows]

    def on_train_epoch_end(self) -> None:
        """In the first epoch, warn about targets without a loss."""
        if self.current_epoch == 0 and (skipped := float(self.scoreboard.compute("train")["skipped"])) > 0:
            log.warning(
                "%.2g %% of the training targets need more frames than the network returns, and have no loss: "
                "reduce the length by less (model.net.pools)",
                100 * skipped,
            )
        super().on_train_epoch_end()

    # Report.

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Keep the texts with the highest error rates, and some random ones."""
        real = batch["index"] != PAD_INDEX
        names = ("tokens", "hypothesis", "reference", "characters")
        rows = {**batch, **{name: output.values[name] for name in names}}
        edits, length = rows["characters"].unbind(1)
        rate = edits / length.clamp(min=1)
        self._worst.add(torch.where(real & (edits > 0), rate, -1.0), rows)
        # A multiplicative hash of the index chooses random texts, but the same ones in every run.
        self._random.add(torch.where(real, (batch["index"] * 2654435761 % 2**32).float(), -1.0), rows)

    def reset_examples(self) -> None:
        """Discard the texts that `collect_examples` has kept."""
        self._worst.clear()
        self._random.clear()

    def details(self, stage: str) -> dict[str, Any]:
        """Return how texts were decoded, and which characters are most often confused."""
        return {"beam": self.beam if stage == "test" else 1, "confusions": most_confused(self, stage)}

    def blocks(self, stage: str) -> list[Block]:
        """Return random and worst transcripts, alignments, and the most frequent confusions of characters."""
        blocks: list[Block] = []
        random, worst = self._random.rows(), self._worst.rows()
        if random:
            blocks.append(transcripts_block("Transcripts", random, "Chosen at random."))
            blocks.append(self.alignment_block(random))
        if worst:
            blocks.append(transcripts_block("Worst transcripts", worst, "The highest character error rates."))
        return [*blocks, confusions_block(self, stage)]


def ctc_loss(logits: Tensor, frames: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
    """Return the negative log-likelihood of each text in nats [B]; 0, without a gradient, where it is impossible.

    Args:
        logits: [B, T, V].
        frames: number of frames of each row [B].
        target: ids [B, L], padded with 0.
        lengths: [B].
    """
    log_p = logits.float().log_softmax(2).transpose(0, 1)
    return F.ctc_loss(log_p, target, frames, lengths, reduction="none", zero_infinity=True)


def start_tokens(target: Tensor) -> Tensor:
    """Return the ids that the decoder reads [B, L + 1]: 0, then those of the target."""
    return F.pad(target, (1, 0))


def next_token_loss(logits: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
    """Return the cross-entropy of each text and its end, in nats [B].

    Args:
        logits: of the next id [B, L + 1, V].
        target: ids [B, L], padded with anything.
        lengths: [B].
    """
    place = torch.arange(logits.shape[1], device=target.device)
    following = torch.where(place < lengths[:, None], F.pad(target, (0, 1)), 0)
    following = torch.where(place > lengths[:, None], PAD_INDEX, following)
    losses = F.cross_entropy(logits.float().transpose(1, 2), following, ignore_index=PAD_INDEX, reduction="none")
    return losses.sum(1)


def transcribe(log_p: Tensor, frames: Tensor, search: PrefixSearch | None = None) -> list[list[int]]:
    """Return the ids of the best text of each row, without unknown characters.

    Args:
        log_p: log-probabilities [B, T, V].
        frames: [B].
        search: None takes the most probable path.
    """
    if search is None:
        known = log_p.clone()
        known[:, :, UNKNOWN_ID] = -torch.inf
        return [[span.token for span in row] for row in greedy(known, frames)]
    # On the CPU: each frame takes many small steps.
    return [best.tokens for best, *_ in prefix_beam_search(log_p.cpu(), frames.cpu(), search)]
