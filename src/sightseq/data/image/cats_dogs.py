"""Cats and dogs: photographs whose class is given by their file name or their folder name."""

from pathlib import Path

from PIL import Image

from sightseq.core.download import missing_error
from sightseq.core.errors import DataError
from sightseq.data.image.image_folder import ImageFolder
from sightseq.data.image.images import synthetic_images

CLASSES = ("cat", "dog")


class CatsDogs(ImageFolder):
    """The photographs of the 2013 Kaggle competition (Elson et al., 2007: Asirra), in either of two releases.

    The competition's archive has `train/cat.0.jpg`, `train/dog.0.jpg`, ... (its `test1` has no labels and is not
    read). The later release has `PetImages/Cat/0.jpg`, `PetImages/Dog/0.jpg`, ...; its `Cat/666.jpg` and
    `Dog/11702.jpg` are known to be damaged: `corrupt="skip"` leaves such files out. Neither release has a test split,
    so a stratified part of the photographs is the test split, or, with `fold`, each of `folds` parts in turn.
    """

    def locate(self) -> list[Path]:
        """Return all photographs: cats first, each class in the order of its file numbers.

        Raises:
            DataError: there are no photographs, or only those of one class.
        """
        bases = [self.path] if self.path else [self.root / name for name in self.folders]
        for base in bases:
            for folder in (base / "train" / "train", base / "train", base / "PetImages", base):
                files = [file for name in CLASSES for file in _photographs(folder, name)]
                if files:
                    if len({self.class_of(file) for file in files}) < 2:
                        raise DataError(f"{self.name}: {folder} has photographs of one class only; both are needed")
                    return files
        if self.path:
            raise DataError(f"{self.name}: {self.path} has neither train/cat.0.jpg nor PetImages/Cat/0.jpg")
        raise missing_error(self.name, self.root, self.folders, "photographs (train/cat.0.jpg or PetImages/Cat/0.jpg)")

    def split_of(self, file: Path) -> str:
        """Return "train": the publisher has one split."""
        return "train"

    def class_of(self, file: Path) -> str:
        """Return the class: the prefix of the file name (competition's archive) or the folder name."""
        return "cat" if file.name.startswith("cat.") or file.parent.name.lower() == "cat" else "dog"

    def write_synthetic(self, folder: Path) -> None:
        """Write 50 photographs of each class, of different sizes, laid out as in the competition's archive."""
        images, labels = synthetic_images(100, 2, 72, 3, seed=0)
        (folder / "train").mkdir()
        for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            file = folder / "train" / f"{CLASSES[label]}.{number // 2}.jpg"
            Image.fromarray(pixels.transpose(1, 2, 0)).resize((72 + number % 40, 72)).save(file)


def _photographs(folder: Path, name: str) -> list[Path]:
    """`cat.0.jpg`, ... in the folder, and all files in its subfolder `Cat/`, in the order of their numbers."""
    files = [*folder.glob(f"{name}.*.jpg"), *folder.glob(f"{name.capitalize()}/*.jpg")]
    return sorted(files, key=lambda file: (len(file.name), file.name))
