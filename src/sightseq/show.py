"""`sightseq data` and `sightseq show`: prepare and inspect data without training."""

from pathlib import Path

import torch
from pydantic import BaseModel, Field

from sightseq import console
from sightseq.core.build import build, settings, trust
from sightseq.core.datamodule import DataModule
from sightseq.core.download import check_present
from sightseq.core.errors import DataError
from sightseq.core.files import output_file
from sightseq.core.rundir import Config
from sightseq.core.shards.write import write_shards
from sightseq.core.task import Task


def original(config: Config) -> DataModule | None:
    """Return the data of an experiment from its original files instead of from shards; None if they are not here."""
    arguments = config["data"] | {"shards": None, "url": None}
    try:
        check_present(arguments)
        data = build(arguments, DataModule, "data")
        data.prepare_data()
    except DataError:
        return None
    return data


class ShardSettings(BaseModel):
    """Settings of `sightseq data shards=DIR`; conf/data.yaml describes them."""

    shards: str
    shard_size: float = Field(gt=0, le=1000)  # litdata stores offsets within a shard as 32 bits


def prepare(config: Config) -> DataModule:
    """Run `sightseq data`: find or download, verify and prepare the data of an experiment."""
    trust(config["trust"])
    data = build(config["data"], DataModule, "data")
    data.prepare_data()
    console.say("data", console.describe(data))
    console.say("from", str(data.source))
    if config.get("shards"):  # of `sightseq data` alone
        export_shards(data, config)
    return data


def export_shards(data: DataModule, config: Config) -> None:
    """Write prepared data as shards to the folder `shards`."""
    chosen = settings({name: config[name] for name in ShardSettings.model_fields}, ShardSettings)
    written = write_shards(data, Path(chosen["shards"]).expanduser(), round(chosen["shard_size"] * 1e6))
    sizes = [size for column in written["columns"].values() for _, size, *_ in column["shards"]]
    whole = sum(size for size, _ in written["files"].values())
    console.say("shards", f"{len(sizes):,} with {sum(sizes) / 1e6:,.1f} MB, and {whole / 1e6:,.1f} MB in other files")
    console.say("to train", f"data.shards={chosen['shards']}, or the URL of a copy")


def show(config: Config) -> None:
    """Run `sightseq show`: draw a training batch after augmentation, print its shapes and what the task counts."""
    data = prepare(config)
    torch.manual_seed(config["seed"])
    task = build(config["model"], Task, "model", spec=data.spec.to_dict())
    raw = next(iter(data.train_dataloader()))
    batch = task.train().augment(raw)
    for name, tensor in batch.items():
        shape = ", ".join(map(str, tensor.shape))
        before = raw.get(name, tensor).dtype  # an augmentation may add tensors, such as mixed targets
        line = f"{name} [{shape}] {str(before).removeprefix('torch.')}"
        if tensor.dtype != before:
            after = str(tensor.dtype).removeprefix("torch.")
            line += f", augmented {after} in {tensor.min():.2f} .. {tensor.max():.2f}"
        console.say("batch", line)
    counts = {split: task.counts(data.dataset(split)) for split in ("train", "val", "test")}
    if names := list(dict.fromkeys(name for split_counts in counts.values() for name in split_counts)):
        table = console.new_table("", right=list(counts))
        for name in names:
            table.add_row(name, *(str(split_counts.get(name, 0)) for split_counts in counts.values()))
        console.console().print(table)
    figure = task.plot_batch(batch)
    if isinstance(figure, list):
        for line in figure:
            console.say("", line)
        return
    path = output_file(config["output"], Path(config["paths"]["runs"]) / config["experiment"] / "batch.png")
    figure.savefig(path, dpi=150)
    console.say("figure", console.short(path))
