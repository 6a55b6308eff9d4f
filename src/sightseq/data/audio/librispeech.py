"""LibriSpeech: read English audio books."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightseq.audio.files import audio_files
from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.data.audio.spoken import random_sentence, speak
from sightseq.data.audio.synthetic import write_wav
from sightseq.data.audio.transcript_files import by_stem, match, read_transcripts
from sightseq.data.audio.transcripts import TranscriptData
from sightseq.data.transcribed import Sample

TRANSCRIPTS = "*.trans.txt"


class LibriSpeechCorpus(TranscriptData):
    """LibriSpeech (Panayotov et al., 2015), or data in its layout: 16 kHz, capital letters.

    Each part is a folder such as `train-clean-100`, with a folder for each speaker and chapter: `19/198` has
    `19-198-0000.flac` and the transcripts `19-198.trans.txt`. The parts have different speakers.

    Args:
        train, val, test: folders of the splits; of the test, such as "test-clean", or "test-other".
        path: the folder with the parts; by default the first of `folders` under `root`.
        common: see `TranscriptData`.
    """

    def __init__(
        self,
        *,
        train: Sequence[str] = ("train-clean-100",),
        val: Sequence[str] = ("dev-clean",),
        test: Sequence[str] = ("test-clean",),
        path: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.parts = {"train": list(train), "val": list(val), "test": list(test)}
        self.path = None if self.synthetic else own_path(path)

    def cache_key(self) -> dict[str, Any]:
        """Options that change what is read from the files."""
        return {**super().cache_key(), "parts": self.parts}

    def locate(self) -> list[Path]:
        """Return the transcripts and recordings of all parts.

        Raises:
            DataError: a part is missing.
        """
        self.base = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        found: list[Path] = []
        for part in (part for parts in self.parts.values() for part in parts):
            transcripts, recordings = sorted((self.base / part).rglob(TRANSCRIPTS)), audio_files(self.base / part)
            if not transcripts or not recordings:
                raise DataError(
                    f"{self.name}: {self.base / part} has no recordings with transcripts ({TRANSCRIPTS}); add this "
                    "part (openslr.org/12), or name others with data.train=[PART], data.val=[PART] and data.test=[PART]"
                )
            found += [*transcripts, *recordings]
        return found

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the transcripts and recordings of each split.

        Raises:
            DataError: a transcript has no recording, and `corrupt` is "error"; or a recording cannot be read.
        """
        skipped: list[str] = []
        splits: dict[str, list[Sample]] = {}
        for split, parts in self.parts.items():
            own = [file for file in sources if file.relative_to(self.base).parts[0] in parts]
            recordings = by_stem([file for file in own if not file.match(TRANSCRIPTS)])
            lines = (line for file in own if file.match(TRANSCRIPTS) for line in read_transcripts(file))
            speakers = {name: name.partition("-")[0] for name in recordings}
            splits[split] = match(lines, recordings, speakers, self.corrupt == "skip", skipped)
        self.save_recordings(folder, splits, skipped)

    def write_synthetic(self, folder: Path) -> None:
        """Write sentences of tones, 48 to train, 12 to validate and 12 to test, in the folders of the parts."""
        generator = np.random.default_rng(0)
        for number, (parts, count) in enumerate(zip(self.parts.values(), (48, 12, 12), strict=True)):
            for index in range(count):
                speaker = f"{10 * number + index % 3}"
                chapter = folder / parts[0] / speaker / "7"
                name, text = f"{speaker}-7-{index:04}", random_sentence(generator).upper()
                write_wav(chapter / f"{name}.wav", speak(text, 16000, generator), 16000)
                with (chapter / f"{speaker}-7.trans.txt").open("a") as file:
                    file.write(f"{name} {text}\n")
