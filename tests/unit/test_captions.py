"""Captioned images: spec, batches, and the base of their datasets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sightseq.core.arrays import Ragged
from sightseq.core.checkpoint import read_as
from sightseq.core.columns import add_columns
from sightseq.core.errors import CheckpointError, ConfigError, DataError
from sightseq.core.loading import Batch
from sightseq.core.spec import Spec
from sightseq.data.captions.captions import CaptionData, CaptionDataset
from sightseq.data.captions.captions_csv import CaptionsCSV
from sightseq.data.text.tokenised import Texts
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import Tokenizer, fit
from sightseq.text.tokens_spec import Tokens
from sightseq.vision.caption_spec import CaptionSpec
from sightseq.vision.image import read_image


def write_photos(folder: str, names: list[str], size: tuple[int, int] = (12, 8)) -> None:
    """Write images, each of one shade of grey: 0, 1, ..."""
    for shade, name in enumerate(names):
        Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (shade,) * 3).save(Path(folder, name), format="PNG")


def write_table(path: str, rows: list[str], header: str = "image,caption", end: str = "\n") -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes("".join(f"{row}{end}" for row in (header, *rows)).encode())
    return path


def prepared(**arguments: Any) -> CaptionsCSV:
    data = CaptionsCSV(**({"name": "mine", "path": "mine", "cache": "cache", "image_size": 8} | arguments))
    data.prepare_data()
    return data


def captions_of(data: CaptionData, split: str) -> dict[int, list[str]]:
    """The captions of each image of a split, by the shade of the image."""
    arrays = data.dataset(split).numpy()
    shades = arrays["input"][:, 0, 0, 0].tolist()
    return {shade: text.split("\n") for shade, text in zip(shades, arrays["captions"], strict=True)}


def everything(data: CaptionData) -> dict[int, list[str]]:
    return {shade: texts for split in ("train", "val", "test") for shade, texts in captions_of(data, split).items()}


def thirty(per_image: int = 2, **arguments: Any) -> CaptionsCSV:
    names = [f"{n}.png" for n in range(30)]
    write_photos("mine", names)
    write_table(
        "mine/table.csv", [f"{name},image {n} said {m}" for n, name in enumerate(names) for m in range(per_image)]
    )
    return prepared(**arguments)


# Spec


def spec(**changes: Any) -> CaptionSpec:
    text = Tokens(fit(["a b"], "words", 100).json, 4, "en", 20)
    return CaptionSpec(
        **({"channels": 3, "height": 32, "width": 32, "mean": (0.5,) * 3, "std": (0.2,) * 3, "text": text} | changes)
    )


def test_the_spec_describes_images_and_texts() -> None:
    assert spec().net_arguments() == {"in_channels": 3, "image_size": (32, 32), "vocab_size": 4}
    assert spec(margin=4).prepared == (3, 36, 36)
    assert spec().summary() == {"vocabulary": "4"}
    assert Spec.from_dict(json.loads(json.dumps(spec(margin=4).to_dict()))) == spec(margin=4)
    metadata = spec().metadata()
    assert json.loads(metadata["language"]) == "en"
    assert Tokenizer(metadata["tokenizer"]).vocab_size == 4
    assert json.loads(metadata["preprocessing"]) == {
        **{"channels": 3, "height": 32, "width": 32, "colours": "RGB", "values": "bytes"},
        **{"crop_to": "centre", "max_tokens": 20},
    }
    assert spec().to_example(np.zeros((3, 4, 5), np.uint8)).shape == (4, 5, 3)
    assert spec(channels=1).to_example(np.zeros((1, 4, 5), np.uint8)).shape == (4, 5)


def test_models_differ_by_shape_and_language_only() -> None:
    text = Tokens(fit(["c d e"], "words", 100).json, 5, "en", 9)
    assert spec().difference(spec(text=text, mean=(0.1,) * 3)) == ""
    assert spec(height=24, width=24, margin=8).difference(spec()) == ""
    assert "images of 3 x 32 x 32, and these are 3 x 40 x 40" in spec().difference(spec(height=40, width=40))
    assert "captions are in en, and those of the data in de" in spec().difference(spec(text=Tokens("", 4, "de")))
    assert spec().difference(LanguageSpec("", 4))
    with pytest.raises(CheckpointError, match="max_tokens"):
        spec(text=Tokens("", 4, "en", 1))


def test_photos_are_read_by_the_same_function_as_for_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    read = read_image(Image.fromarray(pixels), spec(margin=8))
    assert read.shape == (3, 40, 40)
    assert np.array_equal(read, pixels[:, 10:50].transpose(2, 0, 1))


# Batches


def dataset(train: bool, references: bool = True, most: int = 4) -> CaptionDataset:
    """Three images with two, no and three captions; the second image is left out."""
    texts = ["é\nzwei", "", "a\nbb\nccc"]
    arrays = {
        "input": np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((3, 2, 2), np.uint8),
        "captions": Texts.of([np.frombuffer(text.encode(), np.uint8) for text in texts]),
        "count": np.array([2, 0, 3]),
    }
    tokens = Ragged.of([np.array(row, np.uint16) for row in ([5, 0], [6, 7, 0], [8, 0], [9] * 6 + [0], [3, 2, 0])])
    images = np.array([0, 2])
    return CaptionDataset(arrays, images, "train", tokens, most, train=train, references=references)


def test_a_training_batch_by_hand() -> None:
    data = dataset(train=True, references=False)
    assert (len(data), data.images.tolist(), data.left_out.tolist()) == (4, [0, 2], [3])
    batch = data[torch.tensor([0, 1, 3, -1])]
    assert set(batch) == {"input", "target", "index"}
    assert batch["input"][:, 0, 0, 0].tolist() == [0, 0, 2, 0]
    assert (batch["input"].dtype, batch["input"].shape) == (torch.uint8, (4, 3, 2, 2))
    assert batch["target"].tolist() == [[5, 0, -1], [6, 7, 0], [3, 2, 0], [5, 0, -1]]
    assert batch["index"].tolist() == [0, 1, 4, -1]
    assert data.lengths is not None
    assert data.lengths.tolist() == [2, 3, 2, 3]


def test_an_evaluation_batch_by_hand() -> None:
    data = dataset(train=False)
    assert (len(data), data.images.tolist(), data.rows.tolist()) == (2, [0, 2], [0, 2])
    batch = data[torch.tensor([1, 0, -1])]
    assert set(batch) == {"input", "target", "index", "reference", "reference_length"}
    assert batch["target"].tolist() == [[8, 0], [5, 0], [5, 0]]
    assert batch["index"].tolist() == [2, 0, -1]
    assert bytes(batch["reference"][0].tolist()) == b"a\nbb\nccc"
    assert bytes(batch["reference"][1].tolist()).rstrip(b"\0").decode() == "é\nzwei"
    assert batch["reference_length"].tolist() == [8, 7, 7]
    assert batch["reference"].dtype == torch.uint8


def test_long_captions_of_the_test_are_truncated_and_references_stay_whole() -> None:
    data = dataset(train=False, most=2)
    assert data[torch.tensor([0, 1])]["target"].tolist() == [[5, 0], [8, 0]]
    tokens = Ragged.of([np.array([7, 7, 7, 7, 0], np.uint16)])
    arrays = {"input": np.zeros((1, 3, 2, 2), np.uint8), "count": np.array([1])}
    arrays |= {"captions": Texts.of([np.frombuffer(b"w w w w", np.uint8)])}
    batch = CaptionDataset(arrays, np.array([0]), "test", tokens, 3, train=False, references=True)[torch.tensor([0])]
    assert batch["target"].tolist() == [[7, 7, 0]]
    assert bytes(batch["reference"][0].tolist()) == b"w w w w"


def test_added_columns_replace_the_images_of_training(tmp_path: Path) -> None:
    splits = {"train": dataset(train=True), "val": dataset(train=False)}

    def compute(batch: Batch) -> dict[str, Tensor]:
        number = batch["input"][:, 0, 0, 0].half()
        return {"features": torch.stack([2 * number, 2 * number + 1], 1)[:, :, None, None]}

    add_columns(splits, compute, tmp_path / "columns")
    train, val = (split[torch.tensor([-1, 1])] for split in splits.values())
    assert train["features"][:, :, 0, 0].tolist() == [[0, 1], [0, 1]]
    assert val["features"][:, :, 0, 0].tolist() == [[0, 1], [4, 5]]
    assert "input" not in train
    assert val["input"][:, 0, 0, 0].tolist() == [0, 2]
    assert train["features"].dtype == torch.float16


def test_baselines_read_each_image_once() -> None:
    for train in (True, False):
        data = dataset(train)
        parts = list(data.chunks(1))
        assert [part["captions"].tolist() for part in parts] == [["é\nzwei"], ["a\nbb\nccc"]]
        assert data.numpy()["input"][:, 0, 0, 0].tolist() == [0, 2]


# The base of the datasets


def test_training_has_a_sample_for_each_caption_and_the_test_one_for_each_image() -> None:
    data = thirty(test_fraction=0.2, val_fraction=0.25)
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [36, 6, 6]
    everyone = everything(data)
    assert everyone == {n: [f"image {n} said {m}" for m in range(2)] for n in range(30)}
    for split in ("train", "val", "test"):
        tokenizer = Tokenizer(data.spec.text.tokenizer)
        for batch in data.loader(split):
            for row, pixels in zip(batch["target"].tolist(), batch["input"], strict=True):
                words = tokenizer.decode(row[: row.index(0)]).split()
                shade = str(pixels[0, 0, 0].item())
                assert words[0] == "image"
                assert words[1] in (shade, "<unk>")
    train = data.train_dataloader()
    indices = torch.cat([batch["index"] for batch in train]).tolist()
    assert sorted(indices) == sorted(data.dataset("train").rows.tolist())
    assert len(set(indices)) == 36


def test_folds_are_by_image_and_disjoint() -> None:
    tests = [set(captions_of(thirty(fold=fold, folds=5), "test")) for fold in range(5)]
    assert set().union(*tests) == set(range(30))
    assert sum(map(len, tests)) == 30
    data = thirty(fold=0)
    assert not set(captions_of(data, "train")) & {*captions_of(data, "val"), *captions_of(data, "test")}


def test_the_spec_is_computed_from_the_training_split() -> None:
    names = ["a.png", "b.png", "c.png", "d.png"]
    rows = [
        "a.png,Known WORD,train",
        "a.png,a word,train",
        "b.png,a word,train",
        "c.png,unheard,val",
        "d.png,word,test",
    ]
    write_photos("mine", names)
    write_table("mine/table.csv", rows, "image,caption,split")
    data = prepared(min_frequency=1)
    tokenizer = Tokenizer(data.spec.text.tokenizer)
    assert tokenizer.encode("unheard") == [1]
    assert tokenizer.encode("known word") == tokenizer.encode("Known WORD") != [1, 1]
    assert data.spec.text.lowercase
    assert data.spec.mean == (round(0.5 / 255, 6),) * 3
    assert data.spec.std == (round(0.5 / 255, 6),) * 3
    assert not prepared(lowercase=False, min_frequency=1).spec.text.lowercase
    before = data.spec
    write_table("mine/table.csv", [*rows, "c.png,something else,val"], "image,caption,split")
    write_photos("mine", [*names, "e.png"])
    assert prepared(min_frequency=1).spec == before
    assert prepared(min_frequency=2).spec.text.vocab_size < before.text.vocab_size


def test_long_training_captions_are_left_out_and_counted() -> None:
    write_photos("mine", ["a.png", "b.png", "c.png"])
    long = "word " * 10
    rows = [f"a.png,{long},train", "a.png,a word,train", f"b.png,{long},val", f"c.png,{long},test"]
    write_table("mine/table.csv", rows, "image,caption,split")
    data = prepared(max_tokens=5, min_frequency=1)
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [1, 1, 1]
    assert data.skipped == ["training caption 1 with 11 tokens (data.max_tokens)"]
    assert next(iter(data.val_dataloader()))["target"].shape == (1, 5)
    assert next(iter(data.val_dataloader()))["reference_length"].tolist() == [len(long) - 1]
    with pytest.raises(DataError, match=r"all training captions have more than data\.max_tokens=2"):
        prepared(max_tokens=2)


def test_references_in_training_are_an_option() -> None:
    plain, full = (next(iter(thirty(references=value).train_dataloader())) for value in (False, True))
    assert "reference" not in plain
    for row in range(3):
        text = bytes(full["reference"][row, : full["reference_length"][row]].tolist()).decode()
        shade = full["input"][row, 0, 0, 0].item()
        assert text == f"image {shade} said 0\nimage {shade} said 1"


def test_images_are_cropped_to_a_square_with_a_margin() -> None:
    Path("mine").mkdir()
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, 4:26] = 200  # a pixel more on each side: the interpolation reads it
    for name in "abc":
        Image.fromarray(pixels).save(f"mine/{name}.png")
    write_table("mine/t.csv", [f"{name}.png,text" for name in "abc"])
    data = prepared(image_size=8, margin=2)
    assert data.dataset("train").arrays["input"].shape == (3, 3, 10, 10)
    assert (data.dataset("train").arrays["input"] == 200).all()
    assert (data.spec.height, data.spec.margin, data.spec.prepared) == (8, 2, (3, 10, 10))
    assert data.example_spec.prepared == data.spec.prepared


@pytest.mark.parametrize("options", [{"image_size": 2}, {"margin": -1}, {"max_tokens": 1}])
def test_wrong_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"data.{next(iter(options))}="):
        CaptionsCSV(name="mine", **options)


# A model's own tokenizer and image size


def test_a_tested_model_keeps_its_tokenizer_and_image_size() -> None:
    text = Tokens(fit(["image said"], "words", 100).json, 4, "en", 5)
    given = spec(text=text, height=5, width=5, margin=1)
    data = CaptionsCSV(name="mine", path="mine", cache="cache", image_size=8)
    thirty()
    read_as(data, given)
    data.prepare_data()
    assert data.spec == given
    batch = next(iter(data.val_dataloader()))
    assert batch["input"].shape[1:] == (3, 6, 6)
    assert batch["target"].max() < 4
    assert data.spec.text.max_tokens == 5
    assert data.encoding_arguments >= {"image_size", "margin", "max_tokens", "vocab_size"}


def test_a_warm_start_keeps_the_tokenizer_only() -> None:
    text = Tokens(fit(["image said"], "words", 100).json, 4, "en", 3)
    thirty()
    data = CaptionsCSV(name="mine", path="mine", cache="cache", image_size=8)
    data.adopt(spec(text=text))
    data.prepare_data()
    assert (data.spec.text.tokenizer, data.spec.text.max_tokens, data.spec.height) == (text.tokenizer, 50, 8)
    other = CaptionsCSV(name="mine", path="mine", cache="cache", image_size=8)
    other.adopt(LanguageSpec(text.tokenizer, 4))
    other.prepare_data()
    assert other.spec.text.tokenizer != text.tokenizer
