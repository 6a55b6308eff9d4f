"""The networks, the features and the report of a captioning model."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.blocks import FigureBlock
from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.core.graph import graph_of
from sightseq.core.task import Task
from sightseq.export.files import load_onnx, save_onnx
from sightseq.nets.captioning import AttendingDecoder, Captioner, ShowAttendTell
from sightseq.tasks.captioning.figures import captions_figure, lit
from sightseq.tasks.captioning.graph import CaptionGraph
from sightseq.tasks.captioning.task import CaptioningTask
from sightseq.tasks.conditional_generation.graph import greedy
from sightseq.tasks.conditional_generation.task import shift_right
from sightseq.text.batch import to_texts

SMALL = {"_target_": "sightseq.nets.feature_map.ConvFeatures", "channels": [8, 8, 8]}
PRETRAINED = {"_target_": "sightseq.nets.feature_map.FeatureMap", "name": "mobilenet_v3_small", "weights": "x"}
NET = {
    "_target_": "sightseq.nets.captioning.Captioner",
    "encoder": SMALL,
    "embedding": 16,
    "hidden": [32],
    "attention": "multiplicative",
}
FLIP = {"flip": {"_target_": "sightseq.vision.augment.Flip"}}


def make(**arguments: Any) -> tuple[CaptioningTask, dict[str, Tensor]]:
    torch.manual_seed(0)
    spec, batch = CaptioningTask.example()
    net = {**NET, **arguments.pop("net", {})}
    task = build({"_target_": f"{CaptioningTask.__module__}.CaptioningTask", "net": net, **arguments}, Task, "model",
                 spec=spec.to_dict())  # fmt: skip
    assert isinstance(task, CaptioningTask)
    return task, batch


@pytest.fixture(scope="module")
def trained() -> tuple[CaptioningTask, dict[str, Tensor]]:
    """A model that has learned the captions of the example by heart, from random features."""
    task, batch = make(encoder_rate=1.0)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    for _ in range(150):
        output = task.step(batch, "train")
        optimizer.zero_grad()
        (output.loss_sum / output.count).backward()
        optimizer.step()
    return task.eval(), batch


# Networks


@torch.no_grad()
def test_show_attend_tell_computes_the_equations_of_the_paper() -> None:
    torch.manual_seed(0)
    decoder = AttendingDecoder(11, 6, embedding=4, hidden=5, input_dropout=0.3, output_dropout=0.5).eval()
    values, tokens = torch.randn(2, 9, 6), torch.randint(11, (2, 3))
    memory, state = decoder.begin(values, torch.ones(2, 9, dtype=torch.bool), values.mean(1))
    features, after, weights = decoder.features(tokens, state, memory)
    lstm, attend = decoder.layers[0], decoder.attentions[0]
    h, c = torch.tanh(decoder.bridge(values.mean(1))).chunk(2, 1)
    for position in range(3):
        # e_ti = v · tanh(W h + U a_i), a = softmax(e), z = β Σ a_i a_i
        energy = torch.tanh(attend.query(h)[:, None] + attend.key(values)) @ attend.score
        a = energy.softmax(1)
        torch.testing.assert_close(weights[:, position], a)
        z = torch.sigmoid(decoder.gate(h)) * (a[:, :, None] * values).sum(1)
        x = decoder.embedding(tokens[:, position])
        _, (h, c) = lstm(torch.cat([x, z], 1)[:, None], (h[None], c[None]))
        h, c = h[0], c[0]
        torch.testing.assert_close(features[:, position], x + decoder.from_state(h) + decoder.from_context(z))
    torch.testing.assert_close(after["layers"], [(h[None], c[None])])
    torch.testing.assert_close(after["attention"], weights[:, -1])
    assert decoder.project(features).shape == (2, 3, 11)


def test_both_networks_have_the_parts_that_an_export_reads() -> None:
    encoder = nn.Conv2d(3, 8, 3)
    encoder.width = 8  # type: ignore[assignment]
    for net in (Captioner(20, encoder=encoder, attention="additive", hidden=[4]), ShowAttendTell(20, encoder=encoder)):
        assert net.decoder.cells == 2
        assert len(net.decoder.layers) == len(net.decoder.attentions) == 1
        assert net.decoder.feed is None
        images, tokens = torch.rand(2, 3, 6, 6), torch.randint(20, (2, 4))
        assert net(images, tokens).shape == (2, 4, 20)
        memory, state = net.encode(net.maps(images))
        assert set(memory) == {"values", "keys", "mask"}
        assert state["attention"].shape == memory["mask"].shape == (2, 16)


def test_maps_are_read_row_by_row() -> None:
    task, _ = make()
    images = torch.rand(2, 3, 64, 64)
    features = task.net.encoder(images)
    assert torch.equal(task.net.maps(images)[:, 8 * 3 + 5], features[:, :, 3, 5])


def test_an_encoder_needs_a_width() -> None:
    with pytest.raises(ConfigError, match="encoder: Conv2d has no width"):
        make(net={"encoder": {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 8, "kernel_size": 3}})


@torch.no_grad()
def test_projected_features() -> None:
    task, batch = make(net={"width": 6, "feature_dropout": 0.5})
    memory, _ = task.eval().encode(batch)
    expected = F.relu(task.net.reduce(task.maps(batch)))
    assert torch.equal(memory["values"], expected)
    assert not torch.equal(task.train().encode(batch)[0]["values"], expected)


# Frozen and trained encoders


def test_a_frozen_encoder_is_not_trained() -> None:
    task, batch = make()
    task.step(batch, "train").loss_sum.backward()
    assert not any(p.requires_grad or p.grad is not None for p in task.net.encoder.parameters())
    for mode in (True, False):
        assert not any(module.training for module in task.train(mode).net.encoder.modules())
    assert task.train().net.decoder.training
    (group,) = task.parameter_groups()
    assert {id(p) for p in group["params"]} == {id(p) for p in task.parameters() if p.requires_grad}


def test_a_trained_encoder_has_its_own_learning_rate() -> None:
    task, batch = make(encoder_rate=0.1, optimizer={"_target_": "torch.optim.Adam", "lr": 0.01})
    task.step(batch, "train").loss_sum.backward()
    assert all(p.grad is not None for p in task.net.parameters())
    decoder, encoder = task.parameter_groups()
    assert encoder["lr"] == pytest.approx(0.001)
    assert {id(p) for p in encoder["params"]} == {id(p) for p in task.net.encoder.parameters()}
    assert len(decoder["params"]) + len(encoder["params"]) == len(list(task.net.parameters()))
    rates = [group["lr"] for group in task.configure_optimizers().param_groups]
    assert rates == [0.01, pytest.approx(0.001)]


@pytest.mark.parametrize(("encoder", "kept"), [(PRETRAINED, True), (SMALL, False)])
def test_batch_norm_keeps_the_statistics_of_pretrained_weights(encoder: dict[str, Any], kept: bool) -> None:
    task, _ = make(encoder_rate=0.5, net={"encoder": encoder})
    norms = [module for module in task.train().net.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(norm.training != kept for norm in norms)
    assert task.net.encoder.training


def test_constants_come_from_the_weights_or_the_data() -> None:
    assert make()[0].pixels.std.flatten().tolist() == [0.25] * 3
    task, _ = make(net={"encoder": PRETRAINED})
    assert task.pixels.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


@torch.no_grad()
def test_stored_features_give_what_the_images_give() -> None:
    task, batch = make(flips=True)
    frozen = task.eval().frozen
    assert frozen is not None
    features = frozen.compute(batch)["features"]
    assert features.shape == (6, 2, 64, 8)
    assert features.dtype == torch.float16
    torch.testing.assert_close(features[:, 0].float(), task.maps(batch), rtol=1e-3, atol=1e-3)
    mirrored = task.maps({"input": batch["input"].flip(-1)})
    torch.testing.assert_close(features[:, 1].float(), mirrored, rtol=1e-3, atol=1e-3)
    stored = {**{name: tensor for name, tensor in batch.items() if name != "input"}, "features": features}
    torch.testing.assert_close(
        task.step(stored, "val").loss_sum, task.step(batch, "val").loss_sum, rtol=1e-3, atol=1e-3
    )
    for one in (stored, batch):
        one |= task.decode(one, "test")
    assert torch.equal(stored["tokens"], batch["tokens"])


def test_each_training_batch_has_one_view_of_each_image() -> None:
    task, batch = make(flips=True)
    features = torch.arange(2.0)[None, :, None, None].expand(6, 2, 4, 8)
    views = torch.stack([task.augment({**batch, "features": features})["features"][:, 0, 0, 0] for _ in range(50)])
    assert set(views.flatten().tolist()) == {0.0, 1.0}
    assert 0.3 < views.mean() < 0.7
    images = torch.stack([task.augment(batch)["input"] for _ in range(50)])
    original = (images == batch["input"] / 255).all((2, 3, 4))
    assert (original | (images == batch["input"].flip(-1) / 255).all((2, 3, 4))).all()
    assert 0.3 < original.float().mean() < 0.7
    plain, _ = make()
    assert torch.equal(plain.augment(batch)["input"], batch["input"] / 255)
    assert torch.equal(plain.augment({**batch, "features": features[:, :1]})["features"], features[:, :1])


def test_when_features_are_computed_once() -> None:
    assert make()[0].frozen is not None
    for arguments in ({"encoder_rate": 0.1}, {"cache_features": False}, {"augment": FLIP}):
        assert make(**arguments)[0].frozen is None
    keys = {make(**arguments)[0].frozen.key() for arguments in ({}, {"flips": True}, {"beam": 2})}  # type: ignore[union-attr]
    assert len(keys) == 2


def test_augmentations_move_the_images() -> None:
    task, batch = make(augment=FLIP)
    seen = task.augment(batch)["input"]
    assert seen.shape == (6, 3, 64, 64)
    assert not torch.equal(seen, batch["input"] / 255)
    assert task.training_differences() == ["augmentation"]
    assert make(flips=True)[0].training_differences() == ["mirror images"]


# Texts


@pytest.mark.parametrize("stage", ["val", "test"])
def test_a_model_writes_what_it_has_learned(stage: str, trained: Any) -> None:
    task, batch = trained
    values = task.decode(batch, stage)
    assert values["exact"].all()
    assert to_texts(values["reference"]) == to_texts(batch["reference"])
    assert [f"{text}\na small house" for text in to_texts(values["hypothesis"])] == to_texts(batch["reference"])


def test_each_line_of_a_reference_is_one() -> None:
    task, batch = make()
    assert [len(several) for several in task.references(batch)] == [2] * 6
    del batch["reference"]
    assert [len(several) for several in task.references(batch)] == [1] * 6
    assert "nrefs:var" in task.bleu_signature()


def test_captions_have_at_most_the_tokens_of_the_spec() -> None:
    task, batch = make()
    assert task.longest(batch).tolist() == [20] * 6


def test_forward_gives_the_logits_of_the_step(trained: Any) -> None:
    task, batch = trained
    with torch.no_grad():
        logits = task(batch["input"], shift_right(batch["target"]))
        loss = F.cross_entropy(logits.flatten(0, 1), batch["target"].flatten(), ignore_index=-1, reduction="sum")
        torch.testing.assert_close(task.step(batch, "val").loss_sum, loss)


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_invalid_arguments_are_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=f"encoder_rate={rate}"):
        make(encoder_rate=rate)


# Report


def test_the_report(trained: Any) -> None:
    task, batch = trained
    output = task._scored(batch, "test")
    task.collect_examples(batch, output)
    blocks = {block.title: block for block in task.blocks("test")}
    captions = blocks["Captions"]
    assert isinstance(captions, FigureBlock)
    texts = {text.get_text().strip().replace("\n", " ") for axes in captions.figure.axes for text in axes.texts}
    assert set(to_texts(output.values["hypothesis"])) <= texts
    assert sum(text.endswith("· a small house") for text in texts) > 1  # the second reference of each image
    worst = blocks["Worst captions"]
    assert isinstance(worst, FigureBlock)
    cider = [int(axes.texts[0].get_text().rpartition("(")[2].rstrip(")")) for axes in worst.figure.axes]
    assert cider == sorted(cider)
    assert len(cider) == 6
    attention = blocks["Attention"]
    assert isinstance(attention, FigureBlock)
    shown = [axes.get_title(loc="left") for axes in attention.figure.axes if axes.images]
    assert shown.count("") == 3  # the images themselves
    assert " ".join(shown).split() == " ".join(to_texts(task._random.rows()["hypothesis"])[:3]).split()
    task.reset_examples()
    assert "Captions" not in {block.title for block in task.blocks("test")}


def test_a_batch_is_plotted_with_its_captions() -> None:
    task, batch = make()
    figure = task.plot_batch(task.augment(batch))
    assert len(figure.axes) == 6
    shown = [axes.texts[0].get_text().replace("\n", " ") for axes in figure.axes]
    assert shown == [several[0] for several in task.references(batch)]


def test_a_network_without_attention_has_no_attention_figure() -> None:
    task, batch = make(net={"attention": None})
    task.eval()
    task.collect_examples(batch, task._scored(batch, "test"))
    assert "Attention" not in {block.title for block in task.blocks("test")}


@pytest.mark.parametrize("shape", [(8, 9), (24, 9, 3), (64, 64, 3)])
def test_texts_of_a_figure_do_not_overlap(shape: tuple[int, ...]) -> None:
    images = [np.zeros(shape, np.uint8)] * 7
    captions = ["a woman swimming among many " * 2, "a caption of many words . " * 4, *["short"] * 5]
    figure = captions_figure(images, captions, [["a red house in a long row of old houses"] * 7] * 7)
    assert len(figure.axes) == 7
    assert not any("\n." in text.get_text() for axes in figure.axes for text in axes.texts)
    canvas = FigureCanvasAgg(figure)
    boxes = [text.get_window_extent(canvas.get_renderer()) for axes in figure.axes for text in axes.texts]
    boxes += [axes.get_window_extent() for axes in figure.axes]
    width, height = canvas.get_width_height()
    assert all(0 <= box.x0 <= box.x1 <= width and 0 <= box.y0 <= box.y1 <= height for box in boxes)
    assert not any(one.padded(-0.5).overlaps(other) for one, other in combinations(boxes, 2))


def test_attention_brightens_its_positions() -> None:
    image, weights = np.full((40, 60, 3), 200, np.uint8), np.zeros((4, 6), np.float32)
    weights[1, 4] = 0.3
    bright = lit(image, weights)
    assert bright[15, 45].tolist() == pytest.approx([200] * 3, abs=20)
    assert bright[35, 5].tolist() == [70, 70, 70]
    assert lit(image[:, :, 0], weights).shape == (40, 60)


# Export


@pytest.mark.parametrize("option", ["attention", "pooled", "show_attend_tell"])
def test_exported_files_caption_the_images_as_the_model_does(option: str, tmp_path: Path, trained: Any) -> None:
    task, batch = trained
    if option == "pooled":
        task, _ = make(net={"attention": None})
    elif option == "show_attend_tell":
        task = CaptioningTask(
            spec=task.spec.to_dict(),
            net={
                "_target_": "sightseq.nets.captioning.ShowAttendTell",
                "encoder": SMALL,
                "embedding": 16,
                "hidden": 16,
            },
        )
    graph = graph_of(task.eval())
    assert isinstance(graph, CaptionGraph)
    calls = {}
    for name, part in graph.parts().items():
        save_onnx(part, part.example(batch, rows=3), tmp_path / f"{name}.onnx", part.metadata())
        calls[name] = load_onnx(tmp_path / f"{name}.onnx")
    rows = greedy(graph, calls["encoder"], calls["decoder"], batch)
    found = task.decode(batch, "val")
    assert [task.tokenizer.decode(row) for row in rows] == to_texts(found["hypothesis"])
    if option == "attention":  # the trained model knows all captions
        assert len(set(to_texts(found["hypothesis"]))) > 3
        score = task.scores("val")[task.headline]
        score.metric.update(*({**found, "index": batch["index"]}[name] for name in score.reads))
        expected = pytest.approx(float(score.metric.compute()))
        assert graph.score(calls["decoder"], [batch]) == expected
        assert graph.encoder.score(calls["encoder"], [batch]) == expected
