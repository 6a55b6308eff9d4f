"""A web page that runs an exported model in the browser, as a folder for any static server.

Each kind of input has a folder of HTML and JavaScript here: see `Graph.web_page`.
"""

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from sightseq.core.download import download
from sightseq.core.errors import DataError

VERSION = "1.23.2"
RUNTIME = {"name": "onnxruntime-web", "url": "https://registry.npmjs.org/onnxruntime-web/-/"}
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"
SHA256 = "0b8707d7efab9a2bea63564d66cad79e897cfd0bd627e5ae000488ffc1c45c7d"
# The smallest build: WebAssembly without WebGPU. Its JavaScript is renamed, because some servers do not know .mjs.
MEMBERS = {"ort.wasm.bundle.min.mjs": "onnxruntime.js", "ort-wasm-simd-threaded.wasm": "onnxruntime.wasm"}
MODEL, SETTINGS = "model.onnx", "model.json"


def fetch_runtime(cache: Path) -> Path:
    """Return the package onnxruntime-web; it is downloaded to the cache on the first call.

    Raises:
        DataError: it cannot be downloaded, or is not the published file.
    """
    folder = cache / RUNTIME["name"]
    remedy = "or name the folder where it lies with paths.cache=FOLDER"
    download(**RUNTIME, files={ARCHIVE: SHA256}, folder=folder, otherwise=remedy)
    path = folder / ARCHIVE
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:  # a user may have put it there
            raise DataError(f"{path} is not the published file (its SHA-256 differs); delete it and try again")
    return path


def write_page(folder: Path, settings: dict[str, Any], runtime: Path) -> None:
    """Add a web page to the folder of a model.

    Args:
        folder: contains the model as `MODEL`.
        settings: what the page reads from `SETTINGS`: `title`, `input` and `output` (names of the model's tensors), and
            the keys of `Graph.web_page`.
        runtime: the file that `fetch_runtime` returns.
    """
    shutil.copytree(Path(__file__).with_name(settings["kind"]), folder, dirs_exist_ok=True)
    with tarfile.open(runtime) as archive:
        for member, name in MEMBERS.items():
            if (source := archive.extractfile(f"package/dist/{member}")) is not None:
                (folder / name).write_bytes(source.read())
    title = settings["title"]
    manifest = {
        "name": title,
        "short_name": title[:30],
        "start_url": ".",
        "display": "standalone",
        "icons": [{"src": "icon.png", "sizes": "512x512", "type": "image/png"}],
    }
    for file, content in ((SETTINGS, settings), ("manifest.json", manifest)):
        (folder / file).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    # The service worker is the last file: a browser sees from its first lines that there is a new version.
    worker = folder / "service-worker.js"
    files = sorted(path for path in folder.iterdir() if path != worker)
    version = hashlib.sha256()
    for path in files:
        version.update(path.name.encode() + path.read_bytes())
    names = json.dumps(["./", *(path.name for path in files)])
    head = f'const VERSION = "{version.hexdigest()[:16]}";\nconst FILES = {names};\n'
    worker.write_text(head + worker.read_text(encoding="utf-8"), encoding="utf-8")
