"""Prediction with a model of music: pieces that are written as MIDI, audio and a figure."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, ClassVar
from warnings import warn

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt

from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.core.files import creating, replacing
from sightseq.core.inputs import check_targets, named_files
from sightseq.core.media import AudioBlock
from sightseq.core.page import Widget
from sightseq.core.predictor import Predictor, Row
from sightseq.music.figures import roll_figure
from sightseq.music.files import SUFFIXES, midi_files, read_piece
from sightseq.music.midi import write_midi
from sightseq.music.piece import Piece
from sightseq.music.statistics import BAR
from sightseq.music.synthesis import waveform

LONGEST = 4000.0  # beats of an input, 1000 bars
RATE = 22050  # samples per second of the audio
DPI = 150
WRITTEN = (".mid", ".wav", ".png")


class MusicSettings(BaseModel):
    """Options of a model of music."""

    output: str | None = Field(
        None, description="folder, or FILE.mid; null: the working directory, or a new folder for the files of a folder"
    )
    overwrite: bool = Field(False, description="replace existing files; an input is never replaced")
    bars: Annotated[int, Field(ge=1, le=1000)] = Field(16, description="bars to compose, of four beats (quarter notes)")
    input_bars: PositiveFloat | None = Field(
        None, description="bars of the input that are read, from its first one; null: all"
    )
    samples: PositiveInt = Field(1, description="number of pieces for each input")
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1.0, description="below 1: less surprising; 0: always the most probable"
    )
    seed: int = Field(1, description="seed of the random numbers")

    @property
    def label(self) -> str:
        """What happens to an input, for the names of the results."""
        return "continued"


@dataclass(frozen=True)
class MusicJob:
    """An input, or None to compose from nothing; the path of its results without number and suffix; the options."""

    source: Path | None
    stem: Path
    options: Any

    def target(self, number: int, suffix: str) -> Path:
        """Return the path of a result of sample `number`, which counts from 1."""
        place = f"-{number}" if self.options.samples > 1 else ""
        return self.stem.with_name(f"{self.stem.name}{place}{suffix}")

    def targets(self) -> list[Path]:
        """Return the paths of all results."""
        return [self.target(number, one) for number in range(1, self.options.samples + 1) for one in WRITTEN]


@dataclass(frozen=True)
class Sample:
    """A piece [N notes], and whether each note was given to the model, bool [N]."""

    piece: Piece
    given: NDArray[np.bool_]


class MusicPredictor(Predictor):
    """Base of the predictors of music. Arguments and errors: see `Predictor`.

    An input is a MIDI file or a score in MusicXML; without one, a piece is composed from nothing. Each sample is
    written as NAME.mid, NAME.wav and NAME.png, a piano roll in which given notes are orange. A row contains their paths
    `output`, `audio` and `figure`; `bars` of four beats; the number of `notes`; and the duration in `seconds`.
    """

    Settings: ClassVar[type[MusicSettings]] = MusicSettings
    widget: ClassVar[Widget | None] = Widget("file", "the beginning of a piece, or nothing", SUFFIXES)
    default_input: ClassVar[str | None] = ""
    local: ClassVar[Collection[str]] = ("output", "overwrite")

    # Defined by each kind of model.

    @abstractmethod
    def heard(self, piece: Piece) -> tuple[int, dict[str, int]]:
        """Return how many notes of a piece the model reads, and what it does not read: see `Piece.dropped`."""

    @abstractmethod
    def samples(self, given: Piece | None, options: Any) -> list[Sample]:
        """Compose `options.samples` pieces in one batch, which continue the given piece if there is one."""

    # Common to all models of music.

    def check(self, inputs: Sequence[Any], options: Any) -> None:
        """Refuse options that have no effect, and results that would replace an input or each other."""
        if options.input_bars and not all(inputs):
            raise ConfigError(f"input_bars={options.input_bars:g}: has no effect without input=")
        if options.temperature == 0:
            if options.samples > 1:
                raise ConfigError(f"samples={options.samples}: all samples are the same with temperature=0")
            if "seed" in options.model_fields_set:
                raise ConfigError(f"seed={options.seed}: has no effect with temperature=0")
        jobs: list[MusicJob] = []
        for given in inputs:
            with suppress(InputError):  # reported when the input is expanded
                jobs += [given] if isinstance(given, MusicJob) else [job for _, job in self.expand(given, options)]
        if options.output is not None and (suffix := Path(options.output).suffix.lower()) and not _is_folder(options):
            if suffix not in SUFFIXES:
                raise ConfigError(f"output={options.output}: write FILE.mid, or end a folder's name with /")
            if len(jobs) > 1:
                raise ConfigError(f"output={options.output}: is one file, but there are {len(jobs)}; name a folder")
        check_targets([(job.source, target) for job in jobs for target in job.targets()])

    def expand(self, given: str, options: MusicSettings) -> list[tuple[str, MusicJob]]:
        """Return the jobs of one input: a file, a folder, a pattern, or "" to compose from nothing.

        In an output folder, names are relative to the input folder, or to the part of a pattern before its first
        wildcard.
        """
        named = None if options.output is None or _is_folder(options) else Path(options.output).expanduser()
        if not given:
            job = MusicJob(None, named.with_suffix("") if named else _folder(options) / "composed", options)
            return [(str(job.stem), job)]
        path = Path(given).expanduser()
        files = named_files(given, midi_files, f"MIDI files ({', '.join(SUFFIXES)})")
        base, folder = path.parent, _folder(options)
        if not path.is_file():
            base = path if path.is_dir() else Path(*takewhile(lambda part: not set(part) & set("*?["), path.parts))
            folder = folder if options.output is not None else Path(options.label)
        if path.is_dir() and folder.resolve() != base.resolve():  # results of an earlier call are no inputs
            files = [file for file in files if not file.resolve().is_relative_to(folder.resolve())]
        jobs = []
        for file in files:
            place = (folder / file.relative_to(base)).with_name(f"{file.stem}-{options.label}")
            jobs.append((str(file), MusicJob(file, named.with_suffix("") if named else place, options)))
        return jobs

    def read(self, raw: MusicJob) -> tuple[MusicJob, Piece | None]:
        """Read the piece of a job.

        Raises:
            InputError: a result exists already, or the file cannot be read, is too long, or has no notes for the model.

        Warns:
            InputWarning: the model does not read all of it.
        """
        options = raw.options
        for target in raw.targets():
            if target.exists() and not options.overwrite:
                place = f"{raw.source}: " if raw.source else ""
                raise InputError(f"{place}{target} already exists; add overwrite=true to replace it")
        if raw.source is None:
            return raw, None
        piece = read_piece(raw.source)
        left_out = dict(piece.dropped)
        if options.input_bars:
            piece = piece.excerpt(options.input_bars * BAR)
        self.check_piece(piece, str(raw.source), left_out)
        return raw, piece

    def check_piece(self, piece: Piece, name: str = "the piece", left_out: dict[str, int] | None = None) -> None:
        """Check that the model can read a piece.

        Args:
            piece: any piece.
            name: for messages.
            left_out: what the reader of the file left out.

        Raises:
            InputError: it is too long, or has no notes for the model.

        Warns:
            InputWarning: the model does not read all of it.
        """
        if piece.duration > LONGEST:
            raise InputError(
                f"{name}: lasts {piece.duration:,.0f} beats; at most {LONGEST:,.0f} are read; input_bars=16 reads only "
                "its first 16 bars"
            )
        count, unread = self.heard(piece)
        if not count:
            reason = f"has only {', '.join(unread)}, which this model does not read" if unread else "has no notes"
            raise InputError(f"{name}: {reason}; name another file, or leave input out to compose from nothing")
        if found := (left_out or {}) | unread:
            counts = ", ".join(f"{what} ({number:,})" for what, number in found.items())
            warn(InputWarning(f"{name}: left out or changed for the model: {counts}"), stacklevel=3)

    def predict_items(self, items: Sequence[tuple[MusicJob, Piece | None]], options: MusicSettings) -> list[list[Row]]:
        """Compose and write the samples of each input."""
        return [
            [self._write(sample, job, number) for number, sample in enumerate(self.samples(given, options), start=1)]
            for job, given in items
        ]

    def predict(self, inputs: Sequence[Any] = ("",), **options: Any) -> list[Row]:
        """Compose and write files, as on the command line.

        Args:
            inputs: files, folders or patterns; "" composes from nothing.
            options: fields of `Settings`.

        Returns:
            The rows of all samples, in order.

        Raises:
            InputError: an input cannot be read, or a result exists already.
            ConfigError: an option is unknown, or its value is invalid or has no effect.
        """
        if options.get("output") is not None:
            options["output"] = str(options["output"])
        if others := [value for value in inputs if not isinstance(value, str | Path)]:
            raise InputError(f"inputs must be files, folders or patterns, not {type(others[0]).__name__}; use compose")
        settings = self.options(options)
        paths = [str(path) for path in inputs]
        self.check(paths, settings)
        return super().predict([job for path in paths for _, job in self.expand(path, settings)], **options)

    def write_to(self, folder: Path, options: MusicSettings) -> MusicSettings:
        """See `Predictor`."""
        return options.model_copy(update={"output": f"{folder}/"})

    def origin(self, place: str, item: tuple[MusicJob, Piece | None]) -> Row:
        """Return the input; None for a piece from nothing."""
        source = item[0].source
        return {"input": str(source) if source else None}

    def cells(self, row: Row) -> dict[str, str]:
        """Return the columns input, output, bars, notes and seconds."""
        columns = {"input": row["input"] or "", "output": row["output"], "bars": f"{row['bars']:g}"}
        return columns | {"notes": str(row["notes"]), "seconds": f"{row['seconds']:.1f}"}

    def _write(self, sample: Sample, job: MusicJob, number: int) -> Row:
        """Write the files of one sample."""
        midi, audio, figure = (job.target(number, suffix) for suffix in WRITTEN)
        piece = sample.piece
        if sample.given.all():
            warn(InputWarning(f"{midi}: the model composed no notes; try another seed or temperature"), stacklevel=3)
        with creating(midi.parent, "output="):
            midi.parent.mkdir(parents=True, exist_ok=True)
        write_midi(piece, midi)
        with replacing(audio) as file:
            file.write(AudioBlock("audio", waveform(piece, RATE), RATE).wav())
        with replacing(figure) as file:
            roll_figure(piece, sample.given, title=midi.stem).savefig(file, dpi=DPI, format="png")
        return {
            "output": str(midi),
            "audio": str(audio),
            "figure": str(figure),
            "bars": round(piece.duration / BAR, 2),
            "notes": len(piece.notes),
            "seconds": round(float(piece.seconds(piece.duration)), 2),
        }


def _is_folder(options: MusicSettings) -> bool:
    """Whether the output is a folder: one that exists, or a name that ends with / or has no suffix."""
    output = options.output or ""
    path = Path(output).expanduser()
    return output.endswith("/") or path.is_dir() or not path.suffix


def _folder(options: MusicSettings) -> Path:
    """Return the output folder, or the working directory if the output is a file."""
    return Path(options.output or "").expanduser() if _is_folder(options) else Path()
