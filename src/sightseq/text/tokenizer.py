"""Text to token ids and back, by Hugging Face's `tokenizers`."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Encoder

from sightseq.core.errors import CheckpointError, ConfigError, InputError

Unit = Literal["words", "whitespace", "subwords", "characters"]
EOS, UNKNOWN = "<eos>", "<unk>"
SPECIAL = [EOS, UNKNOWN]  # recognised in a text only as whole tokens of unit=whitespace
EOS_ID, UNKNOWN_ID = 0, 1
BYTES = 256
LONGEST_CHARACTER = 4  # bytes of a character in UTF-8
CLOSING = set(".,;:!?)]}")  # punctuation without a space before it
NORMALIZER = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
WORD = r"\w+(?:['\u2019]\w+)*|[^\w\s]"  # "don't" is one word; so is each punctuation mark
# As GPT-2 splits a text (Radford et al., 2019), but a combining mark (a vowel sign of Hindi) is part of its word.
SUBWORD = r"'(?:s|t|re|ve|m|ll|d)| ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"

PRE_TOKENIZERS: dict[Unit, Any] = {
    "words": pre_tokenizers.Split(Regex(WORD), "removed", invert=True),
    "whitespace": pre_tokenizers.WhitespaceSplit(),
    "subwords": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SUBWORD), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ),
    "characters": pre_tokenizers.Split(Regex("(?m)."), "isolated"),  # (?m): line breaks too
}
OLD_SUBWORDS = pre_tokenizers.ByteLevel(add_prefix_space=False)  # in checkpoints of older versions

DECODERS: dict[Unit, Any] = {
    "subwords": decoders.ByteLevel(),
    "characters": decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()]),
}


class Tokenizer:
    """A fitted tokenizer, fully described by its JSON.

    Token id 0 ends a document and is padding; token id 1 is an unknown word.

    Args:
        description: its JSON, such as the attribute `json` of another.

    Raises:
        CheckpointError: the JSON cannot come from `fit`. Such a tokenizer could hang, crash or exhaust memory.
    """

    def __init__(self, description: str) -> None:
        _check(description)
        self.json = description
        try:
            self._encoder: Encoder = Encoder.from_str(description)
        except Exception as error:  # the only type that `tokenizers` raises
            raise CheckpointError(f"the tokenizer cannot be read: {error}") from error
        self.vocab_size: int = self._encoder.get_vocab_size()
        self.words = isinstance(self._encoder.model, models.WordLevel)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text; an empty text has none.

        Raises:
            InputError: the text is not valid Unicode (it contains a lone surrogate).
        """
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Like `encode`, for many texts on all cores."""
        try:
            return [encoded.ids for encoded in self._encoder.encode_batch_fast(list(texts), add_special_tokens=False)]
        except TypeError as error:  # raised for a lone surrogate
            raise InputError("a text is not valid Unicode (UTF-8)") from error

    def unknown(self, text: str) -> list[str]:
        """Return the unknown words of a text, in their order.

        Raises:
            InputError: see `encode`.
        """
        self.encode(text)
        encoded = self._encoder.encode(text, add_special_tokens=False)
        pairs = zip(encoded.ids, encoded.offsets, strict=True)
        return [text[start:end] for token_id, (start, end) in pairs if token_id == UNKNOWN_ID]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of these tokens: exact for subwords and characters; words are joined by one space."""
        text: str = self._encoder.decode(list(token_ids), skip_special_tokens=False)
        return text

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Return the text of each token alone; each token that is only a part of a character is U+FFFD."""
        space = " " if self.words else ""
        return [self.decode([token_id]) + space for token_id in token_ids]

    def characters(self) -> list[int]:
        """Return how many characters each token stands for.

        A word includes the space or line end after it. The end of a document counts 0. Of a character whose bytes are
        spread over several tokens, the token with its first byte counts 1.
        """
        tokens = [str(self._encoder.id_to_token(token_id)) for token_id in range(self.vocab_size)]
        if self.words:
            counts = [len(token) + 1 for token in tokens]
        elif isinstance(self._encoder.decoder, decoders.ByteLevel):
            # Each symbol of a token stands for a byte; bytes from 0x80 to 0xBF continue a character.
            inner = {symbol for byte, symbol in _byte_symbols().items() if 0x80 <= byte < 0xC0}
            counts = [sum(symbol not in inner for symbol in token) for token in tokens]
        else:
            inner = {f"<0x{byte:02X}>" for byte in range(0x80, 0xC0)}
            counts = [int(token not in inner) for token in tokens]
        counts[EOS_ID] = 0
        return counts


class StreamDecoder:
    """Incremental decoder: returns the text of a stream of tokens, token by token.

    A space precedes a word. A character is returned with its last byte. The end of a document is a line end.

    Args:
        tokenizer: the tokenizer of the tokens.
        begins: the first word starts the text, so no space precedes it.
    """

    def __init__(self, tokenizer: Tokenizer, begins: bool = True) -> None:
        self.tokenizer, self._begins = tokenizer, begins
        self._pending: list[int] = []

    def add(self, token_id: int) -> str:
        """Return the text that this token adds."""
        if token_id == EOS_ID:
            self._pending.clear()
            self._begins = True
            return "\n"
        if self.tokenizer.words:
            word = self.tokenizer.decode([token_id])
            space = "" if word in CLOSING or self._begins else " "
            self._begins = False
            return space + word
        self._pending.append(token_id)
        text = self.tokenizer.decode(self._pending)
        if text.endswith("\ufffd") and len(self._pending) < LONGEST_CHARACTER:
            return ""
        self._pending.clear()
        return text


def _byte_symbols() -> dict[int, str]:
    """Symbol of each byte in byte-level subwords (GPT-2: Radford et al., 2019).

    A byte that is a printable character of Latin-1 is that character; the others are, in order, U+0100, U+0101, ...
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(0x100 + place) for place, byte in enumerate(others)}


