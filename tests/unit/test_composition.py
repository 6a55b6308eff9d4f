"""Composing a config, and what is said of one that cannot be composed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

import sightseq
from sightseq.composition import PATHS, compose, known_keys, quote_path, split_inputs, swept_keys
from sightseq.core.errors import ConfigError
from sightseq.core.places import group_options


def bricks(value: Any, key: str = "") -> dict[str, str]:
    """All `_target_`s below a value, by where they stand."""
    if not isinstance(value, dict):
        return {}
    here = {key: value["_target_"]} if "_target_" in value else {}
    return here | {k: v for name, inner in value.items() for k, v in bricks(inner, f"{key}.{name}").items()}


def refusal(*overrides: str, command: str = "train") -> str:
    with pytest.raises(ConfigError) as caught:
        compose(*overrides, command=command)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("experiment", sorted(group_options("experiment")))
def test_every_experiment_composes(experiment: str) -> None:
    config = compose(f"experiment={experiment}")
    assert config["experiment"] == experiment
    assert config["title"]
    assert {".data", ".model", ".model.net", ".model.optimizer", ".trainer"} <= set(bricks(config))
    assert yaml.safe_load(yaml.safe_dump(config)) == config  # plain values
    assert "hydra" not in config
    assert "${" not in str(config)


@pytest.mark.parametrize("command", ["train", "data", "show", "explain", "bench"])
def test_commands_of_an_experiment_compose_to_the_same_bricks(command: str) -> None:
    assert bricks(compose(command=command)) == bricks(compose())


def test_paths_are_absolute_and_follow_the_environment(tmp_path: Path) -> None:
    paths = compose()["paths"]
    assert paths == {name: str(tmp_path / name) for name in ("data", "cache", "runs")}
    assert compose("paths.runs=elsewhere/x")["paths"]["runs"] == str(tmp_path / "elsewhere" / "x")
    assert compose("paths.data=~/x")["paths"]["data"] == str(Path.home() / "x")
    assert compose("paths.data=else where")["data"]["root"] == str(tmp_path / "else where")


def test_overrides_and_interpolations() -> None:
    config = compose("seed=7", "optimizer=sgd", "model.optimizer.lr=0.25", "scheduler=one_cycle")
    assert config["data"]["seed"] == 7
    assert config["model"]["optimizer"]["lr"] == 0.25
    assert config["model"]["optimizer"]["_target_"] == "torch.optim.SGD"
    assert "betas" not in config["model"]["optimizer"]  # adamw's number, which is not there any more
    assert config["model"]["scheduler"]["max_lr"] == 0.25


def test_options_of_a_group_replace_each_other() -> None:
    assert "augment" not in compose("augment=none")["model"]
    assert set(compose("augment=flip_shift")["model"]["augment"]) == {"flip", "shift"}
    assert compose("scheduler=none")["model"]["scheduler"] is None


def test_debug_options_compose() -> None:
    for option in group_options("debug"):
        assert compose(f"debug={option}")["experiment"] == "digits"
    assert compose("debug=synthetic")["data"]["synthetic"] is True


def test_public_function_is_the_same() -> None:
    assert sightseq.compose("seed=3") == compose("seed=3")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("experiment=digit", "experiment=digit: there is no such option; did you mean digits?"),
        ("optimizer=adamm", "optimizer=adamm: there is no such option; did you mean adam"),
        ("model/net=convnet", "model/net=convnet: there is no such option; did you mean image/convnet"),
        ("model/net=image/convnt", "model/net=image/convnt: there is no such option; did you mean image/convnet"),
        ("data=bas", "data=bas: there is no such option; "),
        ("optimiser=sgd", "there is no key or group 'optimiser'; did you mean optimizer"),
        ("trainer.max_epoch=3", "there is no key or group 'trainer.max_epoch'; did you mean trainer.max_epochs"),
        ("sed=3", "there is no key or group 'sed'; did you mean seed"),
        ("lr=3", "there is no key or group 'lr'; did you mean model.optimizer.lr?"),
        ("~no_such", "no_such"),
        ("seed", "cannot read 'seed': write key=value"),
        ("title=a=b", "cannot read 'title=a=b': write key=value, and quote"),
        ("title=[1", "cannot read 'title=[1': "),
    ],
)
def test_mistyped_overrides_are_answered_with_the_nearest(override: str, expected: str) -> None:
    assert expected in refusal(override)


def test_base_is_no_option_to_offer() -> None:
    assert "base" not in refusal("data=zzz").replace("baseline", "")


@pytest.mark.parametrize("override", ["debug=null", "experiment=null"])
def test_null_for_a_group_is_answered_too(override: str) -> None:
    assert override.partition("=")[0] in refusal(override)


def test_missing_values_are_asked_for() -> None:
    assert refusal("input=x", command="predict") == "ckpt= is needed: sightseq predict ckpt=..."
    assert refusal(command="test") == "ckpt= is needed: sightseq test ckpt=..."


def test_keys_after_the_first_mistake_still_work() -> None:
    refusal("sed=3")
    assert compose("seed=3")["seed"] == 3


@pytest.mark.parametrize(
    "path",
    [
        "a b/c.png",
        "a=b",
        "it's",
        'say "cheese"',
        "1,2,3",
        "(a) [b] {c}",
        "photos/*.jpg",
        "50%: half; #1 & more",
        "ünï/文字.png",
        "it\\'s",
        "folder\\",
        "/plain/path-1.ckpt",
    ],
)
@pytest.mark.parametrize("key", ["ckpt", "data.path"])
def test_any_path_survives_hydras_grammar(key: str, path: str) -> None:
    override = OverridesParser.create().parse_override(quote_path(f"{key}={path}"))
    assert override.key_or_group == key
    assert override.value() == path
    assert not override.is_sweep_override()


def test_path_is_composed_as_it_was_typed() -> None:
    path = "my photos/a=b, 'c' \"d\".png"
    assert compose(f"input={path}", "ckpt=x y", command="predict")["input"] == path


@pytest.mark.parametrize("path", ["C:\\photos", "a\\\\b", "${seed}"])
def test_strangest_paths(path: str) -> None:
    assert compose(f"input={path}", "ckpt=x", command="predict")["input"] == path


@pytest.mark.parametrize(
    "argument", ["seed=1,2", "resume=auto", "resume=null", "ckpt=", "ckpt='a b'", 'ckpt="a"', "-m", "--help", "ckpt"]
)
def test_what_is_left_as_it_is(argument: str) -> None:
    assert quote_path(argument) == argument


def test_all_path_keys_are_quoted() -> None:
    assert [quote_path(f"{key}=a b") for key in PATHS] == [f"{key}='a b'" for key in PATHS]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["a.png"], "a.png"),
        (["a b's.png", "-", "ünï.png"], ["a b's.png", "-", "ünï.png"]),
        (["input=a.png", "b.png"], ["a.png", "b.png"]),
        (["b.png", "input=a.png"], ["a.png", "b.png"]),
        (["input=[a.png,b c.png]"], ["a.png", "b c.png"]),
        (["input=['a, b.png',\"c.png\"]"], ["a, b.png", "c.png"]),
        (["input=['a.png']"], "a.png"),
        (["input=[here=is.png]"], "here=is.png"),
        (["here=is.png"], "here=is.png"),
        (["Is 1 + 1 = 2?"], "Is 1 + 1 = 2?"),
        (["input=[a text in brackets]"], "[a text in brackets]"),
        (["input=[it's, well, a text]"], "[it's, well, a text]"),
        (["input=photos/*.jpg"], "photos/*.jpg"),
        (["${seed}", "\\"], ["${seed}", "\\"]),
        (["'quoted'"], "'quoted'"),
        (["input=[~/a.png,b.png]"], [str(Path.home() / "a.png"), "b.png"]),
    ],
)
def test_inputs_of_predict(typed: list[str], expected: Any) -> None:
    Path("here=is.png").touch()
    assert compose("ckpt=x", *typed, "format=jsonl", command="predict")["input"] == expected


@pytest.mark.parametrize("typed", ["input=", ""])
def test_empty_input_is_refused(typed: str) -> None:
    assert refusal("ckpt=x", typed, command="predict") == "input= is empty; name files, or write a text"


def test_flags_are_no_inputs() -> None:
    rest, inputs = split_inputs(["--cfg", "job", "ckpt=x", "-h", "~seed", "a.png"])
    assert rest == ["--cfg", "job", "ckpt=x", "-h", "~seed"]
    assert inputs == ["'a.png'"]


def test_predict_takes_options_that_no_file_holds() -> None:
    config = compose("ckpt=x", "input=x", "top=2", "+stop=[a,b]", command="predict")
    assert (config["top"], config["stop"]) == (2, ["a", "b"])
    assert "sightseq test takes data.KEY=" in refusal("ckpt=x", "data.root=x", "x", command="predict")
    assert "cannot read 'top=[1': " in refusal("ckpt=x", "top=[1", "x", command="predict")


def test_swept_keys() -> None:
    arguments = ["-m", "seed=1,2", "optimizer=sgd,adam", "trainer.max_epochs=3", "model.optimizer.lr=range(1,4)"]
    assert swept_keys(arguments) == {"seed", "optimizer", "model.optimizer.lr"}
    assert swept_keys(["-m", "model.net.channels=[1,2]", "title='a,b'", "+x=choice(1,2)"]) == {"x"}


def test_known_keys_hold_groups_and_dotted_keys() -> None:
    keys = known_keys("train")
    assert {"optimizer", "model/net", "seed", "trainer.max_epochs", "model.optimizer.lr", "data.batch_size"} <= keys
    assert "ckpt" in known_keys("predict")
    assert "ckpt" not in keys
