"""Checks of a network: see `check_network`."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from sightseq.core.build import trust
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.spec import Spec
from sightseq.core.task import Task


def check_network(
    task: type[Task],
    net: type[nn.Module],
    *,
    example: tuple[Spec, Batch] | None = None,
    compiled: bool = False,
    **arguments: Any,
) -> None:
    """Check a network inside a task, on the task's own example batch.

    Always checked: the output is finite, and deterministic in eval mode; every trainable parameter gets a gradient;
    the state dict can be loaded; a network for images [B, C, H, W] computes the same in channels_last memory order.
    Checked if the task's `net_traits` contain it:

    - "independent_rows": the output has one row per row of the batch, which depends on that row only;
    - "ignores_padding": for `input` with `length`, or NAME with NAME_length, the loss or the output depends on all
      positions up to the length, but neither on the values nor on the amount of the padding after it;
    - "causal": output [B, T, ...] at position t depends on `input` [B, T, ...] at positions up to t only;
    - "stateful": the network maps a sequence [B, T, ...] and a state (None at the start) to an output [B, T, ...] and
      the next state, which contains everything needed from earlier positions.

    "Output" is the first tensor that the network returns or, if the task calls parts of the network, the first value
    of the step.

    Args:
        task: class of the task that the network is for.
        net: class of the network; its package becomes trusted.
        example: a spec and a batch to use instead of the task's own.
        compiled: also check the network under torch.compile, which takes seconds.
        arguments: arguments of the network, besides those from the spec.

    Raises:
        AssertionError: a check failed.
    """
    spec, batch = example or task.example()
    trust(cls.__module__.partition(".")[0] for cls in (task, net, type(spec)))
    target = f"{net.__module__}.{net.__qualname__}"
    built = task(spec=spec.to_dict(), net={"_target_": target, **arguments}).eval()
    name, traits = net.__name__, task.net_traits
    with torch.no_grad():
        run = _run(built, batch)
        assert run.output.isfinite().all(), f"{name} returns values that are not finite"
        assert torch.equal(_run(built, batch).output, run.output), f"{name} returns something else the second time"
        if "independent_rows" in traits:
            _check_rows(name, built, batch, run.output)
        if "ignores_padding" in traits:
            _check_padding(name, built, batch, run)
        if "causal" in traits:
            _check_causal(name, built, batch, run.output)
        if "stateful" in traits:
            _check_state(name, built.net, *run.inputs[:1])
        if run.inputs and run.inputs[0].ndim == 4:
            other = _first(built.net(run.inputs[0].contiguous(memory_format=torch.channels_last), *run.inputs[1:]))
            _same(other, run.output, f"{name} returns something else in channels_last memory order")
        if compiled:
            other = _first(torch.compile(built.net, backend="aot_eager")(*run.inputs))
            _same(other, run.output, f"{name} returns something else when compiled")
    if "independent_rows" in traits and run.inputs and run.inputs[0].is_floating_point():
        leaf = run.inputs[0].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(_first(built.net(leaf, *run.inputs[1:]))[0].square().sum(), leaf)
        assert gradient[1:].abs().sum() == 0, f"{name} lets one row of a batch influence another, in eval mode"
    torch.autograd.backward(_run(built.train(), batch).loss)
    idle = [n for n, p in built.net.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle, f"{name} has parameters without a gradient: {', '.join(idle)}"
    built.net.load_state_dict({key: value.clone() for key, value in built.net.state_dict().items()})


class _Run(NamedTuple):
    """One step of a task: the arguments and the first output of its network, and the loss."""

    inputs: tuple[Any, ...]
    output: Tensor
    loss: Tensor


def _run(task: Task, batch: Batch) -> _Run:
    calls: list[tuple[tuple[Any, ...], Any]] = []
    hook = task.net.register_forward_hook(lambda net, inputs, outputs: calls.append((inputs, outputs)))
    try:
        step = task.step(batch, "train")
    finally:
        hook.remove()
    inputs, outputs = calls[0] if calls else ((), dict(step.values))
    return _Run(inputs, _first(outputs), step.loss_sum)


def _same(actual: Any, expected: Any, complaint: str) -> None:
    torch.testing.assert_close(actual, expected, msg=lambda message: f"{complaint}: {message}")


def _first(outputs: Any) -> Tensor:
    tensor: Tensor = next(leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor))
    return tensor


def _check_rows(name: str, task: Task, batch: Batch, output: Tensor) -> None:
    rows = len(batch["index"])
    assert len(output) == rows, f"{name} returns {len(output)} rows for a batch of {rows}"
    other = {key: torch.cat([value[1:2], value[1:]]) for key, value in batch.items()} | {"index": batch["index"]}
    changed = _run(task, other).output
    assert not torch.equal(changed[0], output[0]), f"{name} does not use its input"
    _same(changed[1:], output[1:], f"{name} lets one row of a batch influence another")


def _check_padding(name: str, task: Task, batch: Batch, run: _Run) -> None:
    for key in [key for key in batch if key == "length" or key.endswith("_length")]:
        column = key.removesuffix("length").removesuffix("_") or "input"
        tensor, length = batch[column], batch[key]
        size = tensor.shape[1]
        for position in (0, int(length[0]) - 1):
            changed = _run(task, batch | {column: _changed(tensor, position)})
            used = not torch.equal(changed.output[0], run.output[0]) or not torch.equal(changed.loss, run.loss)
            assert used, f"{name} does not use position {position} of {column}"
        real = (torch.arange(size) < length[:, None]).view(len(length), size, *[1] * (tensor.ndim - 2))
        longer = {
            field: torch.cat([value, torch.full_like(value, PAD_INDEX)], dim=1)
            for field, value in batch.items()
            if value.shape[1:2] == (size,) and f"{field}_length" not in batch
        }
        other_padding = {column: torch.where(real, tensor, tensor.flip(0))}
        more_padding = longer | {column: torch.cat([tensor, tensor], dim=1)}
        for changes in (other_padding, more_padding):
            other = _run(task, batch | changes)
            pairs = [(other.loss, run.loss)]
            if run.output.ndim <= 2:
                pairs.append((other.output, run.output))
            elif run.output.shape[1] == size:  # an output for each position
                positions = real.flatten(1)
                pairs.append((other.output[:, :size][positions], run.output[positions]))
            complaint = f"{name} depends on the padding of {column}"
            for actual, expected in pairs:
                _same(actual, expected, complaint)


def _changed(tensor: Tensor, position: int) -> Tensor:
    """Return a copy of a tensor [B, T, ...] with another value at [0, position]; tokens: another id in it."""
    other, value = tensor.clone(), tensor[0, position]
    other[0, position] = value + 1 if tensor.is_floating_point() else tensor[tensor != value.flatten()[0]][0]
    return other


def _check_causal(name: str, task: Task, batch: Batch, output: Tensor) -> None:
    changed = _run(task, batch | {"input": _changed(batch["input"], -2)}).output
    _same(changed[0, :-2], output[0, :-2], f"{name} depends on later positions")
    assert not torch.equal(changed[0, -1], output[0, -1]), f"{name} does not use earlier positions"


def _check_state(name: str, net: nn.Module, sequence: Tensor) -> None:
    output, end = net(sequence)
    first, state = net(sequence[:, :-2])
    second, last = net(sequence[:, -2:], state)
    for actual, expected in ((torch.cat([first, second], dim=1), output), (last, end)):
        _same(actual, expected, f"{name}: continuing from the state gives another result than the whole sequence")
