"""What is true of every network: see `check_network`."""

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
    """Checks a network within a task of that class, on the task's own example.

    Always: it is finite and deterministic in eval mode; every parameter is trained; its state loads into itself; one
    of images computes the same in channels_last order. And what the task's `net_traits` promise:

    - "independent_rows": there is a row of output for each row of the batch, which depends on that row alone;
    - "ignores_padding": of `input` and its `length`, or NAME and NAME_length, the loss and the output depend on all
      up to the length, and neither on what comes after it nor on how much that is;
    - "causal": output [B, T, ...] depends on `input` [B, T, ...] up to the same position alone;
    - "stateful": the network maps a sequence [B, T, ...] and a state, at first None, to an output [B, T, ...] and the
      next state, which carries all that came before.

    "Output" is the first tensor that the network returns, or, if the task calls parts of it, the step's first value.

    Args:
        task: the class that the network is for.
        net: the class of the network; its package is trusted from here on.
        example: a spec and a batch in place of the task's own.
        compiled: also trace it with torch.compile, which takes seconds.
        arguments: of the network, besides those that the spec says.

    Raises:
        AssertionError: one of these does not hold.
    """
    spec, batch = example or task.example()
    trust(cls.__module__.partition(".")[0] for cls in (task, net, type(spec)))
    target = f"{net.__module__}.{net.__qualname__}"
    made = task(spec=spec.to_dict(), net={"_target_": target, **arguments}).eval()
    name, traits = net.__name__, task.net_traits
    with torch.no_grad():
        found = _run(made, batch)
        assert found.seen.isfinite().all(), f"{name} computes numbers that are not finite"
        assert torch.equal(_run(made, batch).seen, found.seen), f"{name} computes something else the second time"
        if "independent_rows" in traits:
            _check_rows(name, made, batch, found.seen)
        if "ignores_padding" in traits:
            _check_padding(name, made, batch, found)
        if "causal" in traits:
            _check_causal(name, made, batch, found.seen)
        if "stateful" in traits:
            _check_state(name, made.net, *found.given[:1])
        if found.given and found.given[0].ndim == 4:
            other = _first(made.net(found.given[0].contiguous(memory_format=torch.channels_last), *found.given[1:]))
            _same(other, found.seen, f"{name} differs in channels_last order")
        if compiled:
            other = _first(torch.compile(made.net, backend="aot_eager")(*found.given))
            _same(other, found.seen, f"{name} differs when compiled")
    if "independent_rows" in traits and found.given and found.given[0].is_floating_point():
        leaf = found.given[0].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(_first(made.net(leaf, *found.given[1:]))[0].square().sum(), leaf)
        assert gradient[1:].abs().sum() == 0, f"{name} lets one row of a batch see another, in eval mode"
    torch.autograd.backward(_run(made.train(), batch).loss)
    idle = [n for n, p in made.net.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle, f"{name} has parameters that no gradient reaches: {', '.join(idle)}"
    made.net.load_state_dict({key: value.clone() for key, value in made.net.state_dict().items()})


class _Run(NamedTuple):
    """What one step of a task shows: what its network was given and returned first, and the loss."""

    given: tuple[Any, ...]
    seen: Tensor
    loss: Tensor


def _run(task: Task, batch: Batch) -> _Run:
    calls: list[tuple[tuple[Any, ...], Any]] = []
    hook = task.net.register_forward_hook(lambda net, given, found: calls.append((given, found)))
    try:
        output = task.step(batch, "train")
    finally:
        hook.remove()
    given, found = calls[0] if calls else ((), dict(output.values))
    return _Run(given, _first(found), output.loss_sum)


def _same(found: Any, expected: Any, complaint: str) -> None:
    torch.testing.assert_close(found, expected, msg=lambda message: f"{complaint}: {message}")


def _first(found: Any) -> Tensor:
    tensor: Tensor = next(leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor))
    return tensor


def _check_rows(name: str, task: Task, batch: Batch, seen: Tensor) -> None:
    rows = len(batch["index"])
    assert len(seen) == rows, f"{name} makes {len(seen)} rows of {rows}"
    other = {key: torch.cat([value[1:2], value[1:]]) for key, value in batch.items()} | {"index": batch["index"]}
    changed = _run(task, other).seen
    assert not torch.equal(changed[0], seen[0]), f"{name} does not look at its input"
    _same(changed[1:], seen[1:], f"{name} lets one row of a batch see another")


def _check_padding(name: str, task: Task, batch: Batch, found: _Run) -> None:
    for key in [key for key in batch if key == "length" or key.endswith("_length")]:
        of = key.removesuffix("length").removesuffix("_") or "input"
        tensor, length = batch[of], batch[key]
        size = tensor.shape[1]
        for place in (0, int(length[0]) - 1):
            changed = _run(task, batch | {of: _changed(tensor, place)}).seen
            assert not torch.equal(changed[0], found.seen[0]), f"{name} does not look at place {place} of {of}"
        real = (torch.arange(size) < length[:, None]).view(len(length), size, *[1] * (tensor.ndim - 2))
        longer = {
            other: torch.cat([value, torch.full_like(value, PAD_INDEX)], dim=1)
            for other, value in batch.items()
            if value.shape[1:2] == (size,) and f"{other}_length" not in batch
        }
        for filled in ({of: torch.where(real, tensor, tensor.flip(0))}, longer | {of: torch.cat([tensor, tensor], 1)}):
            again = _run(task, batch | filled)
            pairs = [(again.loss, found.loss)]
            if found.seen.ndim <= 2:
                pairs.append((again.seen, found.seen))
            elif found.seen.shape[1] == size:  # an output for each position
                positions = real.flatten(1)
                pairs.append((again.seen[:, :size][positions], found.seen[positions]))
            said = f"{name} looks at the padding of {of}"
            for mine, theirs in pairs:
                _same(mine, theirs, said)


def _changed(tensor: Tensor, place: int) -> Tensor:
    """Another value at one place [0, place] of a tensor [B, T, ...]: of tokens, one that occurs in it."""
    other, value = tensor.clone(), tensor[0, place]
    other[0, place] = value + 1 if tensor.is_floating_point() else tensor[tensor != value.flatten()[0]][0]
    return other


def _check_causal(name: str, task: Task, batch: Batch, seen: Tensor) -> None:
    changed = _run(task, batch | {"input": _changed(batch["input"], -2)}).seen
    _same(changed[0, :-2], seen[0, :-2], f"{name} sees what is to come")
    assert not torch.equal(changed[0, -1], seen[0, -1]), f"{name} does not look at what came before"


def _check_state(name: str, net: nn.Module, sequence: Tensor) -> None:
    output, end = net(sequence)
    first, state = net(sequence[:, :-2])
    second, last = net(sequence[:, -2:], state)
    for found, whole in ((torch.cat([first, second], dim=1), output), (last, end)):
        _same(found, whole, f"{name}: the state does not carry all")
