"""What all datasets for language models have in common: documents one after another, as one long row of tokens."""

import codecs
import io
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset, RaggedWriter, map_arrays, save_split
from sightseq.core.datamodule import check_shares
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.files import atomic_folder
from sightseq.core.loading import PAD_INDEX, Batch, BatchSampler, StreamSampler
from sightseq.data.text.tokenised import PIECE, Texts, TokenisedData, save_tokens
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import EOS_ID, Tokenizer

SAMPLE = 2**28  # bytes of the training text that the tokenizer is fitted on
SPLITS = ("train", "val", "test")
NEAR = 1000  # characters, or bytes, within which a line is to end


class StreamDataset(ArrayDataset):
    """Tokens [N] in their order; `dataset[spans]` are windows of it.

    Args:
        tokens: of all documents, each ended by 0.
        source: the split.
    """

    def __init__(self, tokens: NDArray[Any], source: str) -> None:
        # As a range, for of very many tokens an array of their numbers would fill the memory.
        super().__init__({"input": tokens}, cast(Any, range(len(tokens))), source)
        self.tokens = tokens

    def batch(self, spans: Tensor) -> Batch:
        """Windows of the tokens.

        Args:
            spans: [B, 3] as `StreamSampler` yields them: the first token that is predicted, the one after the last, and
                whether nothing came before. Numbers of tokens [B] are windows of that token alone.

        Returns:
            `target` [B, T], the tokens, -1 beyond a window's end; `input` [B, T], the token before each; `fresh` [B],
            whether the model begins anew; `index` [B], the first token's number, -1 for a window of nothing.
        """
        if spans.ndim == 1:
            spans = torch.stack([spans, spans + 1, spans == 0], dim=1)
        starts, ends, fresh = spans.unbind(1)
        length = max(int((ends - starts).max()), 1)  # all may be of nothing
        target = np.full((len(spans), length), PAD_INDEX, np.int64)
        before = np.full((len(spans), length), EOS_ID, np.int64)
        for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            target[row, : end - start] = self.tokens[start:end]
            # The first token of all follows the end of a document that is not there.
            first = max(start - 1, 0)
            if end > start:
                before[row, first + 1 - start : end - start] = self.tokens[first : end - 1]
        index = torch.where(ends > starts, starts, PAD_INDEX)
        return {
            "input": torch.from_numpy(before),
            "target": torch.from_numpy(target),
            "fresh": fresh.bool(),
            "index": index,
        }


class StreamData(TokenisedData):
    """Documents as one long row of tokens each split: `batch_size` streams of it are read side by side, from end to
    end, a window at a time, by each process. Validation reads `eval_batch_size` streams, and the test one, for all
    processes together: so their scores do not depend on the number of processes.

    A subclass says what is its own: `locate()`, `documents(sources)` and `write_synthetic(folder)`.

    Args:
        bptt: tokens through which the gradient goes back (truncated back-propagation through time).
        val_fraction: share of the training text that validates, where there is no validation split.
        test_fraction: share of the text that tests, where there is no test split.
        common: see `TokenisedData` and `DataModule`.
    """

    counted = "tokens"
    example_spec: LanguageSpec = LanguageSpec("", 100)

    def __init__(
        self,
        *,
        bptt: int = 35,
        val_fraction: float = 0.05,
        test_fraction: float = 0.1,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_shares(val_fraction=val_fraction, test_fraction=test_fraction)
        if bptt < 1:
            raise ConfigError(f"data.bptt={bptt}: at least one token")
        self.bptt, self.val_fraction, self.test_fraction = bptt, val_fraction, test_fraction
        self.streams: dict[str, int] = {"train": self.batch_size, "val": self.eval_batch_size, "test": 1}

    # What a dataset says of itself.

    @abstractmethod
    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str | Iterable[str]]]:
        """The split ("train", "val" or "test") and the text of each document, in their order; of a long one its parts,
        which are then never in memory together.
        """

    # What they have in common.

    def cache_key(self) -> dict[str, Any]:
        """The options that change the splits."""
        return {"val_fraction": self.val_fraction, "test_fraction": self.test_fraction, "first": "val"}  # see `cut`

    def process(self, sources: list[Path], folder: Path) -> None:
        """Saves the documents of each split in pieces, a document at a time.

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
        """The pieces of each split."""
        return {split: (split, np.arange(len(splits[split]["last"]))) for split in SPLITS}

    def read_split(self, folder: Path) -> dict[str, Any]:
        """The pieces of the documents, which stay on disk, and whether each is its document's last."""
        arrays = map_arrays(folder)
        return {**arrays, "input": Texts.like(arrays["input"])}

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> LanguageSpec:
        """The tokenizer of the training text."""
        texts: Any = train.arrays["input"]
        enough = int(np.searchsorted(texts.ends, SAMPLE)) + 1
        every = (texts[[row]][0] for row in range(min(enough, len(texts))))
        tokenizer = self.tokenizer_of(every)
        return LanguageSpec(tokenizer.json, tokenizer.vocab_size)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """The documents as tokens, kept in the cache, where they stay: they are read in their order."""
        spec: Any = self.spec
        tokenizer = Tokenizer(spec.tokenizer)
        place = self.token_folder(folder, tokenizer)
        with atomic_folder(place) as building:
            if building is not None:
                for split, dataset in datasets.items():
                    arrays: Any = dataset.arrays
                    save_tokens(building / split, tokenizer, arrays["input"], arrays["last"])
        return {split: StreamDataset(map_arrays(place / split)["tokens"].values, split) for split in datasets}

    def batch_sampler(self, split: str, rank: int = 0, world: int = 1) -> BatchSampler:
        """Streams side by side: in training so many for each process, else for all of them together."""
        streams = self.streams[split] * (world if split == "train" else 1)
        return StreamSampler(len(self.dataset(split)), streams, self.bptt, rank=rank, world=world)


