"""Columns on disk: with samples of one shape, and with samples of different lengths."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightseq.core import arrays
from sightseq.core.arrays import ArrayDataset, Ragged, RaggedWriter, map_arrays, read_arrays, save_split

TOKENS = [np.array(row, np.uint16) for row in ([5, 6, 7], [], [65535])]
BOXES = [np.arange(4 * count, dtype=np.float32).reshape(count, 4) + 0.5 for count in (0, 2, 1)]
WAVES = [np.array(row, np.float32) for row in ([0.5], [0.25, -0.25], [])]
TARGET = np.array([2, 0, 1])


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A split of four columns; `input` sets the padding and the dtype of its batches."""
    tokens = Ragged.of(TOKENS, np.int64(-1))
    save_split(tmp_path, "train", input=tokens, boxes=Ragged.of(BOXES), wave=Ragged.of(WAVES), target=TARGET)
    return tmp_path / "train"


@pytest.mark.parametrize("small", [True, False])
def test_ragged_columns_round_trip(split: Path, small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "IN_MEMORY", 2**20 if small else 0)
    found = read_arrays(split)
    assert sorted(found) == ["boxes", "input", "target", "wave"]
    for name, rows in {"input": TOKENS, "boxes": BOXES, "wave": WAVES}.items():
        column = found[name]
        assert (type(column), len(column)) == (Ragged, 3)
        assert isinstance(column.values, np.memmap) is not small
        assert column.values.dtype == rows[0].dtype
        assert column.lengths.tolist() == [len(row) for row in rows]
        assert all(np.array_equal(column.row(number), row) for number, row in enumerate(rows))
    assert found["target"].tolist() == [2, 0, 1]


def test_a_batch_is_padded_and_contains_its_lengths(split: Path) -> None:
    dataset = ArrayDataset(read_arrays(split), np.array([0, 1, 2]))
    batch = dataset[torch.tensor([2, 0, 1, -1])]
    assert batch["input"].tolist() == [[65535, -1, -1], [5, 6, 7], [-1, -1, -1], [5, 6, 7]]
    assert batch["input"].dtype == torch.int64  # the dtype of its padding
    assert batch["input_length"].tolist() == [1, 3, 0, 3]
    assert batch["boxes"].shape == (4, 2, 4)
    assert batch["boxes"][0].tolist() == [[0.5, 1.5, 2.5, 3.5], [0, 0, 0, 0]]
    assert batch["boxes"][2].tolist() == BOXES[1].tolist()
    assert batch["boxes_length"].tolist() == [1, 0, 2, 0]
    assert batch["wave"].dtype == torch.float32
    assert batch["wave"].tolist() == [[0, 0], [0.5, 0], [0.25, -0.25], [0.5, 0]]
    assert batch["target"].tolist() == [1, 2, 0, 2]
    assert batch["index"].tolist() == [2, 0, 1, -1]
    assert dataset[0]["boxes"].shape == (0, 4)  # a sample without boxes


def test_batches_have_inputs_of_similar_length(split: Path) -> None:
    columns = read_arrays(split)
    lengths = ArrayDataset(columns, np.array([0, 2])).lengths
    assert lengths is not None
    assert lengths.tolist() == [3, 1]
    assert ArrayDataset({"boxes": columns["boxes"]}, np.array([0, 2])).lengths is None


def test_rows_of_a_split_without_padding(split: Path) -> None:
    dataset = ArrayDataset(read_arrays(split), np.array([0, 2]))
    found: Any = dataset.numpy()["input"]
    assert [found.row(number).tolist() for number in range(len(found))] == [[5, 6, 7], [65535]]
    assert [len(chunk["boxes"].values) for chunk in dataset.chunks(1)] == [0, 1]


def test_a_column_is_written_one_sequence_at_a_time(tmp_path: Path) -> None:
    writers = {
        "tokens": RaggedWriter(tmp_path / "tokens.npy", np.uint16, padding=np.int64(3)),
        "boxes": RaggedWriter(tmp_path / "boxes.npy", np.float32, (4,)),
        "empty": RaggedWriter(tmp_path / "empty.npy", np.int32),
    }
    for tokens, boxes in zip(TOKENS, BOXES, strict=True):
        writers["tokens"].append(tokens.astype(np.int64))
        writers["boxes"].append(boxes)
    for writer in writers.values():
        writer.close()
    found = map_arrays(tmp_path)
    assert all(np.array_equal(found["tokens"].row(n), row) for n, row in enumerate(TOKENS))
    assert found["tokens"].values.dtype == np.uint16
    assert found["tokens"].padded(np.array([1, 2]))[0].tolist() == [[3], [65535]]
    assert all(np.array_equal(found["boxes"].row(n), row) for n, row in enumerate(BOXES))
    assert len(found["empty"]) == 0
