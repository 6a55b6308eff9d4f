"""Composing a config, and the error messages for overrides that cannot be composed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal import hydra as hydra_internals
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

import sightseq
from sightseq.arguments import PATHS, quote, split_inputs
from sightseq.composition import compose, swept_keys
from sightseq.core.errors import ConfigError
from sightseq.core.places import experiments, group_options
from sightseq.mistakes import known_keys
from tests.conftest import composed


def bricks(value: Any, key: str = "") -> dict[str, str]:
    """All `_target_`s below a value, by their dotted key."""
    if not isinstance(value, dict):
        return {}
    here = {key: value["_target_"]} if "_target_" in value else {}
    return here | {k: v for name, inner in value.items() for k, v in bricks(inner, f"{key}.{name}").items()}


def refusal(*overrides: str, command: str = "train") -> str:
    with pytest.raises(ConfigError) as caught:
        compose(*overrides, command=command)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("experiment", sorted(experiments()))
def test_every_experiment_composes(experiment: str) -> None:
    config = composed(f"experiment={experiment}")
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
    assert "betas" not in config["model"]["optimizer"]  # a setting of adamw, which was replaced
    assert config["model"]["scheduler"]["max_lr"] == 0.25


def test_options_of_a_group_replace_each_other() -> None:
    assert "augment" not in compose("augment=none")["model"]
    assert set(compose("augment=flip_shift")["model"]["augment"]) == {"flip", "shift"}
    assert compose("scheduler=none")["model"]["scheduler"] is None


def test_noise_is_chosen_by_the_data_and_can_be_exchanged() -> None:
    assert "noise" not in compose("data=mnist")["data"]
    gaussian = "sightseq.vision.noise.Gaussian"
    assert compose("data=bsd")["data"]["noise"] == {"gaussian": {"_target_": gaussian, "sigma": 25}}
    assert compose("data=mnist_denoising")["data"]["noise"]["gaussian"]["sigma"] == 127.5
    assert list(compose("data=bsd", "noise=camera")["data"]["noise"]) == ["poisson", "gaussian", "jpeg"]
    assert compose("data=bsd", "data.noise.gaussian.sigma=[0,55]")["data"]["noise"]["gaussian"]["sigma"] == [0, 55]
    assert compose("ckpt=x", "noise=poisson", command="test")["data"] == {
        "noise": compose("noise=poisson")["data"]["noise"]
    }
    assert compose("ckpt=x", "data=photos", command="test")["data"]["noise"]["gaussian"]["_target_"] == gaussian
    assert "noise" not in compose("data=denoising_pairs")["data"]


def test_debug_options_compose() -> None:
    for option in group_options("debug"):
        assert compose(f"debug={option}")["experiment"] == "digits"
    assert compose("debug=synthetic")["data"]["synthetic"] is True


def test_composing_leaves_hydra_as_it_was() -> None:
    plugins = Plugins.instance().discover()
    for _ in range(2):
        compose()
    assert Plugins.instance().discover() == plugins  # no call registers a plugin
    assert hydra_internals.ConfigLoaderImpl is ConfigLoaderImpl  # type: ignore[attr-defined]


def test_public_function_is_the_same() -> None:
    assert sightseq.compose("seed=3") == compose("seed=3")


MINE = """# @package _global_
defaults:
  - override /scheduler: one_cycle
  - override /augment: flip_shift

title: Mine
data: {batch_size: 7, extra: 1}
model:
  label_smoothing: 0.3
  net: {channels: [1]}
  augment: {shift: {pixels: 9}}
  optimizer: {lr: 0.123, amsgrad: true}
  scheduler: {pct_start: 0.9}
