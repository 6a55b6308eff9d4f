"""Data in shards: the same samples as from the cache, bad replies, the disk budget, and the order of the samples."""

import json
import pickle
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sightseq import show
from sightseq.composition import compose
from sightseq.core.arrays import ArrayDataset, Ragged, map_arrays
from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
from sightseq.core.download import check_present
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.loading import PAD_INDEX, BatchSampler, Loader, ShardSampler
from sightseq.core.shards import fetch
from sightseq.core.shards.array import ShardedArray
from sightseq.core.shards.store import ShardStore
from sightseq.core.shards.write import write_shards
from sightseq.data.image.image_folder import ImageFolder
from tests.conftest import composed
from tests.unit.shard_server import Server, serving

IMAGES = {"name": "image_folder", "folders": ["own"], "batch_size": 8, "eval_batch_size": 4, "image_size": 32}
SHARD = 20_000  # bytes: 6 of the images


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    """60 images of 3 x 32 x 32, in the cache."""
    data = ImageFolder(cache=str(tmp_path_factory.mktemp("cache")), synthetic=True, **IMAGES)
    data.prepare_data()
    return data


@pytest.fixture(scope="module")
def shards(original: ImageFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in 10 shards."""
    target = tmp_path_factory.mktemp("shards") / "images"
    write_shards(original, target, SHARD)
    return target


@pytest.fixture
def server(shards: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "WAIT", 0.001)
    monkeypatch.setattr(fetch, "TIMEOUT", 2.0)  # of downloads ahead that are under way when the server ends
    with serving(shards.parent) as running:
        yield running


def from_shards(place: Any, **options: Any) -> ImageFolder:
    data = ImageFolder(cache="cache", shards=str(place), **IMAGES | options)
    data.prepare_data()
    return data


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def epoch(data: DataModule, split: str = "train", number: int = 0) -> list[dict[str, Tensor]]:
    loader = data.loader(split)
    loader.sampler.set_epoch(number)
    return list(loader)


# The samples


def test_shards_hold_the_samples_and_the_spec(original: ImageFolder, shards: Path) -> None:
    data = from_shards(shards)
    assert data.spec == original.spec
    assert data.synthetic
    assert data.source == str(shards)
    for split in ("train", "val", "test"):
        ours, theirs = data.dataset(split), original.dataset(split)
        assert isinstance(ours.arrays["input"], ShardedArray)
        assert same(ours[:], theirs[:])
        assert same(ours[torch.tensor([2, -1, 0])], theirs[torch.tensor([2, -1, 0])])
        assert same(ours[1], theirs[1])


def test_the_order_is_that_of_the_cache_if_all_shards_are_open(original: ImageFolder, shards: Path) -> None:
    data = from_shards(shards, shards_open=10)
    assert all(same(a, b) for a, b in zip(epoch(data, number=3), epoch(original, number=3), strict=True))
    for split in ("val", "test"):
        assert all(same(a, b) for a, b in zip(epoch(data, split), epoch(original, split), strict=True))


def test_training_samples_of_a_shard_are_mixed(original: ImageFolder, shards: Path) -> None:
    """The classes are in order in the folder: a shard of neighbouring images would have one class."""
    data = from_shards(shards, shards_open=2)
    order = data.batch_sampler("train")
    assert isinstance(order, ShardSampler)
    for shard in range(order.shard_count):
        samples = torch.nonzero(order.shards == shard).flatten()
        assert len(samples) < 6 or len(data.dataset("train")[samples]["target"].unique()) > 1


@pytest.mark.parametrize("workers", [0, 2])
def test_from_a_server(shards: Path, server: Server, workers: int) -> None:
    local, remote = from_shards(shards, shards_open=2), from_shards(f"{server.url}/images", shards_open=2)
    remote.workers = workers
    assert all(same(a, b) for a, b in zip(epoch(remote), epoch(local), strict=True))
    assert server.requests["chunk-0-5.bin"] == 1  # not once for each process or batch


def test_litdata_reads_the_shards(original: ImageFolder, shards: Path) -> None:
    from litdata import StreamingDataset, TokensLoader

    folder = next(path.parent for path in shards.rglob("index.json"))
    shutil.copytree(folder, "copy")  # litdata writes into the folder
    rows = StreamingDataset("copy", item_loader=TokensLoader(block_size=3 * 32 * 32))
    ours = np.stack([np.asarray(row) for row in rows])
    places = np.load(shards / "places" / "train.npy")
    assert np.array_equal(ours.reshape(-1, 3, 32, 32)[places], original.dataset("train").arrays["input"])


KINDS = {
    "text_classification": ["experiment=text_csv", "data.unit=characters"],
    "language_model": ["experiment=text_files"],
    "translation": ["experiment=parallel_files"],
    "captions": ["experiment=captions_csv"],
    "denoising": ["experiment=denoising_folder"],
    "piano_rolls": ["experiment=midi_rolls"],
    "notes": ["experiment=midi_folder"],
    "series": ["experiment=series_csv"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_reads_the_same_batches_from_shards(kind: str) -> None:
    config = composed(*KINDS[kind], "debug=synthetic")["data"]
    original = build(config, DataModule, "data")
    original.prepare_data()
    written = write_shards(original, Path("shards"), 1000)
    if kind != "series":  # whose columns have few bytes per row
        assert written["columns"]
    data = build(config | {"shards": "shards", "shards_open": 10**6, "cache": "another"}, DataModule, "data")
    data.prepare_data()
    assert data.spec == original.spec
    assert data.remarks == original.remarks
    for split in ("train", "val", "test"):
        assert all(same(a, b) for a, b in zip(epoch(data, split), epoch(original, split), strict=True))
    assert not list(Path("another").rglob("*-tokens-*/*/tokens.npy")) or kind not in written["columns"]
    copied = pickle.loads(pickle.dumps(data.dataset("val")))  # for spawned workers
    assert same(copied[0:2], original.dataset("val")[0:2])


def test_ragged_columns_are_sliced_across_sequences_and_shards() -> None:
    config = composed("experiment=text_csv", "debug=synthetic")["data"]
    original = build(config, DataModule, "data")
    original.prepare_data()
    write_shards(original, Path("shards"), 500)
    data = build(config | {"shards": "shards"}, DataModule, "data")
    data.prepare_data()
    ours: Ragged = map_arrays(data.folder / "train")["input"]
    theirs: Ragged = map_arrays(original.folder / "train")["input"]
    assert isinstance(ours.values, ShardedArray)
    assert np.array_equal(np.asarray(ours.values), theirs.values)
    for start, stop in [(0, 0), (3, 900), (40, 41), (len(theirs.values) - 5, len(theirs.values))]:
        assert np.array_equal(ours.values[start:stop], theirs.values[start:stop])
    assert np.array_equal(ours[np.array([5, 1])].values, theirs[np.array([5, 1])].values)


# Bad replies


@pytest.mark.parametrize("fault", [404, 500, 503, "truncated", "short", "other", "drop"])
def test_a_bad_reply_is_retried(server: Server, shards: Path, fault: Any) -> None:
    for end in ("shards.json", "chunk-0-4.bin", "places/train.npy"):
        if end != "shards.json" or fault not in ("short", "other"):
            server.faults[end] = [fault] * (fetch.ATTEMPTS - 1)
    data = from_shards(f"{server.url}/images")
    assert same(data.dataset("train")[:], from_shards(shards).dataset("train")[:])
    assert server.requests["chunk-0-4.bin"] == fetch.ATTEMPTS


def test_a_slow_reply_is_abandoned(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", 0.2)
    monkeypatch.setattr(fetch, "SLOWEST", 10_000)
    server.faults["chunk-0-4.bin"] = ["slow"]
    data = from_shards(f"{server.url}/images")
    assert len(data.dataset("train")[:]["input"]) == 48
    assert server.requests["chunk-0-4.bin"] == 2


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("fault", "reply"), [(404, "HTTP Error 404"), ("short", "of 18,444 bytes"), ("other", "other")]
)
def test_a_shard_that_stays_bad_is_an_error(server: Server, fault: Any, reply: str, workers: int) -> None:
    server.faults["chunk-0-4.bin"] = [fault] * 1000
    data = from_shards(f"{server.url}/images")
    data.workers = workers
    with pytest.raises(DataError, match="resume=auto") as error:
        epoch(data)
    message = str(error.value)
    assert f"{server.url}/images/" in message
    assert "chunk-0-4.bin" in message
    assert reply in message
    assert "\n" not in message


def test_no_server(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "WAIT", 0.001)
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/x/shards.json cannot be read \(URLError"):
        from_shards("http://127.0.0.1:9/x")


def test_an_object_store_is_read_with_litdata(server: Server, shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENDPOINT_URL": server.url, "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server.faults["chunk-0-4.bin"] = [404]
    data = from_shards("s3://images")
    assert same(data.dataset("train")[:], from_shards(shards).dataset("train")[:])


# Bad input


def test_bad_places() -> None:
    with pytest.raises(DataError, match=r"there are no shards in .*nowhere"):
        from_shards("nowhere")
    with pytest.raises(ConfigError, match="ftp://x: name a folder, or a URL"):
        from_shards("ftp://x")
    with pytest.raises(ConfigError, match="shards_open must be at least 1"):
        from_shards("nowhere", shards_open=0)
    Path("x").mkdir()
    Path("x/shards.json").write_text("<html>")
    with pytest.raises(DataError, match=r"x/shards.json is not a list of shards"):
        from_shards("x")


def test_a_local_folder_that_is_not_complete(shards: Path) -> None:
    shutil.copytree(shards, "broken")
    chunk = next(Path("broken").rglob("chunk-0-4.bin"))
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"chunk-0-4.bin is missing or not complete"):
        epoch(from_shards("broken"))
    next(Path("broken").rglob("target.npy")).write_bytes(b"x")
    shutil.rmtree("cache")
    with pytest.raises(DataError, match=r"target.npy is not complete"):
        from_shards("broken")


def test_a_list_that_names_files_outside_its_folder(shards: Path) -> None:
    manifest = json.loads((shards / "shards.json").read_text())
    manifest["files"]["../../stolen"] = [1, 1]
    Path("evil").mkdir()
    Path("evil/shards.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"outside its folder: '../../stolen'; nothing was read"):
        from_shards("evil")


def test_other_data_and_other_options(shards: Path, original: ImageFolder) -> None:
    with pytest.raises(ConfigError, match=r"was written with data.image_size=32, not 64; use that"):
        from_shards(shards, image_size=64)
    digits = composed("experiment=digits")["data"] | {"shards": str(shards)}
    with pytest.raises(ConfigError, match=r"has the data of .*ImageFolder, not of .*Digits; choose its data="):
        build(digits, DataModule, "data").prepare_data()
    with pytest.raises(ConfigError, match="exists; name a new folder"):
        write_shards(original, shards, SHARD)
    with pytest.raises(ConfigError, match="is read from shards already"):
        write_shards(from_shards(shards), Path("again"), SHARD)


def test_the_original_files_are_not_needed(shards: Path) -> None:
    check_present({"name": "x", "folders": ["none"], "shards": str(shards)})
    assert not from_shards(shards).root.exists()


def test_another_split_is_computed_if_the_disk_holds_all_shards(original: ImageFolder, server: Server) -> None:
    url = f"{server.url}/images"
    again = ImageFolder(cache=str(original.cache), synthetic=True, **IMAGES, fold=1)
    again.prepare_data()
    data = from_shards(url, fold=1)
    assert data.spec == again.spec
    assert same(data.dataset("test")[:], again.dataset("test")[:])
    with pytest.raises(DataError, match="its spec is not in the shards"):
        from_shards(url, fold=2, shards_disk=0.0001)


def test_the_command_writes_shards_and_bench_finds_the_original(capsys: pytest.CaptureFixture[str]) -> None:
    config = compose("experiment=digits", "debug=synthetic", "shards=own", "shard_size=0.001", command="data")
    show.prepare(config)
    printed = capsys.readouterr().out
    assert len(list(Path("own").rglob("*.bin"))) > 1
    assert "data.shards=own" in printed
    config["data"] |= {"shards": "own"}
    cached = show.original(config)
    assert cached is not None
    assert cached.sharded is None
    folder = compose("experiment=image_folder", "data.shards=own")
    assert show.original(folder) is None
    with pytest.raises(ConfigError, match=r"shard_size=0.0: input should be greater than 0"):
        show.prepare({**config, "data": config["data"] | {"shards": None}, "shard_size": 0.0, "shards": "other"})


# The disk budget


def test_the_disk_budget_is_kept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = 8 * 18_444  # bytes
    data = from_shards(f"{server.url}/images", shards_open=2, shards_disk=budget / 1e9, eval_batch_size=1)
    sizes = []
    download = ShardStore._download

    def recorded(self: ShardStore, *arguments: Any) -> None:
        download(self, *arguments)
        sizes.append(sum(path.stat().st_size for path in (self.root / "shards").rglob("*.bin")))

    monkeypatch.setattr(ShardStore, "_download", recorded)
    for number in range(3):
        batches = epoch(data, number=number)
        assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == data.dataset("train").rows.tolist()
    assert max(sizes) <= budget
    assert max(sizes) > budget - 18_444
    assert server.requests["chunk-0-5.bin"] <= 3
    assert len(list(data.folder.parent.rglob("*.bin"))) <= 8


def test_a_budget_that_is_too_small(server: Server) -> None:
    data = from_shards(f"{server.url}/images", shards_open=4, shards_disk=0.0001)
    with pytest.raises(ConfigError, match=r"shards_disk=0.0001: 0.000129 GB are needed .* lower data.shards_open"):
        data.loader("train")


def test_shards_are_downloaded_ahead(server: Server) -> None:
    data = from_shards(f"{server.url}/images", shards_open=1)
    loader = data.loader("train")
    iterator = iter(loader)
    next(iterator)
    assert loader.sampler.ahead == 2 * 6 // 8
    for _ in range(200):
        if len(list(data.folder.parent.rglob("*.bin"))) >= 3:
            break
        torch.rand(10**6)
    assert len(list(data.folder.parent.rglob("*.bin"))) >= 3


# The order


def sampler(count: int = 1000, rank: int = 0, world: int = 1, epoch: int = 0, **options: Any) -> ShardSampler:
    positions = torch.randperm(count + 50, generator=torch.Generator().manual_seed(7))[:count]
    defaults = {"positions": positions, "rows": 20, "opened": 4, "batch_size": 12 // world, "shuffle": True, "seed": 3}
    order = ShardSampler(**defaults | options, rank=rank, world=world)
    order.set_epoch(epoch)
    return order


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("count", [1000, 997, 5])
def test_every_sample_once_for_any_number_of_processes(count: int, shuffle: bool, lengths: bool) -> None:
    options: dict[str, Any] = {"shuffle": shuffle, "lengths": torch.arange(count) * 7 % 31 if lengths else None}
    alone = [batch.tolist() for batch in sampler(count, **options)]
    assert sorted(index for batch in alone for index in batch) == list(range(count))
    for world in (2, 3):
        ranks = [list(sampler(count, rank, world, **options)) for rank in range(world)]
        assert len({len(rank) for rank in ranks}) == 1
        for whole, parts in zip(alone, zip(*ranks, strict=True), strict=True):
            assert len({len(part) for part in parts}) == 1
            together = torch.cat(parts)
            assert sorted(together[together != PAD_INDEX].tolist()) == sorted(whole)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def first(**options: Any) -> list[int]:
        return next(iter(sampler(**options))).tolist()

    assert first() == first()
    assert len({tuple(first()), tuple(first(epoch=1)), tuple(first(seed=4))}) == 3


def test_few_shards_are_read_at_a_time() -> None:
    order = sampler()
    batches = list(order)
    shards = [set(order.shards[batch].tolist()) for batch in batches]
    opened: dict[int, list[int]] = {}
    for number, numbers in enumerate(shards):
        for shard in numbers:
            opened.setdefault(shard, [number, number])[1] = number
    active = [sum(first <= number <= last for first, last in opened.values()) for number in range(len(batches))]
    assert max(active) <= 4 + 2  # two shards may change within one batch
    assert np.mean(active[10:-10]) > 4
    assert order.shard_count == 53


def test_batches_mix_the_open_shards() -> None:
    order = sampler()
    middle = list(order)[20:-20]
    assert np.mean([len(order.shards[batch].unique()) for batch in middle]) > 3
    assert len({int(a[0]) for a, _ in pairwise(middle)}) > 10


def test_each_process_reads_few_of_the_open_shards() -> None:
    order = sampler(20_000, rank=0, world=4, rows=400, opened=16, batch_size=64)
    read = len(torch.cat([order.shards[batch[batch >= 0]].unique() for batch in order]))
    striped = BatchSampler(20_000, 64, shuffle=True, rank=0, world=4)
    whole = len(torch.cat([order.shards[batch].unique() for batch in striped]))
    assert read < 0.3 * whole


def test_an_epoch_resumes_within_it(shards: Path) -> None:
    data = from_shards(shards, shards_open=2)
    whole = epoch(data, number=2)
    loader = data.loader("train")
    loader.sampler.set_epoch(2)
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    state = loader.state_dict()
    resumed: Loader = from_shards(shards, shards_open=2).loader("train")
    resumed.sampler.set_epoch(2)
    resumed.load_state_dict(state)
    assert all(same(a, b) for a, b in zip(list(resumed), whole[3:], strict=True))


def test_announced_batches_are_yielded_later() -> None:
    order, seen = sampler(), []
    order.announce, order.ahead = seen.append, 5
    plain = list(sampler())
    iterator = iter(order)
    first = next(iterator)
    assert len(seen) == 6
    assert [first.tolist(), *(batch.tolist() for batch in iterator)] == [batch.tolist() for batch in plain]
    assert len(seen) == len(plain)


def test_a_dataset_of_computed_samples_has_no_stored_rows() -> None:
    rows = np.arange(3)
    assert ArrayDataset({"input": rows}, rows).stored_rows is rows
