"""20BN-Jester: hand gestures before a camera, as folders of frames."""

from collections.abc import Sequence
from pathlib import Path

from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.video.files import Video, VideoFiles
from sightseq.data.video.synthetic import moving_squares, write_frames
from sightseq.text.sentences import read_lines

VIDEOS = "20bn-jester-v1"
LISTS = {"train": "jester-v1-train.csv", "test": "jester-v1-validation.csv"}


class Jester(VideoFiles):
    """148,092 videos of 27 hand gestures (Materzynska et al., 2019, ICCV Workshops), at 12 frames per second.

    The frames are `20bn-jester-v1/NUMBER/00001.jpg`, ..., all 100 pixels high. `jester-v1-train.csv` and
    `jester-v1-validation.csv` have a line `NUMBER;gesture` for each video, with the numbers of the folders. The labels
    of the publisher's test split were never published: its validation split is the test here, as in the papers, and
    validation is a part of the training videos. Who acts in a video is not known.

    Arguments: see `VideoFiles`.
    """

    def locate(self) -> list[Path]:
        """Return the two lists, and the folders of the videos that they name.

        Raises:
            DataError: there are no lists, or a video is missing.
        """
        folder = find_folder(self.root, self.folders)
        lists = [folder / name for name in LISTS.values() if (folder / name).is_file()] if folder else []
        if len(lists) < len(LISTS):
            raise missing_error(self.name, self.root, self.folders, f"{VIDEOS} and {' and '.join(LISTS.values())}")
        videos = [video.path for video in self.videos(lists)]
        if missing := next((video for video in videos if not video.is_dir()), None):
            raise DataError(f"{self.name}: the lists name {missing}, which is not there; join and unpack all parts")
        return [*lists, *videos]

    def videos(self, sources: Sequence[Path]) -> list[Video]:
        """Return the videos of both lists.

        Raises:
            DataError: a line is not the number of a folder and a gesture.
        """
        found = []
        for split, file in zip(LISTS, sources, strict=False):
            for number, line in enumerate(read_lines(file), 1):
                name, _, gesture = line.partition(";")
                if line and not (name.isdigit() and gesture):
                    raise DataError(
                        f"{self.name}: {file}, line {number}, is not a number and a gesture, like 1;Shaking"
                    )
                if line:
                    found.append(Video(file.parent / VIDEOS / name, gesture, split))
        return found

    def write_synthetic(self, folder: Path) -> None:
        """Write 20 videos of each of three gestures, the last four of each for the test."""
        lists: dict[str, list[str]] = {split: [] for split in LISTS}
        for label, gesture in enumerate(("Swiping Down", "Swiping Left", "Swiping Right")):
            for number in range(20):
                name = str(1000 * label + number)
                write_frames(folder / VIDEOS / name, moving_squares(label, 10, 40, seed=int(name)))
                lists["train" if number < 16 else "test"].append(f"{name};{gesture}")
        for split, lines in lists.items():
            (folder / LISTS[split]).write_text("\n".join(lines) + "\n")
