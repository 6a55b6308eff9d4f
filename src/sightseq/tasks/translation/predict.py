"""Prediction with a trained translation model: a sentence, a file of lines, a table or standard input."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import torch

from sightseq.core.blocks import Block, TableBlock
from sightseq.core.errors import InputError, InputWarning
from sightseq.core.loading import Batch
from sightseq.core.page import Widget
from sightseq.core.predictor import Predictor, Row
from sightseq.tasks.conditional_generation.predict import SearchSettings, generate
from sightseq.tasks.translation.task import TranslationTask
from sightseq.text.batch import pad
from sightseq.text.files import decode_utf8, read_texts, short
from sightseq.text.sentences import clean_sentence
from sightseq.text.tables import TableSettings
from sightseq.text.tokenizer import EOS_ID, UNKNOWN_ID


class TranslationSettings(TableSettings, SearchSettings):
    """Options of `sightseq predict` for a translation model."""


class Sentence(NamedTuple):
    """A source text and its tokens, with EOS."""

    text: str
    tokens: list[int]


class TranslationPredictor(Predictor):
    """A trained translation model. Arguments and errors: see `Predictor`.

    A row has `source`, `translation`, `score` (what hypotheses are ranked by: see `decoding.beam.BeamSearch`) and
    `log_probability`. With `n_best` above 1 a sentence has several rows, the best first. The translation of an empty
    line is empty, so that the lines of the output are those of the input.
    """

    Settings: ClassVar[type[TranslationSettings]] = TranslationSettings
    json_input: ClassVar[Any] = str
    widget: ClassVar[Widget | None] = Widget("text", "a sentence")
    task: TranslationTask

    def check(self, inputs: Sequence[str], options: TranslationSettings) -> None:
        """Raise ConfigError if `n_best` exceeds `beam`, or if `column` or `delimiter` is given without a table."""
        options.check_search(self.task)
        options.check_inputs(inputs)

    def expand(self, given: str, options: TranslationSettings) -> Iterator[tuple[str, bytes]]:
        """See `read_texts`."""
        return read_texts(given, options.column, options.delimiter)

    def read(self, raw: str | bytes) -> Sentence:
        """Return a sentence and its tokens.

        Raises:
            InputError: the text is not valid Unicode.

        Warns:
            InputWarning: the text is too long, or has unknown words.
        """
        text = decode_utf8(raw)
        tokenizer, limit = self.task.source_tokenizer, self.task.spec.source.max_tokens - 1
        tokens = tokenizer.encode(clean_sentence(text))  # as the training texts
        if UNKNOWN_ID in tokens:
            unknown = ", ".join(dict.fromkeys(tokenizer.unknown(text)))
            warnings.warn(InputWarning(f"the model does not know: {short(unknown)}"), stacklevel=2)
        if len(tokens) > limit:
            message = f"{short(text)}: the text has {len(tokens):,} tokens; only the first {limit:,} are translated"
            warnings.warn(InputWarning(message), stacklevel=2)
        return Sentence(text, [*tokens[:limit], EOS_ID])

    def predict_items(self, items: Sequence[Sentence], options: TranslationSettings) -> list[Row | list[Row]]:
        """Return the best translations of each sentence."""
        full = [item for item in items if item.text.strip()]
        found: Iterator[list[Row]] = iter(())
        if full:
            batch = pad([item.tokens for item in full], self.task.spec.source.max_tokens)
            batch["index"] = batch["length"]  # one per row; only its size is used
            found = iter(generate(self.task, batch, options, "translation"))
        empty = {"translation": "", "score": 0.0, "log_probability": 0.0}
        return [
            [{"source": item.text, **row} for row in (next(found) if item.text.strip() else [empty])] for item in items
        ]

    def shown(self, item: Sentence, rows: Sequence[Row]) -> list[Block]:
        """Return the translations, and the attention of the best one."""
        columns = ["translation", "score"]
        blocks: list[Block] = [TableBlock("Translation", columns, [[row[name] for name in columns] for row in rows])]
        tokens = torch.tensor([self.task.tokenizer.encode(rows[0]["translation"])], dtype=torch.int64)
        batch = {**pad([item.tokens], self.task.spec.source.max_tokens), "tokens": tokens, "index": torch.zeros(1)}
        block = self.task.attention_block(batch) if tokens.numel() else None
        return [*blocks, *([block] if block else [])]

    def examples(self, batch: Batch) -> list[str]:
        """Return the sources."""
        return self.task.sources(batch)

    def length(self, item: Sentence) -> int:
        """Return the number of tokens."""
        return len(item.tokens)

    def origin(self, place: str, item: Sentence) -> Row:
        """Return nothing, because the rows already have the source."""
        return {}

    def live(self, inputs: Sequence[str], options: TranslationSettings, bad: list[InputError]) -> Iterator[str]:
        """Yield the translations, one a line, as soon as their batch is translated; with `n_best` above 1 each after
        its score, and an empty line after each sentence.
        """
        for chunk in self.items(inputs, options, bad, bar=False):
            for rows in self.predict_read((item for _, item in chunk), options):
                for row in rows:
                    line = " ".join(row["translation"].split())
                    yield f"{line}\n" if options.n_best == 1 else f"{row['score']:8.3f}  {line}\n"
                if options.n_best > 1:
                    yield "\n"
