"""Generated photographs with captions, that are learnable quickly."""

from pathlib import Path

import numpy as np
from PIL import Image

from sightseq.data.captions.scenes import COLOURS, SHAPES, SIZES, Scene, Thing, draw

OPENINGS = ("{}", "there is {}", "{} on a grey background")


def write_photos(folder: Path, count: int, digits: int = 4) -> dict[str, list[str]]:
    """Write JPEG images of different sizes, each of one coloured shape.

    Args:
        folder: output folder; it is created.
        count: number of images.
        digits: digits of a number in the file names.

    Returns:
        Three captions of each image, by file name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    captions = {}
    for number in range(count):
        size, colour, shape = (str(generator.choice(list(names))) for names in (SIZES, COLOURS, SHAPES))
        thing = Thing(size, colour, shape)
        name = f"{number:0{digits}}.jpg"
        pixels = draw(Scene(thing), 72, generator).transpose(1, 2, 0)
        Image.fromarray(pixels).resize((72 + number % 30, 72)).save(folder / name, quality=90)
        captions[name] = [opening.format(thing) for opening in OPENINGS]
    return captions
