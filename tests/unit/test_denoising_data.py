"""Photos with noise: training tiles, fixed noise in validation and test, and unusable files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sightseq.core.checkpoint import read_as
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.image.denoising import DenoisingData, synthetic_photos
from sightseq.data.image.denoising_bsd import BSD, BSDSColour
from sightseq.data.image.denoising_folder import DenoisingFolder
from sightseq.data.image.denoising_mnist import DenoisingMNIST
from sightseq.data.image.denoising_photos import COLOUR, GREY, DenoisingPhotos
from sightseq.data.image.mnist import FILES, write_idx
from sightseq.data.image.noisy import NoisyDataset, PhotoDataset
from sightseq.vision.denoising_spec import DenoisingSpec

GAUSSIAN = {"gaussian": {"_target_": "sightseq.vision.noise.Gaussian", "sigma": 25}}
SPLITS = ("train", "val", "test")


def write_photos(folder: str, sizes: Sequence[tuple[int, int]], mode: str = "RGB") -> None:
    """Write photos of different contents; sizes are (width, height)."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, (width, height) in enumerate(sizes):
        pixels = synthetic_photos(1, 3, height, width, seed=number)[0].transpose(1, 2, 0)
        Image.fromarray(pixels).convert(mode).save(f"{folder}/{number}.png")


def folder(**arguments: Any) -> DenoisingFolder:
    defaults = {"name": "mine", "path": "photos", "cache": "cache", "noise": GAUSSIAN, "tile": 32, "stride": 16}
    return DenoisingFolder(**{**defaults, **arguments})


def prepared(data: Any) -> Any:
    data.prepare_data()
    return data


