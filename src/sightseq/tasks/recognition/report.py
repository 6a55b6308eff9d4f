"""Blocks of the report about recognisers."""

from typing import TYPE_CHECKING, Any

from sightseq.core.blocks import Block, TableBlock
from sightseq.core.loading import Batch
from sightseq.text.batch import to_texts
from sightseq.text.edits import error_rate

if TYPE_CHECKING:
    from sightseq.tasks.recognition.task import RecognitionTask

CONFUSIONS = 20  # lines of the table of confused characters
NAMES = {"": "nothing", " ": "space"}


def transcripts_block(title: str, rows: Batch, caption: str) -> Block:
    """Return a table of transcripts with their references."""
    texts = zip(to_texts(rows["hypothesis"]), to_texts(rows["reference"]), rows["characters"], strict=True)
    cells: list[list[str | float]] = [[text, reference, error_rate(counts[None])] for text, reference, counts in texts]
    return TableBlock(
        title,
        ["transcript", "reference", "character error rate"],
        cells,
        caption=caption,
        percent=("character error rate",),
    )


def most_confused(task: "RecognitionTask", stage: str) -> list[list[Any]]:
    """Return the most frequent edits: [read, true character, count], "" for nothing."""
    counts = task.scoreboard.metrics(stage)["confusions"].compute().cpu().clone()
    counts.fill_diagonal_(0)
    values, places = counts.flatten().topk(min(CONFUSIONS, counts.numel()))
    labels = task.alphabet.labels
    return [
        [labels[place // len(labels)], labels[place % len(labels)], count]
        for count, place in zip(values.tolist(), places.tolist(), strict=True)
        if count
    ]


def confusions_block(task: "RecognitionTask", stage: str) -> Block:
    """Return a table of the most frequent edits."""
    rows = [[NAMES.get(read, read), NAMES.get(true, true), count] for read, true, count in most_confused(task, stage)]
    caption = "Characters that are read for others, left out (read as nothing) or invented (nothing was there)."
    return TableBlock("Confused characters", ["read as", "true character", "count"], rows, caption=caption)
