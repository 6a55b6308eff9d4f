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
SPECIAL = [EOS, UNKNOWN]  # only what stands alone in a text that is split at whitespace is taken for them
EOS_ID, UNKNOWN_ID = 0, 1
BYTES = 256
LONGEST_CHARACTER = 4  # bytes
CLOSING = set(".,;:!?)]}")  # signs that no space stands before
NORMALIZER = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
WORD = r"\w+(?:['\u2019]\w+)*|[^\w\s]"  # "don't" is one word; each sign that is no letter or digit is one too

PRE_TOKENIZERS: dict[Unit, Any] = {
    "words": pre_tokenizers.Split(Regex(WORD), "removed", invert=True),
    "whitespace": pre_tokenizers.WhitespaceSplit(),
    "subwords": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "characters": pre_tokenizers.Split(Regex("(?m)."), "isolated"),  # (?m): line breaks too
}
DECODERS: dict[Unit, Any] = {
    "subwords": decoders.ByteLevel(),
    "characters": decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()]),
}


class Tokenizer:
    """One fitted tokenizer; it is what its JSON says, and nothing else.

    Number 0 ends a document and fills short rows up; number 1 is a word that is not known.

    Args:
        description: its JSON, as `json` gives it.

    Raises:
        CheckpointError: it is none that `fit` gave: others can hang, crash or fill the memory.
    """

    def __init__(self, description: str) -> None:
        _check(description)
        self.json = description
        try:
            self._encoder: Encoder = Encoder.from_str(description)
        except Exception as error:  # its only kind
            raise CheckpointError(f"the tokenizer cannot be read: {error}") from error
        self.vocab_size: int = self._encoder.get_vocab_size()
        self.words = isinstance(self._encoder.model, models.WordLevel)

    def encode(self, text: str) -> list[int]:
        """The token ids of a text; of an empty one, none.

        Raises:
            InputError: the text holds bytes that are no Unicode.
        """
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """As `encode`, of many texts on all cores."""
        try:
            return [found.ids for found in self._encoder.encode_batch_fast(list(texts), add_special_tokens=False)]
        except TypeError as error:  # what half a surrogate pair makes it say
            raise InputError("a text is not valid Unicode (UTF-8)") from error

    def unknown(self, text: str) -> list[str]:
        """The words of a text that are not known, in their order.

        Raises:
            InputError: see `encode`.
        """
        self.encode(text)
        found = self._encoder.encode(text, add_special_tokens=False)
        pairs = zip(found.ids, found.offsets, strict=True)
        return [text[start:end] for token_id, (start, end) in pairs if token_id == UNKNOWN_ID]

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of these tokens: of subwords and characters exactly what was encoded, of words one space apart."""
        text: str = self._encoder.decode(list(token_ids), skip_special_tokens=False)
        return text

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Each token as it reads by itself; of a character in several tokens each reads as U+FFFD."""
        space = " " if self.words else ""
        return [self.decode([token_id]) + space for token_id in token_ids]

    def characters(self) -> list[int]:
        """How many characters each token stands for: of a word also the space or line's end after it, of the end of a
        document none, of some of the bytes of a character one for its first.
        """
        tokens = [str(self._encoder.id_to_token(token_id)) for token_id in range(self.vocab_size)]
        if self.words:
            counts = [len(token) + 1 for token in tokens]
        elif isinstance(self._encoder.decoder, decoders.ByteLevel):
            # Each of its signs stands for a byte; those from 0x80 to 0xBF go on with a character.
            inner = {sign for byte, sign in _signs().items() if 0x80 <= byte < 0xC0}
            counts = [sum(sign not in inner for sign in token) for token in tokens]
        else:
            inner = {f"<0x{byte:02X}>" for byte in range(0x80, 0xC0)}
            counts = [int(token not in inner) for token in tokens]
        counts[EOS_ID] = 0
        return counts


class StreamDecoder:
    """Spells tokens as they come: a word after a space, a character when its last byte is there, an end as a line's.

    Args:
        tokenizer: whose tokens they are.
        begins: nothing stands before, so no space does.
    """

    def __init__(self, tokenizer: Tokenizer, begins: bool = True) -> None:
        self.tokenizer, self._begins = tokenizer, begins
        self._pending: list[int] = []

    def add(self, token_id: int) -> str:
        """What a token adds to the text."""
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


def _signs() -> dict[int, str]:
    """The sign that stands for each byte in byte-level subwords (GPT-2: Radford et al., 2019): itself, if it can be
    seen, or else the next one from U+0100.
    """
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(0x100 + place) for place, byte in enumerate(hidden)}


def fit(
    texts: Iterable[str], unit: Unit, vocab_size: int, lowercase: bool = False, min_frequency: int = 1
) -> Tokenizer:
    """A tokenizer of the most frequent units of these texts.

    Args:
        texts: of the training split alone.
        unit: "words" (and signs), any other of which becomes `<unk>`; "whitespace", whatever stands between spaces,
            of texts that somebody else has tokenised; "subwords", byte pairs merged by frequency
            (Sennrich et al., 2016, arXiv 1508.07909), which can spell any text; or "characters", of which a rare
            one is spelt in bytes.
        vocab_size: the largest number of units, with the two special ones.
        lowercase: do not tell capitals apart; then texts do not come back as they were.
        min_frequency: a word that occurs less often becomes `<unk>`.

    Raises:
        ConfigError: `vocab_size` has no room for the special units, and for the bytes where they are units.
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
        # A text that says "<unk>" itself, as the Penn Treebank does, has moved its number.
        numbers = encoder.get_vocab()
        words = sorted(set(numbers) - set(SPECIAL), key=lambda word: numbers[word])
        vocabulary = {word: number for number, word in enumerate([*SPECIAL, *words])}
        encoder.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    return _plain(encoder)


def _characters(texts: Iterable[str], vocab_size: int, lowercase: bool) -> Tokenizer:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(NORMALIZER.normalize_str(text) if lowercase else text)
    room = vocab_size - len(SPECIAL) - BYTES
    frequent = sorted(counts, key=lambda character: (-counts[character], character))[:room]
    units = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(BYTES)), *sorted(frequent)]
    vocabulary = {unit: number for number, unit in enumerate(units)}
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
    """Without `added_tokens`, which would be found in the raw text of whoever types "<eos>"."""
    description = json.loads(encoder.to_str())
    description["added_tokens"] = []
    return Tokenizer(json.dumps(description, ensure_ascii=False))


def _check(description: str) -> None:
    """Refuses a description that `fit` cannot have given; see `Tokenizer`."""

    def parts(*components: Any) -> list[Any]:
        return [None, *(json.loads(component.__getstate__()) for component in components)]

    known: dict[str, list[Any]] = {
        "truncation": [None],
        "padding": [None],
        "added_tokens": [[]],
        "normalizer": parts(NORMALIZER),
        "pre_tokenizer": parts(*PRE_TOKENIZERS.values())[1:],
        "post_processor": [None],
        "decoder": parts(*DECODERS.values()),
    }
    try:
        found = json.loads(description)
        model = found["model"]
        numbers = sorted(model["vocab"].values())
        right = set(found) == {*known, "version", "model"}
        right &= all(found[key] in values for key, values in known.items())
        right &= model["type"] in ("WordLevel", "BPE") and numbers == list(range(len(numbers))) and len(numbers) > 1
        right &= all(model["vocab"].get(word) == number for number, word in enumerate(SPECIAL))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise CheckpointError("the tokenizer is none that sightseq has fitted")
