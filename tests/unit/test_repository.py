"""Reading config files: the same as Hydra and OmegaConf read, again if a file has changed."""

from pathlib import Path

import pytest
import yaml
from hydra.plugins.config_source import ConfigLoadError
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader

from sightseq.composition import compose
from sightseq.core.errors import ConfigError
from sightseq.core.places import conf_folder
from sightseq.repository import YAML_LOADER, Files


def test_all_config_files_are_read_as_omegaconf_reads_them() -> None:
    texts = [file.read_text(encoding="utf-8") for file in conf_folder().rglob("*.yaml")]
    python = get_yaml_loader()
    assert len(texts) > 100
    assert all(yaml.load(text, Loader=YAML_LOADER) == yaml.load(text, Loader=python) for text in texts)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("2026-11-28", "2026-11-28"), ("[.inf, null]", [float("inf"), None])]
)
def test_values_are_those_of_omegaconf(text: str, value: object) -> None:
    """YAML 1.1 reads the first as text, and the second as a date."""
    assert yaml.load(text, Loader=YAML_LOADER) == value


def source() -> Files:
    return Files("test", f"file://{Path.cwd()}")


def test_a_changed_file_is_read_again() -> None:
    Path("x.yaml").write_text("# @package model\na: 1\n")
    first = source().load_config("x")
    first.config.a = 5  # Hydra changes what it gets
    assert first.header == {"package": "model"}
    assert source().load_config("x").config == {"a": 1}
    Path("x.yaml").write_text("a: 22\n")
    second = source().load_config("x")
    assert (second.config, second.header) == ({"a": 22}, {"package": None})
    Path("x.yaml").unlink()
    with pytest.raises(ConfigLoadError):
        source().load_config("x")


def test_an_empty_file_has_no_keys() -> None:
    Path("x.yaml").write_text("# nothing\n")
    assert source().load_config("x").config == OmegaConf.create()


@pytest.mark.parametrize("text", [b"a: [1", b"a: 1\na: 2", b"\xff"])
def test_a_file_that_is_not_yaml_is_named(text: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sightseq.bricks.extension_folders", lambda: [tmp_path])
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "default.yaml").write_bytes(text)
    with pytest.raises(ConfigError, match=r"local/default\.yaml cannot be read as YAML: ") as caught:
        compose()
    assert "\n" not in str(caught.value)
