"""The commands: each composes a config with Hydra, checks it, writes it down and hands over to `sightseq.run`.

Imports Hydra and nothing heavier, so that help and mistakes are answered at once.
"""

import os
import shlex
import sys
from pathlib import Path

from sightseq.completion import FLAGS, completion_script
from sightseq.core import resume, rundir
from sightseq.core.download import look_for
from sightseq.core.errors import ConfigError, SightseqError, nearest
from sightseq.core.places import conf_folder
from sightseq.core.rundir import Config
from sightseq.sweep import Job, check, run_command, run_job, run_process, summarise

COMMANDS = {
    "train": "trains an experiment, or goes on with one",
    "test": "scores a checkpoint on its test data",
    "predict": "prints the predictions of a trained model for your files or texts",
    "export": "writes a trained model as a file that runs without this framework",
    "bench": "measures how fast an experiment trains and answers, beside a bare loop of PyTorch",
    "data": "downloads and verifies the data of an experiment",
    "compare": "says what runs differ in, and whether by more than their seeds do",
    "list": "lists the experiments, whether their data is here, and their recorded results",
    "show": "draws a training batch as the network sees it, and counts the data",
    "new": "writes the skeleton of a package that brings a learning problem of its own",
    "explain": "says which class, shape and parameters are at every step, from raw input to loss",
}
HELP = {"--help", "-h"}


def main() -> None:
    """The entry point of `sightseq COMMAND [OVERRIDE ...]`."""
    command, *arguments = sys.argv[1:] or ["--help"]
    try:
        if command in ("--help", "-h", "help"):
            print(usage())
        elif command == "--version":
            from importlib.metadata import version

            print(f"sightseq {version('sightseq')}")
        elif (flag := next((a for a in sys.argv[1:] if a in FLAGS), None)) and "query=bash" not in arguments:
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
        else:
            hydra_app(command, arguments)
    except SightseqError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever reads has enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def usage() -> str:
    """What `sightseq --help` prints."""
    lines = [f"  sightseq {name:<8} {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "sightseq: classic CNN and RNN projects on PyTorch Lightning and Hydra",
            "",
            *lines,
            "",
            "  sightseq train                                     trains the digits experiment",
            "  sightseq train experiment=mnist trainer.max_epochs=3",
            "  sightseq train -m seed=1,2,3 optimizer=adamw,sgd   every combination, one after another",
            "  sightseq COMMAND --help                            the options of a command",
        ]
    )


def hydra_app(command: str, arguments: list[str]) -> None:
    """Runs one command as a Hydra application over conf/COMMAND.yaml."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from sightseq.arguments import as_overrides
    from sightseq.bricks import hydra_of_sightseq
    from sightseq.composition import compose, plain, swept_keys
    from sightseq.mistakes import check_deletions, explain

    if command == "predict" and HELP & set(arguments) and any(a.startswith("ckpt=") for a in arguments):
        from sightseq.predict import options_help

        print(options_help(compose("input=-", *(a for a in arguments if a not in HELP), command=command)))
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra would print its own errors and leave
    check(command, arguments)
    typed = shlex.join(["sightseq", command, *arguments])
    arguments = as_overrides(command, arguments)
    check_deletions(arguments)
    sys.argv = ["sightseq", *sorted(arguments, key=is_override)]  # which Hydra wants behind all flags
    single: list[tuple[DictConfig, str | None]] = []
    sweep: list[Job] = []

    def job(composed: DictConfig) -> float | None:
        experiment = HydraConfig.get().runtime.choices.get("experiment")
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            check(command, ["-m", *arguments])  # a file can ask for a sweep too
            return run_job(plain(composed, experiment), swept_keys(arguments, HydraConfig.get()), typed, sweep)
        single.append((composed, experiment))
        return None

    try:
        with hydra_of_sightseq():
            hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=command)(job)()
        config = plain(*single[0]) if single else None
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError: a group set to null
        raise ConfigError(explain(error, command, arguments)) from error
    if config is not None:  # not within `job`, where Hydra would add a line of its own to every error
        hand_over(command, config, arguments, typed)
    if sweep:
        sys.exit(summarise(sweep))


def is_override(argument: str) -> bool:
    """Changes the config; others are flags and their values."""
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def hand_over(command: str, config: Config, arguments: list[str], typed: str) -> None:
    """Goes on as the process that does the work."""
    if config.get("run_test") == "auto":
        config["run_test"] = True
    if command in ("train", "data", "show", "bench") and config.get("resume") in (None, "auto"):
        look_for(config["data"])
    if "ckpt" in config:  # found before anything heavy is imported, and named in the results
        config["ckpt"] = str(rundir.find_checkpoint(config["ckpt"]))
    if command in ("train", "test"):
        folder = run_folder(config, arguments, typed)
        if resume.finished(folder):
            return
        if sys.platform == "win32":  # where execv gives the shell back at once
            sys.exit(run_process(run_command(folder)))
        os.execv(sys.executable, run_command(folder))
    elif command == "predict":
        from sightseq.predict import predict

        sys.exit(predict(config))
    elif command == "export":
        from sightseq.export import export

        export(config)
    elif command == "bench":
        from sightseq.bench import bench

        bench(config)
    else:
        from sightseq.explain import explain
        from sightseq.show import prepare, show

        {"show": show, "explain": explain, "data": prepare}[command](config)


def run_folder(config: Config, arguments: list[str], typed: str) -> Path:
    """A new run directory, or the one that is to be resumed."""
    resumed = config.get("resume")
    if resumed in (None, "auto"):
        return resume.begin(config, typed)
    keys = {argument.partition("=")[0].lstrip("+") for argument in arguments} - {"resume"}
    return resume.resume(resumed, config, keys)
