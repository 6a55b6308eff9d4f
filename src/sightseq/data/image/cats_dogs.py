"""Cats and dogs: photographs whose class stands in their file name, or in their folder's."""

from pathlib import Path

from PIL import Image

from sightseq.core.download import missing
from sightseq.core.errors import DataError
from sightseq.data.image.image_folder import ImageFolder
from sightseq.data.image.images import synthetic_images

CLASSES = ("cat", "dog")


class CatsDogs(ImageFolder):
    """The photographs of the competition of 2013 (Elson et al., 2007: Asirra), in either of their two releases.

    The competition's archive: `train/cat.0.jpg`, `train/dog.0.jpg`, ... (its `test1` has no labels and is left
    alone). The later release: `PetImages/Cat/0.jpg`, `PetImages/Dog/0.jpg`, ..., of which `Cat/666.jpg` and
    `Dog/11702.jpg` are known to be damaged: `corrupt="skip"` leaves such out. Neither has a test split, so a
    stratified part tests, or each of several in turn (`fold`).
    """

    def locate(self) -> list[Path]:
        """All photographs, cats first, in the order of their numbers.

        Raises:
            DataError: there are none, or of one class alone.
        """
        bases = [self.path] if self.path else [self.root / name for name in self.folders]
        for base in bases:
            for folder in (base / "train" / "train", base / "train", base / "PetImages", base):
                found = [file for name in CLASSES for file in _photographs(folder, name)]
                if found:
                    if len({self.class_of(file) for file in found}) < 2:
                        raise DataError(f"{self.name}: {folder} has photographs of one class alone; it needs both")
                    return found
        if self.path:
            raise DataError(f"{self.name}: {self.path} has neither train/cat.0.jpg nor PetImages/Cat/0.jpg")
        raise missing(self.name, self.root, self.folders, "photographs (train/cat.0.jpg or PetImages/Cat/0.jpg)")

    def split_of(self, file: Path) -> str:
        """All are of one split."""
        return "train"

    def class_of(self, file: Path) -> str:
        """What its own name begins with in the competition's archive, or the name of its folder."""
        return "cat" if file.name.startswith("cat.") or file.parent.name.lower() == "cat" else "dog"

    def write_synthetic(self, folder: Path) -> None:
        """50 photographs of each class and of different sizes, as in the competition's archive."""
        images, labels = synthetic_images(100, 2, 72, 3, seed=0)
        (folder / "train").mkdir()
        for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            file = folder / "train" / f"{CLASSES[label]}.{number // 2}.jpg"
            Image.fromarray(pixels.transpose(1, 2, 0)).resize((72 + number % 40, 72)).save(file)


def _photographs(folder: Path, name: str) -> list[Path]:
    """`cat.0.jpg`, ... in the folder, or all in `Cat/` below it, by number."""
    files = [*folder.glob(f"{name}.*.jpg"), *folder.glob(f"{name.capitalize()}/*.jpg")]
    return sorted(files, key=lambda file: (len(file.name), file.name))
