"""One model of the page: from what a person gives to the HTML of the answer."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from markupsafe import Markup

from sightseq.core.blocks import Block, Page
from sightseq.core.build import validated
from sightseq.core.errors import SightseqError
from sightseq.core.media import FileBlock
from sightseq.core.predictor import Predictor
from sightseq.serve.model import Files, options_of
from sightseq.serve.worker import collecting

LONGEST_TEXT = 20_000  # characters
SHOWN = 10  # items of a file, and rows of an item


class Session:
    """Answers what is given to one model.

    Args:
        predictor: the model.
        largest: largest values of options, by name.
    """

    def __init__(self, predictor: Predictor, largest: Mapping[str, float]) -> None:
        self.predictor, self.options = predictor, options_of(predictor, largest)

    def text(self, text: str, given: Mapping[str, Any]) -> str:
        """Return the answer to a text."""
        if len(text) > LONGEST_TEXT:
            return problem(f"the text has {len(text):,} characters; at most {LONGEST_TEXT:,} are read")
        return self._answer([("", text)], given, None)

    def array(self, raw: Any, given: Mapping[str, Any]) -> str:
        """Return the answer to what `Predictor.read` takes."""
        return self._answer([("", raw)], given, None)

    def file(self, path: Path | None, name: str, given: Mapping[str, Any]) -> str:
        """Return the answer to a file, which the client calls `name`; None stands for the default input."""
        if path is None and self.predictor.default_input is None:
            return problem("there is no input yet")
        with TemporaryDirectory(prefix="sightseq-") as folder:
            files = Files(Path(folder))
            if path is not None:
                with path.open("rb") as content:
                    files.save([(name, content)])
            answer = self._answer(None, given, files)
            for saved in files.names:
                answer = answer.replace(saved, str(Markup.escape(name)))
            return answer.replace(f"{files.results}/", "")

    def _answer(self, pairs: Sequence[tuple[str, Any]] | None, given: Mapping[str, Any], files: Files | None) -> str:
        """Return the answer to raw items with their places, or to files."""
        predictor = self.predictor
        blocks: list[Block] = []
        start = time.perf_counter()
        with TemporaryDirectory(prefix="sightseq-") as folder, collecting() as warnings:
            try:
                options = predictor.options(validated(given, self.options).model_dump(exclude_unset=True))
                if files is not None:
                    options = predictor.write_to(files.results, options)
                    inputs = list(files.names) or [str(predictor.default_input)]
                    predictor.check(inputs, options)
                    pairs = [pair for one in inputs for pair in predictor.expand(one, options)]
                else:
                    predictor.check([raw for _, raw in pairs or ()], options)
                items = [predictor.read(raw) for _, raw in (pairs or ())[:SHOWN]]
                found = predictor.predict_read(items, options)
                milliseconds = 1e3 * (time.perf_counter() - start)
                for item, rows in zip(items, found, strict=True):
                    blocks += predictor.shown(item, rows[:SHOWN])
                    if files is not None:
                        blocks += written(rows[:SHOWN], files.results)
            except SightseqError as error:
                return problem(str(error))
            page = Page(Path(folder))
            parts = [Markup('<p class="soft">{:.1f} ms on {}</p>').format(milliseconds, predictor.task.device)]
            parts += [Markup('<p class="problem">{}</p>').format(text) for text in dict.fromkeys(warnings)]
            if pairs and len(pairs) > SHOWN:
                parts.append(Markup('<p class="soft">The first {} of {:,}.</p>').format(SHOWN, len(pairs)))
            for block in blocks:
                caption = Markup('<p class="soft">{}</p>').format(block.caption) if block.caption else Markup()
                parts.append(Markup("<h3>{}</h3>{}{}").format(block.title, caption, block.html(page)))
            return str(Markup('<div class="answer">{}</div>').format(Markup().join(parts)))


def problem(text: str) -> str:
    """Return the HTML of an error."""
    return str(Markup('<p class="problem">{}</p>').format(text))


def written(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[Block]:
    """Return a block for each file in the folder that a row names."""
    paths = [Path(value) for row in rows for value in row.values() if isinstance(value, str)]
    return [FileBlock(path.name, path) for path in paths if path.is_relative_to(folder) and path.is_file()]
