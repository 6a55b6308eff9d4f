"""Base of datasets of photographs and their captions in files."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sightseq.core.arrays import new_array, save_about
from sightseq.core.download import own_path
from sightseq.core.errors import DataError
from sightseq.data.captions.captions import CaptionData, save_captions
from sightseq.data.captions.photo_names import PhotoNames
from sightseq.data.image.photos import read_photos
from sightseq.data.reading import Corrupt
from sightseq.text.sentences import clean_sentence
from sightseq.text.tables import is_unicode
from sightseq.vision.caption_spec import CaptionSpec
from sightseq.vision.image import SUFFIXES, read_image

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Entry:
    """One caption as its file gives it.

    Attributes:
        place: file and line or row, for messages.
        image: name of the image.
        caption: the text.
        split: one of `SPLITS`, or None for an image that the publisher leaves out of them.
    """

    place: str
    image: str
    caption: str
    split: str | None = "train"


class PhotoCaptions(CaptionData):
    """Photographs in files, decoded once to RGB, centre-cropped to a square and cached as an array.

    A caption whose image is not there and an empty caption are refused, or left out with `corrupt="skip"`. An image
    without captions is left out and counted. All captions of an image must be in one split.

    Splits that the files do not define are drawn from "train", by image: see `SplitData`.

    Args:
        path: the folder or file; by default the first of `folders` under `root`.
        corrupt: "error" stops at a file or caption that cannot be used, "skip" leaves it out and counts it.
        common: see `CaptionData`.
    """

    def __init__(self, *, path: str | None = None, corrupt: Corrupt = "error", **common: Any) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)
        self.corrupt = corrupt
        self.base = self.root  # folder of the images, set by `locate`

    @abstractmethod
    def entries(self, files: list[Path], photos: list[Path]) -> Iterator[Entry]:
        """Yield the captions.

        Args:
            files: the files that `locate` has found and that are no images.
            photos: the images.
        """

    def cache_key(self) -> dict[str, Any]:
        """Options that change the decoded images and their captions."""
        return {**super().cache_key(), "corrupt": self.corrupt}

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the captions, and decode every image that has some, on all cores.

        Raises:
            DataError: a caption or an image cannot be used, and `corrupt` is "error"; the captions of an image are in
                two splits; or no caption is in "train".
        """
        photos = [file for file in sources if is_photo(file)]
        entries = self.entries([file for file in sources if not is_photo(file)], photos)
        skipped: list[str] = []
        splits = self._collect(entries, photos, skipped)
        size, margin, read = self.image_size + self.margin, self.margin, None
        shape = (3, size, size)
        if isinstance(self.encoder, CaptionSpec):
            shape, margin = self.encoder.prepared, self.encoder.margin
            read = partial(read_image, spec=self.encoder)  # the same decoding as in predict
        for split, found in splits.items():
            files, captions = list(found), list(found.values())
            pixels = new_array(folder, split, "input", (len(files), *shape))
            bad = read_photos(files, pixels, name=self.name, corrupt=self.corrupt, read=read, title=f"decode {split}")
            for row in bad:
                captions[row] = []
            if not any(captions):
                raise DataError(f"{self.name}: none of the {len(files):,} images of {split} can be read")
            skipped += [str(files[row]) for row in bad]
            save_captions(folder, split, captions)
        save_about(folder, {"skipped": skipped, "margin": margin})

    def _collect(
        self, entries: Iterable[Entry], photos: list[Path], skipped: list[str]
    ) -> dict[str, dict[Path, list[str]]]:
        """Return the captions of each image of each split."""
        names = PhotoNames(photos, self.base)
        split_of: dict[Path, str | None] = {}
        captions: dict[Path, list[str]] = {}
        absent: set[str] = set()
        for entry in entries:
            file = names.find(entry.image, entry.place)
            caption = clean_sentence(entry.caption) if is_unicode(entry.caption) else ""
            if file is None:
                if entry.image not in absent:
                    self._reject(f"{entry.place}: there is no image {entry.image!r} below {self.base}", skipped)
                absent.add(entry.image)
                continue
            split = split_of.setdefault(file, entry.split)
            if split != entry.split:
                both = " and ".join(str(name or "in no split") for name in (split, entry.split))
                raise DataError(
                    f"{self.name}: {entry.place}: {entry.image} is in two splits, {both}; a model would be tested on "
                    "what it was trained on: put all captions of an image into one split"
                )
            if caption:
                captions.setdefault(file, []).append(caption)
            else:
                self._reject(f"{entry.place}: the caption is empty (or not valid Unicode)", skipped)
        skipped += [f"{file}, which has no caption" for file in photos if file not in captions]
        splits = {
            split: {file: texts for file, texts in captions.items() if split_of[file] == split} for split in SPLITS
        }
        if not splits["train"]:
            raise DataError(f"{self.name}: no image of the training split has a caption ({self.base})")
        return {split: found for split, found in splits.items() if found}

    def _reject(self, problem: str, skipped: list[str]) -> None:
        """Raise DataError for a caption that cannot be used, or count it if `corrupt` is "skip"."""
        if self.corrupt != "skip":
            raise DataError(f"{self.name}: {problem}; correct it, or leave such captions out with data.corrupt=skip")
        skipped.append(problem)


def is_photo(file: Path) -> bool:
    """Whether a file is an image by its suffix."""
    return file.suffix.lower() in SUFFIXES
