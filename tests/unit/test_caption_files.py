"""Files of captioned images: tables of users, the releases of Flickr8k and of COCO."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightseq.core.errors import DataError
from sightseq.data.captions.captions import CaptionData
from sightseq.data.captions.coco_captions import CocoCaptions
from sightseq.data.captions.flickr8k import Flickr8k
from tests.unit.test_captions import captions_of, everything, prepared, write_photos, write_table

NAMES = [f"{n}.png" for n in range(20)]
ROWS = [f"{name},caption {n}" for n, name in enumerate(NAMES)]
WHOLE = {n: [f"caption {n}"] for n in range(20)}


def refusal(**arguments: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepared(**arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Tables of users


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_tsv_and_jsonl_give_the_same_captions(end: str) -> None:
    write_photos("mine", NAMES)
    objects = [json.dumps({"image": name, "caption": f"caption {n}"}) for n, name in enumerate(NAMES)]
    tables = {"a.csv": ("image,caption", ROWS), "b.tsv": ("image\tcaption", [r.replace(",", "\t") for r in ROWS])}
    for name, (header, rows) in (tables | {"c.jsonl": (objects[0], objects[1:])}).items():
        path = write_table(f"mine/{name}", rows, header, end)
        assert everything(prepared(path=path)) == WHOLE


def test_a_caption_in_json_may_be_a_list() -> None:
    write_photos("mine", NAMES)
    objects = [json.dumps({"image": name, "caption": ["one", "two"]}) for name in NAMES]
    write_table("mine/a.jsonl", objects[1:], objects[0])
    assert everything(prepared()) == {n: ["one", "two"] for n in range(20)}


def test_commas_quotes_and_line_ends_in_captions() -> None:
    write_photos("mine", NAMES)
    odd = ['0.png,"a dog, a cat"', '1.png,"he says ""no"", twice"', '2.png,"two\r\nlines"', '3.png," much   space "']
    write_table("mine/a.csv", [*odd, *ROWS[4:]])
    found = everything(prepared())
    assert [found[n] for n in range(4)] == [["a dog, a cat"], ['he says "no", twice'], ["two lines"], ["much space"]]
    write_table("mine/a.csv", ["0.png,a dog, a cat", *ROWS[1:]])
    assert "row 1, has more values than columns; put its text in quotes" in refusal()


def test_names_of_images_in_another_case_and_with_folders() -> None:
    write_photos("mine/photos", ["sub/A.png", "b.PNG", *NAMES[2:]])
    rows = ["Photos\\sub\\a.PNG,one", "/home/me/mine/photos/B.png,two", "sub/A.png,three", *ROWS[2:]]
    write_table("mine/a.csv", rows)
    assert everything(prepared(images="mine/photos")) == WHOLE | {0: ["one", "three"], 1: ["two"]}
    write_table("mine/a.csv", [row.replace("/home/me/", "") for row in rows])
    assert everything(prepared()) == WHOLE | {0: ["one", "three"], 1: ["two"]}


def test_names_that_differ_only_in_case_are_told_apart() -> None:
    write_photos("mine", ["a.png", "A.png", *NAMES[2:]])
    if len(list(Path("mine").iterdir())) == 19:
        pytest.skip("this file system ignores case")
    write_table("mine/a.csv", ["A.png,upper", "a.png,lower", *ROWS[2:]])
    assert everything(prepared()) == WHOLE | {0: ["lower"], 1: ["upper"]}


def test_ambiguous_names_are_refused() -> None:
    write_photos("mine", ["x/0.png", "y/0.png", *NAMES[2:]])
    write_table("mine/a.csv", ROWS[:1] + ROWS[2:])
    assert "0.png may be mine/x/0.png and mine/y/0.png; name its folder" in refusal()
    write_table("mine/a.csv", ["x/0.png,caption 0", "y/0.png,caption 1", *ROWS[2:]])
    assert everything(prepared()) == WHOLE
    write_table("mine/a.csv", ["z/0.png,caption 0", *ROWS[2:]])
    assert "there is no image 'z/0.png' below mine" in refusal()
    write_photos("flat", NAMES)
    write_table("mine/a.csv", ["x/3.png,caption 0", "y/3.png,caption 1"])
    assert "y/3.png and x/3.png are two images, but there is only flat/3.png" in refusal(images="flat")


def test_splits_of_the_table() -> None:
    write_photos("mine", NAMES)
    words = ["Train"] * 16 + ["validation", "val", "TEST", "testing"]
    write_table("mine/a.csv", [f"{row},{word}" for row, word in zip(ROWS, words, strict=True)], "image,caption,split")
    data = prepared()
    assert {split: sorted(captions_of(data, split)) for split in ("train", "val", "test")} == {
        "train": list(range(16)),
        "val": [16, 17],
        "test": [18, 19],
    }
    other = prepared(split="none", val_fraction=0.2, test_fraction=0.5)
    assert [len(other.dataset(split)) for split in ("train", "val", "test")] == [8, 2, 10]
    write_table("mine/a.csv", [f"{ROWS[0]},", *(f"{row},train" for row in ROWS[1:])], "image,caption,split")
    assert "row 1, has '' in the column 'split'; it must be train, val or test" in refusal()
    write_table("mine/a.csv", [f"{row},test" for row in ROWS], "image,caption,split")
    assert "no image of the training split has a caption" in refusal()


def test_captions_of_one_image_in_two_splits_are_refused() -> None:
    write_photos("mine", NAMES)
    rows = [*(f"{row},train" for row in ROWS), "./4.PNG,again,test"]
    write_table("mine/a.csv", rows, "image,caption,split")
    text = refusal(corrupt="skip")
    assert "row 21: ./4.PNG is in two splits, train and test; a model would be tested on" in text


def test_a_caption_without_an_image_is_refused_or_counted() -> None:
    write_photos("mine", NAMES)
    write_table("mine/a.csv", [*ROWS, "none.png,one", "none.png,two", ",three"])
    assert "mine: mine/a.csv, row 21: there is no image 'none.png' below mine; correct it, or leave" in refusal()
    data = prepared(corrupt="skip")
    assert everything(data) == WHOLE
    assert data.skipped == [
        "mine/a.csv, row 21: there is no image 'none.png' below mine",
        "mine/a.csv, row 23: there is no image '' below mine",
    ]


def test_an_image_without_captions_is_left_out_and_counted() -> None:
    write_photos("mine", [*NAMES, "more.png"])
    write_table("mine/a.csv", ROWS)
    data = prepared()
    assert everything(data) == WHOLE
    assert data.skipped == ["mine/more.png, which has no caption"]


@pytest.mark.parametrize("empty", ["", "  ", '" \r\n "'])
def test_empty_captions_are_refused_or_counted(empty: str) -> None:
    write_photos("mine", NAMES)
    write_table("mine/a.csv", [*ROWS, f"0.png,{empty}"])
    assert "row 21: the caption is empty" in refusal()
    data = prepared(corrupt="skip")
    assert everything(data) == WHOLE
    assert len(data.skipped) == 1


def test_corrupt_images_are_refused_or_counted() -> None:
    write_photos("mine", NAMES)
    write_table("mine/a.csv", ROWS)
    Path("mine/3.png").write_bytes(b"no image")
    assert "mine/3.png: is not an image that can be read; remove the file, or leave" in refusal()
    data = prepared(corrupt="skip")
    assert everything(data) == {n: texts for n, texts in WHOLE.items() if n != 3}
    assert data.skipped == ["mine/3.png"]
    for name in NAMES:
        Path("mine", name).write_bytes(b"")
    assert "none of the 20 images of train can be read" in refusal(corrupt="skip")


def test_bad_tables_are_refused() -> None:
    assert "there is no mine; name yours with data.path=FILE" in refusal()
    write_photos("mine", NAMES)
    assert "mine needs one table of captions (.csv, .tsv, .jsonl), and has none" in refusal()
    write_table("mine/a.csv", ROWS, "file,text")
    assert "has no column 'image'" in refusal()
    assert everything(prepared(image="file", caption="text")) == WHOLE
    write_table("mine/a.csv", ROWS, "image,text")
    assert "name yours with data.caption=" in refusal()
    write_table("mine/b.csv", ROWS)
    assert "and has a.csv, b.csv; name yours with data.path=FILE" in refusal()
    assert everything(prepared(path="mine/b.csv")) == WHOLE
    Path("mine/c.xlsx").touch()
    assert "mine/c.xlsx is not one of" in refusal(path="mine/c.xlsx")
    write_table("empty/a.csv", ROWS)
    assert "empty contains no images; name their folder with data.images=FOLDER" in refusal(path="empty")
    assert everything(prepared(path="empty", images="mine")) == WHOLE
    Path("empty/a.csv").write_bytes("image,caption\n0.png,é\n".encode("latin-1"))
    assert "is not UTF-8" in refusal(path="empty", images="mine")


# Flickr8k


def flickr8k(**arguments: Any) -> Flickr8k:
    data = Flickr8k(**({"name": "flickr8k", "root": "data", "cache": "cache", "image_size": 8} | arguments))
    data.prepare_data()
    return data


def write_original(base: str, splits: dict[str, list[str]], end: str = "\n") -> None:
    """Write the files of the publisher: two captions of each of the images 0 to 19."""
    write_photos(f"{base}/Flicker8k_Dataset", [f"{n}.jpg" for n in range(20)])
    lines = [f"{n}.jpg#{m}\tcaption {n} , {m} ." for n in range(20) for m in range(2)]
    lines += ["2258277193_586949ec62.jpg.1#0\tno image"]
    Path(base, "Flickr8k.token.txt").write_text(end.join([*lines, ""]), newline="")
    for name, images in splits.items():
        Path(base, f"Flickr_8k.{name}Images.txt").write_text(end.join([*images, ""]), newline="")


PARTS = {
    "train": [f"{n}.jpg" for n in range(14)],
    "dev": ["14.jpg", "15.jpg"],
    "test": ["16.jpg", "17.jpg", "18.jpg"],
}


def rows_of(data: CaptionData) -> dict[str, list[int]]:
    return {split: sorted(captions_of(data, split)) for split in ("train", "val", "test")}


SPLITS = {"train": list(range(14)), "val": [14, 15], "test": [16, 17, 18]}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_files_of_the_publisher_of_flickr8k(end: str) -> None:
    write_original("data/flickr8k", PARTS, end)
    data = flickr8k()
    assert rows_of(data) == SPLITS  # 19 is in no split
    assert captions_of(data, "test")[17] == ["caption 17 , 0 .", "caption 17 , 1 ."]
    assert not data.skipped


def test_the_files_of_kaggle() -> None:
    write_photos("data/Flickr8k/Images", [f"{n}.jpg" for n in range(20)])
    rows = [f'{n}.jpg,"A dog , number {n} ."' for n in range(20)]
    write_table("data/Flickr8k/captions.txt", rows)
    data = flickr8k(folders=["flickr8k", "Flickr8k"], test_fraction=0.25, val_fraction=0.2)
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [12, 3, 5]
    assert everything(data) == {n: [f"A dog , number {n} ."] for n in range(20)}
    assert len(flickr8k(path="data/Flickr8k", fold=1, folds=4).dataset("test")) == 5
    write_table("data/Flickr8k/captions.txt", rows, "name,text")
    with pytest.raises(DataError, match="the first line must be image,caption"):
        flickr8k(path="data/Flickr8k")


def test_the_split_files_hold_for_kaggles_captions_too() -> None:
    write_original("data/flickr8k", PARTS)
    Path("data/flickr8k/Flickr8k.token.txt").unlink()
    write_table("data/flickr8k/captions.txt", [f"{n}.jpg,caption {n}" for n in range(20)])
    assert rows_of(flickr8k()) == SPLITS


def test_karpathys_json_has_precedence() -> None:
    write_original("data/flickr8k", {})
    splits = ["train"] * 14 + ["val"] * 2 + ["test"] * 3
    images: list[dict[str, Any]] = [
        {"filename": f"{n}.jpg", "split": split, "sentences": [{"raw": f"raw {n}", "tokens": ["raw"]}], "imgid": n}
        for n, split in enumerate(splits)
    ]
    file = Path("data/flickr8k/dataset_flickr8k.json")
    file.write_text(json.dumps({"images": images, "dataset": "flickr8k"}))
    data = flickr8k()
    assert rows_of(data) == SPLITS
    assert captions_of(data, "val") == {14: ["raw 14"], 15: ["raw 15"]}
    images.append(images[16] | {"split": "train"})
    file.write_text(json.dumps({"images": images}))
    with pytest.raises(DataError, match=r"image 20: 16\.jpg is in two splits, test and train"):
        flickr8k()
    images[-1]["split"] = "other"
    file.write_text(json.dumps({"images": images}))
    with pytest.raises(DataError, match="image 20: there is no split 'other'"):
        flickr8k()
    for text in ("{", '{"images": [{"filename": 3}]}', "[]", '{"images": [{"filename": "\\ud800"}]}'):
        file.write_text(text)
        with pytest.raises(DataError, match=r"dataset_flickr8k\.json is not in its publisher's format"):
            flickr8k()


def test_an_image_in_two_split_files_is_refused() -> None:
    write_original("data/flickr8k", PARTS | {"test": ["16.jpg", "3.jpg"]})
    with pytest.raises(DataError, match=r"testImages\.txt, line 2: 3\.jpg is in train, too"):
        flickr8k()


def test_incomplete_files_of_flickr8k_are_refused() -> None:
    with pytest.raises(DataError, match=r"found no photographs with captions\.txt, .* data\.path=.* debug=synthetic"):
        flickr8k()
    write_original("data/flickr8k", {"train": PARTS["train"], "test": PARTS["test"]})
    with pytest.raises(DataError, match=r"there is .*trainImages\.txt, but no Flickr_8k\.devImages\.txt"):
        flickr8k()
    with pytest.raises(DataError, match="cache has no photographs with"):
        flickr8k(path="cache")
    write_original("data/flickr8k", PARTS)
    Path("data/flickr8k/Flickr8k.token.txt").write_text("0.jpg no tab\n")
    with pytest.raises(DataError, match="line 1, has no tab"):
        flickr8k()


# COCO


def coco(**arguments: Any) -> CocoCaptions:
    data = CocoCaptions(**({"name": "coco", "root": "data", "cache": "cache", "image_size": 8} | arguments))
    data.prepare_data()
    return data


def write_coco(release: str = "2017", prefix: str = "") -> None:
    """Write 16 training and 4 validation images with two captions each."""
    for part, numbers in (("train", range(16)), ("val", range(16, 20))):
        folder = f"data/coco/{part}{release}"
        names = [f"{prefix.format(part)}{n:012}.jpg" for n in numbers]
        for n, name in zip(numbers, names, strict=True):
            Path(folder).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 8), (n,) * 3).save(Path(folder, name), format="PNG")
        images = [{"id": n, "file_name": name, "height": 8} for n, name in zip(numbers, names, strict=True)]
        annotations = [{"id": 9, "image_id": n, "caption": f"caption {n} {m}\n"} for m in range(2) for n in numbers]
        Path("data/coco/annotations").mkdir(exist_ok=True)
        file = Path(f"data/coco/annotations/captions_{part}{release}.json")
        file.write_text(json.dumps({"info": {}, "images": images, "annotations": annotations}))


@pytest.mark.parametrize(("release", "prefix"), [("2017", ""), ("2014", "COCO_{}2014_")])
def test_the_layout_of_coco(release: str, prefix: str) -> None:
    write_coco(release, prefix)
    data = coco(val_fraction=0.25)
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [24, 4, 4]
    assert captions_of(data, "test") == {n: [f"caption {n} 0", f"caption {n} 1"] for n in range(16, 20)}
    assert everything(data) == {n: [f"caption {n} 0", f"caption {n} 1"] for n in range(20)}


@pytest.mark.parametrize(("release", "prefix"), [("2017", ""), ("2014", "COCO_{}2014_")])
def test_karpathys_split_of_coco(release: str, prefix: str) -> None:
    write_coco(release, prefix)
    splits = ["restval"] * 3 + ["train"] * 11 + ["val"] * 2 + ["test"] * 3
    images = [
        {
            "filepath": "val2014",
            "filename": f"COCO_{'train' if n < 16 else 'val'}2014_{n:012}.jpg",
            "split": split,
            "sentences": [{"raw": f"raw {n}"}],
        }
        for n, split in enumerate(splits)
    ]
    Path("data/coco/dataset_coco.json").write_text(json.dumps({"images": images}))
    data = coco()
    assert rows_of(data) == SPLITS
    assert captions_of(data, "train")[1] == ["raw 1"]


def test_bad_files_of_coco_are_refused() -> None:
    with pytest.raises(DataError, match=r"found no photographs \(train2017, val2017\)"):
        coco()
    write_coco()
    file = Path("data/coco/annotations/captions_val2017.json")
    content = json.loads(file.read_text())
    content["annotations"].append({"image_id": 77, "caption": "lost"})
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"val2017\.json, annotation 9: there is no image 'number 77'"):
        coco()
    assert len(coco(corrupt="skip").skipped) == 1
    del content["images"]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"not in its publisher's format: images: Field required"):
        coco()
    with pytest.raises(DataError, match="data has no photographs"):
        coco(path="data")
