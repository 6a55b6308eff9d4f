"""What all datasets of labelled images have in common: their splits and their spec."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sightseq.core.datamodule import ArrayDataset, DataModule
from sightseq.core.errors import ConfigError
from sightseq.core.spec import ImageSpec

Rows = NDArray[np.int64]


class ImageData(DataModule):
    """Images [C, H, W] of eight bits with one label each: `input` uint8 [B, C, H, W], `target` int64 [B].

    A dataset whose publisher has no validation split loses a stratified part of "train" to it; one without
    a test split, another part. Which part depends on `split_seed` alone, so all runs share it.

    Args:
        val_fraction: share of the training images that validate, where there is no validation split.
        test_fraction: share of the images that test, where there is no test split.
        split_seed: of both choices.
        fold: cross-validation: which of `folds` parts of the images tests (from 0), where there is no test split.
        folds: how many parts that are.
        common: see `DataModule`.
    """

    example_spec: ImageSpec = ImageSpec(3, 64, 64, ("a", "b"), (0.5,) * 3, (0.25,) * 3)
    subject: ClassVar[Literal["centre", "face"]] = "centre"
    """What `predict` crops a photograph to; see `ImageSpec`."""

    def __init__(
        self,
        *,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        fold: int | None = None,
        folds: int = 5,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
            if not 0 < value < 1:
                raise ConfigError(f"data.{name}={value}: a share lies between 0 and 1")
        if folds < 2:
            raise ConfigError(f"data.folds={folds}: at least 2, one to test and the others to train")
        if fold is not None and not 0 <= fold < folds:
            raise ConfigError(f"data.fold={fold}: the {folds} folds are numbered from 0 to {folds - 1}")
        self.val_fraction, self.test_fraction, self.split_seed = val_fraction, test_fraction, split_seed
        self.fold, self.folds = fold, folds

    def split_rows(self, targets: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, Rows]]:
        """The publisher's splits where there are any, else stratified parts; rows without a label are left out."""
        rows = {name: (name, np.flatnonzero(labels >= 0)) for name, labels in targets.items()}
        if self.fold is not None and "test" in rows:
            raise ConfigError(f"data.fold={self.fold}: {self.name} has a test split of its own; leave data.fold out")
        for name, fraction in (("test", self.test_fraction), ("val", self.val_fraction)):
            if name not in rows:
                source, train = rows["train"]
                part = stratified(targets[source][train], fraction, self.split_seed)
                if name == "test" and self.fold is not None:
                    part = stratified_fold(targets[source][train], self.fold, self.folds, self.split_seed)
                rows[name] = (source, train[part])
                rows["train"] = (source, np.delete(train, part))
        return rows

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> ImageSpec:
        """Shape, class names and counts, and the mean and standard deviation of each channel of the training images."""
        images = train.arrays["input"]
        _, channels, height, width = images.shape
        # Sums of pixels and of their squares, in chunks: the array may be larger than memory.
        total, squares, count = np.zeros(channels), np.zeros(channels), 0
        for rows in np.array_split(train.rows, -(-len(train.rows) // 4096)):
            pixels = images[rows].astype(np.float64) / 255
            total += pixels.sum((0, 2, 3))
            squares += (pixels**2).sum((0, 2, 3))
            count += len(rows) * height * width
        labels = train.arrays["target"][train.rows]
        margin = about.get("margin", 0)
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 1e-8))
        return ImageSpec(
            channels=channels,
            height=height - margin,
            width=width - margin,
            classes=tuple(about["classes"]),
            mean=tuple(mean.round(6).tolist()),
            std=tuple(std.round(6).tolist()),
            counts=tuple(np.bincount(labels, minlength=len(about["classes"])).tolist()),
            margin=margin,
            subject=self.subject,
        )


def stratified(labels: NDArray[Any], fraction: float, seed: int) -> Rows:
    """Positions of a random share of each class, in ascending order; of two or more some are taken and some left."""
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        wanted = min(max(round(len(members) * fraction), 1), len(members) - 1)
        chosen.append(members[:wanted])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def stratified_fold(labels: NDArray[Any], fold: int, folds: int, seed: int) -> Rows:
    """Positions of one of `folds` equal parts of each class, in ascending order; the parts are disjoint."""
    generator = np.random.default_rng(seed)
    members = [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    return np.sort(np.concatenate([m[fold::folds] for m in members])).astype(np.int64)


def synthetic_images(count: int, classes: int, size: int, channels: int, seed: int) -> tuple[NDArray[np.uint8], Rows]:
    """Noisy stripes [N, C, size, size] whose direction is the label: learnable in a few steps."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    angle = (np.pi * labels / classes)[:, None, None, None]
    y, x = np.mgrid[:size, :size] / size
    phase = generator.uniform(0, 2 * np.pi, (count, channels, 1, 1))
    waves = np.sin(4 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    noise = generator.normal(0, 0.2, waves.shape)
    return ((waves + noise + 2) / 4 * 255).clip(0, 255).astype(np.uint8), labels.astype(np.int64)
