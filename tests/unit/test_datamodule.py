"""The base class of datasets: a cache that is written once, and batches with padding rows."""

import importlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sightseq
from sightseq.core.arrays import ArrayDataset, save_split
from sightseq.core.datamodule import DataModule, code
from sightseq.core.errors import DataError
from sightseq.core.files import atomic_folder
from sightseq.data.image.cats_dogs import CatsDogs
from sightseq.data.image.digits import Digits
from sightseq.data.image.image_folder import ImageFolder
from sightseq.data.image.images import ImageData
from sightseq.data.image.mnist import MNIST, FashionMNIST
from sightseq.data.text.text_csv import TextCSV
from sightseq.data.text.text_files import TextFiles
from sightseq.vision.spec import ImageSpec


class Counted(Digits):
    """Counts how often it reads its files."""

    processed = 0

    def process(self, sources: list[Path], folder: Path) -> None:
        type(self).processed += 1
        super().process(sources, folder)


def counted(**arguments: Any) -> Counted:
    return Counted(name="digits", cache="cache", synthetic=True, **arguments)


# atomic_folder


def test_folder_appears_when_the_block_succeeds() -> None:
    target = Path("a/b/c").absolute()
    with atomic_folder(target) as building:
        assert building is not None
        (building / "file").write_text("x")
        assert not target.exists()
    assert (target / "file").read_text() == "x"
    assert not building.exists()
    with atomic_folder(target) as again:
        assert again is None
    assert (target / "file").read_text() == "x"


def test_block_that_raises_leaves_nothing() -> None:
    target = Path("parent/child").absolute()
    with pytest.raises(KeyError), atomic_folder(target) as building:  # noqa: PT012 (the block is what is tested)
        assert building is not None
        (building / "half").write_text("x")
        raise KeyError
    assert [path for path in target.parent.iterdir() if path.suffix != ".lock"] == []
    with atomic_folder(target) as building:  # the next attempt succeeds
        assert building is not None


def test_the_remains_of_a_killed_process_are_ignored() -> None:
    left = Path("parent/child.abc.part").absolute()
    left.mkdir(parents=True)
    (left / "half").touch()
    with atomic_folder(Path("parent/child").absolute()) as building:
        assert building is not None
        assert list(building.iterdir()) == []


def test_concurrent_threads_build_once() -> None:
    target = Path("shared").absolute()
    built: list[int] = []
    seen: list[str] = []

    def enter(number: int) -> None:
        with atomic_folder(target) as building:
            if building is not None:
                built.append(number)
                time.sleep(0.1)
                (building / "by").write_text(str(number))
        seen.append((target / "by").read_text())

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(built) == 1
    assert seen == [str(built[0])] * 4


def test_folder_is_readable_by_others() -> None:
    with atomic_folder(Path("open").absolute()):
        pass
    assert Path("open").stat().st_mode & 0o777 == 0o755


# The cache


def test_files_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "processed", 0)
    first, second = counted(), counted(seed=3, batch_size=7)
    first.prepare_data()
    first.prepare_data()
    second.prepare_data()
    assert Counted.processed == 1
    assert first.spec == second.spec
    assert np.array_equal(first.dataset("val").numpy()["input"], second.dataset("val").numpy()["input"])


def test_changed_files_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "processed", 0)
    data = counted()
    data.prepare_data()
    os.utime(data.source, ns=(1, 1))
    counted().prepare_data()
    assert Counted.processed == 2


