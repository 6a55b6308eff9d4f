"""Captions in the report: images with captions and references, and the attention to each word."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from sightseq.core.blocks import Block, FigureBlock
from sightseq.core.loading import Batch
from sightseq.tasks.captioning.figures import attention_figure, captions_figure
from sightseq.tasks.conditional_generation.attention import attention_weights
from sightseq.text.batch import to_texts
from sightseq.text.consensus import CiderD

if TYPE_CHECKING:
    from sightseq.tasks.captioning.task import CaptioningTask

SHOWN = 10  # bad captions
ATTENDED = 3  # images in the attention figure


def captions_block(task: "CaptioningTask", rows: Batch) -> Block:
    """Return the figure of some images with their captions.

    Args:
        task: the task.
        rows: `input`, and `hypothesis` and `reference` as `ConditionalGenerationTask.compared` returns them.
    """
    images, texts, references = task.examples(rows["input"]), to_texts(rows["hypothesis"]), _references(rows)
    return FigureBlock(
        "Captions",
        captions_figure(images, texts, references),
        caption="Images chosen at random. Grey: references.",
        columns=("image", "caption", "references"),
        rows=list(zip(images, texts, map("\n".join, references), strict=True)),
    )


def worst_block(task: "CaptioningTask", rows: Batch, corpus: Sequence[Sequence[str]]) -> Block:
    """Return the figure of the captions with the lowest CIDEr.

    Args:
        task: the task.
        rows: candidates: see `captions_block`.
        corpus: normalised references of all images, for the document frequencies.
    """
    texts, references = to_texts(rows["hypothesis"]), _references(rows)
    normalised = [task.normalise(text) for text in texts], [list(map(task.normalise, few)) for few in references]
    cider = 100 * CiderD(corpus).scores(*normalised)
    worst = np.argsort(cider, kind="stable")[:SHOWN]
    images = task.examples(rows["input"][torch.from_numpy(worst)])
    figure = captions_figure(
        images, [f"{texts[row]} ({cider[row]:.0f})" for row in worst], [references[row] for row in worst]
    )
    caption = (
        f"Of the {len(texts)} captions with the lowest chrF those with the lowest CIDEr, which is in brackets. "
        "Grey: references."
    )
    return FigureBlock(
        "Worst captions",
        figure,
        caption=caption,
        columns=("image", "caption", "CIDEr", "references"),
        rows=[
            (image, texts[row], float(cider[row]), "\n".join(references[row]))
            for image, row in zip(images, worst, strict=True)
        ],
    )


def attention_block(task: "CaptioningTask", rows: Batch) -> Block | None:
    """Return the attention of a few captions; None if the network has no attention.

    Args:
        task: the task.
        rows: what `task.encode` reads, `input`, and `tokens` as `ConditionalGenerationTask.compared` returns them.
    """
    batch = {name: tensor[:ATTENDED] for name, tensor in rows.items()}
    weights = attention_weights(task, batch)
    if weights is None:
        return None
    height, width = task.net.encoder.grid
    maps = [row[:-1].reshape(-1, height, width) for row in weights]  # without EOS
    words = [task.tokenizer.pieces(row[: len(one)]) for row, one in zip(batch["tokens"].tolist(), maps, strict=True)]
    caption = "For each word of the caption, what the decoder attended to is bright, relative to its largest weight."
    return FigureBlock("Attention", attention_figure(task.examples(batch["input"]), words, maps), caption=caption)


def _references(rows: Batch) -> list[list[str]]:
    return [text.split("\n") for text in to_texts(rows["reference"])]
