"""Speech Commands: Warden, 2018 (arXiv 1804.03209)."""

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

from sightseq.audio.files import audio_files, duration
from sightseq.core.download import find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.audio.clips import Clip, ClipData
from sightseq.data.audio.synthetic import chirp, write_wav
from sightseq.data.audio.waveforms import Piece

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
LISTS = {"validation_list.txt": "val", "testing_list.txt": "test"}
NOISE = "_background_noise_"
SHARE = 0.1  # clips of silence and of unknown words, each per clip of the ten words
PARTS = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}  # of each background recording


class SpeechCommands(ClipData):
    """One-second recordings of 35 words by 2,618 people, 16 kHz: `yes/0a7c2a8d_nohash_0.wav`.

    The publisher's lists give the validation and test clips; their speakers occur in no other split. With 12 labels,
    ten words are classes of their own. "unknown" is a tenth as many clips of the other words, and "silence" as many
    pieces of the background recordings, each at a random volume in 0..1 (here from another part of the recordings in
    each split).

    Args:
        labels: 12 or 35.
        common: see `ClipData`.
    """

    def __init__(self, *, labels: Literal[12, 35] = 12, **common: Any) -> None:
        super().__init__(**common)
        self.labels = labels

    def cache_key(self) -> dict[str, Any]:
        """Options that change the clips or the labels."""
        return {**super().cache_key(), "labels": self.labels}

    def locate(self) -> list[Path]:
        """Return the two lists and all recordings.

        Raises:
            DataError: they are missing.
        """
        folder = find_folder(self.root, self.folders)
        files = audio_files(folder) if folder else []
        lists = [folder / name for name in LISTS if (folder / name).is_file()] if folder else []
        if len(lists) < len(LISTS) or not any(file.parent.name != NOISE for file in files):
            wanted = "recordings with their lists (yes/0a7c2a8d_nohash_0.wav, validation_list.txt, testing_list.txt)"
            raise missing_error(self.name, self.root, self.folders, wanted)
        return lists + files

    def clips(self, sources: Sequence[Path]) -> list[Clip]:
        """Return the clips of all splits.

        Raises:
            DataError: none of the ten words, or no background recording, is there, and there are 12 labels.
        """
        folder = sources[0].parent
        splits = {line: LISTS[one.name] for one in sources if one.name in LISTS for line in one.read_text().split()}
        noises: list[Path] = []
        words: list[Clip] = []
        others: list[Clip] = []
        for file in sources:
            if file.name in LISTS:
                continue
            if file.parent.name == NOISE:
                noises.append(file)
                continue
            word, speaker = file.parent.name, file.name.partition("_nohash_")[0]
            split = splits.get(file.relative_to(folder).as_posix(), "train")
            wanted = self.labels == 35 or word in WORDS
            (words if wanted else others).append(Clip(Piece(file), word if wanted else "unknown", split, speaker))
        if self.labels == 35:
            return words
        if not words or not noises:
            raise DataError(f"{self.name}: {folder} needs the words {', '.join(WORDS)}, and recordings in {NOISE}")
        random, lengths = Random(0), {file: duration(file) for file in noises}
        random.shuffle(others)
        clips = words
        for split, part in PARTS.items():
            count = math.ceil(SHARE * sum(clip.split == split for clip in words))
            unknown = [clip for clip in others if clip.split == split][:count]
            silence = [_silence(noises, lengths, part, split, random) for _ in range(count)]
            clips = [*clips, *unknown, *silence]
        return clips

    def write_synthetic(self, folder: Path) -> None:
        """Write 12 recordings of each of 14 words, and two background recordings."""
        for number, word in enumerate((*WORDS, "bed", "cat", "tree", "zero")):
            for index in range(12):
                samples = chirp(number, 16000, 0.4, seed=100 * number + index, voice=0.98 + 0.004 * index)
                write_wav(folder / word / f"{index:08x}_nohash_0.wav", samples, 16000)
        for name, first in (("validation_list.txt", 8), ("testing_list.txt", 10)):
            lines = [
                f"{word.name}/{n:08x}_nohash_0.wav"
                for word in sorted(folder.iterdir())
                if word.is_dir()
                for n in (first, first + 1)
            ]
            (folder / name).write_text("\n".join(lines) + "\n")
        for seed in range(2):
            write_wav(folder / NOISE / f"hum_{seed}.wav", chirp(17, 16000, 12.0, seed), 16000)


def _silence(
    noises: Sequence[Path], lengths: dict[Path, float], part: tuple[float, float], split: str, random: Random
) -> Clip:
    """Draw one second of a background recording, from this part of it."""
    file = random.choice(noises)
    first, last = (share * lengths[file] for share in part)
    start = random.uniform(first, max(first, last - 1.0))
    return Clip(Piece(file, start, min(1.0, last - start), random.random()), "silence", split)
