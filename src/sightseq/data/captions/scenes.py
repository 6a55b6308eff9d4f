"""Rendered scenes of coloured shapes, and all their descriptions."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZES = {"small": (5.5, 7.0), "large": (10.5, 12.0)}  # range of the radius, in 64ths of the side of the image
COLOURS = {
    "red": (215, 35, 40),
    "orange": (240, 130, 25),
    "yellow": (235, 215, 45),
    "green": (40, 150, 60),
    "blue": (40, 75, 220),
    "purple": (145, 50, 185),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
}
Point = tuple[float, float]


def _points(*radii: float, count: int, turn: float = 0.0) -> list[Point]:
    """Return the corners of a polygon around (0, 0), clockwise from the top; the radii alternate."""
    angles = [2 * pi * (number + turn) / count for number in range(count)]
    return [(radii[n % len(radii)] * sin(a), -radii[n % len(radii)] * cos(a)) for n, a in enumerate(angles)]


THIRD = 0.34  # half the width of an arm of the cross
SHAPES: dict[str, list[Point]] = {
    "circle": _points(0.95, count=64),
    "square": _points(1.15, count=4, turn=0.5),
    "triangle": [(x, y + 0.2) for x, y in _points(1.2, count=3)],
    "star": _points(1.2, 0.5, count=10),
    "cross": [
        (x * a, y * b)
        for a, b, corners in (
            (1, -1, ((THIRD, 1.05), (THIRD, THIRD), (1.05, THIRD))),
            (1, 1, ((1.05, THIRD), (THIRD, THIRD), (THIRD, 1.05))),
            (-1, 1, ((THIRD, 1.05), (THIRD, THIRD), (1.05, THIRD))),
            (-1, -1, ((1.05, THIRD), (THIRD, THIRD), (THIRD, 1.05))),
        )
        for x, y in corners
    ],
    "diamond": _points(1.2, count=4),
}  # corners, for radius 1
EXTENT = 1.25  # largest distance of a corner from the centre, for radius 1
RELATIONS = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}  # and their inverses
SIDE, GAP, ASKEW = 64.0, 2.0, 3.0  # side of an image; smallest gap and largest offset of two objects, in its units
OVERSAMPLING = 4


@dataclass(frozen=True)
class Thing:
    """A coloured shape.

    Attributes:
        size, colour, shape: a key of `SIZES`, of `COLOURS` and of `SHAPES`.
    """

    size: str
    colour: str
    shape: str

    def __str__(self) -> str:
        return f"a {self.size} {self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """One object, or two and the relation of the first to the second.

    Attributes:
        first, second: the objects; they are different.
        relation: a key of `RELATIONS`.
    """

    first: Thing
    second: Thing | None = None
    relation: str = ""

    def descriptions(self) -> list[str]:
        """Return all true descriptions: one of a single object, and two of a pair, from the side of each object."""
        if self.second is None:
            return [str(self.first)]
        pairs = ((self.first, self.relation, self.second), (self.second, RELATIONS[self.relation], self.first))
        return [f"{one} {relation} {other}" for one, relation, other in pairs]


def draw(scene: Scene, side: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a scene with anti-aliasing, on a background of greys: plain, or with a gradient, stripes or noise.

    Position, exact size and shade of the objects are random. Two objects do not touch; they are apart along the axis of
    their relation by at least the sum of their extents, and along the other axis by at most a few pixels.

    Args:
        scene: the objects.
        side: height and width in pixels.
        generator: random numbers.

    Returns:
        The pixels uint8 [3, side, side].
    """
    things = [thing for thing in (scene.first, scene.second) if thing]
    radii = [generator.uniform(*SIZES[thing.size]) for thing in things]
    image = Image.fromarray(_background(side, generator))
    for thing, radius, centre in zip(things, radii, _centres(scene.relation, radii, generator), strict=True):
        shade = np.array(COLOURS[thing.colour]) + generator.integers(-12, 13, 3)
        _paint(image, SHAPES[thing.shape], radius, centre, tuple(shade.clip(0, 255).tolist()), side / SIDE)
    pixels = np.asarray(image) + generator.normal(0, 3, (side, side, 3))
    return np.ascontiguousarray(np.rint(pixels).clip(0, 255).astype(np.uint8).transpose(2, 0, 1))


def _centres(relation: str, radii: list[float], generator: np.random.Generator) -> list[Point]:
    """Return the centre (x, y) of each object, in units of which the image has `SIDE`."""
    extents = [EXTENT * radius for radius in radii]
    if len(extents) == 1:
        x, y = generator.uniform(extents[0], SIDE - extents[0], 2).tolist()
        return [(x, y)]
    backwards = relation in ("right of", "below")
    one, two = reversed(extents) if backwards else extents
    distance = generator.uniform(one + two + GAP, SIDE - one - two)
    start = generator.uniform(one, SIDE - two - distance)
    along = [start, start + distance]
    margin = max(extents) + ASKEW
    across = generator.uniform(margin, SIDE - margin) + generator.uniform(-ASKEW, ASKEW, 2)
    points = list(zip(along[::-1] if backwards else along, across.tolist(), strict=True))
    return points if relation in ("left of", "right of") else [(across, along) for along, across in points]


def _paint(
    image: Image.Image, corners: list[Point], radius: float, centre: Point, colour: tuple[int, ...], scale: float
) -> None:
    """Paint a polygon of a radius around a centre (x, y), both in units of which `scale` are one pixel."""
    reach = int(EXTENT * radius * scale) + 2
    left, top = (int(value * scale) - reach for value in centre)
    mask = Image.new("L", (2 * reach * OVERSAMPLING,) * 2)
    points = [
        tuple(OVERSAMPLING * ((c + radius * p) * scale - o) for c, p, o in zip(centre, point, (left, top), strict=True))
        for point in corners
    ]
    ImageDraw.Draw(mask).polygon(points, fill=255)
    image.paste(colour, (left, top), mask.reduce(OVERSAMPLING))


def _background(side: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return a background [side, side, 3] of greys with a slight tint, neither dark nor light."""
    y, x = np.mgrid[:side, :side] / side
    angle, phase = generator.uniform(0, 2 * pi, 2)
    slope = x * cos(angle) + y * sin(angle)
    textures: list[NDArray[np.float64]] = [
        np.zeros((side, side)),
        slope,
        np.sin(slope * generator.uniform(15, 40) + phase),
        generator.normal(0, 0.5, (side, side)),
    ]
    texture = textures[generator.integers(len(textures))]
    tint = generator.uniform(100, 160) + generator.uniform(-10, 10, 3)
    background: NDArray[np.uint8] = (tint + 15 * texture[..., None]).clip(60, 200).astype(np.uint8)
    return background