def photos_of(data: DenoisingData, split: str) -> set[int]:
    dataset = data.dataset(split)
    assert isinstance(dataset, PhotoDataset)
    return set((dataset.rows // dataset.per_photo).tolist())


def eval_batches(data: DenoisingData, size: int) -> dict[int, dict[str, torch.Tensor]]:
    """Return all test samples by index, without padding, read in shuffled batches of `size`."""
    dataset, found = data.dataset("test"), {}
    for indices in torch.randperm(len(dataset), generator=torch.Generator().manual_seed(size)).split(size):
        batch = dataset[indices]
        for row, index in enumerate(batch["index"].tolist()):
            height, width = batch["size"][row].tolist()
            found[index] = {
                "input": batch["input"][row, :, :height, :width],
                "target": batch["target"][row, :, :height, :width],
                "level": batch["level"][row],
            }
            for name in ("input", "target"):
                assert not batch[name][row, :, height:].any()
                assert not batch[name][row, :, :, width:].any()
    return found


# Tiles and splits


def test_tiles_cover_every_pixel_of_the_photo() -> None:
    write_photos("photos", [(70, 50)] * 10)
    data = prepared(folder())
    train = data.dataset("train")
    assert isinstance(train, PhotoDataset)
    assert len(train) == 8 * 3 * 4  # 3 tiles along 50 pixels, 4 along 70
    batch = train[torch.arange(len(train))]
    assert batch["input"] is batch["target"]
    assert batch["input"].shape == (96, 3, 32, 32)
    assert batch["input"].dtype == torch.uint8
    assert batch["level"].tolist() == [0] * 96
    assert batch["size"].tolist() == [[32, 32]] * 96
    number = int(batch["index"][0]) // train.per_photo
    photo = train.get_photo("photo", number)
    tops, lefts = (0, 9, 18), (0, 12, 25, 38)
    for place, (top, left) in enumerate((top, left) for top in tops for left in lefts):
        assert np.array_equal(batch["input"][place], photo[:, top : top + 32, left : left + 32])


def test_a_photo_smaller_than_a_tile_is_reflected() -> None:
    write_photos("photos", [(20, 40)] * 3)
    data = prepared(folder())
    batch = data.dataset("train")[torch.arange(2)]
    assert len(data.dataset("train")) == 2  # 40 pixels are two tiles high
    tile = batch["input"][0]
    assert torch.equal(tile[:, :, 20:], tile[:, :, 8:20].flip(2))


def test_padding_rows_are_marked() -> None:
    write_photos("photos", [(40, 40)] * 5)
    data = prepared(folder())
    for split in SPLITS:
        assert data.dataset(split)[torch.tensor([0, -1])]["index"].tolist()[1] == -1


def test_no_photo_is_in_two_splits_and_copies_stay_together() -> None:
    write_photos("photos", [(40, 40)] * 20)
    for number in range(20):
        Image.open(f"photos/{number}.png").save(f"photos/copy_of_{number}.bmp")
    data = prepared(folder(test_fraction=0.2, val_fraction=0.2))
    parts = [photos_of(data, split) for split in SPLITS]
    assert [len(part) for part in parts] == [26, 6, 8]
    assert sorted(number for part in parts for number in part) == list(range(40))
    contents = [
        {data.dataset(split).get_photo("photo", number).tobytes() for number in part}
        for split, part in zip(SPLITS, parts, strict=True)
    ]
    assert not contents[0] & contents[1] | contents[0] & contents[2] | contents[1] & contents[2]


def test_split_folders_are_used() -> None:
    for split, count in (("train", 4), ("Validation", 2), ("test", 3), ("other", 5)):
        write_photos(f"photos/{split}", [(40, 40)] * count)
    data = prepared(folder())
    assert [len(photos_of(data, split)) for split in SPLITS] == [4, 2, 3]


# Fixed noise


@pytest.mark.parametrize("noise", ["Gaussian", "Poisson", "SaltAndPepper", "JPEG"])
def test_evaluation_noise_does_not_depend_on_the_batch_size(noise: str) -> None:
    write_photos("photos", [(40 + number, 50 - number) for number in range(12)])
    bricks = {
        "one": {"_target_": f"sightseq.vision.noise.{noise}"},
        "two": {"_target_": "sightseq.vision.noise.Gaussian", "sigma": [1, 9]},
    }
    data = prepared(folder(noise=bricks, test_fraction=0.5, levels=(15.0, 25.0)))
    first, again = eval_batches(data, 1), eval_batches(data, 5)
    assert len(first) == 12  # 6 photos at two levels
    for index, sample in first.items():
        for name, value in sample.items():
            assert torch.equal(value, again[index][name])
        assert not torch.equal(sample["input"], sample["target"] / 255)
    assert sorted({sample["level"].item() for sample in first.values()}) == [15, 25]
    other = eval_batches(prepared(folder(noise=bricks, test_fraction=0.5, levels=(15.0, 25.0), noise_seed=1)), 5)
    assert not any(torch.equal(other[index]["input"], sample["input"]) for index, sample in first.items())


def test_gaussian_evaluation_noise_has_its_level_and_is_not_clipped() -> None:
    write_photos("photos", [(90, 80)] * 8)
    data = prepared(folder(test_fraction=0.5, levels=(15.0, 50.0)))
    for sample in eval_batches(data, 3).values():
        noise = (sample["input"] - sample["target"] / 255) * 255
        assert noise.std().item() == pytest.approx(sample["level"].item(), rel=0.03)
        assert noise.mean().item() == pytest.approx(0, abs=1.5)
    assert min(sample["input"].min().item() for sample in eval_batches(data, 3).values()) < 0


def test_the_noise_at_a_level_does_not_depend_on_other_options() -> None:
    write_photos("photos", [(40, 40)] * 8)
    blind = {"gaussian": GAUSSIAN["gaussian"] | {"sigma": [0, 55]}}
    options: list[dict[str, Any]] = [
        {},
        {"levels": (25.0,)},
        {"levels": (50.0, 25.0)},
        {"levels": (25.0,), "noise": blind},
        {"levels": (25.0,), "tile": 16, "stride": 8},
    ]
    seen = []
    for option in options:
        samples = eval_batches(prepared(folder(test_fraction=0.5, **option)), 2).values()
        seen.append({s["target"].numpy().tobytes(): s["input"] for s in samples if s["level"] == 25})
    for other in seen[1:]:
        assert len(other) == 4
        assert all(torch.equal(noisy, other[clean]) for clean, noisy in seen[0].items())


def test_levels_of_a_range_are_drawn_once_for_each_photo() -> None:
    write_photos("photos", [(40, 40)] * 20)
    noise = {"gaussian": GAUSSIAN["gaussian"] | {"sigma": [10, 50]}}
    data = prepared(folder(noise=noise, test_fraction=0.5))
    levels = [sample["level"].item() for sample in eval_batches(data, 4).values()]
    assert len(set(levels)) == 10
    assert 10 <= min(levels) < 25 < 35 < max(levels) <= 50


def test_large_photos_are_centre_cropped() -> None:
    write_photos("photos", [(60, 40)] * 4)
    data = prepared(folder(eval_size=32))
    dataset = data.dataset("test")
    batch = dataset[torch.arange(1)]
    assert batch["size"].tolist() == [[32, 32]]
    photo = dataset.get_photo("photo", int(batch["index"][0]) // dataset.per_photo)
    assert np.array_equal(batch["target"][0], photo[:, 4:36, 14:46])


def test_photos_of_one_size_share_a_batch_and_baselines_read_few_at_a_time() -> None:
    write_photos("photos", [(64, 48), (48, 64)] * 10)
    data = prepared(folder(test_fraction=0.5, eval_batch_size=5))
    mixed = [len(batch["size"].unique(dim=0)) for batch in data.test_dataloader()]
    assert sum(mixed) <= 3  # at most one of the two batches has both sizes
    dataset = data.dataset("test")
    assert isinstance(dataset, NoisyDataset)
    chunks = list(dataset.chunks(4))
    assert [len(chunk["index"]) for chunk in chunks] == [4, 4, 2]
    assert {name: value.dtype.name for name, value in chunks[0].items()} == {
        "input": "float32",
        "target": "uint8",
        "level": "float32",
        "size": "int64",
        "index": "int64",
    }
    assert np.array_equal(np.concatenate([chunk["index"] for chunk in chunks]), dataset.rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"noise": {}}, "data=mine: data.noise is empty; add noise, such as noise=gaussian"),
        ({"levels": (300.0,)}, r"data.levels=\[300.0\]: sigma must be from 0 to 255"),
        ({"levels": (5.0, 5.0)}, "contains a level twice"),
        ({"tile": 0}, "at least 1 pixel"),
        ({"eval_size": 8}, "data.eval_size=8: must be at least 16 pixels"),
        ({"longest": 8}, "data.longest=8: must be at least 16 pixels"),
        ({"noise_seed": -1}, "data.noise_seed=-1: must be at least 0"),
    ],
)
def test_invalid_options_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        folder(**arguments)


