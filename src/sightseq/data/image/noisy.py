"""Photos of different sizes: tiles of them to train on, and whole ones with fixed noise to validate and test."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from sightseq.core.arrays import ArrayDataset, Ragged
from sightseq.core.loading import Batch
from sightseq.vision.noise import Mixture

Rows = NDArray[np.int64]
FEW = 4  # whole photos that are held in memory at a time


class PhotoDataset(ArrayDataset):
    """Some photos of one of the publisher's splits. Each gives several samples: tiles, or levels of noise.

    Sample `k` of photo `p` has the number `p * per_photo + k`, so that two splits have a number in common only if they
    have a photo in common.

    Args:
        arrays: `photo`, a `Ragged` of uint8 values C * H * W each; `size`, int64 [N, 2], height and width; `noisy`, as
            `photo`, if the noisy photos are files.
        photos: which of the N photos belong to this split, in ascending order.
        counts: samples of each of these photos.
        per_photo: largest number of samples that a photo of any split has.
        channels: C.
        source: the publisher's split.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        photos: Rows,
        counts: Rows,
        per_photo: int,
        channels: int,
        source: str,
    ) -> None:
        starts = np.cumsum(counts) - counts
        samples = np.arange(counts.sum()) - np.repeat(starts, counts)
        super().__init__(arrays, np.repeat(photos, counts) * per_photo + samples, source)
        self.per_photo, self.channels = per_photo, channels

    def photo(self, name: str, number: int) -> NDArray[np.uint8]:
        """A view of a photo [C, H, W] of the column `name`."""
        height, width = self.arrays["size"][number]
        view: NDArray[np.uint8] = self.arrays[name].row(number).reshape(self.channels, height, width)
        return view

    def numpy(self) -> dict[str, Any]:
        """The whole split as one batch of arrays."""
        return {name: tensor.numpy() for name, tensor in self.batch(torch.arange(len(self))).items()}

    def chunks(self, size: int) -> Iterator[dict[str, Any]]:
        """Batches of arrays, in order; `size` is the most samples of one."""
        for start in range(0, len(self), size):
            indices = torch.arange(start, min(start + size, len(self)))
            yield {name: tensor.numpy() for name, tensor in self.batch(indices).items()}


