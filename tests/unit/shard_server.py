"""A local HTTP server in place of an object store, which can also give bad replies."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any
from urllib.parse import unquote, urlsplit


class Server(ThreadingHTTPServer):
    """Serves a folder. The next replies for a file whose path ends with a key of `faults` are those of its list.

    A fault is an HTTP status, "truncated" (the connection ends early), "short" (a complete reply with fewer bytes),
    "other" (other bytes of the same number), "slow" (one byte every 50 ms) or "drop" (no reply).
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.faults: dict[str, list[Any]] = defaultdict(list)
        self.requests: Counter[str] = Counter()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class _Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests[path.rsplit("/", 1)[-1]] += 1
        faults = next((faults for end, faults in self.server.faults.items() if path.endswith(end) and faults), None)
        if faults is None:
            super().do_GET()
            return
        fault = faults.pop(0)
        if isinstance(fault, int):
            self.send_error(fault)
        elif fault != "drop":
            content = Path(self.translate_path(self.path)).read_bytes()
            body = {"short": content[:-1], "other": content[:-1] + bytes([content[-1] ^ 1])}.get(fault, content)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if fault == "slow":
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    sleep(0.05)
            self.wfile.write(body[: len(body) // 2] if fault == "truncated" else body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    thread = Thread(target=partial(server.serve_forever, poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
