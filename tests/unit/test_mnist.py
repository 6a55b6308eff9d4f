"""MNIST's files: all supported names and layouts, and damaged files."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightseq.catalogue import read
from sightseq.core.errors import DataError
from sightseq.core.places import group_options
from sightseq.data.image.mnist import FILES, MNIST, FashionMNIST, read_idx, write_idx

NAMES = {
    "plain": lambda name: name,
    "gz": lambda name: f"{name}.gz",
    "dotted": lambda name: name.replace("-idx", ".idx"),
    "dotted gz": lambda name: name.replace("-idx", ".idx") + ".gz",
}
LAYOUTS = [
    (name, folder) for name in ("mnist", "fashion_mnist") for folder in read(group_options("data")[name])["folders"]
]


def write(folder: Path, naming: str = "plain", **changes: NDArray[np.uint8]) -> dict[str, Path]:
    """Write the four files: 40 training and 20 test images of 5x4 pixels; `changes` by part: train_target=..."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    paths = {}
    for (split, part), name in FILES.items():
        count = 40 if split == "train" else 20
        array = random.integers(0, 256, (count, 5, 4)) if part == "input" else np.arange(count) % 10
        paths[f"{split}_{part}"] = folder / NAMES[naming](name)
        write_idx(paths[f"{split}_{part}"], changes.get(f"{split}_{part}", array.astype(np.uint8)))
    return paths


def mnist(cls: type[MNIST] = MNIST, **arguments: Any) -> MNIST:
    return cls(**{"name": "mnist", "root": "data", "cache": "cache", **arguments})


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (2, 3), (4, 5, 6), (1, 2, 3, 4), (300, 2)])
def test_idx_round_trip(shape: tuple[int, ...], suffix: str) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    path = Path(f"array-idx{suffix}")
    write_idx(path, array)
    found = read_idx(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, array)
    assert found.shape == shape


def test_idx_bytes_by_hand() -> None:
    write_idx(Path("a"), np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    assert Path("a").read_bytes() == bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("naming", NAMES)
def test_files_are_found_under_all_names(naming: str) -> None:
    write(Path("data/mnist"), naming)
    data = mnist()
    data.prepare_data()
    assert (len(data.dataset("train")), len(data.dataset("val")), len(data.dataset("test"))) == (30, 10, 20)
    batch = next(iter(data.test_dataloader()))
    assert batch["target"].tolist() == [n % 10 for n in range(20)]
    plain = read_idx(write(Path("again"))["test_input"])
    assert np.array_equal(batch["input"].numpy()[:, 0], plain)


@pytest.mark.parametrize(("name", "folder"), LAYOUTS)
def test_files_are_found_in_every_folder_the_config_names(name: str, folder: str) -> None:
    write(Path("data") / folder)
    cls = FashionMNIST if name == "fashion_mnist" else MNIST
    data = mnist(cls, name=name, folders=read(group_options("data")[name])["folders"])
    data.prepare_data()
    assert data.source == Path("data") / folder
    assert data.spec.to_dict()["classes"][0] == ("T-shirt" if cls is FashionMNIST else "0")


def test_an_incomplete_folder_is_skipped() -> None:
    write(Path("data/first"))["test_target"].unlink()
    write(Path("data/second"))
    data = mnist(folders=["first", "second"])
    data.prepare_data()
    assert data.source == Path("data/second")


def test_missing_data_names_the_places_and_the_remedies() -> None:
    with pytest.raises(DataError) as caught:
        mnist(folders=["mnist", "MNIST/raw"]).prepare_data()
    message = str(caught.value)
    for part in (
        "mnist: found no",
        "data/mnist",
        "data/MNIST/raw",
        "t10k-labels-idx1-ubyte",
        "paths.data=",
        "debug=synthetic",
    ):
        assert part in message
    assert "\n" not in message


def damage(kind: str, path: Path) -> None:
    raw = path.read_bytes()
    content = {
        "truncated": raw[:-1],
        "too long": raw + b"\0",
        "empty": b"",
        "header only": raw[:6],
        "wrong magic": b"\x01" + raw[1:],
        "not bytes": raw[:2] + b"\x0d" + raw[3:],
        "html": b"<html>404</html>",
    }
    path.write_bytes(content[kind])


@pytest.mark.parametrize("kind", ["truncated", "too long", "empty", "header only", "wrong magic", "not bytes", "html"])
@pytest.mark.parametrize("part", ["train_input", "test_target"])
def test_damaged_file_is_named_with_a_remedy(part: str, kind: str) -> None:
    path = write(Path("data/mnist"))[part]
    damage(kind, path)
    with pytest.raises(DataError) as caught:
        mnist().prepare_data()
    assert str(caught.value).startswith(f"{path}: ")
    assert "delete it and fetch it again" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 5, 30, -10, -1])
def test_truncated_archive_is_named_with_a_remedy(keep: int) -> None:
    path = write(Path("data/mnist"), "gz")["train_input"]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError) as caught:
        mnist().prepare_data()
    assert str(caught.value).startswith(f"{path}: ")
    assert "delete it and fetch it again" in str(caught.value)


def test_damaged_archive_is_named_with_a_remedy() -> None:
    path = write(Path("data/mnist"), "gz")["train_input"]
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(DataError, match=f"{path}: the archive is damaged .*delete it"):
        mnist().prepare_data()


def test_a_file_that_is_not_an_archive_is_named() -> None:
    path = write(Path("data/mnist"), "gz")["train_input"]
    path.write_bytes(b"not gzip")
    with pytest.raises(DataError, match=f"{path}: the archive is damaged"):
        mnist().prepare_data()


def test_length_in_the_header_is_checked_against_the_bytes() -> None:
    path = Path("huge-idx.gz")
    path.write_bytes(gzip.compress(struct.pack(">BBBB3i", 0, 0, 8, 3, 2**31 - 1, 2**31 - 1, 2**31 - 1) + b"\0" * 8))
    with pytest.raises(DataError, match="is truncated: 8 bytes"):
        read_idx(path)


def test_negative_lengths_are_refused() -> None:
    Path("negative").write_bytes(struct.pack(">BBBB2i", 0, 0, 8, 2, -2, -3) + b"\0" * 6)
    with pytest.raises(DataError):
        read_idx(Path("negative"))


def test_labels_out_of_range_are_refused() -> None:
    path = write(Path("data/mnist"), train_target=np.full(40, 10, np.uint8))["train_target"]
    with pytest.raises(DataError, match=f"train labels go up to 10.*{path.parent}"):
        mnist().prepare_data()


@pytest.mark.parametrize(
    ("part", "array"),
    [
        ("train_target", np.zeros(39, np.uint8)),
        ("test_input", np.zeros((21, 5, 4), np.uint8)),
        ("test_input", np.zeros((20, 20), np.uint8)),
        ("train_target", np.zeros((40, 1), np.uint8)),
    ],
)
def test_files_that_do_not_belong_together_are_refused(part: str, array: NDArray[np.uint8]) -> None:
    folder = write(Path("data/mnist"), **{part: array})[part].parent
    split = part.partition("_")[0]
    with pytest.raises(DataError, match=f"{split} images have the shape .*{folder} do not belong together"):
        mnist().prepare_data()


def test_read_only_data_is_enough() -> None:
    write(Path("data/mnist"))
    before = sorted(Path("data").rglob("*"))
    mnist().prepare_data()
    assert sorted(Path("data").rglob("*")) == before
