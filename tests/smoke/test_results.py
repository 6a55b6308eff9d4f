"""RESULTS.md and README.md contain what the script writes from the recorded runs."""

import json
import runpy
from pathlib import Path

import pytest
import yaml

import sightseq

pytestmark = pytest.mark.usefixtures("no_report")
REPOSITORY = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(REPOSITORY / "scripts" / "record.py"))
RECORDS = json.loads((REPOSITORY / "conf" / "results.json").read_text())


def trained(*overrides: str) -> Path:
    """A run on synthetic data whose results claim real data, because the script refuses synthetic data."""
    folder = Path(sightseq.train(sightseq.compose(*overrides) | {"run_test": True})["folder"])
    results = json.loads((folder / "results.json").read_text())
    results["data"]["synthetic"] = False
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_results_md_and_readme_are_up_to_date() -> None:
    assert (REPOSITORY / "RESULTS.md").read_text() == SCRIPT["page"](RECORDS)
    assert SCRIPT["projects"]() in (REPOSITORY / "README.md").read_text()


def test_runs_of_one_config_are_averaged_and_others_refused(tmp_path: Path) -> None:
    folders = []
    for overrides in (["seed=1"], ["seed=2"], ["seed=3", "model.net.channels=[4]"]):
        folders.append(trained(*overrides, "model/net=image/convnet", "trainer.max_epochs=1", "data.synthetic=true"))
    name, found = SCRIPT["record"](folders[:2], "a note")
    assert name == "digits"
    assert found["seeds"] == [1, 2]
    accuracies = [json.loads((folder / "results.json").read_text())["test"]["accuracy"] for folder in folders[:2]]
    assert found["scores"]["test/accuracy"][0] == pytest.approx(sum(accuracies) / 2)
    assert "a note" in SCRIPT["page"]({name: found})
    assert found["verdicts"] == []  # this task makes no comparison
    for folder, verdict in zip(folders, ("better", "worse"), strict=False):
        results = json.loads((folder / "results.json").read_text()) | {"comparison": {"summary": verdict}}
        (folder / "results.json").write_text(json.dumps(results))
    page = SCRIPT["page"]({name: SCRIPT["record"](folders[1::-1], None)[1]})
    assert "- seed 1: better\n- seed 2: worse\n" in page
    with pytest.raises(SystemExit, match="not of one config"):
        SCRIPT["record"](folders, None)
    results = json.loads((folders[0] / "results.json").read_text())
    results["baselines"]["SVM"] = {"error": "ValueError: one class"}
    (folders[0] / "results.json").write_text(json.dumps(results))
    assert list(SCRIPT["record"](folders[:2], None)[1]["baselines"]) == ["majority"]
    results["data"]["synthetic"] = True
    (folders[0] / "results.json").write_text(json.dumps(results))
    with pytest.raises(SystemExit, match="synthetic data"):
        SCRIPT["record"](folders[:2], None)


def test_folds_are_averaged() -> None:
    folders = []
    for fold in (1, 0):
        overrides = [
            "data=image_folder",
            "data.synthetic=true",
            "data.image_size=8",
            "data.folds=2",
            f"data.fold={fold}",
        ]
        folders.append(trained(*overrides, "model/net=image/convnet", "augment=none", "trainer.max_epochs=1"))
    name, found = SCRIPT["record"](folders, None)
    assert found["folds"] == [0, 1]
    assert found["seeds"] == [1]
    majority = [json.loads((f / "results.json").read_text())["baselines"]["majority"]["test"] for f in folders]
    mean, _ = found["baselines"]["majority"]["accuracy"]
    assert mean == pytest.approx(sum(scores["accuracy"] for scores in majority) / 2)
    page = SCRIPT["page"]({name: found})
    assert "| 2 folds |" in page
    assert "; folds 0, 1." in page
    for folder in folders:  # a second stage: each fold goes on with the run of its own fold
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"init_from": f"runs/first/{folder.name}"}))
    assert SCRIPT["record"](folders, None)[1]["folds"] == [0, 1]
