"""How a process adapts to its machine: memory, missing GPUs, number of workers."""

import platform
import resource

import pytest
import torch

from sightseq.core.environment import bounded_workers, cores, hide_missing_gpus, keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_reused() -> None:
    keep_freed_memory()

    def page_faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        [torch.ones(2**23) for _ in range(4)]  # 128 MiB in total: 32,768 pages if the system allocates them
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    # The heap grows at first: glibc before 2.38 cannot place aligned memory in a gap of exactly its size.
    assert min(page_faults() for _ in range(8)) < 1000


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_an_optimizer_does_not_search_for_missing_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as Lightning does
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    searched = []
    monkeypatch.setattr("ctypes.CDLL", searched.append)
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    optimizer = torch.optim.Adam([weight])
    optimizer.step()
    assert searched
    hide_missing_gpus()
    searched.clear()
    optimizer.step()
    assert not searched


def test_no_more_workers_than_cores(capsys: pytest.CaptureFixture[str]) -> None:
    assert bounded_workers(0) == 0
    assert bounded_workers(cores()) == cores()
    assert capsys.readouterr().err == ""
    assert bounded_workers(999) == cores()
    assert capsys.readouterr().err == f"data.workers=999: using {cores()}, the number of cores\n"
