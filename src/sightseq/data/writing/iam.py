"""The IAM Handwriting Database: lines and words of English text by 657 writers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.data.transcribed import Sample
from sightseq.data.writing.lines import LineData
from sightseq.data.writing.synthetic import draw_text, random_words
from sightseq.text.sentences import read_lines
from sightseq.vision.image import image_files

# Names of the lists of splits: those of the Aachen split in several copies, and then IAM's own task.
LISTS = (
    {"train.uttlist": "train", "validation.uttlist": "val", "test.uttlist": "test"},
    {"tr.lst": "train", "va.lst": "val", "te.lst": "test"},
    {"train.txt": "train", "valid.txt": "val", "test.txt": "test"},
    {"train.txt": "train", "val.txt": "val", "test.txt": "test"},
    {"trainset.txt": "train", "validationset1.txt": "val", "testset.txt": "test"},
)
FIELDS = 8  # of a row of lines.txt or words.txt, before the transcript


@dataclass(frozen=True)
class Piece:
    """A line or word: its id, such as a01-000u-00, its text, and whether it was segmented correctly."""

    name: str
    text: str
    correct: bool
    writer: str = ""


class IamDatabase(LineData):
    """Lines (13,353) or words (115,320) of the IAM Handwriting Database (Marti and Bunke, 2002).

    The folder has the images, in any subfolders, such as `lines/a01/a01-000u/a01-000u-00.png`, and the transcripts:
    `lines.txt` or `words.txt`, in any subfolder, such as `ascii`; or else the XML files of the forms.

    The splits are those of lists of forms or lines, in any subfolder, in this order: those of the Aachen split
    (`train.uttlist`, `validation.uttlist` and `test.uttlist`, 6,482, 976 and 2,915 lines; or `tr.lst`, `va.lst` and
    `te.lst`; or `train.txt`, `valid.txt` and `test.txt`), and those of IAM's own task (`trainset.txt`,
    `validationset1.txt` and `testset.txt`). Forms in no list are left out. Without lists, splits are drawn by writer,
    as `forms.txt` or the XML files name them, else by form.

    Args:
        unit: "lines" or "words".
        segmentation: "any", or "ok" to leave out what IAM marks as wrongly segmented.
        path: the folder; by default the first of `folders` under `root`.
        common: see `LineData`.
    """

    def __init__(
        self,
        *,
        unit: Literal["lines", "words"] = "lines",
        segmentation: Literal["any", "ok"] = "any",
        path: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.unit, self.segmentation = unit, segmentation
        self.path = None if self.synthetic else own_path(path)

    def cache_key(self) -> dict[str, Any]:
        """Options that change what is read from the files."""
        return {**super().cache_key(), "unit": self.unit, "segmentation": self.segmentation}

    def locate(self) -> list[Path]:
        """Return the files of the transcripts, the writers and the splits, then the images.

        Raises:
            DataError: there are no transcripts or no images.
        """
        base = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        texts = sorted(base.rglob(f"{self.unit}.txt"))[:1] or sorted(base.rglob("*.xml"))
        if not texts:
            raise DataError(f"{self.name}: {base} contains neither {self.unit}.txt nor the XML files of the forms")
        lists = next((found for names in LISTS if (found := _all_of(base, names))), [])
        images = image_files(base)
        if not images:
            raise DataError(f"{self.name}: {base} contains no images of {self.unit}")
        return [*texts, *sorted(base.rglob("forms.txt"))[:1], *lists, *images]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the transcripts and the images.

        Raises:
            DataError: a file of transcripts cannot be read; an image is missing or cannot be read, and `corrupt` is
                "error"; or no line of the training split is there.
        """
        images = {file.stem: file for file in image_files_of(sources)}
        splits = _splits(sources)
        writers = dict(_writers(sources))
        samples: dict[str, list[Sample]] = {}
        skipped: list[str] = []
        for piece in _pieces(sources, self.unit):
            form = form_of(piece.name)
            line = "-".join(piece.name.split("-")[:3])
            split = splits.get(form) or splits.get(line) if splits else "train"
            if split is None or (self.segmentation == "ok" and not piece.correct):
                continue
            if piece.name not in images:
                problem = f"there is no image of {piece.name}"
                if self.corrupt != "skip":
                    raise DataError(
                        f"{self.name}: {problem}; add it, or leave such {self.unit} out with data.corrupt=skip"
                    )
                skipped.append(problem)
                continue
            group = piece.writer or writers.get(form, form)
            samples.setdefault(split, []).append(Sample(images[piece.name], piece.text, group))
        if "train" not in samples:
            raise DataError(f"{self.name}: none of the {self.unit} of the training split is there")
        remarks = [] if splits else ["there are no lists of the Aachen split; the splits were drawn by writer"]
        self.save_lines(folder, samples, skipped, remarks=remarks)

    def write_synthetic(self, folder: Path) -> None:
        """Write 45 forms of two lines by nine writers, as lines and words, with an Aachen split."""
        generator = np.random.default_rng(0)
        lines, words, forms = ["# lines"], ["# words"], ["# forms"]
        lists: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
        for number in range(45):
            form, writer = f"a{number % 9:02}-{number:03}", number % 9
            lists["test" if writer == 8 else "validation" if writer == 7 else "train"].append(form)
            forms.append(f"{form} {writer:03} 2 prt 7 5 52 36")
            for row in range(2):
                name, text = f"{form}-{row:02}", random_words(generator, 2)
                lines.append(f"{name} ok 154 19 408 746 1661 89 {text.replace(' ', '|')}")
                _write(folder / "lines", name, draw_text(text, 40, generator))
                for place, word in enumerate(text.split()):
                    words.append(f"{name}-{place:02} ok 154 408 768 27 51 NN {word}")
                    _write(folder / "words", f"{name}-{place:02}", draw_text(word, 40, generator))
        (folder / "ascii").mkdir()
        for file, rows in (("lines", lines), ("words", words), ("forms", forms)):
            (folder / "ascii" / f"{file}.txt").write_text("\n".join(rows) + "\n")
        for split, names in lists.items():
            (folder / f"{split}.uttlist").write_text("\n".join(names) + "\n")


