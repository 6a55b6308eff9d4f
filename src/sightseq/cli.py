"""The command line: each command composes a config with Hydra, checks it and runs.

`train` and `test` save the config in a run directory and continue as `python -m sightseq.run RUN_DIR`. This module
imports Hydra and nothing heavier, so that help and error messages appear at once.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import NoReturn

from sightseq import console
from sightseq.arguments import SERVERS
from sightseq.completion import FLAGS as COMPLETION
from sightseq.completion import completion_script
from sightseq.core import resume, rundir
from sightseq.core.download import check_present
from sightseq.core.errors import ConfigError, SightseqError, nearest
from sightseq.core.places import conf_folder
from sightseq.core.rundir import Config
from sightseq.sweep.folder import SweepFolder
from sightseq.sweep.processes import run_command, run_process

COMMANDS = {
    "train": "train an experiment, or resume a run",
    "test": "evaluate a checkpoint on its test data",
    "predict": "print the predictions of a trained model for your files or texts",
    "export": "export a trained model to a file or a web page that runs without this framework",
    "eject": "write an experiment as one file of plain PyTorch, without this framework",
    "bench": "measure training and inference speed, compared with a bare PyTorch loop",
    "data": "download and verify the data of an experiment",
    "compare": "show how runs differ, and whether their scores differ by more than seeds do",
    "list": "list the experiments, whether their data is present, and their recorded results",
    "show": "draw a training batch as the network sees it, and count the data",
    "new": "create the skeleton of a package with a learning problem of your own",
    "wandb-sweep": "print the YAML of a W&B sweep for a search space",
    "serve": "answer requests over HTTP with trained models",
    "demo": "start a page to try trained models in a browser",
    "explain": "show the class, output shape and parameters of every step, from raw input to loss",
}
HELP = {"--help", "-h"}


def main() -> None:
    """Entry point of `sightseq COMMAND [OVERRIDE ...]`."""
    command, *arguments = sys.argv[1:] or ["--help"]
    try:
        if command in ("--help", "-h", "help"):
            print(usage())
        elif command == "--version":
            from importlib.metadata import version

            print(f"sightseq {version('sightseq')}")
        elif (flag := next((a for a in sys.argv[1:] if a in COMPLETION), None)) and "query=bash" not in arguments:
            print(completion_script([a for a in sys.argv[1:] if a != flag and a not in COMMANDS], COMMANDS))
        elif command not in COMMANDS:
            raise ConfigError(f"there is no command {command!r}; {nearest(command, COMMANDS)}")
        elif command == "list":
            from sightseq.catalogue import print_catalogue

            print_catalogue(arguments)
        elif command == "new":
            from sightseq.new import new

            new(arguments)
        elif command == "compare":
            from sightseq.compare import print_comparison

            print_comparison(arguments)
        elif command == "wandb-sweep":
            from sightseq.sweep.wandb_yaml import print_wandb_sweep

            print_wandb_sweep(arguments)
        else:
            hydra_app(command, arguments)
    except SightseqError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of the pipe, such as head, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def usage() -> str:
    """Return the text of `sightseq --help`."""
    lines = [f"  sightseq {name:<11} {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "sightseq: classic CNN and RNN projects on PyTorch Lightning and Hydra",
            "",
            *lines,
            "",
            "  sightseq train                                     train the digits experiment",
            "  sightseq train experiment=mnist trainer.max_epochs=3",
            "  sightseq train -m seed=1,2,3 optimizer=adamw,sgd   every combination, one after another",
            "  sightseq COMMAND --help                            show the options of a command",
        ]
    )


def hydra_app(command: str, arguments: list[str]) -> None:
    """Run one command as a Hydra application whose root config is conf/COMMAND.yaml."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from sightseq.arguments import to_overrides
    from sightseq.bricks import sightseq_hydra
    from sightseq.composition import compose, plain
    from sightseq.mistakes import check_deletions, explain
    from sightseq.sweep.job import JobFunction
    from sightseq.sweep.plugins import register
    from sightseq.sweep.restart import FLAGS, find_sweep, restart

    if command == "predict" and HELP & set(arguments) and any(a.startswith("ckpt=") for a in arguments):
        from sightseq.predict import options_help

        print(options_help(compose(*(a for a in arguments if a not in HELP), command=command)))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints its own errors and exits
    given, typed = arguments, shlex.join(["sightseq", command, *arguments])
    if command == "train":
        given = arguments = restart(arguments)
    elif FLAGS & set(arguments):
        raise ConfigError(f"sightseq {command} runs once; -m is for sightseq train")
    arguments = to_overrides(command, arguments)
    check_deletions(arguments)
    sys.argv = ["sightseq", *sorted(arguments, key=is_override)]  # Hydra expects overrides after all flags
    job = JobFunction(command, arguments, given)
    try:
        with sightseq_hydra():
            register()
            hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=command)(job)()
        config = plain(*job.single) if job.single else None
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError: a group set to null
        raise ConfigError(explain(error, command, arguments)) from error
    except KeyboardInterrupt:
        if job.sweep:
            print(f"interrupted; to resume: sightseq train resume={console.short(job.sweep.path)}", file=sys.stderr)
        raise
    if config is not None:  # not inside `job`, where Hydra would add its own line to every error
        execute(command, config, arguments, typed)
    elif job.sweep:
        finish(job.sweep)
    elif FLAGS & set(given) and (folder := find_sweep(given)):  # a launcher has called `job` in other processes
        finish(SweepFolder(folder))


