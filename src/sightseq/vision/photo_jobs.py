"""Input and output files of commands that write one photograph for each input photograph."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from sightseq.core.errors import ConfigError, InputError
from sightseq.core.inputs import check_targets
from sightseq.vision.files import find_files
from sightseq.vision.image import SUFFIXES
from sightseq.vision.photo_files import FORMATS, REPLACEMENT_SUFFIXES


@dataclass(frozen=True)
class PhotoJob:
    """A photograph to process, the file for its result, and whether an existing file may be replaced."""

    source: Path
    target: Path
    overwrite: bool = False


def plan_jobs(given: str, output: str | None, label: str, overwrite: bool = False) -> list[PhotoJob]:
    """Return the photographs of one input, each with its target file.

    Names in an output folder are relative to the input folder, or to the part of a pattern before its first wildcard.
    The suffix of a format that cannot store a result is changed: see `photo_files.REPLACEMENT_SUFFIXES`.

    Args:
        given: a file, a folder or a pattern: see `find_files`.
        output: a file or a folder: see `is_file_output`. None: in the working directory, NAME-LABEL.SUFFIX for a file,
            and the folder LABEL for folders and patterns.
        label: a word for the process, such as "denoised".
        overwrite: whether the jobs may replace existing files.

    Raises:
        InputError: there are no photographs.
    """
    path = Path(given).expanduser()
    files = find_files(given)
    if output is None and path.is_file():
        return [PhotoJob(path, _writable(Path(f"{path.stem}-{label}{path.suffix}")), overwrite)]
    if output is not None and is_file_output(output):
        return [PhotoJob(file, Path(output).expanduser(), overwrite) for file in files]
    folder = Path(label if output is None else output).expanduser()
    if path.is_dir():
        base = path
        if folder.resolve() != base.resolve() and folder.resolve().is_relative_to(base.resolve()):
            files = [file for file in files if not file.resolve().is_relative_to(folder.resolve())]
            if not files:
                raise InputError(f"{given}: contains no images except those in output={folder}")
    elif path.is_file():
        base = path.parent
    else:
        base = Path(*takewhile(lambda part: not set(part) & set("*?["), path.parts))
    return [PhotoJob(file, _writable(folder / file.relative_to(base)), overwrite) for file in files]


def _writable(path: Path) -> Path:
    """Return the path with a suffix whose format can store a result."""
    return path.with_suffix(REPLACEMENT_SUFFIXES.get(path.suffix.lower(), path.suffix))


def is_file_output(output: str) -> bool:
    """Whether an output is a file: it has the suffix of an image, and is not a folder."""
    path = Path(output).expanduser()
    return path.suffix.lower() in SUFFIXES and not output.endswith(("/", os.sep)) and not path.is_dir()


def check_jobs(jobs: Sequence[PhotoJob], output: str | None) -> None:
    """Check, before the first job runs, that no job would overwrite an input or another result.

    Args:
        jobs: jobs of all inputs.
        output: see `plan_jobs`.

    Raises:
        ConfigError: the output is one file for several photographs, two photographs have the same target, a target is
            an input, the output has an unknown suffix, or its folder is not writable.
    """
    if output is not None:
        _check_output(jobs, output)
    check_targets([(job.source, job.target) for job in jobs])


def _check_output(jobs: Sequence[PhotoJob], output: str) -> None:
    path = Path(output).expanduser()
    suffix = path.suffix.lower()
    if is_file_output(output):
        if suffix not in FORMATS:
            other = path.with_suffix(REPLACEMENT_SUFFIXES.get(suffix, ".jpg"))
            raise ConfigError(f"output={output}: {suffix} files cannot be written; write output={other}")
        if len(jobs) > 1:
            raise ConfigError(f"output={output}: is one file, but there are {len(jobs)} images; name a folder")
    elif suffix and len(jobs) == 1 and not path.is_dir() and not output.endswith(("/", os.sep)):
        raise ConfigError(
            f"output={output}: {suffix} is not an image format ({', '.join(FORMATS)}); end a folder's name with /"
        )
