"""Images of codes, whose labels are their file names."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.data.image.denoising_folder import has_split_folders, split_name
from sightseq.data.transcribed import Sample
from sightseq.data.writing.lines import LineData
from sightseq.data.writing.synthetic import draw_text
from sightseq.vision.image import image_files

LETTERS = "23456789AB"  # of the synthetic codes


class Captchas(LineData):
    """A folder of images such as `2A2X.png`, which shows the code 2A2X: the label is the file name without its suffix.

    Images in subfolders are used, too. If there is a subfolder `train`, only it, `val` and `test` are used; splits
    without a subfolder are drawn at random: see `SplitData`.

    Args:
        path: the folder; by default the first of `folders` under `root`.
        common: see `LineData`.
    """

    def __init__(self, *, path: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)

    def locate(self) -> list[Path]:
        """Return all images.

        Raises:
            DataError: the folder does not exist, or contains no images.
        """
        self.base = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        if not self.base.is_dir():
            raise DataError(f"{self.name}: {self.base} is a file; give its folder: data.path={self.base.parent}")
        files = image_files(self.base)
        if has_split_folders(self.base):
            files = [file for file in files if split_name(file, self.base)]
        if not files:
            raise DataError(f"{self.name}: {self.base} contains no images")
        return files

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read all images."""
        divided = has_split_folders(self.base)
        splits = defaultdict(list)
        for file in sources:
            splits[split_name(file, self.base) if divided else "train"].append(Sample(file, file.stem))
        self.save_lines(folder, splits)

    def write_synthetic(self, folder: Path) -> None:
        """Write 120 images of codes of three letters or digits."""
        generator = np.random.default_rng(0)
        codes: set[str] = set()
        while len(codes) < 120:
            codes.add("".join(generator.choice(list(LETTERS), 3)))
        for code in sorted(codes):
            Image.fromarray(draw_text(code, 24, generator)).save(folder / f"{code}.png")
