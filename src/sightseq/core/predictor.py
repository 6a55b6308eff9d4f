"""Prediction with a trained model: from raw inputs to plain rows in human units."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, Field, PositiveInt
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from sightseq.core.build import validated
from sightseq.core.errors import ConfigError, InputError, SightseqError, nearest
from sightseq.core.graph import Call
from sightseq.core.page import OnPage
from sightseq.core.task import Task

Row = dict[str, Any]
"""A prediction: plain JSON values by name, in human units."""
AHEAD = 8  # batches that are read together and sorted by length


class Settings(BaseModel):
    """Options of a predictor; a subclass adds its own, each with a default and a description for `--help`."""

    batch_size: PositiveInt = Field(64, description="inputs per batch")


class Predictor(OnPage, ABC):
    """A trained task on a device, ready to predict.

    A subclass defines how an input is expanded into items, how an item is read, and how a batch of items is predicted.
    Reading in threads, batching, the progress bar and the list of bad inputs are implemented here.

    Args:
        task: a task, as `load_task` returns it.
        device: "cpu", "cuda", "mps", or "auto" for the fastest available one.

    Raises:
        ConfigError: the device is not available.
    """

    Settings: ClassVar[type[BaseModel]] = Settings
    """Options of `sightseq predict` for this kind of model, besides those of all models. Without a field `batch_size`,
    items are predicted one at a time."""
    default_input: ClassVar[str | None] = None
    """Input that is expanded if none is given; None: an input is required."""
    formats: ClassVar[Mapping[str, Callable[[Row], str]]] = {}
    """Values of `format` besides "table" and "jsonl"; each returns a row as the text to print."""
    documents: ClassVar[Collection[str]] = ()
    """Those `formats` that are whole documents, which cannot be printed one after the other."""
    local: ClassVar[Collection[str]] = ("batch_size",)
    """Options of the command line alone, which a server does not offer: they name files of its machine, or could keep
    it busy for hours."""
    json_input: ClassVar[Any] = None
    """The type of one input in JSON, for pydantic, which converts it to what `read` takes. None: inputs are files."""
    reads_files: ClassVar[bool] = True
    """Whether `expand` takes the name of a file."""
    runs_exported: ClassVar[bool] = False
    """Whether `exported` is used if it is set."""
    exported: Call | None = None
    """Runs the exported graph, in place of the network."""

    def __init__(self, task: Task, device: str = "auto") -> None:
        if device == "auto":
            accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
            device = str(accelerator or "cpu")
        try:
            self.task = task.to(device).eval()
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device={device}: {str(error).splitlines()[0]}") from error

    # Defined by each kind of model.

    @abstractmethod
    def expand(self, given: str, options: Any) -> Iterable[tuple[str, Any]]:
        """Expand one input of the command line into raw items: files of a folder, lines of a file, the text itself.

        Args:
            given: the input as typed.
            options: an instance of `Settings`.

        Returns:
            Pairs of the item's place, for messages ("" for the input itself), and the raw item. A list if all are
            known at once, so that the progress bar has a total; otherwise an iterator, which is read batch by batch.

        Raises:
            InputError: the input does not exist or cannot be read; the other inputs are still predicted.
        """

    @abstractmethod
    def read(self, raw: Any) -> Any:
        """Decode one raw item, or one input from Python, for `predict_items`. Called in threads.

        Raises:
            InputError: the item cannot be read.

        Warns:
            InputWarning: only a part of the item was read, or it is not as the model expects it.
        """

    @abstractmethod
    def predict_items(self, items: Sequence[Any], options: Any) -> Sequence[Row | list[Row]]:
        """Predict one batch of items. Called in torch's inference mode.

        Returns:
            For each item a row, or a list of rows, such as several samples for one prompt.
        """

    def origin(self, place: str, item: Any) -> Row:
        """Return the values that identify an item; they come first in its rows on the command line."""
        return {"input": place}

    def cells(self, row: Row) -> dict[str, str]:
        """Return one line of the printed table: cells by column title, with the same columns for each row."""
        return {name: str(value) for name, value in row.items()}

    def length(self, item: Any) -> int:
        """Return the length of an item before padding. If defined, the items of a batch have similar lengths."""
        return 0

    def check(self, inputs: Sequence[Any], options: Any) -> None:
        """Refuse options that have no effect on these inputs.

        Raises:
            ConfigError: such an option was given.
        """

    def write_to(self, folder: Path, options: Any) -> Any:
        """Return the options such that files are written into this folder, or beside the inputs."""
        return options

    def live(self, inputs: Sequence[str], options: Any, bad: list[InputError]) -> Iterator[str] | None:
        """Return pieces of text to print as they are generated, or None to print a table at the end.

        Arguments: see `rows`.
        """
        return None

    # Common to all predictors.

    def predict(self, inputs: Sequence[Any], **options: Any) -> list[Row]:
        """Predict inputs given from Python.

        Args:
            inputs: raw items, as `read` takes them.
            options: fields of `Settings`.

        Returns:
            The rows of all inputs, in order.

        Raises:
            InputError: an input cannot be read.
            ConfigError: an option does not exist, or its value is invalid.
        """
        settings = self.options(options)
        self.check(inputs, settings)
        size = _batch_size(settings) * self._ahead()
        chunks = (inputs[start : start + size] for start in range(0, len(inputs), size))
        return [row for chunk in chunks for rows in self.predict_read(map(self.read, chunk), settings) for row in rows]

    def options(self, given: Mapping[str, Any], common: Collection[str] = ()) -> Any:
        """Return the `Settings` with these values.

        Args:
            given: values by name.
            common: names of options that are not in `Settings` but may appear in a hint.

        Raises:
            ConfigError: an option does not exist, or its value is invalid.
        """
        own = self.Settings.model_fields
        for name, value in given.items():
            if name not in own:
                hint = nearest(name, {*common, *own})
                if "did you mean" not in hint:
                    hint = f"its options are {', '.join(own)}" if own else "it has no options of its own"
                raise ConfigError(f"{name}={value}: this model has no option {name!r}; {hint}")
        return validated(given, self.Settings)

    def rows(self, inputs: Sequence[str], options: Any, bad: list[InputError]) -> Iterator[tuple[str, Row]]:
        """Read and predict the inputs of the command line, batch by batch.

        Args:
            inputs: inputs of the command line; each is expanded.
            options: an instance of `Settings`.
            bad: the errors of inputs that cannot be read are appended to this list.

        Yields:
            The place of an item, and one of its rows, which starts with `origin`.
        """
        for chunk in self.items(inputs, options, bad):
            predictions = self.predict_read((item for _, item in chunk), options)
            for (place, item), rows in zip(chunk, predictions, strict=True):
                yield from ((place, {**self.origin(place, item), **row}) for row in rows)

    def items(
        self, inputs: Sequence[str], options: Any, bad: list[InputError], bar: bool = True
    ) -> Iterator[list[tuple[str, Any]]]:
        """Yield the readable items with their places, in chunks; only one chunk is in memory at a time.

        A chunk is one batch, or `AHEAD` batches if `length` is defined and no input is "-" (standard input may be
        slow).

        Args:
            inputs: see `rows`.
            options: see `rows`.
            bad: see `rows`.
            bar: show progress on a terminal, from the second chunk on.
        """
        size = _batch_size(options) * (1 if "-" in inputs else self._ahead())
        total, raws = self._expanded(inputs, options, bad)

        def read(raw: Any) -> Any:
            try:
                return self.read(raw)
            except InputError as error:
                return error

        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor())
            # If stdout is a file, the bar must not redirect it: the output would go to the terminal.
            columns = (*Progress.get_default_columns(), MofNCompleteColumn())
            progress = Progress(
                *columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
            )
            job = progress.add_task("predict", total=total)
            number = 0
            while chunk := list(islice(raws, size)):
                if number == 1 and bar and sys.stderr.isatty():
                    stack.enter_context(progress)
                good = []
                for (place, _), item in zip(chunk, pool.map(read, [raw for _, raw in chunk]), strict=True):
                    if isinstance(item, InputError):
                        bad.append(located(place, item))
                    else:
                        good.append((place, item))
                if good:
                    yield good
                progress.advance(job, len(chunk))
                number += 1

    def _expanded(
        self, inputs: Sequence[str], options: Any, bad: list[InputError]
    ) -> tuple[int | None, Iterator[tuple[str, Any]]]:
        """Return the number of raw items, or None if it is unknown, and the items with their places."""
        sources: list[tuple[str, Iterable[tuple[str, Any]]]] = []
        for number, given in enumerate(inputs, 1):
            try:
                sources.append(("input" if len(inputs) == 1 else f"input {number}", self.expand(given, options)))
            except InputError as error:
                bad.append(error)
        lengths = [len(items) for _, items in sources if isinstance(items, list)]

        def chained() -> Iterator[tuple[str, Any]]:
            for name, items in sources:
                try:
                    yield from ((place or name, raw) for place, raw in items)
                except InputError as error:
                    bad.append(error)

        return sum(lengths) if len(lengths) == len(sources) else None, chained()

    def _ahead(self) -> int:
        return 1 if type(self).length is Predictor.length else AHEAD

    @torch.inference_mode()
    def predict_read(self, items: Iterable[Any], options: Any) -> list[list[Row]]:
        """Predict items that `read` returned; return the rows of each, in order. Batches are formed by length."""
        predictions: dict[int, list[Row]] = {}
        ordered = sorted(enumerate(items), key=lambda pair: self.length(pair[1]))
        size = _batch_size(options)
        for start in range(0, len(ordered), size):
            indices, batch = zip(*ordered[start : start + size], strict=True)
            for index, rows in zip(indices, self.predict_items(batch, options), strict=True):
                predictions[index] = rows if isinstance(rows, list) else [rows]
        return [predictions[index] for index in range(len(predictions))]


def _batch_size(options: Any) -> int:
    return int(getattr(options, "batch_size", 1))


def located(place: str, error: SightseqError) -> InputError:
    """Return the error with the item's place in front of its message, unless it already starts with it."""
    text = str(error)
    return InputError(text if text.startswith(place) else f"{place}: {text}")
