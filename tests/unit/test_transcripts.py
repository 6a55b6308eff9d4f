"""Datasets of speech with transcripts, on files made here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightseq.audio.transcript_spec import TranscriptSpec
from sightseq.core.checkpoint import read_as
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.audio.an4 import An4Corpus
from sightseq.data.audio.librispeech import LibriSpeechCorpus
from sightseq.data.audio.speech_csv import SpeechCSV
from sightseq.data.audio.synthetic import write_wav
from sightseq.data.audio.transcript_files import read_transcripts
from sightseq.data.audio.yesno import YesNo
from sightseq.data.transcribed import TranscribedData
from sightseq.text.alphabet import Alphabet

RATE = 8000


def save_sound(path: str, seconds: float = 0.1, rate: int = RATE) -> None:
    wave = 3000 * np.sin(np.arange(round(seconds * rate)) * 0.3)
    write_wav(Path(path), wave.astype(np.int16), rate)


def prepared(cls: type[TranscribedData], **arguments: Any) -> Any:
    options = {"name": "mine", "root": ".", "cache": "cache", "path": "mine", "rate": RATE}
    data = cls(**(options | arguments))
    data.prepare_data()
    return data


def texts(data: TranscribedData, split: str) -> list[str]:
    return sorted(data.dataset(split).numpy()["target"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("19-198-0000 NORTHANGER  ABBEY", ("19-198-0000", "NORTHANGER  ABBEY")),
        ("<s> RUBOUT G M E THREE NINE </s> (an251-fash-b)", ("an251-fash-b", "RUBOUT G M E THREE NINE")),
        ("hello (world) there (id_1)", ("id_1", "hello (world) there")),
        ("<s> </s> (silent)", ("silent", "")),
        ("only_an_id", ("only_an_id", "")),
    ],
)
def test_both_kinds_of_transcript_files(line: str, expected: tuple[str, str]) -> None:
    Path("file.txt").write_text(f"\n{line}\n")
    ((place, *found),) = read_transcripts(Path("file.txt"))
    assert (place, *found) == ("file.txt, line 2", *expected)


def yes_no(**arguments: Any) -> YesNo:
    for number in range(20):
        digits = "_".join(f"{number:05b}")
        save_sound(f"mine/waves_yesno/{digits}.wav", 0.1 + 0.01 * number)
    save_sound("mine/waves_yesno/other.wav")
    return prepared(YesNo, **arguments)


def test_a_batch_by_hand() -> None:
    data = yes_no()
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [16, 2, 2]
    dataset = data.dataset("train")
    row = int(dataset.rows[3])
    batch = dataset[torch.tensor([3, 15])]
    assert (batch["input"].dtype, batch["input"].ndim) == (torch.int16, 2)
    assert batch["length"][0] == round((0.1 + 0.01 * row) * RATE)
    words = " ".join(("NO", "YES")[int(digit)] for digit in f"{row:05b}")
    length = batch["target_length"][0]
    assert data.spec.alphabet.decode(batch["target"][0, :length].tolist()) == words
    assert isinstance(data.spec, TranscriptSpec)
    assert data.spec.alphabet == Alphabet(" ENOSY")
    assert data.spec.longest == pytest.approx((0.1 + 0.01 * max(dataset.rows)), abs=1e-3)
    assert data.spec.std > 0


def test_long_training_recordings_are_left_out() -> None:
    data = yes_no(longest=0.2)
    assert max(data.dataset("train").rows) == 10
    assert {*data.dataset("val").rows, *data.dataset("test").rows} == {
        *yes_no().dataset("val").rows,
        *yes_no().dataset("test").rows,
    }
    assert any("training recordings are longer than 0.2 s and were left out" in text for text in data.remarks)
    with pytest.raises(DataError, match="all training recordings are longer"):
        yes_no(longest=0.05)


def test_resampled_to_the_rate_of_the_data_or_of_the_model() -> None:
    assert yes_no(rate=16000).dataset("train").arrays["input"].lengths[0] == 1600
    data = YesNo(name="mine", path="mine", cache="cache", rate=16000)
    read_as(data, TranscriptSpec(4000, Alphabet("YES"), 0.0, 1.0, 9.0))
    data.prepare_data()
    assert data.dataset("train").arrays["input"].lengths[0] == 400
    assert any("unknown in training: N O ␣" in text for text in data.remarks)
    for wrong in ({"rate": 10}, {"longest": 0}):
        with pytest.raises(ConfigError, match=f"data.{next(iter(wrong))}="):
            YesNo(name="mine", **wrong)


def libri(**arguments: Any) -> LibriSpeechCorpus:
    for number, part in enumerate(("train-clean-100", "dev-clean", "test-clean")):
        for index in range(2):
            name = f"{number}-7-{index:04}"
            save_sound(f"mine/{part}/{number}/7/{name}.wav")
            with Path(f"mine/{part}/{number}/7/{number}-7.trans.txt").open("a") as file:
                file.write(f"{name} PART {number} {index}\n")
    return prepared(LibriSpeechCorpus, **arguments)


def test_the_parts_of_librispeech_are_the_splits() -> None:
    data = libri()
    for number, split in enumerate(("train", "val", "test")):
        assert texts(data, split) == [f"PART {number} 0", f"PART {number} 1"]
    with pytest.raises(DataError, match=r"mine/test-other has no recordings with transcripts \(\*.trans.txt\)"):
        prepared(LibriSpeechCorpus, test=["test-other"])
    with Path("mine/dev-clean/1/7/1-7.trans.txt").open("a") as file:
        file.write("1-7-0009 MISSING\n")
    with pytest.raises(DataError, match=r"line 3: there is no recording 1-7-0009"):
        prepared(LibriSpeechCorpus)
    assert any("no recording 1-7-0009" in text for text in prepared(LibriSpeechCorpus, corrupt="skip").skipped)


def test_an4_divides_the_training_speakers() -> None:
    Path("mine/etc").mkdir(parents=True)
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(12):
        split, speaker = ("test" if number > 9 else "train"), f"s{number % 5}"
        save_sound(f"mine/wav/{speaker}/an{number}-{speaker}-b.wav")
        lines[split].append(f"<s> NUMBER {number} </s> (an{number}-{speaker}-b)\n")
    for split, rows in lines.items():
        Path(f"mine/etc/an4_{split}.transcription").write_text("".join(rows))
    data = prepared(An4Corpus)
    assert texts(data, "test") == ["NUMBER 10", "NUMBER 11"]
    speakers = [{int(text.split()[1]) % 5 for text in texts(data, split)} for split in ("train", "val")]
    assert not speakers[0] & speakers[1]
    Path("mine/etc/an4_test.transcription").unlink()
    with pytest.raises(DataError, match=r"has no files \*_train.transcription and \*_test.transcription"):
        prepared(An4Corpus)


def test_common_voice_and_bad_recordings() -> None:
    for number in range(12):
        save_sound(f"mine/clips/{number}.wav")
    Path("mine/clips/9.wav").write_text("this is no sound")
    rows = [f"speaker {number % 4}\t{number}.wav\tText {number}." for number in range(10)]
    Path("mine/validated.tsv").write_text("\n".join(["client_id\tpath\tsentence", *rows, "speaker 1\t10.wav\t"]) + "\n")
    Path("mine/invalidated.tsv").write_text("client_id\tpath\tsentence\n")
    with pytest.raises(DataError, match=r"9.wav: is not a sound that can be read .*corrupt=skip"):
        prepared(SpeechCSV)
    data = prepared(SpeechCSV, corrupt="skip")
    assert sum(len(data.dataset(split)) for split in ("train", "val", "test")) == 9
    assert sorted(Path(text.split(",")[0]).name for text in data.skipped) == ["10.wav", "9.wav"]
    speakers = [{row % 4 for row in data.dataset(split).rows} for split in ("train", "val", "test")]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 4
