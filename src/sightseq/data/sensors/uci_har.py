"""Human Activity Recognition Using Smartphones: Anguita et al., 2013."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.sensors.recordings import Recording, Recordings, SensorData
from sightseq.data.sensors.synthetic import waves
from sightseq.series.sequence_spec import SequenceSpec

RATE, STEPS = 50.0, 128  # Hz, and steps of a window
SIGNALS = ("body_acc", "body_gyro", "total_acc")
CHANNELS = tuple(f"{signal}_{axis}" for signal in SIGNALS for axis in "xyz")
ACTIVITIES = ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")


class UciHar(SensorData):
    """Six activities of 30 persons with a smartphone at the waist: 10,299 windows of 2.56 s, nine signals at 50 Hz.

    `train/Inertial Signals/body_acc_x_train.txt` has a line of 128 numbers for each window, `train/y_train.txt` its
    activity, `train/subject_train.txt` its person, and the same for test. The official test split has nine persons who
    are not in the training; the validation split has others of the training. Windows of a person overlap by half.
    Source: Anguita et al., 2013 (A Public Domain Dataset for Human Activity Recognition Using Smartphones, ESANN).
    """

    example_spec: SequenceSpec = SequenceSpec(
        CHANNELS, ("a", "b"), (0.0,) * 9, (1.0,) * 9, rate=RATE, steps=STEPS, stride=STEPS
    )

    def locate(self) -> list[Path]:
        """Return all files that are read.

        Raises:
            DataError: one is missing.
        """
        folder = find_folder(self.root, self.folders)
        names = ["activity_labels.txt"]
        for split in ("train", "test"):
            names += [f"{split}/y_{split}.txt", f"{split}/subject_{split}.txt"]
            names += [f"{split}/Inertial Signals/{channel}_{split}.txt" for channel in CHANNELS]
        absent = [name for name in names if folder is None or not (folder / name).is_file()]
        if folder is None or absent:
            raise missing_error(self.name, self.root, self.folders, absent[0])
        return [folder / name for name in names]

    def recordings(self, sources: Sequence[Path]) -> Recordings:
        """Return the windows."""
        folder = sources[0].parent
        names = dict(line.split() for line in sources[0].read_text().splitlines() if line.strip())
        items = []
        for split in ("train", "test"):
            place = folder / split
            signals = [self._numbers(place / "Inertial Signals" / f"{channel}_{split}.txt") for channel in CHANNELS]
            labels, persons = (self._numbers(place / f"{kind}_{split}.txt")[:, 0] for kind in ("y", "subject"))
            if {len(column) for column in (*signals, persons)} != {len(labels)}:
                raise DataError(f"{self.name}: the files of {place} have different numbers of lines")
            windows = np.stack(signals, axis=2)  # [N, STEPS, channels]
            for window, label, person in zip(windows, labels, persons, strict=True):
                items.append(Recording(window, names[f"{label:.0f}"].lower(), split, f"{person:02.0f}"))
        return Recordings(CHANNELS, RATE, items)

    def _numbers(self, file: Path) -> NDArray[np.float64]:
        try:
            values: NDArray[np.float64] = np.loadtxt(file, ndmin=2)
        except ValueError as error:
            raise DataError(f"{self.name}: {file} cannot be read: {error}") from error
        return values

    def write_synthetic(self, folder: Path) -> None:
        """Write 12 windows of each activity by four persons to train, and 6 by another person to test."""
        lines = [f"{number} {name}\n" for number, name in enumerate(ACTIVITIES, 1)]
        (folder / "activity_labels.txt").write_text("".join(lines))
        for split, count, first in (("train", 72, 0), ("test", 36, 72)):
            place = folder / split / "Inertial Signals"
            place.mkdir(parents=True)
            labels = np.arange(count) % len(ACTIVITIES)
            persons = 1 + np.arange(count) // len(ACTIVITIES) % 4 if split == "train" else np.full(count, 5)
            windows = np.stack([waves(label, STEPS, 9, RATE, first + row) for row, label in enumerate(labels.tolist())])
            for channel, name in enumerate(CHANNELS):
                np.savetxt(place / f"{name}_{split}.txt", windows[:, :, channel], fmt="%.7e")
            np.savetxt(folder / split / f"y_{split}.txt", labels + 1, fmt="%d")
            np.savetxt(folder / split / f"subject_{split}.txt", persons, fmt="%d")
