"""CIFAR's files: the format by hand, all supported layouts, and damaged files."""

import gzip
import hashlib
import io
import shutil
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightseq.catalogue import read
from sightseq.core.errors import DataError
from sightseq.core.places import group_options
from sightseq.data.image.cifar import CIFAR10, CIFAR100, write_records

CLASSES = {"cifar10": CIFAR10, "cifar100": CIFAR100}
SMALL = {
    "cifar10": {"train": {f"data_batch_{n}.bin": 8 for n in range(1, 6)}, "test": {"test_batch.bin": 20}},
    "cifar100": {"train": {"train.bin": 300}, "test": {"test.bin": 100}},
}
LAYOUTS = [(name, folder) for name in CLASSES for folder in read(group_options("data")[name])["folders"]]
PUBLISHED = {name: read(group_options("data")[name]) for name in CLASSES}


def cifar(name: str = "cifar10", **arguments: Any) -> CIFAR10:
    return CLASSES[name](**{"name": name, "root": "data", "cache": "cache", **arguments})


def write(folder: Path, name: str = "cifar10") -> Path:
    """Write all files of a dataset, unpacked; the labels of each file count up from 0."""
    folder.mkdir(parents=True, exist_ok=True)
    cls = CLASSES[name]
    random = np.random.default_rng(0)
    for files in SMALL[name].values():
        for file, count in files.items():
            images = random.integers(0, 256, (count, 3, 32, 32)).astype(np.uint8)
            write_records(folder / file, images, np.arange(count) % cls.class_count, cls.label_bytes)
    # The published file of names ends with an empty line.
    (folder / cls.names_file).write_text("".join(f"class_{n}\n" for n in range(cls.class_count)) + "\n")
    return folder


def pack(archive: Path, name: str = "cifar10", prefix: str | None = None) -> Path:
    """Write the archive as it is published."""
    cls = CLASSES[name]
    folder = write(Path("unpacked") / name, name)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=cls.subfolder if prefix is None else prefix)
    return archive


def sizes(data: CIFAR10) -> tuple[int, ...]:
    data.prepare_data()
    return tuple(len(data.dataset(split)) for split in ("train", "val", "test"))


