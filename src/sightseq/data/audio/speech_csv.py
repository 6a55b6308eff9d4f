"""A user's own recordings of speech: a folder of clips and a table of transcripts, such as Common Voice."""

import csv
from pathlib import Path

import numpy as np

from sightseq.audio.files import audio_files
from sightseq.data.audio.spoken import random_sentence, speak
from sightseq.data.audio.synthetic import write_wav
from sightseq.data.audio.transcripts import TranscriptData
from sightseq.data.transcribed import Sample
from sightseq.data.transcript_table import TranscriptTable


class SpeechCSV(TranscriptTable, TranscriptData):
    """Clips and a table of their transcripts, such as Common Voice: see `TranscriptTable` and `TranscriptData`.

    Common Voice (Ardila et al., 2020) has the folder `clips`, the tables train.tsv, dev.tsv and test.tsv, which are
    used, and others, which are not; its columns are path, sentence and client_id, the speaker.
    """

    def find(self, folder: Path) -> list[Path]:
        """Return the clips in a folder and its subfolders."""
        return audio_files(folder)

    def save(self, folder: Path, splits: dict[str, list[Sample]], skipped: list[str], remarks: list[str]) -> None:
        """Read and save the recordings of each split."""
        self.save_recordings(folder, splits, skipped, remarks)

    def write_synthetic(self, folder: Path) -> None:
        """Write 72 sentences of tones by nine speakers in Common Voice's format, with its tables."""
        generator = np.random.default_rng(0)
        rows: dict[str, list[tuple[str, str, str]]] = {"train": [], "dev": [], "test": []}
        for number in range(72):
            speaker, text = number % 9, random_sentence(generator).capitalize()
            write_wav(folder / "clips" / f"clip_{number}.wav", speak(text, 16000, generator), 16000)
            split = "test" if speaker == 8 else "dev" if speaker == 7 else "train"
            rows[split].append((f"speaker {speaker}", f"clip_{number}.wav", text))
        for split, table in rows.items():
            with (folder / f"{split}.tsv").open("w", newline="") as file:
                csv.writer(file, delimiter="\t").writerows([("client_id", "path", "sentence"), *table])
