"""Signs as key points of MediaPipe: a dataset of 16 gestures."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.sensors.recordings import Recording, Recordings, SensorData
from sightseq.data.sensors.synthetic import waves
from sightseq.series.keypoints import HOLISTIC
from sightseq.series.sequence_spec import SequenceSpec

STEPS = 30
SPLITS = ("train", "valid", "test")


class SignKeyPoints(SensorData):
    """16 gestures before a camera, 50 clips of 30 frames each: key points of face, body and hands in pixels.

    `train.npz`, `valid.npz` and perhaps `test.npz` have x [N, 30, 158], y [N], name [N] and classes [16]. A part of the
    body that was not found is all zeros, here missing. If there is no `test.npz`, the publisher's validation split is
    the test split, and a part of the training split is used for validation. Source: github.com/AdrLfv,
    sign_language_recognition_AI_with_mediapipe, MP_Data_16_act_50_seq.
    """

    example_spec: SequenceSpec = SequenceSpec(
        HOLISTIC, ("a", "b"), (300.0,) * len(HOLISTIC), (100.0,) * len(HOLISTIC), steps=STEPS, zero_missing=True
    )
    zero_missing: ClassVar[bool] = True

    def locate(self) -> list[Path]:
        """Return the splits.

        Raises:
            DataError: those for training and validation are missing.
        """
        folder = find_folder(self.root, self.folders)
        files = [folder / f"{split}.npz" for split in SPLITS if (folder / f"{split}.npz").is_file()] if folder else []
        if [file.stem for file in files][:2] != ["train", "valid"]:
            raise missing_error(self.name, self.root, self.folders, "train.npz and valid.npz")
        return files

    def recordings(self, sources: Sequence[Path]) -> Recordings:
        """Return the clips."""
        names = {"train": "train", "valid": "val" if len(sources) == len(SPLITS) else "test", "test": "test"}
        items = []
        for file in sources:
            try:
                with np.load(file) as content:
                    clips, labels, classes = content["x"], content["y"], [str(name) for name in content["classes"]]
            except (OSError, ValueError, KeyError) as error:
                raise DataError(f"{self.name}: {file} cannot be read: {error}") from error
            if clips.ndim != 3 or clips.shape[2] != len(HOLISTIC) or len(labels) != len(clips):
                raise DataError(
                    f"{self.name}: {file}: x must be [N, T, {len(HOLISTIC)}], y [N], not {clips.shape}, {labels.shape}"
                )
            for clip, label in zip(np.where(clips == 0, np.nan, clips), labels, strict=True):
                items.append(Recording(clip, classes[int(label)], names[file.stem]))
        return Recordings(HOLISTIC, None, items)

    def write_synthetic(self, folder: Path) -> None:
        """Write clips of three gestures, whose hands move, and of nobody; in some the left hand is missing."""
        classes = ["bird", "bread", "empty", "yes"]
        for split, count, first in (("train", 80, 0), ("valid", 16, 80)):
            labels = np.arange(count) % len(classes)
            clips = np.stack(
                [300 + 50 * waves(label, STEPS, 158, 15, first + row) for row, label in enumerate(labels.tolist())]
            )
            clips[labels == 2] = 0
            clips[::5, :, 74:116] = 0
            names = np.array([f"{split}/{classes[label]}/{row}" for row, label in enumerate(labels.tolist())])
            np.savez(
                folder / f"{split}.npz", x=clips.astype(np.float32), y=labels, name=names, classes=np.array(classes)
            )
