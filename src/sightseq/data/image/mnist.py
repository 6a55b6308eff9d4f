"""MNIST and Fashion-MNIST: four idx files each."""

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import save_about, save_split
from sightseq.core.datamodule import DataModule
from sightseq.core.download import download, find_folder, missing_error
from sightseq.core.errors import DataError
from sightseq.data.image.images import ImageData, synthetic_images
from sightseq.vision.spec import ImageSpec

REMEDY = "delete it and fetch it again with: sightseq data"
FILES = {
    ("train", "input"): "train-images-idx3-ubyte",
    ("train", "target"): "train-labels-idx1-ubyte",
    ("test", "input"): "t10k-images-idx3-ubyte",
    ("test", "target"): "t10k-labels-idx1-ubyte",
}


class MNIST(ImageData):
    """60,000 training and 10,000 test digits of 28x28 pixels (LeCun et al., 1998).

    The files may be plain or compressed (.gz), and be named with a hyphen or, as in some copies, with a dot
    (`train-images.idx3-ubyte`). A stratified `val_fraction` of "train" is the validation split.
    """

    example_spec: ImageSpec = ImageSpec(1, 28, 28, ("a", "b"), (0.5,), (0.25,))
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")

    def locate(self) -> list[Path]:
        """Return the four files; they are downloaded and verified if they are absent.

        Raises:
            DataError: they are absent and cannot be downloaded.
        """
        return locate_idx(self)

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the idx files.

        Raises:
            DataError: a file is damaged, or images and labels do not fit together.
        """
        arrays = {part: read_idx(path) for part, path in zip(FILES, sources, strict=True)}
        for split in ("train", "test"):
            images, labels = arrays[split, "input"], arrays[split, "target"]
            if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
                raise DataError(
                    f"{self.name}: {split} images have the shape {images.shape} and labels {labels.shape}; "
                    f"the files in {sources[0].parent} do not belong together; {REMEDY}"
                )
            if labels.max(initial=0) >= len(self.class_names):
                raise DataError(
                    f"{self.name}: the {split} labels go up to {labels.max()} in {sources[0].parent}; {REMEDY}"
                )
            save_split(folder, split, input=images[:, None], target=labels.astype(np.int64))
        save_about(folder, {"classes": self.class_names})

    def write_synthetic(self, folder: Path) -> None:
        """Write four small idx files, two of them compressed."""
        for split, count in (("train", 400), ("test", 100)):
            images, labels = synthetic_images(count, len(self.class_names), 28, 1, seed=count)
            write_idx(folder / FILES[split, "input"], images[:, 0])
            write_idx(folder / (FILES[split, "target"] + ".gz"), labels.astype(np.uint8))


class FashionMNIST(MNIST):
    """60,000 training and 10,000 test images of clothes in MNIST's format (Xiao et al., 2017, arXiv 1708.07747)."""

    class_names: ClassVar[tuple[str, ...]] = (
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )


def locate_idx(data: DataModule) -> list[Path]:
    """Return the four files of MNIST in the order of `FILES`; they are downloaded and verified if they are absent.

    Raises:
        DataError: they are absent and cannot be downloaded.
    """
    found = _find(data)
    if found is None and data.url and not data.synthetic:
        download(data.name, data.url, data.files, data.root / data.folders[0])
        found = _find(data)
    if found is None:
        raise missing_error(data.name, data.root, data.folders, f"idx files ({', '.join(FILES.values())})")
    return found


def _find(data: DataModule) -> list[Path] | None:
    for name in data.folders:
        folder = find_folder(data.root, [name])
        found = [_variant(folder, file) for file in FILES.values()] if folder else [None]
        if all(found):
            return [path for path in found if path is not None]
    return None


def _variant(folder: Path, file: str) -> Path | None:
    """Return the variant of `file` that exists: plain or .gz, with a hyphen or a dot before "idx"; else None."""
    dotted = file.replace("-idx", ".idx")
    return next(
        (folder / name for name in (file, file + ".gz", dotted, dotted + ".gz") if (folder / name).is_file()), None
    )


def read_idx(path: Path) -> NDArray[Any]:
    """Read an array of bytes in MNIST's idx format: 0, 0, 8, number of axes, each length as big-endian uint32, data.

    Raises:
        DataError: the file is damaged, truncated or of another format.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the archive is damaged ({error}); {REMEDY}") from error
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise DataError(f"{path}: is not an idx file of bytes; {REMEDY}")
    start = 4 + 4 * raw[3]
    shape = struct.unpack(f">{raw[3]}I", raw[4:start]) if len(raw) >= start else (0,)
    if len(raw) - start != int(np.prod(shape)):
        raise DataError(f"{path}: is truncated: {len(raw) - start} bytes for the shape {shape}; {REMEDY}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write an array in the idx format: the inverse of `read_idx`."""
    raw = struct.pack(f">BBBB{array.ndim}i", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
