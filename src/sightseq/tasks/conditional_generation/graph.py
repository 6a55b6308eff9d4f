"""Export graphs of generated texts: the encoder, and one step of the decoder, as functions of plain tensors."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.graph import Arrays, Axes, Call, Graph
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.nets.decoder import Memory, State
from sightseq.tasks.conditional_generation.task import ConditionalGenerationTask, shift_right
from sightseq.text.tokenizer import EOS_ID, UNKNOWN_ID


class DecoderGraph(Graph):
    """One step of the decoder: maps `token` [B] (0 at the start), the state after the tokens before it, and the memory
    of the sources to `probabilities` [B, vocab_size] of the next token and the next state. With attention also returns
    its weights, `attention` [B, S].

    Initial state and memory are the outputs of `encoder`, which is written to a file of its own.
    """

    encoder_inputs: ClassVar[Axes]
    """The tensors of a batch that the task's `encode` reads: see `Axes`."""
    source: ClassVar[dict[int, str]]
    """The dimensions of variable size of the memory's tensors [B, S, ...]: index to name."""

    def __init__(self, task: ConditionalGenerationTask) -> None:
        super().__init__(task)
        self.task = task
        self.states, self.memory = state_axes(task), memory_axes(task, self.source)
        self.encoder = EncoderGraph(task, type(self))
        self.inputs = {"token": {0: "batch"}, **self.states, **self.memory}
        self.outputs = {"probabilities": {0: "batch"}, **{f"next_{name}": axes for name, axes in self.states.items()}}
        if self.memory:
            self.outputs["attention"] = self.source

    def parts(self) -> dict[str, Graph]:
        """Return both graphs."""
        return {"encoder": self.encoder, "decoder": self}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `self.outputs`; the inputs are in the order of `self.inputs`."""
        named = dict(zip(self.inputs, inputs, strict=True))
        state, memory = nested(self.task, named)
        logits, after = self.task.net.decode(named["token"][:, None], state, memory)
        weights = (after["attention"],) if memory else ()
        return logits[:, -1].float().softmax(dim=-1), *flatten_state(after), *weights

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        encoded = self.encoder.call(self.encoder.example(batch, rows))
        named = dict(zip(self.encoder.outputs, encoded, strict=True)) | {"token": np.full(rows, EOS_ID)}
        return [named[name] for name in self.inputs]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield probabilities [B, T, vocab_size] after the true tokens, and the targets [B, T]; the encoder is that in
        PyTorch.
        """
        for batch in batches:
            decode = Stepper(self, self.encoder.call, call, batch)
            steps = [decode.step(token)[0] for token in shift_right(batch["target"]).numpy().T]
            yield np.stack(steps, axis=1), batch["target"].numpy()

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the score of greedy texts, with the encoder in PyTorch and `call` as decoder."""
        return greedy_score(self, self.encoder.call, call, batches)


class EncoderGraph(Graph):
    """Maps the source to its memory and to the initial state of the decoder. The outputs have the names of the
    decoder's inputs.

    Args:
        task: the task.
        decoder: class of the decoder's graph.
    """

    def __init__(self, task: ConditionalGenerationTask, decoder: type[DecoderGraph]) -> None:
        super().__init__(task)
        self.task, self.decoder = task, decoder
        self.inputs, self.outputs = decoder.encoder_inputs, memory_axes(task, decoder.source) | state_axes(task)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `self.outputs`; the inputs are in the order of `self.inputs`."""
        memory, state = self.task.encode(dict(zip(self.inputs, inputs, strict=True)))
        return *flatten_memory(memory), *flatten_state(state)

    def example(self, batch: Batch, rows: int) -> Arrays:
        """See `Graph`."""
        return [np.resize(batch[name].numpy(), (rows, *batch[name].shape[1:])) for name in self.inputs]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield the first output, such as source vectors [B, S, width], and the targets."""
        for batch in batches:
            output, *_ = call([batch[name].numpy() for name in self.inputs])
            yield output, batch["target"].numpy()

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        """Return the score of greedy texts, with `call` as encoder and the decoder in PyTorch."""
        decoder = self.decoder(self.task).eval()
        return greedy_score(decoder, call, decoder.call, batches)


class Stepper:
    """Decodes the texts of a batch step by step, with an encoder and a decoder in any runtime.

    Args:
        graph: the graph of the decoder.
        encode: runs `graph.encoder`.
        call: runs `graph`.
        batch: the tensors `graph.encoder_inputs`.
    """

    def __init__(self, graph: DecoderGraph, encode: Call, call: Call, batch: Batch) -> None:
        outputs = encode([batch[name].numpy() for name in graph.encoder_inputs])
        encoded = dict(zip(graph.encoder.outputs, outputs, strict=True))
        self.state, self.memory = ([encoded[name] for name in names] for names in (graph.states, graph.memory))
        self.call = call

    def step(self, token: NDArray[np.int64]) -> tuple[NDArray[np.float32], Arrays]:
        """Read one token per row [B]; return the probabilities of the next one [B, vocab_size] and other outputs."""
        probabilities, *others = self.call([np.ascontiguousarray(token), *self.state, *self.memory])
        self.state, rest = others[: len(self.state)], others[len(self.state) :]
        return probabilities, rest


def greedy(graph: DecoderGraph, encode: Call, call: Call, batch: Batch) -> list[list[int]]:
    """Return the greedily chosen tokens of each row; the arguments are those of `Stepper`."""
    decode = Stepper(graph, encode, call, batch)
    longest = graph.task.longest(batch).numpy()
    token = np.full(len(longest), EOS_ID)
    rows: list[list[int]] = [[] for _ in longest]
    open_rows = np.ones(len(longest), bool)
    while open_rows.any():
        probabilities, _ = decode.step(token)
        probabilities[:, UNKNOWN_ID] = 0
        token = probabilities.argmax(1)
        open_rows &= token != EOS_ID
        for row in np.flatnonzero(open_rows):
            rows[row].append(int(token[row]))
            open_rows[row] = len(rows[row]) < longest[row]
    return rows


def greedy_score(graph: DecoderGraph, encode: Call, call: Call, batches: Iterable[Batch]) -> float:
    """Return the task's headline score of greedy texts; the arguments are those of `Stepper`."""
    task = graph.task
    score = task.scores("val")[task.headline]
    for batch in batches:
        real = batch["index"] != PAD_INDEX
        real_rows = {name: tensor[real] for name, tensor in batch.items()}
        values = task.compared(greedy(graph, encode, call, real_rows), real_rows) | {"index": real_rows["index"]}
        score.metric.update(*(values[name] for name in score.reads))
    return float(score.metric.compute())


