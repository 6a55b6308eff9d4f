"""The training and test pipeline: `python -m sightseq.run RUN_DIR` executes the config of a run directory.

    config -> data -> spec -> task -> trainer -> run directory -> checkpoint -> predict

A new run, a resumed run, a child process of distributed training and a job of a sweep all use this command.
"""

import logging
import math
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightseq import console
from sightseq.core import cluster, rundir
from sightseq.core.cluster import Requeue
from sightseq.core.errors import SightseqError
from sightseq.core.logfile import log_to_file
from sightseq.core.rundir import Config

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from sightseq.core.baseline import Baseline
    from sightseq.core.blocks import Block
    from sightseq.core.datamodule import DataModule
    from sightseq.core.task import Task

log = logging.getLogger("sightseq")


def main() -> None:
    """Execute the config of a run directory. A `SightseqError` prints one line and gives exit status 2.

    If the argument is a file, it is a copy of a config.yaml: the run is repeated in a new run directory.
    """
    if len(sys.argv) != 2:
        print("usage: python -m sightseq.run RUN_DIR, or a copy of its config.yaml", file=sys.stderr)
        sys.exit(2)
    folder = Path(sys.argv[1]).resolve()
    cluster.handle_requeue_signal()
    try:
        if folder.is_file():
            folder = rundir.repeat(folder)
            sys.argv[1] = str(folder)  # for the child processes of distributed training
        config = rundir.read_config(folder)
        rundir.check_config(config)
        with nullcontext() if cluster.rank() else rundir.locked_run(folder), log_to_file(folder):
            execute(config, folder)
    except SightseqError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        saved = (folder / "checkpoints" / "last.ckpt").exists()
        remedy = f"; to resume: sightseq train resume={console.short(folder)}" if saved else ""
        remedy = f"; {cluster.requeue()}" if isinstance(error, Requeue) else remedy
        print(f"interrupted{remedy}", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # a bug here or in a library: one line, with the traceback in log.txt
        print(f"{type(error).__name__}: {error}\nthe traceback is in {folder / 'log.txt'}", file=sys.stderr)
        sys.exit(1)


def execute(config: Config, folder: Path) -> dict[str, Any]:
    """Train, or test the checkpoint that the config names; return the content of results.json."""
    from sightseq.core.report import learning_curves, write_report
    from sightseq.core.results import write_results
    from sightseq.core.tracking import log_results

    began = time.monotonic()
    try:
        results, blocks, trainer = test(config, folder) if "ckpt" in config else train(config, folder)
    except SystemExit as error:  # Lightning's reaction to Ctrl-C and SIGTERM
        raise (Requeue if isinstance(error.__context__, Requeue) else KeyboardInterrupt) from error
    if not trainer.is_global_zero:
        return results
    seconds = results.setdefault("seconds", {"total": 0.0})
    seconds["total"] = round(seconds["total"] + time.monotonic() - began, 1)
    blocks = [*learning_curves(folder, results), *blocks]
    report = write_report(folder, config, results, blocks)
    results["trackers"] = log_results(trainer, config, folder, results, blocks)
    write_results(folder, results)
    console.ending(results, folder, report)
    return results


Outcome = tuple[dict[str, Any], "list[Block]", "Trainer"]


def train(config: Config, folder: Path) -> Outcome:
    """Train a task on its data, choose the best epoch by validation score, evaluate it and the baselines.

    If the run directory has a checkpoints/last.ckpt, training resumes from it.
    """
    from lightning.pytorch import seed_everything

    from sightseq.core import checkpoint
    from sightseq.core.build import build, trust
    from sightseq.core.datamodule import DataModule
    from sightseq.core.environment import resolve_precision
    from sightseq.core.frozen import precompute
    from sightseq.core.naming import network_name
    from sightseq.core.report import read_history
    from sightseq.core.results import describe_run, make_baselines, training_scores
    from sightseq.core.spec import Spec
    from sightseq.core.task import Task
    from sightseq.core.trainer import (
        check_trainer,
        count_steps,
        make_evaluator,
        make_trainer,
        pruned_epoch,
        unknown_length,
    )

    trust(config["trust"])
    check_trainer(config["trainer"])
    precision = resolve_precision(config["precision"])
    last = folder / "checkpoints" / "last.ckpt"
    resumed = last.exists()
    if resumed:
        checkpoint.check_resumable(last)
    # Build everything once with an example spec, so that an invalid value is found before any data is read.
    example = build(config["data"], DataModule, "data")
    trial = build(config["model"], Task, "model", spec=example.example_spec.to_dict())
    trial.total_steps = math.inf if unknown_length(config["trainer"]) else 1000
    trial.configure_optimizers()
    pretrained = not (example.synthetic or resumed)
    if pretrained:
        checkpoint.load_pretrained(trial)
    baselines = make_baselines(config)
    # A resumed run does not need the checkpoint that it was initialised from.
    warm = checkpoint.read_checkpoint(last if resumed else Path(config["init_from"])) if config["init_from"] else None
    trainer = make_trainer(config, folder, precision, trial)

    console.say("run", console.short(folder))

    def prepare() -> "DataModule":
        data = build(config["data"], DataModule, "data")
        if warm:
            data.adopt(Spec.from_dict(warm["hyper_parameters"]["spec"]))
        data.prepare_data()
        return data

    def initialise(data: "DataModule") -> "tuple[Task, list[str]]":
        """Return the task with its initial weights, and the names of those that a warm start lacks."""
        seed_everything(config["seed"], workers=True, verbose=False)
        task = build(config["model"], Task, "model", spec=data.spec.to_dict())
        if pretrained:
            checkpoint.load_pretrained(task)
        return task, checkpoint.warm_start(task, warm, config["init_from"]) if warm and not resumed else []

    if config.get("tune") and not config.get("tuned"):
        from sightseq.core.tuning import tune

        tune(config, folder, precision, prepare, lambda data: initialise(data)[0])
    data = prepare()
    console.say("data", console.describe(data))
    task, unloaded = initialise(data)
    task.total_steps = count_steps(trainer, data)
    weights = sum(parameter.numel() for parameter in task.net.parameters())
    console.say("network", f"{network_name(task.net)} with {weights:,} parameters, {precision}")
    for key, values in (config.get("tuned") or {}).items():
        console.say("tune", f"{key}={values['found']:g} instead of {values['before']:g}")
    if resumed:
        console.say("resume", f"from {console.short(last)}")
    elif warm:
        missing = ", ".join(unloaded) or "nothing"
        console.say("init_from", f"{config['init_from']}; missing or of a different shape: {missing}")
    if resumed and task.frozen:  # Lightning loads the other weights later
        task.load_state_dict(checkpoint.read_checkpoint(last)["state_dict"])
    precompute(task, data, trainer.strategy.root_device)
    task.prepare_training(data.dataset("train"))
    fit_seconds = fit(trainer, task, data, last if resumed else None)
    task, chosen = load_best(trainer, task, folder)
    run_test = bool(config["run_test"])
    results, blocks = evaluate(make_evaluator(config), task, data, run_test)
    if trainer.is_global_zero:
        history = read_history(folder / "metrics.csv")
        # For a resumed run, metrics.csv also contains the seconds before the interruption.
        whole_fit = max([fit_seconds, *(row["seconds"] for row in history[-1:])])
        results |= describe_run(config, task, data, folder) | {
            "precision": precision,
            # A resumed training whose time is over ends before Lightning counts its last epoch.
            "epochs": max([trainer.current_epoch, *(int(row["epoch"]) for row in history[-1:])]),
            "pruned": pruned_epoch(trainer),
            "train": training_scores(history),
            **chosen,
            "seconds": {"fit": round(whole_fit, 1), "total": whole_fit - fit_seconds},  # `execute` adds this process
        }
        blocks += compare(results, task, baselines, data, run_test)
    return results, blocks, trainer


def fit(trainer: "Trainer", task: "Task", data: "DataModule", resume: Path | None) -> float:
    """Train; return the duration in seconds.

    Raises:
        DataError: a worker process died.
        ConfigError: Lightning reports a misconfiguration.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from sightseq.core.errors import ConfigError, DataError

    began = time.monotonic()
    try:
        trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
    except MisconfigurationException as error:  # raised by a callback, before the first step
        raise ConfigError(" ".join(str(error).split())) from error
    except (RuntimeError, ConnectionError, EOFError) as error:  # the last two: while a batch was sent
        if not data.workers or (isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error)):
            raise
        raise DataError(
            "a data loading worker died, possibly because memory ran out: reduce data.workers, or set data.workers=0"
        ) from error
    return time.monotonic() - began


def load_best(trainer: "Trainer", task: "Task", folder: Path) -> "tuple[Task, dict[str, Any]]":
    """Load the weights of the best epoch if a ModelCheckpoint saved them; else keep the last weights.

    checkpoints/best.ckpt links to that checkpoint, whatever name the callback gave the file.

    Returns:
        The task: with FSDP another one, which has the whole weights. And for results.json: `best_epoch` (counted from
        1) and the `monitor` that chose it; both None for the last weights.
    """
    from sightseq.core import checkpoint
    from sightseq.core.trainer import best_checkpoint, link_checkpoint, sharded

    best, monitor = best_checkpoint(trainer)
    path = folder / "checkpoints" / "last.ckpt" if best is None and sharded(trainer) else best
    if path is None:
        return task, {"best_epoch": None, "monitor": None}
    content = checkpoint.read_checkpoint(path)
    if sharded(trainer):
        task = checkpoint.rebuild(content, str(path))
    else:
        task.load_state_dict(content["state_dict"])
    if best is None:
        return task, {"best_epoch": None, "monitor": None}
    if trainer.is_global_zero:
        link_checkpoint(best, folder / "checkpoints" / "best.ckpt")
    return task, {"best_epoch": content["epoch"] + 1, "monitor": monitor}


def test(config: Config, folder: Path) -> Outcome:
    """Validate and test a checkpoint on the data it was trained on, or on the data that `data` chooses."""
    from sightseq.core import checkpoint
    from sightseq.core.build import trust
    from sightseq.core.frozen import precompute
    from sightseq.core.results import describe_run, make_baselines
    from sightseq.core.trainer import make_evaluator

    trust(config["trust"])
    content = checkpoint.read_checkpoint(Path(config["ckpt"]))
    task, saved = checkpoint.rebuild(content, config["ckpt"]), content["sightseq"]["config"]
    data = checkpoint.data_of(content, task, config)
    config |= {key: saved[key] for key in ("experiment", "title", "baseline", "seed")}
    baselines = make_baselines(config)
    data.prepare_data()
    console.say("data", console.describe(data))
    trainer = make_evaluator(config)
    precompute(task, data, trainer.strategy.root_device)
    results, blocks = evaluate(trainer, task, data, test=True)
    results |= describe_run(config, task, data, folder)
    results |= {"checkpoint": config["ckpt"]}
    blocks += compare(results, task, baselines, data, test=True)
    return results, blocks, trainer


def evaluate(trainer: "Trainer", task: "Task", data: "DataModule", test: bool) -> "tuple[dict[str, Any], list[Block]]":
    """Return the validation scores and, if `test`, the test scores, with the report blocks of the last of them."""
    results: dict[str, Any] = {"test": None}
    stages = {"val": trainer.validate} | ({"test": trainer.test} if test else {})
    for stage, score in stages.items():
        scores = score(task, datamodule=data, verbose=False)[0]
        results[stage] = {name.partition("/")[2]: value for name, value in scores.items()}
        results["details"] = task.details(stage)
    return results, task.blocks("test" if test else "val")


def compare(
    results: dict[str, Any], task: "Task", baselines: "dict[str, Baseline]", data: "DataModule", test: bool
) -> "list[Block]":
    """Score the baselines, compare the model with them, and add both to the results; returns blocks of the report."""
    from sightseq.core.results import score_baselines

    results["baselines"] = score_baselines(baselines, data, test)
    scored = {name: one for name, one in baselines.items() if "error" not in results["baselines"][name]}
    results["comparison"], blocks = task.compare(scored, "test" if test else "val")
    return blocks


if __name__ == "__main__":
    main()
