"""Figures of restored images for the report."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.loading import Batch
from sightseq.core.plots import BLUE, GREY, PALE, VERMILION, styled

ENLARGED_SIDE = 64  # pixels: side of the enlarged square
DIFFERENCE_GAIN = 4  # factor by which differences are multiplied


def report_blocks(random: Batch, worst: Batch, scores: Batch) -> list[Block]:
    """Return the blocks of a report; a batch without entries has no block.

    Args:
        random: random images: `input`, `prediction` and `target` [N, C, H, W], padded from `size` [N, 2], and `psnr`,
            `noisy_psnr`, `level` [N].
        worst: the images with the lowest PSNR, in the same form.
        scores: `psnr`, `noisy_psnr` and `level` [M] of more images.
    """
    columns = f"Whole image, then the framed square enlarged. Differences are multiplied by {DIFFERENCE_GAIN}."
    blocks: list[Block] = []
    for title, rows, choice in (
        ("Restored images", random, "Chosen at random"),
        ("Worst images", worst, "The lowest PSNR"),
    ):
        if rows:
            blocks.append(
                FigureBlock(
                    title,
                    restored_figure(rows),
                    caption=f"{choice}. {columns}",
                    columns=("noisy", "restored", "true", "noisy PSNR", "PSNR", "level"),
                    rows=[restored_row(rows, row) for row in range(len(rows["psnr"]))],
                )
            )
    if scores:
        blocks.append(FigureBlock("PSNR of each image", images_figure(scores), caption="Vertical lines: the gain."))
        if len(np.unique(scores["level"].numpy())) > 1:
            caption = "Each dot is an image; lines are means of images with similar noise levels."
            blocks.append(FigureBlock("PSNR against the noise level", level_figure(scores), caption=caption))
    return blocks


def restored_row(rows: Batch, row: int) -> list[float | NDArray[np.uint8]]:
    """Return the noisy, restored and true image, each uint8 [H, W] or [H, W, 3], and both PSNRs and the level."""
    height, width = rows["size"][row].tolist()
    images = [as_unit(rows[name][row])[:, :height, :width].clamp(0, 1) for name in ("input", "prediction", "target")]
    pictures = [(255 * image).round().byte().permute(1, 2, 0).numpy() for image in images]
    numbers = [float(rows[name][row]) for name in ("noisy_psnr", "psnr", "level")]
    return [*(picture[..., 0] if picture.shape[2] == 1 else picture for picture in pictures), *numbers]


@styled
def restored_figure(rows: Batch) -> Figure:
    """Plot, for each image, the true image and an enlarged square: noisy, restored, true, and their difference."""
    count = len(rows["psnr"])
    figure = Figure(figsize=(8, 1.85 * count))
    grid = figure.subplots(count, 5, squeeze=False)
    for row, cells in enumerate(grid):
        height, width = rows["size"][row].tolist()
        noisy, restored, clean = (
            as_unit(rows[name][row])[:, :height, :width] for name in ("input", "prediction", "target")
        )
        top, left, side = most_detailed_square(clean)
        square = (slice(None), slice(top, top + side), slice(left, left + side))
        draw_image(cells[0], clean, f"level {rows['level'][row]:g}")
        cells[0].add_patch(Rectangle((left, top), side, side, fill=False, color=VERMILION, linewidth=1.2))
        draw_image(cells[1], noisy[square], f"noisy {rows['noisy_psnr'][row]:.2f} dB")
        draw_image(cells[2], restored[square], f"restored {rows['psnr'][row]:.2f} dB")
        draw_image(cells[3], clean[square], "true")
        draw_image(cells[4], 0.5 + DIFFERENCE_GAIN * (restored - clean)[square], "difference")
    return figure


@styled
def images_figure(rows: Batch) -> Figure:
    """Plot the PSNR of each restored image, in ascending order, and of its noisy image."""
    figure = Figure(figsize=(7, 3.4))
    axes = figure.subplots()
    order = rows["psnr"].argsort()
    before, after = (rows[name][order].numpy() for name in ("noisy_psnr", "psnr"))
    ranks = np.arange(1, len(after) + 1)
    axes.vlines(ranks, before, after, color=PALE, linewidth=1)
    axes.plot(ranks, after, "o", color=BLUE, label="restored")
    axes.plot(ranks, before, "o", color=GREY, label="noisy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="images, sorted by PSNR", ylabel="PSNR (dB)")
    axes.legend()
    axes.grid(axis="y")
    return figure


@styled
def level_figure(rows: Batch) -> Figure:
    """Plot the PSNR of noisy and restored images against the noise level."""
    figure = Figure(figsize=(6, 3.6))
    axes = figure.subplots()
    level = rows["level"].numpy()
    levels = np.unique(level)
    centres = levels if len(levels) <= 10 else np.quantile(level, np.linspace(0.05, 0.95, 10))
    nearest = np.abs(level[:, None] - centres).argmin(1)
    for name, label, colour in (("psnr", "restored", BLUE), ("noisy_psnr", "noisy", GREY)):
        values = rows[name].numpy()
        axes.scatter(level, values, 8, colour, alpha=0.35)
        axes.plot(centres, [values[nearest == n].mean() for n in range(len(centres))], "o-", color=colour, label=label)
    axes.set(xlabel="noise level (0..255)", ylabel="PSNR (dB)")
    axes.legend()
    axes.grid()
    return figure


@styled
def pairs_figure(noisy: Tensor, clean: Tensor) -> Figure:
    """Plot noisy images [N, C, H, W] in 0..1 above the clean ones."""
    figure = Figure(figsize=(min(8, 1.3 * len(noisy)), 2.9))
    grid = figure.subplots(2, len(noisy), squeeze=False)
    for cells, images, title in zip(grid, (noisy, clean), ("noisy", "clean"), strict=True):
        for column, (axes, image) in enumerate(zip(cells, images, strict=True)):
            draw_image(axes, image.float(), title if column == 0 else "")
    return figure


def draw_image(axes: Axes, image: Tensor, title: str) -> None:
    """Draw an image [C, H, W] of values in 0..1."""
    axes.imshow(to_bytes(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=8.5)


def to_bytes(image: Tensor) -> NDArray[np.uint8]:
    """Convert [C, H, W] in 0..1 to bytes: [H, W] for grey, [H, W, 3] for colour."""
    pixels: NDArray[np.uint8] = (image.clamp(0, 1) * 255).round().byte().numpy()
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


def as_unit(image: Tensor) -> Tensor:
    """Convert bytes to floats in 0..1; floats are not changed."""
    return image if image.is_floating_point() else image.float() / 255


def most_detailed_square(image: Tensor) -> tuple[int, int, int]:
    """Return top, left and side, in pixels, of the square of an image [C, H, W] with the largest variance."""
    grey = image.mean(0)[None, None]
    side = min(ENLARGED_SIDE, *grey.shape[-2:])
    mean, square = (torch.nn.functional.avg_pool2d(map, side, max(1, side // 4)) for map in (grey, grey**2))
    variance = (square - mean**2)[0, 0]
    row, column = divmod(int(variance.argmax()), variance.shape[1])
    return row * max(1, side // 4), column * max(1, side // 4), side
