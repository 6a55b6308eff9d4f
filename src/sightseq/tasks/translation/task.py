"""Translation of sentences with an encoder-decoder network."""

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from sightseq.core.blocks import Block, FigureBlock, TableBlock
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.tasks.conditional_generation.attention import attention_weights
from sightseq.tasks.conditional_generation.figures import attention_figure
from sightseq.tasks.conditional_generation.task import ConditionalGenerationTask
from sightseq.text.batch import to_texts
from sightseq.text.tokenizer import EOS, EOS_ID, Tokenizer, fit
from sightseq.text.tokens_spec import Tokens
from sightseq.text.translation_spec import TranslationSpec

if TYPE_CHECKING:
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

LINES = 25  # pairs in `plot_batch`
HEAT_MAPS = 3  # attention heat maps in the report
HEAT_MAP_TOKENS = 40  # longest text with a heat map


class TranslationTask(ConditionalGenerationTask):
    """Translation: `input` [B, S], source tokens that end with EOS and are padded with 0, and `length` [B].

    Args:
        conditional_generation: see `ConditionalGenerationTask`. The network has the methods of those in
            `nets.translation`; it receives `source_vocab_size`, `target_vocab_size` and `joint`.
    """

    net_kind: ClassVar[str] = "translation"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "ignores_padding"})
    spec: TranslationSpec

    @classmethod
    def example(cls) -> tuple[TranslationSpec, Batch]:
        """Six pairs of random words, with five to eight source tokens and four to six target tokens."""
        texts = ["the small dog sees a red house", "a red house and the old dog"] * 2
        tokenizers = [fit(texts, "words", 100), fit([text[::-1] for text in texts], "words", 100)]
        generator = torch.Generator().manual_seed(0)
        lengths = [(5, 4), (8, 6), (6, 5), (7, 6), (5, 6), (8, 4)]
        batch = {"input": torch.zeros(6, 8, dtype=torch.int64), "target": torch.full((6, 6), PAD_INDEX)}
        for row, pair in enumerate(lengths):
            for side, tokenizer, length in zip(("input", "target"), tokenizers, pair, strict=True):
                batch[side][row, : length - 1] = torch.randint(
                    2, tokenizer.vocab_size, (length - 1,), generator=generator
                )
                batch[side][row, length - 1] = EOS_ID
        batch |= {"length": torch.tensor([source for source, _ in lengths]), "index": torch.arange(6)}
        source, target = (
            Tokens(tokenizer.json, tokenizer.vocab_size, language, 20)
            for tokenizer, language in zip(tokenizers, ("en", "xx"), strict=True)
        )
        return TranslationSpec(source, target), batch

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `TranslationPredictor`: sentences, files of lines or standard input to translations."""
        from sightseq.tasks.translation.predict import TranslationPredictor

        return TranslationPredictor

    @classmethod
    def graph(cls) -> "type[Graph]":
        """Return `TranslationGraph`: the encoder, and one step of the decoder."""
        from sightseq.tasks.translation.graph import TranslationGraph

        return TranslationGraph

    def plain(self) -> nn.Module:
        """Return `Generator` of texts."""
        from sightseq.tasks.conditional_generation.plain import Generator, check_plain

        check_plain(self)
        return Generator(self.net, self.label_smoothing)

    @cached_property
    def source_tokenizer(self) -> Tokenizer:
        """The tokenizer of the sources."""
        return Tokenizer(self.spec.source.tokenizer)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the targets."""
        return Tokenizer(self.spec.target.tokenizer)

    @property
    def lowercase(self) -> bool:
        """Whether the model writes lower case; then references are compared in lower case too."""
        return self.spec.target.lowercase

    def forward(self, source: Tensor, length: Tensor, tokens: Tensor) -> Tensor:
        """Source tokens [B, S], lengths [B] and target tokens [B, T] to logits [B, T, vocab_size] in float32."""
        logits: Tensor = self.net(source, length, tokens).float()
        return logits

    def encode(self, batch: Batch) -> tuple[dict[str, object], dict[str, object]]:
        """Return memory and initial state of the decoder: see `nets.decoder`."""
        memory, state = self.net.encode(batch["input"], batch["length"])
        return memory, state

    def longest(self, batch: Batch) -> Tensor:
        """Return twice the length of the source plus ten, but at most the `max_tokens` of the target."""
        return (2 * batch["length"] + 10).clamp(max=self.spec.target.max_tokens)

    def plot_batch(self, batch: Batch) -> list[str]:
        """Return each source and target as tokenised."""
        lines = []
        for source, target in zip(batch["input"][:LINES].tolist(), batch["target"][:LINES].tolist(), strict=True):
            pieces = (
                self.source_tokenizer.pieces([n for n in source if n != EOS_ID]),
                self.tokenizer.pieces([n for n in target if n > EOS_ID]),
            )
            lines.append("   →   ".join("|".join(piece.rstrip() for piece in side) for side in pieces))
        return lines

    def blocks(self, stage: str) -> list[Block]:
        """Return random and worst translations, attention heat maps, and BLEU by length."""
        blocks: list[Block] = []
        for title, reservoir, caption in (
            ("Translations", self._random, "Sentences chosen at random."),
            ("Worst translations", self._worst, "The sentences with the lowest chrF."),
        ):
            if rows := reservoir.rows():
                columns = [f"source ({self.spec.source.language})", "translation", "reference", "chrF"]
                texts = zip(self.sources(rows), to_texts(rows["hypothesis"]), to_texts(rows["reference"]), strict=True)
                cells = [[*three, score] for three, score in zip(texts, rows["chrf"].tolist(), strict=True)]
                blocks.append(TableBlock(title, columns, cells, caption=caption))
        if (rows := self._random.rows()) and (block := self.attention_block(rows)):
            blocks.append(block)
        return [*blocks, *super().blocks(stage)]

    def sources(self, rows: Batch) -> list[str]:
        """Return the source of each row as a text."""
        if "source_text" in rows:
            return to_texts(rows["source_text"])
        lengths = zip(rows["input"].tolist(), rows["length"].tolist(), strict=True)
        return [self.source_tokenizer.decode(row[: length - 1]) for row, length in lengths]

    def attention_block(self, rows: Batch) -> Block | None:
        """Return the attention of a few short texts; None if the network has no attention."""
        lengths = (rows["tokens"] != EOS_ID).sum(1) + 1  # with EOS
        short = ((lengths <= HEAT_MAP_TOKENS) & (rows["length"] <= HEAT_MAP_TOKENS)).nonzero()[:HEAT_MAPS, 0]
        if not len(short):
            return None
        batch = {name: rows[name][short] for name in ("input", "length", "tokens", "index")}
        maps = attention_weights(self, batch)
        if maps is None:
            return None
        source_lengths = batch["length"].tolist()
        maps = [weights[:, :length] for weights, length in zip(maps, source_lengths, strict=True)]
        sources = [
            [*self.source_tokenizer.pieces(row[: length - 1]), EOS]
            for row, length in zip(batch["input"].tolist(), source_lengths, strict=True)
        ]
        outputs = [
            [*self.tokenizer.pieces(row[: len(weights) - 1]), EOS]
            for row, weights in zip(batch["tokens"].tolist(), maps, strict=True)
        ]
        caption = "Rows: tokens of the translation; columns: tokens of the source; the darker, the larger the weight."
        return FigureBlock("Attention", attention_figure(sources, outputs, maps), caption=caption)
