"""Pairs of noisy and clean photos."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sightseq.core.errors import ConfigError, DataError
from sightseq.data.image.denoising_pairs import DenoisingPairs

SPLITS = ("train", "val", "test")


def write_pairs(folder: str, count: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> None:
    """Write pairs: the clean photo of pair n has the grey value 10 * n, the noisy one is brighter by 5."""
    for kind, shade in (("noisy", 5), ("clean", 0)):
        Path(f"{folder}/{kind}").mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", size, (10 * number + shade,) * 3).convert(mode).save(f"{folder}/{kind}/{number}.png")


def prepared(**arguments: Any) -> DenoisingPairs:
    data = DenoisingPairs(**{"name": "mine", "path": "pairs", "cache": "cache", "tile": 16, "stride": 16, **arguments})
    data.prepare_data()
    return data


def refusal(**arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepared(**arguments)
    assert str(caught.value).startswith("mine: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_partners_stay_together_in_tiles_and_whole() -> None:
    write_pairs("pairs", 10)
    data = prepared()
    for split in SPLITS:
        batch = data.dataset(split)[torch.arange(len(data.dataset(split)))]
        noisy = batch["input"] if split == "train" else (batch["input"] * 255).round().to(torch.uint8)
        assert torch.equal(noisy, batch["target"] + 5)
        assert batch["level"].abs().max() == 0
    assert batch["input"].dtype == torch.float32
    assert batch["size"].tolist() == [[30, 40]]
    assert data.spec.noise == {}
    assert data.spec.summary() == {"colours": "RGB", "noise": "from the noisy files"}


def test_split_folders_and_other_suffixes() -> None:
    write_pairs("pairs/train", 3)
    write_pairs("pairs/val", 1)
    write_pairs("pairs/test", 2, mode="L")
    for file in Path("pairs/test/noisy").iterdir():
        Image.open(file).save(file.with_suffix(".bmp"))
        file.unlink()
    data = prepared()
    assert [len(data.dataset(split).rows) for split in SPLITS] == [3 * 2 * 3, 1, 2]
    assert data.spec.channels == 3


def test_grey_pairs_are_grey() -> None:
    write_pairs("pairs", 4, mode="L")
    assert prepared().spec.channels == 1
    assert prepared(channels=3).spec.channels == 3


def test_partners_of_unequal_size_are_refused() -> None:
    write_pairs("pairs", 4)
    Image.new("RGB", (30, 40)).save("pairs/noisy/2.png")
    for corrupt in ("error", "skip"):
        text = refusal(corrupt=corrupt)
        assert text == "mine: pairs/noisy/2.png has 30 x 40 pixels, but its partner pairs/clean/2.png has 40 x 30"


def test_a_photo_without_partner_is_refused() -> None:
    write_pairs("pairs", 4)
    Path("pairs/clean/1.png").unlink()
    assert refusal() == "mine: pairs/noisy/1.png has no partner with this name in pairs/clean"
    Path("pairs/noisy/1.png").unlink()
    Path("pairs/noisy/3.png").unlink()
    assert refusal() == "mine: pairs/clean/3.png has no partner with this name in pairs/noisy"
    Image.new("RGB", (40, 30)).save("pairs/clean/0.jpg")
    assert "pairs/clean/0.png differ only in the suffix; remove one of them" in refusal()


def test_other_folders_are_refused() -> None:
    assert "there is no nowhere; name yours with data.path=FOLDER" in refusal(path="nowhere")
    Path("pairs/noisy").mkdir(parents=True)
    assert refusal() == "mine: there is no folder pairs/clean; noisy/ and clean/ with equal file names are needed"
    write_pairs("pairs", 1)
    assert refusal() == "mine: pairs contains 1 photo; add photos: at least 3 are needed to train, validate and test"


def test_the_partner_of_a_damaged_file_is_skipped_too() -> None:
    write_pairs("pairs", 6)
    Path("pairs/clean/4.png").write_bytes(b"")
    assert "pairs/clean/4.png: is not an image that can be read (it is empty); remove the file" in refusal()
    data = prepared(corrupt="skip")
    assert data.skipped == ["pairs/noisy/4.png"]
    shades = np.concatenate([np.unique(data.dataset(split).numpy()["target"]) for split in SPLITS])
    assert sorted(set(shades.tolist())) == [0, 10, 20, 30, 50]


def test_noise_is_not_added_to_pairs() -> None:
    noise = {"gaussian": {"_target_": "sightseq.vision.noise.Gaussian"}}
    with pytest.raises(ConfigError, match=r"its noisy photos are files; use noise=none and leave data\.levels out"):
        prepared(noise=noise)
    with pytest.raises(ConfigError, match="its noisy photos are files"):
        prepared(levels=(25.0,))


def test_two_folders_of_one_split_are_refused() -> None:
    for folder in ("train", "val", "validation"):
        write_pairs(f"pairs/{folder}", 3)
    assert "pairs/val and pairs/validation are the same split" in refusal()
