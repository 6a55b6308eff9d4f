"""The Berkeley photos that denoisers are compared on: in grey, and in colour."""

from pathlib import Path

from PIL import Image

from sightseq.core.download import missing_error
from sightseq.core.errors import DataError
from sightseq.data.image.denoising import DenoisingData, synthetic_photos
from sightseq.data.image.denoising_files import photo_reader, photos_in, save_splits

TRAIN = ("train400", "Train400")
TEST = ("bsd68", "BSD68", "testsets/BSD68")
INNER = (".", "train", "images/train", "data/images/train", "BSDS500/data/images/train")  # of BSDS500


class BSD(DenoisingData):
    """400 grey photos of 180x180 pixels to train, and the 68 of BSD68, 481x321 or 321x481, to test.

    The split and those after it (Zhang et al., 2017, arXiv 1608.03981). Every 33rd of the 400 validates, 12 in
    all. The two folders `train400` and `bsd68` lie side by side, in one of `folders` or in `root`.
    """

    def locate(self) -> list[Path]:
        """All photos, those to train first, in the order of their names.

        Raises:
            DataError: one of the two folders is not there, or has fewer than 34 photos to train.
        """
        for base in (*(self.root / name for name in self.folders), self.root):
            train, test = ([file for name in names for file in photos_in(base / name)] for names in (TRAIN, TEST))
            if train and test:
                if len(train) < 34:
                    raise DataError(f"{self.name}: {train[0].parent} holds {len(train)} of its 400 photos")
                return train + test
        raise missing_error(self.name, self.root, [*self.folders, TEST[0]], "photos of train400 and of bsd68")

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decodes them in grey."""
        train = [file for file in sources if file.parent == sources[0].parent]
        val = train[::33][:12]
        rest = [file for file in train if file not in val]
        save_splits(
            self.name,
            folder,
            {"train": rest, "val": val, "test": sources[len(train) :]},
            channels=1,
            read=photo_reader(1),
        )

    def write_synthetic(self, folder: Path) -> None:
        """40 photos to train and 4 to test, small."""
        for name, count, height in ((TRAIN[0], 40, 64), (TEST[0], 4, 72)):
            (folder / name).mkdir()
            for number, pixels in enumerate(synthetic_photos(count, 1, height, 64, seed=count)):
                image = Image.fromarray(pixels[0])
                (image.transpose(Image.Transpose.ROTATE_90) if number % 2 else image).save(
                    folder / name / f"test_{number + 1:03}.png"
                )


class BSDSColour(DenoisingData):
    """The 200 colour training photos of BSDS500, 481x321 or 321x481 (Arbelaez et al., 2011, IEEE TPAMI 33(5)).

    In the order of their names, every 10th tests, 20 in all, and the 5th of every 20 validates, 10 in all: BSD68 in
    colour (CBSD68) is part of the other 300.
    """

    def locate(self) -> list[Path]:
        """All photos, in the order of their names.

        Raises:
            DataError: they are not there.
        """
        for name in self.folders:
            for inner in INNER:
                if found := photos_in(self.root / name / inner):
                    if len(found) < 20:
                        raise DataError(f"{self.name}: {found[0].parent} holds {len(found)} of its 200 photos")
                    return found
        raise missing_error(self.name, self.root, self.folders, "photos (train/*.jpg)")

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decodes them in RGB."""
        test, val = sources[::10], sources[5::20]
        rest = [file for file in sources if file not in test and file not in val]
        save_splits(self.name, folder, {"train": rest, "val": val, "test": test}, channels=3, read=photo_reader(3))

    def write_synthetic(self, folder: Path) -> None:
        """40 photos, small and of two sizes."""
        (folder / "train").mkdir()
        for number, pixels in enumerate(synthetic_photos(40, 3, 64, 72, seed=0)):
            image = Image.fromarray(pixels.transpose(1, 2, 0))
            (image.transpose(Image.Transpose.ROTATE_90) if number % 2 else image).save(
                folder / "train" / f"{number:06}.jpg", quality=95
            )
