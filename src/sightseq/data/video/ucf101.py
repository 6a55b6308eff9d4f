"""UCF101: actions in videos of YouTube, with three official splits."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.video.files import Video, VideoFiles
from sightseq.data.video.synthetic import moving_squares, write_video

LISTS = "ucfTrainTestlist"
NAME = re.compile(r"v_(?P<label>\w+)_(?P<group>g\d+)_c\d+\.avi")


class UCF101(VideoFiles):
    """13,320 videos of 101 actions (Soomro et al., 2012, arXiv 1212.0402).

    The videos are those of UCF101.rar, `UCF-101/ACTION/v_ACTION_g01_c01.avi`; the splits those of
    UCF101TrainTestSplits-RecognitionTask.zip, `ucfTrainTestlist/trainlist01.txt` and so on. The videos of an action
    with one number, such as g01, are cut from one film: validation has other numbers than training.

    Args:
        split: number of the official split.
        common: see `VideoFiles`.
    """

    def __init__(self, *, split: Literal[1, 2, 3] = 1, **common: Any) -> None:
        super().__init__(**common)
        self.split = split

    def cache_key(self) -> dict[str, Any]:
        """Options that change the clips or their splits."""
        return {**super().cache_key(), "split": self.split}

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
        return lists + [video for file in lists for video in self._listed(folder, file)]

    def _listed(self, folder: Path, file: Path) -> list[Path]:
        videos = [folder / "UCF-101" / line.split()[0] for line in file.read_text().splitlines() if line.strip()]
        if missing := next((video for video in videos if not video.is_file()), None):
            raise DataError(f"{self.name}: {file} names {missing}, which is not there; unpack UCF101.rar again")
        return videos

    def videos(self, sources: Sequence[Path]) -> list[Video]:
        """Return the videos of both lists."""
        train, test, *_ = sources
        folder = train.parent.parent
        return [
            video_of(path, split)
            for file, split in ((train, "train"), (test, "test"))
            for path in self._listed(folder, file)
        ]

    def write_synthetic(self, folder: Path) -> None:
        """Write three actions of ten films, each cut into two videos, and the lists of the first split."""
        (folder / LISTS).mkdir()
        lists: dict[str, list[str]] = {"train": [], "test": []}
        for label, action in enumerate(("Diving", "Rowing", "Surfing")):
            for film in range(1, 11):
                for cut in (1, 2):
                    name = f"{action}/v_{action}_g{film:02}_c{cut:02}.avi"
                    frames = moving_squares(label, 12, 48, seed=100 * label + 10 * film + cut)
                    write_video(folder / "UCF-101" / name, frames, rate=25, codec="mpeg4")
                    lists["test" if film < 4 else "train"].append(name if film < 4 else f"{name} {label + 1}")
        for kind, lines in lists.items():
            (folder / LISTS / f"{kind}list01.txt").write_text("\n".join(lines) + "\n")


def video_of(path: Path, split: str) -> Video:
    """Return a video with the action and the group of its name.

    Raises:
        DataError: the name is not one of UCF101.
    """
    if (match := NAME.fullmatch(path.name)) is None:
        raise DataError(f"ucf101: {path} is no name of UCF101, such as v_Diving_g01_c01.avi")
    return Video(path, path.parent.name, split, match["group"])
