"""`sightseq list`: one row per experiment, and whether its data is on this machine."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightseq import catalogue
from sightseq.catalogue import describe, print_catalogue, recorded
from sightseq.core.errors import ConfigError
from sightseq.core.places import conf_folder, experiments, group_options


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    print_catalogue(["format=json"])
    return {row["experiment"]: row for row in json.loads(capsys.readouterr().out)}


def experiment(**defaults: str) -> Path:
    """An experiment file with these bricks in its defaults list."""
    file = Path("mine.yaml").absolute()
    named = [{f"override /{group.replace('__', '/')}": option} for group, option in defaults.items()]
    file.write_text(yaml.safe_dump({"defaults": named, "title": "Mine"}))
    return file


def test_a_row_for_each_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys)
    assert set(found) == set(experiments())
    assert all(row["title"] and row["data"] in group_options("data") for row in found.values())
    assert found["digits"]["title"].startswith("Handwritten digits")
    assert found["digits"]["data"] == "digits"
    assert all(row["network"] in group_options("model/net") for row in found.values())
    assert found["digits"]["downloads"] is False
    child = found["fer2013_long"]  # inherits from fer2013
    assert (child["data"], child["network"]) == ("fer2013", "image/vgg_small")
    classes = (child["task"], child["datamodule"], child["architecture"])
    assert classes == ("ImageClassificationTask", "FER2013", "ConvNet")
    assert found["cats_dogs_transfer"]["architecture"] == "mobilenet_v2"


def test_table_names_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    print_catalogue([])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(experiments())
    assert lines[0].split("  ")[0].strip() == "project"
    assert any("Handwritten digits" in line and " image/" in line for line in lines)


def test_data_is_here_if_one_of_its_folders_exists(tmp_path: Path) -> None:
    file = experiment(data="mnist", model__net="image/resnet")
    options = {group: group_options(group) for group in catalogue.GROUPS}
    before = describe("mine", file, options, {})
    assert before["here"] is False
    assert before["downloads"] is True
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / ".train-images-idx3-ubyte.gz.part7").touch()
    assert describe("mine", file, options, {}) == before  # the remains of a failed download
    (folder / "train-images-idx3-ubyte.gz").touch()
    after = describe("mine", file, options, {})
    assert after == {**before, "here": True}
    assert after == {
        "experiment": "mine",
        "title": "Mine",
        "data": "mnist",
        "network": "image/resnet",
        "task": "ImageClassificationTask",
        "datamodule": "MNIST",
        "architecture": "ResNet",
        "licence": "CC BY-SA 3.0",
        "folders": ["mnist", "MNIST/raw", "MNIST", "mnist/MNIST/raw"],
        "here": True,
        "downloads": True,
        "result": None,
    }


def test_digits_are_always_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert rows(capsys)["digits"]["here"] is True


def test_recorded_result_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "conf_folder", lambda: tmp_path)
    assert recorded() == {}
    (tmp_path / "train.yaml").touch()
    (tmp_path / "results.json").write_text(json.dumps({"mine": {"summary": "test accuracy 98.8 %"}, "other": {}}))
    records = recorded()
    results = [describe(name, experiment(), {}, records)["result"] for name in ("mine", "other", "none")]
    assert results == ["test accuracy 98.8 %", None, None]


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    print_catalogue(["--help"])
    assert "sightseq list format=json" in capsys.readouterr().out


def test_other_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="takes no format=yaml"):
        print_catalogue(["format=yaml"])


def test_every_dataset_has_a_class_and_checksums_of_its_downloads() -> None:
    for name, file in group_options("data").items():
        data = catalogue.read(file)
        assert data["_target_"].startswith("sightseq.data."), name
        for sha256 in data.get("files", {}).values():
            assert len(sha256) == 64, name
        assert ("url" in data) == ("files" in data), name
    assert (conf_folder() / "data" / "base.yaml").is_file()
