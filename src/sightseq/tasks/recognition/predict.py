"""Base of the predictors of recognisers: decoding with a language model and a word list."""

import json
import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from sightseq.core import predictor
from sightseq.core.checkpoint import load_task
from sightseq.core.errors import CheckpointError, ConfigError, InputError
from sightseq.core.inputs import check_targets
from sightseq.core.loading import Batch
from sightseq.core.predictor import Predictor, Row
from sightseq.core.rundir import find_checkpoint
from sightseq.decoding.ctc import Span, align
from sightseq.decoding.ctc_beam import LanguageModel, PrefixSearch
from sightseq.decoding.ngram import NGramStep
from sightseq.decoding.word_list import WordList
from sightseq.tasks.recognition.task import RecognitionTask, ctc_loss, transcribe
from sightseq.text.alphabet import SPECIAL, UNKNOWN_ID, Alphabet
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import EOS_ID
from sightseq.text.tokenizer import UNKNOWN_ID as UNKNOWN_TOKEN

BEAM = 16  # texts that a search with a language model or a word list keeps
ORDER = 5  # characters of the n-grams that are counted in a text file


class RecognitionSettings(predictor.Settings):
    """Options of `sightseq predict` for a recogniser."""

    beam: PositiveInt | None = Field(
        None, description=f"texts that the search keeps; null: the most probable path, or {BEAM} with lm or words"
    )
    lm: str | None = Field(
        None, description="run of a language model of characters, or a text file, whose character n-grams are counted"
    )
    lm_weight: NonNegativeFloat = Field(0.5, description="weight of the language model's log-probability")
    length_bonus: float = Field(0.0, description="added to the score for each character")
    words: str | None = Field(None, description="file with one word a line; only these are written")
    output: str | None = Field(None, description="folder for pictures of where each character was read")


class Reading(NamedTuple):
    """What was read in one input.

    Attributes:
        text: the transcript.
        spans: place of each character, in frames of the network's output.
        probability: of the text, given the input, in 0..1.
    """

    text: str
    spans: list[Span]
    probability: float


class RecognitionPredictor(Predictor):
    """Base of the predictors of recognisers. Arguments and errors: see `Predictor`.

    Without `beam`, `lm` or `words` the most probable path is taken: see `decoding.ctc`. Otherwise texts are ranked by
    the score of `decoding.ctc_beam.PrefixSearch`.
    """

    Settings: ClassVar[type[RecognitionSettings]] = RecognitionSettings
    formats: ClassVar[Any] = {"text": lambda row: f"{row['text']}\n"}
    local: ClassVar[Collection[str]] = {*Predictor.local, "lm", "words", "output"}
    task: RecognitionTask

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._searches: dict[Any, PrefixSearch] = {}

    def check(self, inputs: Sequence[Any], options: Any) -> None:
        """Refuse options of a search without one, and read its language model and word list."""
        given = options.model_fields_set
        if "lm_weight" in given and options.lm is None:
            raise ConfigError(f"lm_weight={options.lm_weight:g}: has no effect without lm=")
        search = self.search(options)
        if "length_bonus" in given and search is None:
            raise ConfigError(f"length_bonus={options.length_bonus:g}: has no effect without beam=, lm= or words=")
        if options.output is not None:
            targets: list[tuple[Path | None, Path]] = []
            for one in inputs:
                with suppress(InputError):  # reported when the input is expanded
                    places = (
                        [place for place, _ in self.expand(str(one), options)] if isinstance(one, str | Path) else []
                    )
                    targets += [(Path(place), target(options.output, place)) for place in places]
            check_targets(targets)

    def search(self, options: RecognitionSettings) -> PrefixSearch | None:
        """Return the settings of the search; None for the most probable path.

        Raises:
            ConfigError: the language model or the word list cannot be used.
        """
        key = (options.beam, options.lm, options.lm_weight, options.length_bonus, options.words)
        if not (options.lm or options.words) and options.beam in (None, 1):
            return None
        if key not in self._searches:
            alphabet = self.task.alphabet
            self._searches[key] = PrefixSearch(
                options.beam or BEAM,
                language_model(options.lm, alphabet) if options.lm else None,
                options.lm_weight,
                options.length_bonus,
                word_list(options.words, alphabet) if options.words else None,
                forbidden=(UNKNOWN_ID,),
            )
        return self._searches[key]

    @torch.inference_mode()
    def readings(self, batch: Batch, options: RecognitionSettings) -> list[Reading]:
        """Return what is read in each row of a batch, on any device."""
        batch = {name: tensor.to(self.task.device) for name, tensor in batch.items()}
        found = None
        if self.task.decoder == "attention" and not (options.lm or options.words):
            found = self.task.texts(batch, options.beam or 1)
        log_p, frames = self.task(batch)
        return self.decoded(log_p, frames, options, found)

    @torch.inference_mode()
    def decoded(
        self, log_p: Tensor, frames: Tensor, options: RecognitionSettings, texts: list[list[int]] | None = None
    ) -> list[Reading]:
        """Return what is read in the outputs of the task.

        Args:
            log_p: log-probabilities [B, T, V].
            frames: their lengths [B].
            options: options of the search.
            texts: the ids of each row if they are known already.
        """
        log_p, frames = log_p.cpu(), frames.cpu()
        found = transcribe(log_p, frames, self.search(options)) if texts is None else texts
        target = torch.nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.int64) for row in found], True)
        losses = ctc_loss(log_p, frames, target, torch.tensor(list(map(len, found))))
        readings = []
        for tokens, one, length, loss in zip(found, log_p, frames.tolist(), losses.tolist(), strict=True):
            spans = align(one[:length], tokens)  # None: a text of the attention decoder that CTC cannot write
            probability = 0.0 if spans is None else math.exp(-loss)
            readings.append(Reading(self.task.alphabet.decode(tokens), spans or [], probability))
        return readings

    def cells(self, row: Row) -> dict[str, str]:
        """Return the file name, the text and its probability."""
        return {"file": row["file"], "text": row["text"], "probability": f"{100 * row['probability']:.1f} %"}

    def origin(self, place: str, item: Any) -> Row:
        """Return the file name."""
        return {"file": place}