def _write(folder: Path, name: str, pixels: Any) -> None:
    file = folder / name.split("-")[0] / form_of(name) / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def form_of(name: str) -> str:
    """Return the form of a line or word: a01-000u of a01-000u-00."""
    return "-".join(name.split("-")[:2])


def image_files_of(sources: list[Path]) -> Iterator[Path]:
    """Yield the images among the files."""
    return (file for file in sources if file.suffix.lower() not in (".txt", ".xml", ".uttlist", ".lst"))


def _all_of(base: Path, names: Mapping[str, str]) -> list[Path]:
    """Return the files of these names in the first folder that has them all; none if there is no such folder."""
    for first in sorted(base.rglob(next(iter(names)))):
        files = [first.parent / name for name in names]
        if all(file.is_file() for file in files):
            return files
    return []


def _splits(sources: list[Path]) -> dict[str, str]:
    """Return the split of each form or line that a list has."""
    split_of = {name: split for names in LISTS for name, split in names.items()}
    return {
        line.split()[0]: split_of[file.name]
        for file in sources
        if file.name in split_of
        for line in read_lines(file)
        if line.strip()
    }


def _writers(sources: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield each form and its writer, as forms.txt names them."""
    for file in sources:
        if file.name == "forms.txt":
            for line in read_lines(file):
                if line.strip() and line[0] != "#":
                    form, writer, *_ = line.split()
                    yield form, writer


def _pieces(sources: list[Path], unit: str) -> Iterator[Piece]:
    """Yield the lines or words of the transcripts.

    Raises:
        DataError: a file of transcripts cannot be read.
    """
    for file in sources:
        if file.suffix.lower() == ".xml":
            yield from _xml_pieces(file, unit)
        elif file.name == f"{unit}.txt":
            for number, row in enumerate(read_lines(file), 1):
                if not row.strip() or row[0] == "#":
                    continue
                fields = row.split(maxsplit=FIELDS)
                if len(fields) < 2:
                    raise DataError(f"{file}, line {number}, is not a row of IAM's {unit}.txt: {row!r}")
                text = fields[FIELDS] if len(fields) > FIELDS else ""
                yield Piece(fields[0], text.replace("|", " ") if unit == "lines" else text, fields[1] == "ok")


def _xml_pieces(file: Path, unit: str) -> Iterator[Piece]:
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise DataError(f"{file} is not an XML file of IAM ({error}); get it again") from error
    for line in root.iter("line"):
        correct = line.get("segmentation", "ok") == "ok"
        # The texts are escaped twice: as in HTML, and as in XML.
        for element in [line] if unit == "lines" else line.iter("word"):
            yield Piece(element.get("id", ""), unescape(element.get("text", "")), correct, root.get("writer-id", ""))
