"""Finding a dataset's files where its publisher lays them out, or downloading them, verified."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from sightseq.core.errors import DataError
from sightseq.core.files import room


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


def missing(name: str, root: Path, folders: Sequence[str], wanted: str) -> DataError:
    """What to say when a dataset is not there and cannot be downloaded: where it was sought, and the remedies."""
    places = ", ".join(str(root / folder) for folder in folders)
    return DataError(
        f"{name}: found no {wanted} in {places}; put them there, or name another folder with "
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
