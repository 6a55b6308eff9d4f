"""Eight spoken words, yes or no, in each recording."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from sightseq.audio.files import audio_files
from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.data.audio.spoken import speak
from sightseq.data.audio.synthetic import write_wav
from sightseq.data.audio.transcripts import TranscriptData
from sightseq.data.transcribed import Sample

FILE = re.compile(r"[01](_[01])+")
WORDS = ("NO", "YES")


class YesNo(TranscriptData):
    """60 recordings of one man who says yes or no eight times, 8 kHz (openslr.org/1); the names are the transcripts.

    `waves_yesno/0_1_0_0_1_0_1_1.wav` says no, yes, no, no, yes, no, yes, yes. Splits are drawn by recording.

    Args:
        path: the folder; by default the first of `folders` under `root`.
        common: see `TranscriptData`.
    """

    def __init__(self, *, path: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)

    def locate(self) -> list[Path]:
        """Return the recordings.

        Raises:
            DataError: there are none.
        """
        folder = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        files = [file for file in audio_files(folder) if FILE.fullmatch(file.stem)]
        if not files:
            raise DataError(f"{self.name}: {folder} contains no recordings such as 0_1_0_0_1_0_1_1.wav")
        return files

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the recordings."""
        words = (" ".join(WORDS[int(digit)] for digit in file.stem.split("_")) for file in sources)
        samples = [Sample(file, text) for file, text in zip(sources, words, strict=True)]
        self.save_recordings(folder, {"train": samples})

    def write_synthetic(self, folder: Path) -> None:
        """Write 60 recordings of six words of tones."""
        generator = np.random.default_rng(0)
        for number in generator.permutation(2**6)[:60]:
            digits = [int(digit) for digit in f"{number:06b}"]
            text = " ".join(WORDS[digit] for digit in digits)
            write_wav(folder / "waves_yesno" / f"{'_'.join(map(str, digits))}.wav", speak(text, 8000, generator), 8000)
