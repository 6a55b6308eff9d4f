"""Classification: loss, metrics and averages over views, by hand and against scikit-learn.

Most tests use the network `Flatten` on images of one row of K pixels, with mean 0 and standard deviation 1: the
pixels of an image are its logits.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassCalibrationError
from torchvision.transforms.v2.functional import resize

from sightseq.core.arrays import ArrayDataset
from sightseq.core.blocks import FigureBlock, TableBlock
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.scores import Output
from sightseq.tasks.classification.calibration import BINS, CalibrationError
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.saliency import heat_maps
from sightseq.tasks.classification.task import SHOWN
from sightseq.vision.spec import ImageSpec

FLATTEN = {"_target_": "torch.nn.Flatten"}


def make(classes: int = 4, width: int | None = None, **arguments: Any) -> ImageClassificationTask:
    names = tuple(f"class {n}" for n in range(classes))
    spec = ImageSpec(1, 1, width or classes, names, (0.0,), (1.0,)).to_dict()
    return ImageClassificationTask(**{"spec": spec, "net": FLATTEN, **arguments}).eval()


def random_batch(count: int = 300, classes: int = 4, seed: int = 0) -> Batch:
    """Logits whose prediction is right for about half of the samples."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator) + 1.5 * F.one_hot(target, classes)
    return {"input": logits.view(count, 1, 1, classes), "target": target, "index": torch.arange(count)}


def scores(task: ImageClassificationTask, *batches: Batch, stage: str = "val") -> dict[str, float]:
    """The metrics of a stage after these batches."""
    for batch in batches:
        task.scoreboard.update(stage, task.step(batch, stage))
    return {name: float(value) for name, value in task.scoreboard.metrics(stage).compute().items() if value.ndim == 0}


# The loss


@pytest.mark.parametrize("stage", ["train", "val", "test"])
def test_loss_is_the_sum_of_cross_entropies(stage: str) -> None:
    batch = random_batch()
    output = make().step(batch, stage)
    expected = F.cross_entropy(batch["input"].flatten(1), batch["target"], reduction="sum")
    assert output.loss_sum.item() == pytest.approx(expected.item(), rel=1e-5)
    assert output.count.item() == 300


def test_label_smoothing_by_hand_and_only_in_training() -> None:
    batch = random_batch(1, classes=3)
    log_p = batch["input"].flatten(1).log_softmax(1)[0]
    target = int(batch["target"])
    smooth = -(0.7 * log_p[target] + 0.3 * log_p.mean())
    task = make(3, label_smoothing=0.3)
    assert task.step(batch, "train").loss_sum.item() == pytest.approx(smooth.item(), rel=1e-5)
    assert task.step(batch, "val").loss_sum.item() == pytest.approx(-log_p[target].item(), rel=1e-5)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_label_smoothing_is_a_fraction(share: float) -> None:
    with pytest.raises(ConfigError, match=f"model.label_smoothing={share}"):
        make(label_smoothing=share)


def with_padding(batch: Batch) -> Batch:
    """The batch with two padding rows, whose content differs from all samples."""
    return {
        "input": torch.cat([batch["input"], torch.full_like(batch["input"][:2], 50.0)]),
        "target": torch.cat([batch["target"], torch.tensor([0, 1])]),
        "index": torch.cat([batch["index"], torch.tensor([-1, -1])]),
    }


@pytest.mark.parametrize("stage", ["train", "val"])
def test_padding_is_not_counted(stage: str) -> None:
    batch = random_batch()
    plain, padded = make(label_smoothing=0.1), make(label_smoothing=0.1)
    one, other = plain.step(batch, stage), padded.step(with_padding(batch), stage)
    assert other.loss_sum.item() == pytest.approx(one.loss_sum.item(), rel=1e-6)
    assert other.count.item() == one.count.item() == 300
    assert scores(padded, with_padding(batch), stage=stage) == pytest.approx(scores(plain, batch, stage=stage))


