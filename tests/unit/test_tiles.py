"""Tiles cover an image once, and give what the whole image gives."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.errors import ConfigError
from sightseq.vision.tiles import GRID, tiles

SIZES = [(1, 1), (1, 200), (200, 1), (64, 64), (65, 63), (97, 130), (128, 257)]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize(("side", "overlap"), [(64, 16), (64, 0), (100, 30), (512, 32)])
def test_kept_parts_cover_the_image_once_and_tiles_begin_on_the_grid(
    height: int, width: int, side: int, overlap: int
) -> None:
    covered = np.zeros((height, width), int)
    for tile in tiles(height, width, side, overlap):
        covered[tile.kept] += 1
        image = np.arange(height * width).reshape(height, width)
        assert np.array_equal(image[tile.seen][tile.inner], image[tile.kept])
        for seen, kept, length in zip(tile.seen, tile.kept, (height, width), strict=True):
            assert seen.start % GRID == kept.start % GRID == 0
            assert all(one.stop % GRID == 0 or one.stop == length for one in (seen, kept))
            assert seen.stop - seen.start <= -(-side // GRID) * GRID
            assert kept.start - seen.start >= overlap or seen.start == 0
            assert seen.stop - kept.stop >= overlap or seen.stop == length
    assert (covered == 1).all()


def test_a_small_image_is_one_tile() -> None:
    assert len(list(tiles(512, 512, 512, 32))) == 1
    assert len(list(tiles(512, 513, 512, 32))) == 2


def test_a_tile_that_is_all_overlap_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^tile=64 overlap=32: a tile is more than twice as long as the overlap$"):
        next(tiles(10, 10, 64, 20))


class Pooled(nn.Module):
    """Convolutions at a quarter of the resolution, as in a U-Net; pads sides to multiples of 4. Sees 20 pixels away."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.low, self.last = (nn.Conv2d(*c, 3, padding=1) for c in ((1, 8), (8, 8), (8, 1)))

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % 4, 0, -height % 4), mode="replicate")
        high = self.first(padded).relu()
        low = self.low(F.max_pool2d(high, 4)).relu()
        return self.last(high + F.interpolate(low, scale_factor=4))[..., :height, :width]


def convolutions() -> nn.Module:
    """Sees 16 pixels away."""
    return nn.Sequential(nn.Conv2d(1, 4, 17, padding=8), nn.ReLU(), nn.Conv2d(4, 1, 17, padding=8))


@torch.inference_mode()
@pytest.mark.parametrize("make", [convolutions, Pooled])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tiled_is_whole(make: Callable[[], nn.Module], height: int, width: int) -> None:
    torch.manual_seed(0)
    network = make()
    image = torch.rand(1, 1, height, width)
    whole, found = network(image), torch.zeros_like(image)
    for tile in tiles(height, width, 80, 32 if make is Pooled else 16):
        found[0, 0][tile.kept] = network(image[0, 0][tile.seen][None, None])[0, 0][tile.inner]
    assert (whole - found).abs().max() < 1e-5
