"""Finds a dataset's files in its publisher's layout, or downloads and verifies them. Imports nothing heavy."""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sightseq.core.errors import ConfigError, DataError
from sightseq.core.files import disk_errors

ELSEWHERE = "name another folder with paths.data=FOLDER, or try it without data: debug=synthetic"


def check_present(data: Mapping[str, Any]) -> None:
    """Check that a dataset's files exist, before anything heavy is imported, if its config lists their locations.

    Args:
        data: the composed config of a data module.

    Raises:
        DataError: `path` does not exist; or none of `folders` contains a file, and there is no `url`.
        ConfigError: `path` is empty.
    """
    if data.get("synthetic") or data.get("shards"):
        return
    name, root, folders = str(data.get("name")), Path(data.get("root") or "."), data.get("folders") or []
    if path := own_path(data.get("path")):
        find_own(name, path, root, folders, "FILE or FOLDER")
    elif folders and not data.get("url") and not is_present(root, [*folders, *(data.get("files") or ())]):
        raise missing_error(name, root, folders, "files", own="path" in data)


def is_present(root: Path, names: Iterable[str]) -> bool:
    """Return whether a file of one of these names exists, or a folder of one of these names that contains a file.

    Hidden files in folders do not count: a killed download leaves them behind.
    """
    for path in (root / name for name in names):
        walk = os.walk(path, followlinks=True)
        if path.is_file() or any(not file.startswith(".") for _, _, files in walk for file in files):
            return True
    return False


def own_path(path: str | None) -> Path | None:
    """Return the path of the user's own file or folder, from `data.path`; None if it is not set.

    Raises:
        ConfigError: it is empty, which would mean the current folder.
    """
    if path == "":
        raise ConfigError("data.path= is empty; name your file or folder (the current one is .), or leave it out")
    return None if path is None else Path(path).expanduser()


def find_folder(root: Path, folders: Sequence[str]) -> Path | None:
    """Return the first of the accepted folders that exists, None if none does."""
    return next((root / name for name in folders if (root / name).is_dir()), None)


def find_own(name: str, path: Path | None, root: Path, folders: Sequence[str], wanted: str) -> Path:
    """Return the user's own file or folder: `path`, or else the first of the folders that exists.

    Args:
        name: name of the dataset, for messages.
        path: value of `data.path`.
        root: folder that contains the datasets.
        folders: accepted folder names under `root`.
        wanted: what the user should name, for messages, such as "FOLDER".

    Raises:
        DataError: it does not exist.
    """
    place = path or find_folder(root, folders)
    if place is None or not place.exists():
        raise DataError(f"{name}: there is no {place or root / folders[0]}; name yours with data.path={wanted}")
    return place


def missing_error(name: str, root: Path, folders: Sequence[str], wanted: str, own: bool = False) -> DataError:
    """Return the error for a dataset that is missing and cannot be downloaded, with the searched folders and remedies.

    Args:
        name: name of the dataset.
        root: folder that contains the datasets.
        folders: accepted folder names under `root`.
        wanted: what is missing, such as "files".
        own: whether the dataset has the option `data.path`.
    """
    places = ", ".join(str(root / folder) for folder in folders)
    return DataError(
        f"{name}: found no {wanted} in {places}; put them there, "
        f"{'name yours with data.path=FILE or FOLDER, ' if own else ''}or name another folder with "
        f"paths.data=FOLDER (or SIGHTSEQ_DATA), or try it without data: debug=synthetic"
    )


def download(name: str, url: str, files: dict[str, str], folder: Path, otherwise: str = ELSEWHERE) -> None:
    """Download `url + file` for each file that is not in `folder`; rename it to its final name once verified.

    Args:
        name: name of the dataset, for messages.
        url: prefix of each file name.
        files: SHA-256 by file name.
        folder: where the files are saved.
        otherwise: what the user can do if the server cannot be reached, besides putting the file into `folder`.

    Raises:
        DataError: the server cannot be reached, a download differs from the published file, or a file name contains a
            folder.
        DiskError: the disk is full.
    """
    import pooch

    for file, sha256 in files.items():
        if Path(file).name != file:
            raise DataError(f"{name}: {file!r} is not a plain file name; nothing was downloaded")
        if (folder / file).exists():
            continue
        part = f".{file}.part{os.getpid()}"
        created = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with disk_errors(folder / file):
                pooch.retrieve(url + file, f"sha256:{sha256}", fname=part, path=folder, progressbar=True)
            os.replace(folder / part, folder / file)
        except ValueError as error:  # pooch raises it for a wrong hash
            raise DataError(
                f"{name}: {url}{file} is not the published file (its SHA-256 differs); nothing was kept. "
                f"Try again later, or put the file into {folder} yourself"
            ) from error
        except OSError as error:
            raise DataError(
                f"{name}: cannot download {url}{file} ({type(error).__name__}); put it into {folder} yourself, "
                f"{otherwise}"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                (folder / part).unlink(missing_ok=True)
                for path in created:  # only those that are still empty: rmdir fails for others
                    path.rmdir()
