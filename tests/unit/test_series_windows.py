"""Windows of time series: origins, batches, padding, pickling."""

import pickle
from typing import Any

import numpy as np
import torch

from sightseq.data.series.windows import WindowDataset, find_origins


def arrays() -> dict[str, Any]:
    """Two series of 6 and 4 rows, two input columns, one target with a missing value in row 4."""
    values = np.stack([np.arange(10.0), np.arange(10.0) * 10], axis=1).astype(np.float32)
    target = values[:, :1].copy()
    target[4] = np.nan
    return {
        "values": values,
        "target": target,
        "known": np.arange(30, dtype=np.float32).reshape(10, 3),
        "time": np.arange(10) * 3600,
        "ends": np.array([6, 10]),
        "scale": np.array([[0.5], [2.0]], np.float32),
        "level": np.arange(100, 110, dtype=np.float32)[:, None],
    }


def test_origins_by_hand() -> None:
    assert find_origins(np.array([6, 10]), 2, 2).tolist() == [2, 3, 4, 8]
    assert find_origins(np.array([3, 10, 12, 17]), 2, 1).tolist() == [2, 5, 6, 7, 8, 9, 14, 15, 16]
    assert find_origins(np.array([3, 6]), 3, 1).tolist() == []


def test_a_batch_by_hand() -> None:
    dataset = WindowDataset(arrays(), np.array([3, 8]), 2, 2)
    batch = dataset[torch.tensor([1, 0, -1])]
    assert batch["input"].tolist() == [[[6, 60], [7, 70]], [[1, 10], [2, 20]], [[1, 10], [2, 20]]]
    np.testing.assert_array_equal(batch["target"][:2, :, 0].numpy(), [[8, 9], [3, np.nan]])
    assert batch["known"][0, :, 0].tolist() == [18, 21, 24, 27]
    assert batch["time"][0].tolist() == [21600, 25200, 28800, 32400]
    assert batch["series"].tolist() == [1, 0, 0]
    assert batch["scale"].tolist() == [[2.0], [0.5], [0.5]]
    assert batch["level"].tolist() == [[107.0], [102.0], [102.0]]
    assert batch["index"].tolist() == [8, 3, -1]
    assert batch["input"].dtype == batch["target"].dtype == torch.float32


def test_a_dataset_is_pickled_without_its_windows() -> None:
    columns = arrays()
    columns["values"] = np.zeros((10_000, 2), np.float32)
    dataset = WindowDataset(columns, np.array([3, 8]), 2, 2)
    assert dataset._views["values"].nbytes > columns["values"].nbytes
    content = pickle.dumps(dataset)
    assert len(content) < 1.2 * columns["values"].nbytes
    twin = pickle.loads(content)
    assert torch.equal(twin[torch.tensor([0])]["input"], dataset[torch.tensor([0])]["input"])


def test_chunks_are_batches_in_order() -> None:
    dataset = WindowDataset(arrays(), np.array([2, 3, 8]), 2, 2)
    assert [chunk["index"].tolist() for chunk in dataset.chunks(2)] == [[2, 3], [8]]
    assert dataset.numpy()["series"].tolist() == [0, 0, 1]
