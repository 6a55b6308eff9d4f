"""Sweeps as they are typed, whose jobs write down what they would run and train nothing."""

from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The config of each job, in their order."""
    configs: list[dict[str, Any]] = []

    def process(command: list[str]) -> int:
        configs.append(yaml.safe_load(Path(command[-1], "config.yaml").read_text()))
        return 0

    monkeypatch.setattr("sightseq.sweep.run_process", process)
    return configs


def test_the_numbers_of_an_experiment_leave_in_the_jobs_that_exchange_their_brick(sightseq, jobs) -> None:
    status, _, errors = sightseq("train", "-m", "experiment=tiny_shakespeare", "optimizer=adamw_language,sgd")
    assert status == 0, errors
    assert [job["model"]["optimizer"]["lr"] for job in jobs] == [0.004, 0.05]
