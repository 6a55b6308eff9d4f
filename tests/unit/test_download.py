"""Downloads from a server in a thread: verified files, or a one-line error and no partial files."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sightseq.core.download import check_present, download, find_folder, is_present, missing_error
from sightseq.core.errors import ConfigError, DataError

BODY = bytes(range(256)) * 100
SHA256 = hashlib.sha256(BODY).hexdigest()
TARGET = Path("data/toy")


class Handler(BaseHTTPRequestHandler):
    """Serves /good.bin, closes the connection in the middle of /broken.bin, and answers 404 to everything else."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path not in ("/good.bin", "/broken.bin", "/other.bin"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[: len(BODY) // 2] if self.path == "/broken.bin" else BODY)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(Handler, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join(5)
    server.server_close()


def refusal(url: str, file: str, sha256: str = SHA256) -> str:
    with pytest.raises(DataError) as caught:
        download("toy", url, {file: sha256}, TARGET)
    message = str(caught.value)
    assert message.startswith("toy: ")
    assert url + file in message
    assert str(TARGET) in message
    assert "\n" not in message
    assert not TARGET.parent.exists()  # no partial file and no empty folder
    return message


def test_good_files_are_kept_under_their_names(url: str) -> None:
    download("toy", url, {"good.bin": SHA256, "other.bin": SHA256}, TARGET)
    assert sorted(path.name for path in TARGET.iterdir()) == ["good.bin", "other.bin"]
    assert (TARGET / "good.bin").read_bytes() == BODY


def test_file_with_a_wrong_hash_is_not_kept(url: str) -> None:
    message = refusal(url, "good.bin", "0" * 64)
    assert "is not the published file" in message
    assert "nothing was kept" in message


def test_file_that_is_not_on_the_server(url: str) -> None:
    message = refusal(url, "none.bin")
    assert "cannot download" in message
    assert "HTTPError" in message
    assert "debug=synthetic" in message


def test_incomplete_body(url: str) -> None:
    assert "cannot download" in refusal(url, "broken.bin")


def test_server_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "ConnectionError" in refusal(f"http://127.0.0.1:{port}/", "good.bin")


def test_existing_folders_are_kept(url: str) -> None:
    TARGET.parent.mkdir()
    with pytest.raises(DataError):
        download("toy", url, {"none.bin": SHA256}, TARGET)
    assert TARGET.parent.exists()
    assert not TARGET.exists()


def test_good_files_are_kept_if_a_later_one_fails(url: str) -> None:
    with pytest.raises(DataError, match=r"none\.bin"):
        download("toy", url, {"good.bin": SHA256, "none.bin": SHA256}, TARGET)
    assert [path.name for path in TARGET.iterdir()] == ["good.bin"]


def test_existing_files_are_not_downloaded_again(url: str) -> None:
    TARGET.mkdir(parents=True)
    (TARGET / "good.bin").write_bytes(BODY)
    download("toy", url, {"good.bin": SHA256, "other.bin": SHA256}, TARGET)
    assert Handler.asked == ["/other.bin"]


def test_folder_that_cannot_be_written(url: str) -> None:
    TARGET.parent.mkdir()
    TARGET.write_text("a file stands where the folder should be")
    with pytest.raises(DataError, match="toy: cannot download") as caught:
        download("toy", url, {"good.bin": SHA256}, TARGET)
    assert "\n" not in str(caught.value)


def test_first_existing_folder_is_found() -> None:
    root = Path("data")
    assert find_folder(root, ["a", "b/c"]) is None
    (root / "b" / "c").mkdir(parents=True)
    assert find_folder(root, ["a", "b/c"]) == root / "b/c"
    (root / "a").write_text("no folder")
    assert find_folder(root, ["a", "b/c"]) == root / "b/c"


def test_missing_data_names_every_place_and_remedy() -> None:
    message = str(missing_error("toy", Path("data"), ["a", "b"], "files"))
    for part in ("toy: found no files in", "data/a, data/b", "paths.data=FOLDER", "SIGHTSEQ_DATA", "debug=synthetic"):
        assert part in message


def test_the_remains_of_a_failed_download_are_not_data() -> None:
    root, names = Path("data"), ["a", "b/c", "archive.gz"]
    assert not is_present(root, names)
    (root / "b" / "c").mkdir(parents=True)
    (root / "b" / "c" / ".x.gz.part12").touch()
    assert not is_present(root, names)
    (root / "b" / "c" / "x.gz").touch()
    assert is_present(root, names)
    assert is_present(root / "b", ["c/x.gz"])


OWN = {"name": "mine", "root": "data", "folders": ["mine", "other"], "path": None}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (OWN, "mine: found no files in data/mine, data/other; .* data.path=FILE or FOLDER, .* debug=synthetic"),
        (OWN | {"path": "nowhere"}, "mine: there is no nowhere; name yours with data.path="),
        (OWN | {"path": ""}, "data.path= is empty"),
        ({"name": "toy", "root": "data", "folders": ["toy"], "url": None}, "toy: found no files in data/toy; put them"),
    ],
)
def test_missing_files_are_reported(config: dict[str, object], words: str) -> None:
    with pytest.raises((DataError, ConfigError), match=words):
        check_present(config)


@pytest.mark.parametrize(
    "config",
    [
        OWN | {"synthetic": True},
        OWN | {"url": "http://x/"},
        OWN | {"path": "here"},
        OWN | {"files": {"here": "0"}, "root": "."},
        OWN | {"folders": ["here"], "root": "."},
        {"name": "digits", "root": "data"},
    ],
)
def test_data_that_may_be_available_is_not_reported(config: dict[str, object]) -> None:
    Path("here").write_text("x")
    check_present(config)
