"""The options of prediction with a language model."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt

from sightseq.decoding.beam import BeamSearch
from sightseq.decoding.sampling import Sampling
from sightseq.text.tokenizer import EOS_ID, UNKNOWN_ID

DRAWN = {"temperature", "top_k", "top_p", "repetition_penalty", "seed"}  # options of sampling alone


class LanguageSettings(BaseModel):
    """Options of `sightseq predict` for a language model."""

    mode: Literal["generate", "next_word"] = Field(
        "generate", description="generate: continue the text; next_word: list the most probable next words"
    )
    tokens: PositiveInt = Field(50, description="number of tokens to generate")
    samples: PositiveInt = Field(1, description="number of texts for each prompt")
    beam: PositiveInt | None = Field(
        None, description="search for the most probable texts with this number of hypotheses, instead of sampling"
    )
    no_repeat_ngram: NonNegativeInt = Field(
        0, description="with beam: no sequence of this number of tokens occurs twice in a text; 0: all may"
    )
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1.0, description="0: always the most probable token"
    )
    top_k: PositiveInt | None = Field(None, description="sample from the k most probable tokens only")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="sample from the most probable tokens with this total probability"
    )
    repetition_penalty: PositiveFloat = Field(
        1.0, description="above 1: tokens that already occur become less probable"
    )
    stop: list[Annotated[str, Field(min_length=1)]] = Field(
        [], description="end a text before the first of these strings: [a,b]"
    )
    seed: int = Field(1, description="seed of the random numbers")
    top: PositiveInt = Field(3, description="number of words to list with mode=next_word")

    @property
    def sampling(self) -> Sampling:
        """The sampling settings."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.repetition_penalty)

    @property
    def search(self) -> BeamSearch | None:
        """The settings of the beam search; None for sampling."""
        if not self.beam:
            return None
        return BeamSearch(
            self.beam, self.tokens, no_repeat_ngram=self.no_repeat_ngram, forbidden=(UNKNOWN_ID,), eos=EOS_ID
        )
