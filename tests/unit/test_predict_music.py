"""Prediction of music: written files, openings, harmonised melodies, options without effect, and bad inputs."""

import json
import warnings
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sightseq import predict as module
from sightseq.core.errors import ConfigError, InputError, InputWarning
from sightseq.music.events import EventCodec
from sightseq.music.melody import MelodyCodec
from sightseq.music.midi import read_midi, write_midi
from sightseq.music.piece import NOTE, Piece
from sightseq.music.roll import to_roll
from sightseq.music.spec import MusicSpec, RollSpec
from sightseq.tasks.language_modeling.music import MusicLanguageTask
from sightseq.tasks.language_modeling.music_predict import EventPredictor
from sightseq.tasks.music.predict import MusicPredictor
from sightseq.tasks.piano_roll.predict import RollPredictor, fixed_keys
from sightseq.tasks.piano_roll.task import READ, PianoRollTask

RECURRENT = "sightseq.nets.piano_roll.RecurrentPianoRoll"
LANGUAGE = {"_target_": "sightseq.nets.language.RecurrentLanguageModel", "embedding": 8, "hidden": [8], "tied": False}


def rolls(nade: int = 6, step: float = 0.5) -> RollPredictor:
    """With large random weights, so that many keys sound and change."""
    torch.manual_seed(0)
    net = {"_target_": RECURRENT, "hidden": [8], "nade": nade}
    task = PianoRollTask(spec=RollSpec(step, 90.0, 4).to_dict(), net=net)
    for name, parameter in task.net.named_parameters():
        nn.init.normal_(parameter, std=0.1 if "bias" in name else 0.6)
    return RollPredictor(task, "cpu")


def events(codec: EventCodec | MelodyCodec | None = None) -> EventPredictor:
    torch.manual_seed(0)
    codec = codec or EventCodec(grid="beats", steps=4, max_shift=8, velocities=0)
    return EventPredictor(MusicLanguageTask(spec=MusicSpec.of(codec, 90.0).to_dict(), net=LANGUAGE), "cpu")


def piece(*rows: tuple[Any, ...], tempo: float = 90.0) -> Piece:
    """Notes as (start, end, pitch), or with velocity, program and drum."""
    return Piece(np.array([(*row, *(80, 0, False)[len(row) - 3 :]) for row in rows], NOTE), ((0.0, tempo),))


TUNE = piece((0, 1, 72, 100, 40), (1, 2, 72, 90, 40), (2, 2.75, 76, 80, 40), (4, 5, 74, 70, 40), tempo=66.0)


@pytest.fixture
def tune() -> Piece:
    write_midi(TUNE, Path("tune.mid"))
    return read_midi(Path("tune.mid"))


def command(*inputs: str, predictor: MusicPredictor | None = None, format: str = "jsonl", **options: Any) -> int:
    predictor = predictor or rolls()
    return module.print_predictions(predictor, inputs or ("",), format, predictor.options(options))


def written(path: str) -> list[tuple[int, int, int]]:
    """Check with mido that a file has no stuck note and none of zero length; return (start, end, pitch) in ticks."""
    midi, notes = mido.MidiFile(path), []
    for track in midi.tracks:
        tick, sounding = 0, {}
        for message in track:
            tick += message.time
            key = (getattr(message, "channel", 0), getattr(message, "note", 0))
            if message.type == "note_on" and message.velocity:
                assert key not in sounding
                sounding[key] = tick
            elif message.type in ("note_on", "note_off"):
                start = sounding.pop(key)
                assert start < tick
                notes.append((start, tick, message.note))
        assert not sounding
    return sorted(notes)


# Files


@pytest.mark.parametrize("make", [rolls, events])
def test_each_sample_has_three_files(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(predictor=make(), output="new", bars=4, samples=3) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["output"] for row in rows] == [f"new/composed-{number}.mid" for number in (1, 2, 3)]
    for row in rows:
        notes = written(row["output"])
        assert row["input"] is None
        assert row["notes"] == len(notes) > 0
        assert 0 < row["bars"] <= 4
        assert row["seconds"] == pytest.approx(row["bars"] * 4 * 60 / 90, abs=0.05)
        with wave.open(row["audio"]) as audio:
            assert audio.getframerate() == 22050
            assert audio.getnframes() / 22050 > row["seconds"] - 0.1
        with Image.open(row["figure"]) as figure:
            assert figure.format == "PNG"
            assert figure.width > 1000
    assert len({Path(row["output"]).read_bytes() for row in rows}) == 3


