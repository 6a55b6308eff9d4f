"""Base class of all data modules: finds the files, caches them processed, computes the spec, makes batches.

The YAML file of a dataset lists where its files may be, and its class defines how to read them; everything that
datasets have in common is here. This module knows no task and no network.
"""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray

from sightseq.core.arrays import ArrayDataset, read_arrays
from sightseq.core.columns import Compute, add_columns
from sightseq.core.environment import bounded_workers
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.files import CACHE, atomic_folder, creating
from sightseq.core.loading import BatchSampler, Loader
from sightseq.core.shards.layout import ShardLayout, describe, open_shards
from sightseq.core.sources import sources
from sightseq.core.spec import Spec


class DataModule(LightningDataModule, ABC):
    """One dataset: its files, splits, spec and batches.

    A batch is a dictionary of tensors: `input`, `target`, `<name>_length` for columns of unequal lengths, and `index`,
    the sample's row in the publisher's split (-1 marks a padding row, which no metric counts).

    A subclass defines:
        `locate()`: finds the publisher's files, or raises `DataError`.
        `process(sources, folder)`: reads them and saves each of the publisher's splits with `save_split`.
        `split_rows(splits)`: selects the rows of "train", "val" and "test" from these splits.
        `make_spec(train, about)`: computes the spec from the training rows alone.
        `write_synthetic(folder)`: writes a tiny generated dataset in the publisher's format.

    Args:
        name: name of the dataset and of its folder in the cache.
        root: folder that contains the datasets.
        cache: folder for processed data; `root` is only read (and downloaded to).
        folders: accepted folder names of this dataset under `root`.
        batch_size: samples per batch, in each process.
        eval_batch_size: the same for validation and test.
        workers: processes that load batches ahead, at most one per core; 0 loads in the main process, best for small
            data.
        shuffle: whether the training samples are shuffled in each epoch.
        seed: seed of the shuffling.
        synthetic: use the generated dataset instead of the real one.
        shards: folder or URL of what `sightseq data shards=DIR` wrote; the original files are then not needed.
        shards_open: shards whose training samples are mixed; if there are no more, the order is that of the cache.
        shards_disk: GB of disk for downloaded shards; those used least recently are removed.
        url, files, licence: where to download it; `files` maps file names to their SHA-256. See `core.download`.
    """

    name: str
    encoding_arguments: ClassVar[frozenset[str]] = frozenset()
    """Arguments that set how raw inputs are encoded; for a trained model, its spec sets them instead."""
    sample_unit: ClassVar[str] = "samples"
    """Unit of the length of a split."""
    streams: Mapping[str, int] | None = None
    """For splits that are one long sequence: number of streams read in parallel (in training: by each process)."""
    example_spec: Spec
    """An example of this data's spec, to check that a model can be built before any data is read."""

    def __init__(
        self,
        name: str,
        root: str = "data",
        cache: str = ".cache",
        folders: list[str] | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 512,
        workers: int = 0,
        shuffle: bool = True,
        seed: int = 0,
        synthetic: bool = False,
        shards: str | None = None,
        shards_open: int = 8,
        shards_disk: float = 20.0,
        url: str | None = None,
        files: dict[str, str] | None = None,
        licence: str | None = None,
    ) -> None:
        super().__init__()
        if min(batch_size, eval_batch_size) < 1 or workers < 0:
            raise ConfigError("data: batch_size and eval_batch_size must be at least 1, workers at least 0")
        self.name, self.root, self.cache = name, Path(root), Path(cache)
        self.folders = folders or [name]
        self.batch_size, self.eval_batch_size, self.workers = batch_size, eval_batch_size, bounded_workers(workers)
        self.shuffle, self.seed, self.synthetic = shuffle, seed, synthetic
        self.url, self.files, self.licence = url, files or {}, licence
        self.shards, self.shards_open, self.shards_disk = shards, shards_open, shards_disk
        self.sharded: ShardLayout | None = None  # of the shards, known after `prepare_data`
        self.given_spec: Spec | None = None  # a checkpoint's spec: data is then encoded with it
        self.encoder: Spec | None = None  # the same, if the checkpoint is from other data: see `read_as`
        if synthetic:
            self.root = self.cache / "synthetic" / digest(code(type(self)))
        self.source: Path | str = self.root  # common folder of the files, or the shards; set by `prepare_data`
        self.skipped: list[str] = []  # files or rows that could not be read
        self.remarks: list[str] = []  # what else is to be said of the data, such as notes that were left out
        self._spec: Spec | None = None
        self._datasets: dict[str, ArrayDataset] = {}

    # Each dataset defines these methods.

    @abstractmethod
    def locate(self) -> list[Path]:
        """Return the publisher's files; download them first if they are missing and a download is possible.

        Raises:
            DataError: they are missing; the message names the searched folders and the remedy.
        """

    @abstractmethod
    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the files and save each of the publisher's splits into `folder` with `save_split`.

        It is called again when the files, the `cache_key` or the `code` of its classes change.
        """

    @abstractmethod
    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, NDArray[np.int64]]]:
        """Return, for each of "train", "val" and "test", the publisher's split that it is part of and its rows there.

        Args:
            splits: the arrays of each of the publisher's splits, as `read_split` returns them.
        """

    @abstractmethod
    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> Spec:
        """Compute the spec from the training rows; `about` is what `process` saved with `save_about`."""

    @abstractmethod
    def write_synthetic(self, folder: Path) -> None:
        """Write a tiny learnable dataset into `folder`, in the publisher's format."""

    def cache_key(self) -> dict[str, Any]:
        """Return the options that change the output of `process`."""
        return {}

    def spec_key(self) -> dict[str, Any]:
        """Return the options that change the output of `make_spec`."""
        return {}

    def read_split(self, folder: Path) -> dict[str, Any]:
        """Load one of the publisher's splits, as `process` saved it: arrays [N, ...] or `Ragged` by name."""
        return read_arrays(folder)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Return the splits encoded with `spec`, for example as token ids.

        It is called after the spec is known; `folder` contains the output of `process`.
        """
        return datasets

    def adopt(self, spec: Spec) -> None:
        """Adopt from the spec of a warm start what its weights depend on (a tokenizer), before data is prepared."""

    # All datasets share these methods.

    @property
    def spec(self) -> Spec:
        """The spec of this data, known after `prepare_data`; a checkpoint's spec if one was given."""
        if self.given_spec is not None:
            return self.given_spec
        if self._spec is None:
            raise RuntimeError("the spec is not known yet; call prepare_data() first")
        return self._spec

    def prepare_data(self) -> None:
        """Find or download the files, process them into the cache, and compute the spec; fast once it is cached."""
        if self._spec is not None:
            return
        if self.shards is not None:
            described = describe(type(self), self.cache_key())
            self.sharded = open_shards(
                self.shards, self.cache / self.name, self.shards_disk, self.shards_open, described
            )
            self.source, self.synthetic = self.sharded.place, self.sharded.synthetic
            self._load(self.sharded.folder)
            return
        if self.synthetic:
            self._prepare_synthetic()
        sources = self.locate()
        self.source = Path(os.path.commonpath(sources))
        stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
        folder = self.cache / self.name / digest([type(self).__qualname__, code(type(self)), self.cache_key(), stats])
        with atomic_folder(folder) as building:
            if building is not None:
                self.process(sources, building)
        self._load(folder)

    def _prepare_synthetic(self) -> None:
        with atomic_folder(self.root / self.folders[0]) as building:
            if building is not None:
                self.write_synthetic(building)

    def _load(self, folder: Path) -> None:
        self.folder = folder  # of the processed data
        about = folder / "about.json"  # of `save_about`; `split_rows` may read it
        self.about: dict[str, Any] = json.loads(about.read_text()) if about.exists() else {}
        splits = {path.name: self.read_split(path) for path in sorted(folder.iterdir()) if path.is_dir()}
        rows = self.split_rows(splits)
        self._datasets = {name: ArrayDataset(splits[source], chosen, source) for name, (source, chosen) in rows.items()}
        for name, dataset in self._datasets.items():
            if not len(dataset):
                raise DataError(f"{self.name}: the {name} split is empty; it needs more samples")
        self.skipped, self.remarks = (self.about.get(name, []) for name in ("skipped", "remarks"))
        self._spec = self._cached_spec(folder)
        if self.given_spec is not None and (difference := self.given_spec.difference(self._spec)):
            raise DataError(f"{self.name}: does not fit the checkpoint: {difference}")
        self._datasets = self.encode(self._datasets, folder)

    def _cached_spec(self, folder: Path) -> Spec:
        """Return the spec of these training rows, computed once and cached."""
        train = self._datasets["train"]
        # The fields are part of the file name, so that the spec of an older version is not used.
        example = self.example_spec.to_dict()
        fields = json.dumps([example["_target_"], sorted(example), self.spec_key()])
        file = folder / f"spec-{hashlib.sha256(fields.encode() + train.rows.tobytes()).hexdigest()[:16]}.json"
        if not file.exists():
            if self.sharded is not None:
                self.sharded.check_recomputation()
            part = file.with_suffix(f".{os.getpid()}.part")  # other processes may write it too
            try:
                spec = json.dumps(self.make_spec(train, self.about).to_dict())
                with creating(file, CACHE):
                    part.write_text(spec)
                    os.replace(part, file)
            finally:
                part.unlink(missing_ok=True)
        return Spec.from_dict(json.loads(file.read_text()))

    def dataset(self, split: str) -> ArrayDataset:
        """Return the samples of "train", "val" or "test"; known after `prepare_data`."""
        return self._datasets[split]

    def add_columns(self, compute: Compute, key: str) -> None:
        """Add columns computed from the stored samples: see `core.columns.add_columns`; `key` names this `compute`."""
        add_columns(self._datasets, compute, self.folder.with_name(f"{self.folder.name}-columns-{key}"))

    def setup(self, stage: str | None = None) -> None:
        """Prepare the data; Lightning calls this in every process."""
        self.prepare_data()

    def batch_sampler(self, split: str, rank: int = 0, world: int = 1) -> BatchSampler:
        """Return the sampler that yields the sample indices of each batch of a split, for process `rank` of `world`."""
        dataset, train = self.dataset(split), split == "train"
        options: dict[str, Any] = {"shuffle": train and self.shuffle, "seed": self.seed, "lengths": dataset.lengths}
        options |= {"batch_size": self.batch_size if train else self.eval_batch_size, "rank": rank, "world": world}
        sampler = self.sharded.sampler(dataset, options) if self.sharded else None
        return sampler or BatchSampler(len(dataset), **options)

    def loader(self, split: str) -> Loader:
        """Return the batches of a split, for this process of a distributed run."""
        trainer = self.trainer
        order = self.batch_sampler(split, trainer.global_rank if trainer else 0, trainer.world_size if trainer else 1)
        if self.sharded:
            self.sharded.download_ahead(self.dataset(split), order)
        return Loader(self.dataset(split), order, self.workers, pin_memory=torch.cuda.is_available())

    def train_dataloader(self) -> Loader:
        """Return the training split, shuffled if `shuffle` is set."""
        return self.loader("train")

    def val_dataloader(self) -> Loader:
        """Return the validation split in order."""
        return self.loader("val")

    def test_dataloader(self) -> Loader:
        """Return the test split in order."""
        return self.loader("test")

    def predict_dataloader(self) -> Loader:
        """Return the test split in order."""
        return self.loader("test")


def code(kind: type[DataModule]) -> list[str]:
    """Return the source code that determines what a data module writes.

    It consists of the modules of its classes, and of the modules that these import from the same packages. Of `core`
    only the module that writes arrays counts; otherwise each change to `core` would process all data again. A class
    defined in a notebook has no source file: its cache stays valid until its options or files change.
    """
    modules = {c.__module__ for c in kind.__mro__ if issubclass(c, DataModule) and c is not DataModule}
    packages = {module.partition(".")[0] for module in (*modules, __name__)}
    return list(sources({*modules, ArrayDataset.__module__}, packages, left_out=__package__ or "").values())


def digest(value: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a value as JSON."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
