"""AN4: spelled and spoken names, addresses and numbers."""

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

SUFFIX = ".transcription"


class An4Corpus(TranscriptData):
    """AN4 (Acero, Carnegie Mellon, 1991): 948 utterances to train and 130 to test, 16 kHz, or data in its layout.

    `etc` has `an4_train.transcription` and `an4_test.transcription`, files of CMU Sphinx; the recordings are in any
    subfolders, such as `wav/an4_clstk/fash/an251-fash-b.sph`. The speaker is the name of a recording's folder. A part
    of the training speakers is the validation split.

    Args:
        path: the folder; by default the first of `folders` under `root`.
        common: see `TranscriptData`.
    """

    def __init__(self, *, path: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)

    def locate(self) -> list[Path]:
        """Return the two files of transcripts, then the recordings.

        Raises:
            DataError: they are missing, or the recordings are raw files.
        """
        base = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        texts = [sorted(base.rglob(f"*_{split}{SUFFIX}"))[:1] for split in ("train", "test")]
        recordings = audio_files(base)
        if not all(texts):
            raise DataError(
                f"{self.name}: {base} has no files *_train{SUFFIX} and *_test{SUFFIX} (of AN4's folder etc)"
            )
        if not recordings:
            raise DataError(
                f"{self.name}: {base} contains no recordings that can be read; get AN4 in the format Sphere (.sph), or "
                "convert its raw files to WAV"
            )
        return [*texts[0], *texts[1], *recordings]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the transcripts and recordings of both splits.

        Raises:
            DataError: a transcript has no recording, and `corrupt` is "error"; or a recording cannot be read.
        """
        texts = dict(zip(("train", "test"), sources, strict=False))
        recordings = by_stem(sources[2:])
        speakers = {name: file.parent.name for name, file in recordings.items()}
        skipped: list[str] = []
        splits = {
            split: match(read_transcripts(file), recordings, speakers, self.corrupt == "skip", skipped)
            for split, file in texts.items()
        }
        self.save_recordings(folder, splits, skipped)

    def write_synthetic(self, folder: Path) -> None:
        """Write sentences of tones by eight speakers, six of them to train."""
        generator = np.random.default_rng(0)
        (folder / "etc").mkdir()
        lines: dict[str, list[str]] = {"train": [], "test": []}
        for number in range(72):
            speaker, text = f"m{number % 8}", random_sentence(generator).upper()
            split, name = "train" if number % 8 < 6 else "test", f"an{number}-{speaker}-b"
            place = folder / "wav" / ("an4_clstk" if split == "train" else "an4test_clstk") / speaker
            write_wav(place / f"{name}.wav", speak(text, 16000, generator), 16000)
            lines[split].append(f"<s> {text} </s> ({name})")
        for split, rows in lines.items():
            (folder / "etc" / f"an4_{split}{SUFFIX}").write_text("\n".join(rows) + "\n")
