"""A user's own videos: a folder of video files, or of folders of frames, for each class; or a table that lists them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sightseq.core.download import find_own, own_path
from sightseq.core.errors import ConfigError, DataError, nearest
from sightseq.data.file_tables import read_rows
from sightseq.data.labelled_files import SPLITS, in_class_folders
from sightseq.data.video.files import Video, VideoFiles
from sightseq.data.video.synthetic import moving_squares, write_video
from sightseq.vision.footage import find_videos

TABLE = "video.csv"
COLUMNS = {"file": ("path", "file", "filename", "video"), "label": ("label", "class", "category", "target")}
GROUP = ("group", "source", "person", "speaker")


class VideoFolder(VideoFiles):
    """`path/wave/1.mp4`, `path/jump/2.mov`, ..., or the same below `path/train`, `path/val` and `path/test`.

    A folder of images is a video, too: `path/wave/1/frame_001.jpg`, ... If the folder has a table `video.csv` with the
    columns `path` and `label`, and perhaps `split` and `group`, it lists the videos instead. Missing splits are drawn
    from "train": see `GroupedData`.

    Args:
        path: the folder; without it, the first of `folders` under `root`.
        group: regular expression whose first group finds the source or the person in the name of a video (without
            suffix), such as "(.*)_scene"; None: the column group of the table, if there is one.
        common: see `VideoFiles`.
    """

    def __init__(self, *, path: str | None = None, group: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.path = None if self.synthetic else own_path(path)
        try:
            self.pattern = re.compile(group) if group and not self.synthetic else None
        except re.error as error:
            raise ConfigError(f"data.group={group} is not a regular expression ({error})") from error
        if self.pattern and not self.pattern.groups:
            raise ConfigError(f"data.group={group} needs a group, such as (.*)_scene")

    def cache_key(self) -> dict[str, Any]:
        """Options that change the clips, their labels or their groups."""
        return {**super().cache_key(), "group": self.pattern.pattern if self.pattern else None}

    def locate(self) -> list[Path]:
        """Return the table, if there is one, and all videos.

        Raises:
            DataError: there are no videos.
        """
        self.base = find_own(self.name, self.path, self.root, self.folders, "FOLDER (one folder of videos per class)")
        self.found = list(find_videos(self.base)) if self.base.is_dir() else []
        if not self.found:
            raise DataError(f"{self.name}: {self.base} contains no videos; name your folder with data.path=FOLDER")
        table = self.base / TABLE
        return [table, *self.found] if table.is_file() else self.found

    def videos(self, sources: Sequence[Path]) -> list[Video]:
        """Return the videos of the table, or of the folders.

        Raises:
            DataError: a video is in no class folder; `group` does not fit a name; or see `read_rows`.
        """
        return list(self._listed(sources[0]) if sources[0].name == TABLE else self._in_folders())

    def _listed(self, table: Path) -> Iterator[Video]:
        for row in read_rows(self.name, table, COLUMNS, self.found, self.base, group=GROUP):
            split = row.split.lower() or "train"
            if split not in SPLITS:
                raise DataError(f"{self.name}: {row.place}: {row.split} is no split; {nearest(split, SPLITS)}")
            yield Video(row.file, row.label, SPLITS[split], self._group(row.file) or row.group)

    def _in_folders(self) -> Iterator[Video]:
        for file, label, split in in_class_folders(self.name, self.base, self.found):
            yield Video(file, label, split, self._group(file))

    def _group(self, file: Path) -> str:
        if self.pattern is None:
            return ""
        if not (match := self.pattern.search(file.stem)) or not match[1]:
            raise DataError(f"{self.name}: data.group={self.pattern.pattern} finds no group in {file.name}")
        return match[1]

    def write_synthetic(self, folder: Path) -> None:
        """Write three classes of 12 videos each."""
        for label, direction in enumerate(("down", "left", "right")):
            for number in range(12):
                frames = moving_squares(label, 12, 48, seed=100 * label + number)
                write_video(folder / direction / f"{number}.mp4", frames)