def language_model(given: str, alphabet: Alphabet) -> LanguageModel:
    """Return the language model of a run, or of the n-grams of a text file, for an alphabet; it runs on the CPU.

    Args:
        given: a checkpoint or a folder with one, or a text file with one text a line.
        alphabet: the characters of the recogniser.

    Raises:
        ConfigError: the model is not one of characters, or the file has no text.
    """
    path = Path(given).expanduser()
    if path.suffix == ".txt":
        lines = [alphabet.encode(line.strip()) for line in read_lines(path, "lm")]
        space = alphabet.encode(" ")[0]
        if not any(token not in (UNKNOWN_ID, space) for line in lines for token in line):
            raise ConfigError(
                f"lm={given}: has no text in the characters of this model: {alphabet.characters.strip()[:40]}"
            )
        step = NGramStep(lines, alphabet.size, ORDER)
        tokens = torch.arange(alphabet.size)
        tokens[:SPECIAL] = -1
        return LanguageModel(step, tokens, start=0)
    try:
        task: Any = load_task(find_checkpoint(given))
    except CheckpointError as error:
        raise ConfigError(f"lm={given}: {error}; name a run, a checkpoint, or a text file (.txt)") from error
    if not isinstance(task.spec, LanguageSpec) or json.loads(task.spec.tokenizer)["model"].get("merges") != []:
        raise ConfigError(f"lm={given}: is not a language model of characters; train one with data.unit=characters")
    ids = [task.tokenizer.encode(label) if label else [] for label in alphabet.labels]
    known = [row[0] if len(row) == 1 and row[0] != UNKNOWN_TOKEN else -1 for row in ids]
    if max(known) < 0:
        raise ConfigError(f"lm={given}: the language model knows none of the characters of this model")
    return LanguageModel(task, torch.tensor(known), start=EOS_ID)


def word_list(given: str, alphabet: Alphabet) -> WordList:
    """Return the words of a file with one word a line; words with unknown characters are left out.

    Raises:
        ConfigError: the file cannot be read, or has no word that this model can write.
    """
    words = [alphabet.encode(line.strip()) for line in read_lines(Path(given).expanduser(), "words")]
    space = alphabet.encode(" ")[0]
    usable = [word for word in words if UNKNOWN_ID not in word and (space == UNKNOWN_ID or space not in word)]
    try:
        return WordList(usable, alphabet.size, None if space == UNKNOWN_ID else space)
    except ValueError as error:
        raise ConfigError(f"words={given}: has no word in the characters of this model") from error


def read_lines(path: Path, option: str) -> list[str]:
    """Return the lines of a text file that are not empty.

    Raises:
        ConfigError: it cannot be read, or has none.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{option}={path}: cannot be read as UTF-8 text ({error})") from error
    if not lines:
        raise ConfigError(f"{option}={path}: has no text")
    return lines


def target(folder: str, place: str) -> Path:
    """Return the path of a picture in a folder, named after its input."""
    return Path(folder).expanduser() / f"{Path(place).stem}.png"
