"""Which file is written for which photograph on the command line."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from sightseq.core.errors import ConfigError, InputError
from sightseq.vision.files import find_files
from sightseq.vision.image import SUFFIXES
from sightseq.vision.photo_files import FORMATS, REPLACED


@dataclass(frozen=True)
class Job:
    """A photograph, the file in which its result is written, and whether it may replace what exists there."""

    source: Path
    target: Path
    overwrite: bool = False


def find_jobs(given: str, output: str | None, added: str, overwrite: bool = False) -> list[Job]:
    """The photographs of one input, each with its target.

    Names in a folder are those relative to the given folder, or to the part of a pattern before its first wildcard,
    except that a format which cannot hold a result is replaced: see `photo_files.REPLACED`.

    Args:
        given: a file, a folder or a pattern: see `find_files`.
        output: a file or a folder: see `names_file`. None: for a file NAME-ADDED.SUFFIX in the working directory, for
            folders and patterns the folder ADDED in it.
        added: a word for what was done, such as "denoised".
        overwrite: of the jobs.

    Raises:
        InputError: there are no photographs.
    """
    path = Path(given).expanduser()
    files = find_files(given)
    if output is None and path.is_file():
        return [Job(path, _writable(Path(f"{path.stem}-{added}{path.suffix}")), overwrite)]
    if output is not None and names_file(output):
        return [Job(file, Path(output).expanduser(), overwrite) for file in files]
    folder = Path(added if output is None else output).expanduser()
    if path.is_dir():
        base = path
        if folder.resolve() != base.resolve() and folder.resolve().is_relative_to(base.resolve()):
            files = [file for file in files if not file.resolve().is_relative_to(folder.resolve())]
            if not files:
                raise InputError(f"{given}: holds no image but those in output={folder}")
    elif path.is_file():
        base = path.parent
    else:
        base = Path(*takewhile(lambda part: not set(part) & set("*?["), path.parts))
    return [Job(file, _writable(folder / file.relative_to(base)), overwrite) for file in files]


def _writable(path: Path) -> Path:
    return path.with_suffix(REPLACED.get(path.suffix.lower(), path.suffix))


def names_file(output: str) -> bool:
    """Whether an output is a file: it has the suffix of an image, and is no folder."""
    path = Path(output).expanduser()
    return path.suffix.lower() in SUFFIXES and not output.endswith(("/", os.sep)) and not path.is_dir()


def check_jobs(jobs: Sequence[Job], output: str | None) -> None:
    """Refuses jobs that would destroy an input or a result, before any is done.

    Args:
        jobs: of all inputs.
        output: see `find_jobs`.

    Raises:
        ConfigError: one file is named for several photographs, two have the same target, a target is an input, the
            output has an unknown suffix, or its folder cannot be written.
    """
    if output is not None:
        _check_output(jobs, output)
    sources = {job.source.resolve(): job.source for job in jobs}
    # By their numbers on the disk, hard links and other spellings of a name are recognised.
    numbers = {_number(source): source for source in sources.values()} if any(j.target.exists() for j in jobs) else {}
    taken: dict[Path, Path] = {}
    for source, target in ((job.source, job.target) for job in jobs):
        place = target.resolve()
        same = sources.get(place) or (numbers.get(_number(target)) if target.exists() else None)
        if same is not None:
            raise ConfigError(f"{target} is an input and would be replaced; name another place with output=")
        if (other := taken.setdefault(place, source)) != source:
            raise ConfigError(
                f"{other} and {source} would both be written to {target}; give a folder that holds both as the input, "
                "or run them one by one, each with its output="
            )
    for folder in {job.target.parent for job in jobs}:
        there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise ConfigError(f"{folder} cannot be written; name another place with output=")


def _number(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _check_output(jobs: Sequence[Job], output: str) -> None:
    path = Path(output).expanduser()
    suffix = path.suffix.lower()
    if names_file(output):
        if suffix not in FORMATS:
            other = path.with_suffix(REPLACED.get(suffix, ".jpg"))
            raise ConfigError(f"output={output}: {suffix} files cannot be written; write output={other}")
        if len(jobs) > 1:
            raise ConfigError(f"output={output}: is one file, and there are {len(jobs)} images; name a folder")
    elif suffix and len(jobs) == 1 and not path.is_dir() and not output.endswith(("/", os.sep)):
        raise ConfigError(
            f"output={output}: {suffix} is no image format ({', '.join(FORMATS)}); a folder's name ends with /"
        )
