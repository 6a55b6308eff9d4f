"""The search space: what Hydra's override grammar means to a search."""

import math
from collections import Counter
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sightseq.core.errors import ConfigError
from sightseq.sweep.space import Space, from_unit, parse_space, rounded


def space(*typed: str) -> Space:
    return parse_space(OverridesParser.create().parse_overrides(list(typed)))


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("interval(0,0.5)", FloatDistribution(0, 0.5)),
        ("interval(1,5)", FloatDistribution(1, 5)),
        ("tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("int(interval(1,5))", IntDistribution(1, 5)),
        ("tag(log,int(interval(8,512)))", IntDistribution(8, 512, log=True)),
        ("range(1,4)", IntDistribution(1, 3)),  # without the end, as in a grid
        ("range(32,129,32)", IntDistribution(32, 128, step=32)),
        ("range(3,0,-1)", IntDistribution(1, 3)),
        ("shuffle(range(1,4))", IntDistribution(1, 3)),
        ("range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("image/convnet,image/resnet", CategoricalDistribution(["image/convnet", "image/resnet"])),
        ("choice(true,3,0.5)", CategoricalDistribution(["True", "3", "0.5"])),
        ("null,1", CategoricalDistribution(["null", "1"])),
        ("[64,128],[32]", CategoricalDistribution(["[64,128]", "[32]"])),
        ("'a, b','c'", CategoricalDistribution(["'a, b'", "'c'"])),
    ],
)
def test_grammar(typed: str, expected: BaseDistribution) -> None:
    assert space(f"key={typed}").searched == {"key": expected}


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("tag(log,interval(1e-1,1e-4))", "first bound of an interval must be below the second"),
        ("interval(1,1)", "first bound of an interval must be below the second"),
        ("tag(log,interval(0,1))", "must be above 0"),
        ("tag(logarithm,interval(1,2))", "the only tag of a search is log, not logarithm"),
        ("tag(log,range(1,9))", "log needs an interval"),
        ("tag(log,choice(1,10))", "log needs an interval"),
        ("range(3,3)", "this range is empty"),
        ("range(1,3,0)", "step of a range must not be 0"),
        ("a,b,a", "a choice is listed twice"),
    ],
)
def test_contradictions(typed: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        space(f"key={typed}")


def test_overrides_of_a_trial_keep_their_order_and_prefix() -> None:
    one = space("experiment=digits", "+a.b=interval(0,1)", "~logger", "model/net=x,y", "seed=3")
    values = {"a.b": 0.25, "model/net": "y"}
    assert one.overrides(values) == ["experiment=digits", "+a.b=0.25", "~logger", "model/net=y", "seed=3"]


def test_the_last_of_equal_keys_counts() -> None:
    one = space("a=interval(0,1)", "b=1,2", "c=4", "a=3", "c=5,6")
    assert one.overrides({"b": "2", "c": "6"}) == ["b=2", "a=3", "c=6"]
    assert one.searched.keys() == {"b", "c"}
    with pytest.raises(ConfigError, match=r"a and \+a are the same key"):
        space("a=1,2", "+a=3,4")


def test_grid() -> None:
    points = space("a=x,y", "b=2", "c=range(0.1,0.45,0.1)", "d=range(1,3)").grid()
    assert len(points) == 2 * 4 * 2
    assert points[:3] == [{"a": "x", "c": 0.1, "d": 1}, {"a": "x", "c": 0.1, "d": 2}, {"a": "x", "c": 0.2, "d": 1}]
    assert sorted({point["c"] for point in points}) == [0.1, 0.2, 0.3, 0.4]
    assert space().grid() == [{}]
    with pytest.raises(ConfigError, match="a: a grid needs single values"):
        space("a=interval(0,1)").grid()


@pytest.mark.parametrize(
    ("typed", "count"), [("a,b,c", 3), ("int(interval(-1,3))", 5), ("range(10,30,5)", 4), ("range(0,1,0.25)", 4)]
)
def test_equal_lengths_hold_equal_shares(typed: str, count: int) -> None:
    distribution = space(f"key={typed}").searched["key"]
    found = Counter(from_unit(distribution, (i + 0.5) / 600) for i in range(600))
    assert len(found) == count
    assert set(found.values()) == {600 // count}


def test_a_logarithmic_position() -> None:
    lr = space("key=tag(log,interval(1e-4,1))").searched["key"]
    assert [from_unit(lr, position) for position in (0, 0.25, 0.5)] == pytest.approx([1e-4, 1e-3, 1e-2])
    width = space("key=tag(log,int(interval(1,16)))").searched["key"]
    values = [from_unit(width, i / 1000) for i in range(1000)]
    assert (min(values), max(values)) == (1, 16)
    middle = math.exp((math.log(0.5) + math.log(16.5)) / 2)
    assert abs(values[500] - middle) <= 0.5


@pytest.mark.parametrize(
    ("typed", "value", "expected"),
    [
        ("interval(0,1)", 0.123456789, 0.1235),
        ("tag(log,interval(1e-5,1e-1))", 0.00012345678, 0.0001235),
        ("interval(0.9999,0.99995)", 0.99992345678, 0.9999235),  # a narrow interval keeps more digits
        ("interval(0.12341,0.2)", 0.12341111, 0.12341),  # not below the interval
        ("range(0,1,0.1)", 0.30000000000000004, 0.3),
        ("int(interval(1,99999))", 12345, 12345),
        ("a,b", "a", "a"),
    ],
)
def test_suggested_floats_are_short(typed: str, value: Any, expected: Any) -> None:
    assert rounded(value, space(f"key={typed}").searched["key"]) == expected
