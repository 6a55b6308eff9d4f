"""A user's own lines of writing: a folder of images and a table of transcripts."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightseq.data.transcribed import Sample
from sightseq.data.transcript_table import TranscriptTable
from sightseq.data.writing.lines import LineData
from sightseq.data.writing.synthetic import draw_text, random_words
from sightseq.vision.image import image_files


class HandwritingCSV(TranscriptTable, LineData):
    """Images of lines or words and a table of their transcripts: see `TranscriptTable` and `LineData`."""

    def find(self, folder: Path) -> list[Path]:
        """Return the images in a folder and its subfolders."""
        return image_files(folder)

    def save(self, folder: Path, splits: dict[str, list[Sample]], skipped: list[str], remarks: list[str]) -> None:
        """Read and save the lines of each split."""
        self.save_lines(folder, splits, skipped, remarks=remarks)

    def write_synthetic(self, folder: Path) -> None:
        """Write 90 lines of one to three words by nine writers, and their table."""
        generator = np.random.default_rng(0)
        (folder / "images").mkdir()
        rows: list[tuple[Any, ...]] = []
        for number in range(90):
            text = random_words(generator, 1 + number % 3)
            Image.fromarray(draw_text(text, 32, generator)).save(folder / "images" / f"{number}.png")
            rows.append((f"{number}.png", text, f"writer {number % 9}"))
        with (folder / "lines.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("file", "text", "writer"), *rows])