trainer: {max_epochs: 3, precision: 64}
callbacks: {last: {minutes: 1}}
"""


@pytest.fixture
def own_experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text(MINE)
    (folder / "experiment" / "child.yaml").write_text(
        "# @package _global_\ndefaults:\n  - mine\n  - override /optimizer: adam\n\nmodel: {optimizer: {lr: 0.5}}\n"
    )
    monkeypatch.setattr("sightseq.bricks.extension_folders", lambda: [folder])
    monkeypatch.setattr("sightseq.core.places.extension_folders", lambda: [folder])


@pytest.mark.usefixtures("own_experiments")
def test_settings_of_an_experiment_are_dropped_with_their_brick() -> None:
    mine = compose("experiment=mine")
    assert mine["model"]["optimizer"] | {"lr": 0.123, "amsgrad": True, "fused": True} == mine["model"]["optimizer"]
    for again in ("optimizer=adamw", "data=digits", "callbacks=[default]", "model/net=image/convnet"):
        assert compose("experiment=mine", again) == mine
    sgd = compose("experiment=mine", "optimizer=sgd", "seed=3")["model"]
    assert sgd["optimizer"] == compose("optimizer=sgd")["model"]["optimizer"]
    assert sgd["scheduler"]["pct_start"] == 0.9
    assert compose("experiment=mine", "optimizer=sgd", "model.optimizer.lr=0.2")["model"]["optimizer"]["lr"] == 0.2
    data = compose("experiment=mine", "data=mnist")["data"]
    assert data == compose("data=mnist")["data"]
    tuned = compose("experiment=mine", "model=fine_tuning")["model"]
    assert tuned["label_smoothing"] == 0.1
    assert all(tuned[part] == mine["model"][part] for part in ("net", "optimizer", "scheduler", "augment"))
    assert compose("experiment=mine", "scheduler=none")["model"]["scheduler"] is None
    assert "augment" not in compose("experiment=mine", "augment=none")["model"]
    assert compose("experiment=mine", "callbacks=[default,ema]")["callbacks"]["last"]["minutes"] == 5


@pytest.mark.usefixtures("own_experiments")
def test_inherited_settings_are_dropped_too_and_those_of_debug_stay() -> None:
    assert compose("experiment=child")["model"]["optimizer"]["lr"] == 0.5
    assert compose("experiment=child", "optimizer=sgd")["model"]["optimizer"]["lr"] == 0.05
    assert compose("experiment=child", "data=mnist")["data"]["batch_size"] == 128
    quick = compose("experiment=mine", "data=mnist", "debug=synthetic")
    assert quick["trainer"]["max_epochs"] == 2
    assert quick["data"]["synthetic"] is True
    assert compose("experiment=mine", "debug=overfit")["model"]["scheduler"] is None  # debug replaces the scheduler


@pytest.mark.usefixtures("own_experiments")
def test_a_dropped_setting_cannot_be_overridden() -> None:
    assert compose("experiment=mine", "model.optimizer.amsgrad=false")["model"]["optimizer"]["amsgrad"] is False
    assert "no key or group 'model.optimizer.amsgrad'" in refusal(
        "experiment=mine", "optimizer=sgd", "model.optimizer.amsgrad=false"
    )


def test_settings_of_published_experiments_are_dropped() -> None:
    assert compose("experiment=tiny_shakespeare")["model"]["optimizer"]["lr"] == 0.004
    assert compose("experiment=tiny_shakespeare", "optimizer=sgd")["model"]["optimizer"]["lr"] == 0.05
    assert compose("experiment=imdb", "data=text_csv")["data"]["vocab_size"] == 10000


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "experiment=digit",
            "experiment=digit: there is no such option; did you mean digits or digit_rows or digit_lines?",
        ),
        ("optimizer=adamm", "optimizer=adamm: there is no such option; did you mean adam"),
        ("model/net=convnet", "model/net=convnet: there is no such option; did you mean image/convnet"),
        ("model/net=image/convnt", "model/net=image/convnt: there is no such option; did you mean image/convnet"),
        ("noise=poison", "noise=poison: there is no such option; did you mean poisson"),
        ("~noise", "~noise: a run needs this; to disable it, write noise=none"),
        ("data=bas", "data=bas: there is no such option; "),
        ("optimiser=sgd", "there is no key or group 'optimiser'; did you mean optimizer"),
        ("trainer.max_epoch=3", "there is no key or group 'trainer.max_epoch'; did you mean trainer.max_epochs"),
        ("sed=3", "there is no key or group 'sed'; did you mean seed"),
        ("lr=3", "there is no key or group 'lr'; did you mean model.optimizer.lr?"),
        ("~no_such", "no_such"),
        ("seed", "cannot read 'seed': write key=value"),
        ("title=é, b", "cannot read 'title=é, b': write key=value, and quote"),
        ("title=[1", "cannot read 'title=[1': "),
        ("callbacks.best.foo=a", "? To add it, write +callbacks.best.foo=a"),
        ("+data.synthetic=true", "data.synthetic exists already: write data.synthetic=true, without +"),
        ("+optimizer=sgd", "optimizer exists already: write optimizer=sgd, without +"),
        ("seed=1,2", "seed=1,2: to run each value add -m; for one list write seed=[1,2]"),
        ("seed=range(1,3)", "seed=range(1,3): to run each value add -m"),
        ("trainer=3", "trainer=3: a group takes the name of an option"),
        ("hydra/sweeper=ax", "(its package may be hydra-ax-sweeper); available: basic, optuna"),
        ("~logger", "~logger: a run needs this; to disable it, write logger=[]"),
        ("~scheduler", "~scheduler: a run needs this; to disable it, write scheduler=none"),
        ("~trainer", "~trainer: a run needs this; choose another option with trainer=OPTION"),
        ("~seed", "~seed: a run needs this; change it with seed=VALUE"),
        ("~optimzer", "there is no key or group 'optimzer'; did you mean optimizer"),
        ("~data.rot", "there is no key or group 'data.rot'; did you mean data.root"),
        ("run_test=no", "run_test=no: must be true, false or auto"),
        ("run_test=off", "run_test=off: must be true, false or auto"),
        ("run_test=1", "run_test=1: must be true, false or auto"),
        ("run_test=null", "run_test=None: must be true, false or auto"),
        ("seed=-1", "seed=-1: must be a whole number from 0 to 4294967295"),
        ("seed=4294967296", "seed=4294967296: must be a whole number"),
        ("seed=1.5", "seed=1.5: must be a whole number"),
        ("seed=true", "seed=True: must be a whole number"),
        (
            "name=../../x",
            "name=../../x: must be a text without / and .., because it ends the name of the run directory",
        ),
        ("name=a b/c", "name=a b/c: "),
        ("name=..", "name=..: "),
        ("init_from=", "init_from= is empty"),
        ("paths.runs=", "paths.runs= is empty"),
    ],
)
def test_mistyped_overrides_suggest_the_nearest(override: str, expected: str) -> None:
    assert expected in refusal(override)


def test_base_is_not_suggested_as_an_option() -> None:
    assert "base" not in refusal("data=zzz").replace("baseline", "")


@pytest.mark.parametrize("override", ["debug=null", "experiment=null"])
def test_null_for_a_group_is_refused(override: str) -> None:
    assert override.partition("=")[0] in refusal(override)


def test_keys_of_the_chosen_options_are_suggested() -> None:
    assert "did you mean model.net.hidden " in refusal("experiment=ptb", "model.net.hiden=[1]")
    answer = refusal("experiment=mnist", "callbacks=default", "callbacks.best.monitor=val/loss")
    assert "did you mean callbacks.best " in answer
    assert answer.endswith("To add it, write +callbacks.best.monitor=val/loss")


@pytest.mark.parametrize("override", ["debug=synthetic", "experiment=mnist"])
@pytest.mark.parametrize("command", ["test", "predict", "export"])
def test_commands_that_take_a_group_are_named(command: str, override: str) -> None:
    group = override.partition("=")[0]
    takers = "bench, data, eject, explain, show, train"
    expected = f"sightseq {command} takes no {group}=; these commands do: {takers}"
    assert refusal("ckpt=x", override, command=command) == expected


def test_optional_parts_can_be_deleted() -> None:
    assert "augment" not in compose("~augment")["model"]
    assert "deterministic" not in compose("~trainer.deterministic")["trainer"]
    assert refusal("~trainer.profiler") == "~trainer.profiler: its value is null, which Hydra cannot delete"
    assert "title= is required" in refusal("~experiment")


def test_empty_paths() -> None:
    assert "data.path= is empty: name a file or folder" in refusal("experiment=text_csv", "data.path=")
    assert "paths.runs= is empty: name a file or folder" in refusal("paths.runs=null")
    assert "input= is empty" in refusal("ckpt=x", "input=", command="predict")
    assert "ckpt= is empty" in refusal("ckpt=", command="test")


@pytest.mark.parametrize(("typed", "value"), [("true", True), ("False", False), ("auto", "auto")])
def test_values_of_run_test(typed: str, value: bool | str) -> None:
    assert compose(f"run_test={typed}")["run_test"] is value or value == "auto"


@pytest.mark.parametrize("name", ["2e5", "007", "true", "a b", "it's", "Ünï", "v1.5", "50%: half"])
def test_a_name_is_used_literally(name: str) -> None:
    assert compose(f"name={name}")["name"] == name


def test_a_name_may_be_null_quoted_or_interpolated() -> None:
    assert compose("name=null")["name"] is None
    assert compose("name='x y'")["name"] == "x y"
    assert compose("name=run-${seed}")["name"] == "run-1"


@pytest.mark.parametrize("title", ["Отзыв", "Ünï", "it's", "a=b", "日本語 text", "what? no!", 'say "cheese"', "# 1"])
def test_values_in_other_scripts_and_with_symbols_are_quoted(title: str) -> None:
    assert compose(f"title={title}")["title"] == title
    assert compose(f"+data.more={title}")["data"]["more"] == title


@pytest.mark.parametrize(
    "argument",
    [
        "seed=1,2",
        "title=é,b",
        "title=[é]",
        "x={a: é}",
        "model.optimizer.lr=interval(0.1, 1)",
        "x=choice(é)",
        "x=${seed}",
        "x=a b",
        "x='é'",
        "lr=1e-3",
        "~x=é",
        "-m",
        "é=1",
    ],
)
def test_only_plain_text_is_quoted(argument: str) -> None:
    assert quote(argument) == argument


def test_missing_values_are_reported() -> None:
    assert refusal("input=x", command="predict") == "ckpt= is required: sightseq predict ckpt=..."
    assert refusal(command="test") == "ckpt= is required: sightseq test ckpt=..."


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
    override = OverridesParser.create().parse_override(quote(f"{key}={path}"))
    assert override.key_or_group == key
    assert override.value() == path
    assert not override.is_sweep_override()


def test_path_is_used_literally() -> None:
    path = "my photos/a=b, 'c' \"d\".png"
    assert compose(f"input={path}", "ckpt=x y", command="predict")["input"] == path


@pytest.mark.parametrize("path", ["C:\\photos", "a\\\\b", "${seed}"])
def test_unusual_paths(path: str) -> None:
    assert compose(f"input={path}", "ckpt=x", command="predict")["input"] == path


@pytest.mark.parametrize(
    "argument", ["seed=1,2", "resume=auto", "resume=null", "ckpt=", "ckpt='a b'", 'ckpt="a"', "-m", "--help", "ckpt"]
)
def test_arguments_that_are_not_quoted(argument: str) -> None:
    assert quote(argument) == argument


def test_all_path_keys_are_quoted() -> None:
    assert [quote(f"{key}=a b") for key in PATHS] == [f"{key}='a b'" for key in PATHS]


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


def test_flags_are_not_inputs() -> None:
    remaining, inputs = split_inputs(["--cfg", "job", "ckpt=x", "-h", "~seed", "a.png"])
    assert remaining == ["--cfg", "job", "++ckpt='x'", "-h", "~seed"]
    assert inputs == ["'a.png'"]


def test_predict_takes_options_that_are_in_no_config_file() -> None:
    config = compose("ckpt=x", "input=x", "top=2", "+stop=[a,b]", command="predict")
    assert (config["top"], config["stop"]) == (2, ["a", "b"])
    assert "sightseq test takes data.KEY=" in refusal("ckpt=x", "data.root=x", "x", command="predict")
    assert "cannot read 'top=[1': " in refusal("ckpt=x", "top=[1", "x", command="predict")


def test_swept_keys() -> None:
    def swept(arguments: list[str], job: list[str], **sweeper: Any) -> set[str]:
        return swept_keys(arguments, OmegaConf.create({"overrides": {"task": job}, "sweeper": sweeper}))

    arguments = ["-m", "seed=1,2", "optimizer=sgd,adam", "trainer.max_epochs=3", "model.optimizer.lr=range(1,4)"]
    job = ["seed=1", "optimizer=sgd", "trainer.max_epochs=3", "model.optimizer.lr=1"]
    assert swept(arguments, job) == {"seed", "optimizer", "model.optimizer.lr"}
    arguments = ["-m", "model.net.channels=[1,2]", "title='a,b'", "+x=choice(1,2)"]
    assert swept(arguments, ["model.net.channels=[1,2]", "title='a,b'", "+x=1"]) == {"x"}
    params = {"optimizer": "adam,sgd", "seed": "1,2", "trainer.max_epochs": 3, "+y": "choice(1,2)"}
    job = ["optimizer=adam", "seed=1", "trainer.max_epochs=3", "+y=1"]
    assert swept(["-m"], job, params=params) == {"optimizer", "seed", "y"}
    assert swept(["-m", "optimizer=adam"], job, params=params) == {"seed", "y"}  # the command line has priority
    assert swept(["-m", "seed=1,2"], ["lr=0.1", "seed=1"], space={"lr": [0, 1]}) == {"lr", "seed"}  # any sweeper


def test_known_keys_contain_groups_and_dotted_keys() -> None:
    keys = known_keys("train")
    assert {"optimizer", "model/net", "seed", "trainer.max_epochs", "model.optimizer.lr", "data.batch_size"} <= keys
    assert "ckpt" in known_keys("predict")
    assert "ckpt" not in keys


@pytest.mark.parametrize("command", ["train", "predict"])
def test_trust_takes_one_package_too(command: str) -> None:
    needed = [] if command == "train" else ["ckpt=x", "input=y"]
    assert compose(*needed, "trust=mynet", command=command)["trust"] == ["mynet"]
    assert compose(*needed, "trust=[mynet,other]", command=command)["trust"] == ["mynet", "other"]


def test_an_interpolation_may_use_the_name_of_the_experiment() -> None:
    config = compose("experiment=image/mnist", "logger=wandb", "logger.wandb.group=${experiment}")
    assert config["logger"]["wandb"]["group"] == config["experiment"] == "mnist"
    assert next(iter(config)) == "experiment"
