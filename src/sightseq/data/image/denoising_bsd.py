"""The Berkeley photos of denoising benchmarks: in grey, and in colour."""

from pathlib import Path

from PIL import Image

from sightseq.core.download import missing_error
from sightseq.core.errors import DataError
from sightseq.data.image.denoising import DenoisingData, synthetic_photos
from sightseq.data.image.denoising_files import list_photos, photo_reader, save_splits

TRAIN = ("train400", "Train400")
TEST = ("bsd68", "BSD68", "testsets/BSD68")
BSDS500_FOLDERS = (".", "train", "images/train", "data/images/train", "BSDS500/data/images/train")


class BSD(DenoisingData):
    """400 grey photos of 180x180 pixels for training, and the 68 of BSD68, 481x321 or 321x481, for the test.

    This is the split of Zhang et al. (2017, arXiv 1608.03981) and of later papers. Every 33rd of the 400 photos, 12 in
    all, is in the validation split. The folders `train400` and `bsd68` are both in one of `folders`, or both in `root`.
    """

    def locate(self) -> list[Path]:
        """Return all photos, those of train400 first, sorted by name.

        Raises:
            DataError: one of the two folders is missing, or train400 has fewer than 34 photos.
        """
        for base in (*(self.root / name for name in self.folders), self.root):
            train, test = ([file for name in names for file in list_photos(base / name)] for names in (TRAIN, TEST))
            if train and test:
                if len(train) < 34:
                    raise DataError(
                        f"{self.name}: {train[0].parent} contains only {len(train)} of its 400 photos; "
                        "copy all of them there"
                    )
                return train + test
        raise missing_error(self.name, self.root, [*self.folders, TEST[0]], "photos of train400 and bsd68")

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decode the photos in grey."""
        train = [file for file in sources if file.parent == sources[0].parent]
        val = train[::33][:12]
        train_only = [file for file in train if file not in val]
        save_splits(
            self.name,
            folder,
            {"train": train_only, "val": val, "test": sources[len(train) :]},
            channels=1,
            read=photo_reader(1),
        )

    def write_synthetic(self, folder: Path) -> None:
        """Write 40 small photos for training and 4 for the test."""
        for name, count, height in ((TRAIN[0], 40, 64), (TEST[0], 4, 72)):
            (folder / name).mkdir()
            for index, pixels in enumerate(synthetic_photos(count, 1, height, 64, seed=count)):
                image = Image.fromarray(pixels[0])
                (image.transpose(Image.Transpose.ROTATE_90) if index % 2 else image).save(
                    folder / name / f"test_{index + 1:03}.png"
                )


class BSDSColour(DenoisingData):
    """The 200 colour training photos of BSDS500, 481x321 or 321x481 (Arbelaez et al., 2011, IEEE TPAMI 33(5)).

    Sorted by name, the photos 0, 10, 20, ... (20 in all) are the test split, and 5, 25, 45, ... (10 in all) the
    validation split. The 68 test photos of CBSD68 are among the other 300 photos of BSDS500, which are not used.
    """

    def locate(self) -> list[Path]:
        """Return all photos, sorted by name.

        Raises:
            DataError: they are missing, or fewer than 20.
        """
        for name in self.folders:
            for subfolder in BSDS500_FOLDERS:
                if photos := list_photos(self.root / name / subfolder):
                    if len(photos) < 20:
                        raise DataError(
                            f"{self.name}: {photos[0].parent} contains only {len(photos)} of its 200 photos; "
                            "copy all of them there"
                        )
                    return photos
        raise missing_error(self.name, self.root, self.folders, "photos (train/*.jpg)")

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decode the photos in RGB."""
        test, val = sources[::10], sources[5::20]
        train_only = [file for file in sources if file not in test and file not in val]
        save_splits(
            self.name, folder, {"train": train_only, "val": val, "test": test}, channels=3, read=photo_reader(3)
        )

    def write_synthetic(self, folder: Path) -> None:
        """Write 40 small photos of two sizes."""
        (folder / "train").mkdir()
        for index, pixels in enumerate(synthetic_photos(40, 3, 64, 72, seed=0)):
            image = Image.fromarray(pixels.transpose(1, 2, 0))
            (image.transpose(Image.Transpose.ROTATE_90) if index % 2 else image).save(
                folder / "train" / f"{index:06}.jpg", quality=95
            )
