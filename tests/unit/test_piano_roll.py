"""Piano rolls: negative log-likelihood and accuracy by hand, composing, the export graph, and the baselines."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.arrays import ArrayDataset, Ragged
from sightseq.core.baseline import Arrays
from sightseq.music.roll import from_roll
from sightseq.tasks.piano_roll.baseline import Marginals, MarkovFrames, RepeatFrame, RollBaseline
from sightseq.tasks.piano_roll.graph import PianoRollGraph
from sightseq.tasks.piano_roll.task import FrameAccuracy, PianoRollTask

NETS: dict[str, dict[str, Any]] = {
    "whole frames": {"_target_": "sightseq.nets.piano_roll.RecurrentPianoRoll", "hidden": [8]},
    "whole frames, joint": {"_target_": "sightseq.nets.piano_roll.RecurrentPianoRoll", "hidden": [8], "nade": 6},
    "tied": {"_target_": "sightseq.nets.piano_roll.TiedPianoRoll", "hidden": [6], "context": 4},
    "tied, joint": {"_target_": "sightseq.nets.piano_roll.TiedPianoRoll", "hidden": [6], "context": 4, "nade": 6},
}


def make(net: str = "whole frames", **arguments: Any) -> PianoRollTask:
    torch.manual_seed(0)
    spec, _ = PianoRollTask.example()
    return PianoRollTask(spec=spec.to_dict(), net=NETS[net] | arguments).eval()


def randomised(net: str) -> PianoRollTask:
    """With large random weights: the first ones with which some keys sound, and others do not."""
    task, (_, batch) = make(net), PianoRollTask.example()
    while True:
        for parameter in task.net.parameters():
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1)
        if 0.02 < task.decode(batch, "val")["decoded"].float().mean() < 0.98:
            return task


class Fixed(nn.Module):
    """Returns the same logits for every frame."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, frames: Tensor, state: Any = None, target: Any = None) -> tuple[Tensor, Any]:
        return self.logits.expand(*frames.shape), []


def test_nll_by_hand() -> None:
    """Two pieces of two frames and one frame; a padding frame and a padding row are not counted."""
    task, chance = make(), torch.full((88,), 0.25)
    task.net = Fixed(chance.logit())
    target = torch.zeros(3, 2, 88, dtype=torch.uint8)
    target[0, 0, [40, 44]] = target[0, 1, 40] = target[1, 0, 50] = 1
    target[1, 1] = target[2] = 1  # padding
    batch = {
        "input": torch.zeros_like(target),
        "target": target,
        "length": torch.tensor([2, 1, 2]),
        "index": torch.tensor([0, 1, -1]),
    }
    output = task.step(batch, "val")
    silent, sounding = -math.log(0.75), -math.log(0.25)
    frames = [86 * silent + 2 * sounding, 87 * silent + sounding, 87 * silent + sounding]
    assert int(output.count) == task.size(batch) == 3
    assert output.loss_sum.item() == pytest.approx(sum(frames), rel=1e-5)
    task.scoreboard.update("train", output)
    assert task.scoreboard.compute("train")["nll"].item() == pytest.approx(sum(frames) / 3, rel=1e-5)
    nats = task.predict_step(batch)
    assert nats.flatten().tolist() == pytest.approx([*frames[:2], frames[2], 0, 0, 0], rel=1e-5)


