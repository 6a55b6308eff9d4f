"""A user's own MIDI files: as piano rolls, as events, or as melodies."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import DataError
from sightseq.data.image.image_folder import SPLITS
from sightseq.data.music.events import EventData, NoteStreams
from sightseq.data.music.midi_files import MidiData
from sightseq.data.music.piece_rolls import PieceRolls
from sightseq.data.music.rolls import roll_of
from sightseq.data.music.synthetic import synthetic_pieces
from sightseq.music.files import SUFFIXES, midi_files
from sightseq.music.melody import FIRST, MelodyCodec
from sightseq.music.midi import write_midi
from sightseq.music.piece import PITCHES, TEMPO, Piece
from sightseq.music.roll import from_roll
from sightseq.music.spec import MusicSpec

SPAN = 11  # semitones at least between the lowest and the highest pitch of a melody codec


class MidiFolder(MidiData):
    """All MIDI files in a folder and its subfolders, or in the subfolders `train`, `val` and `test`.

    Splits without a folder are drawn at random from the training files, whole files at a time; files with the same
    notes stay in one split.

    Args:
        path: path of the folder; by default the first existing one of `folders` under `root`.
        common: see `MidiData`.
    """

    def __init__(self, *, path: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)

    def locate(self) -> list[Path]:
        """Return all MIDI files, sorted by path.

        Raises:
            DataError: the folder does not exist, or it contains no MIDI files.
        """
        self.base = find_own(self.name, self.path, self.root, self.folders, "FOLDER")
        if not self.base.is_dir():
            raise DataError(f"{self.name}: {self.base} is a file; give its folder: data.path={self.base.parent}")
        files = midi_files(self.base)
        if not files:
            raise DataError(f"{self.name}: {self.base} contains no MIDI files ({', '.join(SUFFIXES)})")
        self.has_splits = "train" in map(self._folder_split, files)
        return files

    def split_of(self, file: Path) -> str:
        """Return the split in whose subfolder a file is; "train" for all files without such subfolders."""
        return self._folder_split(file) if self.has_splits else "train"

    def _folder_split(self, file: Path) -> str:
        return SPLITS.get(file.relative_to(self.base).parts[0].lower(), "")

    def write_synthetic(self, folder: Path) -> None:
        """Write 40 generated pieces."""
        for number, frames in enumerate(synthetic_pieces(40, 0)):
            write_midi(from_roll(roll_of(frames), 1.0), folder / f"{number}.mid")


class MidiRolls(MidiFolder, PieceRolls):
    """A user's MIDI files as piano rolls: see `MidiFolder` and `PieceRolls`."""


class MidiEvents(MidiFolder, EventData):
    """A user's MIDI files as events: see `MidiFolder` and `EventData`."""


class MidiMelodies(MidiFolder, NoteStreams):
    """The melodies of a user's MIDI files: at each onset the highest note of all instruments but drums.

    The range of pitches is that of the training melodies.

    Args:
        steps: time steps per beat (quarter note).
        common: see `MidiFolder` and `NoteStreams`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset({"steps"})

    def __init__(self, *, steps: int = 4, **common: Any) -> None:
        super().__init__(**common)
        self.steps = steps
        self.example_spec = MusicSpec.of(MelodyCodec(steps=steps), TEMPO)

    def codec_key(self) -> dict[str, Any]:
        """Options of the codec."""
        return {"melody": self.steps}

    def make_codec(self, pieces: Iterable[Piece]) -> MelodyCodec:
        """Return the codec with the range of the training melodies, of at least an octave."""
        whole = MelodyCodec(steps=self.steps, low=0, high=PITCHES - 1)
        pitches = [tokens[tokens >= FIRST] - FIRST for tokens in map(whole.encode, pieces)]
        low, high = (int(edge([edge(own) for own in pitches])) for edge in (min, max))
        missing = max(SPAN - (high - low), 0)
        low = max(low - missing // 2, 0)
        high = max(high, low + SPAN)
        return MelodyCodec(steps=self.steps, low=low, high=high)
