"""Prediction with a trained text classifier: a text, a file of lines, a table or standard input to labels."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from sightseq.core.errors import InputError, InputWarning
from sightseq.core.loading import Batch
from sightseq.core.page import Widget
from sightseq.core.predictor import Row
from sightseq.tasks.classification.predict import ClassPredictor, Settings
from sightseq.tasks.classification.texts import TextClassificationTask
from sightseq.text.batch import pad
from sightseq.text.files import decode_utf8, read_texts, short
from sightseq.text.tables import TableSettings
from sightseq.text.tokenizer import UNKNOWN_ID


class TextWarning(InputWarning):
    """A text was truncated, or contains only unknown words."""


class TextSettings(TableSettings, Settings):
    """Options of `sightseq predict` for a text classifier."""


class Text(NamedTuple):
    """A text and its token ids."""

    text: str
    tokens: list[int]


class TextPredictor(ClassPredictor):
    """A trained text classifier; a text of more than `spec.max_tokens` tokens is truncated in the middle."""

    Settings: ClassVar[type[TextSettings]] = TextSettings
    json_input: ClassVar[Any] = str
    widget: ClassVar[Widget | None] = Widget("text", "a text")
    task: TextClassificationTask

    def check(self, inputs: Sequence[str], options: TextSettings) -> None:
        """Raise ConfigError if `column` or `delimiter` is given and no input is a table."""
        options.check_inputs(inputs)

    def expand(self, given: str, options: TextSettings) -> Iterator[tuple[str, bytes]]:
        """See `read_texts`."""
        return read_texts(given, options.column, options.delimiter)

    def read(self, raw: str | bytes) -> Text:
        """Return a text and its token ids.

        Raises:
            InputError: the text is empty or not valid Unicode.

        Warns:
            TextWarning: the text is too long, or contains only unknown words.
        """
        text = decode_utf8(raw)
        tokens, limit = self.task.tokenizer.encode(text), self.task.spec.max_tokens
        if not tokens:
            raise InputError("a text is empty; there is nothing to classify")
        if len(tokens) > limit:
            warnings.warn(
                TextWarning(
                    f"{short(text)}: the text has {len(tokens):,} tokens; the model reads only the first and last "
                    f"{limit // 2:,}"
                ),
                stacklevel=2,
            )
        elif set(tokens) == {UNKNOWN_ID}:
            warnings.warn(TextWarning(f"{short(text)}: the model knows none of its words"), stacklevel=2)
        return Text(text, tokens)

    def predict_items(self, items: Sequence[Text], options: TextSettings) -> list[Row]:
        """See `ClassPredictor`."""
        return self.predict_batch(self.batch(items), options.top)

    def batch(self, items: Sequence[Text]) -> Batch:
        """Pad and stack the tokens."""
        return pad([item.tokens for item in items], self.task.spec.max_tokens)

    def examples(self, batch: Batch) -> list[str]:
        """Return the texts as the model reads them."""
        lengths = batch["length"].tolist()
        return [
            self.task.tokenizer.decode(row[:length])
            for row, length in zip(batch["input"].tolist(), lengths, strict=True)
        ]

    def length(self, item: Text) -> int:
        """Return the number of tokens."""
        return len(item.tokens)

    def origin(self, place: str, item: Text) -> Row:
        """Return the text."""
        return {"text": item.text}

    def cells(self, row: Row) -> dict[str, str]:
        """Return the beginning of the text and the cells of `ClassPredictor`."""
        return {"text": short(row["text"]), **super().cells(row)}
