"""Base of all datasets of captioned images: caches, tokenises and batches them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.arrays import ArrayDataset, Ragged, save_split
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.files import atomic_folder
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.spec import Spec
from sightseq.core.splits import Rows, SplitData
from sightseq.data.image.images import channel_statistics
from sightseq.data.plain import PlainCaptions
from sightseq.data.text.tokenised import Texts, TokenisedData, pad_tokens, save_tokens
from sightseq.text.tokenizer import Tokenizer, Unit
from sightseq.text.tokens_spec import Tokens
from sightseq.vision.caption_spec import CaptionSpec

CHUNK = 10_000  # images whose captions are decoded at a time
TEXTS = frozenset({"captions", "count"})  # columns that batches contain in another form


class CaptionDataset(ArrayDataset):
    """Images of one split with their captions.

    In training a sample is an image with one of its captions; in validation and test it is an image with all of them.
    A batch has `input` uint8 [B, C, H, W]; `target` int64 [B, T], the tokens of one caption, ended by EOS and padded
    with -1; and `index` int64 [B], the row of this caption in the publisher's split. In validation and test it is the
    first caption of the image. Captions of more than `max_tokens` tokens are truncated before their EOS.

    With `references`, a batch also has all captions of the image as UTF-8 bytes, joined by line ends and padded with 0:
    `reference` uint8 [B, R], with `reference_length` int64 [B].

    A batch also has the rows of columns that were added to `arrays`, such as the features of a frozen encoder: see
    `core.columns.add_columns`.

    Args:
        arrays: `input` uint8 [N, C, H, W]; `captions`, the captions of each image joined by line ends; and `count`
            int64 [N], their number.
        images: rows of the images of this split, in ascending order.
        source: see `ArrayDataset`.
        tokens: token ids of the captions of all N images, each with its EOS.
        max_tokens: longest caption in tokens.
        train: whether a sample is one caption, not an image; longer captions than `max_tokens` are then left out.
        references: whether batches contain the texts of the captions.
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        images: Rows,
        source: str,
        tokens: Ragged,
        max_tokens: int,
        *,
        train: bool,
        references: bool,
    ) -> None:
        self.ends = np.cumsum(arrays["count"], dtype=np.int64)  # of the captions of each image
        self.tokens, self.max_tokens, self.train, self.references = tokens, max_tokens, train, references
        lengths = tokens.lengths
        captions, self.left_out = (self.ends - arrays["count"])[images], np.zeros(0, np.int64)
        if train:
            captions = np.flatnonzero(np.isin(self._images(np.arange(len(tokens))), images))
            fits = lengths[captions] <= max_tokens
            captions, self.left_out = captions[fits], captions[~fits]
        super().__init__(arrays, captions, source)
        self.images: Rows = np.unique(self._images(captions))
        """Rows of the images of this split [P]."""
        self.lengths = torch.from_numpy(lengths[captions].clip(max=max_tokens))

    def plain(self) -> PlainCaptions:
        """See `ArrayDataset.plain`."""
        numbers, tokens = self._images(np.arange(len(self.tokens))), self.tokens
        return PlainCaptions(self.arrays["input"], numbers, tokens.values, tokens.ends, self.rows, self.max_tokens)

    def batch(self, indices: Tensor) -> Batch:
        """Return the batch of these indices: see `CaptionDataset`; the index -1 is a padding row."""
        captions = self.rows[indices.clamp(min=0).numpy()]
        images = self._images(captions)
        names = [name for name in self.arrays if name not in TEXTS | self.unread]
        batch = {name: torch.from_numpy(self.arrays[name][images]) for name in names}
        batch["target"] = pad_tokens(self.tokens, captions, self.max_tokens, PAD_INDEX)[0]
        if self.references:
            values, lengths = self.arrays["captions"].padded(images)
            batch |= {"reference": torch.from_numpy(values), "reference_length": torch.from_numpy(lengths)}
        batch["index"] = torch.where(indices < 0, indices, torch.from_numpy(captions))
        return batch

    def chunks(self, size: int) -> Iterator[dict[str, Any]]:
        """Yield the images of this split, `size` at a time: `input`, `captions` (strings joined by line ends), ..."""
        for start in range(0, len(self.images), size):
            images = self.images[start : start + size]
            yield {name: column[images] for name, column in self.arrays.items()}

    def numpy(self) -> dict[str, Any]:
        """Return the images of this split: see `chunks`."""
        return next(self.chunks(len(self.images)))

    @property
    def stored_rows(self) -> Rows:
        """Image of each sample."""
        return self._images(self.rows)

    def _images(self, captions: Rows) -> Rows:
        """Return the row of the image of each caption."""
        return np.searchsorted(self.ends, captions, side="right")


