"""Using a trained model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from sightseq.core.build import trust as trust_packages
from sightseq.core.build import validated
from sightseq.core.checkpoint import load_task
from sightseq.core.errors import CheckpointError, ConfigError, nearest
from sightseq.core.places import conf_folder
from sightseq.core.rundir import Config
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.predict import Common
from sightseq.tasks.classification.predict_images import ImageModel, predict_files
from sightseq.tasks.classification.predict_texts import TextModel, predict_texts
from sightseq.tasks.classification.texts import TextClassificationTask
from sightseq.tasks.language_modeling.predict import LanguageModel, predict_language
from sightseq.tasks.language_modeling.task import LanguageModelingTask

__all__ = ["ImageModel", "LanguageModel", "TextModel", "load", "options_help", "predict"]

Options = TypeVar("Options", bound=BaseModel)
COMMON = {"ckpt", "input", "paths", *Common.model_fields}


def load(path: str | Path, device: str = "auto", trust: Iterable[str] = ()) -> ImageModel | TextModel | LanguageModel:
    """The model in a checkpoint, ready to predict.

    Args:
        path: of the file, or of what stands for it: see `core.rundir.find_checkpoint`.
        device: see `Model`.
        trust: further packages whose classes the checkpoint may name.

    Raises:
        CheckpointError: the file is no checkpoint of sightseq, or of a task that predict does not know.
        ConfigError: the device is not there.
    """
    trust_packages(trust)
    task = load_task(Path(path))
    if isinstance(task, ImageClassificationTask):
        return ImageModel(task, device)
    if isinstance(task, TextClassificationTask):
        return TextModel(task, device)
    if isinstance(task, LanguageModelingTask):
        return LanguageModel(task, device)
    raise CheckpointError(f"{path}: holds a {type(task).__name__}, which predict does not know")


def predict(config: Config) -> int:
    """`sightseq predict`: prints what the model says of the inputs; the exit status is 2 if any cannot be read.

    Raises:
        ConfigError: the model has no such option, or a value does not fit.
    """
    common = validated(config, Common)
    trust_packages(common.trust)
    model = load(config["ckpt"], common.device)
    typed = {name: value for name, value in config.items() if name not in COMMON}
    given = config["input"]
    inputs = [given] if isinstance(given, str) else list(map(str, given))
    if isinstance(model, LanguageModel):
        return predict_language(model, inputs, common.format, options(typed, model.Settings))
    if isinstance(model, TextModel):
        return predict_texts(model, inputs, common.format, options(typed, model.Settings))
    return predict_files(model, inputs, common.format, options(typed, model.Settings))


def options(typed: dict[str, Any], kind: type[Options]) -> Options:
    """A model's own options.

    Raises:
        ConfigError: it has no such option, or a value does not fit.
    """
    own = kind.model_fields
    for name, value in typed.items():
        if name not in own:
            hint = nearest(name, COMMON - {"paths"} | set(own))
            if "did you mean" not in hint:
                hint = f"its own are {', '.join(own)}"
            raise ConfigError(f"{name}={value}: this model has no option {name!r}; {hint}")
    return validated(typed, kind)


def options_help(config: Config) -> str:
    """What `sightseq predict ckpt=PATH --help` prints: the options that all models have, and this one's own."""
    model = load(config["ckpt"], "cpu", config["trust"])
    lines = (conf_folder() / "predict.yaml").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("ckpt:"))
    common = lines[first : lines.index("", first)]
    own = [
        f"{f'{name}: {_typed(field.default)}':<22} # {field.description}"
        for name, field in model.Settings.model_fields.items()
    ]
    head = f"sightseq predict ckpt={config['ckpt']} input=...: the options of this {type(model).__name__}"
    return "\n".join([head, "", *common, "", *own])


def _typed(value: Any) -> str:
    """A default as one types it."""
    return "null" if value is None else str(value)
