"""The JSON files of Karpathy and Fei-Fei (2015, arXiv 1412.2306): captions and splits of Flickr8k and COCO."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sightseq.core.errors import DataError
from sightseq.data.captions.photo_captions import Entry

SPLITS = {"train": "train", "restval": "train", "val": "val", "test": "test"}
Model = TypeVar("Model", bound=BaseModel)


class Sentence(BaseModel):
    """One caption: `raw`, its text."""

    raw: str


class CaptionedImage(BaseModel):
    """One image, with its split and its captions."""

    filename: str
    split: str
    sentences: list[Sentence]
    filepath: str = ""  # folder, in the file of COCO


class Karpathy(BaseModel):
    """A whole file, such as dataset_flickr8k.json."""

    images: list[CaptionedImage]


def read_karpathy(file: Path) -> Iterator[Entry]:
    """Yield the captions; those of the split "restval" are for training.

    Raises:
        DataError: the file is damaged, or has an unknown split.
    """
    for number, image in enumerate(read_json(file, Karpathy).images, 1):
        place = f"{file}, image {number}"
        if image.split not in SPLITS:
            raise DataError(f"{place}: there is no split {image.split!r}; only {', '.join(SPLITS)}")
        name = f"{image.filepath}/{image.filename}" if image.filepath else image.filename
        yield from (Entry(place, name, sentence.raw, SPLITS[image.split]) for sentence in image.sentences)


def read_json(file: Path, model: type[Model]) -> Model:
    """Read a JSON file whose values fit a model.

    Raises:
        DataError: they do not.
    """
    try:
        return model.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{file} is not in its publisher's format: {where + ': ' if where else ''}{first['msg']}"
        ) from None
