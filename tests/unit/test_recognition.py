"""Recognition: loss, scores, report and graph of both kinds of input."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from sightseq.core.blocks import Page, TableBlock
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.core.task import Task
from sightseq.export.files import load_onnx, save_onnx
from sightseq.tasks.recognition.graph import RecognitionGraph
from sightseq.tasks.recognition.lines import LineRecognitionTask
from sightseq.tasks.recognition.speech import SpeechRecognitionTask
from sightseq.text.batch import to_texts

NET: dict[str, Any] = {
    "_target_": "sightseq.nets.recognition.CRNN",
    "channels": [8, 12],
    "pools": [[2, 2], [2, 2]],
    "hidden": [16],
    "dropout": 0.0,
}
KINDS: list[Any] = [LineRecognitionTask, SpeechRecognitionTask]


def make(kind: Any = LineRecognitionTask, net: dict[str, Any] | None = None, **options: Any) -> tuple[Any, Batch]:
    spec, batch = kind.example()
    torch.manual_seed(0)
    return kind(spec=spec.to_dict(), net=NET | (net or {}), **options), batch


def fitted(task: Task, batch: Batch, steps: int = 150) -> None:
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    task.train()
    for _ in range(steps):
        output = task.step(batch, "train")
        optimizer.zero_grad()
        torch.autograd.backward(output.loss_sum / output.count)
        optimizer.step()
    task.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fitted_model_writes_its_targets(kind: Any) -> None:
    task, batch = make(kind)
    fitted(task, batch)
    values = task.decode(batch, "test")
    assert to_texts(values["hypothesis"]) == to_texts(values["reference"])
    assert values["exact"].all()
    assert values["characters"][:, 0].sum() == 0
    assert values["characters"][:, 1].tolist() == batch["target_length"].tolist()
    task.beam = 8
    assert torch.equal(task.decode(batch, "test")["tokens"], values["tokens"])
    spans = task.spans({**batch, "tokens": values["tokens"]})
    assert [len(row) for row in spans] == batch["target_length"].tolist()
    assert all(one.end <= other.start for row in spans for one, other in itertools.pairwise(row))


def test_the_loss_is_averaged_over_characters_and_skips_impossible_targets() -> None:
    task, batch = make()
    task.eval()
    whole = task.step(batch, "val")
    assert int(whole.count) == int(batch["target_length"].sum()) == task.size(batch)
    batch["target"], batch["target_length"] = batch["target"].clone(), batch["target_length"].clone()
    batch["target_length"][1] = 0  # an empty text counts as one character
    assert int(task.step(batch, "val").count) == int(batch["target_length"].sum()) + 1
    batch["target"] = torch.full((6, 40), 2)
    batch["target_length"][0] = 12  # twelve equal characters need 23 frames; there are 16
    output = task.step(batch, "val")
    assert (int(output.values["skipped"]), int(output.values["rows"])) == (1, 6)
    assert int(output.count) == int(batch["target_length"][1:].clamp(min=1).sum())
    batch["target_length"][:] = 40
    output = task.step(batch, "train")
    assert (output.loss_sum.item(), int(output.count)) == (0.0, 1)


def test_the_shortcut_adds_to_the_loss_in_training_only() -> None:
    task, batch = make(net={"shortcut": True}, shortcut_weight=0.5)
    plain, _ = make(net={"shortcut": True}, shortcut_weight=0.0)
    plain.load_state_dict(task.state_dict())
    losses = [one.train().step(batch, "train").loss_sum.item() for one in (task, plain)]
    assert losses[0] > losses[1] + 1
    losses = [one.eval().step(batch, "val").loss_sum.item() for one in (task, plain)]
    assert losses[0] == losses[1]


def test_augmented_lines_give_the_loss_of_the_stored_ones() -> None:
    task, batch = make()
    task.eval()
    augmented = task.augment(batch)
    assert augmented["input"].shape == (6, 1, 16, 64)
    torch.testing.assert_close(task.step(augmented, "val").loss_sum, task.step(batch, "val").loss_sum)


def test_augmented_sounds_give_the_loss_of_the_stored_ones() -> None:
    task, batch = make(SpeechRecognitionTask)
    task.eval()
    augmented = task.augment(batch)
    assert augmented["features"].shape[:3] == (6, 1, 64)
    torch.testing.assert_close(task.step(augmented, "val").loss_sum, task.step(batch, "val").loss_sum)


@pytest.mark.parametrize("kind", KINDS)
def test_report_and_plot(kind: Any, tmp_path: Path) -> None:
    task, batch = make(kind)
    task.eval()
    task._scored(batch, "val")
    output = task.step(batch, "val")
    values = {**output.values, **task.decode(batch, "val")}
    task.collect_examples(batch, type(output)(output.loss_sum, output.count, values))
    blocks = task.blocks("val")
    assert [block.title for block in blocks][:2] == ["Transcripts", "Alignment"]
    assert blocks[-1].title == "Confused characters"
    assert isinstance(blocks[0], TableBlock)
    assert {row[1] for row in blocks[0].rows} == set(to_texts(values["reference"]))
    page = Page(tmp_path)
    assert all(block.html(page) for block in blocks)
    assert isinstance(task.plot_batch(task.augment(batch)), Figure)
    details = task.details("val")
    assert details["beam"] == 1
    task.reset_examples()
    assert [block.title for block in task.blocks("val")] == ["Confused characters"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_scores_as_the_task_does(kind: Any) -> None:
    task, batch = make(kind)
    fitted(task, batch, steps=30)
    graph = RecognitionGraph(task).eval()
    batch["index"][-1] = -1
    task._scored(batch, "val")
    expected = float(task.scoreboard.compute("val")["cer"])
    assert graph.score(graph.call, [batch]) == pytest.approx(expected)
    inputs = graph.example(batch, 3)
    log_p, frames = graph.call(inputs)
    assert log_p.shape[0] == 3
    np.testing.assert_allclose(np.exp(log_p).sum(2), 1, atol=1e-4)
    assert frames.tolist() == task(batch)[1][:3].tolist()


def test_exported_lines_have_any_width(tmp_path: Path) -> None:
    """Those of speech are exported by tests/invariants."""
    task, batch = make()
    fitted(task, batch, steps=20)
    graph = RecognitionGraph(task).eval()
    save_onnx(graph, graph.example(batch, 2), tmp_path / "model.onnx", graph.metadata())
    call = load_onnx(tmp_path / "model.onnx")
    for width in (9, 30, 64):
        inputs = [batch["input"][:4, :width].numpy(), batch["length"][:4].clamp(max=width).numpy()]
        for found, expected in zip(call(inputs), graph.call(inputs), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("options", [{"beam": 0}, {"shortcut_weight": -1.0}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"model\.beam"):
        make(**options)


def test_a_network_for_other_bands_is_sized_by_the_features() -> None:
    features = {"_target_": "sightseq.audio.features.LogMel", "n_mels": 24}
    task, batch = make(SpeechRecognitionTask, features=features)
    assert task.net_arguments()["image_size"] == (24, None)
    assert task(batch)[0].shape[2] == task.alphabet.size


ATTENTION = {"_target_": "sightseq.nets.recognition_attention.AttendingCRNN", "embedding": 8, "decoder": [32]}


def test_the_attention_decoder_writes_its_targets() -> None:
    task, batch = make(net=ATTENTION, decoder="attention")
    fitted(task, batch, steps=300)
    values = task.decode(batch, "test")
    assert to_texts(values["hypothesis"]) == to_texts(values["reference"])
    task.decoder = "ctc"
    assert torch.equal(task.decode(batch, "test")["tokens"], values["tokens"])


def test_an_attention_decoder_is_not_ejected() -> None:
    with pytest.raises(ConfigError, match="attention decoder is not supported; use model/net=recognition/crnn"):
        make(net=ATTENTION)[0].plain()


def test_the_loss_of_the_attention_decoder_by_hand() -> None:
    task, batch = make(net=ATTENTION, attention_weight=1.0)
    task.eval()
    target, lengths = batch["target"], batch["target_length"]
    features, widths = task.features(batch)
    memory, state = task.net.encode(features, widths)
    log_p = task.net.decode(torch.nn.functional.pad(target, (1, 0)), state, memory)[0].log_softmax(2)
    expected = 0.0
    for row, length in enumerate(lengths.tolist()):
        text = [*target[row, :length].tolist(), 0]
        expected -= sum(log_p[row, place, token].item() for place, token in enumerate(text))
    assert task.step(batch, "val").loss_sum.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"decoder": "attention"}, "crnn_attention"), ({"attention_weight": 1.5}, "attention_weight=1.5")],
)
def test_wrong_options_of_the_attention_decoder(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make(**options)


def test_figures_of_cepstral_coefficients_are_of_their_mel_features() -> None:
    features = {"_target_": "sightseq.audio.features.MFCC", "n_mfcc": 20}
    task, batch = make(SpeechRecognitionTask, features=features)
    assert task.net_arguments()["image_size"] == (20, None)
    assert task.hop == pytest.approx(0.04)
    assert [row.shape for row in task.front.spectrograms(batch)] == [(64, 1 + int(n) // 80) for n in batch["length"]]
