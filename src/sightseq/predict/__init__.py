"""Using a trained model."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt

from sightseq.core.build import settings, trust
from sightseq.core.checkpoint import load_task
from sightseq.core.errors import CheckpointError
from sightseq.core.rundir import Config
from sightseq.predict.images import ImageModel, predict_files
from sightseq.predict.language import LanguageModel, predict_language
from sightseq.predict.texts import TextModel, predict_texts
from sightseq.tasks.image_classification import ImageClassificationTask
from sightseq.tasks.language_modeling import LanguageModelingTask
from sightseq.tasks.text_classification import TextClassificationTask

__all__ = ["ImageModel", "LanguageModel", "TextModel", "load", "predict"]


class Settings(BaseModel):
    """What the settings of `sightseq predict` may be."""

    format: Literal["table", "jsonl"]
    mode: Literal["generate", "next_word"]
    batch_size: PositiveInt
    tokens: PositiveInt
    samples: PositiveInt
    top: PositiveInt
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    top_k: PositiveInt | None
    top_p: Annotated[float, Field(gt=0, le=1)]
    repetition_penalty: PositiveFloat
    stop: list[Annotated[str, Field(min_length=1)]]
    seed: int
    device: str


def load(path: str | Path, device: str = "auto") -> ImageModel | TextModel | LanguageModel:
    """The model in a checkpoint (or in a run directory), ready to predict.

    Raises:
        CheckpointError: the file is no checkpoint of sightseq, or of a task that predict does not know.
        ConfigError: the device is not there.
    """
    task = load_task(Path(path))
    if isinstance(task, ImageClassificationTask):
        return ImageModel(task, device)
    if isinstance(task, TextClassificationTask):
        return TextModel(task, device)
    if isinstance(task, LanguageModelingTask):
        return LanguageModel(task, device)
    raise CheckpointError(f"{path}: holds a {type(task).__name__}, which predict does not know")


def predict(config: Config) -> int:
    """`sightseq predict`: prints what the model says of the input; the exit status is 2 if any of it cannot be read."""
    config = settings(config, Settings)
    trust(config["trust"])
    model = load(config["ckpt"], config["device"])
    if isinstance(model, LanguageModel):
        return predict_language(model, config)
    return predict_texts(model, config) if isinstance(model, TextModel) else predict_files(model, config)
