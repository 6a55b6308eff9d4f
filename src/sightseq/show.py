"""Looking at data without training: `sightseq data` and `sightseq show`."""

from pathlib import Path

import torch

from sightseq import console
from sightseq.core.build import build, trust
from sightseq.core.datamodule import DataModule
from sightseq.core.files import output_file
from sightseq.core.rundir import Config
from sightseq.core.task import Task


def prepare(config: Config) -> DataModule:
    """`sightseq data`: finds or downloads, verifies and prepares the data of an experiment."""
    trust(config["trust"])
    data = build(config["data"], DataModule, "data")
    data.prepare_data()
    console.say("data", console.describe(data))
    console.say("from", str(data.source))
    return data


def show(config: Config) -> None:
    """`sightseq show`: draws a training batch after augmentation, and prints its shapes and what the task counts."""
    data = prepare(config)
    torch.manual_seed(config["seed"])
    task = build(config["model"], Task, "model", spec=data.spec.to_dict())
    raw = next(iter(data.train_dataloader()))
    batch = task.train().augment(raw)
    for name, tensor in batch.items():
        shape = ", ".join(map(str, tensor.shape))
        before = raw.get(name, tensor).dtype  # an augmentation may add tensors, such as mixed targets
        say = f"{name} [{shape}] {str(before).removeprefix('torch.')}"
        if tensor.dtype != before:
            say += f", augmented {str(tensor.dtype).removeprefix('torch.')} in {tensor.min():.2f} .. {tensor.max():.2f}"
        console.say("batch", say)
    counts = {split: task.counts(data.dataset(split)) for split in ("train", "val", "test")}
    if names := list(dict.fromkeys(name for found in counts.values() for name in found)):
        table = console.new_table("", right=list(counts))
        for name in names:
            table.add_row(name, *(str(found.get(name, 0)) for found in counts.values()))
        console.console().print(table)
    picture = task.plot_batch(batch)
    if isinstance(picture, list):
        for line in picture:
            console.say("", line)
        return
    path = output_file(config["output"], Path(config["paths"]["runs"]) / config["experiment"] / "batch.png")
    picture.savefig(path, dpi=150)
    console.say("picture", console.short(path))
