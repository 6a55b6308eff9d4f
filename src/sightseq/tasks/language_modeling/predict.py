"""Prediction with a trained language model: continue a text, or list the most probable next words."""

import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sightseq.core.blocks import Block, TableBlock, TextBlock
from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.core.page import Widget
from sightseq.core.predictor import Predictor, Row
from sightseq.decoding.beam import BeamSearch, beam_search
from sightseq.decoding.sampling import READ, Sampling
from sightseq.decoding.step import run_step
from sightseq.tasks.language_modeling.settings import DRAWN, LanguageSettings
from sightseq.tasks.language_modeling.task import LanguageModelingTask, State
from sightseq.text.tokenizer import EOS_ID, UNKNOWN_ID, StreamDecoder

DEFAULT = Sampling()
SUGGESTED = 3  # words


class LanguagePredictor(Predictor):
    """A trained language model. Arguments and errors: see `Predictor`.

    With mode=generate a prompt has one row per sample: `prompt` and `text`, the continuation; with a beam, best first,
    also its `log_probability` in nats, and its `score`, by which texts are ranked: the mean per token. With
    mode=next_word it has one row: `text`, the prompt, and `next`, the most probable words with their probabilities.
    """

    Settings: ClassVar[type[LanguageSettings]] = LanguageSettings
    json_input: ClassVar[Any] = str
    reads_files: ClassVar[bool] = False
    widget: ClassVar[Widget | None] = Widget("text", "the beginning of a text")
    task: LanguageModelingTask

    def check(self, inputs: Sequence[str], options: LanguageSettings) -> None:
        """Raise ConfigError for options of the other mode, or that do not fit the beam."""
        mode, other = options.mode, "generate" if options.mode == "next_word" else "next_word"
        used = {"mode", "top"} if mode == "next_word" else set(self.Settings.model_fields) - {"top"}
        for name in sorted(options.model_fields_set - used):
            raise ConfigError(f"{name}={getattr(options, name)}: has no effect with mode={mode}; it needs mode={other}")
        beam = options.beam
        for name in sorted(options.model_fields_set & (DRAWN if beam else {"no_repeat_ngram"})):
            given = f"beam={beam}, which does not sample" if beam else "sampling; it needs beam=5, for example"
            raise ConfigError(f"{name}={getattr(options, name)}: has no effect with {given}")
        if beam and options.samples > beam:
            raise ConfigError(f"samples={options.samples}: beam={beam} finds at most {beam} texts")

    def expand(self, given: str, options: LanguageSettings) -> list[tuple[str, str]]:
        """Return the prompt itself."""
        return [("", given)]

    def read(self, raw: str) -> str:
        """Return the prompt.

        Raises:
            InputError: the prompt is not valid Unicode.

        Warns:
            InputWarning: the prompt has unknown words.
        """
        if unknown := dict.fromkeys(self.task.tokenizer.unknown(raw)):
            warnings.warn(InputWarning(f"the model does not know: {', '.join(unknown)}"), stacklevel=2)
        return raw

    def predict_items(self, items: Sequence[str], options: LanguageSettings) -> list[Row | list[Row]]:
        """Return the samples, or the next words, of each prompt."""
        if options.mode == "next_word":
            return [{"text": prompt, "next": self.next_words(prompt, options.top)} for prompt in items]
        predictions: list[Row | list[Row]] = []
        for prompt in items:
            if options.search:
                found = self.search(prompt, options.search, options.stop)[: options.samples]
                predictions.append([{"prompt": prompt, **row} for row in found])
                continue
            texts = self.generate(prompt, options.tokens, options.samples, options.sampling, options.stop, options.seed)
            predictions.append([{"prompt": prompt, "text": text} for text in texts])
        return predictions

    def origin(self, place: str, item: str) -> Row:
        """Return nothing, because the rows already have the prompt."""
        return {}

    def live(self, inputs: Sequence[str], options: LanguageSettings, bad: list[InputError]) -> Iterator[str]:
        """Yield the texts, the first of each prompt token by token; or a table of next words for each prompt."""
        several = len(inputs) > 1
        for prompts in self.items(inputs, options, bad, bar=False):
            for _, prompt in prompts:
                if options.mode == "next_word":
                    yield from self._words(prompt, options, named=several)
                else:
                    yield from self._texts(prompt, options, apart=several)

    def shown(self, item: str, rows: Sequence[Row]) -> list[Block]:
        """Return each text, or the table of next words."""
        if "next" in rows[0]:
            return [TableBlock("Next word", ["word", "probability"], rows[0]["next"], percent=["probability"])]
        return [TextBlock("Text", row["prompt"] + row["text"]) for row in rows]

    def suggest(self, text: str) -> list[tuple[str, str]]:
        """Return the most probable words that continue the text, or complete its last word."""
        if not self.task.keyboard:
            return []
        prefix = "" if text[-1:].isspace() else re.split(r"\s", text)[-1]
        before = text[: len(text) - len(prefix)]
        return [(word, f"{before}{word} ") for word, _ in self.next_words(before, SUGGESTED, prefix)]

    def _texts(self, prompt: str, options: LanguageSettings, apart: bool) -> Iterator[str]:
        """Yield the samples of one prompt, with an empty line after each if there are several or `apart` is true."""
        if options.search:
            found = self.search(prompt, options.search, options.stop)[: options.samples]
            for row in found:
                yield f"{prompt}{row['text']}\n" + "\n" * (options.samples > 1 or apart)
            return
        texts = [""] * options.samples
        live = not options.stop  # the first text is printed while all are generated
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
            yield f"{prompt}{truncate_at_stop(text, options.stop)}\n\n"

    def _words(self, prompt: str, options: LanguageSettings, named: bool) -> Iterator[str]:
        """Yield the next words of one prompt, below the prompt itself if `named` is true."""
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
        """Continue a text.

        Args:
            prompt: the text to continue; may be empty.
            tokens: number of tokens to generate.
            samples: number of texts, generated in one batch.
            sampling: how each token is chosen.
            stop: a text ends before the first of these strings.
            seed: of the random numbers.

        Returns:
            The continuation of each sample, without the prompt.

        Raises:
            InputError: the prompt is not valid Unicode.
        """
        texts = [""] * samples
        for added in self.stream(prompt, tokens, samples, sampling, stop, seed):
            texts = [text + new for text, new in zip(texts, added, strict=True)]
        return [truncate_at_stop(text, stop) for text in texts]

    def stream(
        self, prompt: str, tokens: int, samples: int, sampling: Sampling, stop: Sequence[str] = (), seed: int = 0
    ) -> Iterator[list[str]]:
        """Generate as `generate` does, but yield the text that each token adds to each sample; "" once it has ended."""
        streams, tails = [StreamDecoder(self.task.tokenizer, begins=not prompt) for _ in range(samples)], [""] * samples
        longest, ended = max(map(len, stop), default=0), [False] * samples
        for token_ids in self.task.generate([prompt] * samples, tokens, sampling, seed):
            added = ["" if end else stream.add(n) for end, stream, n in zip(ended, streams, token_ids, strict=True)]
            tails = [(tail + new)[-longest - len(new) :] for tail, new in zip(tails, added, strict=True)]
            ended = [end or any(word in tail for word in stop) for end, tail in zip(ended, tails, strict=True)]
            yield added
            if all(ended):
                return

    def search(self, prompt: str, settings: BeamSearch, stop: Sequence[str] = ()) -> list[Row]:
        """Search for the most probable continuations of a text.

        Args:
            prompt: the text to continue; may be empty.
            settings: see `BeamSearch`. A text ends with its document, or with `max_length` tokens.
            stop: a text is cut before the first of these strings; its score stays that of the whole.

        Returns:
            Rows with `text`, `log_probability` and `score`, the best first.

        Raises:
            InputError: the prompt is not valid Unicode.
        """
        *before, last = [EOS_ID, *self.task.tokenizer.encode(prompt)]
        _, state = self._read(before, None)
        start = torch.tensor([last], device=self.task.device)
        (found,) = beam_search(self.task, state, None, 1, settings, start=start)
        rows = []
        for hypothesis in found:
            stream = StreamDecoder(self.task.tokenizer, begins=not prompt)
            text = truncate_at_stop("".join(map(stream.add, hypothesis.tokens)), stop)
            numbers = {"log_probability": hypothesis.log_probability, "score": hypothesis.score}
            rows.append({"text": text, **{name: round(number, 6) for name, number in numbers.items()}})
        return rows

    def next_words(self, text: str, top: int = 3, prefix: str = "") -> list[tuple[str, float]]:
        """Return the most probable next words with their probabilities.

        Args:
            text: the text before the word.
            top: number of words.
            prefix: the letters of the word that are already typed.

        Raises:
            ConfigError: the tokens of the model are not words.
            InputError: the text is not valid Unicode.
        """
        return self.best(self.probabilities(text)[0], top, prefix)

    @torch.inference_mode()
    def probabilities(self, text: str, state: State | None = None) -> tuple[Tensor, State | None]:
        """Return the probabilities of the next token [vocab_size] after a text, and the state after the text.

        Args:
            text: at least one word if a state is given.
            state: the state after the text before; None at the start of a document.
        """
        token_ids = self.task.tokenizer.encode(text)
        if state is None:
            token_ids = [EOS_ID, *token_ids]
        logits, state = self._read(token_ids, state)
        return logits.softmax(dim=0), state

    @torch.inference_mode()
    def _read(self, token_ids: Sequence[int], state: State | None) -> tuple[Tensor, State | None]:
        """Return the logits of the next token [vocab_size] (empty without tokens), and the state after the tokens."""
        logits = torch.zeros(1, 1, 0, device=self.task.device)
        tokens = torch.tensor([token_ids], dtype=torch.long, device=self.task.device)
        for part in torch.split(tokens, READ, dim=1) if token_ids else ():
            logits, state = run_step(self.task, part, state)
        return logits[0, -1], state

    def best(self, probabilities: Tensor, top: int, prefix: str = "") -> list[tuple[str, float]]:
        """Return the most probable words that begin with the prefix."""
        if not (keyboard := self.task.keyboard):
            raise ConfigError(
                "mode=next_word: the tokens of this model are not words; use a model trained with data.unit=words"
            )
        words = []
        for token_id in probabilities.argsort(descending=True).tolist():
            word = keyboard.words[token_id]
            if token_id not in (EOS_ID, UNKNOWN_ID) and word.startswith(prefix):
                words.append((word, round(float(probabilities[token_id]), 6)))
                if len(words) == top:
                    break
        return words


def truncate_at_stop(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first of these strings."""
    return text[: min((text.index(word) for word in stop if word in text), default=len(text))]
