"""The base of all data modules: finds the files, caches them processed, says the spec, batches them.

A dataset says in its YAML where its files may lie and in its class how to read them; all that datasets
have in common is here. It knows no task and no network.
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
from sightseq.core.environment import bounded_workers
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.files import CACHE, atomic_folder, making
from sightseq.core.loading import BatchSampler, Loader
from sightseq.core.sources import sources
from sightseq.core.spec import Spec


class DataModule(LightningDataModule, ABC):
    """One dataset: its files, its splits, its spec, its batches.

    A batch is a dictionary of tensors: `input`, `target`, `<name>_length` of columns of unequal lengths, and `index`,
    the sample's number in its publisher's split (-1 marks filler, which counts nowhere).

    A subclass says what is its own:
        `locate()`: the publisher's files, or `DataError`.
        `process(sources, folder)`: reads them and saves each of the publisher's splits with `save_split`.
        `split_rows(splits)`: which rows of those are "train", "val" and "test".
        `make_spec(train, about)`: the spec, from the training rows alone.
        `write_synthetic(folder)`: a tiny generated dataset in the publisher's format.

    Args:
        name: of the dataset; names its folder in the cache.
        root: the folder under which datasets lie.
        cache: where processed data is kept; `root` is only read (and downloaded to).
        folders: the folder names it may have under `root`.
        batch_size: samples of a batch, for each process.
        eval_batch_size: the same in validation and test.
        workers: processes that read ahead, at most one a core; 0 reads in the main process, best for small data.
        shuffle: the order of training samples changes with each epoch.
        seed: of that order.
        synthetic: use the generated dataset instead of the real one.
        url, files, licence: where it can be had; `files` maps file names to their SHA-256. See `core.download`.
    """

    name: str
    encoding: ClassVar[frozenset[str]] = frozenset()
    """Arguments that say how raw inputs are encoded; data that is read as a model takes it has them from the model."""
    counted: ClassVar[str] = "samples"
    """What the length of a split is the number of."""
    streams: Mapping[str, int] | None = None
    """Of a split that is one long row, how many parts of it are read side by side (to train: by each process)."""
    example_spec: Spec
    """A spec of the kind this data will have, to try a model on before any data is touched."""

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
        url: str | None = None,
        files: dict[str, str] | None = None,
        licence: str | None = None,
    ) -> None:
        super().__init__()
        if min(batch_size, eval_batch_size) < 1 or workers < 0:
            raise ConfigError("data: batch_size and eval_batch_size are at least 1, workers at least 0")
        self.name, self.root, self.cache = name, Path(root), Path(cache)
        self.folders = folders or [name]
        self.batch_size, self.eval_batch_size, self.workers = batch_size, eval_batch_size, bounded_workers(workers)
        self.shuffle, self.seed, self.synthetic = shuffle, seed, synthetic
        self.url, self.files, self.licence = url, files or {}, licence
        self.given_spec: Spec | None = None  # a checkpoint's: then data is encoded with that one
        self.encoder: Spec | None = None  # the same, if that was trained on other data: see `checkpoint.read_as`
        if synthetic:
            self.root = self.cache / "synthetic" / digest(code(type(self)))
        self.source = self.root  # where the files are, known after `prepare_data`
        self.skipped: list[str] = []  # what could not be read and was left out
        self._spec: Spec | None = None
        self._datasets: dict[str, ArrayDataset] = {}

    # What a dataset says of itself.

    @abstractmethod
    def locate(self) -> list[Path]:
        """The publisher's files, downloaded if they can be and are not there.

        Raises:
            DataError: they are not there; says where they were looked for and what to do.
        """

    @abstractmethod
    def process(self, sources: list[Path], folder: Path) -> None:
        """Reads the files and saves each of the publisher's splits into `folder` with `save_split`.

        It is called again when the files change, or what `cache_key` says, or the `code` of its classes.
        """

    @abstractmethod
    def split_rows(self, splits: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, NDArray[np.int64]]]:
        """For "train", "val" and "test": the publisher's split it is part of, and which rows of it.

        Args:
            splits: the arrays of each of the publisher's splits, as `read_split` gives them.
        """

    @abstractmethod
    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> Spec:
        """The spec, from the training rows; `about` is what `process` wrote with `save_about`."""

    @abstractmethod
    def write_synthetic(self, folder: Path) -> None:
        """Writes a tiny learnable dataset into `folder`, in the publisher's format."""

    def cache_key(self) -> dict[str, Any]:
        """The options that change what `process` writes."""
        return {}

    def spec_key(self) -> dict[str, Any]:
        """The options that change what `make_spec` says."""
        return {}

    def read_split(self, folder: Path) -> dict[str, Any]:
        """One of the publisher's splits, as `process` saved it: arrays [N, ...] or `Ragged` by name."""
        return read_arrays(folder)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """The splits in the numbers of `spec`, which is known by then; `folder` is where `process` wrote."""
        return datasets

    def adopt(self, spec: Spec) -> None:
        """Takes over from a warm start's spec what its weights depend on, before data is prepared."""

    # What all datasets have in common.

    @property
    def spec(self) -> Spec:
        """Known after `prepare_data`; a checkpoint's spec, when one was given."""
        if self.given_spec is not None:
            return self.given_spec
        if self._spec is None:
            raise RuntimeError("the spec is known after prepare_data()")
        return self._spec

    def prepare_data(self) -> None:
        """Finds or downloads, processes into the cache, and computes the spec; cheap the second time."""
        if self._spec is not None:
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
        splits = {path.name: self.read_split(path) for path in sorted(folder.iterdir()) if path.is_dir()}
        rows = self.split_rows(splits)
        self._datasets = {name: ArrayDataset(splits[source], chosen, source) for name, (source, chosen) in rows.items()}
        for name, dataset in self._datasets.items():
            if not len(dataset):
                raise DataError(f"{self.name}: the {name} split is empty; it needs more samples")
        about = json.loads((folder / "about.json").read_text()) if (folder / "about.json").exists() else {}
        self.skipped = about.get("skipped", [])
        self._spec = self._cached_spec(folder, about)
        if self.given_spec is not None and (difference := self.given_spec.difference(self._spec)):
            raise DataError(f"{self.name}: does not fit the checkpoint: {difference}")
        self._datasets = self.encode(self._datasets, folder)

    def _cached_spec(self, folder: Path, about: dict[str, Any]) -> Spec:
        """The spec of these training rows, computed once."""
        train = self._datasets["train"]
        # A spec of an older version is not believed.
        example = self.example_spec.to_dict()
        fields = json.dumps([example["_target_"], sorted(example), self.spec_key()])
        file = folder / f"spec-{hashlib.sha256(fields.encode() + train.rows.tobytes()).hexdigest()[:16]}.json"
        if not file.exists():
            part = file.with_suffix(f".{os.getpid()}.part")  # others may be at it
            try:
                spec = json.dumps(self.make_spec(train, about).to_dict())
                with making(file, CACHE):
                    part.write_text(spec)
                    os.replace(part, file)
            finally:
                part.unlink(missing_ok=True)
        return Spec.from_dict(json.loads(file.read_text()))

    def dataset(self, split: str) -> ArrayDataset:
        """The samples of "train", "val" or "test"; known after `prepare_data`."""
        return self._datasets[split]

    def setup(self, stage: str | None = None) -> None:
        """Lightning calls this in every process."""
        self.prepare_data()

    def batch_sampler(self, split: str, rank: int = 0, world: int = 1) -> BatchSampler:
        """What the batches of a split consist of, for one process of several."""
        train = split == "train"
        return BatchSampler(
            len(self.dataset(split)),
            self.batch_size if train else self.eval_batch_size,
            shuffle=train and self.shuffle,
            seed=self.seed,
            rank=rank,
            world=world,
            lengths=self.dataset(split).lengths,
        )

    def loader(self, split: str) -> Loader:
        """The batches of a split, for this process of a distributed run."""
        trainer = self.trainer
        order = self.batch_sampler(split, trainer.global_rank if trainer else 0, trainer.world_size if trainer else 1)
        return Loader(self.dataset(split), order, self.workers, pin_memory=torch.cuda.is_available())

    def train_dataloader(self) -> Loader:
        """Shuffled batches of the training split."""
        return self.loader("train")

    def val_dataloader(self) -> Loader:
        """The validation split in order."""
        return self.loader("val")

    def test_dataloader(self) -> Loader:
        """The test split in order."""
        return self.loader("test")

    def predict_dataloader(self) -> Loader:
        """The test split in order."""
        return self.loader("test")


def check_shares(**shares: float) -> None:
    """Of the options by these names.

    Raises:
        ConfigError: one does not lie between 0 and 1.
    """
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ConfigError(f"data.{name}={value}: a share lies between 0 and 1")


def code(kind: type[DataModule]) -> list[str]:
    """The source that says what a data module's classes write: of their modules, and of what those import from the
    same packages. Of `core` only what writes arrays counts, or each change to it would read all data anew. Of a class
    typed into a notebook there is no source: what that writes is kept until its options change.
    """
    modules = {c.__module__ for c in kind.__mro__ if issubclass(c, DataModule) and c is not DataModule}
    packages = {module.partition(".")[0] for module in (*modules, __name__)}
    return list(sources({*modules, ArrayDataset.__module__}, packages, left_out=__package__ or "").values())


def digest(value: Any) -> str:
    """16 letters that stand for what JSON says of a value."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
