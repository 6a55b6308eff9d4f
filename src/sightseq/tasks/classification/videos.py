"""Single-label classification of videos."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from sightseq.core.augmentation import make_augmentations
from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.encoders import check_rate, groups_with_encoder, keep_statistics
from sightseq.core.errors import ConfigError
from sightseq.core.frozen import Frozen
from sightseq.core.graph import Axes
from sightseq.core.loading import Batch
from sightseq.core.scores import Output
from sightseq.nets.pixels import Pixels, centre, to_unit
from sightseq.tasks.classification.task import ClassificationTask, expand_single_logit
from sightseq.tasks.classification.video_saliency import clip_heat
from sightseq.vision.augmentation import take_centre
from sightseq.vision.clip_views import positions, take
from sightseq.vision.video_figures import clip_saliency_figure, clips_figure
from sightseq.vision.video_spec import VideoSpec

if TYPE_CHECKING:
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

PLOTTED = 12  # clips in `plot_batch`
FLIP = 0.5  # probability of a mirrored clip


class VideoClassificationTask(ClassificationTask):
    """Classification of videos: clips, `input` uint8 [B, T, C, H, W], and their `length` [B] in frames.

    A network with an encoder of single frames may keep it frozen. Then `features` [B, T, V, ...] of the frames, and of
    their mirror images, are computed once for all clips.

    Args:
        augment: augmentations by name, each a `_target_` with arguments: see `vision.augmentation`. All frames of a
            clip are changed in the same way.
        encoder_rate: learning rate of the network's `encoder`, as a fraction 0..1 of that of the other parts. At 0 it
            is not trained, and is in eval mode. Batch normalisation of an encoder with pretrained weights keeps their
            statistics.
        cache_features: compute the features of an encoder that is not trained once for all clips. This is possible
            without `augment` only; otherwise the option has no effect.
        flips: train on the mirrored clips, too, each with probability 0.5; for classes that do not tell left from
            right.
        test_time_flips: predict with the mean probabilities of each clip and its mirror image.
        views: parts of a clip, each of T / views frames; the network reads one of them, and a prediction is the mean
            of the probabilities of all. Where the frames of clips are spread over the video, a part has one of every
            `views` frames, in training a random one; otherwise its frames are successive, in training from a random
            start.
        classification: see `ClassificationTask`. The network maps normalised clips and lengths to logits
            [B, num_classes]; it and its `encoder` receive those of `in_channels`, `num_classes`, `image_size` and
            `frames` that their `__init__` names.
    """

    net_kind: ClassVar[str] = "video"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows", "ignores_padding"})
    graph_inputs: ClassVar[Axes] = {"input": {0: "batch", 1: "frames"}, "length": {0: "batch"}}
    calibrated: ClassVar[bool] = False
    spec: VideoSpec
    net: Any

    def __init__(
        self,
        *,
        augment: dict[str, Any] | None = None,
        encoder_rate: float = 1.0,
        cache_features: bool = True,
        flips: bool = False,
        test_time_flips: bool = False,
        views: int = 1,
        **classification: Any,
    ) -> None:
        super().__init__(**classification)
        check_rate(encoder_rate)
        if not 1 <= views <= self.spec.frames:
            raise ConfigError(f"model.views={views}: a clip of {self.spec.frames} frames has 1 to {self.spec.frames}")
        if self.encoder is None and encoder_rate < 1:
            raise ConfigError(
                f"model.encoder_rate={encoder_rate}: {type(self.net).__name__} has no encoder of single frames; "
                "set it to 1, or choose another model/net"
            )
        self.encoder_rate, self.cache_features, self.views = encoder_rate, cache_features, views
        self.flips, self.test_time_flips = flips, test_time_flips
        # Pretrained weights need the normalisation constants of their own training.
        self.pixels = Pixels(*(getattr(self.encoder, "constants", None) or (self.spec.mean, self.spec.std)))
        self.augmentations = make_augmentations(augment, **self.spec.net_arguments())
        if self.encoder is not None:
            self.encoder.to(memory_format=torch.channels_last).requires_grad_(encoder_rate > 0)  # type: ignore[call-overload]  # not in torch's overloads
        self.train()

    @classmethod
    def example(cls) -> tuple[VideoSpec, Batch]:
        """Six clips of two to five frames of 32 x 32 random colour pixels, of three classes."""
        generator = torch.Generator().manual_seed(0)
        clips = torch.randint(0, 256, (6, 5, 3, 32, 32), dtype=torch.uint8, generator=generator)
        length = torch.tensor([4, 5, 3, 5, 2, 4])
        clips *= (torch.arange(5) < length[:, None])[:, :, None, None, None]
        spec = VideoSpec(3, 32, 32, ("a", "b", "c"), (0.5,) * 3, (0.25,) * 3, (2, 2, 2), frames=5)
        return spec, {"input": clips, "length": length, "target": torch.arange(6) % 3, "index": torch.arange(6)}

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `VideoPredictor`: files, folders of frames, or arrays to labels with a timeline."""
        from sightseq.tasks.classification.predict_videos import VideoPredictor

        return VideoPredictor

    @classmethod
    def graph(cls) -> "Callable[[Any], Graph]":
        """Return `video_graph`: one frame of a stream, or for networks that read whole clips, a clip."""
        from sightseq.tasks.classification.video_graph import video_graph

        return video_graph

    @property
    def encoder(self) -> nn.Module | None:
        """The part of the network that reads single frames, if it has one."""
        return getattr(self.net, "encoder", None)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules but those of the encoder that are not trained."""
        super().train(mode)
        if self.encoder is not None:
            keep_statistics(self.encoder, self.encoder_rate)
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters of the encoder, if it is trained at another rate, apart from the others."""
        if self.encoder_rate == 1:
            return super().parameter_groups()
        return groups_with_encoder(self.net, self.encoder_rate, self.lr)

    # Reading clips.

    @property
    def frozen(self) -> Frozen | None:
        """The encoder, if it is not trained and reads each clip in the same way in every epoch."""
        if self.encoder_rate or self.augmentations or not self.cache_features:
            return None
        spec = self.spec
        options = {"mirrored": self._mirrored, "image_size": [spec.height, spec.width], "frames": spec.frames}
        return Frozen(nn.ModuleList([self.pixels, self.net.encoder]), self.compute_features, options)

    @property
    def _mirrored(self) -> bool:
        return self.flips or self.test_time_flips

    def compute_features(self, batch: Batch) -> dict[str, Tensor]:
        """Return the `features` of clips: float16 [B, T, V, ...], with flips of their mirror images too."""
        rows = []
        # One clip at a time, to save memory.
        for clip, length in zip(torch.split(batch["input"], 1), torch.split(batch["length"], 1), strict=True):
            clip = self.prepare(clip)
            views = [clip, clip.flip(-1)] if self._mirrored else [clip]
            rows.append(torch.stack([self.net.features(view, length) for view in views], dim=2).half())
        return {"features": torch.cat(rows)}

    def prepare(self, clips: Tensor) -> Tensor:
        """Crop clips [B, T, C, H, W], uint8 or floats in 0..1, to the network's input size and normalise them."""
        frames: Tensor = self.pixels(centre(clips, self.spec.height, self.spec.width).flatten(0, 1))
        return frames.view(*clips.shape[:2], *frames.shape[1:])

    def part(self, batch: Batch, place: Tensor) -> Batch:
        """Return the batch with one part of each clip: see `views`; `place` as in `clip_views.positions`."""
        if self.views == 1:
            return batch
        count = self.spec.frames // self.views
        chosen = positions(batch["length"], count, self.spec.sampling, place)
        parts: Batch = {name: take(batch[name], chosen) for name in ("input", "features") if name in batch}
        return {**batch, **parts, "length": torch.full_like(batch["length"], count)}

    def augment(self, batch: Batch) -> Batch:
        """Return the batch with an augmented part of each clip: floats in 0..1, or one view of its `features`.

        If an augmentation mixes clips, `soft_target` [B, num_classes] has the fraction of each class.
        """
        rows, device = len(batch["index"]), batch["index"].device
        per_frame = self.spec.frames // self.views if self.spec.sampling == "uniform" else 1
        batch = self.part(batch, torch.rand(rows, per_frame, device=device))
        mirrored = torch.rand(rows, device=device) < FLIP * self.flips
        if "features" in batch:
            views = batch["features"]
            chosen = views[torch.arange(rows, device=device), :, mirrored.long()]
            return {**batch, "features": chosen[:, :, None]}
        clips = to_unit(batch["input"])
        clips = torch.where(mirrored[:, None, None, None, None], clips.flip(-1), clips)
        # With the frames side by side along the channels, an augmentation of images changes all in the same way.
        batch = {**batch, "input": clips.flatten(1, 2)}
        for augmentation in self.augmentations:
            batch = augmentation(batch)
        batch = take_centre(batch, self.spec.height, self.spec.width)
        return {**batch, "input": batch["input"].view(*clips.shape[:3], self.spec.height, self.spec.width)}

    def training_differences(self) -> list[str]:
        """Add augmentation, mirror images and the vote over several parts of a clip."""
        own = {"augmentation": bool(self.augmentations), "mirror images": self.flips, "one view": self.views > 1}
        return [*(name for name, used in own.items() if used), *super().training_differences()]

    def forward(self, clips: Tensor, lengths: Tensor) -> Tensor:
        """Map clips [B, T, C, H, W], uint8 or floats in 0..1, and lengths [B] to logits [B, num_classes]."""
        return expand_single_logit(self.net(self.prepare(clips), lengths))

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits [B, num_classes], from the first view of `features` if they are in the batch."""
        if "features" in batch:
            features = batch["features"][:, :, 0].to(self.pixels.mean.dtype)
            return expand_single_logit(self.net.classify(features, batch["length"]))
        logits: Tensor = self(batch["input"], batch["length"])
        return logits

    def log_probabilities(self, batch: Batch) -> Tensor:
        """Return the log of the mean probabilities over the parts of each clip and, at test time, mirror images."""
        places = torch.linspace(0, 1, self.views) if self.spec.sampling == "dense" else self._middles()
        views = [self.part(batch, place.to(batch["length"].device)) for place in places.view(-1, 1, 1)]
        if self.test_time_flips:
            views += [mirror(view) for view in views]
        log_probabilities = torch.stack([self.logits(view).log_softmax(dim=1) for view in views])
        return log_probabilities.logsumexp(dim=0) - math.log(len(views))

    def _middles(self) -> Tensor:
        """Return the place of the frame of each view in its segment."""
        return (torch.arange(self.views) + 0.5) / self.views

    # Report.

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot clips with their class names."""
        rows = {name: tensor[:PLOTTED].cpu() for name, tensor in batch.items()}
        names = [self.spec.classes[label] for label in rows["target"].tolist()]
        return clips_figure(self._pictures(rows), names)

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Keep clips as all classifiers do, without their features."""
        super().collect_examples({name: rows for name, rows in batch.items() if name != "features"}, output)

    def examples(self, title: str, rows: Batch, caption: str) -> Block:
        """Return a figure of the frames of the clips."""
        labels = self.labels(rows)
        return FigureBlock(
            title,
            clips_figure(self._pictures(rows), labels),
            caption=caption,
            columns=("prediction", "probability", "true class"),
            rows=labels,
        )

    def explanation(self, rows: Batch) -> Block | None:
        """Return heat maps over the frames, and the share of each frame."""
        guesses = rows["probabilities"].argmax(dim=1).tolist()
        clips = [clip[:length] for clip, length in zip(rows["input"], rows["length"].tolist(), strict=True)]
        clips = [centre(clip, self.spec.height, self.spec.width) for clip in clips]
        heats = [clip_heat(self, to_unit(clip), guess).numpy() for clip, guess in zip(clips, guesses, strict=True)]
        caption = (
            "Below each clip, bright: the regions that support the prediction most (Grad-CAM, Selvaraju et al., 2017, "
            "or gradient times input for networks without a feature map of each frame). Bars: the share of each frame. "
            "Samples chosen at random, then the most confident mistakes."
        )
        figure = clip_saliency_figure(self._pictures(rows), heats, self.labels(rows))
        return FigureBlock("Which frames mattered, and where", figure, caption=caption)

    def _pictures(self, rows: Batch) -> list[NDArray[np.uint8]]:
        """Return the frames of each clip without padding: [T, H, W] grey or [T, H, W, 3] colour."""
        clips = (to_unit(rows["input"]).clamp(0, 1) * 255).round().byte()
        clips = centre(clips, self.spec.height, self.spec.width).movedim(2, 4)
        grey = self.spec.channels == 1
        pairs = zip(clips.numpy(), rows["length"].tolist(), strict=True)
        return [clip[:length, ..., 0] if grey else clip[:length] for clip, length in pairs]


def mirror(batch: Batch) -> Batch:
    """Return a batch of mirrored clips, or of the features of mirrored frames, which are the second of V views."""
    changed = {"features": batch["features"][:, :, 1:]} if "features" in batch else {}
    return {**batch, "input": batch["input"].flip(-1), **changed}
