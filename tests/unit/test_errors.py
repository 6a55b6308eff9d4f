"""The hints that end an error message."""

import pytest

from sightseq.core.errors import ConfigError, DataError, SightseqError, nearest


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("trian", ["train", "test", "show"], "did you mean train?"),
        ("lr", ["model.optimizer.lr", "seed"], "did you mean model.optimizer.lr?"),
        ("optimizer.lr", ["model.optimizer.lr", "model.scheduler.max_lr"], "did you mean model.optimizer.lr?"),
        ("x.max_epoch", ["trainer.max_epochs", "seed"], "did you mean trainer.max_epochs?"),
        ("zzz", ["b", "a"], "available: a, b"),
        ("zzz", [], "none are available"),
        ("n123456", [f"name{i}" for i in range(13)], "the nearest are name12, name6, name5"),
    ],
)
def test_nearest(word: str, known: list[str], hint: str) -> None:
    assert nearest(word, known) == hint


def test_nearest_names_at_most_five_of_the_same_tail() -> None:
    assert nearest("lr", [f"g{i}.lr" for i in range(9)]) == "did you mean g0.lr or g1.lr or g2.lr or g3.lr or g4.lr?"


def test_nearest_takes_any_iterable() -> None:
    assert nearest("sed", {"seed": 1, "name": 2}) == "did you mean seed?"


@pytest.mark.parametrize("kind", [ConfigError, DataError])
def test_errors_share_a_base(kind: type[Exception]) -> None:
    with pytest.raises(SightseqError, match="what, where, remedy"):
        raise kind("what, where, remedy")
