"""Run directories: creating, locking, comparing and cleaning up, and finding checkpoints."""

import errno
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sightseq.core import rundir
from sightseq.core.errors import CheckpointError, ConfigError


def config(**changes: Any) -> dict[str, Any]:
    return {
        "experiment": "toy",
        "seed": 1,
        "name": None,
        "resume": None,
        "run_test": "auto",
        "paths": {"runs": str(Path("runs").absolute())},
        "trainer": {"max_epochs": 3, "max_time": None, "devices": 1},
        **changes,
    }


def started(name: str, checkpoint: bool = True, **changes: Any) -> Path:
    """A run directory of an interrupted run, with or without a checkpoint."""
    folder = Path("runs/toy").absolute() / name
    (folder / "checkpoints").mkdir(parents=True)
    if checkpoint:
        (folder / "checkpoints" / "last.ckpt").touch()
    rundir.write_config(folder, config(**changes) | {"run": {"dir": str(folder), "command": "sightseq train"}})
    return folder


def test_a_folder_that_cannot_be_created_is_named() -> None:
    Path("runs").write_text("a file stands where the runs should go")
    with pytest.raises(ConfigError, match=r"runs/toy.* cannot be created .*paths\.runs="):
        rundir.create(config(), "sightseq train")


def test_create_writes_the_config() -> None:
    expected = config(title="Ünïcode: ${x}")
    folder = rundir.create(expected, "sightseq train 'a b'")
    assert folder.parent == Path("runs/toy").absolute()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{4}", folder.name)
    saved = rundir.read_config(folder)
    assert saved == expected
    assert saved["run"] == {"command": "sightseq train 'a b'"}
    assert {path.name for path in folder.iterdir()} == {"config.yaml", rundir.NEW}  # no partial files


def test_an_experiment_that_needs_weights_does_not_start_without() -> None:
    with pytest.raises(ConfigError, match=r"experiment=toy fine-tunes the weights of another run: init_from=RUN"):
        rundir.create(config(init_from="required"), "")
    assert not Path("runs").exists()


def test_created_folder_contains_the_name() -> None:
    assert rundir.create(config(name="mine"), "").name.endswith("-mine")


@pytest.mark.parametrize("name", [None, "mine"])
def test_runs_within_a_second_get_separate_folders(name: str | None) -> None:
    assert len({rundir.create(config(name=name), "") for _ in range(5)}) == 5


def test_second_run_of_a_name_in_one_second_is_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Clock":
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(rundir, "datetime", Clock)
    names = [rundir.create(config(name="mine"), "").name for _ in range(3)]
    assert names == [f"2026-01-02_03-04-05-mine{end}" for end in ("", "-2", "-3")]


@pytest.mark.parametrize("content", [None, "a: [b", "a: b: c"])
def test_read_config_of_a_folder_that_is_not_a_run(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ConfigError, match="is not a run directory"):
        rundir.read_config(tmp_path)


@pytest.mark.parametrize("content", [b"", b"- 1", b"\xff\xfe\x00"])
def test_read_config_of_a_file_without_a_config(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="is not a run directory"):
        rundir.read_config(tmp_path)


def test_without_variable_keys_drops_what_may_differ() -> None:
    one = config(name="a", resume="auto", run_test=True, run={"dir": "x"})
    one["trainer"] |= {"max_epochs": 99, "max_time": "00:01:00:00"}
    assert rundir.without_variable_keys(one) == rundir.without_variable_keys(config())
    assert one["trainer"]["max_epochs"] == 99  # the argument is unchanged


@pytest.mark.parametrize("change", [{"seed": 2}, {"trainer": {"devices": 2}}, {"paths": {"runs": "x"}}, {"new": 1}])
def test_without_variable_keys_keeps_everything_else(change: dict[str, Any]) -> None:
    assert rundir.without_variable_keys(config(**change)) != rundir.without_variable_keys(config())


