"""CIFAR-10 and CIFAR-100 in their binary version: one record an image, first its label bytes, then its pixels."""

import gzip
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sightseq.core.arrays import save_about, save_split
from sightseq.core.download import download, missing
from sightseq.core.errors import DataError
from sightseq.data.image.images import ImageData, synthetic_images
from sightseq.vision.spec import ImageSpec

REMEDY = "delete it and fetch it again with: sightseq data"
SIZE = 32
PIXELS = 3 * SIZE * SIZE  # bytes of an image: its red, its green, then its blue plane, each row by row


class CIFAR10(ImageData):
    """60,000 photographs of 32x32 pixels, 6,000 of each of 10 classes (Krizhevsky, 2009).

    The files lie in one of `folders`, in its subfolder that the archive makes, or still in the archive, which is
    read as it is: nothing is unpacked. A stratified `val_fraction` of "train" validates.
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
    """Of a record; the last of them is the label."""
    class_count: ClassVar[int] = 10
    pickled: ClassVar[tuple[str, ...]] = ("cifar-10-batches-py", "cifar-10-python.tar.gz", "data_batch_1")
    """How the python version is known."""

    @property
    def wanted(self) -> list[str]:
        """The names of all files that are read."""
        return [file for files in self.batches.values() for file in files] + [self.names_file]

    def locate(self) -> list[Path]:
        """All files, or the archive; which is downloaded and verified where there is neither.

        Raises:
            DataError: there is neither, and it cannot be downloaded.
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
            raise self._other() or missing(self.name, self.root, self.folders, f"{self.archive} or what is in it")
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
        """What to say where there are some of the files, or the python version of them all."""
        places = [self.root / name for name in self.folders]
        remedy = (
            f"put {self.archive} from https://www.cs.toronto.edu/~kriz/cifar.html into {places[0]}, packed as it is"
        )
        for folder in (*places, *(place / self.subfolder for place in places)):
            lacking = [file for file in self.wanted if not (folder / file).is_file()]
            if len(lacking) < len(self.wanted):
                return DataError(f"{self.name}: {folder} lacks {', '.join(lacking)}; {remedy}")
        for found in (place / name for place in (*places, self.root) for name in self.pickled):
            if found.exists():
                return DataError(
                    f"{self.name}: {found} is of the python version, pickles that can run any code when they are "
                    f"read; only the binary version is: {remedy}"
                )
        return None

    def process(self, sources: list[Path], folder: Path) -> None:
        """Reads the records and the names of the classes."""
        contents = self._contents(sources)
        where, raw = contents[self.names_file]
        names = raw.decode(errors="replace").split()
        if not len(names) == len(set(names)) == self.class_count:
            raise DataError(
                f"{where}: has {len(names)} names, {len(set(names))} of them different, and there are "
                f"{self.class_count} classes; {REMEDY}"
            )
        for split, files in self.batches.items():
            batches = [self._records(*contents[file]) for file in files]
            images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
            save_split(folder, split, input=images, target=labels.astype(np.int64))
        save_about(folder, {"classes": names})

    def _contents(self, sources: list[Path]) -> dict[str, tuple[str, bytes]]:
        """For each wanted file: where it is, for messages, and its bytes."""
        if sources[0].name != self.archive:
            return {path.name: (str(path), path.read_bytes()) for path in sources}
        path = sources[0]
        found = {}
        try:
            with gzip.open(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    content = archive.extractfile(member) if member.isfile() and name in self.wanted else None
                    if content is not None:
                        found[name] = (f"{path} ({name})", content.read())
                file.read()  # to its end, where the checksum is
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise DataError(f"{path}: the archive is damaged ({error}); {REMEDY}") from error
        if lacking := [name for name in self.wanted if name not in found]:
            raise DataError(f"{path}: the archive lacks {', '.join(lacking)}; {REMEDY}")
        return found

    def _records(self, where: str, raw: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The images [N, 3, 32, 32] and labels [N] of one file."""
        record = self.label_bytes + PIXELS
        if not raw or len(raw) % record:
            raise DataError(
                f"{where}: has {len(raw):,} bytes, and images of the binary version take {record:,} each; {REMEDY}"
            )
        rows = np.frombuffer(raw, np.uint8).reshape(-1, record)
        labels = rows[:, self.label_bytes - 1]
        if labels.max(initial=0) >= self.class_count:
            raise DataError(f"{where}: the labels go up to {labels.max()}, of {self.class_count} classes; {REMEDY}")
        return rows[:, self.label_bytes :].reshape(-1, 3, SIZE, SIZE), labels

    def write_synthetic(self, folder: Path) -> None:
        """As the archive would be unpacked: for each class four images or more to train on, and one or more to test."""
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
    """The same number of other photographs, 600 of each of 100 classes.

    The binary version has two labels: one of 20 superclasses, then the class, which is the one to learn.
    """

    archive: ClassVar[str] = "cifar-100-binary.tar.gz"
    subfolder: ClassVar[str] = "cifar-100-binary"
    batches: ClassVar[dict[str, list[str]]] = {"train": ["train.bin"], "test": ["test.bin"]}
    names_file: ClassVar[str] = "fine_label_names.txt"
    label_bytes: ClassVar[int] = 2
    class_count: ClassVar[int] = 100
    pickled: ClassVar[tuple[str, ...]] = ("cifar-100-python", "cifar-100-python.tar.gz", "meta")


def write_records(path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64], label_bytes: int) -> None:
    """Writes images [N, 3, 32, 32] as a file of the binary version; five labels in a row are a superclass."""
    columns = [labels // 5, labels][-label_bytes:]
    rows = np.column_stack([*columns, images.reshape(len(images), -1)])
    path.write_bytes(rows.astype(np.uint8).tobytes())
