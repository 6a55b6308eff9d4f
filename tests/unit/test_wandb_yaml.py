"""The YAML of a W&B sweep."""

from pathlib import Path

import pytest

from sightseq.core.errors import ConfigError
from sightseq.sweep.wandb_yaml import wandb_sweep

FIXED = ("experiment=digits", "data.synthetic=true")


def test_each_kind_of_sweep_becomes_a_parameter() -> None:
    sweep = wandb_sweep(
        [
            *FIXED,
            "optimizer=adamw,sgd",
            "model.optimizer.lr=tag(log,interval(1e-4,1e-1))",
            "model.label_smoothing=interval(0,0.5)",
            "data.batch_size=tag(log,int(interval(16,64)))",
            "seed=int(interval(1,9))",
            "trainer.max_epochs=range(2,7,2)",
        ]
    )
    assert sweep["parameters"] == {
        "optimizer": {"values": ["adamw", "sgd"]},
        "model.optimizer.lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1},
        "model.label_smoothing": {"distribution": "uniform", "min": 0.0, "max": 0.5},
        "data.batch_size": {"distribution": "q_log_uniform_values", "q": 1, "min": 16, "max": 64},
        "seed": {"distribution": "int_uniform", "min": 1, "max": 9},
        "trainer.max_epochs": {"values": [2, 4, 6]},
    }
    assert (sweep["method"], sweep["project"]) == ("bayes", "sightseq")
    assert sweep["metric"] == {"name": "best/val/accuracy", "goal": "maximize"}
    assert sweep["command"] == [
        *("${env}", "sightseq", "train", *FIXED),
        *("logger=wandb", "run_test=false", "${args_no_hyphens}"),
    ]


def test_a_sweep_over_seeds_is_a_grid_and_reads_the_test_data() -> None:
    sweep = wandb_sweep([*FIXED, "-m", "seed=1,2", "logger=[wandb,csv]", "trainer.gradient_clip_val=null"])
    assert sweep["method"] == "grid"
    assert sweep["command"][3:-1] == [*FIXED, "logger=[wandb,csv]", "trainer.gradient_clip_val=null"]


def test_the_search_space_may_be_in_a_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightseq.bricks.extension_folders", lambda: [tmp_path])
    (tmp_path / "sweep").mkdir()
    text = "# @package hydra.sweeper.params\noptimizer: adamw,sgd\ntrainer.gradient_clip_val: null,1.0\n"
    (tmp_path / "sweep" / "mine.yaml").write_text(text)
    sweep = wandb_sweep([*FIXED, "sweep=mine", "optimizer=sgd,adam"])
    assert sweep["parameters"] == {
        "trainer.gradient_clip_val": {"values": ["null", 1.0]},
        "optimizer": {"values": ["sgd", "adam"]},
    }
    assert "sweep=mine" not in sweep["command"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optimizer=sgd"], "no argument has several values"),
        (["optimizer=sgd,adamw", "logger=csv"], "must log to W&B"),
        (["optimizer=glob(*)"], "W&B knows no patterns"),
        (["optimizer=sgd,adamv"], "optimizer=adamv: there is no such option"),
        (["model.optimizer.lr=1,2", "modl.x=3"], "there is no key"),
        (["--cfg", "job"], "not --cfg"),
    ],
)
def test_mistakes(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wandb_sweep([*FIXED, *arguments])


def test_the_search_space_of_an_option_of_sweep() -> None:
    sweep = wandb_sweep([*FIXED, "sweep=learning_rate"])
    assert sweep["parameters"]["model.optimizer.lr"]["distribution"] == "log_uniform_values"
    assert (sweep["method"], sweep["command"][3:5]) == ("bayes", list(FIXED))
