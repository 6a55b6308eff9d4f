"""Data of language models: documents, splits, tokens, streams and windows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightseq.console import describe
from sightseq.core.errors import ConfigError, DataError
from sightseq.core.loading import StreamSampler
from sightseq.data.streams import StreamDataset
from sightseq.data.text import streams
from sightseq.data.text.ptb import PTB
from sightseq.data.text.python_docs import PythonDocs
from sightseq.data.text.streams import split_document
from sightseq.data.text.text_files import TextFiles
from sightseq.data.text.tiny_shakespeare import TinyShakespeare
from sightseq.data.text.wikitext2 import WikiText2
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import UNKNOWN_ID, Tokenizer, fit


def spans(order: StreamSampler) -> list[list[list[int]]]:
    return [batch.tolist() for batch in order]


def test_windows_by_hand() -> None:
    # 11 tokens in 2 streams of 6, the second one shorter, in windows of 4
    assert spans(StreamSampler(11, 2, 4)) == [[[0, 4, 1], [6, 10, 1]], [[4, 6, 0], [10, 11, 0]]]
    # each of two processes has every second stream
    assert spans(StreamSampler(11, 2, 4, rank=0, world=2)) == [[[0, 4, 1]], [[4, 6, 0]]]
    assert spans(StreamSampler(11, 2, 4, rank=1, world=2)) == [[[6, 10, 1]], [[10, 11, 0]]]
    # one stream for two processes: the second reads nothing
    assert spans(StreamSampler(6, 1, 4, rank=0, world=2)) == [[[0, 4, 1]], [[4, 6, 0]]]
    assert spans(StreamSampler(6, 1, 4, rank=1, world=2)) == [[[6, 6, 1]], [[6, 6, 0]]]
    # more streams than tokens: the last streams are empty
    assert spans(StreamSampler(3, 4, 4)) == [[[0, 1, 1], [1, 2, 1], [2, 3, 1], [3, 3, 1]]]


def test_an_interrupted_epoch_resumes_at_its_window() -> None:
    order = StreamSampler(100, 3, 5)
    whole = spans(order)
    assert len(order) == len(whole) == 7
    order.start = 4
    assert spans(order) == whole[4:]


def test_batches_by_hand() -> None:
    dataset = StreamDataset(np.arange(10, 21).astype(np.uint16), "train")
    first, second = (dataset[batch] for batch in StreamSampler(11, 2, 4))
    assert first["target"].tolist() == [[10, 11, 12, 13], [16, 17, 18, 19]]
    assert first["input"].tolist() == [[0, 10, 11, 12], [15, 16, 17, 18]]
    assert first["fresh"].tolist() == [True, True]
    assert first["index"].tolist() == [0, 6]
    assert second["target"].tolist() == [[14, 15], [20, -1]]
    assert second["input"].tolist() == [[13, 14], [19, 0]]
    assert second["fresh"].tolist() == [False, False]
    assert dataset[torch.tensor([[11, 11, 0]])]["target"].tolist() == [[-1]]  # a process may have no stream
    nothing = dataset[torch.tensor([[3, 5, 0], [11, 11, 0]])]
    assert nothing["index"].tolist() == [3, -1]
    assert nothing["target"][1].tolist() == [-1, -1]


def test_a_document_is_split_at_line_ends() -> None:
    text = "".join(f"line {n}\n" for n in range(100))
    parts = dict(split_document(text, 0.1, 0.2))
    assert all(part.endswith("\n") for part in parts.values())
    assert len(parts["test"]) == pytest.approx(0.2 * len(text), abs=10)
    assert len(parts["val"]) == pytest.approx(0.08 * len(text), abs=10)
    assert "".join(parts[split] for split in ("val", "train", "test")) == text
    # In a short document, the validation split also consists of whole lines.
    lines = [f"line {n}\n" for n in range(9)]
    assert dict(split_document("a long title\n" + "".join(lines), 0.05, 0.1)) == {
        "val": "a long title\n",
        "train": "".join(lines[:7]),
        "test": "".join(lines[7:]),
    }
    assert dict(split_document("x" * 99 + "\n", 0.1, 0.2)) == {
        "val": "x" * 8,
        "train": "x" * 72,
        "test": "x" * 19 + "\n",
    }
    assert dict(split_document("x" * 100, 0.1, 0.2)) == {"train": "x" * 72, "val": "x" * 8, "test": "x" * 20}


class Documents(TextFiles):
    """Text data with given documents instead of files."""

    given: list[tuple[str, str]]

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        return iter(self.given)


def prepared(given: list[tuple[str, str]], **arguments: Any) -> Documents:
    Path("x.txt").write_text("x")
    data = Documents(name="mine", cache="cache", path="x.txt", **arguments)
    data.given = given
    data.prepare_data()
    return data


GIVEN = [("train", "a b"), ("val", "b c"), ("train", "b a a"), ("test", ""), ("test", "a")]


def test_documents_are_joined_and_each_ends_with_eos() -> None:
    data = prepared(GIVEN)
    tokenizer = Tokenizer(data.spec.tokenizer)
    a, b = tokenizer.encode("a b")
    assert data.dataset("train").tokens.tolist() == [a, b, 0, b, a, a, 0]
    assert data.dataset("val").tokens.tolist() == [b, 1, 0]  # c is not in the training documents
    assert data.dataset("test").tokens.tolist() == [0, a, 0]
    assert tokenizer.vocab_size == 4


@pytest.mark.parametrize("unit", ["words", "subwords", "characters"])
def test_reading_in_pieces_gives_the_same_tokens(unit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"line {n} of a long one\n" for n in range(300))
    given = [("train", text), ("val", "line 1"), ("test", "line 2"), ("train", "another")]
    whole = prepared(given, unit=unit, vocab_size=400)
    monkeypatch.setattr(streams, "PIECE", 100)
    pieces = Documents(name="mine", cache="other", path="x.txt", unit=unit, vocab_size=400)
    pieces.given = given
    pieces.prepare_data()
    assert pieces.dataset("train").tokens.tolist() == whole.dataset("train").tokens.tolist()


def test_every_token_is_predicted_once_in_the_requested_number_of_streams() -> None:
    text = " ".join(str(n % 50) for n in range(1000))
    data = prepared([("train", text), ("val", text), ("test", text)], batch_size=6, eval_batch_size=3, bptt=7)
    for split, rows in (("train", 6), ("val", 3), ("test", 1)):
        batches = list(data.loader(split))
        assert {len(batch["input"]) for batch in batches} == {rows}
        streams_read = torch.cat([batch["target"] for batch in batches], dim=1)
        assert streams_read[streams_read >= 0].tolist() == data.dataset(split).tokens.tolist()
        before = torch.cat([batch["input"] for batch in batches], dim=1)
        assert torch.equal(before[:, 1:][streams_read[:, 1:] >= 0], streams_read[:, :-1][streams_read[:, 1:] >= 0])


def test_scored_tokens_do_not_depend_on_the_number_of_processes() -> None:
    text = " ".join(str(n % 50) for n in range(1000))
    data = prepared([("train", text), ("val", text), ("test", text)], batch_size=6, eval_batch_size=5, bptt=7)

    def windows(split: str, world: int) -> list[list[tuple[int, ...]]]:
        """The windows that all processes together read in each step."""
        orders = [data.batch_sampler(split, rank, world) for rank in range(world)]
        assert len({len(order) for order in orders}) == 1
        steps = zip(*orders, strict=True)
        return [sorted(tuple(w) for part in step for w in part.tolist() if w[0] < w[1]) for step in steps]

    for world in (2, 3, 7):  # including more processes than streams
        for split in ("val", "test"):
            assert windows(split, world) == windows(split, 1)
        assert len(windows("train", world)[0]) == 6 * world


def test_a_process_without_a_stream_counts_nothing() -> None:
    text = " ".join(str(n % 50) for n in range(100))
    data = prepared([("train", text), ("val", text), ("test", text)])
    spec = data.spec
    net = {"_target_": "sightseq.nets.language.RecurrentLanguageModel", "embedding": 4, "hidden": [4]}
    task = LanguageModelingTask(spec=spec.to_dict(), net=net)
    for stage in ("val", "test"):
        for spans in data.batch_sampler(stage, rank=1, world=2) if stage == "test" else [torch.tensor([[9, 9, 1]])]:
            output = task.step(data.dataset(stage)[spans], stage)
            assert (float(output.loss_sum.detach()), int(output.count)) == (0, 0)
            task.scoreboard.update(stage, output)
        assert int(task.scoreboard.metrics(stage)["accuracy"].count) == 0


def test_a_given_spec_keeps_its_tokenizer() -> None:
    spec = LanguageSpec(fit(["b"], "words", 10).json, 3)
    Path("x.txt").write_text("x")
    data = Documents(name="mine", cache="cache", path="x.txt")
    data.given, data.given_spec = GIVEN, spec
    data.prepare_data()
    assert data.dataset("train").tokens.tolist() == [1, 2, 0, 2, 1, 1, 0]


def test_a_split_without_text_is_refused() -> None:
    with pytest.raises(DataError, match="the test split has no text"):
        prepared([("train", "a"), ("val", "b")])


@pytest.mark.parametrize("wrong", [{"bptt": 0}, {"val_fraction": 0}, {"test_fraction": 1}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"data.{next(iter(wrong))}"):
        TextFiles(name="mine", **wrong)


# The datasets


def text_of(data: Any, split: str) -> str:
    texts = data.dataset(split)
    return Tokenizer(data.spec.tokenizer).decode(texts.tokens.tolist())


def test_files_are_assigned_whole_to_splits() -> None:
    Path("mine/deep").mkdir(parents=True)
    for n in range(20):
        Path(f"mine/{'deep/' * (n % 2)}{n}.txt").write_text(f"only{n}")
    data = TextFiles(name="mine", cache="cache", path="mine", test_fraction=0.2, val_fraction=0.1)
    data.prepare_data()
    assert [int((data.dataset(split).tokens == 0).sum()) for split in ("train", "val", "test")] == [14, 2, 4]


def test_a_single_file_is_split() -> None:
    Path("one.txt").write_text("".join(f"{n}\n" for n in range(1000)))
    data = TextFiles(name="mine", cache="cache", path="one.txt", unit="characters", vocab_size=300)
    data.prepare_data()
    parts = [text_of(data, split).removesuffix("<eos>") for split in ("val", "train", "test")]
    assert "".join(parts) == Path("one.txt").read_text()


def test_a_file_of_one_line_is_split() -> None:
    Path("one.txt").write_text("x" * 99 + "\n")
    data = TextFiles(name="mine", cache="cache", path="one.txt", unit="characters", vocab_size=300, test_fraction=0.2)
    data.prepare_data()
    parts = [text_of(data, split).removesuffix("<eos>") for split in ("val", "train", "test")]
    assert "".join(parts) == Path("one.txt").read_text()
    assert len(parts[2]) == 20


def test_the_number_of_streams_is_shown() -> None:
    data = TextFiles(name="mine", cache="cache", synthetic=True, folders=["mine"], batch_size=7, eval_batch_size=3)
    data.prepare_data()
    assert describe(data).endswith(" to test, in 7, 3, 1 streams")


def test_tokens_stay_on_disk() -> None:
    data = TextFiles(name="mine", cache="cache", synthetic=True, folders=["mine"])
    data.prepare_data()
    for split in ("train", "val", "test"):
        assert isinstance(data.dataset(split).tokens, np.memmap)
        dataset: Any = data.dataset(split)
        assert isinstance(dataset[torch.tensor([[0, 5, 1]])]["target"], torch.Tensor)


def test_rare_words_are_unknown_in_the_training_tokens() -> None:
    Path("mine").mkdir()
    for n in range(20):
        Path(f"mine/{n}.txt").write_text(f"the king met number{n}")
    for least, rare in ((2, 14), (1, 0)):
        data = TextFiles(
            name="mine",
            cache="cache",
            path="mine",
            unit="words",
            min_frequency=least,
            test_fraction=0.2,
            val_fraction=0.1,
        )
        data.prepare_data()
        assert int((data.dataset("train").tokens == UNKNOWN_ID).sum()) == rare


def test_files_that_are_not_utf8_are_refused() -> None:
    Path("one.txt").write_bytes(b"caf\xe9 \xff")
    with pytest.raises(DataError, match=r"one\.txt is not UTF-8"):
        TextFiles(name="mine", cache="cache", path="one.txt").prepare_data()
    Path("folder").mkdir()
    with pytest.raises(DataError, match=r"folder contains no \.txt file"):
        TextFiles(name="mine", cache="cache", path="folder").prepare_data()
    with pytest.raises(DataError, match=r"data\.path=FOLDER"):
        TextFiles(name="mine", cache="cache", path="nowhere").prepare_data()


def sentences(folder: str, *names: str) -> None:
    Path(folder).mkdir(parents=True)
    for name in names:
        part = name.split(".")[1]
        Path(folder, name).write_text("".join(f" {part} sentence N <unk> \n" for _ in range(20)))


def test_treebank_with_and_without_its_test_file() -> None:
    sentences("data/ptb", "ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")
    data = PTB(name="ptb", root="data", cache="cache", unit="whitespace")
    data.prepare_data()
    assert Tokenizer(data.spec.tokenizer).encode("<unk>") == [1]
    assert text_of(data, "test") == " ".join(
        ["<unk> <unk> N <unk> <eos>".replace("<unk> <unk>", "<unk> sentence")] * 20
    )
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [100, 100, 100]
    Path("data/ptb/ptb.test.txt").unlink()
    data = PTB(name="ptb", root="data", cache="cache", unit="whitespace", val_fraction=0.1)
    data.prepare_data()
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [90, 10, 100]
    assert text_of(data, "val").startswith("train sentence")


@pytest.mark.parametrize("suffix", [".tokens", ".raw"])
def test_wikitext_as_published(suffix: str) -> None:
    sentences("data/wikitext2", *(f"wiki.{part}{suffix}" for part in ("train", "valid", "test")))
    data = WikiText2(name="wikitext2", root="data", cache="cache", unit="whitespace")
    data.prepare_data()
    assert text_of(data, "train").startswith("train sentence N <unk> <eos> train")


def test_shakespeare_splits_join_to_the_file() -> None:
    Path("data/shakespeare").mkdir(parents=True)
    text = "".join(f"ROMEO {n}:\nHo!\n\n" for n in range(400))
    Path("data/shakespeare/input.txt").write_text(text)
    data = TinyShakespeare(
        name="tiny_shakespeare", root="data", cache="cache", folders=["shakespeare"], unit="characters", vocab_size=400
    )
    data.prepare_data()
    assert "".join(text_of(data, split).removesuffix("<eos>") for split in ("val", "train", "test")) == text


@pytest.mark.parametrize("dataset", [PTB, WikiText2, TinyShakespeare])
def test_missing_data_is_reported(dataset: Any) -> None:
    with pytest.raises(DataError, match=r"found no .* debug=synthetic"):
        dataset(name="mine", root="data", cache="cache").prepare_data()


def test_no_paragraph_of_python_is_in_two_splits() -> None:
    data = PythonDocs(name="python_docs", cache="cache")
    texts: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
    for split, text in data.documents(data.locate()):
        texts[split] |= {" ".join(paragraph.split()) for paragraph in text.split("\n\n") if len(paragraph) > 100}
    assert all(texts.values())
    assert texts["test"].isdisjoint(texts["train"] | texts["val"])
    assert texts["val"].isdisjoint(texts["train"])


def test_python_docs_contain_english_text() -> None:
    data = PythonDocs(name="python_docs", cache="cache", lowercase=True)
    data.prepare_data()
    assert len(data.dataset("train")) > 60_000
    assert "the" in text_of(data, "test").split()
