"""Emotions in acted speech: RAVDESS, Emo-DB, TESS, and recordings with a table of labels."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightseq.audio.files import audio_files
from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError, InputError
from sightseq.data.audio.clips import Clip, ClipData
from sightseq.data.audio.synthetic import chirp, write_wav
from sightseq.data.audio.waveforms import Piece
from sightseq.data.file_tables import read_rows

# Livingstone and Russo, 2018: modality, channel, emotion, intensity, statement, repetition and actor.
RAVDESS = re.compile(r"0[13]-(?P<channel>0[12])-(?P<emotion>0[1-8])-0[12]-0[12]-0[12]-(?P<speaker>\d\d)")
RAVDESS_EMOTIONS = dict(
    zip(
        ("01", "02", "03", "04", "05", "06", "07", "08"),
        ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
        strict=True,
    )
)
# Burkhardt et al., 2005: speaker, sentence, emotion (first letter of the German word) and version.
EMODB = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[WLEAFTN])[a-z]?")
EMODB_EMOTIONS = {
    **{"W": "anger", "L": "boredom", "E": "disgust", "A": "fear"},
    **{"F": "happiness", "T": "sadness", "N": "neutral"},
}
# Pichora-Fuller and Dupuis, 2020: speaker, word and emotion.
TESS = re.compile(r"(?P<speaker>OAF|OA|YAF)_[A-Za-z']+_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)", re.I)
TESS_EMOTIONS = {
    **{"angry": "anger", "happy": "happiness", "sad": "sadness", "ps": "surprise"},
    **{name: name for name in ("disgust", "fear", "neutral")},
}
COLUMNS = {"file": ("file", "path", "filename"), "label": ("emotion", "label", "class")}


class EmotionalSpeech(ClipData):
    """Acted emotions; emotion and speaker are read from the file names of RAVDESS, Emo-DB or TESS.

    A table `labels.csv` in the folder, with the columns `file`, `emotion` and `speaker`, replaces the file names. The
    publishers have no splits: validation and test have other speakers than training, or, with `fold`, each speaker in
    turn is the test split. The songs of RAVDESS are left out.

    Args:
        path: the folder; without it, the first of `folders` under `root`.
        common: see `ClipData`.
    """

    def __init__(self, *, path: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)

    def locate(self) -> list[Path]:
        """Return the table, if there is one, and all recordings.

        Raises:
            DataError: there are no recordings.
        """
        folder = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        self.base = folder
        files = audio_files(folder) if folder.is_dir() else []
        if not files:
            raise DataError(f"{self.name}: {folder} contains no recordings; name your folder with data.path=FOLDER")
        table = folder / "labels.csv"
        return [table, *files] if table.is_file() else files

    def clips(self, sources: Sequence[Path]) -> list[Clip]:
        """Return all recordings of speech.

        Raises:
            DataError: a file name has none of the three forms, and there is no table.
        """
        if sources[0].suffix == ".csv":
            rows = read_rows(self.name, sources[0], COLUMNS, sources[1:], self.base)
            return [Clip(Piece(row.file), row.label, speaker=row.group) for row in rows]
        clips = []
        for file in sources:
            try:
                emotion, speaker = from_name(file.stem)
            except InputError as error:
                raise DataError(f"{self.name}: {file}: {error}") from error
            if emotion:
                clips.append(Clip(Piece(file), emotion, speaker=speaker))
        return clips

    def write_synthetic(self, folder: Path) -> None:
        """Write four recordings of each of seven emotions by five speakers, with names of Emo-DB."""
        for speaker in range(5):
            for label, letter in enumerate(EMODB_EMOTIONS):
                for sentence in range(1, 5):
                    seed = 100 * speaker + 10 * label + sentence
                    samples = chirp(label, 16000, 0.4, seed, voice=0.98 + 0.01 * speaker)
                    write_wav(folder / "wav" / f"{speaker + 3:02}a{sentence:02}{letter}a.wav", samples, 16000)


def from_name(name: str) -> tuple[str, str]:
    """Return the emotion ("" for a song) and the speaker of a recording.

    Args:
        name: its file name, without suffix.

    Raises:
        InputError: the name has none of the three forms.
    """
    if match := RAVDESS.fullmatch(name):
        return RAVDESS_EMOTIONS[match["emotion"]] if match["channel"] == "01" else "", match["speaker"]
    if match := EMODB.fullmatch(name):
        return EMODB_EMOTIONS[match["emotion"]], match["speaker"]
    if match := TESS.fullmatch(name):
        return TESS_EMOTIONS[match["emotion"].lower()], match["speaker"].upper().replace("OAF", "OA")
    raise InputError(
        "is no file name of RAVDESS (03-01-06-01-02-01-12), Emo-DB (03a01Fa) or TESS (OAF_back_angry); "
        "add a table labels.csv with the columns file, emotion and speaker"
    )
