"""Base of all datasets for language models: the documents of a split, concatenated into one stream of tokens."""

import codecs
import io
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import ArrayDataset, RaggedWriter, map_arrays, save_split
from sightseq.core.errors import DataError
from sightseq.core.files import atomic_folder
from sightseq.core.splits import check_fractions
from sightseq.data.streams import StreamDataset, TokenStreams
from sightseq.data.text.tokenised import PIECE, Texts, TokenisedData, save_tokens
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import Tokenizer

SAMPLE = 2**28  # bytes, about: training text that the tokenizer is fitted on
SPLITS = ("train", "val", "test")
NEAR = 1000  # characters, or bytes: a cut moves at most this far to a line end


class StreamData(TokenStreams, TokenisedData):
    """The documents of each split as one sequence of tokens, read as parallel streams: see `TokenStreams`.

    A subclass defines `locate()`, `documents(sources)` and `write_synthetic(folder)`.

    Args:
        val_fraction: fraction of the training text used for validation if there is no validation split.
        test_fraction: fraction of the text used for the test if there is no test split.
        common: see `TokenStreams`, `TokenisedData` and `DataModule`.
    """

    example_spec: LanguageSpec = LanguageSpec("", 100)

    def __init__(
        self,
        *,
        val_fraction: float = 0.05,
        test_fraction: float = 0.1,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
        self.val_fraction, self.test_fraction = val_fraction, test_fraction

    # What a subclass defines.

    @abstractmethod
    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str | Iterable[str]]]:
        """Yield the split ("train", "val" or "test") and the text of each document, in order.

        A long text is an iterable of parts, which are never in memory all at once.
        """

    # What all datasets have in common.

    def cache_key(self) -> dict[str, Any]:
        """Options that change the splits."""
        # "first" is the part that `cut` takes from the beginning.
        return {"val_fraction": self.val_fraction, "test_fraction": self.test_fraction, "first": "val"}

    def process(self, sources: list[Path], folder: Path) -> None:
        """Save the documents of each split in pieces, one document at a time.

        Raises:
            DataError: a split has no text.
        """
        writers: dict[str, RaggedWriter] = {}
        last = {split: array("b") for split in SPLITS}
        for split in SPLITS:
            (folder / split).mkdir()
            writers[split] = RaggedWriter(folder / split / "input.npy", np.uint8)
        for split, text in self.documents(sources):
            for piece, is_last in _pieces(text):
                writers[split].append(np.frombuffer(piece.encode(), np.uint8))
                last[split].append(is_last)
        for split, writer in writers.items():
            writer.close()
            if not last[split]:
                raise DataError(f"{self.name}: the {split} split has no text")
            save_split(folder, split, last=np.array(last[split], np.bool_))

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, NDArray[np.int64]]]:
        """Return all pieces of each split."""
        return {split: (split, np.arange(len(splits[split]["last"]))) for split in SPLITS}

    def read_split(self, folder: Path) -> dict[str, Any]:
        """Return the memory-mapped pieces of the documents, and whether each piece is the last of its document."""
        arrays = map_arrays(folder)
        return {**arrays, "input": Texts.like(arrays["input"])}

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> LanguageSpec:
        """Fit the tokenizer on the training text, or take the adopted one."""
        texts: Any = train.arrays["input"]
        count = int(np.searchsorted(texts.ends, SAMPLE)) + 1
        sample = (texts[[row]][0] for row in range(min(count, len(texts))))
        tokenizer = self.get_tokenizer(sample)
        return LanguageSpec(tokenizer.json, tokenizer.vocab_size)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Tokenise the documents once into the cache; the tokens are memory-mapped, as they are read in order."""
        spec: Any = self.spec
        tokenizer = Tokenizer(spec.tokenizer)
        place = self.token_folder(folder, tokenizer)
        with atomic_folder(place) as building:
            if building is not None:
                for split, dataset in datasets.items():
                    arrays: Any = dataset.arrays
                    save_tokens(building / split, tokenizer, arrays["input"], arrays["last"])
        return {split: StreamDataset(map_arrays(place / split)["tokens"].values, split) for split in datasets}


def _pieces(document: str | Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield pieces of at most `PIECE` characters of a document, and whether each is the last.

    A piece ends at a line end if possible, else at a space if possible.
    """
    buffer = ""
    for part in [document] if isinstance(document, str) else document:
        buffer += part
        while len(buffer) > PIECE:
            cut = buffer.rfind("\n", 0, PIECE) + 1 or buffer.rfind(" ", 0, PIECE) + 1 or PIECE
            yield buffer[:cut], False
            buffer = buffer[cut:]
    yield buffer, True