# Photos of a folder


def test_photos_of_every_kind_are_read() -> None:
    write_photos("photos", [(40, 40)] * 3)
    photo = Image.open("photos/0.png")
    clear = photo.copy()
    clear.putalpha(0)
    clear.save("photos/alpha.png")
    photo.convert("CMYK").save("photos/cmyk.jpg")
    photo.convert("L").save("photos/grey.png")
    photo.save("photos/moving.gif", save_all=True, append_images=[Image.new("RGB", photo.size)])
    deep = np.full((40, 40), 0x8080, np.uint16)
    Image.fromarray(deep).save("photos/deep.png")
    data = prepared(folder())
    assert data.spec.channels == 3
    photos = {
        file.stem: data.dataset("train").get_photo("photo", number)
        for number, file in enumerate(sorted(Path("photos").iterdir()))
    }
    assert (photos["alpha"] == 255).all()  # transparent is white
    assert (photos["deep"] == 0x80).all()
    assert np.array_equal(photos["grey"][0], np.asarray(Image.open("photos/grey.png")))
    assert np.array_equal(photos["grey"][0], photos["grey"][2])
    original = np.asarray(photo).transpose(2, 0, 1).astype(int)
    assert abs(photos["cmyk"] - original).mean() < 8
    assert abs(photos["moving"] - original).mean() < 8  # the first frame