def test_changed_code_reads_the_files_again(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import time
from sightseq.data.image.digits import Digits

class Mine(Digits):
    def process(self, sources, folder):
        super().process(sources, folder)
        (folder / f"{time.time_ns()}.time").touch()

    def read_split(self, folder):
        (self.time,) = folder.parent.glob("*.time")
        return super().read_split(folder)
"""
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    times = []
    for change in ("", "", "# changed"):
        Path("mine.py").write_text(code + change)
        monkeypatch.delitem(sys.modules, "mine", raising=False)
        data = importlib.import_module("mine").Mine(name="digits", cache="cache", synthetic=True)
        data.prepare_data()
        times.append(data.time.name)
    assert times[0] == times[1] != times[2]


def test_changed_helpers_read_the_files_again(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("helped").mkdir()
    for name, text in {
        "data": "from sightseq.data.image.digits import Digits\nfrom helped import tools",
        "other": "",
    }.items():
        Path(f"helped/{name}.py").write_text(f"{text}\nclass Mine(Digits): ...\n" if text else "")
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("helped/tools.py").write_text("from sightseq.vision import image")
    module = importlib.import_module("helped.data")

    def cache() -> set[Path]:
        module.Mine(name="digits", cache="cache", synthetic=True).prepare_data()
        return {path for path in Path("cache/digits").iterdir() if path.is_dir()}

    first = cache()
    assert len(first) == 1
    assert any("def to_pixels" in text for text in code(module.Mine))  # also for external datasets
    Path("helped/other.py").write_text("unrelated = True")
    assert cache() == first
    Path("helped/tools.py").write_text("changed = True")
    assert len(cache()) == 2


@pytest.mark.parametrize(
    ("cls", "helper"),
    [(CatsDogs, "vision/faces"), (TextCSV, "text/tables"), (TextFiles, "text/tokenizer"), (Digits, "core/arrays")],
)
def test_helpers_of_sightseq_are_part_of_the_cache_key(cls: type[DataModule], helper: str) -> None:
    folder = Path(sightseq.__file__).parent
    found = code(cls)
    assert (folder / f"{helper}.py").read_text("latin-1") in found
    for other in ("core/datamodule", "core/errors", "run", "nets/convnet", "data/image/mnist"):
        assert (folder / f"{other}.py").read_text("latin-1") not in found


def test_options_that_change_the_data_get_their_own_cache() -> None:
    sizes = {}
    for size in (8, 16):
        data = ImageFolder(name="f", cache="cache", synthetic=True, image_size=size)
        data.prepare_data()
        assert isinstance(data.spec, ImageSpec)
        sizes[size] = (data.spec.height, data.dataset("train").numpy()["input"].shape[-1])
    assert sizes == {8: (8, 8), 16: (16, 16)}


def test_failed_reading_leaves_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Counted, sources: list[Path], folder: Path) -> None:
        save_split(folder, "train", input=np.zeros(1), target=np.zeros(1, np.int64))
        raise DataError("half-way")

    data = counted()
    with monkeypatch.context() as context:
        context.setattr(Counted, "process", broken)
        with pytest.raises(DataError, match="half-way"):
            data.prepare_data()
    data.prepare_data()
    assert len(data.dataset("test")) == 120


def test_spec_is_known_after_preparation() -> None:
    data = counted()
    with pytest.raises(RuntimeError, match="prepare_data"):
        _ = data.spec


def test_given_spec_is_kept() -> None:
    data = counted()
    given = ImageSpec(1, 8, 8, tuple("0123456789"), (0.1,), (0.9,))
    data.given_spec = given
    data.prepare_data()
    assert data.spec is given


def test_given_spec_of_other_classes_is_refused() -> None:
    data = counted()
    data.given_spec = ImageSpec(1, 8, 8, ("a", "b", "c"), (0.1,), (0.9,))
    with pytest.raises(DataError):
        data.prepare_data()


@pytest.mark.parametrize("cls", [Digits, MNIST, FashionMNIST, ImageFolder])
def test_synthetic_data_of_every_module(cls: type[ImageData]) -> None:
    data = cls(name="toy", root="nowhere", cache="cache", synthetic=True, batch_size=16, eval_batch_size=32)
    data.setup()
    assert isinstance(data.spec, type(cls.example_spec))
    assert not Path("nowhere").exists()
    shape = (data.spec.channels, data.spec.height, data.spec.width)
    for loader, size in ((data.train_dataloader(), 16), (data.val_dataloader(), 32), (data.test_dataloader(), 32)):
        batch = next(iter(loader))
        assert set(batch) == {"input", "target", "index"}
        count = min(size, len(loader.dataset))
        assert batch["input"].shape == (count, *shape)
        assert (batch["input"].dtype, batch["target"].dtype, batch["index"].dtype) == (
            torch.uint8,
            torch.int64,
            torch.int64,
        )
        assert 0 <= int(batch["target"].min()) <= int(batch["target"].max()) < len(data.spec.classes)
    assert set(data.dataset("train").numpy()["target"].tolist()) == set(range(len(data.spec.classes)))
    again = cls(name="toy", cache="elsewhere", synthetic=True)
    again.prepare_data()
    assert np.array_equal(again.dataset("train").numpy()["input"], data.dataset("train").numpy()["input"])


def test_only_training_is_shuffled() -> None:
    data = counted(batch_size=300, eval_batch_size=300)
    data.prepare_data()
    for loader, shuffled in ((data.train_dataloader(), True), (data.val_dataloader(), False)):
        index = next(iter(loader))["index"]
        assert (not torch.equal(index, index.sort().values)) is shuffled
    unshuffled = counted(batch_size=300, shuffle=False)
    unshuffled.prepare_data()
    index = next(iter(unshuffled.train_dataloader()))["index"]
    assert torch.equal(index, index.sort().values)


def test_training_order_follows_the_seed() -> None:
    orders = []
    for seed in (1, 2):
        data = counted(seed=seed)
        data.prepare_data()
        orders.append(next(iter(data.train_dataloader()))["index"].tolist())
    assert orders[0] != orders[1]


# ArrayDataset


def test_batch_is_the_rows_of_its_indices() -> None:
    data = ArrayDataset({"input": np.arange(20).reshape(10, 2), "target": np.arange(10) * 10}, np.array([1, 4, 7]))
    batch = data[torch.tensor([2, 0])]
    assert batch["input"].tolist() == [[14, 15], [2, 3]]
    assert batch["target"].tolist() == [70, 10]
    assert batch["index"].tolist() == [7, 1]  # indices in the published data
    assert len(data) == 3
    assert data.numpy()["target"].tolist() == [10, 40, 70]


def test_padding_is_marked_and_of_the_right_shape() -> None:
    data = ArrayDataset({"input": np.arange(20).reshape(10, 2)}, np.array([1, 4, 7]))
    batch = data[torch.tensor([1, -1])]
    assert batch["index"].tolist() == [4, -1]
    assert batch["input"].shape == (2, 2)
    assert data[torch.tensor([-1])]["index"].tolist() == [-1]


def test_batches_do_not_share_memory_with_the_data() -> None:
    data = ArrayDataset({"input": np.zeros((4, 2))}, np.arange(4))
    data[torch.tensor([0, 1])]["input"].fill_(9)
    assert data.numpy()["input"].sum() == 0


def test_data_module_that_lacks_a_method_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="abstract"):
        DataModule(name="x")
