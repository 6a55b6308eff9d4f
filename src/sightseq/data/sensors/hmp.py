"""The accelerometer recordings of human motion primitives by Bruno et al., 2013."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.sensors.recordings import Recording, Recordings, SensorData
from sightseq.data.sensors.synthetic import waves
from sightseq.series.sequence_spec import SequenceSpec

RATE = 32.0  # Hz
FILE = re.compile(r"Accelerometer-[\d-]+-(\w+)-([fm]\d+)", re.IGNORECASE)  # activity, volunteer
CODES = 63  # the values 0..63 stand for -1.5 g..1.5 g


class HMP(SensorData):
    """14 activities with an accelerometer at the right wrist, 32 Hz, of up to 16 persons, in g.

    `Brush_teeth/Accelerometer-2011-04-11-13-28-18-brush_teeth-f1.txt`: a line for each step with three integers. A
    recording is one activity, of 4 to 290 seconds. The folders `..._MODEL` repeat recordings of the others, and are
    left out. There is no official split: the splits have different persons. Source: Bruno et al., 2013 (Analysis of
    human behavior recognition algorithms based on acceleration data, ICRA).
    """

    example_spec: SequenceSpec = SequenceSpec(("x", "y", "z"), ("a", "b"), (0.0,) * 3, (1.0,) * 3, rate=RATE)

    def locate(self) -> list[Path]:
        """Return the recordings.

        Raises:
            DataError: there are none.
        """
        folder = find_folder(self.root, self.folders)
        files = sorted(folder.rglob("*.txt")) if folder else []
        files = [file for file in files if FILE.fullmatch(file.stem) and not file.parent.name.endswith("_MODEL")]
        if not files:
            example = "recordings (Walk/Accelerometer-2011-03-24-09-51-07-walk-f1.txt)"
            raise missing_error(self.name, self.root, self.folders, example)
        return files

    def recordings(self, sources: Sequence[Path]) -> Recordings:
        """Return all recordings, with the activity and the person of their names."""
        items = []
        for file in sources:
            activity, person = FILE.fullmatch(file.stem).groups()  # type: ignore[union-attr]  # see `locate`
            try:
                codes = np.loadtxt(file.read_text().splitlines() or ["nan"], ndmin=2)
            except ValueError as error:
                raise DataError(f"{self.name}: {file} cannot be read: {error}") from error
            if codes.shape[1:] != (3,) or not ((codes >= 0) & (codes <= CODES)).all():
                raise DataError(f"{self.name}: {file} must have three numbers from 0 to {CODES} in each line")
            items.append(Recording(codes * (3 / CODES) - 1.5, activity.lower(), person=person.lower()))
        return Recordings(self.example_spec.channels, RATE, items)

    def write_synthetic(self, folder: Path) -> None:
        """Write four recordings of three activities by each of four persons."""
        for number in range(48):
            label, person = number % 3, number // 3 % 4
            codes = (20 * waves(label, 60 + 5 * number, 3, RATE, seed=number) + 32).round().clip(0, CODES)
            activity = ("walk", "pour_water", "comb_hair")[label]
            file = (
                folder / activity.capitalize() / f"Accelerometer-2011-03-24-10-00-{number:02}-{activity}-f{person}.txt"
            )
            file.parent.mkdir(exist_ok=True)
            np.savetxt(file, codes, fmt="%d")
