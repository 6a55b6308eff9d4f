"""Bach's four-part chorales, from the corpus that music21 carries."""

import re
import zipfile
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sightseq.core.arrays import save_about
from sightseq.core.errors import DataError, InputError
from sightseq.core.extras import require
from sightseq.data.music.events import EventData
from sightseq.data.music.piece_rolls import PieceRolls
from sightseq.data.music.pieces import PieceData, remarks_on
from sightseq.data.music.synthetic import synthetic_score
from sightseq.data.music.tunes import group_tunes
from sightseq.music.chorales import STRINGS, read_musicxml, uncompressed
from sightseq.music.piece import PITCHES, Piece

VOICES = (b"soprano", b"alto", b"tenor", b"bass")
SUFFIXES = (".mxl", ".xml")


class BachChorales(PieceData):
    """The scores with exactly one soprano, alto, tenor and bass; instruments are left out.

    Bach has set many hymn tunes several times. Settings of one tune are in one split: see `tunes.group_tunes`.
    """

    def locate(self) -> list[Path]:
        """Return the scores in the corpus of music21, which is not imported, or the generated ones.

        Raises:
            ConfigError: music21 is not installed.
            DataError: it has no corpus.
        """
        if self.synthetic:
            folder = self.root / self.folders[0]
        else:
            spec = find_spec("music21") or require("music21", "music").__spec__
            (package,) = (spec and spec.submodule_search_locations) or [""]
            folder = Path(package) / "corpus" / "bach"
        files = sorted(file for file in folder.glob("bwv*") if file.suffix in SUFFIXES)
        if not files:
            raise DataError(f"{self.name}: {folder} has no scores; install music21 with its corpus, as pip does")
        return files

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the scores; save the four voices of those that have them.

        Raises:
            DataError: a score cannot be read.
        """
        chorales = []
        for file in sources:
            try:
                piece = read_chorale(file)
            except (InputError, LookupError, zipfile.BadZipFile) as error:
                raise DataError(f"{self.name}: {file} cannot be read ({error}); install music21 again") from error
            chorales += [piece] if piece is not None else []
        groups = group_tunes([piece.notes[piece.notes["program"] == STRINGS] for piece in chorales])
        dropped = Counter(self.save(folder, "train", zip(chorales, groups.tolist(), strict=True)))
        save_about(folder, {"remarks": remarks_on(dropped, "in the scores")})

    def write_synthetic(self, folder: Path) -> None:
        """Write 40 generated scores."""
        for number in range(40):
            with zipfile.ZipFile(folder / f"bwv{number}.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("META-INF/container.xml", "<container/>")
                archive.writestr(f"bwv{number}.xml", synthetic_score(number))


class BachRolls(BachChorales, PieceRolls):
    """The chorales as piano rolls: see `BachChorales` and `PieceRolls`."""


class BachEvents(BachChorales, EventData):
    """The chorales as events: see `BachChorales` and `EventData`. The voices are instruments: a string quartet."""


def read_chorale(file: Path) -> Piece | None:
    """Return the soprano, alto, tenor and bass of a score, with the programs 40 to 43; None if it has other voices.

    Raises:
        InputError: the file cannot be read.
    """
    content = uncompressed(file.read_bytes())
    names = [name.lower() for name in re.findall(rb"<part-name[^>]*>\s*([^<]*)", content)]
    if not names:
        raise InputError("it names no parts")
    parts = [[number for number, name in enumerate(names) if name.startswith(voice)] for voice in VOICES]
    if [len(found) for found in parts] != [1] * len(VOICES):
        return None
    piece = read_musicxml(content)
    voices = np.full(PITCHES, -1)  # by program
    for voice, (number,) in enumerate(parts):
        voices[STRINGS + number] = voice
    chosen = voices[piece.notes["program"]]
    notes = piece.notes[chosen >= 0]
    notes["program"] = STRINGS + chosen[chosen >= 0]
    return replace(piece, notes=notes)