def refusal(**arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        cifar(**arguments).prepare_data()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Content of the files


@pytest.mark.parametrize(("name", "before"), [("cifar10", []), ("cifar100", [19])])
def test_a_record_by_hand(name: str, before: list[int]) -> None:
    folder = write(Path("data") / name, name)
    red, green, blue = ([n] * 1023 + [last] for n, last in ((10, 1), (20, 2), (30, 3)))
    red[5] = 99  # row-major order: the sixth pixel of the first row
    records = [bytes([*before, label, *red, *green, *blue]) for label in (7, 0)]
    file = next(iter(SMALL[name]["test"]))
    (folder / file).write_bytes(b"".join(records))
    data = cifar(name)
    data.prepare_data()
    batch = next(iter(data.test_dataloader()))
    assert batch["input"].shape == (2, 3, 32, 32)
    assert batch["target"].tolist() == [7, 0]
    assert batch["index"].tolist() == [0, 1]
    assert batch["input"][0, :, 0, 0].tolist() == [10, 20, 30]
    assert batch["input"][0, :, 31, 31].tolist() == [1, 2, 3]
    assert batch["input"][0, :, 31, 30].tolist() == [10, 20, 30]
    assert (batch["input"][0, 0] == 99).nonzero().tolist() == [[0, 5]]


@pytest.mark.parametrize(("label_bytes", "head"), [(1, [42]), (2, [8, 42])])
def test_records_are_written_byte_by_byte(label_bytes: int, head: list[int]) -> None:
    image = np.arange(3 * 32 * 32).reshape(1, 3, 32, 32).astype(np.uint8)
    write_records(Path("a"), image, np.array([42]), label_bytes)
    assert Path("a").read_bytes() == bytes([*head, *(n % 256 for n in range(3072))])


def test_batches_follow_each_other_in_their_order() -> None:
    folder = write(Path("data/cifar10"))
    data = cifar(shuffle=False, batch_size=100)
    data.prepare_data()
    images = data.dataset("train").arrays["input"]
    assert images.shape == (40, 3, 32, 32)
    for number in range(1, 6):
        raw = (folder / f"data_batch_{number}.bin").read_bytes()
        assert images[8 * (number - 1) + 2].tobytes() == raw[2 * 3073 + 1 : 3 * 3073]
    assert data.dataset("train").arrays["target"].tolist() == [*range(8)] * 5


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_named_by_the_file_of_names(name: str) -> None:
    folder = write(Path("data") / name, name)
    data = cifar(name)
    assert sizes(data) == {"cifar10": (32, 8, 20), "cifar100": (200, 100, 100)}[name]
    assert data.spec.classes == tuple(f"class_{n}" for n in range(data.class_count))
    assert (data.spec.channels, data.spec.height, data.spec.width) == (3, 32, 32)
    assert data.source == folder


def test_validation_is_a_stratified_tenth_of_train() -> None:
    folder = write(Path("data/cifar10"))
    images = np.zeros((400, 3, 32, 32), np.uint8)
    write_records(folder / "data_batch_1.bin", images, np.arange(400) % 10, 1)
    data = cifar()
    assert sizes(data) == (392, 40, 20)  # 43 or 40 per class, of which 4 are validation samples
    assert np.bincount(data.dataset("val").numpy()["target"]).tolist() == [4] * 10


# Locations of the files


@pytest.mark.parametrize("packed", ["plain", "subfolder", "archive"])
@pytest.mark.parametrize(("name", "folder"), LAYOUTS)
def test_files_are_found_in_every_folder_the_config_names(name: str, folder: str, packed: str) -> None:
    place = Path("data") / folder
    cls = CLASSES[name]
    if packed == "archive":
        expected = pack(place / cls.archive, name)
    else:
        expected = write(place / cls.subfolder if packed == "subfolder" else place, name)
    data = cifar(name, folders=PUBLISHED[name]["folders"])
    assert sizes(data)[2] == {"cifar10": 20, "cifar100": 100}[name]
    assert data.source == expected


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("packed", [True, False])
def test_files_are_found_beside_the_folders(name: str, packed: bool) -> None:
    cls = CLASSES[name]
    expected = pack(Path("data") / cls.archive, name) if packed else write(Path("data") / cls.subfolder, name)
    data = cifar(name)
    data.prepare_data()
    assert data.source == expected


@pytest.mark.parametrize("prefix", [None, ".", "./cifar-10-batches-bin"])
@pytest.mark.parametrize("name", CLASSES)
def test_archive_and_folder_give_the_same_data(name: str, prefix: str | None) -> None:
    pack(Path("packed/data") / CLASSES[name].archive, name, prefix)
    write(Path("data") / name, name)
    packed, plain = cifar(name, root="packed/data"), cifar(name)
    packed.prepare_data()
    plain.prepare_data()
    assert packed.spec == plain.spec
    for split in ("train", "val", "test"):
        for part, array in plain.dataset(split).numpy().items():
            assert np.array_equal(packed.dataset(split).numpy()[part], array)


def test_reading_an_archive_extracts_no_files() -> None:
    archive = pack(Path("data/cifar10/cifar-10-binary.tar.gz"))
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(Path("unpacked/cifar10").iterdir()):
            tar.add(file, arcname=f"../../{file.name}")
        for name, kind in (("../evil.txt", tarfile.REGTYPE), ("test_batch.bin", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member, io.BytesIO())
    before = sorted(path for path in Path().rglob("*") if "cache" not in path.parts)
    assert sizes(cifar()) == (32, 8, 20)
    assert sorted(path for path in Path().rglob("*") if "cache" not in path.parts) == before
    assert {path.suffix for path in Path("cache").rglob("*") if path.is_file()} <= {".npy", ".json", ".lock"}


def test_an_incomplete_folder_is_skipped() -> None:
    (write(Path("data/first")) / "data_batch_4.bin").unlink()
    write(Path("data/second"))
    data = cifar(folders=["first", "second"])
    data.prepare_data()
    assert data.source == Path("data/second")


# Missing or damaged files


@pytest.mark.parametrize("name", CLASSES)
def test_missing_data_names_the_places_and_the_remedies(name: str) -> None:
    message = refusal(name=name, folders=["one", "two/three"])
    assert message.startswith(f"{name}: found no {CLASSES[name].archive}")
    for part in ("data/one", "data/two/three", "paths.data=", "SIGHTSEQ_DATA", "debug=synthetic"):
        assert part in message


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-bin"])
@pytest.mark.parametrize("lacking", ["data_batch_1.bin", "test_batch.bin", "batches.meta.txt"])
def test_a_missing_file_is_named(lacking: str, subfolder: str) -> None:
    folder = write(Path("data/cifar10") / subfolder)
    (folder / lacking).unlink()
    message = refusal()
    assert message.startswith(f"cifar10: {folder} lacks {lacking}; put cifar-10-binary.tar.gz from https://")
    assert "into data/cifar10" in message


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cifar10", "data/cifar10/cifar-10-batches-py/data_batch_1"),
        ("cifar10", "data/cifar10/data_batch_1"),
        ("cifar10", "data/cifar-10-batches-py/data_batch_1"),
        ("cifar10", "data/cifar-10-python.tar.gz"),
        ("cifar100", "data/cifar100/cifar-100-python/train"),
        ("cifar100", "data/cifar100/meta"),
        ("cifar100", "data/cifar-100-python.tar.gz"),
    ],
)
def test_the_python_version_is_refused_with_a_remedy(name: str, found: str) -> None:
    Path(found).parent.mkdir(parents=True)
    Path(found).write_bytes(b"\x80\x02}q\x01(U\x0bbatch_labelq\x02")
    message = refusal(name=name)
    assert message.startswith(f"{name}: data/")
    assert "is the python version" in message
    assert "pickle files" in message
    assert f"put {CLASSES[name].archive} from https://www.cs.toronto.edu/~kriz/cifar.html into data/{name}" in message