def fit(
    texts: Iterable[str], unit: Unit, vocab_size: int, lowercase: bool = False, min_frequency: int = 1
) -> Tokenizer:
    """Fit a tokenizer whose vocabulary is the most frequent units of these texts.

    Args:
        texts: texts of the training split only.
        unit: "words": words and punctuation marks; unknown ones become `<unk>`. "whitespace": the strings between
            spaces, for texts that are already tokenised. "subwords": byte pairs merged by frequency (Sennrich et al.,
            2016, arXiv 1508.07909), which can encode any text. "characters": a rare one is encoded as its bytes.
        vocab_size: largest number of units, including the two special ones.
        lowercase: convert texts to lower case; decoding does not restore the capitals.
        min_frequency: words that occur less often become `<unk>`.

    Raises:
        ConfigError: `vocab_size` is too small for the special units and, for subwords and characters, the 256 bytes.
    """
    least = len(SPECIAL) + (1 if unit in ("words", "whitespace") else BYTES)
    if vocab_size < least:
        raise ConfigError(f"data.vocab_size={vocab_size}: {unit} need at least {least}")
    if unit == "characters":
        return _characters(texts, vocab_size, lowercase)
    model: models.Model
    trainer: trainers.Trainer
    if unit == "subwords":
        model, alphabet = models.BPE(), pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
        )
    else:
        model = models.WordLevel(unk_token=UNKNOWN)
        trainer = trainers.WordLevelTrainer(
            vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=SPECIAL, show_progress=False
        )
    encoder = _assemble(model, unit, lowercase)
    encoder.train_from_iterator(texts, trainer)
    if isinstance(encoder.model, models.WordLevel):
        # If the texts themselves contain "<unk>", as the Penn Treebank does, training has changed its id.
        ids = encoder.get_vocab()
        words = sorted(set(ids) - set(SPECIAL), key=lambda word: ids[word])
        vocabulary = {word: token_id for token_id, word in enumerate([*SPECIAL, *words])}
        encoder.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    return _plain(encoder)


def of_words(words: Sequence[str]) -> Tokenizer:
    """Return the tokenizer whose units are these words, separated by spaces; their token ids start at 2.

    Args:
        words: different words without spaces.
    """
    vocabulary = {word: token_id for token_id, word in enumerate([*SPECIAL, *words])}
    return _plain(_assemble(models.WordLevel(vocabulary, unk_token=UNKNOWN), "whitespace", lowercase=False))


def _characters(texts: Iterable[str], vocab_size: int, lowercase: bool) -> Tokenizer:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(NORMALIZER.normalize_str(text) if lowercase else text)
    most = vocab_size - len(SPECIAL) - BYTES
    frequent = sorted(counts, key=lambda character: (-counts[character], character))[:most]
    units = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(BYTES)), *sorted(frequent)]
    vocabulary = {unit: token_id for token_id, unit in enumerate(units)}
    return _plain(_assemble(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True), "characters", lowercase))


def _assemble(model: models.Model, unit: Unit, lowercase: bool) -> Encoder:
    encoder = Encoder(model)
    encoder.pre_tokenizer = PRE_TOKENIZERS[unit]
    if unit in DECODERS:
        encoder.decoder = DECODERS[unit]
    if lowercase:
        encoder.normalizer = NORMALIZER
    return encoder


def _plain(encoder: Encoder) -> Tokenizer:
    """Remove `added_tokens`: they would match "<eos>" anywhere in the raw text of a user."""
    description = json.loads(encoder.to_str())
    description["added_tokens"] = []
    return Tokenizer(json.dumps(description, ensure_ascii=False))


def _check(description: str) -> None:
    """Raise CheckpointError for a description that cannot come from `fit`: see `Tokenizer`."""

    def parts(*components: Any) -> list[Any]:
        return [None, *(json.loads(component.__getstate__()) for component in components)]

    known: dict[str, list[Any]] = {
        "truncation": [None],
        "padding": [None],
        "added_tokens": [[]],
        "normalizer": parts(NORMALIZER),
        "pre_tokenizer": parts(*PRE_TOKENIZERS.values(), OLD_SUBWORDS)[1:],
        "post_processor": [None],
        "decoder": parts(*DECODERS.values()),
    }
    try:
        fields = json.loads(description)
        model = fields["model"]
        ids = sorted(model["vocab"].values())
        valid = set(fields) == {*known, "version", "model"}
        valid &= all(fields[key] in values for key, values in known.items())
        valid &= model["type"] in ("WordLevel", "BPE") and ids == list(range(len(ids))) and len(ids) > 1
        valid &= all(model["vocab"].get(word) == token_id for token_id, word in enumerate(SPECIAL))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        valid = False
    if not valid:
        raise CheckpointError("the tokenizer was not fitted by sightseq")