@pytest.mark.filterwarnings("ignore:Encountered `nan`")
def test_batch_of_only_padding_is_not_counted() -> None:
    batch, nothing = random_batch(), {name: rows[-2:] for name, rows in with_padding(random_batch()).items()}
    output = make().step(nothing, "val")
    assert output.loss_sum.item() == 0
    assert output.count.item() == 0
    assert scores(make(), batch, nothing) == pytest.approx(scores(make(), batch))


def test_loss_is_averaged_by_samples_not_by_batches() -> None:
    batch = random_batch()
    parts = [{name: rows[part] for name, rows in batch.items()} for part in (slice(0, 290), slice(290, 300))]
    assert scores(make(), *parts) == pytest.approx(scores(make(), batch), rel=1e-5)
    expected = F.cross_entropy(batch["input"].flatten(1), batch["target"])
    assert scores(make(), *parts)["loss"] == pytest.approx(expected.item(), rel=1e-5)


# The metrics


@pytest.mark.parametrize("classes", [2, 3, 4, 6, 10])
def test_metrics_against_scikit_learn(classes: int) -> None:
    batch = random_batch(500, classes)
    logits, true = batch["input"].flatten(1).numpy(), batch["target"].numpy()
    guess = logits.argmax(1)
    labels = list(range(classes))
    expected = {
        "accuracy": sk.accuracy_score(true, guess),
        "precision": sk.precision_score(true, guess, average="macro"),
        "recall": sk.recall_score(true, guess, average="macro"),
        "f1": sk.f1_score(true, guess, average="macro"),
        "loss": sk.log_loss(true, batch["input"].flatten(1).softmax(1).numpy(), labels=labels),
    }
    for top in (3, 5):
        if classes > top:
            expected[f"top{top}"] = sk.top_k_accuracy_score(true, logits, k=top, labels=labels)
    found = scores(make(classes), batch)
    del found["calibration_error"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_metrics_with_missing_or_never_predicted_classes() -> None:
    true, guess = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 0, 1])  # 2 is never predicted, 3 is missing
    logits = 5 * F.one_hot(torch.from_numpy(guess), 4).float()
    batch = {"input": logits.view(6, 1, 1, 4), "target": torch.from_numpy(true), "index": torch.arange(6)}
    found = scores(make(4), batch)
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    assert found["precision"] == pytest.approx(sk.precision_score(true, guess, **macro))
    assert found["recall"] == pytest.approx(sk.recall_score(true, guess, **macro))
    assert found["f1"] == pytest.approx(sk.f1_score(true, guess, **macro))


def test_calibration_error_by_hand() -> None:
    batch = random_batch(400, 3)
    confidence, guess = (t.numpy() for t in batch["input"].flatten(1).softmax(1).max(1))
    right = guess == batch["target"].numpy()
    bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
    error = sum(
        (bins == n).mean() * abs(right[bins == n].mean() - confidence[bins == n].mean()) for n in set(bins.tolist())
    )
    assert error > 0.02
    assert scores(make(3), batch)["calibration_error"] == pytest.approx(error, abs=1e-5)


