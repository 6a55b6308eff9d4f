"""Denoising: networks, the task on images of several sizes, baselines, the exported graph, the report."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.nets.denoising import ConvAutoencoder, DnCNN, UNet
from sightseq.tasks.denoising.baseline import (
    BM3D,
    Filter,
    GaussianFilter,
    MedianFilter,
    NoisyInput,
    NonLocalMeans,
    Wavelet,
)
from sightseq.tasks.denoising.figures import most_detailed_square
from sightseq.tasks.denoising.graph import DenoisingGraph
from sightseq.tasks.denoising.task import DenoisingTask, group_by_size
from sightseq.vision.patches import Crop, Turn
from sightseq.vision.quality import psnr, ssim

SMALL: dict[str, Any] = {"_target_": "sightseq.nets.denoising.UNet", "channels": [8, 12], "blocks": 1}


def make(levels: tuple[float, ...] = (25.0,), noise: dict[str, Any] | None = None, **net: Any) -> DenoisingTask:
    torch.manual_seed(0)
    spec = DenoisingTask.example()[0].to_dict() | {"levels": levels}
    if noise is not None:
        spec["noise"] = noise
    return DenoisingTask(spec=spec, net=SMALL | net).eval()


def images(*shapes: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, *shape, generator=generator) for shape in shapes]


def batch_of(clean: list[Tensor], level: float = 25.0) -> Batch:
    """Return a batch of noisy images, padded on the right and at the bottom."""
    height, width = (max(image.shape[side] for image in clean) for side in (1, 2))
    padded = torch.zeros(2, len(clean), 3, height, width)
    generator = torch.Generator().manual_seed(2)
    for row, image in enumerate(clean):
        _, h, w = image.shape
        padded[0, row, :, :h, :w] = image + level / 255 * torch.randn(image.shape, generator=generator)
        padded[1, row, :, :h, :w] = image
    size = torch.tensor([image.shape[1:] for image in clean])
    index = torch.arange(len(clean))
    return {
        "input": padded[0],
        "target": padded[1],
        "size": size,
        "level": torch.full((len(clean),), level),
        "index": index,
    }


@pytest.mark.parametrize("size", [(32, 48), (17, 23), (1, 1), (3, 40)])
@pytest.mark.parametrize(
    "net", [ConvAutoencoder(3, 3, (8, 8)), DnCNN(3, 3, 3, 8, scale=2), UNet(3, 3, (8, 8, 8), 1, noise_map=True)]
)
def test_networks_take_any_size(net: torch.nn.Module, size: tuple[int, int]) -> None:
    assert net(torch.rand(2, 3, *size), torch.tensor([5.0, 50.0])).shape == (2, 3, *size)


def test_the_course_autoencoder_has_the_layers_of_the_course() -> None:
    weights = [tuple(weight.shape) for weight in ConvAutoencoder(1, 1).parameters() if weight.ndim == 4]
    assert weights == [(32, 1, 3, 3), (32, 32, 3, 3), (1, 32, 3, 3)]
    found = ConvAutoencoder(1, 1)(torch.randn(1, 1, 8, 8) * 9, torch.zeros(1))
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("net", [DnCNN(3, 3, 3, 8), UNet(3, 3, (8, 8), 1)])
def test_the_image_is_not_rounded_to_bf16(net: Any) -> None:
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    seen = torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(seen, torch.zeros(1)), seen)


def test_a_noise_map_changes_the_result_and_its_absence_does_not() -> None:
    seen = torch.rand(1, 3, 16, 16)
    for noise_map in (True, False):
        torch.manual_seed(0)
        net = UNet(3, 3, (8, 8), 1, noise_map=noise_map)
        assert torch.equal(net(seen, torch.tensor([5.0])), net(seen, torch.tensor([50.0]))) is not noise_map


def test_without_biases_the_output_scales_with_the_input() -> None:
    net, seen = UNet(3, 3, (8, 8), 1), torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(net(3 * seen, torch.zeros(1)), 3 * net(seen, torch.zeros(1)))


def test_images_of_several_sizes_have_the_same_scores_as_alone() -> None:
    task, clean = make(), images((16, 20), (11, 30), (16, 20))
    whole = task.step(batch_of(clean), "test")
    apart = [task.step({k: v[n : n + 1] for k, v in batch_of(clean).items()}, "test") for n in range(3)]
    assert int(whole.count) == 3 * (2 * 16 * 20 + 11 * 30)
    torch.testing.assert_close(whole.loss_sum, sum(one.loss_sum for one in apart))
    for name in ("psnr", "ssim", "noisy_psnr"):
        torch.testing.assert_close(whole.values[name], torch.cat([one.values[name] for one in apart]))
    # The network does not get the padding: an image that is cropped first gives the same result.
    alone = task.restore(batch_of(clean)["input"][1:2, :, :11, :30], torch.tensor([25.0]))
    torch.testing.assert_close(whole.values["prediction"][1:2, :, :11, :30], alone)
    assert whole.values["prediction"][1, :, 11:].abs().sum() == 0


def test_scores_are_means_over_images_of_each_level() -> None:
    task = make(levels=(15.0, 25.0))
    batch = batch_of(images((16, 16), (16, 16), (16, 16)))
    batch["level"] = torch.tensor([15.0, 25.0, 25.0])
    batch["index"][2] = PAD_INDEX
    output = task.step(batch, "val")
    task.scoreboard.update("val", output)
    found = task.scoreboard.compute("val")
    first, second = output.values["psnr"][:2]
    torch.testing.assert_close(
        torch.stack([found[name] for name in ("psnr_15", "psnr_25")]), torch.stack([first, second])
    )
    torch.testing.assert_close(found["psnr"], (first + second) / 2)


def test_training_draws_noise_again_for_each_batch() -> None:
    task, clean = make().train(), torch.stack(images((16, 16), (16, 16)))
    batch = {"input": clean, "target": clean, "index": torch.arange(2)}
    first, second = task.augment(batch), task.augment(batch)
    assert torch.equal(first["target"], clean)
    assert first["level"].tolist() == [75, 75]
    assert not torch.equal(first["input"], second["input"])
    assert (first["input"] - clean).std() == pytest.approx(75 / 255, rel=0.1)


def test_pairs_keep_their_own_noise_and_move_together() -> None:
    task = make(noise={}, levels=()).train()
    task.augmentations.extend([Crop(8), Turn()])
    noisy = (torch.rand(4, 3, 16, 16) * 255).byte()
    batch = {"input": noisy, "target": noisy, "level": torch.zeros(4), "index": torch.arange(4)}
    found = task.augment(batch)
    assert found["input"].shape == (4, 3, 8, 8)
    assert torch.equal(found["input"], found["target"])


def test_crops_lie_inside_and_turns_reach_all_orientations() -> None:
    ramp = torch.arange(36.0).view(1, 1, 6, 6).expand(400, 1, 6, 6) / 36
    crops = Crop(3)({"input": ramp})["input"]
    assert len(crops[:, 0, 0, 0].unique()) == 16
    torch.testing.assert_close(crops[:, 0, 1, 1], crops[:, 0, 0, 0] + 7 / 36)
    turned = Turn()({"input": ramp})["input"]
    assert len(torch.unique(turned, dim=0)) == 8
    assert Turn()({"input": ramp[..., :5]})["input"].shape[-2:] == (6, 5)


def test_rows_of_equal_size_are_grouped() -> None:
    found = {(h, w): rows.tolist() for rows, h, w in group_by_size(torch.tensor([[3, 4], [5, 4], [3, 4]]))}
    assert found == {(3, 4): [0, 2], (5, 4): [1]}


def smooth(count: int = 2) -> Batch:
    """Return smooth images with noise, which every filter improves."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    clean = torch.nn.functional.interpolate(coarse, (40, 32), mode="bicubic").clamp(0.2, 0.8)
    return batch_of([*clean, clean[0, :, :20, :24]])


