"""Predict and the dataset readers answer every input with a result or a one-line error message."""

import multiprocessing

import pytest

from tests.invariants import fuzzing

GIB = 1024


@pytest.mark.parametrize("count", [6, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_bad_inputs(kind: str, count: int) -> None:
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=fuzzing.run, args=(kind, count, sender))
    process.start()
    sender.close()
    failures, memory = receiver.recv()  # EOFError: the process died
    process.join()
    assert not failures, "\n".join(failures[:5])
    assert memory < 2 * GIB
