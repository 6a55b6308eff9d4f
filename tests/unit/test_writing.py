"""Datasets of lines of writing, on files made here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from sightseq.core.checkpoint import read_as
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.transcribed import TranscribedData
from sightseq.data.writing.captcha import Captchas
from sightseq.data.writing.digit_lines import FORMS, DigitLines, compose
from sightseq.data.writing.handwriting_csv import HandwritingCSV
from sightseq.data.writing.iam import IamDatabase
from sightseq.text.alphabet import Alphabet
from sightseq.text.edits import edit_distance
from sightseq.vision.line_spec import LineSpec


def save_image(path: str, width: int = 40) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((16, width), 255, np.uint8)
    pixels[4:12, 4 : width - 4] = 0
    Image.fromarray(pixels).save(path)


def prepared(cls: type[TranscribedData], **arguments: Any) -> Any:
    data = cls(**({"name": "mine", "root": ".", "cache": "cache", "path": "mine"} | arguments))
    data.prepare_data()
    return data


def texts(data: TranscribedData, split: str) -> list[str]:
    return sorted(data.dataset(split).numpy()["target"])


def table(rows: list[str], header: str = "FILENAME,IDENTITY", name: str = "labels.csv", place: str = "mine") -> None:
    Path(place).mkdir(exist_ok=True)
    Path(place, name).write_text("\n".join([header, *rows]) + "\n")


def thirty(writers: int = 10, **arguments: Any) -> HandwritingCSV:
    for number in range(30):
        save_image(f"mine/images/{number}.png", 20 + number)
    table([f"{n}.png,text {n},w{n % writers}" for n in range(30)], "FILENAME,IDENTITY,writer")
    return prepared(HandwritingCSV, **arguments)


# A table and images


def test_a_batch_by_hand() -> None:
    data = thirty(height=16, batch_size=4)
    assert sum(len(data.dataset(split)) for split in ("train", "val", "test")) == 30
    dataset = data.dataset("train")
    batch = dataset[torch.tensor([0, len(dataset) - 1, -1])]
    first, last = dataset.rows[0], dataset.rows[-1]
    assert batch["input"].shape == (3, 20 + last, 16, 1)
    assert batch["length"].tolist() == [20 + first, 20 + last, 20 + first]
    assert not batch["input"][0, 20 + first :].any()
    assert batch["index"].tolist() == [first, last, -1]
    alphabet = data.spec.alphabet
    for row, number in ((0, first), (1, last)):
        ids = batch["target"][row, : batch["target_length"][row]].tolist()
        assert alphabet.decode(ids) == f"text {number}"
    assert (batch["target"].dtype, batch["target"].shape[1]) == (torch.int64, int(batch["target_length"].max()))
    assert not batch["target"][0, batch["target_length"][0] :].any()
    lengths = [int(batch["length"].max() - batch["length"].min()) for batch in data.train_dataloader()]
    assert sum(lengths) < 30  # batches have similar widths


def test_the_spec_is_of_the_training_split() -> None:
    data = thirty(height=16)
    spec, train = data.spec, data.dataset("train")
    assert isinstance(spec, LineSpec)
    assert set(spec.alphabet.characters) == set("".join(texts(data, "train")))
    pixels = np.concatenate([train.arrays["input"].row(row) for row in train.rows]) / 255
    assert spec.mean == pytest.approx((pixels.mean(),), abs=1e-5)
    assert spec.std == pytest.approx((pixels.std(),), abs=1e-5)
    assert spec.longest == 20 + max(train.rows)


def test_no_writer_is_in_two_splits() -> None:
    data = thirty()
    writers = [set(data.dataset(split).rows % 10) for split in ("train", "val", "test")]
    assert sum(map(len, writers)) == len(set.union(*writers)) == 10


def test_two_writers_are_divided_by_line() -> None:
    data = thirty(writers=2)
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [24, 3, 3]


def test_empty_and_unusable_transcripts_are_left_out_and_counted() -> None:
    for number in range(12):
        save_image(f"mine/{number}.png")
    rows = [f"{n}.png,NAME" for n in range(9)] + ["9.png,", "10.png,UNREADABLE", "11.png,  "]
    table(rows)
    data = prepared(HandwritingCSV, unusable=["UNREADABLE"])
    assert sum(len(data.dataset(split)) for split in ("train", "val", "test")) == 9
    assert len(data.skipped) == 3
    assert any("row 11: its transcript is 'UNREADABLE'" in text for text in data.skipped)
    assert any("9.png, which has no transcript" in text for text in data.skipped)
    table([f"{n}.png," for n in range(12)])
    with pytest.raises(DataError, match="none of the 12 samples of train has a transcript"):
        prepared(HandwritingCSV)


def test_missing_and_damaged_images_are_refused_or_skipped() -> None:
    for number in range(10):
        save_image(f"mine/{number}.png")
    Path("mine/10.png").write_bytes(b"")
    Image.new("L", (30, 1)).save("mine/11.png")
    table([f"{n}.png,A{n}" for n in range(12)] + ["12.png,B"])
    with pytest.raises(DataError, match=r"row 13: there is no file '12.png' below mine; .*data.corrupt=skip"):
        prepared(HandwritingCSV)
    data = prepared(HandwritingCSV, corrupt="skip")
    assert len(data.skipped) == 3
    assert sum(len(data.dataset(split)) for split in ("train", "val", "test")) == 10
    table([f"{n}.png,A{n}" for n in range(12)])
    with pytest.raises(DataError, match=r"10.png: is not an image .*it is empty"):
        prepared(HandwritingCSV)


def test_tables_of_splits_and_characters_unknown_in_training() -> None:
    for number in range(9):
        save_image(f"mine/{number}.png")
    for split, numbers in (("train", range(5)), ("dev", range(5, 7)), ("test", range(7, 9))):
        rows = [f"{n}.png\tab{'ç' if n == 8 else 'a'}\tw{n}" for n in numbers]
        table(rows, "path\tsentence\tclient_id", f"{split}.tsv")
    table(["0.png\tother"], "path\tsentence", "other.tsv")
    data = prepared(HandwritingCSV)
    assert [texts(data, split) for split in ("train", "val", "test")] == [["aba"] * 5, ["aba"] * 2, ["aba", "abç"]]
    assert data.spec.alphabet == Alphabet("ab")
    assert data.remarks == ["1 transcripts of test have characters that are unknown in training: ç"]
    assert data.dataset("test")[1]["target"].tolist() == [2, 3, 1]


def test_remark_on_writers_in_two_splits_and_refusal_of_images_in_two() -> None:
    for number in range(6):
        save_image(f"mine/{number}.png")
    table([f"{n}.png,a,w{n},train" for n in range(4)] + ["4.png,b,w4,val", "5.png,b,w0,test"], "file,text,writer,split")
    assert "1 writers or speakers are in train and in test" in prepared(HandwritingCSV).remarks
    table([f"{n}.png,a,train" for n in range(4)] + ["4.png,b,val", "0.png,b,test"], "file,text,split")
    with pytest.raises(DataError, match=r"row 1 and .*row 6 are the same file"):
        prepared(HandwritingCSV)


def test_columns_that_are_not_found_are_named() -> None:
    save_image("mine/0.png")
    table(["0.png,a"], "picture,words")
    with pytest.raises(DataError, match=r"has the columns picture, words; name that of the files with data.file="):
        prepared(HandwritingCSV)
    with pytest.raises(DataError, match=r"no column 'pictures' \(data.file\); did you mean picture"):
        prepared(HandwritingCSV, file="pictures")
    table(["0.png,a"], name="second.csv")
    with pytest.raises(DataError, match=r"needs one table .* and has labels.csv, second.csv"):
        prepared(HandwritingCSV)
    with pytest.raises(DataError, match="there is no nowhere"):
        prepared(HandwritingCSV, path="nowhere")


def test_a_model_reads_other_data_with_its_own_height_and_alphabet() -> None:
    for number in range(12):
        save_image(f"mine/{number}.png")
    table([f"{n}.png,abc" for n in range(12)])
    data = HandwritingCSV(name="mine", path="mine", cache="cache", height=32)
    read_as(data, LineSpec(1, 16, Alphabet("ab"), (0.5,), (0.5,), 9))
    data.prepare_data()
    batch = data.dataset("test")[torch.tensor([0])]
    assert batch["input"].shape[2] == 16
    assert batch["target"].tolist() == [[2, 3, 1]]
    assert any("unknown in training: c" in text for text in data.remarks)


# Codes


def test_the_file_name_is_the_label() -> None:
    for number in range(20):
        save_image(f"mine/A{number:02}X.png")
    data = prepared(Captchas)
    assert sorted(texts(data, "train") + texts(data, "val") + texts(data, "test")) == [f"A{n:02}X" for n in range(20)]
    for split, number in (("test", 50), ("train", 60), ("val", 70)):
        save_image(f"mine/{split}/{number}.png")
    data = prepared(Captchas)
    assert [texts(data, split) for split in ("train", "val", "test")] == [["60"], ["70"], ["50"]]
    Path("empty").mkdir()
    with pytest.raises(DataError, match="empty contains no images"):
        prepared(Captchas, path="empty")


# IAM


def iam_folder() -> None:
    lines, words = ["#--- lines.txt ---#"], ["#--- words.txt ---#"]
    for form in range(6):
        name = f"a01-{form:03}u"
        for row in range(2):
            status = "err" if row else "ok"
            save_image(f"mine/lines/a01/{name}/{name}-{row:02}.png", 90)
            save_image(f"mine/words/a01/{name}/{name}-{row:02}-00.png")
            lines.append(f"{name}-{row:02} {status} 154 19 408 746 1661 89 A|MOVE|{form}|.")
            words.append(f"{name}-{row:02}-00 {status} 154 408 768 27 51 AT MOVE{form}")
    Path("mine/ascii").mkdir()
    Path("mine/ascii/lines.txt").write_text("\n".join(lines))
    Path("mine/ascii/words.txt").write_text("\n".join(words))
    Path("mine/ascii/forms.txt").write_text(
        "# forms\n" + "\n".join(f"a01-{f:03}u 00{f} 2 prt 7 5 52 36" for f in range(6))
    )


def test_lines_and_words_with_the_aachen_split() -> None:
    iam_folder()
    for split, forms in (("train", (0, 1, 2)), ("validation", (3,)), ("test", (4,))):  # form 5 is in no list
        Path(f"mine/{split}.uttlist").write_text("".join(f"a01-{form:03}u\n" for form in forms))
    data = prepared(IamDatabase)
    assert texts(data, "train") == [f"A MOVE {form} ." for form in (0, 0, 1, 1, 2, 2)]
    assert [texts(data, split) for split in ("val", "test")] == [["A MOVE 3 ."] * 2, ["A MOVE 4 ."] * 2]
    assert "2 transcripts of val have characters that are unknown in training: 3" in data.remarks
    words = prepared(IamDatabase, unit="words", segmentation="ok")
    assert texts(words, "train") == ["MOVE0", "MOVE1", "MOVE2"]


def test_lists_of_lines_and_missing_images() -> None:
    iam_folder()
    Path("mine/trainset.txt").write_text("a01-000u-00\na01-001u-00\n")
    Path("mine/validationset1.txt").write_text("a01-002u-01\n")
    Path("mine/testset.txt").write_text("a01-003u-00\n")
    assert [len(prepared(IamDatabase).dataset(split)) for split in ("train", "val", "test")] == [2, 1, 1]
    Path("mine/lines/a01/a01-000u/a01-000u-00.png").unlink()
    with pytest.raises(DataError, match="there is no image of a01-000u-00"):
        prepared(IamDatabase)
    assert len(prepared(IamDatabase, corrupt="skip").dataset("train")) == 1


def test_xml_files_and_splits_by_writer() -> None:
    iam_folder()
    for file in Path("mine/ascii").iterdir():
        file.unlink()
    for form in range(6):
        name = f"a01-{form:03}u"
        text, word = f"&amp;quot;A {form}&amp;quot;", f'<word id="{name}-00-00" text="A"/>'
        line = f'<line id="{name}-00" segmentation="ok" text="{text}">{word}</line>'
        Path(f"mine/{name}.xml").write_text(
            f'<form id="{name}" writer-id="00{form // 2}"><handwritten-part>{line}</handwritten-part></form>'
        )
    data = prepared(IamDatabase, val_fraction=0.3, test_fraction=0.3)
    splits = {split: texts(data, split) for split in ("train", "val", "test")}
    assert sorted(text for split in splits.values() for text in split) == [f'"A {form}"' for form in range(6)]
    assert all(int(two[0][3]) // 2 == int(two[1][3]) // 2 for two in splits.values())  # both forms of a writer
    assert any("Aachen" in text for text in data.remarks)
    assert texts(prepared(IamDatabase, unit="words", val_fraction=0.3, test_fraction=0.3), "test") == ["A"] * 2
    Path("mine/a01-000u.xml").write_text("<form")
    with pytest.raises(DataError, match="is not an XML file of IAM"):
        prepared(IamDatabase)


# Digits


def test_each_form_of_scikit_learn_begins_with_0_to_9_three_times() -> None:
    labels = "".join(map(str, load_digits().target))
    forms = [labels[start:end] for start, end in zip(FORMS, [*FORMS[1:], len(labels)], strict=True)]
    assert len(forms) == 14
    assert min(map(len, forms)) > 120
    for form in forms:
        assert edit_distance(form, forms[0]) <= 8
        assert edit_distance(form[:30], "0123456789" * 3) <= 4


def test_lines_of_digits_are_of_forms_that_no_other_split_has() -> None:
    data = DigitLines(name="digit_lines", cache="cache", lines=5)
    data.prepare_data()
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [45, 10, 15]
    forms = [set(data.dataset(split).rows // 5) for split in ("train", "val", "test")]
    assert sum(map(len, forms)) == len(set.union(*forms)) == 14
    assert set(map(len, data.dataset("train").numpy()["target"])) <= set(range(3, 9))
    assert data.spec.alphabet.characters == "0123456789"
    with pytest.raises(ConfigError, match="lines=0"):
        DigitLines(name="digit_lines", lines=0)


def test_a_composed_line_has_a_run_of_ink_for_each_digit() -> None:
    block = np.ones((5, 8, 8), np.float32)
    block[:, :, :2] = block[:, :, 6:] = 0
    runs = []
    for seed in range(30):
        line = compose(block, 32, np.random.default_rng(seed))
        assert (line.dtype, line.shape[1:]) == (np.uint8, (32, 1))
        ink = (line[:, :, 0].max(1) > 100).astype(int)
        assert ink[0] == ink[-1] == 0
        runs.append(int((np.diff(ink) == 1).sum()))
    assert max(runs) == 5
    assert sum(runs) > 3 * len(runs)  # some digits touch
    assert compose(np.zeros((3, 8, 8), np.float32), 32, np.random.default_rng(0)).max() < 100