def test_grey_folders_are_read_in_grey_by_default() -> None:
    write_photos("photos", [(40, 40)] * 4, mode="L")
    assert prepared(folder()).spec == DenoisingSpec(1, 32, 32, GAUSSIAN)
    assert prepared(folder(channels=3)).spec.channels == 3
    data = folder()
    read_as(data, DenoisingSpec(3, 64, 64, GAUSSIAN))  # a model of colour photos
    assert prepared(data).dataset("test")[torch.arange(1)]["input"].shape[1] == 3


def test_large_photos_are_reduced() -> None:
    write_photos("photos", [(100, 50)] * 3)
    assert prepared(folder(longest=40)).dataset("test")[torch.arange(1)]["size"].tolist() == [[20, 40]]


@pytest.mark.parametrize("kind", ["empty", "truncated", "tiny"])
def test_files_that_cannot_be_used_are_named_or_skipped(kind: str) -> None:
    write_photos("photos", [(40, 40)] * 6)
    bad = Path("photos/bad.png")
    if kind == "empty":
        bad.write_bytes(b"")
    elif kind == "truncated":
        bad.write_bytes(Path("photos/0.png").read_bytes()[:200])
    else:
        Image.new("RGB", (15, 40)).save(bad)
    with pytest.raises(DataError) as caught:
        prepared(folder())
    reason = {
        "empty": "it is empty",
        "truncated": "is not an image that can be read",
        "tiny": "15 x 40 pixels are too few",
    }
    assert f"mine: {bad}" in str(caught.value)
    assert reason[kind] in str(caught.value)
    assert str(caught.value).endswith("or leave such files out with data.corrupt=skip")
    data = prepared(folder(corrupt="skip"))
    assert data.skipped == [str(bad)]
    assert sum(len(photos_of(data, split)) for split in SPLITS) == 6


def test_too_few_photos_are_refused() -> None:
    write_photos("photos", [(40, 40)])
    words = "mine: photos contains 1 photo; add photos: at least 3 are needed to train, validate and test"
    with pytest.raises(DataError, match=words):
        prepared(folder())
    Path("photos/a.png").write_bytes(b"")
    Path("photos/b.png").write_bytes(b"")
    with pytest.raises(DataError, match="contains 1 readable photo; add photos: at least 3 are needed"):
        prepared(folder(corrupt="skip"))
    with pytest.raises(DataError, match=r"there is no nowhere; name yours with data.path=FOLDER"):
        prepared(folder(path="nowhere"))
    with pytest.raises(DataError, match=r"photos/0.png is a file; give its folder: data.path=photos"):
        prepared(folder(path="photos/0.png"))
    write_photos("parts/train", [(40, 40)] * 2)
    write_photos("parts/test", [(40, 40)])
    assert len(prepared(folder(path="parts")).dataset("val")) == 1
    Path("parts/train/1.png").unlink()
    with pytest.raises(DataError, match=r"parts \(train\) contains 1 photo; add photos: at least 2 are needed"):
        prepared(folder(path="parts"))


# Published datasets


