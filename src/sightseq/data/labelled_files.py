"""Labelled files of any kind: their class folders, and the columns of their labels and groups."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from sightseq.core.arrays import save_split
from sightseq.core.errors import DataError
from sightseq.data.grouped import GroupedData

SPLITS = {  # names of folders and tables, in any case
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "dev": "val", "validation": "val"},
}


class LabelledFile(Protocol):
    """A file with its class, the publisher's split ("train", "val" or "test"), and its group ("" if unknown)."""

    @property
    def path(self) -> Path: ...

    @property
    def label(self) -> str: ...

    @property
    def split(self) -> str: ...

    @property
    def group(self) -> str: ...


File = TypeVar("File", bound=LabelledFile)


def save_labelled(
    data: GroupedData, folder: Path, files: Sequence[File], save: Callable[[str, Sequence[File]], list[int]]
) -> dict[str, Any]:
    """Save the `target` and the group of each file; one that cannot be read gets the label -1.

    Args:
        data: the dataset.
        folder: the folder that its `process` receives.
        files: all files.
        save: saves the other columns of the files of a split, and returns the rows that cannot be read.

    Returns:
        For `save_about`: "classes", "skipped", and "remarks" on shared groups.

    Raises:
        DataError: a split has classes that "train" does not have, or fewer than two classes have readable files.
    """
    classes = data.order_classes({file.label for file in files if file.split == "train"})
    groups: dict[str, list[str]] = {}
    skipped: list[str] = []
    readable: set[str] = set()
    for split in sorted({file.split for file in files}):
        own = [file for file in files if file.split == split]
        if unknown := {file.label for file in own} - set(classes):
            raise DataError(f"{data.name}: {split} has classes that train does not have: {sorted(unknown)}")
        labels = np.array([classes.index(file.label) for file in own], np.int64)
        bad = save(split, own)
        labels[bad] = -1
        skipped += [str(own[row].path) for row in bad]
        readable |= {classes[label] for label in labels if label >= 0}
        groups[split] = [file.group for file in own]
        column = data.group_column(groups[split], {file.group for file in files})
        save_split(folder, split, target=labels, **column)
    if len(readable) < 2:
        what = f"{len(skipped)} of {len(files)} files cannot be read" if skipped else f"all files are {classes}"
        raise DataError(f"{data.name}: {what}; at least two classes with readable files are needed")
    return {"classes": classes, "skipped": skipped, "remarks": data.shared_groups(groups)}


def in_class_folders(name: str, base: Path, files: Sequence[Path]) -> Iterator[tuple[Path, str, str]]:
    """Yield each file with its class and split, which are the names of folders: base/cat/1, or base/train/cat/1.

    There are splits if one of the folders in `base` is a training split: see `SPLITS`. Files in other folders are then
    left out.

    Args:
        name: name of the dataset, for messages.
        base: the folder of the class folders or splits.
        files: files below it, at any depth.

    Raises:
        DataError: a file is in no class folder.
    """
    top = {file.relative_to(base).parts[0] for file in files}
    splits = {folder: SPLITS[folder.lower()] for folder in top if folder.lower() in SPLITS}
    splits = splits if "train" in splits.values() else {}
    for file in files:
        *folders, _ = file.relative_to(base).parts
        if splits and folders and folders[0] not in splits:
            continue
        classes = folders[1:] if splits else folders
        if not classes:
            raise DataError(f"{name}: {file} is in no class folder; move it to one, or remove it")
        yield file, classes[0], splits.get(folders[0], "train")
