"""Photos of different sizes: tiles for training, and whole photos with fixed noise for validation and test."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from sightseq.core.arrays import ComputedDataset, Ragged
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.core.splits import Rows
from sightseq.data.plain import PlainPhotos, PlainTiles
from sightseq.vision.noise import Mixture

CHUNK_PHOTOS = 4  # whole photos per chunk: limits the memory of baselines


class PhotoDataset(ComputedDataset):
    """Some photos of one of the publisher's splits. Each photo has several samples: tiles, or noise levels.

    Sample `k` of photo `p` has the index `p * per_photo + k`. So two splits of one source share an index only if they
    share a photo.

    Args:
        arrays: `photo`, a `Ragged` of N photos with C * H * W uint8 values each; `size`, int64 [N, 2], heights and
            widths; and, if the noisy photos are files, `noisy`, in the form of `photo`.
        photos: indices of the photos of this split, in ascending order.
        counts: number of samples of each of these photos.
        per_photo: maximum number of samples of a photo, over all splits of the source.
        channels: number of channels C.
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

    @property
    def stored_rows(self) -> Rows:
        """Photo of each sample."""
        return self.rows // self.per_photo

    def get_photo(self, column: str, index: int) -> NDArray[np.uint8]:
        """Return photo `index` of the column "photo" or "noisy": a view [C, H, W]."""
        height, width = self.arrays["size"][index]
        view: NDArray[np.uint8] = self.arrays[column].row(index).reshape(self.channels, height, width)
        return view


