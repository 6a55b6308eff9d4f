"""What the predictors of all classifiers have in common."""

from typing import ClassVar

from pydantic import Field, PositiveInt

from sightseq.core import predictor
from sightseq.core.loading import Batch
from sightseq.core.predictor import Predictor, Row
from sightseq.tasks.classification.task import ClassificationTask

TOP = 5


class Settings(predictor.Settings):
    """The options of a classifier."""

    top: PositiveInt = Field(TOP, description="how many of the most probable labels are listed")


class ClassPredictor(Predictor):
    """A trained classifier; subclasses read its inputs. Arguments and errors: see `Predictor`.

    The row of each input has its `label`, the label's `probability` (0..1), and `top`: the most probable labels (all,
    if there are fewer than asked for) with their probabilities, the most probable first.
    """

    Settings: ClassVar[type[Settings]] = Settings
    task: ClassificationTask

    def predict_batch(self, batch: Batch, top: int = TOP) -> list[Row]:
        """The row of each sample of a batch, whose tensors may be on any device."""
        batch = {name: tensor.to(self.task.device) for name, tensor in batch.items()}
        classes = self.task.spec.classes
        values, places = self.task.predict_step(batch).cpu().topk(min(top, len(classes)))
        best = [
            [(classes[place], round(value, 6)) for place, value in zip(*row, strict=True)]
            for row in zip(places.tolist(), values.tolist(), strict=True)
        ]
        return [{"label": row[0][0], "probability": row[0][1], "top": [list(pair) for pair in row]} for row in best]

    def cells(self, row: Row) -> dict[str, str]:
        """The label, its probability, and the most probable labels if several are listed."""
        cells = {"label": row["label"], "probability": f"{100 * row['probability']:.1f} %"}
        if (top := len(row["top"])) > 1:
            cells[f"top {top}"] = "  ".join(f"{label} {100 * p:.1f}" for label, p in row["top"])
        return cells