def test_lock_is_exclusive_and_released_when_the_block_fails() -> None:
    folder = started("a")
    with rundir.locked(folder), pytest.raises(ConfigError, match="in use by another process"), rundir.locked(folder):
        pass
    with pytest.raises(KeyError), rundir.locked(folder):
        raise KeyError
    with rundir.locked(folder):
        assert rundir.busy(folder)


@pytest.mark.parametrize("error", [ConfigError("x"), KeyboardInterrupt()])
def test_a_run_that_fails_before_training_leaves_nothing(error: BaseException) -> None:
    folder = rundir.create(config(), "")
    with pytest.raises(type(error)), rundir.locked_run(folder):
        raise error
    assert not folder.parent.exists()


@pytest.mark.parametrize("kept", ["checkpoints", "results.json"])
def test_a_run_that_fails_later_is_kept(kept: str) -> None:
    folder = rundir.create(config(), "")
    (folder / kept).mkdir()
    with pytest.raises(ConfigError), rundir.locked_run(folder):
        raise ConfigError("x")
    assert folder.exists()


def test_a_folder_that_no_command_created_is_kept() -> None:
    """Its config was written by hand, or an earlier run in it failed."""
    folder = Path("mine")
    folder.mkdir()
    rundir.write_config(folder, config())
    with pytest.raises(ConfigError), rundir.locked_run(folder):
        raise ConfigError("x")
    assert (folder / "config.yaml").exists()


def test_a_run_that_cannot_be_written_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = rundir.create(config(), "")

    def refuse(lock: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with (
        pytest.raises(ConfigError, match=r"cannot be written \(Permission denied\); .*paths\.runs="),
        rundir.locked(folder),
    ):
        pass


def test_a_run_in_use_by_another_process_is_kept() -> None:
    folder = rundir.create(config(), "")
    with rundir.locked(folder), pytest.raises(ConfigError, match="in use"), rundir.locked_run(folder):
        pass
    assert folder.exists()


# find_checkpoint


def test_paths_that_name_a_checkpoint(capfd: pytest.CaptureFixture[str]) -> None:
    old, newest, unfinished = started("2026-01-01_a"), started("2026-01-02_b"), started("2026-01-03_c")
    for run in (old, newest, unfinished):
        (run / "checkpoints/best.ckpt").touch()
    for run in (old, newest):
        (run / "results.json").touch()
    best = newest / "checkpoints/best.ckpt"
    for given in (best, newest, newest / "checkpoints"):
        assert rundir.find_checkpoint(given) == best
    assert not capfd.readouterr().err
    assert rundir.find_checkpoint("runs/toy").resolve() == best
    assert capfd.readouterr().err == "the newest finished run is runs/toy/2026-01-02_b\n"
    assert rundir.find_checkpoint(unfinished).parts[-3:] == ("2026-01-03_c", "checkpoints", "best.ckpt")


def test_a_run_without_a_best_checkpoint_gives_its_last(capfd: pytest.CaptureFixture[str]) -> None:
    run = started("a")
    for given in (run, run / "checkpoints"):
        assert rundir.find_checkpoint(given) == run / "checkpoints/last.ckpt"
        assert re.fullmatch(r"Warning: .*checkpoints has no best\.ckpt, .*last\.ckpt is used\n", capfd.readouterr().err)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("", "there is no such checkpoint"),
        ("runs/nothing.ckpt", "there is no such checkpoint; a run saves its best one as checkpoints/best.ckpt"),
        ("runs/toy", "none of the 2 runs in it has finished; name one of them"),
        ("runs/toy/a", "has no checkpoints/best.ckpt; name one of epoch=3.ckpt in runs/toy/a/checkpoints"),
        ("runs/toy/b", "has no checkpoints/best.ckpt"),
        ("runs", "has no checkpoints/best.ckpt"),
    ],
)
def test_no_checkpoint_is_found(given: str, complaint: str) -> None:
    (started("a", checkpoint=False) / "checkpoints/epoch=3.ckpt").touch()
    started("b", checkpoint=False)
    with pytest.raises(CheckpointError) as caught:
        rundir.find_checkpoint(given)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
