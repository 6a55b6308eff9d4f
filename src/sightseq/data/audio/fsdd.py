"""The Free Spoken Digit Dataset."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from sightseq.audio.files import audio_files
from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import ConfigError
from sightseq.data.audio.clips import Clip, ClipData
from sightseq.data.audio.synthetic import chirp, write_wav
from sightseq.data.audio.waveforms import Piece

FILE = re.compile(r"(\d)_([^_\W]+)_(\d+)")  # digit, speaker, index
TEST = 5  # recordings of each digit and speaker with a lower index are the official test split


class FSDD(ClipData):
    """English digits, spoken 50 times by each of six people, 8 kHz: `recordings/7_jackson_32.wav` (Jackson et al.).

    The official test split has the recordings 0 to 4 of each digit and speaker; a stratified part of the others is the
    validation split.

    Args:
        split: "index" is the official split; "speaker" has other speakers in the test split, all recordings of them
            (see `fold`).
        label: "digit" or "speaker".
        common: see `ClipData`.
    """

    def __init__(
        self,
        *,
        split: Literal["index", "speaker"] = "index",
        label: Literal["digit", "speaker"] = "digit",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if split == label:
            raise ConfigError("data.split=speaker: a speaker can be recognised only with data.split=index")
        if split == "index" and self.fold is not None:
            raise ConfigError(f"data.fold={self.fold}: leave one speaker out with data.split=speaker")
        self.split, self.label = split, label

    def cache_key(self) -> dict[str, Any]:
        """Options that change the splits or the labels."""
        return {**super().cache_key(), "split": self.split, "label": self.label}

    def locate(self) -> list[Path]:
        """Return the recordings.

        Raises:
            DataError: there are none.
        """
        folder = find_folder(self.root, self.folders)
        files = [file for file in audio_files(folder) if FILE.fullmatch(file.stem)] if folder else []
        if not files:
            raise missing_error(self.name, self.root, self.folders, "recordings (recordings/7_jackson_32.wav)")
        return files

    def clips(self, sources: Sequence[Path]) -> list[Clip]:
        """Return all recordings, with the digit and the speaker of their names."""
        clips = []
        for file in sources:
            digit, speaker, index = FILE.fullmatch(file.stem).groups()  # type: ignore[union-attr]  # see `locate`
            label = digit if self.label == "digit" else speaker
            official = self.split == "index" and int(index) < TEST
            clips.append(Clip(Piece(file), label, "test" if official else "train", speaker))
        return clips

    def groups(self, arrays: Mapping[str, Any]) -> NDArray[Any] | None:
        """Return the speakers, unless the split is the official one."""
        return super().groups(arrays) if self.split == "speaker" else None

    def write_synthetic(self, folder: Path) -> None:
        """Write ten recordings of each digit by each of three speakers."""
        for number, speaker in enumerate(("ann", "bob", "eve")):
            for digit in range(10):
                for index in range(3, 13):
                    samples = chirp(
                        digit, 8000, 0.3, seed=1000 * number + 100 * digit + index, voice=0.98 + 0.02 * number
                    )
                    write_wav(folder / "recordings" / f"{digit}_{speaker}_{index}.wav", samples, 8000)
