"""The page of `export format=web` in Chromium: the same answers as `predict`, offline, from files, pad and camera."""

import io
import os
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sightseq
from sightseq.composition import compose
from sightseq.core.errors import DataError
from sightseq.export import export
from sightseq.export.web import fetch_runtime

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytestmark = pytest.mark.slow
EXPERIMENTS = {"digits": "model.net.channels=[32,64]", "cifar10": "model/net=image/vgg_small"}
PATH = [(0.35, 0.35), (0.5, 0.2), (0.62, 0.35), (0.4, 0.7), (0.65, 0.7)]  # a 2, in fractions of the pad


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, Path]:
    """A short run of each experiment, with two pages: `float` and `int8`."""
    cache = Path(os.environ.get("SIGHTSEQ_CACHE", folder / "cache"))
    try:
        fetch_runtime(cache)
    except DataError as error:
        pytest.skip(str(error))
    paths = [f"paths.data={folder / 'data'}", f"paths.cache={cache}", f"paths.runs={folder / 'runs'}"]
    runs = {}
    for name, few in EXPERIMENTS.items():
        short = ("trainer.max_epochs=5", "debug=synthetic", "baseline=none")
        config = compose(f"experiment={name}", *short, *paths, few) | {"run_test": False}
        runs[name] = Path(sightseq.train(config)["folder"])
        for bits in ("float", "int8"):
            settings = [f"ckpt={runs[name]}", "format=web", f"quantize={bits}", f"output={runs[name] / bits}"]
            export(compose(*settings, *paths, command="export"))
    return runs


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, with a made-up camera."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", *camera])
        except playwright.Error as error:
            pytest.skip(f"needs Chromium (playwright install chromium): {str(error).splitlines()[0]}")
        yield browser
        browser.close()


class Site:
    """A folder behind a server, and its page in a browser."""

    def __init__(self, browser: Any, folder: Path) -> None:
        handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.page = browser.new_context().new_page()
        self.failures: list[str] = []
        self.page.on("pageerror", lambda error: self.failures.append(str(error)))
        self.page.goto(f"http://127.0.0.1:{self.server.server_port}/")
        self.wait()

    def wait(self) -> None:
        playwright.expect(self.page.locator("#message")).to_have_text("", timeout=60_000)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def choose(self, image: Image.Image, format: str, **options: Any) -> dict[str, float]:
        """Choose a file; return its probabilities by class."""
        self.page.evaluate("document.getElementById('time').textContent = ''")
        file = io.BytesIO()
        image.save(file, format, **options)
        self.page.click("#photo")
        self.page.set_input_files("#file", {"name": "a", "mimeType": "image/*", "buffer": file.getvalue()})
        return self.answer()

    def answer(self) -> dict[str, float]:
        playwright.expect(self.page.locator("#time")).to_contain_text("ms")
        rows = self.page.locator("#classes tr").evaluate_all(
            "rows => rows.map(row => [row.querySelector('th').textContent, row.querySelector('meter').value])"
        )
        return dict(rows)

    def draw(self) -> None:
        box = self.page.locator("#pad").bounding_box()
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in PATH]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=4)
        self.page.mouse.up()

    def seen(self) -> np.ndarray:
        """Return the input of the model that the page shows, as RGB [H, W, 3]."""
        pixels, width = self.page.evaluate(
            "() => { const c = document.getElementById('seen'); const { data, width } = "
            "c.getContext('2d').getImageData(0, 0, c.width, c.height); return [[...data], width]; }"
        )
        return np.array(pixels, np.uint8).reshape(-1, width, 4)[:, :, :3]


@pytest.fixture
def open_site(browser: Any, runs: dict[str, Path]) -> Iterator[Any]:
    sites: list[Site] = []

    def open_site(name: str, bits: str = "float") -> Site:
        sites.append(Site(browser, runs[name] / bits))
        return sites[-1]

    yield open_site
    for site in sites:
        site.stop()
        site.page.context.close()
        assert site.failures == []


def picture(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """Return smooth random colours: a photograph without the noise that any JPEG decoder treats in its own way."""
    values = np.random.default_rng(seed).integers(0, 256, (9, 9, 4), np.uint8)
    return Image.fromarray(values, "RGBA").convert(mode).resize((width, height), Image.Resampling.BICUBIC)


def images() -> dict[str, tuple[Image.Image, str, dict[str, Any]]]:
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "wide": (picture(300, 200), "PNG", {}),
        "high": (picture(90, 400, 1), "PNG", {}),
        "small": (picture(5, 6, 2), "PNG", {}),
        "grey": (picture(100, 100, 3, "L"), "PNG", {}),
        "transparent": (picture(120, 100, 4, "RGBA"), "PNG", {}),
        "palette": (picture(120, 100, 5).convert("P"), "PNG", {}),
        "JPEG": (picture(640, 480, 6), "JPEG", {"quality": 90}),
        "turned": (picture(400, 300, 7), "JPEG", {"quality": 90, "exif": turned}),
        "large": (picture(4000, 3000, 8), "JPEG", {"quality": 90}),
        "WebP": (picture(300, 300, 9), "WEBP", {"lossless": True}),
    }


@pytest.mark.parametrize("bits", ["float", "int8"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_files_get_the_answers_of_predict(
    name: str, bits: str, open_site: Any, runs: dict[str, Path], tmp_path: Path
) -> None:
    site, model = open_site(name, bits), sightseq.load(runs[name])
    for kind, (image, format, options) in images().items():
        path = tmp_path / f"{kind}.{format.lower()}"
        image.save(path, format, **options)
        (row,) = model.predict([path], top=10)
        found = site.choose(image, format, **options)
        pixels = np.abs(site.seen().transpose(2, 0, 1) - model.read(path).astype(int)).max()
        difference = max(abs(found[label] - probability) for label, probability in row["top"])
        print(f"{name:8} {bits:5} {kind:12} pixels differ by at most {pixels}, probabilities by {difference:.1e}")
        assert next(iter(found)) == row["label"], kind
        assert difference < 0.01, kind
        assert pixels <= 2, kind


def test_a_drawing(open_site: Any, runs: dict[str, Path]) -> None:
    site = open_site("digits")
    assert not site.page.is_visible("#answer")
    site.draw()
    found = site.answer()
    seen = site.seen()
    (row,) = sightseq.load(runs["digits"]).predict([seen[:, :, 0].copy()])
    assert next(iter(found.items())) == (row["label"], pytest.approx(row["probability"], abs=1e-4))
    site.page.click("#clear")
    assert not site.page.is_visible("#answer")


def test_files_that_are_no_images(open_site: Any) -> None:
    site = open_site("cifar10")
    assert not site.page.is_visible("#draw")
    site.choose(picture(30, 30), "PNG")
    site.page.set_input_files("#file", {"name": "notes.txt", "mimeType": "image/png", "buffer": b"no image"})
    playwright.expect(site.page.locator("#message")).to_have_text(
        "notes.txt is not an image that this browser can read"
    )
    assert not site.page.is_visible("#answer")
    assert site.choose(picture(30, 30), "PNG")


def test_the_camera(open_site: Any) -> None:
    site = open_site("cifar10")
    site.page.click("#camera")
    assert sum(site.answer().values()) == pytest.approx(1, abs=1e-4)
    site.page.click("#photo")
    assert site.page.evaluate("document.getElementById('video').srcObject") is None


def test_the_page_works_offline(open_site: Any) -> None:
    site = open_site("digits")
    site.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    site.stop()
    site.page.reload()
    site.wait()
    site.draw()
    assert len(site.answer()) == 10
