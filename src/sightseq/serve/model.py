"""One model of a server: reads the inputs of a request, has them predicted, and returns what is sent."""

import mimetypes
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, BinaryIO

from anyio import CancelScope
from anyio.to_thread import run_sync
from pydantic import BaseModel, ConfigDict, Field, create_model

from sightseq.core.blocks import data_uri
from sightseq.core.errors import InputError, SightseqError
from sightseq.core.predictor import Predictor, Row, located
from sightseq.serve.worker import Worker, collecting

LONGEST_NAME = 80  # characters of an uploaded file's name on disk
Upload = tuple[str, BinaryIO]
"""The name of an uploaded file, and its content."""


@dataclass
class Inputs:
    """The inputs of a request: an item, or the error that it could not be read, for each; and texts of warnings."""

    found: list[Any] = field(default_factory=list)
    origins: list[Row] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Model:
    """A model that answers requests.

    Args:
        name: its name in the addresses.
        title: the title of its experiment.
        predictor: what predicts.
        worker: runs the predictor.
        largest: largest values of options, by name.
        max_inputs: number of inputs in a request.
    """

    def __init__(
        self,
        name: str,
        title: str,
        predictor: Predictor,
        worker: Worker,
        largest: Mapping[str, float],
        max_inputs: int,
    ) -> None:
        self.name, self.title, self.predictor, self.worker = name, title, predictor, worker
        self.max_inputs = max_inputs
        self.options = options_of(predictor, largest)

    async def answer(self, raws: Sequence[Any], given: BaseModel) -> dict[str, Any]:
        """Predict inputs in JSON.

        Args:
            raws: what `Predictor.read` takes.
            given: an instance of `options`.

        Returns:
            `results`, for each input its `rows` or an `error`; and `warnings`.

        Raises:
            ConfigError: the options do not fit.
            InputError: no input can be read; the message is that of the first.
        """
        options = self._settings(given)

        def read() -> Inputs:
            self.predictor.check(raws, options)
            return self._read((("", raw) for raw in raws), files=False)

        return await self._answer(await run_sync(read), options)

    async def answer_files(self, uploads: Sequence[Upload], given: BaseModel) -> dict[str, Any]:
        """Predict uploaded files, or the default input if there is none.

        The rows are those of the command line. Files that the model writes are data URIs in the rows.

        Args:
            uploads: the files.
            given: an instance of `options`.

        Returns, Raises: see `answer`.
        """
        temporary = await run_sync(lambda: TemporaryDirectory(prefix="sightseq-"))
        files = Files(Path(temporary.name))
        try:
            options = self.predictor.write_to(files.results, self._settings(given))

            def read() -> Inputs:
                files.save(uploads)
                default = self.predictor.default_input
                paths = list(files.names) or ([] if default is None else [default])
                self.predictor.check(paths, options)
                return self._read(self._expanded(paths, options), files=True)

            try:
                answer = await self._answer(await run_sync(read), options)
            except SightseqError as error:
                raise type(error)(files.for_client(str(error))) from error
            sent: dict[str, Any] = await run_sync(files.for_client, answer)
            return sent
        finally:
            with CancelScope(shield=True):
                await run_sync(temporary.cleanup)

    def _settings(self, given: BaseModel) -> Any:
        values = given.model_dump(exclude_unset=True)
        if "batch_size" in self.predictor.Settings.model_fields:
            values["batch_size"] = self.worker.batch_size
        return self.predictor.options(values)

    def _expanded(self, paths: Iterable[str], options: Any) -> Iterator[tuple[str, Any]]:
        """Yield the place and the raw item, or the error, of each input."""
        for path in paths:
            try:
                yield from self.predictor.expand(path, options)
            except SightseqError as error:
                yield path, error

    def _read(self, pairs: Iterator[tuple[str, Any]], *, files: bool) -> Inputs:
        """Read the raw items with their places; those of files have the origins of the command line.

        Raises:
            InputError: there are too many.
        """
        inputs = Inputs()
        with collecting() as inputs.warnings:
            for place, raw in pairs:
                if len(inputs.found) == self.max_inputs:
                    raise InputError(f"there are more than {self.max_inputs} inputs; send them in several requests")
                try:
                    item = raw if isinstance(raw, Exception) else self.predictor.read(raw)
                except SightseqError as error:
                    item = located(place, error)
                inputs.found.append(item)
                good = files and not isinstance(item, Exception)
                inputs.origins.append(self.predictor.origin(place, item) if good else {})
        return inputs

    async def _answer(self, inputs: Inputs, options: Any) -> dict[str, Any]:
        good = [item for item in inputs.found if not isinstance(item, Exception)]
        if not good:
            raise inputs.found[0] if inputs.found else InputError("there is no input")
        rows, texts = await self.worker.predict(good, options)
        found = iter(rows)
        results = [
            {"error": str(item)}
            if isinstance(item, Exception)
            else {"rows": [{**origin, **row} for row in next(found)]}
            for item, origin in zip(inputs.found, inputs.origins, strict=True)
        ]
        return {"results": results, "warnings": [*dict.fromkeys([*inputs.warnings, *texts])]}


class Files:
    """The files of one request, in a temporary folder.

    Args:
        folder: the folder.

    Attributes:
        results: the folder for the files that the model writes.
        names: the client's name of each uploaded file, by its path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "results"
        self.names: dict[str, str] = {}

    def save(self, uploads: Sequence[Upload]) -> None:
        """Write the uploaded files, under names that are safe and differ before their suffixes."""
        stems: set[str] = set()
        for number, (name, content) in enumerate(uploads, 1):
            path = Path(re.sub(r"[^a-zA-Z0-9._-]", "_", re.split(r"[/\\]", name)[-1])[-LONGEST_NAME:].lstrip("."))
            if not path.stem or path.stem in stems:
                path = Path(f"{number}-{path.name}")
            stems.add(path.stem)
            path = self.folder / "inputs" / path
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
            self.names[str(path)] = name

    def for_client(self, value: Any) -> Any:
        """Return an answer with the client's names of the uploaded files, and each written file as a data URI."""
        if isinstance(value, dict):
            return {key: self.for_client(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.for_client(one) for one in value]
        if not isinstance(value, str) or str(self.folder) not in value:
            return value
        if (path := Path(value)).is_relative_to(self.results) and path.is_file():
            return data_uri(path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream")
        for saved, name in self.names.items():
            value = value.replace(saved, name)
        return value.replace(f"{self.results}/", "")


def options_of(predictor: Predictor, largest: Mapping[str, float]) -> type[BaseModel]:
    """Return the options of a predictor that a client may set, each with its largest value."""
    fields: dict[str, Any] = {}
    for name, field_ in predictor.Settings.model_fields.items():
        if name not in predictor.local:
            kind: Any = field_.annotation
            fields[name] = (Annotated[kind, Field(le=largest[name])] if name in largest else kind, field_)
    return create_model(
        f"{type(predictor).__name__}Options", __config__=ConfigDict(extra="forbid", title="Options"), **fields
    )
