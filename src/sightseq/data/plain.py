"""Samples of a split in plain code, for `sightseq eject`: they read the same arrays and make the same batches."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]


class PlainTexts:
    """Texts as rows of tokens, padded with 0, and their classes; the middle of a long text is left out."""

    def __init__(self, tokens: Array, ends: Array, targets: Array, rows: Array, longest: int) -> None:
        self.texts, self.targets, self.rows, self.longest = np.split(tokens, ends[:-1]), targets, rows, longest
        self.lengths = torch.tensor([min(max(len(self.texts[row]), 1), longest) for row in rows])

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return some texts as a batch."""
        rows, half = self.rows[indices.numpy()], self.longest // 2
        texts = [torch.from_numpy(self.texts[row].astype(np.int64)) for row in rows]
        texts = [t if len(t) <= self.longest else torch.cat([t[: self.longest - half], t[-half:]]) for t in texts]
        tokens = nn.utils.rnn.pad_sequence(texts, batch_first=True)
        return {"input": tokens, "length": self.lengths[indices], "target": torch.from_numpy(self.targets[rows])}


class PlainPairs:
    """Pairs of texts as rows of tokens that end with 0; sources are padded with 0, targets with -1."""

    def __init__(
        self, sources: Array, source_ends: Array, targets: Array, target_ends: Array, rows: Array, longest: int
    ) -> None:
        self.sources, self.targets = np.split(sources, source_ends[:-1]), np.split(targets, target_ends[:-1])
        self.rows, self.longest = rows, longest
        self.lengths = torch.tensor([min(max(len(self.sources[row]), len(self.targets[row])), longest) for row in rows])

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return some pairs as a batch."""
        rows = self.rows[indices.numpy()]
        sources = [cut(self.sources[row], self.longest) for row in rows]
        targets = [cut(self.targets[row], self.longest) for row in rows]
        return {
            "input": nn.utils.rnn.pad_sequence(sources, batch_first=True),
            "length": torch.tensor([len(source) for source in sources]),
            "target": nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=-1),
        }


class PlainCaptions:
    """Images and the tokens of a caption of each, padded with -1."""

    def __init__(self, images: Array, numbers: Array, tokens: Array, ends: Array, rows: Array, longest: int) -> None:
        self.images, self.numbers, self.captions = images, numbers, np.split(tokens, ends[:-1])
        self.rows, self.longest = rows, longest
        self.lengths = torch.tensor([min(len(self.captions[row]), longest) for row in rows])

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return some captions with their images as a batch."""
        rows = self.rows[indices.numpy()]
        captions = [cut(self.captions[row], self.longest) for row in rows]
        target = nn.utils.rnn.pad_sequence(captions, batch_first=True, padding_value=-1)
        return {"input": torch.from_numpy(self.images[self.numbers[rows]]), "target": target}


def cut(tokens: Array, longest: int) -> Tensor:
    """Return tokens that end with 0, at most `longest`."""
    return torch.tensor(tokens if len(tokens) <= longest else [*tokens[: longest - 1], 0]).long()


class PlainTranscripts:
    """Inputs of unequal lengths, padded, and the characters of their transcripts, padded with 0."""

    def __init__(
        self, inputs: Array, ends: Array, characters: Array, character_ends: Array, rows: Array, padding: Array
    ) -> None:
        self.inputs, self.texts = np.split(inputs, ends[:-1]), np.split(characters, character_ends[:-1])
        self.rows, self.padding = rows, padding
        self.lengths = torch.tensor([len(self.inputs[row]) for row in rows])

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return some inputs with their transcripts as a batch."""
        inputs = [torch.from_numpy(self.inputs[row]) for row in self.rows[indices.numpy()]]
        texts = [torch.from_numpy(self.texts[row]) for row in self.rows[indices.numpy()]]
        return {
            "input": nn.utils.rnn.pad_sequence(inputs, batch_first=True, padding_value=self.padding.item()),
            "length": self.lengths[indices],
            "target": nn.utils.rnn.pad_sequence(texts, batch_first=True),
            "target_length": torch.tensor([len(text) for text in texts]),
        }


class PlainClips:
    """Waveforms of unequal lengths, padded with 0, and their classes."""

    def __init__(self, waves: Array, ends: Array, targets: Array, rows: Array) -> None:
        self.waves, self.targets, self.rows = np.split(waves, ends[:-1]), targets, rows
        self.lengths = torch.tensor([len(self.waves[row]) for row in rows])

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return some waveforms as a batch."""
        rows = self.rows[indices.numpy()]
        waves = [torch.from_numpy(self.waves[row]) for row in rows]
        padded = nn.utils.rnn.pad_sequence(waves, batch_first=True)
        return {"input": padded, "length": self.lengths[indices], "target": torch.from_numpy(self.targets[rows])}


