"""The four datasets of piano rolls of Boulanger-Lewandowski et al. (2012), "Modeling temporal dependencies in
high-dimensional sequences": JSB Chorales, Nottingham, MuseData and Piano-midi.de.
"""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightseq.core.download import download, missing_error
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.music.rolls import RollData, RollWriter, roll_of
from sightseq.data.music.synthetic import synthetic_pieces
from sightseq.music.roll import KEYS

MATRICES = {"train": "traindata", "val": "validdata", "test": "testdata"}  # variables of the .mat files
SPLITS = {"train": "train", "val": "valid", "test": "test"}  # keys of the .pickle files
SUFFIXES = (".mat", ".pickle", ".pkl")


class PianoRolls(RollData):
    """Piano rolls with the splits of their publisher, as `NAME.mat` or as the original `NAME.pickle`.

    The publisher has transposed the pieces of JSB Chorales and Nottingham to C major or C minor: in both, test pieces
    included, a fifth of all notes are C and a fifth are G. To transpose them in training adds keys that the test does
    not have.

    Args:
        files_named: accepted names of the file, without suffix; the suffixes .mat, .pickle and .pkl are tried in this
            order.
        tempo: beats per minute of what is generated; the files have none.
        common: see `RollData`.
    """

    def __init__(self, *, files_named: list[str], tempo: float = 120.0, **common: Any) -> None:
        super().__init__(**common)
        if tempo <= 0:
            raise ConfigError(f"data.tempo={tempo}: must be above 0 beats per minute")
        self.files_named, self.tempo = files_named, tempo

    def cache_key(self) -> dict[str, Any]:
        """Options that are saved with the pieces."""
        return {"tempo": self.tempo}

    def locate(self) -> list[Path]:
        """Return the file; it is downloaded if absent.

        Raises:
            DataError: it is absent and cannot be downloaded.
        """
        names = [f"{name}{suffix}" for suffix in SUFFIXES for name in self.files_named]
        places = [self.root / folder / name for folder in self.folders for name in names]
        if self.url and not self.synthetic and not any(place.is_file() for place in places):
            download(self.name, self.url, self.files, self.root / self.folders[0])
        found = [place for place in places if place.is_file()]
        if not found:
            raise missing_error(
                self.name, self.root, self.folders, f"{self.files_named[0]}.mat or {self.files_named[-1]}.pickle"
            )
        return found[:1]

    def process(self, sources: list[Path], folder: Path) -> None:
        """Save the pieces of each split.

        Raises:
            DataError: the file is not the published one.
        """
        (file,) = sources
        read = _matrices if file.suffix == ".mat" else _pickled
        for split in SPLITS:
            with RollWriter(folder, split) as writer:
                for roll in read(file, split):
                    writer.append(roll, self.tempo)

    def write_synthetic(self, folder: Path) -> None:
        """Write 30 training, 8 validation and 8 test pieces as a .mat file."""
        from scipy.io import savemat

        variables = {}
        for seed, (variable, count) in enumerate(zip(MATRICES.values(), (30, 8, 8), strict=True)):
            rolls = np.empty((1, count), object)
            for number, frames in enumerate(synthetic_pieces(count, seed)):
                rolls[0, number] = roll_of(frames).astype(np.float64)
            variables[variable] = rolls
        savemat(folder / f"{self.files_named[0]}.mat", variables)


def _matrices(file: Path, split: str) -> Iterator[NDArray[np.uint8]]:
    """Yield the rolls [T, 88] of a split of a .mat file."""
    from scipy.io import loadmat

    try:
        (rolls,) = loadmat(file, variable_names=[MATRICES[split]])[MATRICES[split]]
    except Exception as error:  # scipy raises exceptions of many types for a damaged file
        raise _wrong(file, f"a row of matrices {MATRICES[split]}") from error
    for roll in rolls:
        if getattr(roll, "ndim", 0) != 2 or roll.shape[1] != KEYS or not len(roll) or not np.isin(roll, (0, 1)).all():
            raise _wrong(file, f"matrices of zeros and ones with {KEYS} columns in {MATRICES[split]}")
        yield roll.astype(np.uint8)


class _PlainUnpickler(pickle.Unpickler):
    """Reads a pickle of lists, tuples, dictionaries, texts and numbers; a class or function in it is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it contains {module}.{name}")


def _pickled(file: Path, split: str) -> Iterator[NDArray[np.uint8]]:
    """Yield the rolls [T, 88] of a split of a .pickle file: a list of pieces, each a list of frames with MIDI pitches.

    No code in the file is run.
    """
    try:
        with file.open("rb") as stream:
            pieces = _PlainUnpickler(stream, encoding="latin1").load()[SPLITS[split]]
        for frames in pieces:
            yield roll_of(frames)
    except Exception as error:  # a damaged pickle raises exceptions of any type
        raise _wrong(file, f"only lists of MIDI pitches for {', '.join(SPLITS.values())} ({error})") from error


def _wrong(file: Path, expected: str) -> DataError:
    return DataError(f"{file} is not the published file: it should contain {expected}; get it again")
