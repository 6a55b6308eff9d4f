"""The photos in the packages scikit-image and scikit-learn: denoising without a download."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from PIL import Image

from sightseq.core.errors import DataError
from sightseq.core.extras import require
from sightseq.core.spec import Spec
from sightseq.data.image.denoising import DenoisingData, synthetic_photos
from sightseq.data.image.denoising_files import check_longest, photo_reader, save_splits
from sightseq.vision.denoising_spec import DenoisingSpec

COLOUR = {
    "train": (
        "flower.jpg",
        "hubble_deep_field.jpg",
        "ihc.png",
        "motorcycle_left.png",  # both views of one scene must be in one split
        "motorcycle_right.png",
        "retina.jpg",
    ),
    "val": ("coffee.png", "rocket.jpg"),
    "test": ("astronaut.png", "chelsea.png", "china.jpg"),
}
GREY = {
    "train": ("brick.png", "cell.png", "grass.png", "gravel.png", "moon.png"),
    "val": ("coins.png",),
    "test": ("camera.png",),
}
FROM_SKLEARN = ("china.jpg", "flower.jpg")


class DenoisingPhotos(DenoisingData):
    """11 photos in colour, or 18 in grey (the same 11 and 7 grey ones), in fixed splits.

    The splits have 6, 2 and 3 photos in colour (train, val, test), and 11, 3 and 4 in grey. The drawings, text pages
    and test charts of scikit-image are left out.

    Args:
        channels: 3 for RGB, 1 for grey.
        longest: photos with a longer side, in pixels, are resized to this length, which also reduces their own noise.
            None: photos keep their size.
        common: see `DenoisingData`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"channels"})

    def __init__(self, *, channels: Literal[1, 3] = 3, longest: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        check_longest(longest)
        self.channels, self.longest = int(channels), longest

    def adopt(self, spec: Spec) -> None:
        """Read photos in the colours of the model: grey or RGB."""
        if isinstance(spec, DenoisingSpec):
            self.channels = spec.channels

    def cache_key(self) -> dict[str, Any]:
        """Return the options of decoding."""
        return {"channels": self.channels, "longest": self.longest}

    def locate(self) -> list[Path]:
        """Return the files in the two packages; for synthetic data, the generated files.

        Raises:
            ConfigError: scikit-image is not installed.
            DataError: the installed version of a package lacks one of the photos.
        """
        names = [name for split in self._names().values() for name in split]
        if self.synthetic:
            return [self.root / self.folders[0] / name for name in names]
        import sklearn

        skimage_folder = Path(str(require("skimage", "denoising").__file__)).parent / "data"
        sklearn_folder = Path(str(sklearn.__file__)).parent / "datasets" / "images"
        files = [(sklearn_folder if name in FROM_SKLEARN else skimage_folder) / name for name in names]
        if missing := [file for file in files if not file.is_file()]:
            raise DataError(f"{self.name}: {missing[0]} is missing; install another version of that package")
        return files

    def _names(self) -> dict[str, tuple[str, ...]]:
        """Return the file names of each split."""
        return COLOUR if self.channels == 3 else {split: COLOUR[split] + GREY[split] for split in COLOUR}

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decode the photos."""
        files = {file.name: file for file in sources}
        splits = {split: [files[name] for name in names] for split, names in self._names().items()}
        save_splits(self.name, folder, splits, self.channels, photo_reader(self.channels, self.longest))

    def write_synthetic(self, folder: Path) -> None:
        """Write small versions of all 18 photos, in their own file formats."""
        names = [name for split in COLOUR for name in (*COLOUR[split], *GREY[split])]
        for name, pixels in zip(names, synthetic_photos(len(names), 3, 64, 80, seed=0), strict=True):
            image = Image.fromarray(pixels.transpose(1, 2, 0))
            (image if name in sum(COLOUR.values(), ()) else image.convert("L")).save(folder / name)
