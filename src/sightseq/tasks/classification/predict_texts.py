"""Using a trained classifier of texts: from a text, a file of lines, a table, or standard input to labels."""

import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from sightseq.console import console
from sightseq.core.errors import ConfigError, InputError, nearest
from sightseq.tasks.classification.predict import TOP, Model, Prediction, Settings, verdict, verdicts
from sightseq.tasks.classification.texts import TextClassificationTask
from sightseq.text.batch import pad
from sightseq.text.tables import SUFFIXES, read_table
from sightseq.text.tokenizer import UNKNOWN_NUMBER

SHOWN = 60  # characters of a text in a table
FILE_NAME = re.compile(r"\S+\.(txt|csv|tsv|jsonl|md)")  # what was meant as one, not as a text


class TextWarning(UserWarning):
    """A text was understood in part alone."""


class TextSettings(Settings):
    """The options of a classifier of texts."""

    column: str = Field("text", description="of a table (.csv, .tsv with a header; .jsonl), which column has the texts")
    delimiter: str | None = Field(
        None, description="of a table: comma, semicolon, tab, bar or a sign; null: by its name"
    )


class TextModel(Model):
    """A trained classifier of texts. Arguments and errors: see `Model`."""

    Settings: ClassVar[type[TextSettings]] = TextSettings
    task: TextClassificationTask

    def __init__(self, task: TextClassificationTask, device: str = "auto") -> None:
        super().__init__(task, device)
        self.tokenizer = task.tokenizer

    def predict(self, texts: Sequence[str], batch_size: int = 64, top: int = TOP) -> list[Prediction]:
        """What the model says of each text.

        Args:
            texts: of any length; of one with more than `spec.max_tokens` tokens, the middle is not read.
            batch_size: how many go through the network at once.
            top: how many of the most probable labels are listed.

        Returns:
            For each text what `judge` says.

        Raises:
            InputError: a text is empty, or not valid Unicode.

        Warns:
            TextWarning: a text was too long, or consists of unknown words.
        """
        found: list[Prediction] = []
        for start in range(0, len(texts), batch_size):
            numbers = [self.numbers(text) for text in texts[start : start + batch_size]]
            found += self.judge(pad(numbers, self.task.spec.max_tokens), top)
        return found

    def numbers(self, text: str) -> list[int]:
        """The tokens of a text."""
        numbers, limit = self.tokenizer.encode(text), self.task.spec.max_tokens
        if not numbers:
            raise InputError("a text is empty; there is nothing to judge")
        if len(numbers) > limit:
            warnings.warn(
                TextWarning(
                    f"{short(text)}: of {len(numbers):,} words and signs the model reads the first and last "
                    f"{limit // 2:,}"
                ),
                stacklevel=2,
            )
        elif set(numbers) == {UNKNOWN_NUMBER}:
            warnings.warn(TextWarning(f"{short(text)}: the model knows none of its words"), stacklevel=2)
        return numbers


def predict_texts(model: TextModel, inputs: Sequence[str], format: str, options: TextSettings) -> int:
    """Prints what the model says of each text; the exit status is 2 if any cannot be read.

    Args:
        model: the model.
        inputs: see `read_texts`.
        format: "table", or "jsonl": an object a line, as soon as its batch is predicted.
        options: of the model.

    Raises:
        ConfigError: `column` or `delimiter` was given, and no table.
    """
    useless = {"column", "delimiter"} & options.model_fields_set
    if useless and not any(given.lower().endswith(tuple(SUFFIXES)) for given in inputs):
        raise ConfigError(
            f"{' and '.join(sorted(useless))}: no input is a table ({', '.join(sorted(SUFFIXES))}); leave it out"
        )
    bad: list[InputError] = []
    table = verdicts("text", min(options.top, len(model.classes)))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", TextWarning)
        for text, found in _predict_each(model, _read_each(inputs, options, bad), options, bad):
            if format == "jsonl":
                print(json.dumps({"text": text, **found}, ensure_ascii=False), flush=True)
            else:
                table.add_row(short(text), *verdict(found))
    if table.row_count:
        console().print(table)
    for warning in warned:
        print(f"Warning: {warning.message}", file=sys.stderr)
    for error in bad:
        print(f"InputError: {error}", file=sys.stderr)
    return 2 if bad else 0


def _read_each(inputs: Sequence[str], options: TextSettings, bad: list[InputError]) -> Iterator[tuple[str, bytes]]:
    """All texts of all inputs and where they stand; what cannot be read is put into `bad`."""
    for number, given in enumerate(inputs, 1):
        try:
            name = "input" if len(inputs) == 1 else f"input {number}"
            yield from read_texts(given, options.column, options.delimiter, name)
        except InputError as error:
            bad.append(error)


def _predict_each(
    model: TextModel, texts: Iterable[tuple[str, bytes]], options: Settings, bad: list[InputError]
) -> Iterator[tuple[str, Prediction]]:
    """Predicts batch by batch; what cannot be read is put into `bad`."""
    good: list[tuple[str, list[int]]] = []

    def flush() -> Iterator[tuple[str, Prediction]]:
        if good:
            found = model.judge(pad([numbers for _, numbers in good], model.task.spec.max_tokens), options.top)
            yield from zip([text for text, _ in good], found, strict=True)
            good.clear()

    for place, raw in texts:
        try:
            text = raw.decode()
            good.append((text, model.numbers(text)))
        except UnicodeDecodeError:
            bad.append(InputError(f"{place}: is not UTF-8"))
        except InputError as error:
            bad.append(InputError(f"{place}: {error}"))
        if len(good) == options.batch_size:
            yield from flush()
    yield from flush()


def read_texts(
    given: str, column: str = "text", delimiter: str | None = None, name: str = "input"
) -> Iterator[tuple[str, bytes]]:
    """Where each text stands, and its bytes: the lines of a file or, for "-", of standard input, a column of a table,
    or what was given, which stands at `name`.

    Raises:
        InputError: there is no such file, or no such column in it.
    """
    if given == "-":
        yield from _numbered("standard input", sys.stdin.buffer)
    elif os.path.isdir(given):  # noqa: PTH112 (Path.is_dir raises where a text is no possible name)
        raise InputError(f"{given}: is a folder; name a file with a text a line")
    elif os.path.isfile(given):  # noqa: PTH113 (as above)
        if (file := Path(given)).suffix.lower() in SUFFIXES:
            yield from _column(file, column, delimiter)
        else:
            with file.open("rb") as lines:
                yield from _numbered(given, lines)
    elif FILE_NAME.fullmatch(given):
        raise InputError(f"{given}: there is no such file")
    else:
        yield name, _encoded(given)


def _column(file: Path, column: str, delimiter: str | None) -> Iterator[tuple[str, bytes]]:
    for place, row in read_table(file, [column], delimiter, "delimiter"):
        if column not in row:
            raise InputError(
                f"{place}, has no column {column!r}; {nearest(column, map(str, row))}; name it with column="
            )
        yield place, _encoded(row[column]) if isinstance(row[column], str) else b""


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # what is no character stays none


def _numbered(name: str, lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(lines, 1):
        mark = b"\xef\xbb\xbf" if number == 1 else b""  # that some editors begin a file with
        yield f"{name}, line {number}", line.removeprefix(mark).rstrip(b"\r\n")


def short(text: str) -> str:
    """The beginning of a text, for a table: on one line, without what would control the terminal."""
    text = "".join(c if c.isprintable() else " " for c in text[: 2 * SHOWN])
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
