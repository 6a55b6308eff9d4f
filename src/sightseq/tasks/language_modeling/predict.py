"""Using a trained language model: continuing a text, or listing the most probable next words."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt
from torch import Tensor

from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.core.predictor import Predictor, Row
from sightseq.decoding.sampling import READ, Sampling, advance
from sightseq.tasks.language_modeling.task import LanguageModelingTask, State
from sightseq.text.tokenizer import EOS_ID, UNKNOWN_ID, StreamDecoder

DEFAULT = Sampling()


class LanguageSettings(BaseModel):
    """The options of a language model."""

    mode: Literal["generate", "next_word"] = Field("generate", description="or next_word: the most probable words")
    tokens: PositiveInt = Field(50, description="how many to write")
    samples: PositiveInt = Field(1, description="how many texts of each prompt")
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1.0, description="0: always the most probable token"
    )
    top_k: PositiveInt | None = Field(None, description="choose among so many tokens")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="choose among those that together have this probability"
    )
    repetition_penalty: PositiveFloat = Field(1.0, description="above 1: what stands there already is less probable")
    stop: list[Annotated[str, Field(min_length=1)]] = Field([], description="a text ends before one of these: [a,b]")
    seed: int = Field(1, description="of the random numbers")
    top: PositiveInt = Field(3, description="of mode=next_word: how many words")

    @property
    def sampling(self) -> Sampling:
        """How each token is chosen."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.repetition_penalty)


