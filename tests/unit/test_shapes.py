"""Rendered scenes: their descriptions, pixels, and what is held out of training."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from sightseq.core.checkpoint import read_as
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.captions import scenes, shapes
from sightseq.data.captions.scenes import COLOURS, EXTENT, RELATIONS, SHAPES, SIZES, Scene, Thing, draw
from sightseq.data.captions.shapes import Shapes, combinations, kinds_of, random_scene
from sightseq.text.tokens_spec import Tokens
from sightseq.vision.caption_spec import CaptionSpec

SPLITS = ("train", "val", "test")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "SCENES", {"train": 300, "val": 60, "test": 60})


def prepared(**arguments: Any) -> Shapes:
    data = Shapes(**({"name": "shapes", "cache": "cache", "image_size": 64, "min_frequency": 1} | arguments))
    data.prepare_data()
    return data


def kinds(text: str) -> set[tuple[str, str]]:
    """The kinds of objects that a caption names."""
    words = text.replace(" of", "").split()
    return {(words[n + 2], words[n + 3]) for n, word in enumerate(words) if word == "a"}


def test_descriptions_by_hand() -> None:
    circle, star = Thing("small", "red", "circle"), Thing("large", "blue", "star")
    assert Scene(circle).descriptions() == ["a small red circle"]
    assert Scene(circle, star, "left of").descriptions() == [
        "a small red circle left of a large blue star",
        "a large blue star right of a small red circle",
    ]
    assert Scene(circle, star, "below").descriptions()[1] == "a large blue star above a small red circle"
    assert all(RELATIONS[RELATIONS[name]] == name for name in RELATIONS)


def scenes_of(split: str, held_out: Any, count: int = 2000) -> list[Scene]:
    generator = np.random.default_rng(0)
    single, pairs = combinations(split, held_out)
    return [random_scene(single, pairs, generator) for _ in range(count)]


def test_held_out_pairs_are_seen_in_no_other_split() -> None:
    found = {split: {tuple(pair) for pair in combinations(split, "pairs")[1]} for split in SPLITS}
    assert {split: len(pairs) for split, pairs in found.items()} == {"train": 942, "val": 117, "test": 117}
    assert len(set.union(*found.values())) == 1176
    assert {kind for pair in found["train"] for kind in pair} == set(product(COLOURS, SHAPES))
    for split in SPLITS:
        named = [kinds(scene.descriptions()[0]) for scene in scenes_of(split, "pairs")]
        pairs = {frozenset(pair) for pair in found[split]}
        singles = [kind for scene in scenes_of(split, "pairs") if not scene.second for kind in kinds(str(scene.first))]
        assert (len(singles) > 400) == (split == "train")
        assert split == "train" or set(map(frozenset, named)) <= pairs
        assert len(set(map(frozenset, named)) & pairs) > 0.5 * len(pairs)


def test_held_out_kinds_are_seen_in_no_other_split() -> None:
    train = set(kinds_of("train"))
    assert (len(train), len(kinds_of("val")), len(kinds_of("test"))) == (40, 4, 4)
    assert all(sum(colour == kind[0] for kind in train) == 5 for colour in COLOURS)
    assert all(sum(shape == kind[1] for kind in train) >= 6 for shape in SHAPES)
    for split in SPLITS:
        named = [kinds(scene.descriptions()[0]) for scene in scenes_of(split, "kinds")]
        own = set(kinds_of(split))
        assert set.union(*named) == train | own
        assert all(found & own for found in named)


def test_scenes_vary() -> None:
    for split in SPLITS:
        sentences = {scene.descriptions()[-1] for scene in scenes_of(split, "pairs")}
        assert len(sentences) > 1000
        assert all(any(f" {name} " in text for text in sentences) for name in (*RELATIONS, *SIZES))
    assert all(scene.first != scene.second for scene in scenes_of("train", "kinds"))


def test_the_relation_of_two_objects_is_unambiguous() -> None:
    generator = np.random.default_rng(0)
    for scene in scenes_of("train", "pairs", 3000):
        things = [thing for thing in (scene.first, scene.second) if thing]
        radii = [generator.uniform(*SIZES[thing.size]) for thing in things]
        centres = scenes._centres(scene.relation, radii, generator)
        for radius, centre in zip(radii, centres, strict=True):
            assert all(EXTENT * radius <= value <= 64 - EXTENT * radius for value in centre)
        if scene.second:
            x, y = (two - one for one, two in zip(*centres, strict=True))
            along, across = {"left of": (x, y), "right of": (-x, y), "above": (y, x), "below": (-y, x)}[scene.relation]
            assert along > EXTENT * sum(radii) + 1.9
            assert abs(across) <= 6 < along
    assert min(SIZES["large"]) > 1.4 * max(SIZES["small"])


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_have_their_colour_size_and_place(shape: str) -> None:
    generator = np.random.default_rng(0)
    for colour, (size, radii) in product(("red", "black", "white"), SIZES.items()):
        pixels = draw(Scene(Thing(size, colour, shape), Thing(size, colour, shape), "left of"), 64, generator)
        assert pixels.shape == (3, 64, 64)
        near = np.abs(pixels - np.array(COLOURS[colour])[:, None, None]).max(0) < 30
        area = near.sum() / 2
        assert 0.25 * np.pi * min(radii) ** 2 < area < 1.2 * np.pi * max(radii) ** 2
        columns = np.flatnonzero(near.any(0))
        assert np.diff(columns).max() > 2  # a gap between the two objects


@pytest.mark.usefixtures("few")
def test_the_dataset_is_deterministic_and_needs_no_files() -> None:
    data, again = prepared(), prepared(cache="other")
    for split in SPLITS:
        for name, column in data.dataset(split).numpy().items():
            assert np.array_equal(column, again.dataset(split).numpy()[name])
    assert data.spec == again.spec
    words = {"a", "left", "right", "of", "above", "below", *SIZES, *COLOURS, *SHAPES}
    assert data.spec.text.vocab_size == len(words) + 2
    assert [len(data.dataset(split).numpy()["count"]) for split in SPLITS] == [300, 60, 60]
    batch = next(iter(data.test_dataloader()))
    assert not (batch["target"] == 1).any()  # no unknown words


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("held_out", ["pairs", "kinds"])
def test_captions_of_each_split_are_those_of_its_combinations(held_out: Any) -> None:
    data = prepared(held_out=held_out)
    for split in SPLITS:
        single, pairs = combinations(split, held_out)
        allowed = {*(frozenset([kind]) for kind in single), *map(frozenset, pairs)}
        for text in data.dataset(split).numpy()["captions"]:
            one, *other = text.split("\n")
            assert frozenset(kinds(one)) in allowed
            assert all(kinds(one) == kinds(line) for line in other)


@pytest.mark.usefixtures("few")
def test_other_sizes_and_models() -> None:
    assert prepared(image_size=32, margin=4).spec.prepared == (3, 36, 36)
    data = Shapes(name="shapes", cache="cache")
    given = CaptionSpec(3, 48, 48, (0.5,) * 3, (0.2,) * 3, Tokens(prepared().spec.text.tokenizer, 22, "en"))
    read_as(data, given)
    data.prepare_data()
    assert next(iter(data.val_dataloader()))["input"].shape[1:] == (3, 48, 48)
    grey = Shapes(name="shapes", cache="cache")
    read_as(grey, CaptionSpec(1, 48, 48, (0.5,), (0.2,), given.text))
    with pytest.raises(DataError, match="its images are RGB and square"):
        grey.prepare_data()
    with pytest.raises(ConfigError, match=r"data\.fold=0: shapes has its own test split"):
        prepared(fold=0)