class PlainTiles:
    """Square tiles of photos of different sizes."""

    def __init__(self, photos: Array, ends: Array, sizes: Array, rows: Array, side: int) -> None:
        self.photos = [p.reshape(-1, *size) for p, size in zip(np.split(photos, ends[:-1]), sizes, strict=True)]
        self.rows, self.side, self.lengths = rows, side, None  # rows: photo, top and left of each tile

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return some tiles as a batch."""
        tiles = [self.photos[p][:, y : y + self.side, x : x + self.side] for p, y, x in self.rows[indices.numpy()]]
        return {"target": torch.from_numpy(np.stack(tiles))}


class PlainPhotos:
    """Whole noisy and clean photos of different sizes, one in each batch."""

    batch_size = 1

    def __init__(self, noisy: Array, clean: Array, ends: Array, sizes: Array, levels: Array) -> None:
        self.noisy, self.clean = np.split(noisy, ends[:-1]), np.split(clean, ends[:-1])
        self.sizes, self.levels, self.rows = sizes, levels, np.arange(len(sizes))

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return one photo as a batch."""
        (row,) = indices.tolist()
        noisy, clean = (one[row].reshape(1, -1, *self.sizes[row]) for one in (self.noisy, self.clean))
        level = torch.from_numpy(self.levels[[row]])
        return {"input": torch.from_numpy(noisy), "target": torch.from_numpy(clean), "level": level}


class PlainWindows:
    """Windows of time series: `lookback` steps before each row of `rows`, and `horizon` from it on."""

    def __init__(
        self, values: Array, target: Array, known: Array, scale: Array, rows: Array, lookback: int, horizon: int
    ) -> None:
        self.values, self.target, self.known, self.scale = values, target, known, scale
        self.rows, self.lookback, self.horizon, self.lengths = rows, lookback, horizon, None

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return some windows as a batch."""
        places = self.rows[indices.numpy()][:, None] + np.arange(-self.lookback, self.horizon)
        past, future = places[:, : self.lookback], places[:, self.lookback :]
        columns = (self.values[past], self.target[future], self.known[places], self.scale[indices.numpy()])
        return {n: torch.from_numpy(one) for n, one in zip(("input", "target", "known", "scale"), columns, strict=True)}


class PlainStream:
    """One long sequence of tokens: windows of it, and the token before each."""

    def __init__(self, tokens: Array) -> None:
        self.tokens, self.rows = tokens, range(len(tokens))

    def batch(self, windows: Tensor) -> dict[str, Tensor]:
        """Return windows as a batch: `target` is padded with -1, `input` with 0."""
        starts, ends, fresh = windows.unbind(1)
        places = starts[:, None] + torch.arange(max(int((ends - starts).max()), 1))
        real = places < ends[:, None]
        places = places.clamp(max=len(self.tokens) - 1)
        target, before = (torch.from_numpy(self.tokens[one]).long() for one in (places, places - 1))
        before = torch.where(real & (places > 0), before, 0)
        return {"input": before, "target": torch.where(real, target, -1), "fresh": fresh.bool()}


class PlainRolls:
    """Piano rolls of unequal lengths, padded with zeros: frames, and the frame before each."""

    def __init__(self, frames: Array, rows: Array) -> None:
        self.frames, self.rows = frames, rows  # rows: first and last frame of each sample, and whether a piece begins
        self.lengths = torch.from_numpy(rows[:, 1] - rows[:, 0])

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """Return some rolls as a batch."""
        pieces, before = [], []
        for start, end, begins in self.rows[indices.numpy()].tolist():
            pieces.append(torch.from_numpy(self.frames[start:end]))
            first = torch.zeros_like(pieces[-1][:1]) if begins else torch.from_numpy(self.frames[start - 1 : start])
            before.append(torch.cat([first, pieces[-1][:-1]]))
        inputs, target = (nn.utils.rnn.pad_sequence(one, batch_first=True) for one in (before, pieces))
        return {"input": inputs, "target": target, "length": self.lengths[indices]}
