"""Base class of all denoising datasets: tiles for training, fixed noise for validation and test."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import ArrayDataset
from sightseq.core.errors import ConfigError
from sightseq.core.splits import SplitData
from sightseq.data.image.denoising_files import MIN_SIDE
from sightseq.data.image.noisy import NoisyDataset, TileDataset, count_tiles
from sightseq.vision.denoising_spec import DenoisingSpec
from sightseq.vision.noise import make_noise


class DenoisingData(SplitData):
    """Photos to which noise is added; they are assigned to splits before they are cut into tiles.

    Training batches contain clean tiles: see `TileDataset`. Validation and test batches contain whole noisy photos: see
    `NoisyDataset`. A subclass saves photos with `denoising_files.save_splits`; or it saves the columns `photo` and
    `size` (see `PhotoDataset`) and calls `save_about(folder, {"channels": ...})`.

    Args:
        noise: configs of the kinds of noise by name, in the order in which they are added: see `vision.noise`.
        levels: levels of the first noise in validation and test: each photo is evaluated once at each level. If empty,
            it is evaluated once, at the level of the noise, or at a level drawn from its range.
        noise_seed: seed of the noise in validation and test.
        tile: side of a training tile, in pixels; the task may crop it.
        stride: largest distance between neighbouring tiles, in pixels.
        eval_size: longest side in validation and test, in pixels; larger photos are centre-cropped. None: whole photos.
        common: see `SplitData` and `DataModule`.
    """

    example_spec: DenoisingSpec = DenoisingSpec(3, 96, 96)
    noisy_files: ClassVar[bool] = False
    """Whether the noisy photos are files; then no noise is added."""

    def __init__(
        self,
        *,
        noise: dict[str, Any] | None = None,
        levels: tuple[float, ...] = (),
        noise_seed: int = 0,
        tile: int = 96,
        stride: int = 48,
        eval_size: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if min(tile, stride) < 1:
            raise ConfigError(f"data.tile={tile} and data.stride={stride}: must be at least 1 pixel")
        if eval_size is not None and eval_size < MIN_SIDE:
            raise ConfigError(
                f"data.eval_size={eval_size}: must be at least {MIN_SIDE} pixels, or null for whole photos"
            )
        if noise_seed < 0:
            raise ConfigError(f"data.noise_seed={noise_seed}: must be at least 0")
        self.noise = make_noise(noise or {})
        if self.noisy_files and (len(self.noise) or levels):
            raise ConfigError(f"data={self.name}: its noisy photos are files; use noise=none and leave data.levels out")
        if not self.noisy_files and self.noise.first is None:
            raise ConfigError(f"data={self.name}: data.noise is empty; add noise, such as noise=gaussian")
        if first := self.noise.first:
            smallest, largest = first.bounds
            if not all(smallest <= level <= largest for level in levels):
                raise ConfigError(
                    f"data.levels={list(levels)}: {first.parameter} must be from {smallest:g} to {largest:g}"
                )
        if len(set(levels)) < len(levels):
            raise ConfigError(f"data.levels={list(levels)}: contains a level twice")
        self.levels, self.noise_seed = levels, noise_seed
        self.tile, self.stride, self.eval_size = tile, stride, eval_size
        self.example_spec = DenoisingSpec(3, tile, tile, noise or {}, levels)

    def groups(self, arrays: Mapping[str, Any]) -> NDArray[Any] | None:
        """Return the hash of each photo, so that copies of one photo are in one split; None without hashes."""
        return arrays.get("group")

    def spec_key(self) -> dict[str, Any]:
        """Return the options of the spec: noise, levels and tile size."""
        return self.example_spec.to_dict()

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> DenoisingSpec:
        """Return the spec: the number of channels comes from the files, all else from options."""
        return replace(self.example_spec, channels=about["channels"])

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Return tiles for training, and whole noisy photos for validation and test."""
        spec: Any = self.spec
        channels = spec.channels
        train = datasets["train"]
        max_tiles = int(count_tiles(train.arrays["size"][train.rows], self.tile, self.stride).prod(1).max())
        levels = max(len(self.levels), 1)
        per_photo = {train.source: max(max_tiles, levels)}  # equal for splits of one source: see `PhotoDataset`
        encoded: dict[str, ArrayDataset] = {
            "train": TileDataset(
                train.arrays, train.rows, per_photo[train.source], channels, train.source, self.tile, self.stride
            )
        }
        for split in ("val", "test"):
            data = datasets[split]
            encoded[split] = NoisyDataset(
                data.arrays,
                data.rows,
                per_photo.get(data.source, levels),
                channels,
                data.source,
                self.noise,
                self.levels,
                self.noise_seed,
                self.eval_size,
            )
        return encoded


def synthetic_photos(count: int, channels: int, height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Return smooth shades with sharp edges [N, C, H, W], which a denoiser improves after a few training steps."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    draw = generator.uniform(-1, 1, (5, count, 1, 1, 1))
    shade = 0.5 + 0.2 * np.sin(6 * (draw[0] * x + draw[1] * y) + generator.uniform(0, 6, (count, channels, 1, 1)))
    edge = draw[2] * (x - 0.4) + draw[3] * (y - 0.4) > 0
    disc = (x - 0.5 - 0.2 * draw[0]) ** 2 + (y - 0.5 + 0.2 * draw[4]) ** 2 < 0.04
    pixels: NDArray[np.uint8] = ((shade + 0.2 * edge - 0.25 * disc).clip(0, 1) * 255).round().astype(np.uint8)
    return pixels
