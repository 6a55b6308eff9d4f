"""Datasets of audio clips: labels, splits without leaks, batches, and unreadable files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from sightseq.audio.features import LogMel
from sightseq.audio.spec import AudioSpec
from sightseq.core.checkpoint import read_as
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import ConfigError, DataError
from sightseq.data.audio.audio_folder import AudioFolder
from sightseq.data.audio.clips import ClipData
from sightseq.data.audio.emotional_speech import EmotionalSpeech, from_name
from sightseq.data.audio.fsdd import FSDD
from sightseq.data.audio.speech_commands import SpeechCommands

STAGES = ("train", "val", "test")


def write(path: str, samples: Any = 400, rate: int = 8000) -> None:
    """Write a recording; a number of samples gives that many of a constant 0.25."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(samples, 0.25) if isinstance(samples, int) else samples, rate)


def prepared(kind: type[ClipData], name: str, **arguments: Any) -> ClipData:
    data = kind(**{"name": name, "root": "data", "cache": "cache", "rate": 8000, **arguments})
    data.prepare_data()
    return data


def refusal(kind: type[ClipData], name: str, **arguments: Any) -> str:
    with pytest.raises((DataError, ConfigError)) as caught:
        prepared(kind, name, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def sizes(data: DataModule) -> list[int]:
    return [len(data.dataset(split)) for split in STAGES]


def speakers(data: DataModule) -> list[set[int]]:
    return [set(data.dataset(split).numpy()["speaker"].tolist()) for split in STAGES]


def write_digits(names: str = "abcd", indices: range = range(2, 8)) -> None:
    for digit in (0, 7):
        for speaker in names:
            for index in indices:
                write(f"data/fsdd/recordings/{digit}_{speaker}{speaker}_{index}.wav", 100 + 10 * index)


# FSDD


def test_fsdd_has_the_official_test_split() -> None:
    write_digits(indices=range(12))
    data = prepared(FSDD, "fsdd", val_fraction=0.25)
    assert sizes(data) == [42, 14, 40]
    assert data.spec.classes == ("0", "7")
    assert data.remarks == ["speakers both in train and in test: 4"]
    assert data.dataset("test").numpy()["input"].lengths.max() == 140  # index 4
    assert data.dataset("train").numpy()["input"].lengths.min() == 150
    assert np.bincount(data.dataset("val").numpy()["target"]).tolist() == [7, 7]


def test_fsdd_leaves_one_speaker_out() -> None:
    write_digits()
    tested = []
    for fold in range(4):
        data = prepared(FSDD, "fsdd", split="speaker", fold=fold)
        train, val, test = speakers(data)
        assert (len(train), len(val), len(test)) == (2, 1, 1)
        assert len(train | val | test) == 4
        tested += test
        seen = prepared(FSDD, "fsdd", split="speaker", fold=fold, val_speakers="seen", val_fraction=0.2)
        assert speakers(seen)[2] == test
        assert speakers(seen)[0] == set(range(4)) - test
        assert sizes(seen) == [28, 8, 12]
    assert sorted(tested) == [0, 1, 2, 3]
    assert "there are 4 folds" in refusal(FSDD, "fsdd", split="speaker", fold=4)
    assert "of 4 speakers" in refusal(FSDD, "fsdd", split="speaker", fold=0, folds=5)


def test_fsdd_recognises_speakers() -> None:
    write_digits(indices=range(12))
    data = prepared(FSDD, "fsdd", label="speaker")
    assert data.spec.classes == ("aa", "bb", "cc", "dd")
    assert "only with data.split=index" in refusal(FSDD, "fsdd", label="speaker", split="speaker")


def test_two_speakers_are_too_few_for_three_splits() -> None:
    write_digits("ab")
    assert "data.val_speakers=seen" in refusal(FSDD, "fsdd", split="speaker", fold=0)
    assert sum(sizes(prepared(FSDD, "fsdd", split="speaker", fold=0, val_speakers="seen"))) == 24


def test_missing_recordings() -> None:
    assert "found no recordings" in refusal(FSDD, "fsdd")


# Speech Commands


def write_commands() -> None:
    for word in ("yes", "no", "bed", "cat"):
        for number in range(30):
            write(f"data/speech_commands/{word}/{number:08x}_nohash_0.wav", 100 + number)
    for first, name in ((20, "validation_list.txt"), (25, "testing_list.txt")):
        lines = [
            f"{word}/{n:08x}_nohash_0.wav" for word in ("yes", "no", "bed", "cat") for n in range(first, first + 5)
        ]
        Path("data/speech_commands", name).write_text("\n".join(lines))
    ramp = np.linspace(0.1, 0.9, 30 * 8000)
    for name in ("a", "b"):
        write(f"data/speech_commands/_background_noise_/{name}.wav", ramp)


def test_speech_commands_with_12_labels() -> None:
    write_commands()
    data = prepared(SpeechCommands, "speech_commands")
    assert data.spec.classes == ("no", "silence", "unknown", "yes")
    counts = [np.bincount(data.dataset(split).numpy()["target"]).tolist() for split in STAGES]
    assert counts == [[20, 4, 4, 20], [5, 1, 1, 5], [5, 1, 1, 5]]  # a tenth, rounded up
    assert data.remarks == []
    train, val, test = speakers(data)
    silence = {0}  # the pieces of noise have no speaker
    assert train & val <= silence
    assert (train | val) & test <= silence
    for split, (low, high) in zip(STAGES, ((0.0, 0.8), (0.8, 0.9), (0.9, 1.0)), strict=True):
        columns = data.dataset(split).numpy()
        for row in np.flatnonzero(columns["target"] == 1):
            piece = columns["input"].row(row).astype(float)
            assert len(piece) == 8000  # one second
            place = (piece[0] / (piece[-1] - piece[0]) * 7999 / 8000 - 0.1 / 0.8 * 30) / 30  # of the ramp, in 0..1
            assert low - 0.01 <= place <= high + 0.01


def test_speech_commands_with_all_words() -> None:
    write_commands()
    data = prepared(SpeechCommands, "speech_commands", labels=35)
    assert data.spec.classes == ("bed", "cat", "no", "yes")
    assert sizes(data) == [80, 20, 20]
    assert data.dataset("test").numpy()["input"].lengths.min() == 125
    Path("data/speech_commands/testing_list.txt").unlink()
    assert "testing_list.txt" in refusal(SpeechCommands, "speech_commands", labels=35)


# Emotional speech


@pytest.mark.parametrize(
    ("name", "emotion", "speaker"),
    [
        ("03-01-06-01-02-01-12", "fear", "12"),
        ("03-01-01-01-01-02-24", "neutral", "24"),
        ("03-02-05-01-02-01-03", "", "03"),  # a song
        ("03a01Fa", "happiness", "03"),
        ("16b10Wb", "anger", "16"),
        ("OAF_back_angry", "anger", "OA"),
        ("OA_bite_neutral", "neutral", "OA"),
        ("YAF_dog_ps", "surprise", "YAF"),
    ],
)
def test_emotion_and_speaker_in_file_names(name: str, emotion: str, speaker: str) -> None:
    assert from_name(name) == (emotion, speaker)


def test_emotional_speech_splits_by_speaker() -> None:
    for speaker in (3, 8, 9, 10):
        for letter in "WFT":
            write(f"data/emodb/wav/{speaker:02}a01{letter}a.wav")
    data = prepared(EmotionalSpeech, "emodb", fold=1)
    assert data.spec.classes == ("anger", "happiness", "sadness")
    assert [len(one) for one in speakers(data)] == [2, 1, 1]
    assert len(set.union(*speakers(data))) == 4
    write("data/emodb/wav/noname.wav")
    assert "labels.csv" in refusal(EmotionalSpeech, "emodb")


def test_emotional_speech_with_a_table() -> None:
    rows = ["file,speaker,emotion"]
    for number in range(12):
        write(f"data/mine/deep/{number}.flac")
        rows.append(f"deep/{number}.FLAC,{'abcd'[number % 4]},{'glad' if number % 3 else 'cross'}")
    Path("data/mine/labels.csv").write_text("\n".join(rows))
    data = prepared(EmotionalSpeech, "mine", fold=0)
    assert data.spec.classes == ("cross", "glad")
    assert sizes(data) == [6, 3, 3]
    assert not set.intersection(*speakers(data))


# Folders of clips


def write_clips(folder: str, count: int, samples: int = 400) -> None:
    for number in range(count):
        write(f"{folder}/{number}.wav", samples)


def test_audio_folder_without_splits() -> None:
    write_clips("clips/dog", 20, 300)
    write_clips("clips/cat", 10, 200)
    data = prepared(AudioFolder, "mine", path="clips", test_fraction=0.2, val_fraction=0.25)
    assert sizes(data) == [18, 6, 6]
    assert data.spec == AudioSpec(8000, ("cat", "dog"), data.spec.mean, data.spec.std, (6, 12), 10.0)
    batch = data.dataset("train")[torch.arange(18)]
    assert set(batch) == {"input", "length", "target", "index"}
    assert batch["input"].dtype == torch.int16
    assert batch["length"].tolist() == [200 if label == 0 else 300 for label in batch["target"]]
    for row, length in zip(batch["input"], batch["length"], strict=True):
        assert row.tolist() == [8192] * length + [0] * (300 - length)


@pytest.mark.parametrize("word", ["val", "Dev"])
def test_audio_folder_with_splits(word: str) -> None:
    for split, count in (("train", 6), (word, 3), ("test", 2)):
        write_clips(f"clips/{split}/dog", count)
        write_clips(f"clips/{split}/cat", count)
    assert sizes(prepared(AudioFolder, "mine", path="clips")) == [12, 6, 4]
    write_clips("clips/test/cow", 1)
    assert "test has classes that train does not have: ['cow']" in refusal(AudioFolder, "mine", path="clips")


def test_audio_folder_with_tables_and_speakers_in_the_names() -> None:
    for split, names in (("train", "abcdef"), ("val", "gh")):
        rows = ["file,class"]
        for name in names:
            for word in ("no", "yes"):
                write(f"clips/dataset/{word}/{name}_NO_1.flac")
                rows.append(f"dataset/{word}/{name}_NO_1.flac,{word}")
        Path(f"clips/{split}.csv").write_text("\n".join(rows))
    write("clips/dataset/no/unlisted_NO_1.flac")
    data = prepared(AudioFolder, "mine", path="clips", speaker="(.*)_NO_", test_fraction=0.2)
    assert sizes(data) == [10, 4, 2]
    assert [len(one) for one in speakers(data)] == [5, 2, 1]
    assert len(set.union(*speakers(data))) == 8
    assert "finds no speaker in" in refusal(AudioFolder, "mine", path="clips", speaker="(.*)_XY_")
    assert "no column sound" in refusal(AudioFolder, "mine", path="clips", file="sound")
    with Path("clips/val.csv").open("a") as file:
        file.write("\ndataset/no/a_NO_1.flac,no")
    assert "is in two of the tables" in refusal(AudioFolder, "mine", path="clips")
    with Path("clips/val.csv").open("a") as file:
        file.write("\ndataset/no/missing.flac,no")
    assert "row 6: dataset/no/missing.flac is not below clips" in refusal(AudioFolder, "mine", path="clips")


def test_unreadable_clips_are_named_or_left_out() -> None:
    write_clips("clips/dog", 10)
    write_clips("clips/cat", 10)
    Path("clips/cat/3.wav").write_text("no sound")
    Path("clips/dog/4.wav").write_bytes(b"")
    write("clips/dog/5.wav", np.zeros(400))
    message = refusal(AudioFolder, "mine", path="clips")
    assert "3.wav: is not a sound that can be read (it is a text)" in message
    assert "data.corrupt=skip" in message
    data = prepared(AudioFolder, "mine", path="clips", corrupt="skip")
    assert data.skipped == ["clips/cat/3.wav", "clips/dog/4.wav"]
    assert data.remarks == ["silent recordings: 1"]
    assert sum(sizes(data)) == 18
    assert "clips/dog/0.wav is in no class folder" in refusal(AudioFolder, "mine", path="clips/dog")
    write_clips("one/cat", 10)
    assert "of at least two classes" in refusal(AudioFolder, "mine", path="one")


def test_long_clips_are_cut_to_their_middle() -> None:
    ramp = np.arange(0, 16000) / 32768
    for number in range(5):
        write(f"clips/a/{number}.wav", ramp)
        write(f"clips/b/{number}.wav", ramp[:1000])
    data = prepared(AudioFolder, "mine", path="clips", seconds=0.5)
    batch = data.dataset("train")[torch.arange(6)]
    longest = batch["input"][batch["target"] == 0]
    assert longest[0].tolist() == list(range(6000, 10000))


def test_statistics_are_those_of_the_training_features() -> None:
    generator = np.random.default_rng(0)
    for number in range(30):
        write(f"clips/{'ab'[number % 2]}/{number}.wav", generator.normal(0, 0.1, 300 + 10 * number))
    data = prepared(AudioFolder, "mine", path="clips")
    batch = data.dataset("train")[torch.arange(len(data.dataset("train")))]
    features, frames = LogMel(8000)(batch["input"], batch["length"])
    values = torch.cat([one[0, :, :count].flatten() for one, count in zip(features, frames, strict=True)])
    assert data.spec.mean == pytest.approx(values.mean().item(), abs=1e-3)
    assert data.spec.std == pytest.approx(values.std().item(), abs=1e-3)


def test_clips_are_read_as_the_model_expects_them() -> None:
    write_clips("clips/dog", 10, 8000)
    write_clips("clips/cat", 10, 8000)
    data = AudioFolder(name="mine", path="clips", cache="cache")
    read_as(data, AudioSpec(4000, ("dog", "cat"), -5.0, 3.0, seconds=0.5))
    data.prepare_data()
    batch = data.dataset("test")[torch.arange(2)]
    assert batch["length"].tolist() == [2000, 2000]
    assert data.spec.classes == ("dog", "cat")
    other = AudioFolder(name="mine", path="clips", cache="cache")
    read_as(other, AudioSpec(4000, ("dog", "cow"), -5.0, 3.0))
    with pytest.raises(DataError, match="it knows the classes dog, cow"):
        other.prepare_data()


def test_wrong_options() -> None:
    assert "data.rate=10" in refusal(AudioFolder, "mine", rate=10)
    assert "data.seconds=0" in refusal(AudioFolder, "mine", seconds=0)
    assert "needs a group" in refusal(AudioFolder, "mine", speaker=".*_")
    assert "regular expression" in refusal(AudioFolder, "mine", speaker="(")
    write_clips("clips/dog", 10)
    write_clips("clips/cat", 10)
    assert "there are 5 folds" in refusal(AudioFolder, "mine", path="clips", fold=7)
