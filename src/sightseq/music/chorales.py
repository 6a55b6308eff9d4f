"""Scores in MusicXML to pieces.

music21 reads far more of MusicXML, but takes three times as long or more for a chorale, and seconds for its import.
"""

import io
import zipfile
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from sightseq.core.errors import InputError
from sightseq.music.piece import NOTE, PITCHES, VELOCITY, Piece, separate

TEMPO = 100.0  # beats per minute, where a score names no tempo
STRINGS = 40  # program of the first part: violin, then viola, cello and contrabass
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def read_musicxml(source: Path | str | bytes) -> Piece:
    """Read a score in MusicXML, compressed (.mxl) or not, of parts with measures (`score-partwise`).

    Part n gets program 40 + n, so that four voices are a string quartet. Tied notes are one note. Each measure lasts as
    long as its longest part, so a pickup is short. Grace notes, cue notes and unpitched notes are left out; repeats are
    not expanded; all velocities are 80.

    Args:
        source: path or content of the file.

    Raises:
        InputError: the file cannot be read or is no such score.
    """
    name = "the score" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        root = ElementTree.fromstring(uncompressed(data))
        if root.tag != "score-partwise":
            raise InputError(f"{name} is a {root.tag}, not a score-partwise; save it as MusicXML with parts")
        return _piece(root)
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror})") from error
    except (ElementTree.ParseError, zipfile.BadZipFile, LookupError, ValueError, ArithmeticError, TypeError) as error:
        raise InputError(f"{name} is not valid MusicXML ({error}); save it again, or leave it out") from error


def uncompressed(data: bytes) -> bytes:
    """Return the XML of a score: the first one in a .mxl file, or the data itself."""
    if not data.startswith(b"PK"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        scores = [name for name in archive.namelist() if name.endswith(("xml", "musicxml")) and "META-INF" not in name]
        return archive.read(scores[0])


def _piece(root: Element) -> Piece:
    parts = [_Part(number) for number in range(len(root.findall("part")))]
    start = Fraction()
    tempi: dict[float, float] = {}
    for measures in zip_longest(*(part.findall("measure") for part in root.findall("part"))):
        ends = [
            part.read(measure, start, tempi)
            for part, measure in zip(parts, measures, strict=True)
            if measure is not None
        ]
        start = max(ends)
    rows = [row for part in parts for row in part.rows]
    notes, changed = separate(np.array([(float(begin), float(end), *rest) for begin, end, *rest in rows], NOTE))
    return Piece(notes, tuple(sorted(({0.0: TEMPO} | tempi).items())), changed)


class _Part:
    """Reads the measures of one part in their order."""

    def __init__(self, number: int) -> None:
        self.program = min(STRINGS + number, PITCHES - 1)
        self.rows: list[list[Any]] = []  # as `NOTE`
        self.divisions, self.transposition = Fraction(1), 0
        self._tied: dict[int, int] = {}  # row of the note that a tie continues, by pitch

    def read(self, measure: Element, start: Fraction, tempi: dict[float, float]) -> Fraction:
        """Read a measure that starts at the beat `start`; add its tempi by beat; return its end in beats."""
        now = last = end = start  # last: start of the last note, which its chord shares
        for element in measure:
            duration = Fraction(element.findtext("duration") or 0) / self.divisions
            if element.tag == "attributes":
                self.divisions = Fraction(element.findtext("divisions") or self.divisions)
                semitones, octaves = (element.findtext(f"transpose/{tag}") for tag in ("chromatic", "octave-change"))
                if semitones is not None:
                    self.transposition = int(float(semitones)) + 12 * int(octaves or 0)
            elif element.tag == "backup":
                now -= duration
            elif element.tag == "forward":
                now += duration
            elif element.tag == "note" and element.find("grace") is None:
                if element.find("chord") is None:
                    last, now = now, now + duration
                if element.find("pitch") is not None and element.find("cue") is None and duration:
                    self._add(element, last, last + duration)
            sound = element if element.tag == "sound" else element.find("sound")
            if sound is not None and sound.get("tempo"):
                tempi[float(now)] = float(sound.attrib["tempo"])
            end = max(end, now)
        return end

    def _add(self, note: Element, start: Fraction, end: Fraction) -> None:
        step, octave = note.findtext("pitch/step", ""), note.findtext("pitch/octave", "")
        alter = round(float(note.findtext("pitch/alter") or 0))
        pitch = 12 * (int(octave) + 1) + SEMITONES[step] + alter + self.transposition
        ties = {tie.get("type") for tie in note.findall("tie")}
        row = self._tied.pop(pitch, None)
        if "stop" in ties and row is not None and self.rows[row][1] == start:
            self.rows[row][1] = end
        else:
            row = len(self.rows)
            self.rows.append([start, end, pitch, VELOCITY, self.program, False])
        if "start" in ties:
            self._tied[pitch] = row
