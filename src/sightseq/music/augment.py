"""Augmentation of batches of music, on the device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.augmentation import Augmentation
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.music.events import EventCodec
from sightseq.music.melody import MelodyCodec


class TransposeRolls(Augmentation):
    """Transpose each piano roll by a random whole number of semitones, so far that no key leaves the keyboard.

    `input` and `target`, both [B, T, K], are transposed together. The numbers come from torch's default generator.

    Args:
        semitones: largest transposition in either direction.
    """

    def __init__(self, semitones: int = 6) -> None:
        super().__init__()
        self.semitones = semitones

    def transform(self, batch: Batch) -> Batch:
        sounds = batch["input"].ne(0).any(1) | batch["target"].ne(0).any(1)  # [B, K]
        b, k = sounds.shape
        keys = torch.arange(k, device=sounds.device)
        lowest = torch.where(sounds, keys, k).amin(1).clamp(max=k - 1)
        highest = torch.where(sounds, keys, -1).amax(1).clamp(min=0)
        least = -lowest.clamp(max=self.semitones)
        most = (k - 1 - highest).clamp(max=self.semitones)
        shifts = least + (torch.rand(b, device=keys.device) * (most - least + 1)).floor().long()
        sources = (keys - shifts[:, None]) % k  # [B, K]; keys that wrap around are silent
        moved = {}
        for name in ("input", "target"):
            rows = batch[name]
            moved[name] = rows.gather(2, sources[:, None].expand_as(rows))
        return moved


class _Recode(Augmentation):
    """Replace the token ids of `input` and `target` [B, T] by one of several tables, chosen at random for each row.

    A row is a stream whose state is carried from batch to batch, so the choice depends only on epoch, process and row:
    the task calls `begin_epoch`.

    Args:
        tables: [N, vocab_size], the new token id of each token id; 0 stays 0.
        seed: of the random numbers.
    """

    tables: Tensor

    def __init__(self, tables: Sequence[NDArray[Any]], seed: int) -> None:
        super().__init__()
        self.register_buffer("tables", torch.from_numpy(np.stack(tables)), persistent=False)
        self.seed, self.epoch, self.rank = seed, 0, 0

    def begin_epoch(self, epoch: int, rank: int) -> None:
        """Set what the choice of the tables depends on."""
        self.epoch, self.rank = epoch, rank

    def transform(self, batch: Batch) -> Batch:
        rows = len(batch["input"])
        entropy = np.random.SeedSequence([self.seed, self.epoch, self.rank])
        choice = np.random.default_rng(entropy).integers(len(self.tables), size=rows)
        tables = self.tables[torch.from_numpy(choice).to(self.tables.device)]  # [B, vocab_size]
        moved = {}
        for name in ("input", "target"):
            tokens = batch[name]
            moved[name] = torch.where(tokens < 0, tokens, tables.gather(1, tokens.clamp(min=0)))  # -1 is padding
        return moved


class TransposeEvents(_Recode):
    """Transpose each stream of pieces by a random whole number of semitones, the same for a whole epoch.

    Args:
        codec: code of the pieces; the task passes it.
        semitones: largest transposition in either direction.
        seed: of the random numbers.
    """

    def __init__(self, codec: EventCodec | MelodyCodec, semitones: int = 6, seed: int = 0) -> None:
        super().__init__([codec.transposition(shift) for shift in range(-semitones, semitones + 1)], seed)


class StretchEvents(_Recode):
    """Stretch each stream of pieces in time by a random factor, the same for a whole epoch.

    The factors are `count` numbers at equal distances from 1 - largest to 1 + largest (Oore et al., 2018, section 4).

    Args:
        codec: code of the pieces, events on a grid of seconds; the task passes it.
        largest: largest relative change of the duration.
        count: number of factors, odd, so that one of them is 1.
        seed: of the random numbers.

    Raises:
        ConfigError: the pieces are on a grid of beats.
    """

    def __init__(self, codec: EventCodec | MelodyCodec, largest: float = 0.05, count: int = 5, seed: int = 1) -> None:
        if not isinstance(codec, EventCodec) or codec.grid == "beats":
            raise ConfigError("model.augment: StretchEvents needs events on a grid of seconds; leave it out")
        super().__init__([codec.stretching(factor) for factor in np.linspace(1 - largest, 1 + largest, count)], seed)
