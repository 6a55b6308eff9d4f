"""The photos that scikit-image and scikit-learn carry: denoising that needs no download."""

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
        "motorcycle_left.png",  # both views of one scene are in one split
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
    """11 colour photos, or as many in grey and 7 grey ones; 3 (grey: 4) test and 2 (grey: 3) validate, always the same.

    The drawings, text pages and test charts of scikit-image are left out. In colour, grey photos are left out too.

    Args:
        channels: 3 for RGB, 1 for grey.
        longest: photos with a longer side, in pixels, are reduced to it, which also reduces their own noise; None:
            none is.
        common: see `DenoisingData`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"channels"})

    def __init__(self, *, channels: Literal[1, 3] = 3, longest: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        check_longest(longest)
        self.channels, self.longest = int(channels), longest

    def adopt(self, spec: Spec) -> None:
        """Grey for a grey model, RGB for one of RGB."""
        if isinstance(spec, DenoisingSpec):
            self.channels = spec.channels

    def cache_key(self) -> dict[str, Any]:
        """Colours and size."""
        return {"channels": self.channels, "longest": self.longest}

    def locate(self) -> list[Path]:
        """The files, inside the two packages; of the synthetic ones those in its folder.

        Raises:
            ConfigError: scikit-image is not installed.
            DataError: it carries fewer photos than it did.
        """
        names = [name for split in self._names().values() for name in split]
        if self.synthetic:
            return [self.root / self.folders[0] / name for name in names]
        import sklearn

        carried = Path(str(require("skimage", "denoising").__file__)).parent / "data"
        more = Path(str(sklearn.__file__)).parent / "datasets" / "images"
        found = [(more if name in FROM_SKLEARN else carried) / name for name in names]
        if absent := [file for file in found if not file.is_file()]:
            raise DataError(f"{self.name}: {absent[0]} is missing from its package; install another version of that")
        return found

    def _names(self) -> dict[str, tuple[str, ...]]:
        """The file names of each split."""
        return COLOUR if self.channels == 3 else {split: COLOUR[split] + GREY[split] for split in COLOUR}

    def process(self, sources: list[Path], folder: Path) -> None:
        """Decodes the photos."""
        files = {file.name: file for file in sources}
        splits = {split: [files[name] for name in names] for split, names in self._names().items()}
        save_splits(self.name, folder, splits, self.channels, photo_reader(self.channels, self.longest))

    def write_synthetic(self, folder: Path) -> None:
        """All 18, small, in their own file formats."""
        names = [name for split in COLOUR for name in (*COLOUR[split], *GREY[split])]
        for name, pixels in zip(names, synthetic_photos(len(names), 3, 64, 80, seed=0), strict=True):
            image = Image.fromarray(pixels.transpose(1, 2, 0))
            (image if name in sum(COLOUR.values(), ()) else image.convert("L")).save(folder / name)
