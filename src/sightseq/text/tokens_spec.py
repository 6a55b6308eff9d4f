"""How texts become token ids: a part of the specs of tasks that generate texts."""

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tokens:
    """How the texts of one language become token ids.

    Attributes:
        tokenizer: the tokenizer as JSON: see `text.tokenizer`.
        vocab_size: number of token ids; 0 ends a text (and starts the decoder), 1 is an unknown token.
        language: code of the language, such as "en".
        max_tokens: longest training text, including its EOS.
    """

    tokenizer: str = field(repr=False)
    vocab_size: int
    language: str
    max_tokens: int = 100

    @property
    def lowercase(self) -> bool:
        """Whether texts are converted to lower case, so that outputs are scored without regard to case."""
        return json.loads(self.tokenizer)["normalizer"] is not None if self.tokenizer else False
