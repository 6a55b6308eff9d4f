"""Prediction with a model that generates texts: the options of its beam search."""

from typing import Annotated

from pydantic import Field, PositiveInt

from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.core.predictor import Row, Settings
from sightseq.decoding.beam import BeamSearch
from sightseq.tasks.conditional_generation.task import ConditionalGenerationTask
from sightseq.text.tokenizer import UNKNOWN_ID


class SearchSettings(Settings):
    """Options of a beam search."""

    beam: PositiveInt | None = Field(
        None, description="hypotheses of the beam search; 1 is greedy and fastest; null: that of the model"
    )
    n_best: PositiveInt = Field(1, description="texts for each input, the best first; at most beam")
    length_penalty: Annotated[float, Field(ge=0)] | None = Field(
        None, description="exponent of the length in the score; larger prefers longer texts; null: that of the model"
    )
    no_repeat_ngram: Annotated[int, Field(ge=0)] = Field(
        0, description="no sequence of so many tokens occurs twice in a text; 0 allows all"
    )

    def check_search(self, task: ConditionalGenerationTask) -> None:
        """Raise ConfigError if `n_best` exceeds the beam."""
        if self.n_best > (beam := self.beam or task.beam):
            raise ConfigError(f"n_best={self.n_best}: a beam of {beam} has no more; give beam= too")


def generate(task: ConditionalGenerationTask, batch: Batch, options: SearchSettings, name: str) -> list[list[Row]]:
    """Return the best texts of each row of a batch, without unknown words.

    Args:
        task: the task.
        batch: what `task.encode` and `task.longest` read, and `index` [B], on any device.
        options: options of the search.
        name: name of the texts.

    Returns:
        For each row of the batch `n_best` rows, the best first: the text, by its name; its `score` in the beam search
        (see `decoding.beam.BeamSearch`); and `log_probability`.
    """
    batch = {key: tensor.to(task.device) for key, tensor in batch.items()}
    settings = BeamSearch(
        options.beam or task.beam,
        task.longest(batch),
        length_penalty=task.length_penalty if options.length_penalty is None else options.length_penalty,
        no_repeat_ngram=options.no_repeat_ngram,
        forbidden=(UNKNOWN_ID,),
    )
    return [
        [
            {
                name: task.tokenizer.decode(one.tokens).strip(),
                "score": round(one.score, 6),
                "log_probability": round(one.log_probability, 6),
            }
            for one in found[: options.n_best]
        ]
        for found in task.search(batch, settings)
    ]
