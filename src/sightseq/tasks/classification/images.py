"""One label for each image."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.nets.pixels import Pixels, centre, to_unit
from sightseq.tasks.classification.saliency import heat_maps
from sightseq.tasks.classification.task import SHOWN, ClassificationTask, two_logits
from sightseq.vision.augmentation import make_augmentations, take_centre
from sightseq.vision.figures import batch_figure, examples_figure, saliency_figure
from sightseq.vision.spec import ImageSpec

if TYPE_CHECKING:
    from sightseq.core.predictor import Predictor


class ImageClassificationTask(ClassificationTask):
    """Classification of images [B, C, H, W].

    Args:
        augment: augmentations by name, each a `_target_` with arguments, applied in this order to training batches.
            Each takes and returns a batch: see `vision.augmentation`.
        test_time_flips: predict with the mean probabilities of each image and its mirror image.
        test_time_crops: sides of the squares about the centre that are looked at, as shares (0, 1] of those of the
            image with its margin; the mean of their probabilities predicts. None: the centre, at the network's size.
        classification: see `ClassificationTask`. The network maps images to logits [B, num_classes]; it is given
            `in_channels`, `num_classes` and `image_size` (height, width), as far as it names them.
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
        if test_time_crops is not None and not (test_time_crops and all(0 < share <= 1 for share in test_time_crops)):
            raise ConfigError(f"model.test_time_crops={test_time_crops}: shares lie in (0, 1]; null for none")
        self.test_time_flips, self.test_time_crops = test_time_flips, test_time_crops
        # Pretrained weights bring the constants that they were trained with.
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
        """Files, pictures or arrays to labels."""
        from sightseq.tasks.classification.predict_images import ImagePredictor

        return ImagePredictor

    def augment(self, batch: Batch) -> Batch:
        """The batch with its images augmented, as floats in 0..1, of the size that the network sees.

        Where images were mixed, `soft_target` [B, num_classes] says what each consists of.
        """
        batch = {**batch, "input": to_unit(batch["input"])}
        for augmentation in self.augmentations:
            batch = augmentation(batch)
        return take_centre(batch, self.spec.height, self.spec.width)

    def training_differs(self) -> list[str]:
        """Augmentation besides."""
        return [*(["augmentation"] if self.augmentations else []), *super().training_differs()]

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] bytes, or floats in 0..1, of which the centre is seen, to logits [B, num_classes]."""
        return two_logits(self.net(self.pixels(centre(images, self.spec.height, self.spec.width))))

    def logits(self, batch: Batch) -> Tensor:
        """Of the images [B, C, H, W] as they are."""
        logits: Tensor = self(batch["input"])
        return logits

    def log_probabilities(self, batch: Batch) -> Tensor:
        """Averaged over the views of each image that the test uses."""
        images = batch["input"]
        views = [self._crop(images, share) for share in self.test_time_crops] if self.test_time_crops else [images]
        if self.test_time_flips:
            views += [view.flip(-1) for view in views]
        found = torch.stack([self(view).log_softmax(dim=1) for view in views])
        return found.logsumexp(dim=0) - math.log(len(views))

    def _crop(self, images: Tensor, share: float) -> Tensor:
        part = centre(to_unit(images), *(round(share * side) for side in self.spec.prepared[1:]))
        return F.interpolate(part, (self.spec.height, self.spec.width), mode="bilinear", antialias=True)

    def plot_batch(self, batch: Batch) -> Figure:
        """The images with the names of their classes; of mixed ones, with the shares of both."""
        images = (batch["input"][:SHOWN].clamp(0, 1) * 255).round().byte().cpu().numpy()
        names = [self.spec.classes[label] for label in batch["target"][:SHOWN].tolist()]
        for place, shares in enumerate(batch.get("soft_target", batch["target"][:0])[:SHOWN]):
            parts = [f"{self.spec.classes[label]} {shares[label]:.0%}" for label in shares.nonzero().flatten().tolist()]
            names[place] = " + ".join(parts)
        return batch_figure([self.spec.to_example(image) for image in images], names)

    def examples(self, title: str, rows: Batch, caption: str) -> Block:
        """The images with their margins."""
        inputs = [self.spec.to_example(image) for image in rows["input"].numpy()]
        return FigureBlock(title, examples_figure(inputs, self.labels(rows)), caption=caption)

    def explanation(self, rows: Batch) -> Block | None:
        """Heat maps; nothing where maps would say nothing."""
        images = centre(rows["input"], self.spec.height, self.spec.width)
        heat = heat_maps(self, images, rows["probabilities"].argmax(dim=1))
        if heat is None:
            return None
        inputs = [self.spec.to_example(image) for image in images.numpy()]
        caption = (
            "Bright: the regions that spoke most for the prediction (Grad-CAM, Selvaraju et al., 2017). "
            "Samples chosen at random, then the most confident mistakes."
        )
        figure = saliency_figure(inputs, list(heat.numpy()), self.labels(rows))
        return FigureBlock("Where it looked", figure, caption=caption)