@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("baseline", [GaussianFilter(), MedianFilter(), NonLocalMeans(), Wavelet(), BM3D()])
def test_filters_improve_smooth_images(baseline: Filter, channels: int) -> None:
    arrays = {name: values.numpy() for name, values in smooth().items()}
    arrays |= {name: arrays[name][:, :channels] for name in ("input", "target")}
    before, after = NoisyInput().score(arrays), baseline.score(arrays)
    assert before["psnr"] == pytest.approx(20.17, abs=0.2)  # 20 log10(255 / 25)
    assert after["psnr"] > before["psnr"] + 4
    assert after["ssim"] > before["ssim"]
    assert baseline.predict(arrays)[2, :, 20:].sum() == 0


def test_filters_estimate_an_unknown_level() -> None:
    arrays = {name: values.numpy() for name, values in smooth().items()}
    known = NonLocalMeans().score(arrays)["psnr"]
    arrays["level"] = np.zeros(3, np.float32)
    assert NonLocalMeans().score(arrays)["psnr"] == pytest.approx(known, abs=1)


def test_baselines_score_each_level() -> None:
    arrays = {name: np.concatenate([values.numpy()] * 3) for name, values in smooth().items()}
    arrays["level"] = np.repeat([15.0, 25.0, 50.0], 3).astype(np.float32)
    assert set(NoisyInput().score(arrays)) == {"psnr", "ssim", "psnr_15", "psnr_25", "psnr_50"}


