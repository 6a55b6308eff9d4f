"""UCF101: actions in videos of YouTube, with three official splits."""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.video.files import OfficialSplits, Video
from sightseq.data.video.synthetic import moving_squares, write_video
from sightseq.text.sentences import read_lines

LISTS = "ucfTrainTestlist"
NAME = re.compile(r"v_\w+_(g\d+)_c\d+\.avi")


class UCF101(OfficialSplits):
    """13,320 videos of 101 actions (Soomro et al., 2012, arXiv 1212.0402).

    The videos are those of UCF101.rar, `UCF-101/ACTION/v_ACTION_g01_c01.avi`; the splits those of
    UCF101TrainTestSplits-RecognitionTask.zip, `ucfTrainTestlist/trainlist01.txt` and so on. The videos of an action
    with one number, such as g01, are cut from one film: validation has other numbers than training.

    Arguments: see `OfficialSplits`.
    """

    def locate(self) -> list[Path]:
        """Return the two lists of the split, and the videos that they name.

        Raises:
            DataError: there are no lists, or a video is missing.
        """
        folder = find_folder(self.root, self.folders)
        if folder is None:
            raise missing_error(self.name, self.root, self.folders, f"UCF-101 and {LISTS}")
        lists = [folder / LISTS / f"{kind}list{self.split:02}.txt" for kind in ("train", "test")]
        for file in lists:
            if not file.is_file():
                raise DataError(f"{self.name}: there is no {file}; download the splits of the recognition task")
        videos = [video for file in lists for video in listed(file)]
        self.check(videos, "UCF101.rar")
        return [*lists, *videos]

    def videos(self, sources: Sequence[Path]) -> list[Video]:
        """Return the videos of both lists."""
        splits = zip(("train", "test"), sources, strict=False)
        return [video_of(path, split) for split, file in splits for path in listed(file)]

    def write_synthetic(self, folder: Path) -> None:
        """Write three actions of ten films, each cut into two videos, and the lists of the splits."""
        (folder / LISTS).mkdir()
        lists: dict[str, list[str]] = {f"{kind}list{split:02}": [] for kind in ("train", "test") for split in (1, 2, 3)}
        for label, action in enumerate(("Diving", "Rowing", "Surfing")):
            for film, cut in product(range(1, 11), (1, 2)):
                name = f"{action}/v_{action}_g{film:02}_c{cut:02}.avi"
                frames = moving_squares(label, 12, 48, seed=100 * label + 10 * film + cut)
                write_video(folder / "UCF-101" / name, frames, rate=25, codec="mpeg4")
                for split in (1, 2, 3):
                    tested = film % 3 == split % 3
                    line = name if tested else f"{name} {label + 1}"
                    lists[f"{'test' if tested else 'train'}list{split:02}"].append(line)
        for kind, lines in lists.items():
            (folder / LISTS / f"{kind}.txt").write_text("\n".join(lines) + "\n")


def listed(file: Path) -> list[Path]:
    """Return the videos of a list."""
    return [file.parent.parent / "UCF-101" / line.split()[0] for line in read_lines(file) if line.strip()]


def video_of(path: Path, split: str) -> Video:
    """Return a video with the action and the group of its name.

    Raises:
        DataError: the name is not one of UCF101.
    """
    if (match := NAME.fullmatch(path.name)) is None:
        raise DataError(f"ucf101: {path} is no name of UCF101, such as v_Diving_g01_c01.avi")
    return Video(path, path.parent.name, split, match[1])
