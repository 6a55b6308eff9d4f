"""Locations of configs: a checkout, a wheel, and installed extensions, which are not imported."""

import sys
from pathlib import Path

import pytest

from sightseq.composition import compose
from sightseq.core import places
from sightseq.core.errors import ConfigError

PLAIN = "torch.nn.Flatten"


@pytest.fixture
def extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config file of an installed package `ext_of_mine`; importing the package would raise."""
    site = tmp_path / "site"
    file = site / "ext_of_mine" / "conf" / "model" / "net" / "image" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package model.net\n_target_: {PLAIN}\n")
    (site / "ext_of_mine" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    info = site / "ext_of_mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ext-of-mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sightseq.conf]\nmine = ext_of_mine.conf\ngone = not_installed.conf\n")
    monkeypatch.syspath_prepend(site)
    return file


def test_conf_of_a_checkout_and_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "src" / "sightseq" / "core" / "places.py"
    monkeypatch.setattr(places, "__file__", str(module))
    assert places.conf_folder() == tmp_path / "conf"
    (tmp_path / "src" / "sightseq" / "conf").mkdir(parents=True)
    assert places.conf_folder() == tmp_path / "src" / "sightseq" / "conf"


def test_own_conf_exists() -> None:
    assert (places.conf_folder() / "train.yaml").is_file()


def test_options_may_be_in_folders_and_base_is_not_an_option() -> None:
    nets = places.group_options("model/net")
    assert nets["image/convnet"] == places.conf_folder() / "model" / "net" / "image" / "convnet.yaml"
    data = places.group_options("data")
    assert {"digits", "mnist", "fashion_mnist", "image_folder"} <= set(data)
    assert "base" not in data
    assert places.group_options("no_such_group") == {}
    assert all("/" not in option for option in places.group_options("model"))  # model/net is a separate group


def test_groups_of_commands() -> None:
    train = places.groups_of("train")
    assert train >= {"data", "model", "model/net", "experiment", "debug", "paths", "hydra/job_logging", "local"}
    assert places.groups_of("bench") == train
    assert places.groups_of("predict") == {"paths", "hydra/job_logging", "hydra/hydra_logging"}
    assert places.groups_of("test") == {"noise", "data", "trainer", *places.groups_of("predict")}


def test_groups() -> None:
    assert {"data", "model", "model/net", "model/net/image", "optimizer", "debug"} <= places.groups()


def test_package_of_a_group() -> None:
    known = ["data", "model", "model/net", "optimizer", "scheduler", "augment", "debug"]
    packages = [places.group_package(group) for group in known]
    assert packages == ["data", "model", "model.net", "model.optimizer", "model.scheduler", "model.augment", "_global_"]
    assert places.group_package("optimizer@model.generator") == "model.generator"


def test_extensions_are_found_without_importing_them(extension: Path) -> None:
    assert places.extension_folders() == [extension.parents[3]]
    assert {"ext_of_mine", "not_installed"} <= places.extension_packages()
    assert places.group_options("model/net")["image/mine"] == extension
    assert "ext_of_mine" not in sys.modules


def test_composition_sees_options_of_extensions(extension: Path) -> None:
    assert compose("model/net=image/mine")["model"]["net"] == {"_target_": PLAIN}


def test_without_extensions_their_options_are_unknown() -> None:
    with pytest.raises(ConfigError, match="model/net=image/mine: there is no such option"):
        compose("model/net=image/mine")
