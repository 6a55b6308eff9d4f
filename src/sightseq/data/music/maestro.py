"""MAESTRO: piano performances, recorded as MIDI (Hawthorne et al., 2019, arXiv 1810.12247)."""

import csv
from pathlib import Path

from sightseq.core.download import missing_error
from sightseq.core.errors import DataError
from sightseq.data.music.events import EventData
from sightseq.data.music.midi_files import MidiData
from sightseq.data.music.rolls import roll_of
from sightseq.data.music.synthetic import synthetic_pieces
from sightseq.music.midi import write_midi
from sightseq.music.roll import from_roll

SPLITS = {"train": "train", "validation": "val", "test": "test"}
COLUMNS = ("split", "midi_filename")
PATTERN = "maestro-v*.csv"


class Maestro(MidiData, EventData):
    """About 200 hours of piano music with the splits of its table: no composition is in two of them.

    The table `maestro-v3.0.0.csv` (or another version) names the files; audio files are not read.
    """

    def locate(self) -> list[Path]:
        """Return the newest table, and the MIDI files that it names.

        Raises:
            DataError: there is no table, a file is missing, or a row has an unknown split.
        """
        bases = [self.root / name for name in self.folders]
        tables = sorted(file for base in bases for file in (*base.glob(PATTERN), *base.glob(f"*/{PATTERN}")))
        if not tables:
            raise missing_error(self.name, self.root, self.folders, PATTERN)
        table = max(tables, key=lambda file: file.name)
        self.split_by_file: dict[Path, str] = {table: ""}
        with table.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                split, name = (row.get(column) or "" for column in COLUMNS)
                if split not in SPLITS:
                    raise DataError(f"{table}: has a row with split={split!r}; expected {', '.join(SPLITS)}")
                file = table.parent / name
                if not name or not file.is_file():
                    raise DataError(f"{self.name}: {file} is missing; {table.name} names it")
                self.split_by_file[file] = SPLITS[split]
        return list(self.split_by_file)

    def split_of(self, file: Path) -> str:
        """Return the split of a file in the table."""
        return self.split_by_file[file]

    def write_synthetic(self, folder: Path) -> None:
        """Write 20 training, 5 validation and 5 test pieces, and their table."""
        rows = []
        for seed, (split, count) in enumerate(zip(SPLITS, (20, 5, 5), strict=True)):
            (folder / "2018").mkdir(exist_ok=True)
            for number, frames in enumerate(synthetic_pieces(count, seed)):
                name = f"2018/{split}_{number}.midi"
                write_midi(from_roll(roll_of(frames), 1.0), folder / name)
                rows.append(["Composer", f"Piece {number}", split, "2018", name, "", "20"])
        with (folder / "maestro-v3.0.0.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            header = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"
            writer.writerows([header.split(","), *rows])
