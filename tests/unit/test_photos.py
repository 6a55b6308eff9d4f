"""Photographs as an array, for data with or without labels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightseq.core.errors import DataError
from sightseq.data.image.photos import read_photos


def test_photos_are_cropped_to_the_array_and_bad_ones_are_named(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number in (0, 2):
        Image.new("RGB", (12 + 6 * number, 10), (10 * number, 0, 0)).save(files[number])
    files[1].write_bytes(b"no photograph")
    pixels = np.full((3, 3, 4, 6), 7, np.uint8)
    assert read_photos(files, pixels, name="noisy", corrupt="skip") == [1]
    assert [np.unique(row[0]).tolist() for row in pixels] == [[0], [7], [20]]
    with pytest.raises(DataError, match=r"noisy: .*1\.png.*data\.corrupt=skip"):
        read_photos(files, pixels, name="noisy")
    assert read_photos(files, pixels, name="noisy", read=lambda file: np.full((3, 4, 6), 9, np.uint8)) == []
    assert np.unique(pixels).tolist() == [9]
