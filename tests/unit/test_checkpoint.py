"""The data of a checkpoint: its own, its own with changed keys, or other data."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sightseq.composition import compose
from sightseq.core.checkpoint import data_of
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError
from sightseq.core.spec import Spec
from sightseq.core.task import Task
from sightseq.text.spec import TextSpec
from sightseq.vision.spec import ImageSpec

TEXT = TextSpec("", 100, ("bad", "good"), max_tokens=7)


def data(*overrides: str, spec: Spec = TEXT, trained: str = "text_csv", command: str = "test") -> Any:
    """The data of a checkpoint that was trained on `trained`."""
    content = {"sightseq": {"config": compose(f"experiment={trained}")}}
    task = cast(Task, SimpleNamespace(spec=spec))
    found: DataModule = data_of(content, task, compose("ckpt=x", *overrides, command=command))
    return found


@pytest.mark.parametrize("command", ["test", "export"])
def test_own_data_is_changed_by_data_keys(command: str) -> None:
    changes = ["data.root=else where", "data.path=~/my reviews.csv", "data.batch_size=3", "+data.label=stars"]
    found = data(*changes, command=command)
    assert str(found.root) == "else where"
    assert found.path.name == "my reviews.csv"
    assert found.path.is_absolute()
    assert (found.batch_size, found.label, found.unit) == (3, "stars", "words")
    assert found.given_spec is TEXT
    assert found.encoder is None
    assert str(data("paths.data=/elsewhere", command=command).root) == "/elsewhere"


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("data.rot=x", "data.rot: TextCSV takes no such argument; did you mean root"),
        ("data.batchsize=x", "did you mean batch_size"),
        ("data.image_size=8", "data.image_size: TextCSV takes no such argument"),
        ("data.batch_size=many", "data.batch_size='many' does not fit TextCSV"),
    ],
)
def test_a_wrong_key_suggests_the_nearest_of_this_data(override: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        data(override)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("command", ["test", "export"])
def test_other_data_is_prepared_like_the_own(command: str) -> None:
    found = data("data=text_csv", "data.path=x.csv", trained="imdb", command=command)
    assert type(found).__name__ == "TextCSV"
    assert str(found.path) == "x.csv"
    assert found.encoder is found.given_spec is TEXT
    images = ImageSpec(1, 8, 8, ("a", "b"), (0.5,), (0.5,))
    with pytest.raises(ConfigError, match="has the spec TextSpec, but the model expects ImageSpec"):
        data("data=imdb", spec=images, trained="digits", command=command)


@pytest.mark.parametrize("command", ["test", "export"])
@pytest.mark.parametrize("useless", ["max_tokens=30", "lowercase=false"])
def test_options_fixed_by_the_model_are_refused_for_other_data(command: str, useless: str) -> None:
    key = useless.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^data\.{key}: the checkpoint sets how .* leave this option out$"):
        data("data=text_csv", "data.path=x.csv", f"data.{useless}", trained="imdb", command=command)
    assert data("data=text_csv", "data.batch_size=3", trained="imdb", command=command).batch_size == 3


def test_files_are_not_silently_replaced_by_synthetic_data() -> None:
    content = {"sightseq": {"config": compose("debug=synthetic")}}
    spec = ImageSpec(1, 8, 8, ("a", "b"), (0.5,), (0.5,))
    task = cast(Task, SimpleNamespace(spec=spec))
    with pytest.raises(ConfigError, match=r"data\.root: .*add data\.synthetic=false"):
        data_of(content, task, compose("ckpt=x", "data.root=x", command="test"))
    assert data_of(content, task, compose("ckpt=x", "data.batch_size=2", command="test")).synthetic
