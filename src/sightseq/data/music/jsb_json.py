"""The chorales of Boulanger-Lewandowski et al. (2012) at three time resolutions.

The files are those of github.com/czhuang/JSB-Chorales-dataset.
"""

import json
from pathlib import Path
from typing import Any, Literal

from sightseq.core.download import missing_error
from sightseq.core.errors import DataError
from sightseq.data.music.rolls import RollData, RollWriter, roll_of
from sightseq.data.music.synthetic import synthetic_pieces

STEPS = {"quarter": 1.0, "8th": 0.5, "16th": 0.25}  # beats per frame
SPLITS = {"train": "train", "val": "valid", "test": "test"}


class ChoraleGrids(RollData):
    """229 train, 76 validation and 77 test chorales in `jsb-chorales-RESOLUTION.json`; these splits are official.

    A held note and a repeated note are the same in these files. At quarter notes they are the pieces of
    `piano_rolls.PianoRolls`, transposed to C major or C minor; the other two resolutions are in the original keys.

    Args:
        resolution: length of a frame: "quarter", "8th" or "16th".
        tempo: beats per minute of what is generated; the files have none.
        common: see `RollData`.
    """

    def __init__(self, *, resolution: Literal["quarter", "8th", "16th"] = "16th", tempo: float, **common: Any) -> None:
        super().__init__(step=STEPS[resolution], **common)
        self.resolution, self.tempo = resolution, tempo

    def cache_key(self) -> dict[str, Any]:
        """Options that are saved with the pieces."""
        return {"tempo": self.tempo}

    def locate(self) -> list[Path]:
        """Return the file of this resolution.

        Raises:
            DataError: it is not there.
        """
        name = f"jsb-chorales-{self.resolution}.json"
        found = [file for folder in self.folders if (file := self.root / folder / name).is_file()]
        if not found:
            raise missing_error(self.name, self.root, self.folders, name)
        return found[:1]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Save the pieces of each split.

        Raises:
            DataError: the file is not the published one.
        """
        (file,) = sources
        try:
            pieces = json.loads(file.read_bytes())
            rolls = {split: [roll_of(frames) for frames in pieces[key]] for split, key in SPLITS.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{file} is not the published file: it should contain MIDI pitches for {', '.join(SPLITS.values())} "
                f"({error}); get it again"
            ) from error
        for split, own in rolls.items():
            with RollWriter(folder, split) as writer:
                for roll in own:
                    writer.append(roll, self.tempo)

    def write_synthetic(self, folder: Path) -> None:
        """Write 30 training, 8 validation and 8 test pieces, with the same frames in all resolutions."""
        counts = zip(SPLITS.values(), (30, 8, 8), strict=True)
        pieces = {key: synthetic_pieces(count, seed) for seed, (key, count) in enumerate(counts)}
        for resolution in STEPS:
            (folder / f"jsb-chorales-{resolution}.json").write_text(json.dumps(pieces))
