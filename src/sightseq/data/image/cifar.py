"""CIFAR-10 and CIFAR-100 in their binary version: one record per image, its label bytes followed by its pixels."""

import gzip
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import save_about, save_split
from sightseq.core.download import download, missing_error
from sightseq.core.errors import DataError
from sightseq.data.image.images import ImageData, synthetic_images
from sightseq.vision.spec import ImageSpec

REMEDY = "delete it and fetch it again with: sightseq data"
SIZE = 32
PIXELS = 3 * SIZE * SIZE  # bytes of an image: the red, green and blue planes, each row by row


class CIFAR10(ImageData):
    """60,000 photographs of 32x32 pixels, 6,000 of each of 10 classes (Krizhevsky, 2009).

    The files are in one of `folders`, in the subfolder that the archive creates there, or still in the archive, which
    is read without unpacking. A stratified `val_fraction` of "train" is the validation split.
    """

    example_spec: ImageSpec = ImageSpec(3, SIZE, SIZE, ("a", "b"), (0.5,) * 3, (0.25,) * 3)
    archive: ClassVar[str] = "cifar-10-binary.tar.gz"
    subfolder: ClassVar[str] = "cifar-10-batches-bin"
    batches: ClassVar[dict[str, list[str]]] = {
        "train": [f"data_batch_{number}.bin" for number in range(1, 6)],
        "test": ["test_batch.bin"],
    }
    """The files of each split."""
    names_file: ClassVar[str] = "batches.meta.txt"
    label_bytes: ClassVar[int] = 1
    """Label bytes of a record; the last one is the class."""
    class_count: ClassVar[int] = 10
    pickled: ClassVar[tuple[str, ...]] = ("cifar-10-batches-py", "cifar-10-python.tar.gz", "data_batch_1")
    """Names of files and folders of the python version, for the error message."""

    @property
    def wanted(self) -> list[str]:
        """Names of all files that are read."""
        return [file for files in self.batches.values() for file in files] + [self.names_file]

    def locate(self) -> list[Path]:
        """Return all files, or else the archive; it is downloaded and verified if neither is there.

        Raises:
            DataError: neither is there, and the archive cannot be downloaded.
        """
        found = self._find()
        if found is None and self.url and not self.synthetic:
            try:
                download(self.name, self.url, self.files, self.root / self.folders[0])
            except DataError as error:
                if (other := self._other()) is not None:
                    raise other from error
                raise
            found = self._find()
        if found is None:
            raise self._other() or missing_error(self.name, self.root, self.folders, f"{self.archive} or its content")
        return found

    def _find(self) -> list[Path] | None:
        for place in (*(self.root / name for name in self.folders), self.root):
            for folder in (place, place / self.subfolder):
                if all((folder / file).is_file() for file in self.wanted):
                    return [folder / file for file in self.wanted]
            if (place / self.archive).is_file():
                return [place / self.archive]
        return None

    def _other(self) -> DataError | None:
        """The error for an incomplete set of files, or for the python version; None otherwise."""
        places = [self.root / name for name in self.folders]
        remedy = f"put {self.archive} from https://www.cs.toronto.edu/~kriz/cifar.html into {places[0]}, still packed"
        for folder in (*places, *(place / self.subfolder for place in places)):
            absent = [file for file in self.wanted if not (folder / file).is_file()]
            if len(absent) < len(self.wanted):
                return DataError(f"{self.name}: {folder} lacks {', '.join(absent)}; {remedy}")
        for found in (place / name for place in (*places, self.root) for name in self.pickled):
            if found.exists():
                return DataError(
                    f"{self.name}: {found} is the python version, whose pickle files can run any code when they are "
                    f"read; only the binary version is supported: {remedy}"
                )
        return None

    def process(self, sources: list[Path], folder: Path) -> None:
        """Read the records and the class names."""
        contents = self._contents(sources)
        where, raw = contents[self.names_file]
        names = raw.decode(errors="replace").split()
        if not len(names) == len(set(names)) == self.class_count:
            raise DataError(
                f"{where}: has {len(names)} class names ({len(set(names))} distinct) instead of "
                f"{self.class_count}; {REMEDY}"
            )
        for split, files in self.batches.items():
            batches = [self._records(*contents[file]) for file in files]
            images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
            save_split(folder, split, input=images, target=labels.astype(np.int64))
        save_about(folder, {"classes": names})

    def _contents(self, sources: list[Path]) -> dict[str, tuple[str, bytes]]:
        """For each file of `wanted`: its place, for messages, and its bytes."""
        if sources[0].name != self.archive:
            return {path.name: (str(path), path.read_bytes()) for path in sources}
        path = sources[0]
        contents = {}
        try:
            with gzip.open(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    content = archive.extractfile(member) if member.isfile() and name in self.wanted else None
                    if content is not None:
                        contents[name] = (f"{path} ({name})", content.read())
                file.read()  # read to the end, where gzip verifies the checksum
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise DataError(f"{path}: the archive is damaged ({error}); {REMEDY}") from error
        if absent := [name for name in self.wanted if name not in contents]:
            raise DataError(f"{path}: the archive lacks {', '.join(absent)}; {REMEDY}")
        return contents

    def _records(self, where: str, raw: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Images [N, 3, 32, 32] and labels [N] of one file."""
        record = self.label_bytes + PIXELS
        if not raw or len(raw) % record:
            raise DataError(
                f"{where}: has {len(raw):,} bytes, but each image of the binary version takes {record:,}; {REMEDY}"
            )
        rows = np.frombuffer(raw, np.uint8).reshape(-1, record)
        labels = rows[:, self.label_bytes - 1]
        if labels.max(initial=0) >= self.class_count:
            raise DataError(f"{where}: the largest label is {labels.max()}, of {self.class_count} classes; {REMEDY}")
        return rows[:, self.label_bytes :].reshape(-1, 3, SIZE, SIZE), labels

    def write_synthetic(self, folder: Path) -> None:
        """Write the files of an unpacked archive: at least four training images and one test image of each class."""
        (folder / self.subfolder).mkdir()
        (folder / self.subfolder / self.names_file).write_text(
            "".join(f"stripes_{label}\n" for label in range(self.class_count))
        )
        for split, total in (("train", 400), ("test", 100)):
            images, labels = synthetic_images(total, self.class_count, SIZE, 3, seed=total)
            files = self.batches[split]
            for file, rows in zip(files, np.array_split(np.arange(total), len(files)), strict=True):
                write_records(folder / self.subfolder / file, images[rows], labels[rows], self.label_bytes)


class CIFAR100(CIFAR10):
    """60,000 other photographs of 32x32 pixels, 600 of each of 100 classes (Krizhevsky, 2009).

    A record of the binary version has two labels: one of 20 superclasses, then the class, which is the target.
    """

    archive: ClassVar[str] = "cifar-100-binary.tar.gz"
    subfolder: ClassVar[str] = "cifar-100-binary"
    batches: ClassVar[dict[str, list[str]]] = {"train": ["train.bin"], "test": ["test.bin"]}
    names_file: ClassVar[str] = "fine_label_names.txt"
    label_bytes: ClassVar[int] = 2
    class_count: ClassVar[int] = 100
    pickled: ClassVar[tuple[str, ...]] = ("cifar-100-python", "cifar-100-python.tar.gz", "meta")


def write_records(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64], label_bytes: int) -> None:
    """Write images [N, 3, 32, 32] as a file of the binary version; each five consecutive labels form a superclass."""
    columns = [labels // 5, labels][-label_bytes:]
    rows = np.column_stack([*columns, images.reshape(len(images), -1)])
    path.write_bytes(rows.astype(np.uint8).tobytes())
