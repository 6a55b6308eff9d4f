"""What all datasets for language models have in common: documents one after another, as one long row of tokens."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset, ArrayWriter, save_split
from sightseq.core.datamodule import DataModule, atomic_folder
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.order import FILLER, Batch, Order, Streams
from sightseq.core.spec import LanguageSpec, Spec
from sightseq.data.texts import Texts
from sightseq.text.tokenizer import EOS_NUMBER, Tokenizer, Unit, fit

PIECE = 2**20  # characters of a long document that are tokenised at a time
SAMPLE = 2**28  # bytes of the training text that the tokenizer is fitted on
SPLITS = ("train", "val", "test")


class StreamDataset(ArrayDataset):
    """Tokens [N] in their order; `dataset[spans]` are windows of it.

    Args:
        tokens: of all documents, each ended by 0.
        source: the split.
    """

    def __init__(self, tokens: NDArray[Any], source: str) -> None:
        self.tokens, self.source = tokens, source
        self.arrays = {"input": tokens}

    @property
    def rows(self) -> NDArray[np.int64]:  # type: ignore[override]  # made when asked for: there may be very many
        """All of them."""
        return np.arange(len(self.tokens))

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, spans: Tensor) -> Batch:
        """Windows of the tokens.

        Args:
            spans: [B, 3] as `Streams` yields them: the first token that is predicted, the one after the last, and
                whether nothing came before.

        Returns:
            `target` [B, T], the tokens, -1 beyond a window's end; `input` [B, T], the token before each; `fresh` [B],
            whether the model begins anew; `index` [B], the first token's number, -1 for a window of nothing.
        """
        starts, ends, fresh = spans.unbind(1)
        length = int((ends - starts).max())
        target = np.full((len(spans), length), FILLER, np.int64)
        before = np.full((len(spans), length), EOS_NUMBER, np.int64)
        for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            target[row, : end - start] = self.tokens[start:end]
            # The first token of all follows the end of a document that is not there.
            first = max(start - 1, 0)
            if end > start:
                before[row, first + 1 - start : end - start] = self.tokens[first : end - 1]
        index = torch.where(ends > starts, starts, FILLER)
        return {
            "input": torch.from_numpy(before),
            "target": torch.from_numpy(target),
            "fresh": fresh.bool(),
            "index": index,
        }


class StreamData(DataModule):
    """Documents as one long row of tokens each split: `batch_size` streams of it are read side by side, from end to
    end, a window at a time; validation reads `eval_batch_size` streams, and the test one.

    A subclass says what is its own: `locate()`, `documents(sources)` and `write_synthetic(folder)`.

    Args:
        unit: "words", "subwords", "characters", or "whitespace": see `text.tokenizer.fit`.
        vocab_size: how many of them.
        lowercase: do not tell capitals apart.
        window: tokens through which the gradient goes back (truncated back-propagation through time).
        val_fraction: share of the training text that validates, where there is no validation split.
        test_fraction: share of the text that tests, where there is no test split.
        common: see `DataModule`.
    """

    example_spec: LanguageSpec = LanguageSpec("", 100)

    def __init__(
        self,
        *,
        unit: Unit = "words",
        vocab_size: int = 10_000,
        lowercase: bool = False,
        window: int = 35,
        val_fraction: float = 0.05,
        test_fraction: float = 0.1,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
            if not 0 < value < 1:
                raise ConfigError(f"data.{name}={value}: a share lies between 0 and 1")
        if window < 1:
            raise ConfigError(f"data.window={window}: at least one token")
        self.unit, self.vocab_size, self.lowercase, self.window = unit, vocab_size, lowercase, window
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self._tokenizer: str | None = None  # another model's

    # What a dataset says of itself.

    @abstractmethod
    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """The split ("train", "val" or "test") and the text of each document, in their order."""

    # What they have in common.

    def adopt(self, spec: Spec) -> None:
        """The tokenizer of a model of texts."""
        self._tokenizer = getattr(spec, "tokenizer", None)

    def cache_key(self) -> dict[str, Any]:
        """The options that change the splits."""
        return {"val_fraction": self.val_fraction, "test_fraction": self.test_fraction}

    def spec_key(self) -> dict[str, Any]:
        """What the tokenizer depends on besides the training text."""
        options = {"unit": self.unit, "vocab_size": self.vocab_size, "lowercase": self.lowercase}
        return {"tokenizer": self._tokenizer or options}

    def process(self, sources: list[Path], folder: Path) -> None:
        """Saves the documents of each split in pieces, a document at a time.

        Raises:
            DataError: a split has no text.
        """
        writers: dict[str, ArrayWriter] = {}
        ends: dict[str, list[int]] = {split: [] for split in SPLITS}
        last: dict[str, list[bool]] = {split: [] for split in SPLITS}
        for split in SPLITS:
            (folder / split).mkdir()
            writers[split] = ArrayWriter(folder / split / "input.npy", np.uint8)
        for split, text in self.documents(sources):
            for piece, is_last in _pieces(text):
                writers[split].append(np.frombuffer(piece.encode(), np.uint8))
                ends[split].append(writers[split].count)
                last[split].append(is_last)
        for split, writer in writers.items():
            writer.close()
            if not ends[split]:
                raise DataError(f"{self.name}: the {split} split has no text")
            save_split(folder, split, input_ends=np.array(ends[split], np.int64), last=np.array(last[split]))

    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, NDArray[np.int64]]]:
        """The pieces of each split."""
        return {split: (split, np.arange(len(splits[split]["last"]))) for split in SPLITS}

    def read_split(self, folder: Path) -> dict[str, Any]:
        """The pieces of the documents, and whether each is its document's last."""
        arrays = super().read_split(folder)
        return {"input": Texts(arrays["input"], arrays["input_ends"]), "last": arrays["last"]}

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> LanguageSpec:
        """The tokenizer of the training text."""
        texts: Any = train.arrays["input"]
        enough = int(np.searchsorted(texts.ends, SAMPLE)) + 1
        every = (texts[[row]][0] for row in range(min(enough, len(texts))))
        tokenizer = (
            Tokenizer(self._tokenizer) if self._tokenizer else fit(every, self.unit, self.vocab_size, self.lowercase)
        )
        return LanguageSpec(tokenizer.json, tokenizer.vocab_size)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """The documents as tokens, kept in the cache."""
        spec: Any = self.spec
        tokenizer, key = Tokenizer(spec.tokenizer), hashlib.sha256(spec.tokenizer.encode()).hexdigest()[:16]
        place = folder.with_name(f"{folder.name}-tokens-{key}")
        with atomic_folder(place) as building:
            if building is not None:
                for split, dataset in datasets.items():
                    _save_tokens(building / split, tokenizer, dataset.arrays)
        return {
            split: StreamDataset(super(StreamData, self).read_split(place / split)["tokens"], split)
            for split in datasets
        }

    def order(self, split: str, rank: int = 0, world: int = 1) -> Order:
        """Streams side by side; in the test one for each process."""
        streams = {"train": self.batch_size, "val": self.eval_batch_size, "test": 1}[split]
        return Streams(len(self.dataset(split)), streams, self.window, rank=rank, world=world)


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """A document in parts of about `PIECE` characters that end with a line, and whether each is the last."""
    start = 0
    while len(text) - start > PIECE:
        end = text.find("\n", start + PIECE) + 1 or len(text)
        yield text[start:end], end == len(text)
        start = end
    if start < len(text) or not text:
        yield text[start:], True


