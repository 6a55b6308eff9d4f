"""Base of all datasets of music for language models: the pieces of a split as streams of token ids."""

import hashlib
import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from sightseq.core.arrays import ArrayDataset, RaggedWriter, map_arrays, save_split
from sightseq.core.datamodule import digest
from sightseq.core.files import atomic_folder
from sightseq.core.spec import Spec
from sightseq.data.music.pieces import PieceData, remarks_on
from sightseq.data.streams import StreamDataset, TokenStreams
from sightseq.music.events import DRUMS, EventCodec
from sightseq.music.melody import MelodyCodec
from sightseq.music.piece import NOTE, TEMPO, Piece
from sightseq.music.spec import MusicSpec
from sightseq.text.tokenizer import EOS_ID

Codec = EventCodec | MelodyCodec
LEFT_OUT = "left_out.json"


class NoteStreams(TokenStreams, PieceData):
    """Pieces of music as streams of token ids; each piece ends with 0.

    A subclass's `make_codec` chooses how the pieces become token ids.

    Args:
        common: see `TokenStreams`, `PieceData` and `DataModule`.
    """

    example_spec: MusicSpec = MusicSpec.of(EventCodec(), TEMPO)

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self._codec: Codec | None = None  # of the model that is to read this data

    @abstractmethod
    def make_codec(self, pieces: Iterable[Piece]) -> Codec:
        """Return the codec for data with these training pieces."""

    @abstractmethod
    def codec_key(self) -> dict[str, Any]:
        """Return the options that change the codec."""

    def adopt(self, spec: Spec) -> None:
        """Adopt the codec of a music model's spec."""
        self._codec = spec.codec if isinstance(spec, MusicSpec) else None

    def spec_key(self) -> dict[str, Any]:
        """Options that change the codec, or the adopted codec."""
        return self.codec_key() if self._codec is None else asdict(self._codec)

    def save(self, folder: Path, split: str, pieces: Iterable[tuple[Piece, int]]) -> dict[str, int]:
        """Save the pieces of a split: `notes`, the bytes of each note as `NOTE`; `tempi` (beat, beats per minute); and
        `group`.
        """
        (folder / split).mkdir()
        notes = RaggedWriter(folder / split / "notes.npy", np.uint8, (NOTE.itemsize,))
        tempi = RaggedWriter(folder / split / "tempi.npy", np.float64, (2,))
        groups = []
        for piece, group in pieces:
            notes.append(np.frombuffer(piece.notes.tobytes(), np.uint8).reshape(-1, NOTE.itemsize))
            tempi.append(np.array(piece.tempi))
            groups.append(group)
        notes.close()
        tempi.close()
        save_split(folder, split, group=np.array(groups, np.int64))
        return {}

    def read_split(self, folder: Path) -> dict[str, Any]:
        """Return the memory-mapped columns that `save` wrote."""
        return map_arrays(folder)

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> MusicSpec:
        """Return the adopted codec, or the one for the training pieces, with their median tempo."""
        tempi: Any = train.arrays["tempi"]
        tempo = float(np.median([tempi.row(row)[0, 1] for row in train.rows]))
        return MusicSpec.of(self._codec or self.make_codec(_pieces(train)), tempo)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Encode the pieces of each split once into the cache.

        The tokens are memory-mapped, as they are read in order.
        """
        spec: Any = self.spec
        codec: Codec = spec.codec
        rows = [hashlib.sha256(dataset.rows.tobytes()).hexdigest() for dataset in datasets.values()]
        place = folder.with_name(f"{folder.name}-tokens-{digest([asdict(codec), rows])}")
        with atomic_folder(place) as building:
            if building is not None:
                dropped: Counter[str] = Counter()
                for split, dataset in datasets.items():
                    (building / split).mkdir()
                    dtype = np.uint16 if codec.vocab_size <= 2**16 else np.int32
                    writer = RaggedWriter(building / split / "tokens.npy", dtype)
                    for piece in _pieces(dataset):
                        writer.append(np.append(codec.encode(piece), EOS_ID))
                        dropped.update(_left_out(codec, piece))
                    writer.close()
                (building / LEFT_OUT).write_text(json.dumps(dropped))
        self.remarks = [*self.remarks, *remarks_on(json.loads((place / LEFT_OUT).read_text()), "as tokens")]
        return {split: StreamDataset(map_arrays(place / split)["tokens"].values, split) for split in datasets}


class EventData(NoteStreams):
    """Pieces of music as events: notes that start and end, and shifts of time (Oore et al., 2018, arXiv 1808.03715).

    Args:
        grid: "seconds" for performances, "beats" (quarter notes) for scores.
        steps: time steps per second or beat.
        max_shift: longest shift of time, in steps.
        velocities: number of loudness levels; 0: all notes are equally loud.
        instruments: whether events choose among the instruments of the training pieces, drums included; otherwise one
            piano plays all notes, without the drums.
        tempo: whether events set the tempo; only with grid=beats.
        common: see `NoteStreams`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = frozenset(
        {"grid", "steps", "max_shift", "velocities", "instruments", "tempo"}
    )

    def __init__(
        self,
        *,
        grid: Literal["seconds", "beats"] = "beats",
        steps: int = 12,
        max_shift: int = 48,
        velocities: int = 0,
        instruments: bool = False,
        tempo: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.options: dict[str, Any] = {
            "grid": grid,
            "steps": steps,
            "max_shift": max_shift,
            "velocities": velocities,
            "tempo": tempo,
        }
        self.instruments = instruments
        self.example_spec = MusicSpec.of(EventCodec(**self.options, programs=(0, DRUMS) if instruments else ()), TEMPO)

    def codec_key(self) -> dict[str, Any]:
        """Options of the codec."""
        return {**self.options, "instruments": self.instruments}

    def make_codec(self, pieces: Iterable[Piece]) -> EventCodec:
        """Return the codec; with the instruments of the training pieces, if events choose among them."""
        programs: set[int] = set()
        if self.instruments:
            for piece in pieces:
                programs.update(np.where(piece.notes["drum"], DRUMS, piece.notes["program"]).tolist())
        return EventCodec(**self.options, programs=tuple(sorted(programs)))

    def reason_against(self, piece: Piece) -> str:
        """Return why a piece is of no use; "" if it has notes, which may be drums if events choose instruments."""
        return super().reason_against(piece) if len(piece.notes) == 0 or not self.instruments else ""


def _pieces(dataset: ArrayDataset) -> Iterator[Piece]:
    """Yield the pieces of a split that `NoteStreams.save` has written."""
    arrays: Any = dataset.arrays
    for row in dataset.rows:
        notes = np.frombuffer(arrays["notes"].row(row).tobytes(), NOTE)
        yield Piece(notes, tuple((float(beat), float(tempo)) for beat, tempo in arrays["tempi"].row(row)))


def _left_out(codec: Codec, piece: Piece) -> Mapping[str, int]:
    """Return what a codec leaves out of a piece, as in `Piece.dropped`."""
    return codec.left_out(piece) if isinstance(codec, MelodyCodec) else codec.quantised(piece).dropped
