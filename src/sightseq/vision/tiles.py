"""Overlapping tiles of large images: the memory of a network then does not grow with the image."""

from collections.abc import Iterator
from dataclasses import dataclass

from sightseq.core.errors import ConfigError

GRID = 16  # pixels


@dataclass(frozen=True)
class Tile:
    """A rectangle of an image, as slices of rows and columns.

    Attributes:
        input: the input of the network.
        output: the part of `input` whose result is used; the outputs of all tiles cover each pixel exactly once.
    """

    input: tuple[slice, slice]
    output: tuple[slice, slice]

    @property
    def crop(self) -> tuple[slice, slice]:
        """The slices of `output` within the result for `input`."""
        rows, columns = (
            slice(output.start - source.start, output.stop - source.start)
            for source, output in zip(self.input, self.output, strict=True)
        )
        return rows, columns


def split_into_tiles(height: int, width: int, side: int = 512, overlap: int = 32) -> Iterator[Tile]:
    """Split an image into overlapping tiles.

    Side and overlap are rounded up to multiples of `GRID`. So each tile starts at a multiple of `GRID`, and ends at one
    or at the border of the image, and a network pools the same pixels together as in the whole image. The result equals
    that of the whole image if no output depends on an input more than `overlap` pixels away.

    Args:
        height: height of the image, in pixels.
        width: width of the image.
        side: side of a tile; a smaller image is one tile.
        overlap: pixels at the inner borders of a tile that are part of its input, but not of its output.

    Raises:
        ConfigError: the side is not more than twice the overlap.
    """
    side, overlap = -(-side // GRID) * GRID, -(-overlap // GRID) * GRID
    if side <= 2 * overlap:
        raise ConfigError(f"tile={side} overlap={overlap}: the tile must be more than twice as long as the overlap")
    columns = list(_spans(width, side, overlap))
    for row_input, row_output in _spans(height, side, overlap):
        for column_input, column_output in columns:
            yield Tile((row_input, column_input), (row_output, column_output))


def _spans(length: int, side: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    """Yield the slices of `input` and `output` along one axis."""
    start = done = 0
    while done < length:
        stop = min(start + side, length)
        last = stop if stop == length else stop - overlap
        yield slice(start, stop), slice(done, last)
        start, done = last - overlap, last
