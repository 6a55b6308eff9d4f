"""Specs and augmentations of music."""

import json
from dataclasses import replace

import pytest
import torch

from sightseq.core.build import build
from sightseq.core.errors import CheckpointError, ConfigError
from sightseq.core.spec import Spec
from sightseq.music.augment import StretchEvents, TransposeEvents, TransposeRolls
from sightseq.music.events import DRUMS, EventCodec
from sightseq.music.melody import MelodyCodec
from sightseq.music.spec import MusicSpec, RollSpec
from sightseq.text.spec import LanguageSpec

SPECS = [
    RollSpec(0.25, 120.0, 4),
    MusicSpec.of(EventCodec("beats", 12, programs=(0, DRUMS), tempo=True), 96.5),
    MusicSpec.of(MelodyCodec(4, 48, 84), 120.0),
]


@pytest.mark.parametrize("spec", SPECS)
def test_specs_survive_json(spec: Spec) -> None:
    again = Spec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert type(again) is type(spec)
    assert hash(again) == hash(spec)
    assert spec.difference(again) == ""
    assert spec.summary()
    labels = json.loads(spec.metadata()["labels"])
    assert len(labels) == (spec.vocab_size if isinstance(spec, MusicSpec) else 88)
    assert json.loads(spec.metadata()["preprocessing"])


def test_codecs_are_rebuilt() -> None:
    for spec in SPECS[1:]:
        codec = Spec.from_dict(json.loads(json.dumps(spec.to_dict()))).codec
        assert type(codec) is type(spec.codec)
        assert codec.names == spec.codec.names
    assert SPECS[0].net_arguments() == {"keys": 88}
    assert SPECS[2].net_arguments() == {"vocab_size": 41}
    assert json.loads(SPECS[0].metadata()["labels"])[39] == "C4"


@pytest.mark.parametrize(
    ("spec", "change"),
    [
        (SPECS[0], {"step": 0}),
        (SPECS[0], {"keys": 3}),
        (SPECS[0], {"tempo": -1}),
        (SPECS[1], {"vocab_size": 7}),
        (SPECS[1], {"tempo": 0}),
        (SPECS[1], {"codec": {"kind": "chords"}}),
        (SPECS[1], {"codec": {"kind": "events", "max_shift": 10**9}}),
        (SPECS[1], {"codec": {"kind": "events", "programs": [200]}}),
        (SPECS[2], {"codec": {"kind": "melody", "low": 60, "high": 61}}),
    ],
)
def test_impossible_specs_are_refused(spec: Spec, change: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="spec"):
        Spec.from_dict(spec.to_dict() | change)


def test_differences_name_what_does_not_fit() -> None:
    rolls, events, melody = SPECS
    assert rolls.difference(replace(rolls, tempo=90.0, voices=9)) == ""
    assert "frames of 0.25 beats, and those of the data have 1" in rolls.difference(replace(rolls, step=1.0))
    assert "but the data is" in rolls.difference(events)
    assert events.difference(replace(events, tempo=50.0)) == ""
    assert "low=48" in events.difference(melody)
    assert "but the data is" in events.difference(LanguageSpec("", 5))