def _save_tokens(folder: Path, tokenizer: Tokenizer, arrays: Mapping[str, Any]) -> None:
    """Saves the tokens of documents, each ended by 0, a few pieces at a time."""
    folder.mkdir()
    texts, last = arrays["input"], arrays["last"]
    writer = ArrayWriter(folder / "tokens.npy", np.uint16 if tokenizer.vocab_size <= 2**16 else np.int32)
    rows = np.arange(len(texts))
    # As many pieces at a time as are together about as long as one long one.
    for chunk in np.split(rows, np.searchsorted(texts.ends, np.arange(PIECE, texts.ends[-1], PIECE))):
        numbers = tokenizer.encode_all(list(texts[chunk]))
        for row, found in zip(chunk, numbers, strict=True):
            if last[row]:
                found.append(EOS_NUMBER)
        writer.append(np.fromiter(chain.from_iterable(numbers), writer.dtype))
    writer.close()


def cut(text: str, val_fraction: float, test_fraction: float) -> Iterator[tuple[str, str]]:
    """One document as three, in its order: to train, to validate, to test; each cut where a line ends, if one does.

    Args:
        text: of the document.
        val_fraction: share of what does not test.
        test_fraction: share of the whole.
    """
    test = _line_end(text, round(len(text) * (1 - test_fraction)))
    val = _line_end(text, round(test * (1 - val_fraction)))
    yield "train", text[:val]
    yield "val", text[val:test]
    yield "test", text[test:]


def _line_end(text: str, place: int) -> int:
    """The end of the last line that ends before this place, if it is not far."""
    found = text.rfind("\n", 0, place) + 1
    return found if place - found < 1000 and found else place


def synthetic_prose(sentences: int, seed: int) -> str:
    """Made-up sentences of one grammar, a line each: learnable quickly."""
    generator = np.random.default_rng(seed)
    nouns, verbs = ["king", "queen", "fool", "ghost", "knight"], ["loves", "fears", "follows", "greets"]
    lines = []
    for _ in range(sentences):
        first, second = generator.choice(nouns, 2)
        lines.append(f"The {first} {generator.choice(verbs)} the {second}.")
    return "\n".join(lines) + "\n"