class AlmostSure(nn.Module):
    """Gives every image the same logits, with a probability of almost 1."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


@pytest.mark.parametrize("views", [{}, {"test_time_flips": True}])
@pytest.mark.parametrize("surest", [200.0, 17.0, 16.0, 12.0])
def test_probabilities_never_exceed_one(views: dict[str, Any], surest: float) -> None:
    task = make(3, **views)
    task.net = AlmostSure(surest, 0.0, 0.0)
    batch = random_batch(8, 3)
    assert task.predict_step(batch).max() <= 1
    wrong = (batch["target"] != 0).float().mean().item()
    assert scores(task, batch)["calibration_error"] == pytest.approx(wrong, abs=1e-3)  # one softmax, not two


@pytest.mark.parametrize("sharpness", [1.0, 5.0, 40.0])
def test_calibration_error_and_its_bins(sharpness: float) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = CalibrationError(), MulticlassCalibrationError(4, n_bins=15, ignore_index=PAD_INDEX)
    kept = []
    for _ in range(3):
        prediction = (sharpness * torch.randn(100, 4, generator=generator)).softmax(1)
        target = torch.randint(PAD_INDEX, 4, (100,), generator=generator)
        ours.update(prediction, target)
        theirs.update(prediction, target)
        kept.append(prediction[target != PAD_INDEX].max(1).values)
    assert (torch.cat(kept) == 1).any() == (sharpness == 40)  # probabilities of exactly 1 have their own bin
    assert ours.compute().item() == pytest.approx(theirs.compute().item(), rel=1e-5)
    count, confidence, hits = ours.bins()
    assert len(count) == len(confidence) == len(hits) == BINS
    expected = torch.histc(torch.cat(kept), BINS, 0, 1)
    assert torch.equal(count, expected)
    assert confidence.sum().item() == pytest.approx(torch.cat(kept).sum().item(), rel=1e-5)
    assert 0 < hits.sum() < count.sum()
    assert (hits <= count).all()


def test_no_metric_keeps_its_samples() -> None:
    task = make()
    for stage in ("train", "val", "test"):
        for metric in task.scoreboard.metrics(stage).values(copy_state=False):
            assert all(isinstance(default, Tensor) for default in metric._defaults.values()), metric


def test_training_has_only_cheap_metrics() -> None:
    assert set(scores(make(), random_batch(), stage="train")) == {"loss", "accuracy"}


def test_details_against_scikit_learn() -> None:
    batch, task = random_batch(300, 3), make(3)
    task.scoreboard.update("test", task.step(batch, "test"))
    details = task.details("test")
    true, guess = batch["target"].numpy(), batch["input"].flatten(1).argmax(1).numpy()
    assert details["confusion"] == sk.confusion_matrix(true, guess).tolist()
    columns = sk.precision_recall_fscore_support(true, guess)
    table = next(block for block in task.blocks("test") if isinstance(block, TableBlock))
    assert table.title == "Each class, on the test data"
    assert [row[1:] for row in table.rows] == [pytest.approx(row, rel=1e-5) for row in zip(*columns, strict=True)]
    for n, (name, row) in enumerate(details["per_class"].items()):
        assert name == f"class {n}"
        expected = dict(zip(("precision", "recall", "f1", "support"), (column[n] for column in columns), strict=True))
        assert row == pytest.approx(expected, rel=1e-5)


def test_details_of_classes_that_are_missing_are_zeros() -> None:
    batch = {"input": torch.tensor([[[[5.0, 0.0]]]]), "target": torch.tensor([0]), "index": torch.tensor([0])}
    task = make(2)
    task.scoreboard.update("val", task.step(batch, "val"))
    assert task.details("val")["per_class"]["class 1"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, []),
        ({"label_smoothing": 0.2}, ["label smoothing of 0.2 (in the loss)"]),
        ({"net": {"_target_": "torch.nn.Dropout", "p": 0.1}}, ["dropout"]),
        (
            {
                "augment": {"crop": None, "flip": {"_target_": "sightseq.vision.augment.Flip"}},
                "net": {"_target_": "torch.nn.Dropout", "p": 0.1},
            },
            ["augmentation", "dropout"],
        ),
        ({"net": {"_target_": "torch.nn.Dropout", "p": 0.0}}, []),
    ],
)
def test_reasons_for_worse_training_scores(arguments: dict[str, Any], words: list[str]) -> None:
    assert make(**arguments).training_differences() == words


# The network's output


def test_one_output_is_interpreted_as_two_logits() -> None:
    task = make(2, width=1)
    z = torch.tensor([-2.0, 0.0, 3.0])
    batch = {"input": z.view(3, 1, 1, 1), "target": torch.tensor([0, 1, 1]), "index": torch.arange(3)}
    assert task(batch["input"]).tolist() == [[0, -2], [0, 0], [0, 3]]
    assert task.predict_step(batch)[:, 1].tolist() == pytest.approx(torch.sigmoid(z).tolist())
    expected = F.binary_cross_entropy_with_logits(z, batch["target"].float(), reduction="sum")
    assert task.step(batch, "train").loss_sum.item() == pytest.approx(expected.item(), rel=1e-6)


def test_bytes_and_floats_are_normalised_alike() -> None:
    spec = ImageSpec(1, 1, 2, ("a", "b"), (0.25,), (0.5,)).to_dict()
    task = ImageClassificationTask(spec=spec, net=FLATTEN)
    pixels = torch.tensor([[[[51, 255]]]], dtype=torch.uint8)
    assert task(pixels)[0].tolist() == pytest.approx([(0.2 - 0.25) / 0.5, (1 - 0.25) / 0.5])
    assert torch.equal(task(pixels), task(pixels.float() / 255))


def softmax(*logits: float) -> np.ndarray:
    found: np.ndarray = np.exp(logits) / np.exp(logits).sum()
    return found


def predicted(task: ImageClassificationTask, *logits: float) -> list[float]:
    found: list[float] = task.predict_step({"input": torch.tensor(logits, dtype=torch.float32).view(1, 1, 1, -1)})[
        0
    ].tolist()
    return found


def test_flips_average_probabilities() -> None:
    expected = (softmax(1, 2, 4) + softmax(4, 2, 1)) / 2
    assert predicted(make(3, test_time_flips=True), 1, 2, 4) == pytest.approx(expected.tolist(), rel=1e-5)


def test_training_sees_one_view() -> None:
    batch = random_batch(5, 3)
    one, many = make(3), make(3, test_time_flips=True)
    assert one.step(batch, "train").loss_sum == many.step(batch, "train").loss_sum
    assert one.step(batch, "val").loss_sum != many.step(batch, "val").loss_sum


# Augmentation, observation, optimiser


def test_augmentation_is_applied_in_order_and_only_in_training() -> None:
    bricks = {
        "flip": {"_target_": "sightseq.vision.augment.Flip", "p": 1.0},
        "none": None,
        "erase": {"_target_": "sightseq.vision.augment.Erase", "p": 1.0, "smallest": 1.0, "largest": 1.0},
    }
    task = make(3, augment={"flip": bricks["flip"]})
    batch = {"input": torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8), "target": torch.tensor([1])}
    assert task.train().augment(batch)["input"].flatten().tolist() == pytest.approx([1.0, 0.2, 0.0])
    assert task.eval().augment(batch)["input"].flatten().tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert task.augment(batch)["target"] is batch["target"]
    both = make(3, augment=bricks).train()
    assert both.augment(batch)["input"].unique().tolist() == [0.5]
    with pytest.raises(ConfigError, match=r"model\.augment\.flip\.q"):
        make(3, augment={"flip": {**bricks["flip"], "q": 1}})


def test_augmentation_runs_in_full_precision_under_autocast() -> None:
    seen: dict[str, bool] = {}
    task = make()
    task._trainer = SimpleNamespace(world_size=1, accumulate_grad_batches=1)
    task.augment = lambda batch: [seen.update(augment=torch.is_autocast_enabled("cpu")), batch][1]
    task.net.register_forward_hook(lambda *_: seen.update(net=torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", torch.bfloat16):
        task.training_step(random_batch(4), 0)
    assert seen == {"augment": False, "net": True}


def test_the_most_confident_mistakes_are_collected() -> None:
    task, batch = make(3), random_batch(200, 3)
    for part in (slice(0, 120), slice(120, 200)):
        rows = with_padding({name: tensor[part] for name, tensor in batch.items()})
        task.collect_examples(rows, task.step(rows, "test"))
    confidence, guess = batch["input"].flatten(1).softmax(1).max(1)
    wrong = (guess != batch["target"]).nonzero().flatten()
    expected = wrong[confidence[wrong].argsort(descending=True)][:SHOWN]
    assert task._worst.rows()["index"].tolist() == expected.tolist()
    chosen = task._random.rows()["index"]
    assert len(chosen.unique()) == SHOWN
    assert chosen.min() >= 0
    assert chosen.float().std() > 20  # from the whole split
    assert scores(task, batch)["accuracy"] > 0
    assert len(task.blocks("val")) == 5
    task.reset_examples()
    assert task._worst.rows() == task._random.rows() == {}


def test_biases_and_norms_do_not_decay() -> None:
    net = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4], "batch_norm": True, "hidden": [5]}
    spec = ImageSpec(1, 8, 8, ("a", "b"), (0.0,), (1.0,)).to_dict()
    adamw = {"_target_": "torch.optim.AdamW", "lr": 0.5, "weight_decay": 0.1}
    task = ImageClassificationTask(spec=spec, net=net, optimizer=adamw)
    optimizer = task.configure_optimizers()
    decaying, without_decay = optimizer.param_groups
    assert (decaying["weight_decay"], without_decay["weight_decay"]) == (0.1, 0.0)
    assert {decaying["lr"], without_decay["lr"]} == {0.5}
    assert [p.ndim for p in decaying["params"]] == [4, 2, 2]  # the convolution and two dense layers
    assert {p.ndim for p in without_decay["params"]} == {1}
    assert len(decaying["params"]) + len(without_decay["params"]) == len(list(task.parameters()))


def test_schedule_gets_the_length_and_steps_after_every_batch() -> None:
    net = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [2], "hidden": []}
    spec = ImageSpec(1, 8, 8, ("a", "b"), (0.0,), (1.0,)).to_dict()
    schedule = {"_target_": "sightseq.core.schedule.WarmupCosine", "warmup": 0.5}
    task = ImageClassificationTask(
        spec=spec, net=net, optimizer={"_target_": "torch.optim.SGD", "lr": 1.0}, scheduler=schedule
    )
    task.total_steps = 4
    found = task.configure_optimizers()
    assert found["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(4):
        rates.append(found["optimizer"].param_groups[0]["lr"])
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.5])


def test_clipping_limits_the_norm_of_all_gradients() -> None:
    task = make(2)
    task.net = nn.Linear(2, 2)
    for parameter in task.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    task.configure_gradient_clipping(None, None)
    assert task.net.bias.grad.tolist() == [3.0, 3.0]
    task.configure_gradient_clipping(None, 1.0)
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in task.parameters() if p.grad is not None))
    assert norm == pytest.approx(1.0, rel=1e-4)


def test_gradients_are_freed_before_forward_except_while_they_accumulate() -> None:
    task = make(net={"_target_": "sightseq.nets.resnet.ResNet", "channels": [2], "blocks": [1]})
    task._trainer = SimpleNamespace(accumulate_grad_batches=2)
    for parameter in task.parameters():
        parameter.grad = torch.ones_like(parameter)
    task.on_train_batch_start({}, 1)
    assert all(parameter.grad is not None for parameter in task.parameters())
    task.on_train_batch_start({}, 2)
    assert all(parameter.grad is None for parameter in task.parameters())


def test_output_is_frozen() -> None:
    output = make().step(random_batch(2), "val")
    assert isinstance(output, Output)
    with pytest.raises(AttributeError):
        output.count = torch.tensor(0)


# Grad-CAM figures


def validated_task(mistakes: int, samples: int = 40, margin: int = 6) -> ImageClassificationTask:
    """A task after validation (in inference mode) on images with a margin; the first ones are misclassified."""
    net = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4, 4], "pool": "average"}
    spec = ImageSpec(3, 32, 40, ("a", "b"), (0.5,) * 3, (0.25,) * 3, margin=margin)
    torch.manual_seed(0)
    task = ImageClassificationTask(spec=spec.to_dict(), net=net)
    with torch.inference_mode():
        images = torch.randint(256, (samples, *spec.prepared), dtype=torch.uint8)
        batch = {"input": images, "index": torch.arange(samples)}
        batch["target"] = (task.predict_step(batch).argmax(1) + (batch["index"] < mistakes)) % 2
        output = task.step(batch, "val")
        task.scoreboard.update("val", output)
        task.collect_examples(batch, output)
    return task


@pytest.mark.parametrize(("mistakes", "shown"), [(0, 6), (4, 10), (20, 12)])
def test_a_block_shows_the_heat_maps(mistakes: int, shown: int) -> None:
    task = validated_task(mistakes)
    block = task.blocks("val")[-1]
    assert block.title == "Where it looked"
    assert "Grad-CAM" in block.caption
    assert isinstance(block, FigureBlock)
    assert len(block.figure.axes) == shown
    shapes = {layer.get_array().shape[:2] for axes in block.figure.axes for layer in axes.images}
    assert shapes == {(32, 40)}  # the input of the network, without the margin
    marks = "".join(axes.get_title("left")[0] for axes in block.figure.axes)
    assert marks[6:] == "✗" * (shown - 6)
    shown_images = {np.asarray(axes.images[0].get_array()).tobytes() for axes in block.figure.axes}
    assert len(shown_images) == shown  # all different
    glowing = [np.asarray(axes.images[2].get_array())[..., 3].max() for axes in block.figure.axes]
    assert max(glowing) == pytest.approx(0.75)
    assert task.training


def test_the_heat_map_is_of_the_predicted_class() -> None:
    task = validated_task(40)
    rows = task._worst.rows()
    block = task.blocks("val")[-1]
    assert isinstance(block, FigureBlock)
    glow = np.asarray(block.figure.axes[6].images[2].get_array())[..., 3]
    image = rows["input"][:1, :, 3:35, 3:43]
    for label, same in ((rows["probabilities"][:1].argmax(1), True), (rows["target"][:1], False)):
        heat = heat_maps(task, image, label)
        assert heat is not None
        assert np.allclose(glow, 0.75 * heat[0].numpy(), atol=1e-4) == same


def test_no_heat_maps_without_examples_or_of_small_images() -> None:
    task = validated_task(3)
    task.reset_examples()
    assert [block.title for block in task.blocks("val")][::2] == ["Confusion matrix", "Calibration"]
    small, batch = make(3), random_batch(20, 3)
    output = small.step(batch, "val")
    small.scoreboard.update("val", output)
    small.collect_examples(batch, output)
    assert small.blocks("val")[-1].title == "Most confident mistakes"


# Mixed images, class weights, and photographs with a margin


def photographs(**arguments: Any) -> ImageClassificationTask:
    """A task on images of 6x6 pixels that come with a margin of 4."""
    spec = ImageSpec(1, 6, 6, ("a", "b", "c"), (0.5,), (0.25,), counts=(6, 3, 1), margin=4)
    net = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4], "hidden": []}
    torch.manual_seed(0)
    return ImageClassificationTask(spec=spec.to_dict(), net=net, **arguments)


def photograph_batch(count: int = 8) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 10, 10), generator=generator, dtype=torch.uint8)
    return {"input": images, "target": torch.arange(count) % 3, "index": torch.arange(count)}


def test_only_the_centre_of_a_photograph_is_used() -> None:
    task, images = photographs().eval(), photograph_batch()["input"]
    assert torch.equal(task(images), task(images[..., 2:8, 2:8]))
    assert task.train().augment(photograph_batch())["input"].shape == (8, 1, 6, 6)


def test_crops_average_probabilities() -> None:
    images = photograph_batch()["input"]
    with torch.no_grad():
        centre, whole = photographs().eval()(images), photographs().eval()(resize(images.float() / 255, [6, 6]))
        found = photographs(test_time_crops=[0.6, 1.0]).eval().predict_step({"input": images})
        torch.testing.assert_close(found, (centre.softmax(1) + whole.softmax(1)) / 2)
        flipped = photographs(test_time_crops=[1.0], test_time_flips=True).eval().predict_step({"input": images})
        other = photographs().eval()(resize(images.flip(-1).float() / 255, [6, 6]))
    torch.testing.assert_close(flipped, (whole.softmax(1) + other.softmax(1)) / 2)


@pytest.mark.parametrize("crops", [[], [0.0, 1.0], [0.5, 1.2]])
def test_crops_are_fractions(crops: list[float]) -> None:
    with pytest.raises(ConfigError, match="test_time_crops"):
        make(test_time_crops=crops)


def test_training_shifts_within_the_margin() -> None:
    shift = {"shift": {"_target_": "sightseq.vision.augment.Shift", "pixels": 2}}
    batch = photograph_batch(1)
    found = {photographs(augment=shift).train().augment(batch)["input"].sum().item()}
    torch.manual_seed(1)
    task = photographs(augment=shift).train()
    whole = batch["input"].float() / 255
    places = [whole[..., y : y + 6, x : x + 6] for y in range(5) for x in range(5)]
    for _ in range(20):
        moved = task.augment(batch)["input"]
        assert any(torch.allclose(moved, place) for place in places)  # no padding pixels
        found.add(moved.sum().item())
    assert len(found) > 5


def test_loss_of_mixed_images_by_hand() -> None:
    mix = {"mix": {"_target_": "sightseq.vision.augment.Mix", "mixup": 1.0, "alpha": 1.0}}
    task, batch = photographs(augment=mix).train(), photograph_batch()
    torch.manual_seed(3)
    mixed = task.augment(batch)
    assert mixed["soft_target"].shape == (8, 3)
    torch.testing.assert_close(mixed["soft_target"].sum(1), torch.ones(8))
    torch.manual_seed(3)
    partner = torch.randperm(8)
    nll = -task(mixed["input"]).log_softmax(1)
    own = mixed["soft_target"].gather(1, batch["target"][:, None])[:, 0]
    other = nll.gather(1, batch["target"][partner][:, None])[:, 0]
    by_hand = own * nll.gather(1, batch["target"][:, None])[:, 0] + (1 - own) * other
    output = task.step(mixed, "train")
    torch.testing.assert_close(output.loss_sum, by_hand.sum())
    assert output.count == 8


def test_mixed_padding_images_are_not_counted() -> None:
    mix = {"mix": {"_target_": "sightseq.vision.augment.Mix", "mixup": 1.0, "alpha": 1.0}}
    task = photographs(augment=mix, label_smoothing=0.1, class_weights="balanced").train()
    mixed = task.augment(photograph_batch())
    mixed["index"] = torch.tensor([0, 1, 2, 3, 4, 5, -1, -1])
    whole = task.step(mixed, "train")
    part = task.step({name: value[:6] for name, value in mixed.items()}, "train")
    torch.testing.assert_close(whole.loss_sum, part.loss_sum)
    torch.testing.assert_close(whole.count, part.count)


def test_two_mixtures_in_a_row() -> None:
    half = {"_target_": "sightseq.vision.augment.Mix", "mixup": 1.0, "alpha": 1000.0}  # weights of almost 1/2
    task = photographs(augment={"first": half, "second": half}).train()
    shares = task.augment(photograph_batch(64))["soft_target"]
    torch.testing.assert_close(shares.sum(1), torch.ones(64))
    assert ((shares * 4 - (shares * 4).round()).abs() < 0.2).all()  # quarters


def test_class_weights_are_those_of_scikit_learn() -> None:
    task, batch = photographs(class_weights="balanced").train(), photograph_batch()
    labels = np.repeat([0, 1, 2], (6, 3, 1))
    weights = torch.tensor(compute_class_weight("balanced", classes=np.arange(3), y=labels), dtype=torch.float32)
    torch.testing.assert_close(task.class_weights, weights)
    images = batch | {"input": batch["input"].float() / 255}
    output = task.step(images, "train")
    expected = torch.nn.functional.cross_entropy(task(images["input"]), batch["target"], weights)
    torch.testing.assert_close(output.loss_sum / output.count, expected)
    plain = task.eval().step(images, "val")
    assert plain.count == 8  # validation gives all classes the same weight
    torch.testing.assert_close(plain.loss_sum, torch.nn.functional.cross_entropy(
        task(images["input"]), batch["target"], reduction="sum"))  # fmt: skip


def test_figure_of_mixed_images_names_both_classes() -> None:
    mix = {"mix": {"_target_": "sightseq.vision.augment.Mix", "mixup": 1.0, "alpha": 1.0}}
    task = photographs(augment=mix).train()
    figure = task.plot_batch(task.augment(photograph_batch()))
    titles = [axes.get_title("left") for axes in figure.axes]
    assert any("+" in title and "%" in title for title in titles)


def test_counts_of_classes_with_one_or_several_labels_per_sample() -> None:
    task, rows = make(classes=3), np.array([0, 2, 3])
    one = ArrayDataset({"target": np.array([1, 0, 1, 0])}, rows)
    assert task.counts(one) == {"class 0": 1, "class 1": 2, "class 2": 0}
    several = ArrayDataset({"target": np.array([[1, 1, 0], [1, 1, 1], [0, 1, 0], [0, 1, 1]], np.float32)}, rows)
    assert task.counts(several) == {"class 0": 1, "class 1": 3, "class 2": 1}