def rolls(seed: int = 0) -> dict[str, torch.Tensor]:
    """Four rolls of 20 frames; the last is silent, and the third uses the outermost keys."""
    target = (torch.rand(4, 20, 88, generator=torch.Generator().manual_seed(seed)) < 0.1).byte()
    target[:2, :, :30] = target[:2, :, -30:] = 0
    target[2, 3, 0] = target[2, 4, 87] = 1
    target[3] = 0
    before = torch.cat([torch.zeros_like(target[:, :1]), target[:, :-1]], dim=1)
    return {"input": before, "target": target, "length": torch.full((4,), 20), "index": torch.arange(4)}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_rolls_are_transposed_within_the_keyboard(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    batch = rolls()
    batch |= {name: batch[name].to(dtype) for name in ("input", "target")}
    augment = TransposeRolls(6)
    seen = set()
    for _ in range(200):
        moved = augment(batch)
        for name in ("input", "target"):
            assert moved[name].dtype == dtype
            assert torch.equal(moved[name].sum(2), batch[name].sum(2))  # no key is lost
        assert torch.equal(moved["input"][:, 1:], moved["target"][:, :-1])  # moved together
        assert torch.equal(moved["target"][2:], batch["target"][2:])
        first = batch["target"][0].nonzero()[0]
        shift = int(moved["target"][0, first[0]].nonzero()[0, 0] - first[1])
        assert torch.equal(moved["target"][0], batch["target"][0].roll(shift, 1))
        seen.add(shift)
    assert seen == set(range(-6, 7))
    assert augment.eval()(batch) is batch


def test_the_range_of_a_roll_near_the_edge_is_used_up() -> None:
    torch.manual_seed(0)
    batch = {name: torch.zeros(300, 2, 88, dtype=torch.uint8) for name in ("input", "target")}
    batch["target"][:, 0, 2] = 1
    batch["input"][:, 1, 85] = 1
    moved = TransposeRolls(6)(batch)
    assert set(moved["target"].nonzero()[:, 2].tolist()) == {0, 1, 2, 3, 4}
    assert set((moved["input"].nonzero()[:, 2] - moved["target"].nonzero()[:, 2]).tolist()) == {83}


def test_streams_keep_their_transposition_for_an_epoch() -> None:
    codec = EventCodec(programs=(0, DRUMS))
    config = {"_target_": "sightseq.music.augment.TransposeEvents", "semitones": 6}
    augment = build(config, torch.nn.Module, "model.augment", codec=codec)
    tokens = torch.randint(2, codec.vocab_size, (64, 12), generator=torch.Generator().manual_seed(0))
    tokens[:, 5] = 0
    batch = {"input": tokens[:, :-1], "target": torch.where(torch.arange(11) > 8, -1, tokens[:, 1:])}
    first = augment(batch)
    assert all(torch.equal(augment(batch)[name], first[name]) for name in batch)
    assert torch.equal(first["input"][:, 1:9], first["target"][:, :8])
    assert torch.equal(first["target"][:, 9:], batch["target"][:, 9:])
    assert (first["input"][:, 5] == 0).all()
    found = []
    for epoch, rank in ((0, 0), (1, 0), (0, 1)):
        augment.begin_epoch(epoch, rank)
        rows = augment(batch)["input"].numpy()
        tables = [codec.transposition(shift) for shift in range(-6, 7)]
        pairs = zip(batch["input"].numpy(), rows, strict=True)
        found.append([next(s for s, table in enumerate(tables) if (table[old] == new).all()) for old, new in pairs])
    assert set(found[0]) == set(range(13))
    assert found[0] != found[1] != found[2] != found[0]
    assert augment.eval()(batch) is batch
    assert not augment.state_dict()


def test_stretching_needs_a_grid_of_seconds() -> None:
    codec = EventCodec()
    augment = StretchEvents(codec, 0.05)
    shift = codec.names.index("shift 40")
    batch = {"input": torch.full((200, 1), shift), "target": torch.full((200, 1), shift)}
    names = {codec.names[token] for token in augment(batch)["input"].flatten().tolist()}
    assert names == {"shift 38", "shift 39", "shift 40", "shift 41", "shift 42"}
    for other in (EventCodec("beats"), MelodyCodec()):
        with pytest.raises(ConfigError, match="grid of seconds"):
            StretchEvents(other)


def test_melodies_are_transposed() -> None:
    codec = MelodyCodec()
    augment = TransposeEvents(codec, 2)
    tokens = torch.tensor([[4 + 39, 2, 3, 0]] * 100)
    moved = augment({"input": tokens, "target": tokens})["input"]
    assert {codec.names[token] for token in moved[:, 0].tolist()} == {"A#3", "B3", "C4", "C#4", "D4"}
    assert torch.equal(moved[:, 1:], tokens[:, 1:])
