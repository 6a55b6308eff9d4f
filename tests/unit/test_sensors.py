"""Datasets of sensors: what is read, what is handled, and what is refused in one clear line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightseq.core.errors import ConfigError, DataError
from sightseq.core.windows import windows
from sightseq.data.sensors.digit_rows import DigitRows
from sightseq.data.sensors.hmp import HMP
from sightseq.data.sensors.recordings import SensorData
from sightseq.data.sensors.sequence_csv import SequenceCSV
from sightseq.data.sensors.sign_keypoints import SignKeyPoints
from sightseq.data.sensors.uci_har import ACTIVITIES, CHANNELS, UciHar
from sightseq.series.grid import median_rate, regular
from sightseq.series.keypoints import HOLISTIC

STAGES = ("train", "val", "test")
NAN = float("nan")


def prepared(cls: type[SensorData], **options: Any) -> Any:
    data = cls(name=options.pop("name", "toy"), root="data", cache="cache", **options)
    data.prepare_data()
    return data


def persons(data: SensorData) -> list[set[int]]:
    return [set(data.dataset(split).numpy()["group"].tolist()) for split in STAGES]


def table(rows: list[str], name: str = "a.csv") -> str:
    Path(name).write_text("\n".join(rows) + "\n")
    return name


def activity(label: str, person: str, steps: int = 20, rate: float = 10.0, start: float = 0.0) -> list[str]:
    """Rows of one recording whose channel x counts the steps, and y is 1 for "run"."""
    return [f"{start + n / rate:.3f},{n},{int(label == 'run')},{label},{person}" for n in range(steps)]


HEADER = "time,x,y,label,person"
PEOPLE = [row for p in "abcd" for label in ("sit", "run") for row in activity(label, p)]


# The grid of times


def test_regular_times_are_unchanged() -> None:
    values = np.array([[1.0, 2.0], [3.0, NAN], [5.0, 6.0]])
    ((start, found),) = regular(np.array([7.0, 7.1, 7.2]), values, 10.0)
    assert start == 7.0
    np.testing.assert_array_equal(found, values)


def test_unsorted_duplicate_and_irregular_times() -> None:
    # Step 0 has two samples, step 1 one that is late, step 2 none, step 3 one; the rows are out of order.
    times = np.array([3.0, 0.0, 1.2, 0.0])
    ((_, found),) = regular(times, np.array([[9.0], [1.0], [5.0], [3.0]]), 1.0)
    assert found[:, 0].tolist() == [2.0, 5.0, 7.0, 9.0]


def test_missing_values_stay_missing_and_a_higher_rate_is_averaged() -> None:
    times = np.arange(6) / 2  # 2 Hz, read at 1 Hz; rounded to even steps: 0, 0.5 | 1, 1.5 2 2.5
    ((_, found),) = regular(times, np.array([[0.0], [2.0], [NAN], [4.0], [6.0], [NAN]]), 1.0)
    assert found[0, 0] == 1.0
    assert np.isnan(found[1, 0])
    assert found[2, 0] == 5.0


def test_a_long_gap_begins_another_recording() -> None:
    times = np.array([0.0, 1.0, 12.0, 13.0])
    parts = regular(times, np.arange(4.0)[:, None], 1.0)
    assert [(start, values[:, 0].tolist()) for start, values in parts] == [(0.0, [0.0, 1.0]), (12.0, [2.0, 3.0])]
    assert len(regular(times[:3] - [0, 0, 2], np.arange(3.0)[:, None], 1.0)) == 1  # a gap of nine steps


def test_rate_and_windows() -> None:
    assert median_rate(np.array([0.0, 0.02, 0.02, 0.04, 0.07])) == 50.0
    assert median_rate(np.zeros(3)) is None
    assert list(windows(5, 5, 2)) == [(0, 5)]
    assert list(windows(10, 4, 3)) == [(0, 4), (3, 7), (6, 10)]
    assert list(windows(9, 4, 3)) == [(0, 4), (3, 7), (5, 9)]


# One's own tables


def test_a_table_of_persons() -> None:
    path = table([HEADER, *PEOPLE])
    data = prepared(SequenceCSV, path=path, group="person", window=1.0, overlap=0.5, fold=1)
    spec = data.spec
    assert (spec.channels, spec.classes, spec.rate) == (("x", "y"), ("run", "sit"), 10.0)
    assert (spec.steps, spec.stride) == (10, 5)  # 20 steps: three windows
    assert [len(data.dataset(split)) for split in STAGES] == [12, 6, 6]
    assert set.union(*persons(data)) == {0, 1, 2, 3}
    assert [len(found) for found in persons(data)] == [2, 1, 1]
    assert spec.mean == (9.5, 0.5)  # windows from 0, 5 and 10: 4.5, 9.5, 14.5
    batch = data.dataset("test")[torch.tensor([0, 1, 2])]
    assert batch["input"][:, 0, 0].tolist() == [0.0, 5.0, 10.0]
    assert batch["recording"].unique().tolist() == [int(batch["recording"][0])]
    assert "group" not in batch


def test_windows_of_a_recording_are_in_one_split_without_persons() -> None:
    rows = [row for n in range(20) for row in activity(("sit", "run")[n % 2], "x", 40)]
    data = prepared(SequenceCSV, path=table([HEADER, *rows]), channels=["x"], window=1.0)
    found = [set(data.dataset(split).numpy()["recording"].tolist()) for split in STAGES]
    assert sum(map(len, found)) == 20
    assert len(set.union(*found)) == 20
    assert all(len(data.dataset(split)) == 7 * len(recordings) for split, recordings in zip(STAGES, found, strict=True))


def test_recordings_of_unequal_rates_get_the_usual_one() -> None:
    slow = activity("run", "d", 10, rate=5.0, start=100)
    data = prepared(SequenceCSV, path=table([HEADER, *PEOPLE[:-20], *slow]), group="person")
    assert data.spec.rate == 10.0
    lengths = np.concatenate([data.dataset(split).numpy()["input"].lengths for split in STAGES])
    assert sorted(lengths) == [19, *[20] * 7]  # 1.8 s at 10 Hz
    assert prepared(SequenceCSV, path="a.csv", group="person", rate=5.0).spec.rate == 5.0


def test_missing_values_and_rows_without_a_label() -> None:
    rows = [f"{n / 10},{n},,sit,z" if n % 2 else f"{n / 10},{n},1,sit,z" for n in range(20)]
    rows[3] = "0.3,3,1,,z"
    data = prepared(SequenceCSV, path=table([HEADER, *rows, *PEOPLE]), group="person")
    assert data.remarks == ["missing values: 9"]  # 10 empty cells, one of them in the row without a label
    lengths = [n for split in STAGES for n in data.dataset(split).numpy()["input"].lengths.tolist()]
    assert sorted(lengths) == [3, 16, *[20] * 8]  # the row without a label ends a recording


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (PEOPLE, {"channels": ["x", "gyro"]}, "has no column 'gyro'"),
        (PEOPLE, {"label": "labels"}, "has no column 'labels'; did you mean label"),
        (["0,inf,1,sit,a"], {}, "'x' is infinite"),
        (["0,much,1,sit,a"], {}, "'much', which is not a number"),
        (["soon,1,1,sit,a"], {}, "the time 'soon' in the column 'time' cannot be read"),
        ([",1,1,sit,a", "1,1,1,sit,a"], {}, "row 1: the column 'time' has no time"),
        (activity("sit", "a"), {}, "at least two classes"),
        (activity("", "a"), {}, "no row has a label"),
        (PEOPLE, {"test_persons": ["z"]}, "there is no person 'z'"),
        ([], {}, "has no rows"),
    ],
)
def test_bad_tables_are_refused(rows: list[str], options: dict[str, Any], message: str) -> None:
    path = table([HEADER, *rows])
    with pytest.raises((DataError, ConfigError), match=message):
        prepared(SequenceCSV, path=path, **{"group": "person", **options})


def test_a_channel_without_values_is_refused() -> None:
    rows = [row.replace(",1,run", ",,run").replace(",0,sit", ",,sit") for row in PEOPLE]
    with pytest.raises(DataError, match="the channel 'y' has no value in the training split"):
        prepared(SequenceCSV, path=table([HEADER, *rows]), group="person")


def test_times_of_a_day_in_milliseconds_and_splits_by_file() -> None:
    Path("mine").mkdir()
    for name in ("train", "val", "test"):
        rows = [row for label in ("sit", "run") for row in activity(label, "a")]
        stamps = [f"2024-01-01T10:00:{float(row.partition(',')[0]):06.3f},{row.partition(',')[2]}" for row in rows]
        table([HEADER, *stamps], f"mine/{name}.csv")
    data = prepared(SequenceCSV, path="mine", group="person")
    assert data.spec.rate == 10.0
    assert [len(data.dataset(split)) for split in STAGES] == [2, 2, 2]
    assert data.remarks == ["groups both in train and in test: 1", "groups both in train and in val: 1"]


# Published datasets


def test_digit_rows_are_the_digits() -> None:
    data = prepared(DigitRows, window=8)
    assert [len(data.dataset(split)) for split in STAGES] == [808, 90, 899]
    assert (data.spec.steps, data.spec.stride, data.spec.rate) == (8, None, None)
    row = data.dataset("train")[0]
    # The first digit of scikit-learn, a 0: its second row.
    assert row["input"][1].tolist() == [0, 0, 13, 15, 10, 15, 5, 0]
    assert row["target"] == 0


def write_hmp() -> None:
    for person in ("f1", "f2", "m1"):
        for name in ("Walk", "Pour_water", "Comb_hair"):
            if (name, person) == ("Comb_hair", "m1"):
                continue
            for number in range(2):
                file = Path(f"data/HMP/{name}/Accelerometer-2011-03-24-09-51-{number:02}-{name.lower()}-{person}.txt")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("0 63 21\n" * 40)
    copy = Path("data/HMP/Walk_MODEL/Accelerometer-2011-03-24-09-51-00-walk-f1.txt")
    copy.parent.mkdir()
    copy.write_text("0 63 21\n")
    Path("data/HMP/README.txt").write_text("about")


def test_hmp_leaves_persons_out() -> None:
    write_hmp()
    data = prepared(HMP, folders=["HMP"], window=1.0, fold=2)
    assert data.spec.classes == ("comb_hair", "pour_water", "walk")
    assert [len(found) for found in persons(data)] == [1, 1, 1]
    np.testing.assert_allclose(data.dataset("train")[0]["input"][0], [-1.5, 1.5, -0.5], atol=1e-6)
    few = prepared(HMP, folders=["HMP"], min_persons=3)
    assert few.spec.classes == ("pour_water", "walk")
    assert few.remarks == ["left out, of fewer than 3 persons: comb_hair (4 of them)"]
    named = prepared(HMP, folders=["HMP"], test_persons=["m1"], val_groups="seen", val_fraction=0.25)
    assert persons(named) == [{0, 1}, {0, 1}, {2}]


def test_bad_hmp_files_are_refused() -> None:
    write_hmp()
    file = Path("data/HMP/Walk/Accelerometer-2011-03-24-09-51-00-walk-f1.txt")
    for content in ("0 63\n", "0 64 1\n", ""):
        file.write_text(content)
        with pytest.raises(DataError, match="three numbers from 0 to 63"):
            prepared(HMP, folders=["HMP"])
    file.write_text("0 x 1\n")
    with pytest.raises(DataError, match="cannot be read"):
        prepared(HMP, folders=["HMP"])


def test_uci_har_has_the_official_split() -> None:
    data = prepared(UciHar, name="uci_har", synthetic=True, window=2.56, val_fraction=0.25)
    assert data.spec.classes == tuple(sorted(name.lower() for name in ACTIVITIES))
    assert (data.spec.channels, data.spec.steps, data.spec.stride) == (CHANNELS, 128, None)
    assert [len(found) for found in persons(data)] == [3, 1, 1]
    (data.root / "uci_har" / "train" / "y_train.txt").unlink()
    with pytest.raises(DataError, match=r"found no train/y_train.txt"):
        data.locate()


def test_sign_keypoints_reads_zeros_as_missing() -> None:
    clips = np.full((8, 3, 158), 5.0, np.float32)
    clips[0] = 0
    clips[:, :, 74:116] = 0
    Path("data/signs").mkdir(parents=True)
    for split in ("train", "valid"):
        labels = np.arange(8) % 2
        np.savez(f"data/signs/{split}.npz", x=clips, y=labels, name=labels.astype(str), classes=np.array(["a", "b"]))
    with pytest.raises(DataError, match="the channel 'left_0_x' has no value in the training split"):
        prepared(SignKeyPoints, folders=["signs"], window=3)
    clips[1:, 0, 74:116] = 7
    np.savez("data/signs/train.npz", x=clips, y=labels, name=labels.astype(str), classes=np.array(["a", "b"]))
    data = prepared(SignKeyPoints, folders=["signs"], window=3)
    assert [dataset.source for dataset in map(data.dataset, STAGES)] == ["train", "train", "test"]
    assert data.spec.mean == tuple(7.0 if name.startswith("left") else 5.0 for name in HOLISTIC)
    np.savez("data/signs/test.npz", x=clips, y=labels, name=labels.astype(str), classes=np.array(["a", "b"]))
    data = prepared(SignKeyPoints, folders=["signs"], window=3)
    assert [dataset.source for dataset in map(data.dataset, STAGES)] == ["train", "val", "test"]


# Anomalies


def test_anomalies_are_not_in_the_training() -> None:
    options = {"path": table([HEADER, *PEOPLE]), "group": "person", "val_groups": "seen", "val_fraction": 0.3}
    data = prepared(SequenceCSV, anomalies=["sit"], **options)
    assert data.spec.classes == ("run", "sit")
    assert data.spec.counts[1] == 0 < data.spec.counts[0]
    assert data.spec.mean[1] == 1.0  # the channel y of "run" alone
    assert [set(data.dataset(split).numpy()["target"].tolist()) for split in STAGES] == [{0}, {0, 1}, {0, 1}]
    plain = prepared(SequenceCSV, **options)
    for split in ("val", "test"):
        np.testing.assert_array_equal(data.dataset(split).rows, plain.dataset(split).rows)
    with pytest.raises(ConfigError, match=r"data\.anomalies: there is no class 'sitt'; did you mean sit"):
        prepared(SequenceCSV, anomalies=["sitt"], **options)