def state_axes(task: ConditionalGenerationTask) -> Axes:
    """Return the tensors of the decoder's state by name: `h0`, `c0`, `h1`, ..., and `feed` with input feeding."""
    decoder = task.net.decoder
    layers = [f"{part}{number}" for number in range(len(decoder.layers)) for part in "hc"[: decoder.cells]]
    return {name: {1: "batch"} for name in layers} | ({"feed": {0: "batch"}} if decoder.feed else {})


def memory_axes(task: ConditionalGenerationTask, source: dict[int, str]) -> Axes:
    """Return the tensors of the memory by name: `values`, `mask`, `keys0`, ...; none without attention.

    Args:
        task: the task.
        source: see `DecoderGraph`.
    """
    count = len(task.net.decoder.attentions)
    return dict.fromkeys(["values", "mask", *(f"keys{number}" for number in range(count))] if count else [], source)


def flatten_state(state: State) -> list[Tensor]:
    """Return the tensors of a state in the order of `state_axes`."""
    feed = [state["feed"]] if "feed" in state else []
    return [*(part for layer in state["layers"] for part in layer), *feed]


def flatten_memory(memory: Memory) -> list[Tensor]:
    """Return the tensors of a memory in the order of `memory_axes`."""
    return [memory["values"], memory["mask"], *memory["keys"]] if memory else []


def nested(task: ConditionalGenerationTask, named: dict[str, Tensor]) -> tuple[State, Memory]:
    """Return the state and the memory from their tensors by name."""
    decoder = task.net.decoder
    names = [[f"{part}{number}" for part in "hc"[: decoder.cells]] for number in range(len(decoder.layers))]
    state: State = {"layers": [tuple(named[name] for name in layer) for layer in names]}
    if decoder.feed:
        state["feed"] = named["feed"]
    keys = [named[name] for name in named if name.startswith("keys")]
    return state, {"values": named["values"], "mask": named["mask"], "keys": keys} if keys else {}
