"""A user's own photos, to which noise is added."""

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
from sightseq.data.reading import Corrupt
from sightseq.vision.denoising_spec import DenoisingSpec
from sightseq.vision.image import image_files, is_grey


class DenoisingFolder(DenoisingData):
    """All photos in a folder and its subfolders, or in the subfolders `train`, `val` and `test`.

    Splits without a folder are drawn at random from the training photos; copies of one photo stay in one split. The
    photos should be sharp and almost free of noise.

    Args:
        path: path of the folder; by default the first existing one of `folders` under `root`.
        channels: 1 reads all photos in grey, 3 in RGB. None: grey if all training photos are grey.
        longest: photos with a longer side, in pixels, are resized to this length, which also reduces their own noise.
            None: photos keep their size.
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
        """Read photos in the colours of the model: grey or RGB."""
        if isinstance(spec, DenoisingSpec):
            self.channels = spec.channels

    def cache_key(self) -> dict[str, Any]:
        """Return the options of decoding."""
        return {"channels": self.channels, "longest": self.longest, "corrupt": self.corrupt}

    def locate(self) -> list[Path]:
        """Return all photos, sorted by path.

        Raises:
            DataError: the folder does not exist, or it contains too few photos.
        """
        self.base = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        if not self.base.is_dir():
            raise DataError(f"{self.name}: {self.base} is a file; give its folder: data.path={self.base.parent}")
        files = image_files(self.base)
        if has_split_folders(self.base):
            files = [file for file in files if split_name(file, self.base)]
        check_photo_counts(self.name, self.base, {split: len(part) for split, part in self._splits(files).items()})
        return files

    def _splits(self, files: list[Path]) -> dict[str, list[Path]]:
        """Return the files of each split that has a folder; all files as "train" without such folders."""
        if not has_split_folders(self.base):
            return {"train": files}
        splits = defaultdict(list)
        for file in files:
            splits[split_name(file, self.base)].append(file)
        return dict(splits)

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decode all photos.

        Raises:
            DataError: a file cannot be read, and `corrupt` is "error"; or too few files can be read.
        """
        splits = self._splits(sources)
        channels = self.channels or (1 if all(is_grey(file) for file in splits["train"]) else 3)
        counts = save_splits(self.name, folder, splits, channels, photo_reader(channels, self.longest), self.corrupt)
        check_photo_counts(self.name, self.base, counts, readable=True)

    def write_synthetic(self, folder: Path) -> None:
        """Write 20 colour photos of different sizes."""
        for index, pixels in enumerate(synthetic_photos(20, 3, 80, 96, seed=0)):
            image = Image.fromarray(pixels.transpose(1, 2, 0))
            image.crop((0, 0, 96 - index % 4, 80 - index % 3)).save(folder / f"{index}.png")


def has_split_folders(base: Path) -> bool:
    """Whether a folder has a subfolder `train` (or `training`), in upper or lower case."""
    return any(SPLITS.get(path.name.lower()) == "train" for path in base.iterdir() if path.is_dir())


def split_name(file: Path, base: Path) -> str:
    """Return the split in whose subfolder of `base` a file is; "" if it is in none."""
    return SPLITS.get(file.relative_to(base).parts[0].lower(), "")


def check_photo_counts(name: str, base: Path, counts: dict[str, int], readable: bool = False) -> None:
    """Check that there are enough photos for training, validation and test.

    Args:
        name: name of the dataset.
        base: folder of the dataset.
        counts: number of photos of each split that has a folder, or of "train" alone.
        readable: whether only photos that can be read are counted.

    Raises:
        DataError: a split has no photos, or there are fewer training photos than splits that are drawn from them.
    """
    drawn = ["train", *(split for split in ("val", "test") if split not in counts)]  # from the training photos
    if counts.get("train", 0) < len(drawn) or not all(counts.values()):
        short = next((split for split, count in counts.items() if not count), "train")
        count = counts.get(short, 0)
        needed = len(drawn) if short == "train" else 1
        place = base if len(counts) < 2 else f"{base} ({short})"
        raise DataError(
            f"{name}: {place} contains {count} {'readable ' if readable else ''}photo{'s' * (count != 1)}; "
            f"add photos: at least {needed} {'are' if needed > 1 else 'is'} needed"
            f"{' to train, validate and test' if needed == 3 else ''}"
        )
