"""Flickr8k: photographs with five captions each (Hodosh et al., 2013, JAIR 47)."""

from collections.abc import Iterator
from pathlib import Path

from sightseq.core.download import missing_error
from sightseq.core.errors import DataError
from sightseq.data.captions.karpathy import read_karpathy
from sightseq.data.captions.photo_captions import SPLITS, Entry, PhotoCaptions
from sightseq.data.captions.synthetic import write_photos
from sightseq.text.sentences import read_lines
from sightseq.text.tables import read_table
from sightseq.vision.image import image_files

KARPATHY, TOKENS, TABLE = "dataset_flickr8k.json", "Flickr8k.token.txt", "captions.txt"
SPLIT_FILES = {
    f"Flickr_8k.{name}Images.txt": split for name, split in zip(("train", "dev", "test"), SPLITS, strict=True)
}
WITHOUT_IMAGE = "2258277193_586949ec62.jpg.1"  # known mistake of Flickr8k.token.txt


class Flickr8k(PhotoCaptions):
    """8,091 photographs of people and animals; the files of any of its releases, with or without their image folder.

    Captions and splits are those of the first of these files that is there: `dataset_flickr8k.json` of Karpathy
    (8,000 photographs: 6,000, 1,000 and 1,000); `Flickr8k.token.txt` of the publisher; `captions.txt` of Kaggle. With
    the last two the splits are those of `Flickr_8k.trainImages.txt`, `Flickr_8k.devImages.txt` and
    `Flickr_8k.testImages.txt`, which leave 91 photographs out. Without these files, validation and test are random
    parts of all photographs: see `SplitData`.
    """

    def locate(self) -> list[Path]:
        """Return the file of captions, those of the splits, and all photographs.

        Raises:
            DataError: there are no captions or no photographs, or one file of the splits is missing.
        """
        for base in [self.path] if self.path else [self.root / name for name in self.folders]:
            captions = next((file for name in (KARPATHY, TOKENS, TABLE) for file in _find(base, name)), None)
            if captions is None or not (photos := image_files(base)):
                continue
            self.base = base
            splits = [file for name in SPLIT_FILES for file in _find(base, name)]
            if captions.name == KARPATHY:
                splits = []
            elif 0 < len(splits) < len(SPLIT_FILES):
                lacking = set(SPLIT_FILES) - {file.name for file in splits}
                raise DataError(
                    f"{self.name}: there is {splits[0]}, but no {min(lacking)}; add it, or remove the other"
                )
            return [captions, *splits, *photos]
        wanted = f"photographs with {TABLE}, {TOKENS} or {KARPATHY}"
        if self.path:
            raise DataError(f"{self.name}: {self.path} has no {wanted}")
        raise missing_error(self.name, self.root, self.folders, wanted, own=True)

    def entries(self, files: list[Path], photos: list[Path]) -> Iterator[Entry]:
        """Yield the captions with their splits."""
        captions, *splits = files
        if captions.name == KARPATHY:
            yield from read_karpathy(captions)
            return
        split_of: dict[str, str] = {}
        for file in splits:
            for number, line in enumerate(read_lines(file), 1):
                split = SPLIT_FILES[file.name]
                if (name := line.strip()) and split_of.setdefault(name, split) != split:
                    raise DataError(
                        f"{self.name}: {file}, line {number}: {name} is in {split_of[name]}, too; an image must be in "
                        "one split"
                    )
        for place, name, text in _tokens(captions) if captions.name == TOKENS else _table(captions):
            if name != WITHOUT_IMAGE:
                yield Entry(place, name, text, split_of.get(name) if splits else "train")

    def write_synthetic(self, folder: Path) -> None:
        """Write 60 generated photographs in the layout of Kaggle."""
        captions = write_photos(folder / "Images", 60)
        rows = [f'{name},"{text}"' for name, texts in captions.items() for text in texts]
        (folder / TABLE).write_text("\n".join(["image,caption", *rows]) + "\n")


def _find(folder: Path, name: str) -> list[Path]:
    """Return the files with this name in a folder and in its subfolders."""
    return [file for pattern in (name, f"*/{name}") for file in sorted(folder.glob(pattern)) if file.is_file()][:1]


def _tokens(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield place, image name and caption of `Flickr8k.token.txt`: name#number TAB caption."""
    for number, line in enumerate(read_lines(file), 1):
        name, tab, text = line.partition("\t")
        if not tab and line.strip():
            raise DataError(f"{file}, line {number}, has no tab; each line needs name#number, a tab and a caption")
        if tab:
            yield f"{file}, line {number}", name.rpartition("#")[0] or name, text


def _table(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield place, image name and caption of Kaggle's `captions.txt`, a CSV file."""
    for place, row in read_table(file, ("image", "caption"), "comma"):
        if not {"image", "caption"} <= set(row):
            raise DataError(f"{place}, has no column image or caption; the first line must be image,caption")
        yield place, row["image"] or "", row["caption"] or ""
