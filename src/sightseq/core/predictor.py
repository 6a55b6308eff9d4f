"""How a person uses a trained model: raw inputs to plain rows in human units."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, Field, PositiveInt
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from sightseq.core.build import validated
from sightseq.core.errors import ConfigError, InputError, nearest
from sightseq.core.task import Task

Row = dict[str, Any]
"""A prediction: plain values by name, in human units, as JSON holds them."""
AHEAD = 8  # batches that are read at once and sorted by length


class Settings(BaseModel):
    """The options of a predictor; a subclass adds its own, each with a default and a description for `--help`."""

    batch_size: PositiveInt = Field(64, description="inputs that go through the network at once")


class Predictor(ABC):
    """A trained task on a device, ready to predict.

    A subclass says what an input expands to, how an item is read, and what a batch of items gives. Reading in threads,
    batching, the progress bar and the list of bad inputs are written here.

    Args:
        task: as `load_task` gives it.
        device: "cpu", "cuda", "mps", or "auto": the fastest available.

    Raises:
        ConfigError: the device is not available.
    """

    Settings: ClassVar[type[BaseModel]] = Settings
    """The options that `sightseq predict` takes for such a model, besides those common to all models. Without a
    `batch_size` among them, items are predicted one at a time."""

    def __init__(self, task: Task, device: str = "auto") -> None:
        if device == "auto":
            accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
            device = str(accelerator or "cpu")
        try:
            self.task = task.to(device).eval()
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device={device}: {str(error).splitlines()[0]}") from error

    # What each kind of model defines.

    @abstractmethod
    def expand(self, given: str, options: Any) -> Iterable[tuple[str, Any]]:
        """The raw items of one input of the command line: files of a folder, lines of a file, the text itself.

        Args:
            given: as typed.
            options: an instance of `Settings`.

        Returns:
            The place of each raw item, for messages ("" for the input itself), and the item. A list where all are
            known at once, so that the progress bar has a total; else an iterator, which is read batch by batch.

        Raises:
            InputError: the input does not exist or cannot be read; the other inputs are still predicted.
        """

    @abstractmethod
    def read(self, raw: Any) -> Any:
        """One raw item, or one input from Python, decoded for `predict_items`. Called in threads.

        Raises:
            InputError: it cannot be read.

        Warns:
            InputWarning: it was read only in part, or not as the model expects it.
        """

    @abstractmethod
    def predict_items(self, items: Sequence[Any], options: Any) -> Sequence[Row | list[Row]]:
        """The prediction for each item of one batch: a row, or a list of rows, as of several samples of one prompt.

        Called in torch's inference mode.
        """

    def origin(self, place: str, item: Any) -> Row:
        """The values that come first in the rows of an item on the command line, and name it."""
        return {"input": place}

    def cells(self, row: Row) -> dict[str, str]:
        """One line of the printed table: column titles and cells, the same columns for each row."""
        return {name: str(value) for name, value in row.items()}

    def length(self, item: Any) -> int:
        """The length to which an item pads its batch. Where it is defined, items of similar length share a batch."""
        return 0

    def check(self, inputs: Sequence[Any], options: Any) -> None:  # noqa: B027 (optional)
        """Refuses options that have no effect on these inputs.

        Raises:
            ConfigError: one was given.
        """

    def live(self, inputs: Sequence[str], options: Any, bad: list[InputError]) -> Iterator[str] | None:
        """The pieces of text that are printed as they come, instead of a table at the end; None: there is a table.

        Arguments: see `rows`.
        """
        return None

    # What all have in common.

    def predict(self, inputs: Sequence[Any], **options: Any) -> list[Row]:
        """The predictions for inputs given from Python.

        Args:
            inputs: raw items, as `read` takes them.
            options: fields of `Settings`.

        Returns:
            The rows of each input, in order.

        Raises:
            InputError: an input cannot be read.
            ConfigError: there is no such option, or a value does not fit.
        """
        settings = self.options(options)
        self.check(inputs, settings)
        size = _batch_size(settings) * self._ahead()
        chunks = (inputs[start : start + size] for start in range(0, len(inputs), size))
        return [row for chunk in chunks for rows in self._predicted(map(self.read, chunk), settings) for row in rows]

    def options(self, given: Mapping[str, Any], common: Collection[str] = ()) -> Any:
        """The `Settings` with these values.

        Args:
            given: values by name.
            common: names of options that are not in `Settings`; a hint may name them.

        Raises:
            ConfigError: there is no such option, or a value does not fit.
        """
        own = self.Settings.model_fields
        for name, value in given.items():
            if name not in own:
                hint = nearest(name, {*common, *own})
                if "did you mean" not in hint:
                    hint = f"its own are {', '.join(own)}" if own else "it has none of its own"
                raise ConfigError(f"{name}={value}: this model has no option {name!r}; {hint}")
        return validated(given, self.Settings)

    def rows(self, inputs: Sequence[str], options: Any, bad: list[InputError]) -> Iterator[tuple[str, Row]]:
        """Reads and predicts the inputs of the command line, batch by batch.

        Args:
            inputs: each is expanded.
            options: an instance of `Settings`.
            bad: receives the errors of the inputs that cannot be read.

        Yields:
            The place of an item, and a row of it, which begins with `origin`.
        """
        for chunk in self.items(inputs, options, bad):
            found = self._predicted((item for _, item in chunk), options)
            for (place, item), rows in zip(chunk, found, strict=True):
                yield from ((place, {**self.origin(place, item), **row}) for row in rows)

    def items(
        self, inputs: Sequence[str], options: Any, bad: list[InputError], bar: bool = True
    ) -> Iterator[list[tuple[str, Any]]]:
        """The items that can be read, each with its place: a batch at a time, or `AHEAD` batches where `length` is
        defined and no input is "-", standard input, which may be slow. No more are in memory at a time.

        Args:
            inputs: see `rows`.
            options: see `rows`.
            bad: see `rows`.
            bar: show progress on a terminal, from the second time on.
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
            # Redirected output would go where the bar goes: to the terminal, not into the file.
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
                        bad.append(_located(place, item))
                    else:
                        good.append((place, item))
                if good:
                    yield good
                progress.advance(job, len(chunk))
                number += 1

    def _expanded(
        self, inputs: Sequence[str], options: Any, bad: list[InputError]
    ) -> tuple[int | None, Iterator[tuple[str, Any]]]:
        """How many raw items there are, if that is known, and the items."""
        sources: list[tuple[str, Iterable[tuple[str, Any]]]] = []
        for number, given in enumerate(inputs, 1):
            try:
                sources.append(("input" if len(inputs) == 1 else f"input {number}", self.expand(given, options)))
            except InputError as error:
                bad.append(error)
        lengths = [len(found) for _, found in sources if isinstance(found, list)]

        def items() -> Iterator[tuple[str, Any]]:
            for name, found in sources:
                try:
                    yield from ((place or name, raw) for place, raw in found)
                except InputError as error:
                    bad.append(error)

        return sum(lengths) if len(lengths) == len(sources) else None, items()

    def _ahead(self) -> int:
        return 1 if type(self).length is Predictor.length else AHEAD

    @torch.inference_mode()
    def _predicted(self, items: Iterable[Any], options: Any) -> list[list[Row]]:
        """The rows of each item, in order; the batches go by length."""
        found: dict[int, list[Row]] = {}
        ordered = sorted(enumerate(items), key=lambda pair: self.length(pair[1]))
        size = _batch_size(options)
        for start in range(0, len(ordered), size):
            places, batch = zip(*ordered[start : start + size], strict=True)
            for place, rows in zip(places, self.predict_items(batch, options), strict=True):
                found[place] = rows if isinstance(rows, list) else [rows]
        return [found[place] for place in range(len(found))]


def _batch_size(options: Any) -> int:
    return int(getattr(options, "batch_size", 1))


def _located(place: str, error: InputError) -> InputError:
    """The error with the place of the item, unless its message begins with it."""
    return error if str(error).startswith(place) else InputError(f"{place}: {error}")
