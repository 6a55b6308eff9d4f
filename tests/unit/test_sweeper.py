"""Hydra's own tests of sweepers, on our sweeper registered as the command line registers it."""

from collections.abc import Iterator

import pytest
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, LauncherTestSuite

from sightseq.bricks import sightseq_hydra
from sightseq.core.places import conf_folder
from sightseq.sweep.plugins import register

OURS = [
    f"hydra.searchpath=[file://{conf_folder()}]",
    "hydra/sweeper=optuna",
    "hydra.sweeper.sampler=grid",
    "hydra.sweeper.n_trials=null",
    "hydra.sweeper.direction=minimize",
    "hydra.job.chdir=true",  # as in the version of Hydra that the tests are written for
]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with sightseq_hydra():
        register()
        yield


@pytest.mark.parametrize(("launcher_name", "overrides"), [("basic", [*OURS, "hydra.sweeper.n_jobs=2"])])
class TestJobs(LauncherTestSuite):
    """One or two jobs, groups, overrides of what a group brings."""


@pytest.mark.parametrize(("launcher_name", "overrides"), [("basic", [*OURS, "hydra.sweeper.n_jobs=2"])])
class TestBatches(BatchedSweeperTestSuite):
    """Six jobs in three batches, each with a folder of its own."""