def split_document(text: str, val_fraction: float, test_fraction: float) -> Iterator[tuple[str, str]]:
    """Cut a document into three splits at line ends, if there are any nearby.

    The beginning is the validation split, the end the test split, and the middle the training split. So the test text
    directly continues the training text, with its names and topics, as in benchmarks that hold out only the end.

    Args:
        text: the document.
        val_fraction: fraction of the text without the test split.
        test_fraction: fraction of the whole text.
    """
    test = _line_end(text, round(len(text) * (1 - test_fraction)))
    train = _line_end(text[:test], round(test * val_fraction))
    yield "val", text[:train]
    yield "train", text[train:test]
    yield "test", text[test:]


def split_file(file: Path, val_fraction: float, test_fraction: float) -> Iterator[tuple[str, Iterable[str]]]:
    """Like `cut`, for a file of any size; fractions are of bytes."""
    size = file.stat().st_size
    test = _line_start(file, round(size * (1 - test_fraction)), size)
    train = _line_start(file, round(test * val_fraction), test)
    yield "val", read_text(file, 0, train)
    yield "train", read_text(file, train, test)
    yield "test", read_text(file, test, size)


def read_text(file: Path, start: int = 0, end: int | None = None) -> Iterator[str]:
    """Yield the text of a UTF-8 file between two byte offsets, in parts, with Unix line endings.

    Raises:
        DataError: the text is not UTF-8.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig" if not start else "utf-8")(), True)
    remaining = file.stat().st_size - start if end is None else end - start
    with file.open("rb") as stream:
        stream.seek(start)
        try:
            while remaining > 0 and (part := stream.read(min(PIECE, remaining))):
                remaining -= len(part)
                yield decoder.decode(part, final=remaining <= 0)
        except UnicodeDecodeError as error:
            raise DataError(f"{file} is not UTF-8; save it as UTF-8, or leave it out") from error


def _line_start(file: Path, place: int, end: int) -> int:
    """Byte offset of the first line start after `place`, if it is within `NEAR` bytes and before `end`.

    Otherwise the offset of the first character at or after `place`.
    """
    with file.open("rb") as stream:
        stream.seek(place)
        after = stream.read(min(NEAR, end - place))
    if 0 < (offset := after.find(b"\n") + 1) < end - place:
        return place + offset
    return place + next((n for n, byte in enumerate(after) if byte & 0xC0 != 0x80), 0)


def _line_end(text: str, place: int) -> int:
    """A line end within `NEAR` characters: the last one before `place`, else the next one unless it ends the text.

    Otherwise `place` itself.
    """
    before, after = (text.rfind("\n", 0, place) + 1, text.find("\n", place) + 1)
    if before and place - before < NEAR:
        return before
    return after if after and after - place < NEAR and after < len(text) else place


def synthetic_prose(sentences: int, seed: int) -> str:
    """Random sentences of one small grammar, one per line: quick to learn."""
    generator = np.random.default_rng(seed)
    nouns, verbs = ["king", "queen", "fool", "ghost", "knight"], ["loves", "fears", "follows", "greets"]
    lines = []
    for _ in range(sentences):
        first, second = generator.choice(nouns, 2)
        lines.append(f"The {first} {generator.choice(verbs)} the {second}.")
    return "\n".join(lines) + "\n"