class TileDataset(PhotoDataset):
    """Square tiles of photos. They overlap, are evenly spaced, and cover every pixel.

    A batch has `input` and `target`, uint8 [B, C, tile, tile], `level` (0, float32 [B]), `size` (int64 [B, 2]) and
    `index`. Without noisy files, `input` and `target` are the same clean tensor, and the task adds the noise. A photo
    that is smaller than a tile is padded by reflection.

    Args:
        arrays, photos, channels, source: see `PhotoDataset`.
        per_photo: see `PhotoDataset`.
        tile: side of a tile, in pixels.
        stride: largest distance between neighbouring tiles, in pixels.
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
        self.grid = count_tiles(arrays["size"], tile, stride)
        super().__init__(arrays, photos, self.grid[photos].prod(1), per_photo, channels, source)

    def plain(self) -> PlainTiles:
        """See `ArrayDataset.plain`."""
        photos, corners = self._places(self.rows)
        if "noisy" in self.arrays or (self.arrays["size"][photos] < self.tile).any():
            raise ConfigError("eject: noisy files and photos that are smaller than data.tile are not supported")
        column, rows = self.arrays["photo"], np.column_stack([photos, corners])
        return PlainTiles(column.values, column.ends, self.arrays["size"], rows, self.tile)

    def _places(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the photo of each tile, and its upper left corner."""
        photos, sample = np.divmod(rows, self.per_photo)
        grid = self.grid[photos]
        position = np.stack([sample // grid[:, 1], sample % grid[:, 1]], axis=1)
        spare = (self.arrays["size"][photos] - self.tile).clip(min=0)
        return photos, position * spare // (grid - 1).clip(min=1)

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these samples: see `TileDataset`; the index -1 is a padding row."""
        rows = self.rows[indices.clamp(min=0).numpy()]
        photos, corners = self._places(rows)
        columns = {"target": "photo", "input": "noisy"} if "noisy" in self.arrays else {"target": "photo"}
        batch: Batch = {}
        for name, column in columns.items():
            pixels = np.empty((len(rows), self.channels, self.tile, self.tile), np.uint8)
            for out, photo, (top, left) in zip(pixels, photos.tolist(), corners.tolist(), strict=True):
                view = self.get_photo(column, photo)[:, top : top + self.tile, left : left + self.tile]
                out[:] = view if view.shape == out.shape else _pad_to_tile(view, self.tile)
            batch[name] = torch.from_numpy(pixels)
        batch.setdefault("input", batch["target"])
        batch["level"] = torch.zeros(len(rows))
        batch["size"] = torch.full((len(rows), 2), self.tile)
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return batch


class NoisyDataset(PhotoDataset):
    """Whole photos with noise that depends only on the seed, the photo and the level.

    A batch has `input`, the noisy photos (float32 [B, C, H, W], 1 is white, not clipped), `target`, the clean photos
    (uint8 [B, C, H, W]), `level` (float32 [B], of the first noise), `size` (int64 [B, 2], height and width) and
    `index`. H and W are the largest height and width; the photos are padded with 0 on the right and at the bottom.

    Args:
        arrays, photos, channels, source: see `PhotoDataset`.
        per_photo: see `PhotoDataset`.
        noise: noise that is added to the photos, unless the noisy photos are files.
        levels: levels of the first noise; each photo has one sample per level. If empty, it has one sample, at a level
            drawn from the range of the noise.
        seed: seed of the noise and of the drawn levels.
        largest: longest side in pixels; larger photos are centre-cropped. None: whole photos.
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
        self.crop_sizes = sizes if largest is None else sizes.clip(max=largest)
        sizes = self.crop_sizes[self.rows // per_photo]
        if len(np.unique(sizes, axis=0)) > 1:  # photos of one size share a batch: less padding
            self.lengths = torch.from_numpy(sizes[:, 0] * (sizes[:, 1].max() + 1) + sizes[:, 1])

    def plain(self) -> PlainPhotos:
        """See `ArrayDataset.plain`; the noisy photos are computed."""
        noisy, clean, sizes, levels = [], [], [], []
        for number in range(len(self)):
            one = self[number]
            height, width = one["size"].tolist()
            noisy.append(one["input"][:, :height, :width].numpy().reshape(-1))
            clean.append(one["target"][:, :height, :width].numpy().reshape(-1))
            sizes.append((height, width))
            levels.append(float(one["level"]))
        ends = np.cumsum([len(one) for one in clean])
        arrays = (np.concatenate(noisy), np.concatenate(clean), ends, np.array(sizes), np.array(levels, np.float32))
        return PlainPhotos(*arrays)

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these samples: see `NoisyDataset`; the index -1 is a padding row."""
        rows = self.rows[indices.clamp(min=0).numpy()]
        photos, sample = np.divmod(rows, self.per_photo)
        sizes = self.crop_sizes[photos]
        shape = (len(rows), self.channels, *sizes.max(0))
        target, noisy = torch.zeros(shape, dtype=torch.uint8), torch.zeros(shape)
        level = torch.zeros(len(rows))
        for row, (photo, (height, width)) in enumerate(zip(photos.tolist(), sizes.tolist(), strict=True)):
            clean = self._cropped("photo", photo)
            target[row, :, :height, :width] = clean
            if "noisy" in self.arrays:
                noisy[row, :, :height, :width] = self._cropped("noisy", photo).float() / 255
            else:
                noisy[row, :, :height, :width], level[row] = self._noisy(clean, photo, int(sample[row]))
        index = torch.where(indices < 0, indices, torch.from_numpy(rows))
        return {"input": noisy, "target": target, "level": level, "size": torch.from_numpy(sizes), "index": index}

    def chunks(self, size: int) -> Iterator[dict[str, Any]]:
        """Yield batches of a few photos as arrays, each of at most `size` samples."""
        pixels = self.crop_sizes.prod(1).max(initial=1)
        yield from super().chunks(min(size, max(CHUNK_PHOTOS, CHUNK_PHOTOS * 2**18 // pixels)))

    def _cropped(self, column: str, photo: int) -> Tensor:
        """Return the centre crop of a photo, uint8 [C, H, W]."""
        pixels = self.get_photo(column, photo)
        height, width = self.crop_sizes[photo]
        top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
        return torch.from_numpy(np.array(pixels[:, top : top + height, left : left + width]))

    def _noisy(self, clean: Tensor, photo: int, sample: int) -> tuple[Tensor, Tensor]:
        """Return a photo with noise, float32 [C, H, W], and the level of the first noise, a scalar."""
        levels = self.noise.draw_levels(1, self._generator(photo))
        if self.levels:
            levels[0, 0] = self.levels[sample]
        # The noise at a level does not depend on the other levels, or on whether the level was drawn.
        generator = self._generator(photo, round(1000 * float(levels[0, 0])))
        return self.noise(clean[None].float() / 255, levels, generator)[0], levels[0, 0]

    def _generator(self, *key: int) -> Generator:
        """Return a random generator for the seed and a key, such as (photo, level)."""
        state = np.random.SeedSequence([self.seed, *key]).generate_state(1, np.uint64)
        return Generator().manual_seed(int(state[0]))


def count_tiles(sizes: Rows, tile: int, stride: int) -> Rows:
    """Return the number of tiles along height and width, at least 1, for each photo size: [N, 2] to [N, 2]."""
    return 1 + -(-(sizes - tile).clip(min=0) // stride)


def to_ragged(photos: NDArray[np.uint8]) -> tuple[Ragged, Rows]:
    """Convert photos of one size [N, C, H, W] to the columns `photo` and `size` of `PhotoDataset`."""
    count, _, height, width = photos.shape
    ends = np.arange(1, count + 1, dtype=np.int64) * photos[0].size
    return Ragged(photos.reshape(-1), ends), np.full((count, 2), (height, width), np.int64)


def _pad_to_tile(view: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
    """Pad [C, H, W] by reflection, on the right and at the bottom, to [C, tile, tile]."""
    padding = [(0, tile - side) for side in view.shape[1:]]
    return np.pad(view, [(0, 0), *padding], mode="symmetric")
