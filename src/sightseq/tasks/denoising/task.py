"""Image denoising: a network removes noise; PSNR and SSIM measure the quality."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.augmentation import make_augmentations
from sightseq.core.blocks import Block
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.reservoir import Reservoir
from sightseq.core.scores import MeanLoss, Output, Score
from sightseq.core.task import Task
from sightseq.nets.pixels import to_unit
from sightseq.tasks.denoising.figures import pairs_figure, report_blocks
from sightseq.vision.denoising_spec import DenoisingSpec
from sightseq.vision.noise import make_noise
from sightseq.vision.quality import psnr, ssim

if TYPE_CHECKING:
    from sightseq.core.graph import Graph
    from sightseq.core.predictor import Predictor

SHOWN = 4  # images of each kind in the report
MEASURED = 300  # images whose PSNR is plotted in the report
MAX_PSNR = 1000.0  # dB: larger than any PSNR


class ImageMean(MeanLoss):
    """Mean over images of one value per image; inputs are the values, `level` and `index`, all [B].

    Padding rows are not counted.

    Args:
        level: only images with this noise level are counted; None: all images.
    """

    higher_is_better = True

    def __init__(self, level: float | None = None) -> None:
        super().__init__()
        self.level = level

    def update(self, values: Tensor, level: Tensor, index: Tensor) -> None:  # type: ignore[override]  # other inputs
        counted = index != PAD_INDEX
        if self.level is not None:
            counted &= level == self.level
        super().update(values[counted].sum(), counted.sum())


class DenoisingTask(Task):
    """Restores clean images from noisy ones.

    In training, the noise of the spec is drawn for each batch and added to the clean patches. Validation and test
    images are already noisy; the network gets each of them whole and unpadded.

    Args:
        augment: augmentations by name, each a `_target_` with arguments, applied in order to the clean training
            patches, or in the same way to both patches of a pair: see `vision.augmentation`.
        loss: "l1", the absolute error, or "l2", the squared error; averaged over pixels and channels.
        task: see `Task`. The network maps images [B, C, H, W] in 0..1 of any size and noise levels [B] (0..255) to
            images of the same shape: see `nets.denoising`.
    """

    net_kind: ClassVar[str] = "denoising"
    net_traits: ClassVar[frozenset[str]] = frozenset({"independent_rows"})
    monitor: ClassVar[str] = "val/psnr"
    headline: ClassVar[str] = "psnr"
    columns: ClassVar[tuple[str, ...]] = ("psnr", "ssim", "loss")
    spec: DenoisingSpec

    def __init__(self, *, augment: dict[str, Any] | None = None, loss: Literal["l1", "l2"] = "l1", **task: Any) -> None:
        super().__init__(**task)
        self.loss = loss
        self.noise = make_noise(self.spec.noise)
        self.augmentations = make_augmentations(augment)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's overloads
        self._worst, self._random, self._measured = Reservoir(SHOWN), Reservoir(SHOWN), Reservoir(MEASURED)

    @classmethod
    def example(cls) -> tuple[DenoisingSpec, Batch]:
        """Return six smooth colour images of 32 x 32 pixels with Gaussian noise of standard deviation 75 (0..255)."""
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(6, 3, 4, 4, generator=generator)
        clean = F.interpolate(coarse, (32, 32), mode="bilinear")
        noisy = clean + 75 / 255 * torch.randn(clean.shape, generator=generator)
        spec = DenoisingSpec(
            3, 32, 32, {"gaussian": {"_target_": "sightseq.vision.noise.Gaussian", "sigma": 75}}, (25.0,)
        )
        size = torch.full((6, 2), 32)
        rows = torch.arange(6)
        return spec, {"input": noisy, "target": clean, "level": torch.full((6,), 75.0), "size": size, "index": rows}

    @classmethod
    def predictor(cls) -> "type[Predictor]":
        """Return `DenoisingPredictor`: photographs to restored photographs."""
        from sightseq.tasks.denoising.predict import DenoisingPredictor

        return DenoisingPredictor

    @classmethod
    def graph(cls) -> "type[Graph]":
        """Return `DenoisingGraph`: noisy images of any size to restored images."""
        from sightseq.tasks.denoising.graph import DenoisingGraph

        return DenoisingGraph

    def plain(self) -> nn.Module:
        """Return `Restorer`."""
        from sightseq.tasks.denoising.plain import Restorer

        return Restorer(self.net, make_noise(self.spec.noise) if self.spec.noise else None, self.loss == "l1")

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return mean PSNR; in validation and test also mean SSIM, and the PSNR of each level if there are several."""
        colours = self.spec.colours
        scores = {"psnr": Score(ImageMean(), f"PSNR (dB, {colours})", ("psnr", "level", "index"))}
        if stage != "train":
            scores["ssim"] = Score(ImageMean(), "SSIM", ("ssim", "level", "index"))
            if len(self.spec.levels) > 1:
                for level in self.spec.levels:
                    title = f"PSNR at {level:g} (dB, {colours})"
                    scores[f"psnr_{level:g}"] = Score(ImageMean(level), title, ("psnr", "level", "index"))
        return scores

    @property
    def noise_map(self) -> bool:
        """Whether the network takes the noise level."""
        return bool(getattr(self.net, "noise_map", False))

    @property
    def default_level(self) -> float:
        """Noise level (0..255) used if none is given: the median of the test levels; 25 without test levels."""
        return sorted(self.spec.levels)[len(self.spec.levels) // 2] if self.spec.levels else 25.0

    def augment(self, batch: Batch) -> Batch:
        """Return augmented patches; noise is added to the clean ones, unless the data has noisy files."""
        batch = {**batch, "target": to_unit(batch["target"])}
        batch["input"] = to_unit(batch["input"]) if not self.spec.noise else batch["target"]
        for augmentation in self.augmentations:
            batch = augmentation(batch)
        if self.spec.noise:
            levels = self.noise.draw_levels(len(batch["target"])).to(batch["target"].device)
            noisy = self.noise(batch["target"], levels)
            batch = {**batch, "input": noisy, "level": levels[:, 0]}
        return batch

    def forward(self, images: Tensor, level: Tensor) -> Tensor:
        """Restore noisy images [B, C, H, W] in 0..1 with noise levels [B]; the result is float32, not clamped."""
        restored: Tensor = self.net(images, level).float()
        return restored

    def restore(self, images: Tensor, level: Tensor) -> Tensor:
        """Restore as `forward`, clamped to 0..1."""
        restored: Tensor = self(images, level)
        return restored.clamp(0, 1)

    def step(self, batch: Batch, stage: str) -> Output:
        """Compute the loss of one batch, and the quality of the restored images, clamped to 0..1.

        `values`: `prediction`, restored images [B, C, H, W], padded with 0; `psnr` [B]; in validation and test also
        `noisy_psnr` and `ssim` [B]; `level` and `index` [B].
        """
        noisy, clean, level = to_unit(batch["input"]), to_unit(batch["target"]), batch["level"]
        real = batch["index"] != PAD_INDEX
        values = {"level": level, "index": batch["index"]}
        if stage == "train":
            restored = self(noisy, level)
            error = self._error(restored, clean) * real
            values |= {"psnr": psnr(restored.detach().clamp(0, 1), clean), "prediction": restored}
            return Output(error.sum(), real.sum() * clean[0].numel(), values)
        restored, error, pixels = torch.zeros_like(clean), clean.new_zeros(len(clean)), clean.new_zeros(len(clean))
        values |= {name: clean.new_zeros(len(clean)) for name in ("psnr", "noisy_psnr", "ssim")}
        for rows, height, width in group_by_size(batch["size"]):
            images, truth = noisy[rows, :, :height, :width], clean[rows, :, :height, :width]
            output = self(images, level[rows])
            clamped = output.clamp(0, 1)
            restored[rows, :, :height, :width] = clamped
            error[rows], pixels[rows] = self._error(output, truth), float(truth[0].numel())
            values["psnr"][rows], values["ssim"][rows] = psnr(clamped, truth), ssim(clamped, truth)
            values["noisy_psnr"][rows] = psnr(images, truth)
        return Output((error * real).sum(), (pixels * real).sum(), {**values, "prediction": restored})

    def _error(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss [B] of each image, summed over its pixels and channels."""
        difference = restored - clean
        return (difference.abs() if self.loss == "l1" else difference.square()).flatten(1).sum(1)

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Tensor:
        """Return restored images [B, C, H, W] in 0..1."""
        return self.step(batch, "test").values["prediction"]

    def plot_batch(self, batch: Batch) -> Figure:
        """Plot noisy patches above the clean ones."""
        rows = slice(2 * SHOWN)
        return pairs_figure(to_unit(batch["input"][rows]).cpu(), to_unit(batch["target"][rows]).cpu())

    def collect_examples(self, batch: Batch, output: Output) -> None:
        """Keep the images with the lowest PSNR, some random images, and the PSNR of more images."""
        values = output.values
        real = batch["index"] != PAD_INDEX
        quality = {name: values[name] for name in ("psnr", "noisy_psnr", "level", "index")}
        images = {name: batch[name] for name in ("input", "target", "size")} | {"prediction": values["prediction"]}
        # A multiplicative hash of the index chooses random images, but the same ones in every run.
        key = torch.where(real, (batch["index"] * 2654435761 % 2**32).float(), -1.0)
        self._worst.add(torch.where(real, MAX_PSNR - values["psnr"], -1.0), {**images, **quality})
        self._random.add(key, {**images, **quality})
        self._measured.add(key, quality)

    def reset_examples(self) -> None:
        """Discard the images and scores that `collect_examples` has kept."""
        for reservoir in (self._worst, self._random, self._measured):
            reservoir.clear()

    def blocks(self, stage: str) -> list[Block]:
        """Return random images, the worst ones, the PSNR of each image, and the PSNR against the noise level."""
        return report_blocks(self._random.rows(), self._worst.rows(), self._measured.rows())


def group_by_size(size: Tensor) -> Sequence[tuple[Tensor, int, int]]:
    """Group the rows of a batch by image size.

    Args:
        size: heights and widths [B, 2].

    Returns:
        For each size: the indices of its rows, the height and the width.
    """
    unique, group = torch.unique(size, dim=0, return_inverse=True)
    return [((group == n).nonzero().flatten(), height, width) for n, (height, width) in enumerate(unique.tolist())]
