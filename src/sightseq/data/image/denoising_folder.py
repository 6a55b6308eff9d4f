"""Anyone's own photos, to which noise is added."""

from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar, Literal

from PIL import Image

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.core.spec import Spec
from sightseq.data.image.denoising import DenoisingData, synthetic_photos
from sightseq.data.image.denoising_files import check_longest, photo_reader, save_splits
from sightseq.data.image.image_folder import SPLITS
from sightseq.data.image.photos import Corrupt
from sightseq.vision.denoising_spec import DenoisingSpec
from sightseq.vision.image import image_files, is_grey


class DenoisingFolder(DenoisingData):
    """All photos in a folder and below it, or below its folders `train`, `val` and `test`.

    Splits that have no folder are random parts of the photos to train; copies of one photo stay together. Photos should
    be sharp and almost free of noise themselves.

    Args:
        path: the folder; without it, the first of `folders` under `root`.
        channels: 1 reads all photos in grey, 3 in RGB. None: grey if all to train are.
        longest: photos with a longer side, in pixels, are reduced to it, which also reduces their own noise; None:
            none is.
        corrupt: "error" stops at a file that cannot be read, "skip" leaves it out and counts it.
        common: see `DenoisingData`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"channels"})

    def __init__(
        self,
        *,
        path: str | None = None,
        channels: Literal[1, 3] | None = None,
        longest: int | None = 2048,
        corrupt: Corrupt = "error",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        check_longest(longest)
        self.path = None if self.synthetic else own_path(path)
        self.channels: int | None = channels
        self.longest, self.corrupt = longest, corrupt

    def adopt(self, spec: Spec) -> None:
        """Grey for a grey model, RGB for one of RGB."""
        if isinstance(spec, DenoisingSpec):
            self.channels = spec.channels

    def cache_key(self) -> dict[str, Any]:
        """How photos are read."""
        return {"channels": self.channels, "longest": self.longest, "corrupt": self.corrupt}

    def locate(self) -> list[Path]:
        """All photos, in the order of their names.

        Raises:
            DataError: there is no such folder, or it holds too few photos.
        """
        self.base = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        if not self.base.is_dir():
            raise DataError(
                f"{self.name}: {self.base} is a file; name the folder it is in: data.path={self.base.parent}"
            )
        found = image_files(self.base)
        if has_splits(self.base):
            found = [file for file in found if split_of(file, self.base)]
        check_enough(self.name, self.base, {split: len(files) for split, files in self._splits(found).items()})
        return found

    def _splits(self, files: list[Path]) -> dict[str, list[Path]]:
        found = defaultdict(list)
        for file in files:
            found[split_of(file, self.base) if has_splits(self.base) else "train"].append(file)
        return dict(found)

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decodes every photo once.

        Raises:
            DataError: a file cannot be read, and `corrupt` is "error"; or too few can be read.
        """
        splits = self._splits(sources)
        channels = self.channels or (1 if all(is_grey(file) for file in splits["train"]) else 3)
        counts = save_splits(self.name, folder, splits, channels, photo_reader(channels, self.longest), self.corrupt)
        check_enough(self.name, self.base, counts, readable=True)

    def write_synthetic(self, folder: Path) -> None:
        """20 colour photos of different sizes."""
        for number, pixels in enumerate(synthetic_photos(20, 3, 80, 96, seed=0)):
            image = Image.fromarray(pixels.transpose(1, 2, 0))
            image.crop((0, 0, 96 - number % 4, 80 - number % 3)).save(folder / f"{number}.png")


def has_splits(base: Path) -> bool:
    """Whether a folder has a folder `train` below it (or `training`, with any capitals)."""
    return any(SPLITS.get(path.name.lower()) == "train" for path in base.iterdir() if path.is_dir())


def split_of(file: Path, base: Path) -> str:
    """The split whose folder below `base` the file is in; "" if it is in none."""
    return SPLITS.get(file.relative_to(base).parts[0].lower(), "")


def check_enough(name: str, base: Path, counts: dict[str, int], readable: bool = False) -> None:
    """Refuses data that cannot train, validate and test.

    Args:
        name: of the dataset.
        base: its folder.
        counts: photos of each split that has a folder, or "train" alone.
        readable: they were decoded.

    Raises:
        DataError: photos to train are fewer than the splits that they are shared between, or a split has none.
    """
    shared = ["train", *(split for split in ("val", "test") if split not in counts)]
    have = counts.get("train", 0)
    if have < len(shared) or not all(counts.values()):
        short = next((split for split, count in counts.items() if not count), "train")
        have = counts.get(short, 0)
        wanted = len(shared) if short == "train" else 1
        place = base if len(counts) < 2 else f"{base} ({short})"
        raise DataError(
            f"{name}: {place} holds {have} {'readable ' if readable else ''}photo{'s' * (have != 1)}, and at least "
            f"{wanted} {'are' if wanted > 1 else 'is'} needed{' to train, validate and test' if wanted == 3 else ''}"
        )
