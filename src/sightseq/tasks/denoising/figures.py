"""What the report shows of restored images."""

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

ENLARGED = 64  # pixels of the enlarged square
AMPLIFIED = 4  # factor by which differences are drawn


def report_blocks(some: Batch, worst: Batch, measured: Batch) -> list[Block]:
    """The blocks of a report.

    Args:
        some: random images: `input`, `prediction` and `target` [N, C, H, W], `size` [N, 2] (padded images), and
            `psnr`, `noisy_psnr`, `level` [N]; may be empty.
        worst: those with the lowest PSNR.
        measured: `psnr`, `noisy_psnr` and `level` of many images.
    """
    how = f"Whole image, then the framed square enlarged. Differences from the true image are drawn x {AMPLIFIED}."
    blocks: list[Block] = []
    if some:
        blocks.append(FigureBlock("Restored images", restored_figure(some), caption=f"Chosen at random. {how}"))
    if worst:
        blocks.append(FigureBlock("Worst images", restored_figure(worst), caption=f"The lowest PSNR. {how}"))
    if measured:
        blocks.append(FigureBlock("PSNR image by image", images_figure(measured), caption="Lines: the gain."))
        if len(np.unique(measured["level"].numpy())) > 1:
            caption = "Each dot is an image; lines are means of images of about one noise level."
            blocks.append(FigureBlock("PSNR against the noise level", level_figure(measured), caption=caption))
    return blocks


@styled
def restored_figure(rows: Batch) -> Figure:
    """For each image: the true one, and an enlarged square of it noisy, restored, true, and what differs."""
    count = len(rows["psnr"])
    figure = Figure(figsize=(8, 1.85 * count))
    grid = figure.subplots(count, 5, squeeze=False)
    for place, cells in enumerate(grid):
        height, width = rows["size"][place].tolist()
        noisy, restored, clean = (
            as_unit(rows[name][place])[:, :height, :width] for name in ("input", "prediction", "target")
        )
        top, left, side = busiest(clean)
        square = (slice(None), slice(top, top + side), slice(left, left + side))
        show(cells[0], clean, f"level {rows['level'][place]:g}")
        cells[0].add_patch(Rectangle((left, top), side, side, fill=False, color=VERMILION, linewidth=1.2))
        show(cells[1], noisy[square], f"noisy {rows['noisy_psnr'][place]:.2f} dB")
        show(cells[2], restored[square], f"restored {rows['psnr'][place]:.2f} dB")
        show(cells[3], clean[square], "true")
        show(cells[4], 0.5 + AMPLIFIED * (restored - clean)[square], "difference")
    return figure


@styled
def images_figure(rows: Batch) -> Figure:
    """PSNR of each restored image in ascending order, above that of the noisy image."""
    figure = Figure(figsize=(7, 3.4))
    axes = figure.subplots()
    order = rows["psnr"].argsort()
    before, after = (rows[name][order].numpy() for name in ("noisy_psnr", "psnr"))
    places = np.arange(1, len(after) + 1)
    axes.vlines(places, before, after, color=PALE, linewidth=1)
    axes.plot(places, after, "o", color=BLUE, label="restored")
    axes.plot(places, before, "o", color=GREY, label="noisy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="image, from the worst to the best", ylabel="PSNR (dB)")
    axes.legend()
    axes.grid(axis="y")
    return figure


@styled
def level_figure(rows: Batch) -> Figure:
    """PSNR of noisy and of restored images against the noise level."""
    figure = Figure(figsize=(6, 3.6))
    axes = figure.subplots()
    level = rows["level"].numpy()
    levels = np.unique(level)
    edges = levels if len(levels) <= 10 else np.quantile(level, np.linspace(0.05, 0.95, 10))
    nearest = np.abs(level[:, None] - edges).argmin(1)
    for name, label, colour in (("psnr", "restored", BLUE), ("noisy_psnr", "noisy", GREY)):
        values = rows[name].numpy()
        axes.scatter(level, values, 8, colour, alpha=0.35)
        axes.plot(edges, [values[nearest == n].mean() for n in range(len(edges))], "o-", color=colour, label=label)
    axes.set(xlabel="noise level (0..255)", ylabel="PSNR (dB)")
    axes.legend()
    axes.grid()
    return figure


@styled
def pairs_figure(noisy: Tensor, clean: Tensor) -> Figure:
    """Noisy images [N, C, H, W] in 0..1 above clean ones."""
    figure = Figure(figsize=(min(8, 1.3 * len(noisy)), 2.9))
    grid = figure.subplots(2, len(noisy), squeeze=False)
    for cells, images, title in zip(grid, (noisy, clean), ("noisy", "clean"), strict=True):
        for place, (axes, image) in enumerate(zip(cells, images, strict=True)):
            show(axes, image.float(), title if place == 0 else "")
    return figure


def show(axes: Axes, image: Tensor, title: str) -> None:
    """Draw an image [C, H, W] of values in 0..1."""
    axes.imshow(to_bytes(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=8.5)


def to_bytes(image: Tensor) -> NDArray[np.uint8]:
    """[C, H, W] in 0..1 to [H, W] for grey, [H, W, 3] for colour."""
    pixels: NDArray[np.uint8] = (image.clamp(0, 1) * 255).round().byte().numpy()
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


def as_unit(image: Tensor) -> Tensor:
    """Bytes or floats to floats in 0..1."""
    return image if image.is_floating_point() else image.float() / 255


def busiest(image: Tensor) -> tuple[int, int, int]:
    """Top, left and side of the square with the most detail: the largest variance of [C, H, W]."""
    grey = image.mean(0)[None, None]
    side = min(ENLARGED, *grey.shape[-2:])
    mean, square = (torch.nn.functional.avg_pool2d(map, side, max(1, side // 4)) for map in (grey, grey**2))
    variance = (square - mean**2)[0, 0]
    place = int(variance.argmax())
    row, column = divmod(place, variance.shape[1])
    return row * max(1, side // 4), column * max(1, side // 4), side
