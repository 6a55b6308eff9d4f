"""The same checks that sightseq runs on its own datasets, networks and tasks."""

from pathlib import Path

from sightseq_dots.data import Dots
from sightseq_dots.net import DotNet
from sightseq_dots.task import CountingTask

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.task import Task
from sightseq.testing import check_datamodule, check_network, check_task


def test_data(tmp_path: Path) -> None:
    check_datamodule(lambda **changes: Dots(name="dots", cache=str(tmp_path), synthetic=True, **changes))


def test_network() -> None:
    check_network(CountingTask, DotNet, width=8)


def test_task() -> None:
    spec, batch = CountingTask.example()
    model = compose("experiment=dots")["model"]
    check_task(build(model, Task, "model", spec=spec.to_dict()), batch)
