"""HMDB51: actions in videos of films and of the web, with three official splits."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.video.files import OfficialSplits, Video
from sightseq.data.video.synthetic import moving_squares, write_video
from sightseq.text.sentences import read_lines

LISTS = "testTrainMulti_7030_splits"
SPLITS = {"1": "train", "2": "test"}  # 0: in neither


class HMDB51(OfficialSplits):
    """6,766 videos of 51 actions (Kuehne et al., 2011, ICCV); 3,570 of them train and 1,530 test in each split.

    The videos are those of hmdb51_org.rar, each action unpacked to its folder, such as
    `brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi`; the splits those of test_train_splits.rar,
    `testTrainMulti_7030_splits/brush_hair_test_split1.txt` and so on. What comes before the action in a name is the
    film that a video is cut from: validation has other films than training.

    Arguments: see `OfficialSplits`.
    """

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
        self.check(videos, "hmdb51_org.rar")
        return [*lists, *videos]

    def videos(self, sources: Sequence[Path]) -> list[Video]:
        """Return the videos of the lists."""
        return [video for file in sources if file.suffix == ".txt" for video in listed(file)]

    def write_synthetic(self, folder: Path) -> None:
        """Write three actions of ten films, each cut into two videos, and the lists of the splits."""
        (folder / LISTS).mkdir()
        for label, action in enumerate(("brush_hair", "climb", "run")):
            lines: dict[int, list[str]] = {1: [], 2: [], 3: []}
            for film, cut in product(range(10), range(2)):
                name = f"Film_{film}_{action}_u_nm_np1_ba_goo_{cut}.avi"
                frames = moving_squares(label, 12, 48, seed=100 * label + 10 * film + cut)
                write_video(folder / action / name, frames, rate=30, codec="mpeg4")
                for split, own in lines.items():
                    own.append(f"{name} {0 if film == 9 else 2 if film % 3 == split % 3 else 1} ")
            for split, own in lines.items():
                (folder / LISTS / f"{action}_test_split{split}.txt").write_text("\n".join(own) + "\n")


def listed(file: Path) -> Iterator[Video]:
    """Yield the videos of the list of one action; those that are in neither split are left out.

    Raises:
        DataError: a line is not a name with 0, 1 or 2.
    """
    action = file.name.rpartition("_test_split")[0]
    for number, line in enumerate(read_lines(file), 1):
        name, _, kind = line.strip().rpartition(" ")
        if line.strip() and kind not in {"0", *SPLITS}:
            raise DataError(f"hmdb51: {file}, line {number}, is not a name of a video with 0, 1 or 2")
        if kind in SPLITS:
            film = name.rpartition(f"_{action}_")[0] or name
            yield Video(file.parent.parent / action / name, action, SPLITS[kind], film)
