"""Anyone's own photographs: a folder with one folder of images for each class."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.datamodule import save_about, save_split
from sightseq.core.download import find_folder
from sightseq.core.errors import ConfigError, DataError, InputError
from sightseq.data.images import ImageData, synthetic_images
from sightseq.vision.image import SUFFIXES, crop, open_image, to_pixels

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class ImageFolder(ImageData):
    """`path/cat/1.jpg`, `path/dog/2.jpg`, ..., or the same below `path/train`, `path/val` and `path/test`.

    Splits that have no folder are stratified parts of the others (see `ImageData`). Images are decoded once,
    cropped about the centre to a square, and kept as an array. They are grey if all to train are.

    Args:
        path: the folder; without it, the first of `folders` under `root`.
        image_size: height and width in pixels that the network sees.
        corrupt: "error" stops at a file that cannot be read, "skip" leaves it out and counts it.
        common: see `ImageData` and `DataModule`.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        image_size: int = 64,
        corrupt: Literal["error", "skip"] = "error",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if image_size < 4:
            raise ConfigError(f"data.image_size={image_size}: an image has at least 4 pixels a side")
        self.path = None if path is None or self.synthetic else Path(path).expanduser()
        self.image_size, self.corrupt = image_size, corrupt

    def cache_key(self) -> dict[str, Any]:
        """What the decoded array depends on besides the files."""
        return {"image_size": self.image_size, "corrupt": self.corrupt}

    def locate(self) -> list[Path]:
        """All image files, in the order of their names.

        Raises:
            DataError: no such folder, no class folders in it, or a class folder without images.
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
            named = (file for file in class_folder.rglob("[!.]*") if file.suffix.lower() in SUFFIXES)
            files = sorted(file for file in named if file.is_file())
            if not files:
                raise DataError(f"{self.name}: the class folder {class_folder} holds no image; fill or remove it")
            found += files
        if len({self._label(file) for file in found}) < 2:
            raise DataError(f"{self.name}: {folder} needs at least two class folders with images in them")
        return found

    def _class_folders(self) -> list[Path]:
        top = sorted(path for path in self.base.iterdir() if path.is_dir() and not path.name.startswith("."))
        if any(SPLITS.get(path.name) == "train" for path in top):
            top = sorted(c for path in top if path.name in SPLITS for c in path.iterdir() if c.is_dir())
        return top

    def _split(self, file: Path) -> str:
        first = file.relative_to(self.base).parts[0]
        return SPLITS.get(first, "train") if (self.base / "train").is_dir() else "train"

    def _label(self, file: Path) -> str:
        parts = file.relative_to(self.base).parts
        return parts[1] if (self.base / "train").is_dir() else parts[0]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decodes every file, on all cores; a file that cannot be read has no label (-1) if it is to be skipped.

        Raises:
            DataError: a file cannot be read, and `corrupt` is "error".
        """
        with ThreadPoolExecutor() as pool:
            images = list(pool.map(self._decode, sources))
        bad = [file for file, image in zip(sources, images, strict=True) if image is None]
        readable = {self._label(file) for file, image in zip(sources, images, strict=True) if image is not None}
        if len(readable) < 2:
            raise DataError(f"{self.name}: {len(bad)} of {len(sources)} files cannot be read, such as {bad[0]}")
        train = [image for file, image in zip(sources, images, strict=True) if self._split(file) == "train"]
        channels = 1 if all(image is None or image.mode == "L" for image in train) else 3
        classes = sorted({self._label(file) for file in sources if self._split(file) == "train"})
        blank = np.zeros((channels, self.image_size, self.image_size), np.uint8)
        for split in sorted({self._split(file) for file in sources}):
            chosen = [n for n, file in enumerate(sources) if self._split(file) == split]
            strange = {self._label(sources[n]) for n in chosen} - set(classes)
            if strange:
                raise DataError(f"{self.name}: {split} has the classes {sorted(strange)}, which train has not")
            pixels: list[NDArray[np.uint8]] = []
            labels = []
            for n in chosen:
                image = images[n]
                pixels.append(blank if image is None else to_pixels(image, channels))
                labels.append(-1 if image is None else classes.index(self._label(sources[n])))
            save_split(folder, split, input=np.stack(pixels), target=np.asarray(labels, np.int64))
        if bad:
            print(f"{self.name}: skipped {len(bad)} of {len(sources)} files that cannot be read, such as {bad[0]}")
        save_about(folder, {"classes": classes, "skipped": [str(file) for file in bad]})

    def _decode(self, file: Path) -> Image.Image | None:
        try:
            image = open_image(file)
        except InputError as error:
            if self.corrupt == "skip":
                return None
            raise DataError(
                f"{self.name}: {error}; remove the file, or leave such out with data.corrupt=skip"
            ) from error
        return crop(image, self.image_size, self.image_size)

    def write_synthetic(self, folder: Path) -> None:
        """Three classes of 20 colour photographs each, of different sizes."""
        images, labels = synthetic_images(60, 3, 48, 3, seed=0)
        for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            file = folder / f"stripes_{label}" / f"{number}.png"
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels.transpose(1, 2, 0)).resize((48 + number % 7, 48)).save(file)
