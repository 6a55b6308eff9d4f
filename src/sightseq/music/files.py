"""Files of pieces in folders, and pieces of any format that can be read."""

from pathlib import Path

from sightseq.music.chorales import read_musicxml
from sightseq.music.midi import read_midi
from sightseq.music.piece import Piece

SUFFIXES = (".mid", ".midi")
SCORES = (".mxl", ".musicxml", ".xml")


def midi_files(folder: Path) -> list[Path]:
    """Return the MIDI files in a folder and its subfolders, sorted, without hidden files and hidden folders."""
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(file for file in files if not any(part[0] == "." for part in file.relative_to(folder).parts))


def read_piece(path: Path) -> Piece:
    """Read a score in MusicXML (by its suffix), or else a MIDI file.

    Raises:
        InputError: see `read_musicxml` and `read_midi`.
        ConfigError: the extra `music` is not installed.
    """
    return read_musicxml(path) if path.suffix.lower() in SCORES else read_midi(path)