class TileDataset(PhotoDataset):
    """Square tiles of photos, evenly spaced and overlapping, that together cover every pixel.

    A batch has `input` and `target`, uint8 [B, C, tile, tile], `level` (0, float32 [B]), `size` (int64 [B, 2]) and
    `index`. Without noisy files `input` and `target` are the same clean tensor: the task adds the noise. A photo that
    is smaller than a tile is extended by reflection.

    Args:
        arrays, photos, channels, source: see `PhotoDataset`.
        per_photo: see `PhotoDataset`.
        tile: pixels a side.
        stride: largest distance between neighbours, in pixels.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        photos: Rows,
        per_photo: int,
        channels: int,
        source: str,
        tile: int,
        stride: int,
    ) -> None:
        self.tile = tile
        self.grid = tiles(arrays["size"], tile, stride)
        super().__init__(arrays, photos, self.grid[photos].prod(1), per_photo, channels, source)

    def batch(self, indices: Tensor) -> Batch:
        """See `TileDataset`."""
        rows = self.rows[indices.clamp(min=0).numpy()]
        photos, number = np.divmod(rows, self.per_photo)
        grid = self.grid[photos]
        place = np.stack([number // grid[:, 1], number % grid[:, 1]], axis=1)
        spare = (self.arrays["size"][photos] - self.tile).clip(min=0)
        corners = (place * spare // (grid - 1).clip(min=1)).tolist()
        columns = {"target": "photo", "input": "noisy"} if "noisy" in self.arrays else {"target": "photo"}
        batch: Batch = {}
        for name, column in columns.items():
            found = np.empty((len(rows), self.channels, self.tile, self.tile), np.uint8)
            for out, photo, (top, left) in zip(found, photos.tolist(), corners, strict=True):
                view = self.photo(column, photo)[:, top : top + self.tile, left : left + self.tile]
                out[:] = view if view.shape == out.shape else _extended(view, self.tile)
            batch[name] = torch.from_numpy(found)
        batch.setdefault("input", batch["target"])
        batch["level"] = torch.zeros(len(rows))
        batch["size"] = torch.full((len(rows), 2), self.tile)
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return batch


class NoisyDataset(PhotoDataset):
    """Whole photos with noise that is a function of (seed, photo, level) alone.

    A batch has `input`, the noisy photos (float32 [B, C, H, W] in units of 0..1, not clipped), `target`, the clean ones
    (uint8 [B, C, H, W]), `level` (float32 [B], of the first noise), `size` (int64 [B, 2], height and width) and
    `index`. H and W are those of the largest photo; the others are padded with 0 on the right and at the bottom.

    Args:
        arrays, photos, channels, source: see `PhotoDataset`.
        per_photo: see `PhotoDataset`.
        noise: added to the photos, if the noisy ones are no files.
        levels: of the first noise; each photo occurs once with each. Empty: once, at a level from the noise's range.
        seed: of the noise and of the levels that are drawn.
        largest: most pixels of a side; larger photos are cropped about the centre. None: whole photos.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        photos: Rows,
        per_photo: int,
        channels: int,
        source: str,
        noise: Mixture,
        levels: tuple[float, ...],
        seed: int,
        largest: int | None,
    ) -> None:
        counts = np.full(len(photos), max(len(levels), 1), np.int64)
        super().__init__(arrays, photos, counts, per_photo, channels, source)
        self.noise, self.levels, self.seed = noise, levels, seed
        sizes = self.arrays["size"]
        self.crops = sizes if largest is None else sizes.clip(max=largest)
        sizes = self.crops[self.rows // per_photo]
        if len(np.unique(sizes, axis=0)) > 1:  # photos of one size share a batch, where they need little padding
            self.lengths = torch.from_numpy(sizes[:, 0] * (sizes[:, 1].max() + 1) + sizes[:, 1])

    def batch(self, indices: Tensor) -> Batch:
        """See `NoisyDataset`."""
        rows = self.rows[indices.clamp(min=0).numpy()]
        photos, number = np.divmod(rows, self.per_photo)
        sizes = self.crops[photos]
        shape = (len(rows), self.channels, *sizes.max(0))
        target, noisy = torch.zeros(shape, dtype=torch.uint8), torch.zeros(shape)
        level = torch.zeros(len(rows))
        for row, (photo, (height, width)) in enumerate(zip(photos.tolist(), sizes.tolist(), strict=True)):
            clean = self._cropped("photo", photo)
            target[row, :, :height, :width] = clean
            if "noisy" in self.arrays:
                noisy[row, :, :height, :width] = self._cropped("noisy", photo).float() / 255
            else:
                noisy[row, :, :height, :width], level[row] = self._noisy(clean, photo, int(number[row]))
        index = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return {"input": noisy, "target": target, "level": level, "size": torch.from_numpy(sizes), "index": index}

    def chunks(self, size: int) -> Iterator[dict[str, Any]]:
        """Batches of a few photos, as arrays; `size` is the most of one."""
        pixels = self.crops.prod(1).max(initial=1)
        yield from super().chunks(min(size, max(FEW, FEW * 2**18 // pixels)))

    def _cropped(self, column: str, photo: int) -> Tensor:
        """The middle of a photo, uint8 [C, H, W]."""
        pixels = self.photo(column, photo)
        height, width = self.crops[photo]
        top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
        return torch.from_numpy(np.array(pixels[:, top : top + height, left : left + width]))

    def _noisy(self, clean: Tensor, photo: int, number: int) -> tuple[Tensor, Tensor]:
        """A photo with noise, float32 [C, H, W], and the level of the first noise, []."""
        levels = self.noise.draw_levels(1, self._generator(photo))
        if self.levels:
            levels[0, 0] = self.levels[number]
        # The noise at a level is the same whichever other levels there are, and whether it was drawn or is fixed.
        generator = self._generator(photo, round(1000 * float(levels[0, 0])))
        return self.noise(clean[None].float() / 255, levels, generator)[0], levels[0, 0]

    def _generator(self, *numbers: int) -> Generator:
        state = np.random.SeedSequence([self.seed, *numbers]).generate_state(1, np.uint64)
        return Generator().manual_seed(int(state[0]))


def tiles(sizes: Rows, tile: int, stride: int) -> Rows:
    """How many tiles each photo [N, 2] has in height and in width: [N, 2], at least 1."""
    return 1 + -(-(sizes - tile).clip(min=0) // stride)


def ragged(photos: NDArray[np.uint8]) -> tuple[Ragged, Rows]:
    """Photos of one size [N, C, H, W] as the columns `photo` and `size` of `PhotoDataset`."""
    count, _, height, width = photos.shape
    ends = np.arange(1, count + 1, dtype=np.int64) * photos[0].size
    return Ragged(photos.reshape(-1), ends), np.full((count, 2), (height, width), np.int64)


def _extended(view: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
    """[C, H, W] extended by reflection to [C, tile, tile]; what is there stays at the top left."""
    short = [(0, tile - side) for side in view.shape[1:]]
    return np.pad(view, [(0, 0), *short], mode="symmetric")