BROKEN = {
    "truncated": lambda raw: raw[:-1],
    "too long": lambda raw: raw + b"\0",
    "empty": lambda raw: b"",
    "html": lambda raw: b"<html>404</html>",
    "pickle": lambda raw: b"\x80\x02}q\x01(U\x0bbatch_labelq\x02",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("file", ["data_batch_3.bin", "test_batch.bin"])
def test_a_file_of_a_wrong_length_is_named_with_a_remedy(file: str, kind: str) -> None:
    path = write(Path("data/cifar10")) / file
    path.write_bytes(BROKEN[kind](path.read_bytes()))
    message = refusal()
    assert message.startswith(
        f"{path}: has {path.stat().st_size:,} bytes, but each image of the binary version takes 3,073"
    )
    assert "delete it and fetch it again" in message


def test_files_of_the_other_dataset_are_refused() -> None:
    folder = write(Path("data/cifar100"), "cifar100")
    images, labels = np.zeros((300, 3, 32, 32), np.uint8), np.zeros(300, np.int64)
    write_records(folder / "train.bin", images, labels, label_bytes=1)
    assert "train.bin: has 921,900 bytes, but each image of the binary version takes 3,074" in refusal(name="cifar100")


@pytest.mark.parametrize(
    ("name", "file", "place", "label"), [("cifar10", "data_batch_2.bin", 0, 10), ("cifar100", "test.bin", 1, 100)]
)
def test_labels_out_of_range_are_refused(name: str, file: str, place: int, label: int) -> None:
    path = write(Path("data") / name, name) / file
    raw = bytearray(path.read_bytes())
    raw[place] = label
    path.write_bytes(raw)
    message = refusal(name=name)
    assert message.startswith(f"{path}: the largest label is {label}, of {label} classes")
    assert "delete it and fetch it again" in message


@pytest.mark.parametrize(
    ("text", "names", "different"),
    [
        (b"", 0, 0),
        (b"cat\n" * 10, 10, 1),
        (b"a b c d e f g h i", 9, 9),
        (b"a b c d e f g h i j k", 11, 11),
        (b"a b c d e f g h i j j", 11, 10),
        (b"\xff\xfe\0\0", 1, 1),
    ],
)
def test_names_that_are_not_those_of_the_classes_are_refused(text: bytes, names: int, different: int) -> None:
    path = write(Path("data/cifar10")) / "batches.meta.txt"
    path.write_bytes(text)
    message = refusal()
    assert message.startswith(f"{path}: has {names} class names ({different} distinct) instead of 10")
    assert "delete it and fetch it again" in message


@pytest.mark.parametrize("keep", [0, 5, 30, 5000, -3000, -9, -1])
def test_a_truncated_archive_is_named_with_a_remedy(keep: int) -> None:
    path = pack(Path("data/cifar10/cifar-10-binary.tar.gz"))
    path.write_bytes(path.read_bytes()[:keep])
    message = refusal()
    assert message.startswith(f"{path}: the archive ")
    assert "delete it and fetch it again" in message


@pytest.mark.parametrize("kind", ["no archive", "gzip of no archive", "flipped byte"])
def test_a_damaged_archive_is_named_with_a_remedy(kind: str) -> None:
    path = pack(Path("data/cifar10/cifar-10-binary.tar.gz"))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes({"no archive": b"<html>", "gzip of no archive": gzip.compress(b"x" * 999)}.get(kind, bytes(raw)))
    message = refusal()
    assert message.startswith(f"{path}: the archive is damaged (")
    assert "delete it and fetch it again" in message


def test_an_archive_that_lacks_a_file_is_named() -> None:
    path = Path("data/cifar10/cifar-10-binary.tar.gz")
    pack(path)
    with tarfile.open(path, "w:gz") as tar:
        for file in ("data_batch_1.bin", "batches.meta.txt"):
            tar.add(Path("unpacked/cifar10") / file, arcname=f"cifar-10-batches-bin/{file}")
    assert f"{path}: the archive lacks data_batch_2.bin, data_batch_3.bin" in refusal()


def test_a_file_of_a_wrong_length_in_an_archive_is_named() -> None:
    write(Path("unpacked/cifar10"))
    (Path("unpacked/cifar10") / "test_batch.bin").write_bytes(b"short")
    Path("data/cifar10").mkdir(parents=True)
    path = Path("data/cifar10/cifar-10-binary.tar.gz")
    with tarfile.open(path, "w:gz") as tar:
        tar.add("unpacked/cifar10", arcname="cifar-10-batches-bin")
    assert refusal().startswith(f"{path} (test_batch.bin): has 5 bytes")


# Real sizes


@pytest.mark.parametrize(
    ("name", "length"),
    [("cifar10", {"train": 30_730_000, "test": 30_730_000}), ("cifar100", {"train": 153_700_000, "test": 30_740_000})],
)
def test_files_of_the_real_sizes(name: str, length: dict[str, int]) -> None:
    data = cifar(name)
    folder = Path("data") / name
    folder.mkdir(parents=True)
    (folder / data.names_file).write_text("\n".join(f"class_{n}" for n in range(data.class_count)))
    for split, files in CLASSES[name].batches.items():
        for file in files:
            with (folder / file).open("wb") as sparse:
                sparse.truncate(length[split])
    Path("out").mkdir()
    data.process(data.locate(), Path("out"))
    for split, count in (("train", 50_000), ("test", 10_000)):
        assert np.load(f"out/{split}/input.npy", mmap_mode="r").shape == (count, 3, 32, 32)
        assert np.load(f"out/{split}/target.npy").tolist() == [0] * count


# Synthetic data


@pytest.mark.parametrize("name", CLASSES)
def test_synthetic_data_has_every_class_in_every_split(name: str) -> None:
    data = cifar(name, synthetic=True)
    assert sizes(data) == {"cifar10": (360, 40, 100), "cifar100": (300, 100, 100)}[name]
    for split in ("train", "val", "test"):
        assert set(data.dataset(split).numpy()["target"]) == set(range(data.class_count))
    assert data.source == data.root / name / data.subfolder


@pytest.mark.parametrize("name", CLASSES)
def test_synthetic_data_has_the_format_of_the_real_files(name: str) -> None:
    data = cifar(name, synthetic=True)
    data.prepare_data()
    assert {path.name for path in data.source.iterdir()} == set(data.wanted)
    counts = {file: (data.source / file).stat().st_size / (data.label_bytes + 3072) for file in data.wanted[:-1]}
    assert counts == ({file: 100 if "test" in file else 80 if name == "cifar10" else 400 for file in data.wanted[:-1]})


# Download


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of the files in ./served."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory="served"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.mark.parametrize("name", CLASSES)
def test_the_archive_is_downloaded_and_read_as_it_is(name: str, url: str) -> None:
    archive = pack(Path("served") / CLASSES[name].archive, name)
    shutil.rmtree("unpacked")
    files = {archive.name: hashlib.sha256(archive.read_bytes()).hexdigest()}
    data = cifar(name, url=url, files=files, folders=["first", "second"])
    data.prepare_data()
    assert data.source == Path("data/first") / archive.name
    assert [path.name for path in Path("data").rglob("*")] == ["first", archive.name]
    shutil.rmtree("served")  # it is not downloaded again
    again = cifar(name, url=url, files=files, folders=["first", "second"])
    assert sizes(again) == sizes(data)


def test_an_archive_with_another_hash_is_not_kept(url: str) -> None:
    archive = pack(Path("served") / CIFAR10.archive)
    message = refusal(url=url, files={archive.name: "0" * 64})
    assert "is not the published file" in message
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (None, "cannot download"),
        ("cifar10/data_batch_1", "is the python version"),
        ("cifar10/data_batch_1.bin", "data/cifar10 lacks data_batch_2.bin"),
    ],
)
def test_without_a_server_the_message_names_existing_files(url: str, there: str | None, expected: str) -> None:
    if there:
        (Path("data") / there).parent.mkdir(parents=True)
        (Path("data") / there).write_bytes(b"")
    message = refusal(url=url, files={CIFAR10.archive: "0" * 64})
    assert expected in message
    assert "into data/cifar10" in message


def test_an_incomplete_folder_and_the_python_version_are_replaced_by_a_download(url: str) -> None:
    archive = pack(Path("served") / CIFAR10.archive)
    (write(Path("data/cifar10")) / "data_batch_5.bin").unlink()
    Path("data/cifar-10-batches-py").mkdir()
    data = cifar(url=url, files={archive.name: hashlib.sha256(archive.read_bytes()).hexdigest()})
    assert sizes(data) == (32, 8, 20)
    assert data.source == Path("data/cifar10") / archive.name


def test_the_configs_name_the_published_archives() -> None:
    for name, cls in CLASSES.items():
        assert list(PUBLISHED[name]["files"]) == [cls.archive]
        assert PUBLISHED[name]["url"] + cls.archive == f"https://www.cs.toronto.edu/~kriz/{cls.archive}"
        assert PUBLISHED[name]["_target_"] == f"sightseq.data.image.cifar.{cls.__name__}"
