"""`sightseq compare`: which runs form a group, what differs between groups, and by how much."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightseq.compare import print_comparison
from sightseq.core.errors import ConfigError
from sightseq.core.naming import ScoreInfo
from sightseq.sweep.folder import Job, SweepFolder


def run(name: str, accuracy: float, seed: int = 1, fold: int | None = None, lr: float = 0.1, **changes: Any) -> str:
    """A finished run."""
    folder = Path("runs").absolute() / name
    folder.mkdir(parents=True)
    config = {"seed": seed, "data": {"seed": seed, "fold": fold}, "model": {"lr": lr}, "trainer": {}}
    config |= {"run": {"command": name}, "paths": {"data": name}, "logger": {}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    infos = {"accuracy": asdict(ScoreInfo("accuracy", True, True)), "loss": asdict(ScoreInfo("loss", False))}
    about = {"metrics": infos, "commit": "abc", "hardware": {"cores": 2}, "versions": {"torch": "2.11"}}
    scores = {"val": {"accuracy": accuracy, "loss": 1 - accuracy}, "test": None, "seconds": {"total": 10.0}}
    (folder / "results.json").write_text(json.dumps(about | scores | changes))
    return str(folder)


def lines(capsys: pytest.CaptureFixture[str], *runs: str) -> list[str]:
    print_comparison(list(runs))
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_runs_that_differ_in_the_seed_are_one_group(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys, run("a", 0.8, 1), run("b", 0.9, 2), run("c", 1.0, 3))
    assert found[1] == "A 3 runs a b c"
    assert "validation accuracy 90.00 ± 10.00 %" in found
    assert not any("differs" in line or "model.lr" in line for line in found)


def test_only_differences_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys, run("a", 0.8), run("b", 0.9, seed=2, lr=0.2, versions={"torch": "2.13"}))
    begin = found.index("what differs A B")
    assert found[begin + 1 : begin + 3] == ["model.lr 0.1 0.2", "versions.torch 2.11 2.13"]
    assert found[begin + 3].startswith("score")


def test_another_commit_is_another_group(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys, run("a", 0.8), run("b", 0.9, seed=2, commit="def"))
    assert "commit abc def" in found
    assert "validation accuracy 80.00 % 90.00 % +10.00 % ?" in found


def test_the_last_run_of_a_repeated_seed_counts(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys, run("a", 0.8), run("b", 0.9), run("c", 1.0, seed=2))
    assert found[1] == "A 2 runs b c"


def test_unfinished_runs_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run("a", 0.8), run("b", 0.9), run("c", 1.0, seed=2)]
    (Path(runs[1]) / "results.json").unlink()
    found = lines(capsys, *runs)
    assert found[0].endswith("b: not finished")
    assert found[2] == "A 2 runs a c"


def test_paths_that_are_not_runs_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run("a", 0.8), run("b", 0.9, seed=2)]
    image, folder = (Path(runs[0]).with_name(name) for name in ("batch.png", "sweeps"))
    image.write_bytes(b"\x89PNG")
    folder.mkdir()
    found = lines(capsys, *runs, str(image), str(folder))
    assert found[0] == "left out runs/batch.png: not a run directory"
    assert found[1] == "left out runs/sweeps: not a run directory"
    assert found[3] == "A 2 runs a b"


def test_deleted_jobs_of_a_sweep_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = SweepFolder(Path("runs/sweeps/1"))
    sweep.begin("sightseq train -m seed=1,2,3", [])
    runs = [Path(run("a", 0.8)), Path(run("b", 0.9, seed=2)), Path("runs/gone")]
    for number, folder in enumerate(runs):
        sweep.record(Job(number, [], "", folder, "finished"))
    found = lines(capsys, str(sweep.path))
    assert found[0] == "left out runs/gone: not a run directory"
    assert found[2] == "A 2 runs a b"


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, option)[0].startswith("sightseq compare RUN RUN ...: ")


def test_without_variance_the_difference_is_uncertain(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys, *(run(f"{lr}{seed}", 0.8 + lr, seed, lr=lr) for lr in (0.0, 0.1) for seed in (1, 2)))
    (row,) = [line for line in found if line.startswith("validation accuracy")]
    assert row.endswith("+10.00 % ?")


def test_with_one_run_each_the_difference_is_uncertain(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys, run("a", 0.8), run("b", 0.9, lr=0.2))
    assert "validation accuracy 80.00 % 90.00 % +10.00 % ?" in found


def test_welch_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    first = [run(f"a{seed}", score, seed) for seed, score in enumerate((0.80, 0.81, 0.82))]
    other = [run(f"b{seed}", score, seed, lr=0.2) for seed, score in enumerate((0.83, 0.85, 0.87))]
    # Two groups of 3 with variances 1 and 4 (percentage points squared): standard error sqrt(5/3), 50/17 degrees of
    # freedom; the 97.5 % quantile of Student's t-distribution is 3.2188.
    half = 3.2188 * math.sqrt(5 / 3)
    assert f"validation accuracy 81.00 ± 1.00 % 85.00 ± 2.00 % +4.00 ± {half:.2f} %" in lines(capsys, *first, *other)


def test_folds_are_compared_in_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    first = [run(f"a{fold}", score, fold=fold) for fold, score in enumerate((0.70, 0.80, 0.90))]
    other = [run(f"b{fold}", score, fold=fold, lr=0.2) for fold, score in enumerate((0.71, 0.82, 0.93))]
    half = 4.3027 * 1 / math.sqrt(3)  # differences 1, 2, 3; two degrees of freedom
    assert f"validation accuracy 80.00 ± 10.00 % 82.00 ± 11.00 % +2.00 ± {half:.2f} %" in lines(capsys, *first, *other)


def test_a_clear_difference_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    first = [run(f"a{seed}", 0.80 + seed / 1000, seed) for seed in range(3)]
    other = [run(f"b{seed}", 0.90 + seed / 1000, seed, lr=0.2) for seed in range(3)]
    found = lines(capsys, *first, *other)
    (row,) = [line for line in found if line.startswith("validation accuracy")]
    assert row.endswith("+10.00 ± 0.23 % *")
    (row,) = [line for line in found if line.startswith("total seconds")]
    assert row.endswith("10 ± 0 10 ± 0 +0")


def test_user_errors() -> None:
    one = run("a", 0.8)
    with pytest.raises(ConfigError, match="at least two"):
        print_comparison([one])
    with pytest.raises(ConfigError, match="not a run directory"):
        print_comparison([one, "nothing"])
    (Path(one) / "results.json").unlink()
    with pytest.raises(ConfigError, match="at least two finished runs"):
        print_comparison([one, run("b", 0.9)])
