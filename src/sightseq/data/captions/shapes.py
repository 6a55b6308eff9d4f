"""Scenes of coloured shapes with compositional captions; they are generated, and need no download."""

import json
from itertools import combinations_with_replacement, product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sightseq.core.arrays import new_array, save_about
from sightseq.core.errors import DataError
from sightseq.data.captions import scenes
from sightseq.data.captions.captions import CaptionData, save_captions
from sightseq.data.captions.scenes import COLOURS, RELATIONS, SHAPES, SIZES, Scene, Thing, draw
from sightseq.vision.caption_spec import CaptionSpec

SCENES = {"train": 10_000, "val": 1_000, "test": 1_000}
SINGLE = 0.25  # fraction of the scenes with one object, in splits that have such scenes
Kind = tuple[str, str]
"""Colour and shape of an object."""
HeldOut = Literal["kinds", "pairs"]


class Shapes(CaptionData):
    """12,000 images of shapes with about 21,500 captions, such as "a small red circle left of a large blue star".

    One or two objects of two sizes, eight colours and six shapes, in four relations; backgrounds are plain or textured.
    The captions of an image are all descriptions of it that the grammar allows: a generated caption is right if and
    only if it is one of them.

    Combinations are held out of training, those of validation are others than those of the test:

    - "kinds": a kind is a colour with a shape. Four of the 48 are seen only in the test and four only in validation,
      one of each colour; each image of these splits has such an object. In training each colour is seen in five shapes
      and each shape in six or more colours. A network that learns kinds, not colour and shape apart, fails here.
    - "pairs": of the 1,176 pairs of kinds, a tenth is seen only in the test and a tenth only in validation, in any
      sizes and relation; images of one object are all for training. Each kind is seen in training, so this is easier.

    Args:
        held_out: "kinds" or "pairs".
        common: see `CaptionData`.
    """

    def __init__(self, *, held_out: HeldOut = "pairs", **common: Any) -> None:
        super().__init__(**common)
        self.held_out: HeldOut = held_out

    def cache_key(self) -> dict[str, Any]:
        """Options that change the scenes and their pixels."""
        return {**super().cache_key(), "held_out": self.held_out}

    def locate(self) -> list[Path]:
        """Return the module that draws the scenes, or the generated file."""
        if self.synthetic:
            return [self.root / self.folders[0] / "scenes.json"]
        return [Path(scenes.__file__)]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Draw the scenes of each split.

        Raises:
            DataError: a model of other images than square ones in RGB reads this data.
        """
        counts: dict[str, int] = json.loads(sources[0].read_text()) if self.synthetic else SCENES
        shape, margin = (3, self.image_size + self.margin, self.image_size + self.margin), self.margin
        if isinstance(self.encoder, CaptionSpec):
            shape, margin = self.encoder.prepared, self.encoder.margin
        if shape[0] != 3 or shape[1] != shape[2]:
            raise DataError(f"{self.name}: its images are RGB and square, and the model reads {shape}")
        for number, (split, count) in enumerate(counts.items()):
            generator = np.random.default_rng([0, number])
            single, pairs = combinations(split, self.held_out)
            pixels = new_array(folder, split, "input", (count, *shape))
            captions = []
            for row in range(count):
                scene = random_scene(single, pairs, generator)
                pixels[row] = draw(scene, shape[1], generator)
                captions.append(scene.descriptions())
            save_captions(folder, split, captions)
        save_about(folder, {"margin": margin})

    def write_synthetic(self, folder: Path) -> None:
        """Write the numbers of scenes of a small dataset."""
        (folder / "scenes.json").write_text(json.dumps({"train": 120, "val": 30, "test": 30}))


def combinations(split: str, held_out: HeldOut) -> tuple[list[Kind], list[tuple[Kind, Kind]]]:
    """Return what the images of a split have: the kinds of single objects, and the unordered pairs of kinds."""
    kinds = list(product(COLOURS, SHAPES))
    pairs = list(combinations_with_replacement(kinds, 2))
    if held_out == "kinds":
        own, others = kinds_of(split), kinds_of("train")
        allowed = {*own, *others}
        return own, [pair for pair in pairs if allowed.issuperset(pair) and not set(own).isdisjoint(pair)]
    tenth = len(pairs) // 10
    parts = np.split(np.random.default_rng(0).permutation(len(pairs)), [tenth, 2 * tenth])
    chosen = dict(zip(("test", "val", "train"), parts, strict=True))[split]
    return kinds if split == "train" else [], [pairs[number] for number in chosen]


def kinds_of(split: str) -> list[Kind]:
    """Return the kinds that only this split has, if kinds are held out; for "train" those that all splits have."""
    names = list(SHAPES)
    one = [(colour, names[number % len(names)]) for number, colour in enumerate(COLOURS)]  # of each colour
    if split == "train":
        return [kind for kind in product(COLOURS, SHAPES) if kind not in one]
    return one[0::2] if split == "test" else one[1::2]


def random_scene(single: list[Kind], pairs: list[tuple[Kind, Kind]], generator: np.random.Generator) -> Scene:
    """Return a random scene with one of the kinds, if there are any, or with one of the pairs of kinds."""
    sizes, relations = list(SIZES), list(RELATIONS)
    if single and generator.random() < SINGLE:
        return Scene(Thing(sizes[generator.integers(2)], *single[generator.integers(len(single))]))
    one, two = pairs[generator.integers(len(pairs))]
    first, second = (sizes[number] for number in generator.integers(2, size=2))
    if one == two:  # otherwise the objects may be equal
        first, second = sizes
    # The relations include their inverses, so the order of a pair does not matter.
    return Scene(Thing(first, *one), Thing(second, *two), relations[generator.integers(len(relations))])