def test_real_photos_of_the_packages() -> None:
    data = prepared(DenoisingPhotos(name="photos", cache="cache", noise=GAUSSIAN, longest=128, channels=3))
    assert [len(photos_of(data, split)) for split in SPLITS] == [6, 2, 3]
    assert all(data.dataset(split).source == split for split in SPLITS)
    grey = prepared(DenoisingPhotos(name="photos", cache="cache", noise=GAUSSIAN, longest=128, channels=1))
    assert [len(photos_of(grey, split)) for split in SPLITS] == [11, 3, 4]
    assert grey.spec.channels == 1
    sizes = grey.dataset("test").arrays["size"].tolist()
    assert sizes == [[128, 128], [85, 128], [85, 128], [128, 128]]  # astronaut, chelsea, china, camera


def test_both_motorcycle_views_are_in_train_and_no_photo_is_in_two_splits() -> None:
    names = [name for part in (COLOUR, GREY) for split in SPLITS for name in part[split]]
    assert len(names) == len(set(names)) == 18
    assert {"motorcycle_left.png", "motorcycle_right.png"} <= set(COLOUR["train"])


def test_bsd_validates_on_every_33rd_photo() -> None:
    write_photos("data/train400", [(20, 20)] * 70, mode="L")
    write_photos("data/bsd68", [(24, 20), (20, 24)], mode="L")
    data = prepared(BSD(name="bsd", root="data", folders=["bsd"], cache="cache", noise=GAUSSIAN, tile=16, stride=16))
    assert [len(photos_of(data, split)) for split in SPLITS] == [67, 3, 2]
    files = sorted(Path("data/train400").iterdir())
    for number, file in enumerate(files[::33]):
        assert np.array_equal(data.dataset("val").get_photo("photo", number)[0], np.asarray(Image.open(file)))
    assert data.dataset("test").crop_sizes.tolist() == [[20, 24], [24, 20]]
    with pytest.raises(DataError, match="found no photos of train400 and bsd68"):
        prepared(BSD(name="bsd", root="elsewhere", folders=["bsd"], cache="cache", noise=GAUSSIAN))


@pytest.mark.parametrize("layout", ["bsds500/train", "BSR/BSDS500/data/images/train"])
def test_colour_photos_of_berkeley(layout: str) -> None:
    write_photos(f"data/{layout}", [(20, 20)] * 40)
    folders = ["bsds500", "BSR"]
    data = prepared(BSDSColour(name="b", root="data", folders=folders, cache="c", noise=GAUSSIAN, tile=16, stride=16))
    assert [len(photos_of(data, split)) for split in SPLITS] == [34, 2, 4]
    files = sorted(Path(f"data/{layout}").iterdir())
    photo = np.asarray(Image.open(files[10])).transpose(2, 0, 1)
    assert np.array_equal(data.dataset("test").get_photo("photo", 1), photo)


def test_mnist_is_read_from_its_idx_files() -> None:
    Path("data/mnist").mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28)).astype(np.uint8)
    for split, part in (("train", images[:40]), ("test", images[40:])):
        write_idx(Path("data/mnist") / FILES[split, "input"], part)
        write_idx(Path("data/mnist") / FILES[split, "target"], np.zeros(len(part), np.uint8))
    noise = {"gaussian": GAUSSIAN["gaussian"] | {"sigma": 127.5}}
    data = prepared(DenoisingMNIST(name="m", root="data", folders=["mnist"], cache="c", noise=noise, tile=28))
    assert [len(data.dataset(split)) for split in SPLITS] == [36, 4, 10]
    arrays = data.dataset("test").numpy()
    assert np.array_equal(arrays["target"][:, 0], images[40:])
    assert (arrays["input"] - arrays["target"] / 255).std() == pytest.approx(0.5, rel=0.03)
    assert np.array_equal(data.dataset("train").numpy()["target"][:, 0], images[data.dataset("train").rows])
    write_idx(Path("data/mnist") / FILES["test", "input"], images[:, 0])
    with pytest.raises(DataError, match=r"contains an array \[50, 28\] instead of images"):
        prepared(DenoisingMNIST(name="m", root="data", folders=["mnist"], cache="c", noise=noise, tile=28))
