"""Scores of anomaly detection."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from torch import Tensor
from torchmetrics import Metric

from sightseq.core.loading import PAD_INDEX
from sightseq.core.spec import LabelledSpec


class Windows(Metric):
    """Collects the windows of a split as [N, 4]: index, error, whether it is an anomaly (0 or 1), and recording.

    Reads these columns, each [B]; rows with the index -1 are left out. Sorted by index, so the order of batches does
    not matter.
    """

    full_state_update = False
    higher_is_better: bool | None = True
    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, index: Tensor, error: Tensor, anomaly: Tensor, recording: Tensor) -> None:
        columns = torch.stack([column.double() for column in (index, error, anomaly, recording)], dim=1)
        self.rows.append(columns[index != PAD_INDEX])

    def windows(self) -> Tensor:
        """Return the windows [N, 4]."""
        rows = self.rows if isinstance(self.rows, list) else [self.rows]  # a tensor if reduced over processes
        found = torch.cat([torch.zeros(0, 4, dtype=torch.float64), *(part.cpu() for part in rows)])
        return found[found[:, 0].argsort(stable=True)]

    def compute(self) -> Tensor:
        return self.windows()


class Ranking(Windows):
    """How well the error ranks anomalies above normal windows: see `ranking_scores`; NaN without both kinds.

    Args:
        name: "auroc" or "average_precision".
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def compute(self) -> Tensor:
        _, error, anomaly, _ = self.windows().numpy().T
        return torch.tensor(ranking_scores(error, anomaly)[self.name])


class EventF1(Windows):
    """F1 of recordings at a threshold: see `event_f1`. Reads the threshold, a scalar, after the other columns."""

    threshold: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("threshold", torch.tensor(torch.inf), dist_reduce_fx="max")

    def update(  # type: ignore[override]  # one more column
        self, index: Tensor, error: Tensor, anomaly: Tensor, recording: Tensor, threshold: Tensor
    ) -> None:
        super().update(index, error, anomaly, recording)
        self.threshold = threshold

    def compute(self) -> Tensor:
        _, error, anomaly, recording = self.windows().numpy().T
        return torch.tensor(event_f1(error, anomaly, recording, float(self.threshold)))


def unusual(spec: LabelledSpec) -> list[bool]:
    """Return for each class whether it is an anomaly: the training split has none of its windows."""
    return [count == 0 for count in spec.counts] or [False] * len(spec.classes)


def ranking_scores(error: NDArray[Any], anomaly: NDArray[Any]) -> dict[str, float]:
    """Return how well errors rank windows: the areas under the ROC curve and the precision-recall curve.

    Args:
        error: of each window [N].
        anomaly: whether it is an anomaly [N].

    Returns:
        `auroc` and `average_precision`; NaN if all windows are of one kind.
    """
    if not 0 < anomaly.sum() < len(anomaly):
        return {"auroc": np.nan, "average_precision": np.nan}
    return {
        "auroc": float(roc_auc_score(anomaly, error)),
        "average_precision": float(average_precision_score(anomaly, error)),
    }


def event_f1(error: NDArray[Any], anomaly: NDArray[Any], recording: NDArray[Any], threshold: float) -> float:
    """Return F1 where an event is a recording, and is reported if the error of any of its windows is above a threshold.

    Args:
        error: see `ranking_scores`.
        anomaly: see `ranking_scores`; all windows of a recording are of one kind.
        recording: which recording each window is from [N].
        threshold: see above.
    """
    names, place = np.unique(recording, return_inverse=True)
    true, reported = np.zeros((2, len(names)), bool)
    true[place[anomaly > 0]] = True
    reported[place[error > threshold]] = True
    return float(f1_score(true, reported, zero_division=0.0))