def _pieces(document: str | Iterable[str]) -> Iterator[tuple[str, bool]]:
    """A document in parts of at most about `PIECE` characters, that end with a line or a word where they can, and
    whether each is the last.
    """
    rest = ""
    for part in [document] if isinstance(document, str) else document:
        rest += part
        while len(rest) > PIECE:
            cut = rest.rfind("\n", 0, PIECE) + 1 or rest.rfind(" ", 0, PIECE) + 1 or PIECE
            yield rest[:cut], False
            rest = rest[cut:]
    yield rest, True


def cut(text: str, val_fraction: float, test_fraction: float) -> Iterator[tuple[str, str]]:
    """One document as three, each cut where a line ends, if one does: its beginning validates, its end tests, and all
    that comes between trains. So a test goes on where training ended, with its names and its topics, as it does for
    whoever is given nothing but the end to test.

    Args:
        text: of the document.
        val_fraction: share of what does not test.
        test_fraction: share of the whole.
    """
    test = _line_end(text, round(len(text) * (1 - test_fraction)))
    train = _line_end(text[:test], round(test * val_fraction))
    yield "val", text[:train]
    yield "train", text[train:test]
    yield "test", text[test:]


def cut_file(file: Path, val_fraction: float, test_fraction: float) -> Iterator[tuple[str, Iterable[str]]]:
    """As `cut`, of a file of any size."""
    size = file.stat().st_size
    test = _line_start(file, round(size * (1 - test_fraction)), size)
    train = _line_start(file, round(test * val_fraction), test)
    yield "val", read_text(file, 0, train)
    yield "train", read_text(file, train, test)
    yield "test", read_text(file, test, size)


def read_text(file: Path, start: int = 0, end: int | None = None) -> Iterator[str]:
    """The text between two places, in bytes, of a file of UTF-8, in parts; line ends of Windows become such of Unix.

    Raises:
        DataError: it is not UTF-8.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig" if not start else "utf-8")(), True)
    left = file.stat().st_size - start if end is None else end - start
    with file.open("rb") as stream:
        stream.seek(start)
        try:
            while left > 0 and (part := stream.read(min(PIECE, left))):
                left -= len(part)
                yield decoder.decode(part, final=left <= 0)
        except UnicodeDecodeError as error:
            raise DataError(f"{file} is not UTF-8; save it as such, or leave it out") from error


def _line_start(file: Path, place: int, end: int) -> int:
    """Where the first line begins after this place, in bytes, if that is near and not the end; else where a character
    does.
    """
    with file.open("rb") as stream:
        stream.seek(place)
        after = stream.read(min(NEAR, end - place))
    if 0 < (found := after.find(b"\n") + 1) < end - place:
        return place + found
    return place + next((n for n, byte in enumerate(after) if byte & 0xC0 != 0x80), 0)


def _line_end(text: str, place: int) -> int:
    """The end of a line near this place: of the last one before it, or else of the next one, if another follows."""
    before, after = (text.rfind("\n", 0, place) + 1, text.find("\n", place) + 1)
    if before and place - before < NEAR:
        return before
    return after if after and after - place < NEAR and after < len(text) else place


def synthetic_prose(sentences: int, seed: int) -> str:
    """Made-up sentences of one grammar, a line each: learnable quickly."""
    generator = np.random.default_rng(seed)
    nouns, verbs = ["king", "queen", "fool", "ghost", "knight"], ["loves", "fears", "follows", "greets"]
    lines = []
    for _ in range(sentences):
        first, second = generator.choice(nouns, 2)
        lines.append(f"The {first} {generator.choice(verbs)} the {second}.")
    return "\n".join(lines) + "\n"
