"""Files that are written completely or not at all."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from sightseq.core.arrays import new_array, save_split
from sightseq.core.callbacks import AtomicCheckpointIO
from sightseq.core.errors import ConfigError, DiskError
from sightseq.core.files import atomic_folder, disk_errors, output_file, replacing

FULL = Path("/dev/full")
full = pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")


def test_a_file_appears_when_the_block_succeeds() -> None:
    path = Path("file")
    with replacing(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert [found.name for found in Path().iterdir()] == ["file"]


def test_a_block_that_raises_keeps_the_old_file() -> None:
    path = Path("file")
    path.write_bytes(b"old")
    with pytest.raises(KeyError), replacing(path) as file:  # noqa: PT012 (the block is what is tested)
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert [found.name for found in Path().iterdir()] == ["file"]


def test_a_cache_that_cannot_be_created_is_reported() -> None:
    Path("file").touch()
    Path("dangling").symlink_to("nothing")
    for place in ("file/below/it", "dangling/x"):
        words = rf"{place} cannot be written \(.+\); name another place with paths.cache="
        with pytest.raises(ConfigError, match=words), atomic_folder(Path(place)):
            pass


@pytest.mark.parametrize("maker", ["tempfile.mkdtemp", "filelock.FileLock.acquire", "pathlib.Path.mkdir"])
def test_a_read_only_cache_is_reported_and_read(maker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with atomic_folder(Path("cache/old")):
        pass

    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(maker, refuse)
    with pytest.raises(ConfigError, match=r"new cannot be written \(Read-only"), atomic_folder(Path("cache/new")):
        pass
    with atomic_folder(Path("cache/old")) as building:
        assert building is None


def test_an_output_that_cannot_be_written_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").touch()
    with pytest.raises(ConfigError, match=r"file/x.png cannot be written .* output=FILE"):
        output_file(None, Path("file/x.png"))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ConfigError, match=r"x.png cannot be written \(Permission denied\); .* output=FILE"):
        output_file("x.png", Path("y.png"))


@full
def test_a_full_disk_is_reported_and_keeps_the_old_file() -> None:
    path = Path("file")
    path.write_bytes(b"old")
    Path(".file.part").symlink_to(FULL)
    with (
        pytest.raises(DiskError, match=r"file cannot be written \(No space left on device\); free some space"),
        replacing(path) as file,
    ):
        file.write(b"new")
    assert path.read_bytes() == b"old"


@full
@pytest.mark.parametrize("numbers", [10, 10_000_000])
def test_a_checkpoint_on_a_full_disk(numbers: int) -> None:
    path, writer = Path("last.ckpt"), AtomicCheckpointIO()
    writer.save_checkpoint({"weights": torch.ones(3)}, path)
    Path(".last.ckpt.part").symlink_to(FULL)
    with pytest.raises(DiskError):
        writer.save_checkpoint({"weights": torch.ones(numbers)}, path)
    assert torch.equal(writer.load_checkpoint(path)["weights"], torch.ones(3))


def test_a_disk_that_fills_up_within_a_checkpoint() -> None:
    path, writer = Path("last.ckpt"), AtomicCheckpointIO()
    writer.save_checkpoint({"weights": torch.ones(3)}, path)
    with at_most(1_000_000), pytest.raises(DiskError):
        writer.save_checkpoint({"weights": torch.ones(10_000_000)}, path)
    assert torch.equal(writer.load_checkpoint(path)["weights"], torch.ones(3))


def test_a_disk_that_fills_up_within_an_array() -> None:
    with at_most(1_000_000), pytest.raises(DiskError), atomic_folder(Path("cache").absolute()) as building:
        save_split(building, "train", input=np.zeros(1_000_000))
    assert not Path("cache").exists()


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Limit the size of files to `count` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_cache_on_a_full_disk() -> None:
    with pytest.raises(DiskError, match=r"paths\.cache=FOLDER"), atomic_folder(Path("cache").absolute()):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not Path("cache").exists()


def test_an_array_allocates_its_space_before_it_is_filled() -> None:
    array = new_array(Path(), "train", "input", (1000, 1000))
    blocks = Path("train/input.npy").stat().st_blocks
    assert blocks * 512 >= array.nbytes


def test_an_impossible_path_gives_a_one_line_error() -> None:
    Path("file").touch()
    with pytest.raises(
        ConfigError, match=r"^file/x/model.onnx cannot be written \(Not a directory\); .* with output=FILE$"
    ):
        output_file("file/x/model.onnx", Path("unused"))
    with (
        pytest.raises(
            ConfigError, match=r"^file/cache/digits cannot be written \(Not a directory\); .*paths.cache=FOLDER"
        ),
        atomic_folder(Path("file/cache/digits")),
    ):
        pass


def test_a_path_without_write_permission_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root can write everywhere
    with pytest.raises(ConfigError, match=r"^made/model.onnx cannot be written \(Permission denied\); .* output=FILE$"):
        output_file("made/model.onnx", Path("unused"))


def test_read_errors_within_the_block_do_not_name_the_path() -> None:
    with pytest.raises(PermissionError), disk_errors(Path("cache/digits")):
        raise PermissionError(errno.EACCES, "Permission denied", "data/secret.csv")
    with pytest.raises(DiskError, match="cache/digits cannot be written"), disk_errors(Path("cache/digits")):
        raise PermissionError(errno.EACCES, "Permission denied", "cache/digits/train.npy")
