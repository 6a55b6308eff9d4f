"""Pairs of a noisy and a clean photo of one scene, as taken with a camera."""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.core.spec import Spec
from sightseq.data.image.denoising import DenoisingData, synthetic_photos
from sightseq.data.image.denoising_files import read_photo, save_splits
from sightseq.data.image.denoising_folder import check_photo_counts, has_split_folders
from sightseq.data.image.image_folder import SPLITS
from sightseq.data.reading import Corrupt
from sightseq.vision.denoising_spec import DenoisingSpec
from sightseq.vision.image import image_files, is_grey

Pair = tuple[Path, Path]


class DenoisingPairs(DenoisingData):
    """Pairs `path/noisy/1.png` and `path/clean/1.png`, or such folders in `path/train`, `path/val` and `path/test`.

    Both photos of a pair have the same size, and the same name except for the suffix. Splits without a folder are drawn
    at random from the training pairs; pairs with equal clean photos stay in one split.

    Args:
        path: path of the folder; by default the first existing one of `folders` under `root`.
        channels: 1 reads all photos in grey, 3 in RGB. None: grey if all training photos are grey.
        corrupt: "error" stops at a file that cannot be read, "skip" leaves its pair out and counts it.
        common: see `DenoisingData`.
    """

    noisy_files: ClassVar[bool] = True
    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"channels"})

    def __init__(
        self,
        *,
        path: str | None = None,
        channels: Literal[1, 3] | None = None,
        corrupt: Corrupt = "error",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)
        self.channels: int | None = channels
        self.corrupt = corrupt

    def adopt(self, spec: Spec) -> None:
        """Read photos in the colours of the model: grey or RGB."""
        if isinstance(spec, DenoisingSpec):
            self.channels = spec.channels

    def cache_key(self) -> dict[str, Any]:
        """Return the options of decoding."""
        return {"channels": self.channels, "corrupt": self.corrupt}

    def locate(self) -> list[Path]:
        """Return the files of all pairs.

        Raises:
            DataError: a folder does not exist, a photo has no partner, or there are too few pairs.
        """
        self.base = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        self.pairs = {split: self._pairs(folder) for split, folder in self._folders().items()}
        check_photo_counts(self.name, self.base, {split: len(pairs) for split, pairs in self.pairs.items()})
        return [file for pairs in self.pairs.values() for pair in pairs for file in pair]

    def _folders(self) -> dict[str, Path]:
        """Return the folder of each split, which contains `noisy` and `clean`."""
        if not self.base.is_dir() or not has_split_folders(self.base):
            return {"train": self.base}
        folders: dict[str, Path] = {}
        for folder in sorted(path for path in self.base.iterdir() if path.name.lower() in SPLITS):
            if (other := folders.setdefault(SPLITS[folder.name.lower()], folder)) != folder:
                raise DataError(f"{self.name}: {other} and {folder} are the same split; remove or merge one of them")
        return folders

    def _pairs(self, folder: Path) -> list[Pair]:
        """Return pairs (noisy, clean), sorted by name."""
        noisy, clean = (self._by_name(folder / kind) for kind in ("noisy", "clean"))
        for files, partners, kind in ((noisy, clean, "clean"), (clean, noisy, "noisy")):
            if unpaired := sorted(set(files) - set(partners)):
                raise DataError(f"{self.name}: {files[unpaired[0]]} has no partner with this name in {folder / kind}")
        return [(noisy[name], clean[name]) for name in sorted(noisy)]

    def _by_name(self, folder: Path) -> dict[str, Path]:
        """Return the files in a folder and its subfolders, by their relative path without suffix."""
        if not folder.is_dir():
            raise DataError(
                f"{self.name}: there is no folder {folder}; noisy/ and clean/ with equal file names are needed"
            )
        files: dict[str, Path] = {}
        for file in image_files(folder):
            name = file.relative_to(folder).with_suffix("").as_posix()
            if name in files:
                raise DataError(f"{self.name}: {files[name]} and {file} differ only in the suffix; remove one of them")
            files[name] = file
        return files

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decode all pairs.

        Raises:
            DataError: the photos of a pair have different sizes; or a file cannot be read, and `corrupt` is "error"; or
                too few pairs can be read.
        """
        grey = all(is_grey(file) for pair in self.pairs["train"] for file in pair)
        channels = self.channels or (1 if grey else 3)
        read = partial(self._read, channels=channels)
        counts = save_splits(self.name, folder, self.pairs, channels, read, self.corrupt)
        check_photo_counts(self.name, self.base, counts, readable=True)

    def _read(self, pair: Pair, channels: int) -> dict[str, NDArray[np.uint8]]:
        """Read one pair: `photo` and `noisy`, uint8 [C, H, W]."""
        noisy, clean = (read_photo(file, channels) for file in pair)
        if noisy.shape != clean.shape:
            sizes = [f"{photo.shape[2]} x {photo.shape[1]}" for photo in (noisy, clean)]
            raise DataError(f"{self.name}: {pair[0]} has {sizes[0]} pixels, but its partner {pair[1]} has {sizes[1]}")
        return {"photo": clean, "noisy": noisy}

    def write_synthetic(self, folder: Path) -> None:
        """Write 20 colour pairs with Gaussian noise, clipped and rounded to bytes as in a camera."""
        clean = synthetic_photos(20, 3, 64, 80, seed=0)
        noise = np.random.default_rng(1).normal(0, 20, clean.shape)
        noisy = (clean + noise).round().clip(0, 255).astype(np.uint8)
        for kind, photos in (("noisy", noisy), ("clean", clean)):
            (folder / kind).mkdir()
            for index, pixels in enumerate(photos):
                Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / kind / f"{index}.png")