def test_samples_are_reproducible_and_depend_on_the_seed() -> None:
    for make in (rolls, events):
        first, again, other = (
            [sample.piece for sample in make().compose(bars=2, samples=2, seed=seed)] for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other


def test_a_table_and_names_without_output(tune: Piece, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("tune.mid", format="table", bars=2) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["input", "output", "bars", "notes", "seconds"]
    assert lines[1][:2] == ["tune.mid", "tune-continued.mid"]
    assert command("tune.mid", mode="harmonise") == 0
    assert command(bars=1) == 0
    names = {"composed", "tune-continued", "tune-harmonised"}
    files = {f"{name}.{suffix}" for name in names for suffix in ("mid", "wav", "png")}
    assert {path.name for path in Path().iterdir()} == files | {"tune.mid"}


def test_folders_keep_names_and_their_results_are_no_inputs() -> None:
    for name in ("in/a.mid", "in/deep/b.MIDI"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write_midi(TUNE, Path(name))
    Path("in/notes.txt").touch()
    assert command("in", output="in/new", bars=1) == 0
    assert command("in", output="in/new", bars=1, overwrite=True) == 0
    assert command("in/*.mid", bars=1) == 0
    found = sorted(map(str, Path().rglob("*.mid")))
    assert found == ["continued/a-continued.mid", "in/a.mid", "in/new/a-continued.mid", "in/new/deep/b-continued.mid"]


def test_files_are_replaced_only_on_demand(tune: Piece, capsys: pytest.CaptureFixture[str]) -> None:
    Path("song.wav").write_bytes(b"mine")
    assert command("tune.mid", output="song.mid", bars=1) == 2
    assert "tune.mid: song.wav already exists; add overwrite=true to replace it" in capsys.readouterr().err
    assert Path("song.wav").read_bytes() == b"mine"
    assert not Path("song.mid").exists()
    assert command(output="song.mid", bars=1) == 2
    assert "InputError: song.wav already exists; add overwrite=true to replace it" in capsys.readouterr().err
    assert command("tune.mid", output="song.mid", bars=1, overwrite=True) == 0
    assert Path("song.wav").read_bytes() != b"mine"
    with pytest.raises(ConfigError, match=r"^tune\.mid is an input and would be replaced"):
        command("tune.mid", output="tune.mid", overwrite=True)
    assert read_midi(Path("tune.mid")) == tune


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "song.mp3"}, r"output=song\.mp3: write FILE\.mid, or end a folder's name with /"),
        ({"input_bars": 2}, "input_bars=2: has no effect without input="),
        ({"temperature": 0, "samples": 2}, "samples=2: all samples are the same with temperature=0"),
        ({"temperature": 0, "seed": 2}, "seed=2: has no effect with temperature=0"),
        ({"mode": "harmonise"}, r"mode=harmonise: needs a melody: input=melody\.mid"),
        ({"bars": 0}, "bars=0: input should be greater than or equal to 1"),
        ({"temperature": -1}, "temperature=-1: input should be greater than or equal to 0"),
        ({"tempo": 90}, r"tempo=90: this model has no option 'tempo'; .*"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        command(**options)


def test_more_options_without_effect(tune: Piece) -> None:
    with pytest.raises(ConfigError, match=r"^bars=8: has no effect with mode=harmonise; input_bars= shortens$"):
        command("tune.mid", mode="harmonise", bars=8)
    with pytest.raises(
        ConfigError, match=r"^mode=harmonise: this network draws each key of a frame without the others"
    ):
        command("tune.mid", mode="harmonise", predictor=rolls(nade=0))
    with pytest.raises(ConfigError, match=r"^mode=harmonise: this network"):
        rolls(nade=0).harmonise(TUNE)
    with pytest.raises(ConfigError, match=r"^top_p=0\.5: has no effect with temperature=0$"):
        command(predictor=events(), temperature=0, top_p=0.5)
    with pytest.raises(ConfigError, match=r"^output=a\.mid: is one file, but there are 2; name a folder$"):
        command("tune.mid", "tune.mid", output="a.mid")
    with pytest.raises(ConfigError, match="this model has no option 'mode'"):
        command(predictor=events(), mode="harmonise")


# Openings


def test_an_opening_is_kept_and_continued(tune: Piece) -> None:
    (row,) = rolls().predict(["tune.mid"], bars=2, output="new")
    found = read_midi(Path(row["output"]))
    assert found.tempi == tune.tempi
    own = found.notes[found.notes["start"] < 5]
    assert np.array_equal(own, tune.notes)
    assert len(found.notes) > len(own)
    assert 5 < found.duration <= 5 + 8


def test_the_state_after_the_opening_is_carried_with_one_step_per_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is composed equals what the network would draw if it read the whole piece again for each frame."""
    predictor = rolls()
    opening = piece(*((beat, beat + 1, 60 + beat % 7) for beat in range(READ)))  # longer than a part
    net, read = predictor.task.net, []
    features = net.features
    monkeypatch.setattr(net, "features", lambda x, state=None: read.append(x.shape[:2]) or features(x, state))
    (sample, _) = predictor.compose(opening, bars=3, samples=2, temperature=0)
    steps = [(2, READ), (2, READ), (2, 1)]  # 128 frames after the silent one
    assert read == [*steps, *[(2, 1)] * (3 * 8 - 1)]
    roll = to_roll(sample.piece, 0.5, 2 * READ + 24)
    before = torch.from_numpy(np.vstack([roll[:1] * 0, roll[:-1]]))[None].float()
    expected = net.head.sample(features(before)[0][0], 0.0)
    assert np.array_equal(expected[2 * READ :], roll[2 * READ :])
    assert sample.given.sum() == len(opening.notes)
    assert (sample.piece.notes["start"][~sample.given] >= READ).all()


def test_input_bars_shorten_the_input(tune: Piece) -> None:
    (row,) = rolls().predict(["tune.mid"], bars=1, input_bars=0.5, output="a.mid")
    found = read_midi(Path(row["output"]))
    assert found.notes["start"].tolist()[:2] == [0, 1]
    assert found.duration <= 6
    (row,) = rolls().predict(["tune.mid"], mode="harmonise", input_bars=0.5, output="b.mid")
    assert row["bars"] == 0.5


def test_events_are_continued_up_to_the_last_bar(tune: Piece) -> None:
    predictor = events()
    (row,) = predictor.predict(["tune.mid"], bars=2, output="new")
    found = read_midi(Path(row["output"]))
    assert found.notes[["start", "end", "pitch"]][:4].tolist() == TUNE.notes[["start", "end", "pitch"]].tolist()
    assert 5 < found.duration <= 13
    (sample,) = predictor.compose(TUNE, bars=2)
    assert sample.given.tolist() == [True] * 4 + [False] * (len(sample.given) - 4)


def test_the_grid_of_seconds() -> None:
    predictor = events(EventCodec(steps=20, max_shift=10, velocities=4))
    for opening, tempo in ((None, 90.0), (TUNE, 66.0)):
        (sample,) = predictor.compose(opening, bars=2)
        assert sample.piece.tempi == ((0.0, tempo),)
        assert sample.piece.duration <= (0 if opening is None else 5) + 8 + 1e-6
        assert sample.given.sum() == (0 if opening is None else 4)


def test_a_model_of_melodies_keeps_the_upper_line(tune: Piece) -> None:
    write_midi(piece((0, 2, 60), (0, 1, 72), (1, 2, 74)), Path("two.mid"))
    with pytest.warns(
        InputWarning, match=r"^two\.mid: left out or changed for the model: notes below the melody \(1\)$"
    ):
        (row,) = events(MelodyCodec(4, 60, 80)).predict(["two.mid"], bars=2)
    starts = sorted(start for start, _, _ in written(row["output"]))
    assert len(set(starts)) == len(starts)


# Melodies


def frames_of(sample: Any, melody: Piece, step: float) -> Iterator[tuple[set[int], set[int]]]:
    """Yield the pitches of the melody and the other pitches at each frame."""
    other = Piece(sample.piece.notes[~sample.given], sample.piece.tempi)
    count = len(to_roll(melody, step))
    for own, added in zip(to_roll(melody, step), to_roll(other, step, count), strict=True):
        yield set(np.flatnonzero(own).tolist()), set(np.flatnonzero(added).tolist())


def test_the_notes_of_a_melody_stay_and_others_lie_below() -> None:
    predictor = rolls()
    for sample in predictor.harmonise(TUNE, samples=3):
        assert np.array_equal(sample.piece.notes[sample.given], TUNE.notes)
        assert sample.piece.tempi == TUNE.tempi
        assert (~sample.given).sum() > 5
        assert sample.piece.duration == 5
        highest = 0
        for own, added in frames_of(sample, TUNE, 0.5):
            highest = max(own, default=highest)
            assert max(added, default=0) < highest
            assert not own & added


def test_the_keys_of_a_melody_are_read_when_lower_keys_are_drawn() -> None:
    predictor = rolls()
    one, other = (predictor.harmonise(piece((0, 8, 90), (0, 8, pitch)), temperature=0)[0] for pitch in (72, 80))
    assert [low for _, low in frames_of(one, TUNE, 0.5)] != [low for _, low in frames_of(other, TUNE, 0.5)]


def test_fixed_keys_by_hand() -> None:
    melody = piece((1, 1.75, 60), (2, 3, 55), (2, 3, 50))
    fixed = fixed_keys(melody, to_roll(melody, 0.5), 0.5)
    free = [int((row == -1).sum()) for row in fixed]
    assert free == [39, 39, 39, 39, 33, 33]  # keys below C4 (39), or below G3 (34) but D3
    assert [np.flatnonzero(row == 1).tolist() for row in fixed] == [[], [], [39], [39], [29, 34], [29, 34]]


def test_notes_off_the_grid_never_meet_other_notes_of_their_key(tune: Piece) -> None:
    melody = piece((0, 1, 84), (0.6, 1.4, 60), (1.1, 1.9, 84), (1.9, 3.2, 84))
    for sample in rolls(step=1.0).harmonise(melody, samples=5):
        write_midi(sample.piece, Path("a.mid"))
        assert len(written("a.mid")) == len(sample.piece.notes)
        assert np.array_equal(sample.piece.notes[sample.given], melody.notes)


# Bad inputs


def bad_files() -> dict[str, str]:
    """Write files that cannot be used; return what their messages contain."""
    one = mido.MidiFile(ticks_per_beat=480)
    one.tracks.append([mido.Message("note_on", note=60, velocity=80), mido.Message("note_off", note=60, time=480)])
    one.save("good.mid")
    data = Path("good.mid").read_bytes()
    body = b"\x00\x90\x3c\x40\x01\x80\x3c\x40" * 3_000_000 + b"\x00\xff\x2f\x00"
    Path("three million.mid").write_bytes(data[:14] + b"MTrk" + len(body).to_bytes(4, "big") + body)
    Path("empty.mid").touch()
    Path("text.mid").write_text("Dear diary")
    Path("cut.mid").write_bytes(data[:-6])
    one.tracks[0] = [mido.MetaMessage("track_name", name="nothing")]
    one.save("silent.mid")
    write_midi(piece((0, 1, 38, 90, 0, True), (1, 2, 38, 90, 0, True)), Path("drums.mid"))
    write_midi(piece((0, 1, 60), (71_999, 72_000, 60), tempo=120.0), Path("ten hours.mid"))
    return {
        "cut.mid": "cut off",
        "drums.mid": "has only drum notes, which this model does not read; name another file, or leave input out",
        "empty.mid": "is empty",
        "missing.mid": "there is no such file",
        "silent.mid": "has no notes",
        "ten hours.mid": "lasts 72,000 beats; at most 4,000 are read; input_bars=16 reads only its first 16 bars",
        "text.mid": "is not a MIDI file",
        "three million.mid": "more than half a million notes",
    }


@pytest.mark.parametrize("make", [rolls, events])
def test_bad_files_are_named_and_the_others_continued(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    messages = bad_files()
    assert command(*messages, "good.mid", predictor=make(), bars=1, output="new") == 2
    out, err = capsys.readouterr()
    assert [json.loads(line)["input"] for line in out.splitlines()] == ["good.mid"]
    for name, message in messages.items():
        (line,) = [line for line in err.splitlines() if line.startswith(f"InputError: {name}")]
        assert message in line
    assert len(err.splitlines()) == len(messages)
    assert command("ten hours.mid", predictor=make(), bars=1, input_bars=2) == 0


def test_what_the_model_does_not_read_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    write_midi(piece((0, 1, 60), (0, 1, 38, 90, 0, True), (1, 2, 120)), Path("mixed.mid"))
    assert command("mixed.mid", bars=1) == 0
    warned = "Warning: mixed.mid: left out or changed for the model: drum notes (1), notes outside the 88 keys (1)"
    assert capsys.readouterr().err.splitlines() == [warned]
    assert read_midi(Path("mixed-continued.mid")).notes["drum"].sum() == 1  # the opening is kept


def test_silence_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    predictor = rolls(nade=0)
    nn.init.constant_(predictor.task.net.head.layer.bias, -1e4)
    assert command(predictor=predictor, bars=1) == 0
    assert "Warning: composed.mid: the model composed no notes" in capsys.readouterr().err
    assert written("composed.mid") == []


def test_python_inputs(tune: Piece) -> None:
    with pytest.raises(InputError, match=r"^inputs must be files, folders or patterns, not Piece; use compose$"):
        rolls().predict([tune])
    with pytest.raises(InputError, match=r"^the piece: has no notes"):
        rolls().compose(piece())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [row["output"] for row in rolls().predict([Path("tune.mid")], bars=1)] == ["tune-continued.mid"]


def test_scores_in_musicxml_are_read() -> None:
    note = "<note><pitch><step>C</step><octave>5</octave></pitch><duration>4</duration></note>"
    measure = f"<measure><attributes><divisions>1</divisions></attributes>{note}</measure>"
    Path("score.xml").write_text(f"<score-partwise><part>{measure}</part></score-partwise>")
    (row,) = rolls().predict(["score.xml"], mode="harmonise")
    assert row["output"] == "score-harmonised.mid"
    assert (0, 1920, 72) in written(row["output"])
