"""Using a trained classifier of images: from files, pictures or arrays to labels."""

import glob
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from sightseq.console import console
from sightseq.core.errors import InputError
from sightseq.core.order import Batch
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.predict import TOP, Model, Prediction, Settings, verdict, verdicts
from sightseq.vision.image import SUFFIXES, FaceWarning, image_files, read_image

Input = str | Path | Image.Image | NDArray[np.uint8]


class ImageModel(Model):
    """A trained classifier of images. Arguments and errors: see `Model`."""

    task: ImageClassificationTask

    def predict(self, inputs: Sequence[Input], batch_size: int = 64, top: int = TOP) -> list[Prediction]:
        """What the model sees in each input.

        Args:
            inputs: files, PIL images, or arrays uint8 [H, W] or [H, W, 3].
            batch_size: how many go through the network at once.
            top: how many of the most probable labels are listed.

        Returns:
            For each input what `judge` says.

        Raises:
            InputError: a file or a picture cannot be read.

        Warns:
            FaceWarning: the model knows faces, and none was found in a picture.
        """
        found: list[Prediction] = []
        for start in range(0, len(inputs), batch_size):
            found += self.judge(batch([self.pixels(one) for one in inputs[start : start + batch_size]]), top)
        return found

    def pixels(self, one: Input) -> NDArray[np.uint8]:
        """An input as the model is given it: uint8 of the shape `spec.prepared`."""
        if isinstance(one, str):
            one = Path(one)
        if isinstance(one, np.ndarray):
            if one.dtype != np.uint8 or one.ndim < 2 or one.shape[2:] not in ((), (3,)) or not one.size:
                raise InputError(f"an array is uint8 [H, W] or [H, W, 3], not {one.dtype} {list(one.shape)}")
            one = Image.fromarray(one)
        return read_image(one, self.task.spec)


def predict_files(model: ImageModel, inputs: Sequence[str], format: str, options: Settings) -> int:
    """Prints what the model sees in each file; the exit status is 2 if any cannot be read.

    Args:
        model: the model.
        inputs: see `find_files`.
        format: "table", or "jsonl": an object a line, as soon as its batch is predicted.
        options: of the model.
    """
    bad: list[InputError] = []
    files: list[Path] = []
    for given in inputs:
        try:
            files += find_files(given)
        except InputError as error:
            bad.append(error)
    table = verdicts("file", min(options.top, len(model.classes)))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", FaceWarning)
        for file, found in _predict_each(model, files, options, bad):
            if format == "jsonl":
                print(json.dumps({"file": str(file), **found}, ensure_ascii=False), flush=True)
            else:
                table.add_row(str(file), *verdict(found))
    if table.row_count:
        console().print(table)
    for text in sorted({str(warning.message) for warning in warned}):  # threads warn in no order
        print(f"Warning: {text}", file=sys.stderr)
    for complaint in bad:
        print(f"InputError: {complaint}", file=sys.stderr)
    return 2 if bad else 0


def _predict_each(
    model: ImageModel, files: Sequence[Path], options: Settings, bad: list[InputError]
) -> Iterator[tuple[Path, Prediction]]:
    """Reads the files in threads and predicts batch by batch; what cannot be read is put into `bad`."""

    def read(file: Path) -> NDArray[np.uint8] | InputError:
        try:
            return model.pixels(file)
        except InputError as error:
            return error

    batch_size = options.batch_size
    quiet = len(files) <= batch_size or not sys.stderr.isatty()
    with ThreadPoolExecutor() as pool, Progress(console=Console(stderr=True), transient=True, disable=quiet) as bar:
        job = bar.add_task("predict", total=len(files))
        for start in range(0, len(files), batch_size):
            chunk = files[start : start + batch_size]
            images = list(pool.map(read, chunk))
            good = [(file, image) for file, image in zip(chunk, images, strict=True) if isinstance(image, np.ndarray)]
            bad += [image for image in images if isinstance(image, InputError)]
            if good:
                found = model.judge(batch([image for _, image in good]), options.top)
                yield from zip([file for file, _ in good], found, strict=True)
            bar.advance(job, len(chunk))


def batch(images: Sequence[NDArray[np.uint8]]) -> Batch:
    """Images as `ImageModel.pixels` gives them, as one batch."""
    return {"input": torch.from_numpy(np.stack(images))}


def find_files(given: str) -> list[Path]:
    """The file, the images in the folder and below it but for hidden ones, or what matches the pattern, in order.

    Raises:
        InputError: there are none.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        found = image_files(path)
        if not found:
            raise InputError(f"{given}: holds no image ({', '.join(sorted(SUFFIXES))})")
        return found
    if path.exists():
        return [path]
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    found = sorted(Path(name) for name in names if Path(name).is_file())
    if not found:
        raise InputError(f"{given}: there is no such file, folder, or match of the pattern")
    return found