@pytest.mark.parametrize("noise_map", [False, True])
def test_the_graph_restores_images_as_the_task_does(noise_map: bool) -> None:
    task = make(noise_map=noise_map)
    graph, batch = DenoisingGraph(task).eval(), batch_of(images((16, 20), (13, 24)))
    batch["index"][0] = PAD_INDEX
    ((restored, clean),) = graph.read(graph.call, [batch])
    with torch.no_grad():
        expected = task.step(batch, "val").values
    np.testing.assert_allclose(restored[0], expected["prediction"][1, :, :13, :24].numpy(), atol=1e-6)
    assert clean.shape == (1, 3, 13, 24)
    assert graph.score(graph.call, [batch]) == pytest.approx(float(expected["psnr"][1]), abs=1e-3)
    assert [array.shape for array in graph.example(batch, 5)] == [(5, 3, 13, 20), (5,)][: 1 + noise_map]


def test_the_report_shows_images_of_several_sizes() -> None:
    task, batch = make(levels=(15.0, 25.0)), batch_of(images((16, 20), (13, 24)))
    batch["level"] = torch.tensor([15.0, 25.0])
    task.collect_examples(batch, task.step(batch, "test"))
    task.collect_examples(batch, task.step(batch, "test"))
    titles = ["Restored images", "Worst images", "PSNR of each image", "PSNR against the noise level"]
    assert [block.title for block in task.blocks("test")] == titles
    task.reset_examples()
    assert task.blocks("test") == []


def test_the_enlarged_square_has_the_most_detail() -> None:
    image = torch.zeros(1, 200, 300)
    image[0, 100:140, 200:240] = torch.rand(40, 40)
    top, left, side = most_detailed_square(image)
    assert side == 64
    assert top <= 120 <= top + side
    assert left <= 220 <= left + side


def test_quality_of_equal_images_and_of_known_errors() -> None:
    clean = torch.rand(2, 1, 16, 16)
    assert psnr(clean, clean).tolist() == [100, 100]
    torch.testing.assert_close(psnr(clean + 0.1, clean), torch.full((2,), 20.0))
    torch.testing.assert_close(ssim(clean, clean), torch.ones(2))
