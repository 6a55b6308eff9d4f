"""Tiles cover an image exactly once, and the tiled result equals that of the whole image."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.errors import ConfigError
from sightseq.vision.tiles import GRID, split_into_tiles

SIZES = [(1, 1), (1, 200), (200, 1), (64, 64), (65, 63), (97, 130), (128, 257)]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize(("side", "overlap"), [(64, 16), (64, 0), (100, 30), (512, 32)])
def test_outputs_cover_the_image_once_and_tiles_start_on_the_grid(
    height: int, width: int, side: int, overlap: int
) -> None:
    covered = np.zeros((height, width), int)
    for tile in split_into_tiles(height, width, side, overlap):
        covered[tile.output] += 1
        image = np.arange(height * width).reshape(height, width)
        assert np.array_equal(image[tile.input][tile.crop], image[tile.output])
        for source, result, length in zip(tile.input, tile.output, (height, width), strict=True):
            assert source.start % GRID == result.start % GRID == 0
            assert all(span.stop % GRID == 0 or span.stop == length for span in (source, result))
            assert source.stop - source.start <= -(-side // GRID) * GRID
            assert result.start - source.start >= overlap or source.start == 0
            assert source.stop - result.stop >= overlap or source.stop == length
    assert (covered == 1).all()


def test_a_small_image_is_one_tile() -> None:
    assert len(list(split_into_tiles(512, 512, 512, 32))) == 1
    assert len(list(split_into_tiles(512, 513, 512, 32))) == 2


def test_a_tile_that_is_all_overlap_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^tile=64 overlap=32: the tile must be more than twice as long as the overlap$"
    ):
        next(split_into_tiles(10, 10, 64, 20))


class Pooled(nn.Module):
    """Convolutions at a quarter of the resolution, as in a U-Net; pads sides to multiples of 4. Reach: 20 pixels."""

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
    """Two convolutions. Reach: 16 pixels."""
    return nn.Sequential(nn.Conv2d(1, 4, 17, padding=8), nn.ReLU(), nn.Conv2d(4, 1, 17, padding=8))


@torch.inference_mode()
@pytest.mark.parametrize("make", [convolutions, Pooled])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_tiled_result_equals_that_of_the_whole_image(
    make: Callable[[], nn.Module], height: int, width: int
) -> None:
    torch.manual_seed(0)
    network = make()
    image = torch.rand(1, 1, height, width)
    whole, found = network(image), torch.zeros_like(image)
    for tile in split_into_tiles(height, width, 80, 32 if make is Pooled else 16):
        found[0, 0][tile.output] = network(image[0, 0][tile.input][None, None])[0, 0][tile.crop]
    assert (whole - found).abs().max() < 1e-5
