"""The page of `sightseq demo` in a real browser, Chromium without a window; models are trained for it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import sightseq
from sightseq.composition import compose

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="needs Chromium")]
SHORT = ("baseline=none", "callbacks=default")
TRAININGS = {
    "digits": ("experiment=digits", "trainer.max_epochs=30"),
    "reviews": ("experiment=imdb", "debug=synthetic", "model/net=text/bilstm"),
    "docs": ("experiment=python_docs", "trainer.max_epochs=1", "trainer.limit_train_batches=20"),
}
FOUR = [(0.56, 0.85), (0.56, 0.15), (0.25, 0.6), (0.78, 0.6)]  # in fractions of the paper
WAIT = 60  # seconds for an answer of the page
START = 300  # seconds until the server answers, on a busy machine


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the trained runs."""
    folder = tmp_path_factory.mktemp("demo")
    for name, overrides in TRAININGS.items():
        places = [f"paths.{kind}={folder / kind}" for kind in ("cache", "data")]
        config = compose(*overrides, *SHORT, *places, f"paths.runs={folder / name}")
        sightseq.train(config | {"run_test": False})
    return folder


def environment(folder: Path) -> dict[str, str]:
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return os.environ | {
        "SIGHTSEQ_CACHE": str(folder / "cache"),
        "SIGHTSEQ_DATA": str(folder / "data"),
        "TMPDIR": str(temporary),
    }


def started(server: subprocess.Popen[Any], log: Path) -> str:
    """Wait until the server prints its address, and return it."""
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        if address := re.search(r"^demo +(http://\S+)", log.read_text(), re.MULTILINE):
            return address[1]
        time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def page(runs: Path) -> Iterator[Any]:
    """The page in the browser; it must ask no other machine for anything, and leave no files."""
    checkpoints = [f"ckpt={name}={next((runs / name).rglob('best.ckpt'))}" for name in TRAININGS]
    command = [sys.executable, "-m", "sightseq", "demo", *checkpoints, "port=0", "max_size=2", "device=cpu"]
    with (runs / "log.txt").open("w") as log:
        server = subprocess.Popen(command, env=environment(runs), stdout=log, stderr=log, start_new_session=True)
    try:
        address = started(server, runs / "log.txt")
        with playwright.sync_playwright() as tool:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
            browser = tool.chromium.launch(executable_path=BROWSER, args=flags)
            page = browser.new_page(viewport={"width": 1100, "height": 800})
            page.set_default_timeout(1000 * WAIT)
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(address)
            yield page
            browser.close()
        server.terminate()
        assert server.wait(WAIT) == 0
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
    assert [url for url in asked if not url.startswith(("data:", "blob:", address))] == []
    assert [*(runs / "temporary").glob("sightseq*")] == []


@pytest.fixture(scope="module")
def predictor(runs: Path) -> Any:
    return sightseq.load(next((runs / "digits").rglob("best.ckpt")), "cpu")


def answer(page: Any, expected: str) -> str:
    """Wait for an answer that contains a text, and return all of it."""
    found = page.locator(".answer, .problem").filter(has_text=re.compile(expected)).locator("visible=true").first
    found.wait_for()
    return str(found.inner_text())


def test_a_drawn_four_is_a_four(page: Any) -> None:
    page.locator('button[aria-label="Brush"].highlight').first.wait_for()
    box = page.locator("canvas").first.bounding_box()
    side = 0.8 * min(box["width"], box["height"])
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    points = [(left + side * across, top + side * down) for across, down in FOUR]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=12)
    page.mouse.up()
    text = answer(page, "Label")
    assert re.search(r"label\s+probability\s+4\s+[\d.]+%", text)
    assert re.search(r"[\d.]+ ms on cpu", text)
    if path := os.environ.get("SIGHTSEQ_SCREENSHOT"):
        page.screenshot(path=path)


def test_photos_of_which_one_is_corrupt_and_one_huge(page: Any, predictor: Any, tmp_path: Path) -> None:
    digits = load_digits()
    good, bad, huge = (tmp_path / f"{name}.png" for name in ("good", "bad", "huge"))
    pixels = (digits.images[3] * 16).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(good)
    bad.write_bytes(good.read_bytes()[:60])
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3)).astype(np.uint8)
    Image.fromarray(noise).save(huge)
    assert huge.stat().st_size > 2e6
    page.get_by_role("tab", name="photo").click()
    upload = page.locator('input[type="file"]').nth(1)  # the first one is of the drawing
    upload.set_input_files(good)
    (row,) = predictor.predict([good])
    assert re.search(
        rf"{row['label']}\s+{100 * row['probability']:.2f}%", answer(page, f"{100 * row['probability']:.2f}%")
    )
    page.locator('button[aria-label="Remove Image"]').click()
    upload.set_input_files(bad)
    assert "bad.png" in answer(page, "bad.png")
    page.locator('button[aria-label="Remove Image"]').click()
    upload.set_input_files(huge)
    page.get_by_text("exceed the maximum").first.wait_for()


def test_a_text_is_typed_and_the_words_that_mattered_are_marked(page: Any) -> None:
    page.get_by_role("tab", name="Film reviews").click()
    page.locator("textarea:visible").first.fill("a good film")
    page.get_by_role("button", name="Predict").locator("visible=true").click()
    text = answer(page, "The words that mattered")
    assert re.search(r"(positive|negative)\s+[\d.]+%", text)
    assert page.locator(".answer .passage span[style]").count() > 0


def test_next_words_are_offered_while_one_types(page: Any) -> None:
    page.get_by_role("tab", name="Next words").click()
    box = page.locator("textarea:visible").first
    box.press_sequentially("the value of th", delay=30)
    word = page.get_by_role("button", name=re.compile("^th")).locator("visible=true").first
    word.wait_for()
    chosen = word.inner_text()
    word.click()
    page.wait_for_function(
        "text => [...document.querySelectorAll('textarea')].some(one => one.value === text)",
        arg=f"the value of {chosen} ",
    )
