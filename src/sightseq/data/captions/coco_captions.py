"""COCO captions (Chen et al., 2015, arXiv 1504.00325)."""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from sightseq.core.download import missing_error
from sightseq.core.errors import DataError
from sightseq.data.captions.karpathy import read_json, read_karpathy
from sightseq.data.captions.photo_captions import Entry, PhotoCaptions
from sightseq.data.captions.synthetic import write_photos
from sightseq.vision.image import image_files

KARPATHY = "dataset_coco.json"
RELEASES = ("2017", "2014")
PARTS = {
    "train": "train",
    "val": "test",
}  # the publisher's validation images are the test: those of its test have no captions
ID_DIGITS = 12  # of an image's number in its file name


class Image(BaseModel):
    """One image of an annotation file."""

    id: int
    file_name: str


class Annotation(BaseModel):
    """One caption of an annotation file."""

    image_id: int
    caption: str


class Annotations(BaseModel):
    """A whole file, such as captions_train2017.json."""

    images: list[Image]
    annotations: list[Annotation]


class CocoCaptions(PhotoCaptions):
    """123,287 photographs with five or more captions each: `train2017/`, `val2017/` and `annotations/`; or 2014.

    The photographs of `val2017` (5,000) are the test split, and validation is a random part of `train2017`. If
    `dataset_coco.json` of Karpathy is there, the splits are his: 113,287 for training (his "train" and "restval"),
    5,000 and 5,000; the photographs may then be in the folders of 2017 or of 2014.
    """

    def locate(self) -> list[Path]:
        """Return the files of the captions, and all photographs.

        Raises:
            DataError: there are none.
        """
        for base in [self.path] if self.path else [self.root / name for name in self.folders]:
            self.base = base
            for release in RELEASES:
                names = [f"captions_{part}{release}.json" for part in PARTS]
                folders = [base / f"{part}{release}" for part in PARTS]
                captions = next(
                    ([file] for file in (base / KARPATHY, base / "annotations" / KARPATHY) if file.is_file()), None
                )
                captions = captions or [base / "annotations" / name for name in names]
                photos = [file for folder in folders if folder.is_dir() for file in image_files(folder)]
                if photos and all(file.is_file() for file in captions):
                    return [*captions, *photos]
        wanted = f"photographs (train2017, val2017) with annotations/captions_train2017.json or {KARPATHY}"
        if self.path:
            raise DataError(f"{self.name}: {self.path} has no {wanted}")
        raise missing_error(self.name, self.root, self.folders, wanted, own=True)

    def entries(self, files: list[Path], photos: list[Path]) -> Iterator[Entry]:
        """Yield the captions with their splits."""
        if files[0].name == KARPATHY:
            known = {photo.name for photo in photos}
            for entry in read_karpathy(files[0]):
                name = entry.image.rpartition("/")[2]
                # COCO_val2014_000000391895.jpg is 000000391895.jpg in the release of 2017.
                short = name.rpartition("_")[2]
                yield Entry(entry.place, short if short in known else name, entry.caption, entry.split)
            return
        for file, (part, split) in zip(files, PARTS.items(), strict=True):
            content = read_json(file, Annotations)
            folder = f"{part}{file.stem[-4:]}"
            names = {image.id: f"{folder}/{image.file_name}" for image in content.images}
            for number, annotation in enumerate(content.annotations, 1):
                name = names.get(annotation.image_id, f"number {annotation.image_id}")
                yield Entry(f"{file}, annotation {number}", name, annotation.caption, split)

    def write_synthetic(self, folder: Path) -> None:
        """Write 60 generated photographs in the layout of 2017."""
        (folder / "annotations").mkdir()
        for part, count in (("train", 50), ("val", 10)):
            captions = write_photos(folder / f"{part}2017", count, digits=ID_DIGITS)
            images = [{"id": number, "file_name": name} for number, name in enumerate(captions)]
            annotations = [
                {"image_id": number, "caption": text}
                for number, texts in enumerate(captions.values())
                for text in texts
            ]
            content = {"images": images, "annotations": annotations}
            (folder / "annotations" / f"captions_{part}2017.json").write_text(json.dumps(content))
