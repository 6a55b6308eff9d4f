"""HMDB51: actions in videos of films and of the web, with three official splits."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.video.files import Video, VideoFiles
from sightseq.data.video.synthetic import moving_squares, write_video

LISTS = "testTrainMulti_7030_splits"
SPLITS = {"1": "train", "2": "test"}  # 0: in neither


class HMDB51(VideoFiles):
    """6,766 videos of 51 actions (Kuehne et al., 2011, ICCV); 3,570 of them train and 1,530 test in each split.

    The videos are those of hmdb51_org.rar, each action unpacked to its folder, such as
    `brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi`; the splits those of test_train_splits.rar,
    `testTrainMulti_7030_splits/brush_hair_test_split1.txt` and so on. What comes before the action in a name is the
    film that a video is cut from: validation has other films than training.

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
        """Return the list of each action, and the videos that they name.

        Raises:
            DataError: there are no lists, or a video is missing.
        """
        folder = find_folder(self.root, self.folders)
        lists = sorted((folder / LISTS).glob(f"*_test_split{self.split}.txt")) if folder else []
        if not lists:
            raise missing_error(self.name, self.root, self.folders, f"folders of actions and {LISTS}")
        videos = [video.path for file in lists for video in listed(file)]
        if missing := next((video for video in videos if not video.is_file()), None):
            raise DataError(f"{self.name}: the lists name {missing}, which is not there; unpack hmdb51_org.rar again")
        return [*lists, *videos]

    def videos(self, sources: Sequence[Path]) -> list[Video]:
        """Return the videos of the lists."""
        return [video for file in sources if file.suffix == ".txt" for video in listed(file)]

    def write_synthetic(self, folder: Path) -> None:
        """Write three actions of ten films, each cut into two videos, and the lists of the first split."""
        (folder / LISTS).mkdir()
        for label, action in enumerate(("brush_hair", "climb", "run")):
            lines = []
            for film in range(10):
                for cut in range(2):
                    name = f"Film_{film}_{action}_u_nm_np1_ba_goo_{cut}.avi"
                    frames = moving_squares(label, 12, 48, seed=100 * label + 10 * film + cut)
                    write_video(folder / action / name, frames, rate=30, codec="mpeg4")
                    lines.append(f"{name} {2 if film < 3 else 1 if film < 9 else 0} ")
            (folder / LISTS / f"{action}_test_split1.txt").write_text("\n".join(lines) + "\n")


def listed(file: Path) -> Iterator[Video]:
    """Yield the videos of the list of one action; those that are in neither split are left out.

    Raises:
        DataError: a line is not a name with 0, 1 or 2.
    """
    action = file.name.rpartition("_test_split")[0]
    for number, line in enumerate(file.read_text().splitlines(), 1):
        name, _, kind = line.strip().rpartition(" ")
        if line.strip() and kind not in {"0", *SPLITS}:
            raise DataError(f"hmdb51: {file}, line {number}, is not a name of a video with 0, 1 or 2")
        if kind in SPLITS:
            film = name.rpartition(f"_{action}_")[0] or name
            yield Video(file.parent.parent / action / name, action, SPLITS[kind], film)
