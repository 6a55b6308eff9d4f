"""Figures of lines of writing."""

import numpy as np

from sightseq.tasks.recognition.figures import AlignedLine, alignment_figure


def test_lines_of_unequal_width_have_the_same_scale() -> None:
    lines = [AlignedLine(np.zeros((8, width), np.uint8), "1", "1", [("1", 0, width)]) for width in (40, 80)]
    assert [axes.get_xlim() for axes in alignment_figure(lines).axes] == [(0, 80), (0, 80)]
