"""Fine-tuning: the head first, then all layers, with lower learning rates for the first layers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torchvision.models import get_model

import sightseq
from sightseq.core.errors import ConfigError
from sightseq.data.image.digits import Digits
from sightseq.tasks.classification.fine_tuning import FineTuningTask
from sightseq.vision.spec import ImageSpec

NET = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4, 8], "batch_norm": True, "hidden": [6]}
SPEC = ImageSpec(1, 8, 8, tuple("0123456789"), (0.5,), (0.25,))


def make(**arguments: Any) -> FineTuningTask:
    torch.manual_seed(0)
    return FineTuningTask(**{"spec": SPEC.to_dict(), "net": NET} | arguments)


def rates(task: FineTuningTask) -> dict[str, float]:
    """The learning rate of each parameter, by parameter name."""
    found = task.configure_optimizers()
    optimizer = found["optimizer"] if isinstance(found, dict) else found
    by_id = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    return {name: by_id[id(p)] for name, p in task.net.named_parameters()}


def test_learning_rates_increase_from_the_first_layer_to_the_last() -> None:
    adam = {"_target_": "torch.optim.AdamW", "lr": 0.01, "weight_decay": 0.1}
    found = rates(make(optimizer=adam, lowest_rate=0.1))
    in_order = list(found.values())
    assert in_order == sorted(in_order)
    assert in_order[0] == pytest.approx(0.001)
    assert in_order[-1] == in_order[-2] == 0.01
    assert len(set(in_order)) > 3
    assert set(rates(make(optimizer=adam, lowest_rate=1.0)).values()) == {0.01}


@pytest.mark.parametrize(
    "scheduler",
    [
        {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.02, "cycle_momentum": False},
        {"_target_": "sightseq.core.schedule.WarmupCosine", "warmup": 0.2},
    ],
)
def test_schedules_keep_the_ratios_of_learning_rates(scheduler: dict[str, Any]) -> None:
    task = make(optimizer={"_target_": "torch.optim.Adam", "lr": 0.01}, scheduler=scheduler, lowest_rate=0.1)
    task.total_steps = 20
    found = task.configure_optimizers()
    highest = 0.0
    for _ in range(19):
        lrs = [group["lr"] for group in found["optimizer"].param_groups]
        assert lrs[0] / lrs[-1] == pytest.approx(0.1)
        highest = max(highest, lrs[-1])
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    assert highest == pytest.approx(scheduler.get("max_lr", 0.01), rel=0.03)


def train(task: FineTuningTask, epochs: int, **settings: Any) -> Trainer:
    data = Digits(name="digits", cache="cache", batch_size=64)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(
        accelerator="cpu", max_epochs=epochs, limit_train_batches=3, limit_val_batches=1, use_distributed_sampler=False,
        **quiet | settings,
    )  # fmt: skip
    trainer.fit(task, datamodule=data)
    return trainer


def test_only_the_head_is_trained_then_all_layers() -> None:
    sgd = {"_target_": "torch.optim.SGD", "lr": 0.1}
    task = make(head_epochs=1, freeze_statistics=True, optimizer=sgd)
    before = {name: value.clone() for name, value in task.net.state_dict().items()}

    def changed() -> set[str]:
        return {name for name, value in task.net.state_dict().items() if not torch.equal(value, before[name])}

    train(task, 1)
    head = f"layers.{len(task.net.layers) - 1}"
    assert changed() == {f"{head}.weight", f"{head}.bias"}  # and not the batch norm statistics
    train(task, 2)
    assert {name for name, _ in task.net.named_parameters()} <= changed()
    assert not any("running_" in name for name in changed())  # the statistics stay unchanged
    assert all(p.requires_grad for p in task.net.parameters())


def test_batch_norm_statistics_may_be_updated() -> None:
    task = make(head_epochs=0, freeze_statistics=False)
    train(task, 1)
    assert any(value.abs().max() > 0 for name, value in task.net.state_dict().items() if "running_mean" in name)


def test_statistics_are_frozen_with_pretrained_weights() -> None:
    assert make().freeze_statistics is False
    backbone = {"_target_": "sightseq.nets.backbone.Backbone", "name": "mobilenet_v3_small"}
    assert make(net=backbone).freeze_statistics is False
    assert make(net=backbone | {"weights": "x"}).freeze_statistics is True


def test_without_head_epochs_all_layers_are_trained_at_once() -> None:
    task = make(head_epochs=0, optimizer={"_target_": "torch.optim.SGD", "lr": 0.1})
    before = {name: value.clone() for name, value in task.net.named_parameters()}
    train(task, 1)
    assert not any(torch.equal(value, before[name]) for name, value in task.net.named_parameters())


@pytest.mark.parametrize("arguments", [{"head_epochs": -1}, {"lowest_rate": 0.0}, {"lowest_rate": 1.5}])
def test_invalid_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="lowest_rate="):
        make(**arguments)


def test_several_processes_need_a_strategy_for_unused_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make(head_epochs=1)
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False)
    monkeypatch.setattr(task, "_trainer", trainer)
    with pytest.raises(ConfigError, match="ddp_find_unused_parameters_true"):
        task.on_fit_start()
    task.head_epochs = 0
    task.on_fit_start()
    task.head_epochs = 1
    suitable = Trainer(
        accelerator="cpu", devices=2, strategy="ddp_find_unused_parameters_true", logger=False,
        enable_checkpointing=False,
    )  # fmt: skip
    monkeypatch.setattr(task, "_trainer", suitable)
    task.on_fit_start()


def test_a_run_is_initialised_from_the_given_weights(tmp_path: Path) -> None:
    overrides = (
        "data=image_folder", "data.path=photos", "data.image_size=32", "model=fine_tuning", "model/net=image/backbone",
        "model.net.name=mobilenet_v3_small", "model.net.weights=weights.pth", "optimizer=adam", "callbacks=default",
        "augment=none", "baseline=none", "precision=32", "trainer.max_epochs=1",
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"model\.net\.weights: .*weights\.pth"):  # raised before data is read
        sightseq.train(sightseq.compose(*overrides))
    torch.manual_seed(5)
    given = get_model("mobilenet_v3_small", num_classes=1000).state_dict()
    torch.save(given, "weights.pth")
    for number in range(40):
        folder = Path("photos", "ab"[number % 2])
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (100 * (number % 2), number, 0)).save(folder / f"{number}.png")
    run = Path(sightseq.train(sightseq.compose(*overrides))["folder"])
    found = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    body = {name: value for name, value in given.items() if not name.startswith("classifier.3.")}
    assert all(torch.equal(found[f"net.model.{name}"], value) for name, value in body.items())  # only the head changed
    Path("weights.pth").unlink()
    assert sightseq.load(run).predict([Image.new("RGB", (50, 40))])[0]["label"] in "ab"  # without the weights file
