"""Large images in overlapping tiles: the memory that a network needs does not grow with the image."""

from collections.abc import Iterator
from dataclasses import dataclass

from sightseq.core.errors import ConfigError

GRID = 16  # pixels


@dataclass(frozen=True)
class Tile:
    """A part of an image, as rows and columns.

    Attributes:
        seen: what the network is given.
        kept: the part of it whose result is used; the kept parts of all tiles cover the image once.
    """

    seen: tuple[slice, slice]
    kept: tuple[slice, slice]

    @property
    def inner(self) -> tuple[slice, slice]:
        """`kept`, counted from the corner of `seen`."""
        rows, columns = (
            slice(kept.start - seen.start, kept.stop - seen.start)
            for seen, kept in zip(self.seen, self.kept, strict=True)
        )
        return rows, columns


def tiles(height: int, width: int, side: int = 512, overlap: int = 32) -> Iterator[Tile]:
    """Cuts an image into overlapping tiles.

    Side and overlap are rounded up to multiples of `GRID`, so that tiles begin at multiples of it, and end there or at
    the border of the image: pixels that a network pools together in a tile are those that it pools together in the
    whole image. The result is the same as for the whole image if no output depends on an input more than `overlap`
    pixels away.

    Args:
        height: of the image, in pixels.
        width: of the image.
        side: of a tile; a smaller image is one tile.
        overlap: pixels at the inner borders of a tile that are seen, and not kept.

    Raises:
        ConfigError: the side is not more than twice the overlap.
    """
    side, overlap = -(-side // GRID) * GRID, -(-overlap // GRID) * GRID
    if side <= 2 * overlap:
        raise ConfigError(f"tile={side} overlap={overlap}: a tile is more than twice as long as the overlap")
    columns = list(_spans(width, side, overlap))
    for row_seen, row_kept in _spans(height, side, overlap):
        for column_seen, column_kept in columns:
            yield Tile((row_seen, column_seen), (row_kept, column_kept))


def _spans(length: int, side: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    """`seen` and `kept` along one axis."""
    start = done = 0
    while done < length:
        stop = min(start + side, length)
        last = stop if stop == length else stop - overlap
        yield slice(start, stop), slice(done, last)
        start, done = last - overlap, last