def test_accuracy_by_hand() -> None:
    metric = FrameAccuracy()
    target = torch.tensor([[[1, 1, 0, 0], [0, 1, 1, 0]], [[0, 0, 0, 1], [1, 1, 1, 1]]])
    decoded = torch.tensor([[[1, 0, 1, 0], [0, 1, 1, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    metric.update(decoded, target, torch.tensor([[True, True], [True, False]]))
    assert metric.compute().item() == pytest.approx(3 / (3 + 1 + 2))  # true, false positives, false negatives
    silent = FrameAccuracy()
    silent.update(target[:, :0], target[:, :0], torch.ones(2, 0, dtype=torch.bool))
    assert silent.compute() == 1


@pytest.mark.parametrize("net", NETS)
@torch.no_grad()
def test_frames_are_decoded_given_the_true_past_and_no_target(net: str) -> None:
    task, (_, batch) = randomised(net), PianoRollTask.example()
    decoded = task.decode(batch, "val")["decoded"]
    blind = task.decode({**batch, "target": 1 - batch["target"]}, "val")["decoded"]
    assert torch.equal(decoded, blind)
    logits, _ = task(batch["input"], None, decoded)
    assert torch.equal(decoded, (logits > 0).byte())  # also of a joint network: greedy from above


@pytest.mark.parametrize("net", NETS)
def test_composing_carries_the_state(net: str) -> None:
    """At temperature 0 the composed frames are those that the network decodes after its own frames."""
    task = randomised(net)
    opening = torch.randint(0, 2, (2, 3, 88), dtype=torch.uint8)
    frames = torch.stack(list(task.compose(opening, 4, temperature=0.0)), dim=1)
    assert frames.shape == (2, 4, 88)
    whole = torch.cat([opening, frames], dim=1)
    before = F.pad(whole[:, :-1], (0, 0, 1, 0))
    assert torch.equal(task.decode({"input": before, "target": whole}, "val")["decoded"][:, 3:], frames)


def test_composing_from_nothing_with_a_seed_and_fixed_keys() -> None:
    task, nothing = make("tied, joint"), torch.zeros(3, 0, 88)
    first, again, other = (torch.stack(list(task.compose(nothing, 5, 2.0, seed))) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[:, 0], first[:, 1])  # the rows of a batch differ
    given = torch.full((3, 5, 88), -1)
    given[:, :, 60:] = 0
    given[:, 2, 64] = 1
    frames = torch.stack(list(task.compose(nothing, 5, 2.0, 1, given)), dim=1)
    assert torch.equal(frames[:, :, 60:], given[:, :, 60:].byte())


def test_only_a_joint_graph_reads_the_next_frame() -> None:
    assert list(PianoRollGraph(make()).inputs) == ["frame", "h0", "c0", "position"]
    assert list(PianoRollGraph(make("tied, joint")).inputs) == ["frame", "target", "h0", "c0", "position"]


@pytest.mark.parametrize("net", NETS)
def test_the_graph_has_the_same_score(net: str) -> None:
    task, (_, batch) = make(net), PianoRollTask.example()
    graph = PianoRollGraph(task).eval()
    batch["index"][-1] = -1
    with torch.no_grad():
        output = task.step(batch, "val")
    assert graph.score(graph.call, [batch]) == pytest.approx((output.loss_sum / output.count).item(), rel=1e-5)


# Baselines


def split(*pieces: list[list[int]], keys: int = 3) -> ArrayDataset:
    """Pieces as lists of frames, each a list of sounding keys."""
    rolls = []
    for piece in pieces:
        roll = np.zeros((len(piece), keys), np.uint8)
        for time, frame in enumerate(piece):
            roll[time, frame] = 1
        rolls.append(roll)
    return ArrayDataset({"target": Ragged.of(rolls)}, np.arange(len(rolls)))


def read(*pieces: list[list[int]]) -> Arrays:
    return Marginals().read(split(*pieces))


def test_a_split_is_read_as_frames() -> None:
    arrays = read([[0], [0, 1]], [[2]])
    assert arrays["target"].tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert arrays["input"].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert arrays["start"].tolist() == [True, False, True]


def test_marginals_by_hand() -> None:
    model = Marginals()
    model.fit(read([[0], [0, 1]], [[2]]))
    chance = [3 / 5, 2 / 5, 2 / 5]
    assert model.predict(read([[1]])).tolist() == [pytest.approx(chance)]
    expected = -math.log(2 / 5) - math.log(2 / 5) - math.log(3 / 5)
    found = model.score(read([[1]]))
    assert found == pytest.approx({"loss": expected, "nll": expected, "accuracy": 0.0})


def test_repeated_frames_by_hand() -> None:
    model = RepeatFrame()
    model.fit(read([[0], [0], [0], [1]]))
    # Key 0: of 3 frames before which it sounds, it sounds in 2; before the first frame it does not sound, and begins.
    assert model.predict(read([[0], [0]])).tolist() == [
        pytest.approx([2 / 3, 2 / 6, 1 / 6]),
        pytest.approx([3 / 5, 2 / 6, 1 / 6]),
    ]


def all_frames(before: list[list[int]]) -> tuple[Arrays, NDArray[np.bool_]]:
    """Pieces of the given frames, and each frame of three keys after them; and where the last frames are."""
    nexts = [[key for key in range(3) if number >> key & 1] for number in range(8)]
    arrays = read(*([*before, frame] for frame in nexts))
    last = np.append(arrays["start"][1:], True)
    return arrays, last


@pytest.mark.parametrize("model", [Marginals(), RepeatFrame(), MarkovFrames(1), MarkovFrames(3)])
@pytest.mark.parametrize("before", [[], [[0]], [[2], [0, 1]], [[0, 1, 2], [], [1], [0]]])
def test_probabilities_of_all_frames_sum_to_one(model: RollBaseline, before: list[list[int]]) -> None:
    generator = np.random.default_rng(0)
    pieces = [[[int(generator.integers(3))] for _ in range(6)] for _ in range(30)]
    model.fit(read(*pieces))
    arrays, last = all_frames(before)
    assert np.exp(model.log_probabilities(arrays)[last]).sum() == pytest.approx(1)


def test_a_markov_model_learns_an_order() -> None:
    """The next frame depends on the last two."""
    pieces = [[[0], [1], [0], [2]] * 5] * 20
    scores = []
    for order in (1, 2):
        model = MarkovFrames(order)
        model.fit(read(*pieces))
        scores.append(model.score(read(*pieces[:2])))
    assert scores[1]["nll"] < 0.1 < 0.2 < scores[0]["nll"]
    assert scores[1]["accuracy"] > 0.9 > scores[0]["accuracy"]
    assert scores[1]["nll"] == scores[1]["loss"]


def test_a_markov_model_repeats_an_unknown_frame() -> None:
    model = MarkovFrames(2)
    model.fit(read(*[[[0], [1]]] * 20))
    assert model.predict(read([[0, 2], [1]])).tolist() == [[1, 0, 0], [1, 0, 1]]
    assert model.predict(read([[0], [1]])).tolist() == [[1, 0, 0], [0, 1, 0]]
    with pytest.raises(ValueError, match="order=0"):
        MarkovFrames(0)


def test_the_training_split_is_kept() -> None:
    model, train = Marginals(), read([[0]])
    model.fit(train)
    model.fit(read([[1]], [[2]]))
    assert model.training is train


def test_augmentation_and_differences() -> None:
    _, batch = PianoRollTask.example()
    task = make()
    assert task.augment(batch) is batch
    assert task.training_differences() == []
    assert make(dropout=0.5).training_differences() == ["dropout"]


def test_size_counts_frames() -> None:
    _, batch = PianoRollTask.example()
    assert make().size(batch) == 6 + 8 + 7 + 5


# Report


def test_composed_pieces_are_shown_and_compared() -> None:
    task, (spec, _) = make("whole frames"), PianoRollTask.example()
    blocks = task.blocks("test")
    assert [block.title for block in blocks] == [
        "Composed piece 1",
        "Sound of piece 1",
        "Composed piece 2",
        "Sound of piece 2",
    ]
    model = Marginals()
    model.spec = spec
    model.fit(read([[0], [0, 2], [0]], [[1]]))
    kept = model.training_pieces(5)
    assert [piece.notes[["start", "end", "pitch"]].tolist() for piece in kept] == [
        [(0, 3, 21), (1, 2, 23)],
        [(0, 1, 22)],
    ]
    assert kept[0].tempi == ((0.0, spec.tempo),)
    values, (table, figure) = task.compare({"marginals": model}, "test")
    music = values["music"]
    assert music["training"]["notes_per_beat"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-4)
    assert 0 <= music["pitch_class_overlap"] <= 1
    assert values["summary"].startswith(
        f"Composed music (training music): {music['model']['notes_per_beat']:.2f} (0.83)"
    )
    assert [row[0] for row in table.rows] == ["this model", "training music"]
    assert figure.title == "Pitches and intervals"
    assert task.compare({}, "test") == ({}, [])


def test_pieces_are_composed_once_for_each_set_of_weights() -> None:
    task = make("whole frames")
    first = task.composed()
    assert task.composed() is first
    task.reset_examples()
    assert task.composed() is not first
    assert len(first) == 8
    assert max(piece.duration for piece in first) == 64


def test_an_excerpt_shortens_the_notes_at_its_end() -> None:
    roll = np.zeros((8, 88), np.uint8)
    roll[1:6, 40] = roll[5:, 44] = 1
    piece = from_roll(roll, 1.0).excerpt(4)
    assert piece.notes[["start", "end", "pitch"]].tolist() == [(1, 4, 61)]
    assert piece.duration == 4


def test_a_batch_is_plotted_as_a_piano_roll() -> None:
    _, batch = PianoRollTask.example()
    (axes,) = make().plot_batch(batch).axes
    assert axes.get_title(loc="left") == "1 of 4 pieces"
