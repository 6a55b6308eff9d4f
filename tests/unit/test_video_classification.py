"""Classification of videos: parts of clips, augmentation, frozen features, report, saliency, export and baselines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sightseq.core.arrays import ArrayDataset
from sightseq.core.blocks import FigureBlock
from sightseq.core.errors import ConfigError
from sightseq.core.graph import graph_of
from sightseq.core.loading import Batch
from sightseq.export.files import load_onnx, save_onnx
from sightseq.nets.video_conv import R2Plus1D
from sightseq.tasks.classification.baseline_videos import FrameStatistics, MiddleFrame
from sightseq.tasks.classification.video_saliency import clip_heat
from sightseq.tasks.classification.videos import VideoClassificationTask
from sightseq.vision.clip_views import positions, take

ENCODER = {"_target_": "sightseq.nets.feature_map.ConvFeatures", "channels": [4, 8]}
NET = {"_target_": "sightseq.nets.video.LRCN", "encoder": ENCODER, "hidden": [8]}


def make(net: dict[str, Any] = NET, spec: dict[str, Any] | None = None, **arguments: Any) -> VideoClassificationTask:
    torch.manual_seed(0)
    plain = VideoClassificationTask.example()[0].to_dict() | (spec or {})
    return VideoClassificationTask(spec=plain, net=net, **arguments).eval()


def example() -> Batch:
    return VideoClassificationTask.example()[1]


# Parts of a clip


def test_middle_frames_of_segments() -> None:
    chosen = positions(torch.tensor([8, 4, 2]), 4, "uniform", torch.tensor([[0.5]]))
    assert chosen.tolist() == [[1, 3, 5, 7], [0, 1, 2, 3], [0, 0, 1, 1]]


def test_dense_parts_are_successive_and_stay_in_the_clip() -> None:
    length = torch.tensor([8, 2])
    for place, first in ((0.0, 0), (0.5, 2), (1.0, 5)):  # 2.5 is rounded to the even number
        chosen = positions(length, 3, "dense", torch.tensor([[place]]))
        assert chosen.tolist() == [[first, first + 1, first + 2], [0, 1, 1]]


def test_taken_frames() -> None:
    frames = torch.arange(10).view(2, 5, 1)
    assert take(frames, torch.tensor([[0, 4], [1, 1]]))[..., 0].tolist() == [[0, 4], [6, 6]]


def test_a_prediction_is_the_mean_over_the_parts() -> None:
    task, batch = make(views=2, spec={"frames": 4}), example()
    batch = batch | {"input": batch["input"][:, :4], "length": torch.full((6,), 4)}
    parts = [task(batch["input"][:, start::2], torch.full((6,), 2)).softmax(1) for start in (0, 1)]
    torch.testing.assert_close(task.predict_step(batch), (parts[0] + parts[1]) / 2)
    drawn = task.train().augment(batch)
    assert drawn["input"].shape[1] == 2
    assert drawn["length"].tolist() == [2] * 6
    assert "one view" in task.training_differences()


@pytest.mark.parametrize("views", [0, 6])
def test_views_must_fit_the_clip(views: int) -> None:
    with pytest.raises(ConfigError, match="a clip of 5 frames has 1 to 5"):
        make(views=views)


# Augmentation


def test_augmentation_is_the_same_for_all_frames() -> None:
    bricks = {
        "flip": {"_target_": "sightseq.vision.augment.Flip"},
        "affine": {"_target_": "sightseq.vision.augment.Affine", "degrees": 20.0},
        "colour": {"_target_": "sightseq.vision.augment.Colour"},
    }
    task, batch = make(augment=bricks), example()
    still = batch["input"][:, :1].expand(-1, 5, -1, -1, -1)
    torch.manual_seed(0)
    changed = task.train().augment(batch | {"input": still})["input"]
    torch.testing.assert_close(changed, changed[:, :1].expand_as(changed))
    assert not torch.allclose(changed, still / 255)
    assert changed.std(dim=2).mean() > 0.01  # colours are not mixed with those of other frames


def test_flips_mirror_half_of_the_clips_in_training_only() -> None:
    task, batch = make(flips=True), example()
    torch.manual_seed(0)
    found = task.train().augment(batch)["input"]
    mirrored = [torch.equal(row, (clip / 255).flip(-1)) for row, clip in zip(found, batch["input"], strict=True)]
    same = [torch.equal(row, clip / 255) for row, clip in zip(found, batch["input"], strict=True)]
    assert sorted(zip(mirrored, same, strict=True)) == [(False, True)] * same.count(True) + [(True, False)] * (
        6 - same.count(True)
    )
    assert 0 < same.count(True) < 6


# Frozen features


def test_stored_features_give_the_same_predictions() -> None:
    task, batch = make(encoder_rate=0.0, flips=True, test_time_flips=True), example()
    assert task.frozen is not None
    with torch.no_grad():
        features = task.frozen.compute(batch)["features"]
    assert features.shape == (6, 5, 2, 8)
    assert features.dtype == torch.float16
    found = task.predict_step(batch | {"features": features})
    torch.testing.assert_close(found, task.predict_step(batch), rtol=1e-3, atol=1e-3)
    mirrored = batch | {"input": batch["input"].flip(-1)}
    torch.testing.assert_close(found, task.predict_step(mirrored), rtol=1e-3, atol=1e-3)
    drawn = task.train().augment(batch | {"features": features})["features"]
    assert drawn.shape == (6, 5, 1, 8)
    for row in range(6):
        assert any(torch.equal(drawn[row, :, 0], features[row, :, view]) for view in (0, 1))


def test_a_frozen_encoder_stays_in_eval_mode_and_is_not_optimised() -> None:
    task = make(encoder_rate=0.0).train()
    assert not any(module.training for module in task.net.encoder.modules())
    assert task.net.reader.training
    (group,) = task.parameter_groups()
    assert not {id(p) for p in group["params"]} & {id(p) for p in task.net.encoder.parameters()}


def test_the_encoder_learns_at_a_lower_rate() -> None:
    task = make(encoder_rate=0.1, optimizer={"_target_": "torch.optim.AdamW", "lr": 0.01}).train()
    rest, encoder = task.parameter_groups()
    assert encoder["lr"] == pytest.approx(0.001)
    assert len(rest["params"]) + len(encoder["params"]) == len(list(task.net.parameters()))
    assert task.frozen is None


def test_a_network_without_an_encoder_cannot_freeze_it() -> None:
    net = {"_target_": "sightseq.nets.video_conv.R2Plus1D", "channels": [4]}
    assert make(net).predict_step(example()).shape == (6, 3)
    with pytest.raises(ConfigError, match="R2Plus1D has no encoder"):
        make(net, encoder_rate=0.0)


# Report and saliency


def test_report_shows_frames_and_heat_maps() -> None:
    task, batch = make(), example()
    output = task.step(batch, "val")
    task.scoreboard.update("val", output)
    task.collect_examples(batch | {"features": torch.zeros(6, 5, 1, 8)}, output)
    assert "features" not in task._random.rows()
    blocks = {block.title: block for block in task.blocks("val")}
    assert isinstance(blocks["Sample predictions"], FigureBlock)
    assert isinstance(blocks["Which frames mattered, and where"], FigureBlock)


class Corner(nn.Module):
    """Two logits: the brightness of the upper left corner of the third frame, and 0."""

    def __init__(self, convolution: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1, groups=3, bias=False) if convolution else None
        if self.convolution:
            nn.init.ones_(self.convolution.weight)

    def forward(self, clips: Tensor, lengths: Tensor) -> Tensor:
        maps = clips.flatten(0, 1)
        if self.convolution:
            maps = nn.functional.avg_pool2d(self.convolution(maps).repeat(1, 2, 1, 1), 1)
        maps = maps.view(*clips.shape[:2], *maps.shape[1:])
        score = maps[:, min(2, clips.shape[1] - 1), :, :16, :16].mean((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], dim=1)


def test_heat_shows_the_frame_and_the_place_that_matter() -> None:
    clip = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    heat = clip_heat(Corner(convolution=False), clip, 0)  # no feature map: gradient times input
    assert heat.shape == (5, 32, 32)
    assert heat.max() == 1
    assert (heat[[0, 1, 3, 4]] == 0).all()
    assert heat[2, :14, :14].min() > 0
    assert (heat[2, 20:] == 0).all()
    assert (heat[2, :, 20:] == 0).all()
    mapped = clip_heat(make(), clip, 1)  # Grad-CAM
    assert mapped.shape == (5, 32, 32)
    assert mapped.max() == 1
    torch.manual_seed(0)
    strided = R2Plus1D(3, 2, channels=[4, 8]).eval()  # its last maps are fewer than the frames
    assert clip_heat(strided, torch.rand(5, 3, 64, 64), 1).shape == (5, 64, 64)


# Export


@pytest.mark.parametrize("vote", ["probabilities", "last"])
def test_a_stream_frame_by_frame_is_exported_in_two_files(vote: str, tmp_path: Path) -> None:
    task, batch = make(NET | {"vote": vote}), example()
    graph = graph_of(task)
    assert list(graph.inputs) == ["input", "h0", "c0"]
    assert graph.metadata()["vote"] == vote
    assert graph.amount(graph.example(batch, 1)) == (1.0, "frame")
    parts = graph.parts()
    assert list(parts) == ["encoder", "step"]
    calls = {}
    for name, part in parts.items():
        save_onnx(part, part.example(batch, 2), tmp_path / f"{name}.onnx", {})
        calls[name] = load_onnx(tmp_path / f"{name}.onnx")
    clip = batch["input"][1].numpy()  # five frames
    state, rows = [np.zeros((1, 1, 8), np.float32)] * 2, []
    for frame in clip:
        (features,) = calls["encoder"]([frame[None]])
        probabilities, *state = calls["step"]([features, *state])
        rows.append(probabilities[0])
    expected = task.predict_step(batch)[1].detach().numpy()
    np.testing.assert_allclose(np.mean(rows, axis=0) if vote == "probabilities" else rows[-1], expected, atol=1e-5)
    accuracy = (task.predict_step(batch).argmax(1) == batch["target"]).float().mean()
    for graph_part, call in ((graph, graph.call), *((parts[name], calls[name]) for name in parts)):
        assert graph_part.score(call, [batch]) == pytest.approx(float(accuracy))


def test_a_network_that_reads_ahead_is_exported_as_a_whole() -> None:
    net = {"_target_": "sightseq.nets.video.AttentionLSTM", "encoder": ENCODER, "hidden": [4]}
    graph = graph_of(make(net))
    assert list(graph.inputs) == ["input", "length"]
    assert list(graph.parts()) == ["model"]


# Baselines


def dataset(count: int, seed: int) -> ArrayDataset:
    """Clips of two frames and one of padding; in the second frame the upper or the left half is bright."""
    generator = np.random.default_rng(seed)
    clips = generator.integers(0, 40, (count, 3, 1, 16, 16)).astype(np.uint8)
    target = np.arange(count) % 2
    clips[target == 0, 1, :, :8] += 100
    clips[target == 1, 1, :, :, :8] += 100
    clips[:, 2] = 0
    arrays = {"input": clips, "target": target, "length": np.full(count, 2)}
    return ArrayDataset(arrays, np.arange(count))


@pytest.mark.parametrize("baseline", [MiddleFrame(), FrameStatistics(trees=10)])
def test_baselines_learn_where_it_is_bright(baseline: MiddleFrame | FrameStatistics) -> None:
    train, test = baseline.read(dataset(40, 0)), baseline.read(dataset(20, 1))
    baseline.fit(train)
    assert baseline.score(test)["accuracy"] > 0.9


def test_statistics_of_frames_by_hand() -> None:
    clip = np.stack([np.full((1, 8, 8), value, np.uint8) for value in (10, 40, 10)])
    (row,) = FrameStatistics().features([clip])
    mean, deviation, low, high, change = row.reshape(5, 64)[:, 0]
    assert (mean, low, high, change) == pytest.approx((20, 10, 40, 20))
    assert deviation == pytest.approx(np.std([10, 40, 10]))
