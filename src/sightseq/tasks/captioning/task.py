"""Captions of images with an encoder-decoder network."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from sightseq.core.augmentation import make_augmentations
from sightseq.core.blocks import Block
from sightseq.core.encoders import check_rate, groups_with_encoder, keep_statistics
from sightseq.core.frozen import Frozen
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.reservoir import Reservoir
from sightseq.core.scores import Score
from sightseq.nets.pixels import Pixels, centre, to_unit
from sightseq.tasks.captioning.comparison import compare_diversity
from sightseq.tasks.captioning.figures import captions_figure
from sightseq.tasks.captioning.report import attention_block, captions_block, worst_block
from sightseq.tasks.conditional_generation.task import ConditionalGenerationTask
from sightseq.text.batch import to_bytes
from sightseq.text.caption_scores import ORDERS, Cider, caption_statistics
from sightseq.text.ptb import ptb_tokens
from sightseq.text.quality import CorpusScore, TextMean
from sightseq.text.tokenizer import EOS_ID, Tokenizer, fit
from sightseq.text.tokens_spec import Tokens
from sightseq.vision.augmentation import take_centre
from sightseq.vision.caption_spec import CaptionSpec

if TYPE_CHECKING:
    from sightseq.core.baseline import Baseline
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

PLOTTED = 15  # images in `plot_batch`
CANDIDATES = 100  # captions with the lowest chrF, of which the report shows those with the lowest CIDEr
FLIP = 0.5  # probability of a mirrored image


class CaptioningTask(ConditionalGenerationTask):
    """Captions of images: `input` uint8 [B, C, H, W], or `features` [B, V, S, D], which are computed once.

    `features` are those of S positions in V views of each image: the image itself and, with `flips`, its mirror image.
    Each line of `reference` is a reference.

    Captions are scored as coco-caption does it, in lower case and without punctuation: see `text.ptb` and
    `text.caption_scores`. CIDEr and ROUGE-L are multiplied by 100, as in papers.

    Args:
        augment: augmentations by name, each a `_target_` with arguments: see `vision.augmentation`.
        encoder_rate: learning rate of the encoder, as a fraction 0..1 of the decoder's. At 0 the encoder is not
            trained, and is in eval mode.
        flips: train on the mirror images, too, each with probability 0.5. Captions that name left and right would then
            be wrong.
        cache_features: compute the features of an encoder that is not trained once for all images. This is possible
            without `augment` only; otherwise the option has no effect.
        tokenize: tokenisation for BLEU, after that of coco-caption: see `normalise`.
        generation: see `ConditionalGenerationTask`. The network has the methods of `nets.captioning.ImageToText`; its
            `encoder` receives `in_channels` and `image_size`, and the network `vocab_size`. Batch normalisation of an
            encoder with pretrained weights keeps their statistics.
    """

    monitor: ClassVar[str] = "val/cider"
    headline: ClassVar[str] = "cider"
    columns: ClassVar[tuple[str, ...]] = ("cider", "bleu", "bleu1", "rouge", "exact")
    net_kind: ClassVar[str] = "captioning"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows"})
    spec: CaptionSpec

    def __init__(
        self,
        *,
        augment: dict[str, Any] | None = None,
        encoder_rate: float = 0.0,
        flips: bool = False,
        cache_features: bool = True,
        tokenize: str = "none",
        **generation: Any,
    ) -> None:
        super().__init__(tokenize=tokenize, **generation)
        check_rate(encoder_rate)
        self.encoder_rate, self.flips, self.cache_features = encoder_rate, flips, cache_features
        self._worst = Reservoir(CANDIDATES)
        # Pretrained weights need the normalisation constants of their own training.
        self.pixels = Pixels(*(getattr(self.net.encoder, "constants", None) or (self.spec.mean, self.spec.std)))
        image_size = (self.spec.height, self.spec.width)
        self.augmentations = make_augmentations(augment, image_size=image_size)
        self.net.encoder.to(memory_format=torch.channels_last).requires_grad_(encoder_rate > 0)
        self.train()

    @classmethod
    def example(cls) -> tuple[CaptionSpec, Batch]:
        """Six colour images of 64 x 64 random pixels, with captions of three to five random words."""
        texts = ["the small dog sees a red house", "a red house and the old dog"] * 2
        tokenizer = fit(texts, "words", 100)
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8, generator=generator)
        target = torch.full((6, 6), PAD_INDEX)
        for row, length in enumerate((3, 5, 4, 5, 5, 3)):
            target[row, :length] = torch.randint(2, tokenizer.vocab_size, (length,), generator=generator)
            target[row, length] = EOS_ID
        captions = [tokenizer.decode([n for n in row if n > EOS_ID]) for row in target.tolist()]
        references = to_bytes([f"{caption}\na small house" for caption in captions])
        spec = CaptionSpec(
            3, 64, 64, (0.5,) * 3, (0.25,) * 3, Tokens(tokenizer.json, tokenizer.vocab_size, "en", max_tokens=20)
        )
        return spec, {"input": images, "target": target, "reference": references, "index": torch.arange(6)}

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `CaptionPredictor`: images to captions."""
        from sightseq.tasks.captioning.predict import CaptionPredictor

        return CaptionPredictor

    @classmethod
    def graph(cls) -> "type[Graph]":
        """Return `CaptionGraph`: the encoder, and one step of the decoder."""
        from sightseq.tasks.captioning.graph import CaptionGraph

        return CaptionGraph

    def plain(self) -> nn.Module:
        """Return `Generator` of images."""
        from sightseq.tasks.conditional_generation.plain import Generator, check_plain

        check_plain(self)
        constants = getattr(self.net.encoder, "constants", None) or (self.spec.mean, self.spec.std)
        crop = (self.spec.height, self.spec.width)
        return Generator(self.net, self.label_smoothing, Pixels(*constants), crop, self.flips)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the captions."""
        return Tokenizer(self.spec.text.tokenizer)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules but those of the encoder that are not trained."""
        super().train(mode)
        keep_statistics(self.net.encoder, self.encoder_rate)
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters of the decoder and, if it is trained, those of the encoder with their learning rate."""
        return groups_with_encoder(self.net, self.encoder_rate, self.lr)

    # Encoding.

    @property
    def frozen(self) -> Frozen | None:
        """The encoder, if it is not trained and reads each image in the same way in every epoch."""
        if self.encoder_rate or self.augmentations or not self.cache_features:
            return None
        options = {"flips": self.flips, "image_size": [self.spec.height, self.spec.width]}
        return Frozen(nn.ModuleList([self.pixels, self.net.encoder]), self.compute_features, options)

    def compute_features(self, batch: Batch) -> dict[str, Tensor]:
        """Return the `features` of stored images [B, C, H, W]: float16 [B, V, S, D]."""
        images = self.pixels(centre(batch["input"], self.spec.height, self.spec.width))
        views = [images, images.flip(-1)] if self.flips else [images]
        return {"features": torch.stack([self.net.maps(view) for view in views], dim=1).half()}

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with one view of each image: `features` [B, 1, S, D], or `input` as floats in 0..1."""
        index = batch["index"]
        mirrored = torch.rand(len(index), device=index.device) < FLIP * self.flips
        if "features" in batch:
            views = batch["features"]
            return {**batch, "features": views[torch.arange(len(views), device=index.device), mirrored.long()][:, None]}
        images = to_unit(batch["input"])
        batch = {**batch, "input": torch.where(mirrored[:, None, None, None], images.flip(-1), images)}
        for augmentation in self.augmentations:
            batch = augmentation(batch)
        return take_centre(batch, self.spec.height, self.spec.width)

    def maps(self, batch: Batch) -> Tensor:
        """Return the features of the positions of each image [B, S, D]."""
        if "features" in batch:
            return batch["features"][:, 0].to(self.pixels.mean.dtype)
        images = self.pixels(centre(batch["input"], self.spec.height, self.spec.width))
        maps: Tensor = self.net.maps(images)
        return maps

    def encode(self, batch: Batch) -> tuple[dict[str, object], dict[str, object]]:
        """Return memory and initial state of the decoder: see `nets.decoder`."""
        memory, state = self.net.encode(self.maps(batch))
        return memory, state

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Images [B, C, H, W], uint8 or floats in 0..1, and tokens [B, T] to logits [B, T, vocab_size] in float32."""
        memory, state = self.net.encode(self.maps({"input": images}))
        logits: Tensor = self.net.decode(tokens, state, memory)[0].float()
        return logits

    # Decoding and scores.

    def longest(self, batch: Batch) -> Tensor:
        """Return the `max_tokens` of the captions."""
        return torch.full_like(batch["index"], self.spec.text.max_tokens)

    def references(self, batch: Batch) -> list[list[str]]:
        """Return the captions of each image: the lines of `reference`."""
        return [text.split("\n") for (text,) in super().references(batch)]

    def normalise(self, text: str) -> str:
        """Return the Penn Treebank tokens of a caption: see `text.ptb`."""
        return ptb_tokens(text)

    def statistics(self, texts: list[str], references: list[list[str]]) -> dict[str, Tensor]:
        """Add what CIDEr and ROUGE-L read."""
        return {**super().statistics(texts, references), **caption_statistics(texts, references)}

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Add CIDEr, ROUGE-L and BLEU-1 to BLEU-3 for validation and test."""
        scores = super().scores(stage)
        if stage == "train":
            return scores
        orders = {order: CorpusScore("bleu", order) for order in ORDERS}
        return {
            **scores,
            "cider": Score(Cider(), "CIDEr", ("captions", "index")),
            "rouge": Score(TextMean(), "ROUGE-L", ("rouge", "index")),
            **{f"bleu{n}": Score(metric, f"BLEU-{n}", ("bleu_statistics", "index")) for n, metric in orders.items()},
        }

    def compare(self, baselines: "Mapping[str, Baseline]", stage: str) -> tuple[dict[str, Any], list[Block]]:
        """Compare how varied the captions are with those of the baselines."""
        cider: Any = self.scoreboard.metrics(stage)["cider"]
        return compare_diversity(cider.texts, baselines)

    def bleu_signature(self) -> str:
        """Return sacrebleu's signature; the number of references varies."""
        return super().bleu_signature().replace("nrefs:1|", "nrefs:var|")

    # Report.

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the images with the captions that are their targets."""
        images = (to_unit(batch["input"][:PLOTTED]).clamp(0, 1) * 255).round().byte().cpu().numpy()
        targets = batch["target"][:PLOTTED].tolist()
        captions = [self.tokenizer.decode([n for n in row if n > EOS_ID]) for row in targets]
        return captions_figure([self.spec.to_example(image) for image in images], captions)

    def blocks(self, stage: str) -> list[Block]:
        """Return random and bad captions with references, attention to each word, and BLEU by length."""
        blocks: list[Block] = []
        if rows := self._random.rows():
            cider: Any = self.scoreboard.metrics(stage)["cider"]
            cider.compute()  # sets its references
            blocks = [captions_block(self, rows), worst_block(self, self._worst.rows(), cider.references)]
            if attention := attention_block(self, rows):
                blocks.append(attention)
        return [*blocks, *super().blocks(stage)]

    def examples(self, images: Tensor) -> list[NDArray[np.uint8]]:
        """Return stored images [B, C, H, W] as the encoder sees them: B times [H, W] or [H, W, 3]."""
        return [self.spec.to_example(one) for one in centre(images, self.spec.height, self.spec.width).cpu().numpy()]

    def training_differences(self) -> list[str]:
        """Add augmentation and mirror images."""
        own = {"augmentation": bool(self.augmentations), "mirror images": self.flips}
        return [*(name for name, used in own.items() if used), *super().training_differences()]
