"""Single-label classification of images."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.augmentation import make_augmentations
from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.nets.pixels import Pixels, centre, to_unit
from sightseq.tasks.classification.saliency import heat_maps
from sightseq.tasks.classification.task import SHOWN, ClassificationTask, expand_single_logit
from sightseq.vision.augmentation import take_centre
from sightseq.vision.figures import batch_figure, examples_figure, saliency_figure
from sightseq.vision.spec import ImageSpec

if TYPE_CHECKING:
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor


class ImageClassificationTask(ClassificationTask):
    """Classification of images [B, C, H, W].

    Args:
        augment: augmentations by name, each a `_target_` with arguments, applied in this order to training batches.
            Each takes and returns a batch: see `vision.augmentation`.
        test_time_flips: predict with the mean probabilities of each image and its mirror image.
        test_time_crops: centre crops for prediction, each as a fraction (0, 1] of height and width of the prepared
            image (margin included); their probabilities are averaged. None: one centre crop of the network's size.
        classification: see `ClassificationTask`. The network maps images to logits [B, num_classes]; it receives
            those of `in_channels`, `num_classes` and `image_size` (height, width) that its `__init__` names.
    """

    net_kind: ClassVar[str] = "image"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows"})
    spec: ImageSpec

    def __init__(
        self,
        *,
        augment: dict[str, Any] | None = None,
        test_time_flips: bool = False,
        test_time_crops: Sequence[float] | None = None,
        **classification: Any,
    ) -> None:
        super().__init__(**classification)
        if test_time_crops is not None and not (test_time_crops and all(0 < crop <= 1 for crop in test_time_crops)):
            raise ConfigError(f"model.test_time_crops={test_time_crops}: fractions lie in (0, 1]; null for none")
        self.test_time_flips, self.test_time_crops = test_time_flips, test_time_crops
        # Pretrained weights need the normalisation constants of their own training.
        constants = getattr(self.net, "constants", None) or (self.spec.mean, self.spec.std)
        self.pixels = Pixels(*constants)
        self.augmentations = make_augmentations(augment, **self.spec.net_arguments())
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's overloads

    @classmethod
    def example(cls) -> tuple[ImageSpec, Batch]:
        """Six colour images of 32 x 32 random pixels, of three classes."""
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=generator)
        spec = ImageSpec(3, 32, 32, ("a", "b", "c"), (0.5,) * 3, (0.25,) * 3, (2, 2, 2))
        return spec, {"input": images, "target": torch.arange(6) % 3, "index": torch.arange(6)}

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `ImagePredictor`: files, PIL images or arrays to labels."""
        from sightseq.tasks.classification.predict_images import ImagePredictor

        return ImagePredictor

    @classmethod
    def graph(cls) -> "type[Graph]":
        """Return `ImageClassifierGraph`: images to probabilities."""
        from sightseq.tasks.classification.image_graph import ImageClassifierGraph

        return ImageClassifierGraph

    def plain(self) -> nn.Module:
        """Return `Classifier` after the normalisation of pixels."""
        from sightseq.tasks.classification.plain import classifier

        constants = getattr(self.net, "constants", None) or (self.spec.mean, self.spec.std)
        crop = (self.spec.height, self.spec.width) if self.spec.margin else None
        return classifier(self, Pixels(*constants), crop, lengths=False)

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with augmented images: floats in 0..1 of the network's input size.

        If an augmentation mixes images, `soft_target` [B, num_classes] has the fraction of each class.
        """
        batch = {**batch, "input": to_unit(batch["input"])}
        for augmentation in self.augmentations:
            batch = augmentation(batch)
        return take_centre(batch, self.spec.height, self.spec.width)

    def training_differences(self) -> list[str]:
        """Add augmentation."""
        return [*(["augmentation"] if self.augmentations else []), *super().training_differences()]

    def forward(self, images: Tensor) -> Tensor:
        """Map the centre crop of images [B, C, H, W], uint8 or floats in 0..1, to logits [B, num_classes]."""
        return expand_single_logit(self.net(self.pixels(centre(images, self.spec.height, self.spec.width))))

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits of the images [B, C, H, W]."""
        logits: Tensor = self(batch["input"])
        return logits

    def log_probabilities(self, batch: Batch) -> Tensor:
        """Return the log of the mean probabilities over the test-time views (crops, flips) of each image."""
        images = batch["input"]
        views = [self._crop(images, crop) for crop in self.test_time_crops] if self.test_time_crops else [images]
        if self.test_time_flips:
            views += [view.flip(-1) for view in views]
        log_probabilities = torch.stack([self(view).log_softmax(dim=1) for view in views])
        return log_probabilities.logsumexp(dim=0) - math.log(len(views))

    def _crop(self, images: Tensor, fraction: float) -> Tensor:
        crop = centre(to_unit(images), *(round(fraction * side) for side in self.spec.prepared[1:]))
        return F.interpolate(crop, (self.spec.height, self.spec.width), mode="bilinear", antialias=True)

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot the images with their class names; mixed images with the fraction of each class."""
        images = (batch["input"][:SHOWN].clamp(0, 1) * 255).round().byte().cpu().numpy()
        names = [self.spec.classes[label] for label in batch["target"][:SHOWN].tolist()]
        for row, fractions in enumerate(batch.get("soft_target", batch["target"][:0])[:SHOWN]):
            labels = fractions.nonzero().flatten().tolist()
            parts = [f"{self.spec.classes[label]} {fractions[label]:.0%}" for label in labels]
            names[row] = " + ".join(parts)
        return batch_figure([self.spec.to_example(image) for image in images], names)

    def examples(self, title: str, rows: Batch, caption: str) -> Block:
        """Return a figure of the images, margins included."""
        inputs = [self.spec.to_example(image) for image in rows["input"].numpy()]
        labels = self.labels(rows)
        table = [
            (image, prediction, probability, truth)
            for image, (prediction, probability, truth) in zip(inputs, labels, strict=True)
        ]
        return FigureBlock(
            title,
            examples_figure(inputs, labels),
            caption=caption,
            columns=("image", "prediction", "probability", "true class"),
            rows=table,
        )

    def explanation(self, rows: Batch) -> Block | None:
        """Return heat maps; None where `heat_maps` has none."""
        images = centre(rows["input"], self.spec.height, self.spec.width)
        heat = heat_maps(self, images, rows["probabilities"].argmax(dim=1))
        if heat is None:
            return None
        inputs = [self.spec.to_example(image) for image in images.numpy()]
        caption = (
            "Bright: the regions that support the prediction most (Grad-CAM, Selvaraju et al., 2017). "
            "Samples chosen at random, then the most confident mistakes."
        )
        figure = saliency_figure(inputs, list(heat.numpy()), self.labels(rows))
        return FigureBlock("Where it looked", figure, caption=caption)
