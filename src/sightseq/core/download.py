"""Finding a dataset's files where its publisher lays them out, or downloading them, verified. Imports nothing heavy."""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sightseq.core.errors import ConfigError, DataError
from sightseq.core.files import room


def look_for(data: Mapping[str, Any]) -> None:
    """Looks for a dataset's files before anything heavy is imported, as far as its config says where they may lie.

    Args:
        data: the config of a data module, composed.

    Raises:
        DataError: what `path` names does not exist; or nothing is in any of `folders`, and there is no `url`.
        ConfigError: `path` is empty.
    """
    if data.get("synthetic"):
        return
    name, root, folders = str(data.get("name")), Path(data.get("root") or "."), data.get("folders") or []
    if path := own_path(data.get("path")):
        find_own(name, path, root, folders, "FILE or FOLDER")
    elif folders and not data.get("url") and not is_here(root, [*folders, *(data.get("files") or ())]):
        raise missing(name, root, folders, "files", own="path" in data)


def is_here(root: Path, names: Iterable[str]) -> bool:
    """Whether there is a file of one of these names, or a folder with a file in it; a download that was killed leaves
    hidden ones, which do not count.
    """
    for place in (root / name for name in names):
        walk = os.walk(place, followlinks=True)
        if place.is_file() or any(not file.startswith(".") for _, _, files in walk for file in files):
            return True
    return False


def own_path(path: str | None) -> Path | None:
    """What `data.path` names, the user's own file or folder.

    Raises:
        ConfigError: it is empty, which would be the current folder.
    """
    if path == "":
        raise ConfigError("data.path= is empty; name your file or folder (the current one is .), or leave it out")
    return None if path is None else Path(path).expanduser()


def find_folder(root: Path, folders: Sequence[str]) -> Path | None:
    """The first of the accepted folder names that is there."""
    return next((root / name for name in folders if (root / name).is_dir()), None)


def find_own(name: str, path: Path | None, root: Path, folders: Sequence[str], wanted: str) -> Path:
    """The user's own file or folder: `path`, or the first of the folders.

    Raises:
        DataError: it is not there; `wanted` says what to name, such as "FOLDER".
    """
    place = path or find_folder(root, folders)
    if place is None or not place.exists():
        raise DataError(f"{name}: there is no {place or root / folders[0]}; name yours with data.path={wanted}")
    return place


def missing(name: str, root: Path, folders: Sequence[str], wanted: str, own: bool = False) -> DataError:
    """What to say when a dataset is not there and cannot be downloaded: where it was sought, and the remedies; `own` if
    `data.path` is one.
    """
    places = ", ".join(str(root / folder) for folder in folders)
    return DataError(
        f"{name}: found no {wanted} in {places}; put them there, "
        f"{'name yours with data.path=FILE or FOLDER, ' if own else ''}or name another folder with "
        f"paths.data=FOLDER (or SIGHTSEQ_DATA), or try it without data: debug=synthetic"
    )


def download(name: str, url: str, files: dict[str, str], folder: Path) -> None:
    """Fetches `url + file` for each file that is not in `folder`, and renames it in place once verified.

    Args:
        name: of the dataset, for messages.
        url: what stands before each file name.
        files: SHA-256 of each file name.
        folder: where they go.

    Raises:
        DataError: the server cannot be reached, or what came is not what was published.
        DiskError: the disk is full.
    """
    import pooch

    for file, sha256 in files.items():
        if Path(file).name != file:
            raise DataError(f"{name}: {file!r} is no plain file name; nothing was downloaded")
        if (folder / file).exists():
            continue
        part = f".{file}.part{os.getpid()}"
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with room(folder / file):
                pooch.retrieve(url + file, f"sha256:{sha256}", fname=part, path=folder, progressbar=True)
            os.replace(folder / part, folder / file)
        except ValueError as error:  # pooch's word for a wrong hash
            raise DataError(
                f"{name}: {url}{file} is not the published file (its SHA-256 differs); nothing was kept. "
                f"Try again later, or put the file into {folder} yourself"
            ) from error
        except OSError as error:
            raise DataError(
                f"{name}: cannot download {url}{file} ({type(error).__name__}); put it into {folder} yourself, "
                f"name another folder with paths.data=FOLDER, or try it without data: debug=synthetic"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                (folder / part).unlink(missing_ok=True)
                for place in made:  # those that stayed empty: rmdir refuses others
                    place.rmdir()
