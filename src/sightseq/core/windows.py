"""Overlapping windows of a long input."""

from collections.abc import Iterator


def windows(length: int, steps: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each window of a recording of `length` steps.

    A recording of at most `steps` steps is one window. The last window of a longer one ends with it.
    """
    if length <= steps:
        yield 0, length
        return
    yield from ((start, start + steps) for start in range(0, length - steps, stride))
    yield length - steps, length