class LanguagePredictor(Predictor):
    """A trained language model. Arguments and errors: see `Predictor`.

    The rows of a prompt are `prompt` and `text`, what is added to it, for each sample; or, with mode=next_word, one row
    of `text`, the prompt, and `next`, the most probable words with their probabilities.
    """

    Settings: ClassVar[type[LanguageSettings]] = LanguageSettings
    task: LanguageModelingTask

    def check(self, inputs: Sequence[str], options: LanguageSettings) -> None:
        """Refuses options of the other mode."""
        mode, other = options.mode, "generate" if options.mode == "next_word" else "next_word"
        used = {"mode", "top"} if mode == "next_word" else set(self.Settings.model_fields) - {"top"}
        for name in sorted(options.model_fields_set - used):
            raise ConfigError(f"{name}={getattr(options, name)}: does nothing in mode={mode}, but in mode={other}")

    def expand(self, given: str, options: LanguageSettings) -> list[tuple[str, str]]:
        """The prompt itself."""
        return [("", given)]

    def read(self, raw: str) -> str:
        """The prompt.

        Raises:
            InputError: it is not valid Unicode.

        Warns:
            InputWarning: it has unknown words.
        """
        if unknown := dict.fromkeys(self.task.tokenizer.unknown(raw)):
            warnings.warn(InputWarning(f"the model does not know: {', '.join(unknown)}"), stacklevel=2)
        return raw

    def predict_items(self, items: Sequence[str], options: LanguageSettings) -> list[Row | list[Row]]:
        """The samples, or the next words, of each prompt."""
        if options.mode == "next_word":
            return [{"text": prompt, "next": self.next_words(prompt, options.top)} for prompt in items]
        found: list[Row | list[Row]] = []
        for prompt in items:
            texts = self.generate(prompt, options.tokens, options.samples, options.sampling, options.stop, options.seed)
            found.append([{"prompt": prompt, "text": text} for text in texts])
        return found

    def origin(self, place: str, item: str) -> Row:
        """Nothing: the rows have the prompt."""
        return {}

    def live(self, inputs: Sequence[str], options: LanguageSettings, bad: list[InputError]) -> Iterator[str]:
        """The texts, the first of each prompt token by token; or a table of words for each prompt."""
        several = len(inputs) > 1
        for prompts in self.items(inputs, options, bad, bar=False):
            for _, prompt in prompts:
                if options.mode == "next_word":
                    yield from self._words(prompt, options, named=several)
                else:
                    yield from self._texts(prompt, options, apart=several)

    def _texts(self, prompt: str, options: LanguageSettings, apart: bool) -> Iterator[str]:
        """The samples of one prompt, an empty line after each if there are several or they are to stand apart."""
        texts = [""] * options.samples
        live = not options.stop  # the first is printed while all are written
        if live:
            yield prompt
        stream = self.stream(prompt, options.tokens, options.samples, options.sampling, options.stop, options.seed)
        for added in stream:
            texts = [text + new for text, new in zip(texts, added, strict=True)]
            if live:
                yield added[0]
        if live:
            yield "\n\n" if options.samples > 1 or apart else "\n"
        for text in texts[live:]:
            yield f"{prompt}{cut(text, options.stop)}\n\n"

    def _words(self, prompt: str, options: LanguageSettings, named: bool) -> Iterator[str]:
        """The next words of one prompt, below the prompt itself if it is to be named."""
        if named:
            yield f"\n{prompt} ...\n"
        words = [("next word", "probability")]
        words += [(word, f"{100 * p:.1f} %") for word, p in self.next_words(prompt, options.top)]
        widths = [max(map(len, column)) for column in zip(*words, strict=True)]
        for word, probability in words:
            yield f"{word:<{widths[0]}}   {probability:>{widths[1]}}\n"

    def generate(
        self,
        prompt: str,
        tokens: int = 50,
        samples: int = 1,
        sampling: Sampling = DEFAULT,
        stop: Sequence[str] = (),
        seed: int = 0,
    ) -> list[str]:
        """Goes on with a text.

        Args:
            prompt: what stands before; may be empty.
            tokens: how many to write.
            samples: how many texts, all at once.
            sampling: how each token is chosen.
            stop: a text ends before the first of these.
            seed: of the random numbers.

        Returns:
            What each sample adds to the prompt.

        Raises:
            InputError: the prompt is not valid Unicode.
        """
        texts = [""] * samples
        for added in self.stream(prompt, tokens, samples, sampling, stop, seed):
            texts = [text + new for text, new in zip(texts, added, strict=True)]
        return [cut(text, stop) for text in texts]

    def stream(
        self, prompt: str, tokens: int, samples: int, sampling: Sampling, stop: Sequence[str] = (), seed: int = 0
    ) -> Iterator[list[str]]:
        """As `generate`, one token after another: what each adds to its text; nothing to one that has ended."""
        streams, tails = [StreamDecoder(self.task.tokenizer, begins=not prompt) for _ in range(samples)], [""] * samples
        longest, ended = max(map(len, stop), default=0), [False] * samples
        for token_ids in self.task.generate([prompt] * samples, tokens, sampling, seed):
            added = ["" if end else stream.add(n) for end, stream, n in zip(ended, streams, token_ids, strict=True)]
            tails = [(tail + new)[-longest - len(new) :] for tail, new in zip(tails, added, strict=True)]
            ended = [end or any(word in tail for word in stop) for end, tail in zip(ended, tails, strict=True)]
            yield added
            if all(ended):
                return

    def next_words(self, text: str, top: int = 3, prefix: str = "") -> list[tuple[str, float]]:
        """The most probable next words with their probabilities.

        Args:
            text: what stands before.
            top: how many words.
            prefix: what is typed of the word already.

        Raises:
            ConfigError: the model does not know words, but parts of them.
            InputError: the text is not valid Unicode.
        """
        return self.best(self.probabilities(text)[0], top, prefix)

    @torch.inference_mode()
    def probabilities(self, text: str, state: State | None = None) -> tuple[Tensor, State | None]:
        """The probabilities of the next token [vocab_size] after a text, and the state to go on from.

        Args:
            text: at least a word, where there is a state.
            state: what was read before.
        """
        token_ids = self.task.tokenizer.encode(text)
        if state is None:
            token_ids = [EOS_ID, *token_ids]
        for part in torch.split(torch.tensor([token_ids], device=self.task.device), READ, dim=1):
            logits, state = advance(self.task, part, state)
        return logits[0, -1].softmax(dim=0), state

    def best(self, probabilities: Tensor, top: int, prefix: str = "") -> list[tuple[str, float]]:
        """The most probable words that begin with the prefix."""
        if not (keyboard := self.task.keyboard):
            raise ConfigError(
                "mode=next_word: this model knows parts of words; it wants one trained with data.unit=words"
            )
        found = []
        for token_id in probabilities.argsort(descending=True).tolist():
            word = keyboard.words[token_id]
            if token_id not in (EOS_ID, UNKNOWN_ID) and word.startswith(prefix):
                found.append((word, round(float(probabilities[token_id]), 6)))
                if len(found) == top:
                    break
        return found


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the first of these strings."""
    return text[: min((text.index(word) for word in stop if word in text), default=len(text))]
