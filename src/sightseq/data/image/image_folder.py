"""A user's own images: a folder with one subfolder of images for each class."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from sightseq.core.arrays import new_array, save_about, save_split
from sightseq.core.download import find_folder, own_path
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.image.images import ImageData, synthetic_images
from sightseq.data.image.photos import read_photos
from sightseq.data.reading import Corrupt
from sightseq.vision.image import image_files, is_grey, read_image
from sightseq.vision.spec import ImageSpec

SPLITS = {  # folders of these names, in any case, are splits if one of them is a training split
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val"},
}


class ImageFolder(ImageData):
    """`path/cat/1.jpg`, `path/dog/2.jpg`, ..., or the same below `path/train`, `path/val` and `path/test`.

    Splits that have no folder are stratified parts of the others (see `SplitData`). Images are decoded once,
    centre-cropped to a square, and cached as an array. They are grey if all training images are grey.

    Args:
        path: the folder; without it, the first of `folders` under `root`.
        image_size: height and width in pixels of the network's input.
        margin: extra pixels of height and width of the cached images, for random crops and shifts in training;
            validation, test and prediction use the centre.
        corrupt: "error" stops at a file that cannot be read, "skip" leaves it out and counts it.
        common: see `ImageData` and `DataModule`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"image_size", "margin"})

    def __init__(
        self,
        *,
        path: str | None = None,
        image_size: int = 64,
        margin: int = 0,
        corrupt: Corrupt = "error",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if image_size < 4:
            raise ConfigError(f"data.image_size={image_size}: at least 4 pixels a side are needed")
        if margin < 0:
            raise ConfigError(f"data.margin={margin}: must be 0 or more pixels")
        self.path = None if self.synthetic else own_path(path)
        self.image_size, self.margin, self.corrupt = image_size, margin, corrupt
        self.example_spec = replace(self.example_spec, height=image_size, width=image_size, margin=margin)

    def cache_key(self) -> dict[str, Any]:
        """Options that change the decoded array."""
        if self.encoder is None:
            return {"image_size": self.image_size, "margin": self.margin, "corrupt": self.corrupt}
        return {"encoder": self.encoder.to_dict(), "corrupt": self.corrupt}

    def locate(self) -> list[Path]:
        """Return all image files, in the order of their names.

        Raises:
            DataError: the folder does not exist, has fewer than two classes, or has a class folder without images.
        """
        folder = self.path or find_folder(self.root, self.folders)
        if folder is None or not folder.is_dir():
            raise DataError(
                f"{self.name}: there is no folder {folder or self.root / self.folders[0]}; "
                f"name yours with data.path=FOLDER (one folder of images for each class)"
            )
        self.base = folder
        found = []
        for class_folder in self._class_folders():
            files = image_files(class_folder)
            if not files:
                raise DataError(
                    f"{self.name}: the class folder {class_folder} contains no images; add some or remove it"
                )
            found += files
        if len({self.class_of(file) for file in found}) < 2:
            raise DataError(f"{self.name}: {folder} needs at least two class folders with images in them")
        return found

    def _class_folders(self) -> list[Path]:
        top = _folders(self.base)
        splits = {path.name: SPLITS[path.name.lower()] for path in top if path.name.lower() in SPLITS}
        self.splits = splits if "train" in splits.values() else {}
        return sorted(c for path in top if path.name in splits for c in _folders(path)) if self.splits else top

    def split_of(self, file: Path) -> str:
        """Return the publisher's split of a file: "train", "val" or "test"."""
        return self.splits.get(file.relative_to(self.base).parts[0], "train")

    def class_of(self, file: Path) -> str:
        """Return the class of a file: the name of its class folder."""
        parts = file.relative_to(self.base).parts
        return parts[1] if self.splits else parts[0]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decode every file once, on all cores; a skipped file gets the label -1.

        Raises:
            DataError: a file cannot be read, and `corrupt` is "error"; a split has classes that "train" does not have;
                or fewer than two classes have readable files.
        """
        train = [file for file in sources if self.split_of(file) == "train"]
        size = self.image_size + self.margin
        shape, margin, read = (1 if all(is_grey(file) for file in train) else 3, size, size), self.margin, None
        if isinstance(self.encoder, ImageSpec):
            shape, margin = self.encoder.prepared, self.encoder.margin
            read = partial(read_image, spec=self.encoder)  # the same decoding as in predict
        classes = self.order_classes({self.class_of(file) for file in train})
        skipped: list[str] = []
        readable: set[str] = set()
        for split in sorted({self.split_of(file) for file in sources}):
            files = [file for file in sources if self.split_of(file) == split]
            if unknown := {self.class_of(file) for file in files} - set(classes):
                raise DataError(f"{self.name}: {split} has classes that train does not have: {sorted(unknown)}")
            labels = np.array([classes.index(self.class_of(file)) for file in files], np.int64)
            pixels = new_array(folder, split, "input", (len(files), *shape))
            bad = read_photos(files, pixels, name=self.name, corrupt=self.corrupt, read=read, title=f"decode {split}")
            labels[bad] = -1
            skipped += [str(files[row]) for row in bad]
            readable |= {classes[label] for label in labels if label >= 0}
            save_split(folder, split, target=labels)
        if len(readable) < 2:
            raise DataError(f"{self.name}: {len(skipped)} of {len(sources)} files cannot be read, such as {skipped[0]}")
        save_about(folder, {"classes": classes, "skipped": skipped, "margin": margin})

    def write_synthetic(self, folder: Path) -> None:
        """Write three classes of 20 colour images each, of different sizes."""
        images, labels = synthetic_images(60, 3, 48, 3, seed=0)
        for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            file = folder / f"stripes_{label}" / f"{number}.png"
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels.transpose(1, 2, 0)).resize((48 + number % 7, 48)).save(file)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