def finish(sweep: SweepFolder) -> NoReturn:
    """Print the table of a sweep, write its page and exit."""
    from sightseq.sweep.page import write_sweep_page  # imports matplotlib
    from sightseq.sweep.table import summarise

    sweep.end()
    status = summarise(sweep.jobs().values())
    if page := write_sweep_page(sweep):
        console.say("report", console.short(page))
    sys.exit(status)


def is_override(argument: str) -> bool:
    """Return whether the argument changes the config; the others are flags and their values."""
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def execute(command: str, config: Config, arguments: list[str], typed: str) -> None:
    """Run a command on its composed config; `train` and `test` replace this process by `sightseq.run`."""
    if config.get("run_test") == "auto":
        config["run_test"] = True
    if command in ("train", "data", "show", "bench", "eject") and config.get("resume") in (None, "auto"):
        check_present(config["data"])
    if "ckpt" in config:  # resolved before anything heavy is imported; results.json names it
        given, several = config["ckpt"], command in SERVERS
        config["ckpt"] = (
            list(map(rundir.find_named_checkpoint, given)) if several else str(rundir.find_checkpoint(given))
        )
    if command in ("train", "test"):
        folder = run_folder(config, arguments, typed)
        if resume.finished(folder):
            return
        if sys.platform == "win32":  # on Windows execv returns to the shell at once
            sys.exit(run_process(run_command(folder)))
        os.execv(sys.executable, run_command(folder))
    elif command == "predict":
        from sightseq.predict import predict

        sys.exit(predict(config))
    elif command == "export":
        from sightseq.export import export

        export(config)
    elif command == "eject":
        from sightseq.eject import eject

        eject(config)
    elif command == "bench":
        from sightseq.bench import bench

        bench(config)
    elif command == "serve":
        from sightseq.serve import serve

        serve(config)
    elif command == "demo":
        from sightseq.demo import demo

        demo(config)
    else:
        from sightseq.explain import explain
        from sightseq.show import prepare, show

        {"show": show, "explain": explain, "data": prepare}[command](config)


def run_folder(config: Config, arguments: list[str], typed: str) -> Path:
    """Return a new run directory, or the one to resume."""
    resumed = config.get("resume")
    if resumed in (None, "auto"):
        return resume.create_or_resume(config, typed)
    keys = {argument.partition("=")[0].lstrip("+") for argument in arguments} - {"resume"}
    return resume.resume(resumed, config, keys)
