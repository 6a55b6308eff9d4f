"""Using a trained language model: it goes on with a text, or says which words may come next."""

import json
import sys
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sightseq.console import console, new_table
from sightseq.core.errors import ConfigError
from sightseq.core.rundir import Config
from sightseq.decoding.sampling import READ, Sampling, advance
from sightseq.predict.model import on_device
from sightseq.tasks.language_modeling import LanguageModelingTask, State
from sightseq.text.tokenizer import EOS_NUMBER, UNKNOWN_NUMBER, Speller

DEFAULT = Sampling()


class LanguageModel:
    """A trained language model. Arguments and errors: see `Model`."""

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


def predict_language(model: LanguageModel, config: Config) -> int:
    """Goes on with the input, or says which words may come next; prints it as it comes."""
    if config["mode"] == "next_word":
        _print_next_words(model, config)
        return 0
    sampling = Sampling(config["temperature"], config["top_k"], config["top_p"], config["repetition_penalty"])
    prompt, stop, samples = config["input"], config["stop"], config["samples"]
    _warn(model, prompt)
    texts = [""] * samples
    live = config["format"] == "table" and not stop  # the first is printed while all are written
    if live:
        print(prompt, end="", flush=True)
    for added in model.stream(prompt, config["tokens"], samples, sampling, stop, config["seed"]):
        texts = [text + new for text, new in zip(texts, added, strict=True)]
        if live:
            print(printable(added[0]), end="", flush=True)
    if live:
        print("\n" if samples > 1 else "")
    for text in texts[live:]:
        if config["format"] == "jsonl":
            print(json.dumps({"prompt": prompt, "text": cut(text, stop)}, ensure_ascii=False))
        else:
            print(f"{prompt}{printable(cut(text, stop))}\n")
    return 0


def _warn(model: LanguageModel, text: str) -> None:
    """Names the words that the model does not know; refuses what is no text before anything of it is printed."""
    if unknown := dict.fromkeys(model.tokenizer.unknown(text)):
        print(f"Warning: the model does not know: {printable(', '.join(unknown))}", file=sys.stderr)


def _print_next_words(model: LanguageModel, config: Config) -> None:
    _warn(model, config["input"])
    words = model.next_words(config["input"], config["top"])
    if config["format"] == "jsonl":
        print(json.dumps({"text": config["input"], "next": words}, ensure_ascii=False))
        return
    table = new_table("next word", right=["probability"])
    for word, probability in words:
        table.add_row(word, f"{100 * probability:.1f} %")
    console().print(table)


def printable(text: str) -> str:
    """Without what would control the terminal; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