class CaptionData(TokenisedData, SplitData):
    """Images with one or more captions each.

    A subclass's `process` saves the images of each split as the column `input` uint8 [N, 3, H, W] and their captions
    with `save_captions`. An image without captions is left out. Splits are by image.

    Args:
        image_size: height and width in pixels of the network's input.
        margin: extra pixels of height and width of the cached images, for random crops and shifts in training;
            validation, test and prediction use the centre.
        max_tokens: longest caption in tokens, including its EOS. Longer training captions are left out and counted. In
            validation and test only their beginning counts for the loss; references stay whole.
        references: whether training batches, too, contain the texts of all captions of an image.
        unit, vocab_size, lowercase, min_frequency: see `text.tokenizer.fit`.
        common: see `TokenisedData` and `SplitData`.
    """

    encoding_arguments: ClassVar[frozenset[str]] = TokenisedData.encoding_arguments | {
        "image_size",
        "margin",
        "max_tokens",
    }
    example_spec: CaptionSpec = CaptionSpec(3, 64, 64, (0.5,) * 3, (0.25,) * 3, Tokens("", 100, "en"))

    def __init__(
        self,
        *,
        image_size: int = 224,
        margin: int = 0,
        max_tokens: int = 50,
        references: bool = False,
        unit: Unit = "words",
        vocab_size: int = 10_000,
        lowercase: bool = True,
        min_frequency: int = 2,
        **common: Any,
    ) -> None:
        super().__init__(unit=unit, vocab_size=vocab_size, lowercase=lowercase, min_frequency=min_frequency, **common)
        if image_size < 4:
            raise ConfigError(f"data.image_size={image_size}: at least 4 pixels a side are needed")
        if margin < 0:
            raise ConfigError(f"data.margin={margin}: must be 0 or more pixels")
        if max_tokens < 2:
            raise ConfigError(f"data.max_tokens={max_tokens}: must be at least 2, one token and EOS")
        self.image_size, self.margin, self.max_tokens, self.references = image_size, margin, max_tokens, references
        self.example_spec = replace(self.example_spec, height=image_size, width=image_size, margin=margin)

    def adopt(self, spec: Spec) -> None:
        """Adopt the tokenizer of a captioning model's spec."""
        self._tokenizer = spec.text.tokenizer if isinstance(spec, CaptionSpec) else None

    def cache_key(self) -> dict[str, Any]:
        """Options that change the decoded images."""
        if self.encoder is None:
            return {"image_size": self.image_size, "margin": self.margin}
        return {"encoder": self.encoder.to_dict()}

    def spec_key(self) -> dict[str, Any]:
        """Options that change the spec."""
        return {**super().spec_key(), "max_tokens": self.max_tokens}

    def read_split(self, folder: Path) -> dict[str, Any]:
        """Return `input`, `captions` (texts) and `count`, each [N]."""
        arrays = super().read_split(folder)
        return {**arrays, "captions": Texts.like(arrays["captions"])}

    def strata(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return 0 for each image, or -1 if it has no captions."""
        return np.where(arrays["count"] > 0, 0, -1)

    def make_spec(self, train: ArrayDataset, about: dict[str, Any]) -> CaptionSpec:
        """Compute the statistics of the training images; fit the tokenizer on their captions, or take the adopted one.

        `about` has the `margin` of the stored images.
        """
        _, channels, height, width = train.arrays["input"].shape
        mean, std = channel_statistics(train.arrays["input"], train.rows)
        chunks = np.array_split(train.rows, -(-len(train.rows) // CHUNK))
        tokenizer = self.get_tokenizer(text for rows in chunks for text in _lines(train.arrays["captions"], rows))
        text = Tokens(tokenizer.json, tokenizer.vocab_size, "en", self.max_tokens)
        margin = about["margin"]
        return CaptionSpec(channels, height - margin, width - margin, mean, std, text, margin)

    def encode(self, datasets: dict[str, ArrayDataset], folder: Path) -> dict[str, ArrayDataset]:
        """Tokenise the captions of all splits, once, into the cache."""
        spec: Any = self.spec
        tokenizer = Tokenizer(spec.text.tokenizer)
        arrays = {dataset.source: dataset.arrays for dataset in datasets.values()}
        place = self.token_folder(folder, tokenizer)
        with atomic_folder(place) as building:
            if building is not None:
                for source, columns in arrays.items():
                    rows = np.flatnonzero(columns["count"])
                    texts = _texts(list(_lines(columns["captions"], rows)))
                    save_tokens(building / source, tokenizer, texts, np.ones(len(texts), np.bool_))
        tokens = {source: super(CaptionData, self).read_split(place / source)["tokens"] for source in arrays}
        encoded: dict[str, ArrayDataset] = {}
        for split, dataset in datasets.items():
            encoded[split] = own = CaptionDataset(
                dataset.arrays,
                dataset.rows,
                dataset.source,
                tokens[dataset.source],
                spec.text.max_tokens,
                train=split == "train",
                references=self.references or split != "train",
            )
            lengths = own.tokens.lengths
            self.skipped = [
                *self.skipped,
                *(f"training caption {row + 1} with {lengths[row]:,} tokens (data.max_tokens)" for row in own.left_out),
            ]
            if not len(own):
                raise DataError(
                    f"{self.name}: all training captions have more than data.max_tokens={spec.text.max_tokens} tokens"
                )
        return encoded


def save_captions(folder: Path, split: str, captions: Sequence[Sequence[str]]) -> None:
    """Save the captions of the N images of one of the publisher's splits; none of an image that is left out.

    Args:
        folder: folder of the processed data.
        split: name of the split.
        captions: captions of each image, without line ends.
    """
    count = np.array([len(texts) for texts in captions], np.int64)
    save_split(folder, split, captions=_texts(["\n".join(texts) for texts in captions]), count=count)


def _texts(texts: Sequence[str]) -> Texts:
    """Store texts as UTF-8 bytes."""
    return Texts.of([np.frombuffer(text.encode(), np.uint8) for text in texts])


def _lines(captions: Texts, rows: Rows) -> Iterator[str]:
    """Yield the single captions of some images."""
    return (line for text in captions[rows] for line in text.split("\n"))
