"""Using a trained language model: it goes on with a text, or says which words may come next."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt
from torch import Tensor

from sightseq.console import console, new_table
from sightseq.core.errors import ConfigError, InputError
from sightseq.core.predictor import on_device
from sightseq.decoding.sampling import READ, Sampling, advance
from sightseq.tasks.language_modeling.task import LanguageModelingTask, State
from sightseq.text.tokenizer import EOS_NUMBER, UNKNOWN_NUMBER, Speller

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

    def check(self) -> None:
        """Refuses an option that does nothing in this mode.

        Raises:
            ConfigError: one was given.
        """
        used = {"mode", "top"} if self.mode == "next_word" else set(type(self).model_fields) - {"top"}
        for name in sorted(self.model_fields_set - used):
            other = "generate" if self.mode == "next_word" else "next_word"
            raise ConfigError(f"{name}={getattr(self, name)}: does nothing in mode={self.mode}, but in mode={other}")


class LanguageModel:
    """A trained language model. Arguments and errors: see `Model`."""

    Settings: ClassVar[type[LanguageSettings]] = LanguageSettings

    def __init__(self, task: LanguageModelingTask, device: str = "auto") -> None:
        self.task = on_device(task, device)
        self.tokenizer = task.tokenizer

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
        spellers, tails = [Speller(self.tokenizer, begins=not prompt) for _ in range(samples)], [""] * samples
        longest, ended = max(map(len, stop), default=0), [False] * samples
        for numbers in self.task.generate([prompt] * samples, tokens, sampling, seed):
            added = ["" if end else speller.add(n) for end, speller, n in zip(ended, spellers, numbers, strict=True)]
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
        return self.best(self.read(text)[0], top, prefix)

    @torch.inference_mode()
    def read(self, text: str, state: State | None = None) -> tuple[Tensor, State | None]:
        """The probabilities of the next token [vocab_size] after a text, and the state to go on from.

        Args:
            text: at least a word, where there is a state.
            state: what was read before.
        """
        numbers = self.tokenizer.encode(text)
        if state is None:
            numbers = [EOS_NUMBER, *numbers]
        for part in torch.split(torch.tensor([numbers], device=self.task.device), READ, dim=1):
            logits, state = advance(self.task, part, state)
        return logits[0, -1].softmax(dim=0), state

    def best(self, probabilities: Tensor, top: int, prefix: str = "") -> list[tuple[str, float]]:
        """The most probable words that begin with the prefix."""
        if not (keyboard := self.task.keyboard):
            raise ConfigError(
                "mode=next_word: this model knows parts of words; it wants one trained with data.unit=words"
            )
        found = []
        for number in probabilities.argsort(descending=True).tolist():
            word = keyboard.words[number]
            if number not in (EOS_NUMBER, UNKNOWN_NUMBER) and word.startswith(prefix):
                found.append((word, round(float(probabilities[number]), 6)))
                if len(found) == top:
                    break
        return found


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the first of these strings."""
    return text[: min((text.index(word) for word in stop if word in text), default=len(text))]


def predict_language(model: LanguageModel, prompts: Sequence[str], format: str, options: LanguageSettings) -> int:
    """Continues each prompt, or lists its most probable next words; the exit status is 2 if any cannot be read.

    Args:
        model: the model.
        prompts: each is continued by itself.
        format: "table": the texts themselves, printed token by token; or "jsonl": an object a line.
        options: of the model.

    Raises:
        ConfigError: an option does nothing in this mode.
    """
    options.check()
    bad: list[InputError] = []
    for prompt in prompts:
        try:
            _warn(model, prompt)
            if options.mode == "next_word":
                _print_next_words(model, prompt, format, options.top, named=len(prompts) > 1)
            else:
                _print_texts(model, prompt, format, options, apart=len(prompts) > 1)
        except InputError as error:
            bad.append(error)
    for complaint in bad:
        print(f"InputError: {complaint}", file=sys.stderr)
    return 2 if bad else 0


def _print_texts(model: LanguageModel, prompt: str, format: str, options: LanguageSettings, apart: bool) -> None:
    """Prints the samples of one prompt, an empty line after each if there are several or they are to stand apart."""
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.repetition_penalty)
    texts = [""] * options.samples
    live = format == "table" and not options.stop  # the first is printed while all are written
    if live:
        print(prompt, end="", flush=True)
    for added in model.stream(prompt, options.tokens, options.samples, sampling, options.stop, options.seed):
        texts = [text + new for text, new in zip(texts, added, strict=True)]
        if live:
            print(printable(added[0]), end="", flush=True)
    if live:
        print("\n" if options.samples > 1 or apart else "")
    for text in texts[live:]:
        if format == "jsonl":
            print(json.dumps({"prompt": prompt, "text": cut(text, options.stop)}, ensure_ascii=False), flush=True)
        else:
            print(f"{prompt}{printable(cut(text, options.stop))}\n")


def _warn(model: LanguageModel, text: str) -> None:
    """Names the words that the model does not know; refuses what is no text before anything of it is printed."""
    if unknown := dict.fromkeys(model.tokenizer.unknown(text)):
        print(f"Warning: the model does not know: {printable(', '.join(unknown))}", file=sys.stderr)


def _print_next_words(model: LanguageModel, prompt: str, format: str, top: int, named: bool) -> None:
    """Prints the next words of one prompt, below the prompt itself if it is to be named."""
    words = model.next_words(prompt, top)
    if format == "jsonl":
        print(json.dumps({"text": prompt, "next": words}, ensure_ascii=False), flush=True)
        return
    if named:
        print(f"\n{printable(prompt)} ...")
    table = new_table("next word", right=["probability"])
    for word, probability in words:
        table.add_row(word, f"{100 * probability:.1f} %")
    console().print(table)


def printable(text: str) -> str:
    """Without what would control the terminal; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
