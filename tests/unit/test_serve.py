"""The HTTP API: the rows are those of predict; bad inputs, overload, slow models and clients that leave do no harm."""

import asyncio
import base64
import io
import json
import os
import threading
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from sightseq.composition import compose
from sightseq.core.build import validated
from sightseq.core.errors import ConfigError, InputError
from sightseq.core.predictor import Predictor, Row, Settings
from sightseq.core.rundir import find_named_checkpoint
from sightseq.export.files import save_onnx
from sightseq.predict import Loaded, load_named
from sightseq.serve import Settings as ServeSettings
from sightseq.serve import listen, run_exported
from sightseq.serve.api import make_app
from sightseq.serve.guard import Limits
from sightseq.serve.metrics import Metrics
from sightseq.serve.model import Model
from sightseq.serve.worker import Worker
from sightseq.tasks.classification.graph import ClassifierGraph
from sightseq.tasks.classification.predict_sounds import SoundPredictor
from tests.unit.test_predict import make as image_predictor
from tests.unit.test_predict import random_pixels
from tests.unit.test_predict_denoising import make as denoising_predictor
from tests.unit.test_predict_texts import make as text_predictor
from tests.unit.test_sound_classification import make as sound_task

LIMITS = Limits(requests=50, size=100_000, seconds=20)
LARGEST = {"top": 2}


class EchoSettings(Settings):
    """The options of this predictor."""

    shout: bool = False


class EchoPredictor(Predictor):
    """Returns its inputs; "slow" waits for `release`, "crash" fails, and what it predicts together is in `batches`."""

    Settings: ClassVar[Any] = EchoSettings
    json_input: ClassVar[Any] = str

    def __init__(self) -> None:
        super().__init__(torch.nn.Identity(), "cpu")  # type: ignore[arg-type]
        self.batches: list[list[str]] = []
        self.release, self.begun = threading.Event(), threading.Event()

    def expand(self, given: str, options: Any) -> list[tuple[str, Any]]:
        return [(f"{given}, line {n}", line) for n, line in enumerate(Path(given).read_text().splitlines(), 1)]

    def read(self, raw: str) -> str:
        if not raw:
            raise InputError("is empty")
        return raw

    def predict_items(self, items: Sequence[str], options: Any) -> list[Row]:
        assert torch.is_inference_mode_enabled()
        self.batches.append(list(items))
        if "slow" in items:
            self.begun.set()
            self.release.wait(10)
        if "crash" in items:
            raise RuntimeError("out of memory")
        return [{"echo": item.upper() if options.shout else item, "number": float("nan")} for item in items]


def model(predictor: Predictor, name: str = "echo", metrics: Metrics | None = None, **changes: Any) -> Model:
    worker = Worker(name, predictor, changes.pop("batch_size", 4), 0.002, metrics or Metrics())
    return Model(name, "A title", predictor, worker, LARGEST, changes.pop("max_inputs", 5))


def talk(conversation: Callable[[httpx.AsyncClient], Awaitable[Any]], *models: Model, limits: Limits = LIMITS) -> Any:
    """Run a conversation with a server of these models, without a socket."""

    async def run() -> Any:
        app = make_app(models, limits, models[0].worker.metrics)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://x") as http,
        ):
            return await conversation(http)

    return asyncio.run(run())


def post(served: Model, path: str = "/predict/echo", limits: Limits = LIMITS, **request: Any) -> httpx.Response:
    return talk(lambda http: http.post(path, **request), served, limits=limits)


def png(pixels: np.ndarray) -> bytes:
    Image.fromarray(pixels).save(file := io.BytesIO(), "png")
    return file.getvalue()


# The rows are those of predict.


def test_images_in_json_have_the_rows_of_predict() -> None:
    predictor, pixels = image_predictor(), [random_pixels(seed=n) for n in range(3)]
    answer = post(model(predictor), json={"inputs": [one.tolist() for one in pixels]})
    assert answer.status_code == 200
    assert [result["rows"] for result in answer.json()["results"]] == [
        [json.loads(json.dumps(row))] for row in predictor.predict(pixels)
    ]


def test_uploaded_images_have_the_rows_of_the_command_line() -> None:
    predictor, pixels = image_predictor(), random_pixels()
    files = [("files", ("../a/sevens & co.png", png(pixels))), ("files", ("../a/sevens & co.png", png(pixels)))]
    answer = post(model(predictor), path="/predict/echo/files?top=1", files=files)
    (row,) = predictor.predict([pixels], top=1)
    expected = {"file": "../a/sevens & co.png", **json.loads(json.dumps(row))}
    assert [result["rows"] for result in answer.json()["results"]] == [[expected], [expected]]


def test_texts_in_json_and_in_a_table() -> None:
    served = model(text_predictor())
    texts = ["a good film", "a bad film"]
    answer = post(served, json={"inputs": texts, "options": {"top": 1}})
    rows = [result["rows"][0] for result in answer.json()["results"]]
    assert rows == json.loads(json.dumps(text_predictor().predict(texts, top=1)))
    table = b"review;stars\na good film;5\na bad film;1\n"
    path = "/predict/echo/files?top=1&column=review&delimiter=semicolon"
    answer = post(model(text_predictor()), path=path, files={"files": ("t.csv", table)})
    assert [result["rows"] for result in answer.json()["results"]] == [
        [{"text": text, **row}] for text, row in zip(texts, rows, strict=True)
    ]


def test_sounds_in_json_and_as_a_file() -> None:
    predictor = SoundPredictor(sound_task(), "cpu")
    rate = predictor.task.spec.rate
    samples = (np.sin(np.arange(rate // 2) / 9) * 8000).astype(np.int16)
    with wave.open(file := io.BytesIO(), "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(samples.tobytes())
    expected = json.loads(json.dumps(predictor.predict([samples])))
    inputs = [{"samples": (samples / 32768).tolist(), "rate": rate}]
    answer = post(model(predictor), json={"inputs": inputs}, limits=Limits(5, 10**7, 20))
    assert answer.json()["results"] == [{"rows": expected}]
    answer = post(model(predictor), path="/predict/echo/files", files={"files": ("a.wav", file.getvalue())})
    assert answer.json()["results"] == [{"rows": [{"file": "a.wav", **row} for row in expected]}]


def test_files_that_a_model_writes_come_back_in_the_rows_and_nothing_is_left(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    pixels = random_pixels(size=(20, 10))
    files = [("files", ("a.png", png(pixels))), ("files", ("a.png", png(pixels))), ("files", ("b.png", b"no image"))]
    answer = post(model(predictor := denoising_predictor()), path="/predict/echo/files", files=files)
    first, second, third = answer.json()["results"]
    assert {"input": "a.png", "width": 20, "height": 10}.items() <= first["rows"][0].items()
    kind, _, data = first["rows"][0]["output"].partition(",")
    assert kind == "data:image/png;base64"
    restored = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(restored, np.asarray(predictor.denoise(pixels)))
    assert second["rows"][0]["output"] == first["rows"][0]["output"]
    assert third["error"].startswith("b.png: ")
    assert str(tmp_path) not in answer.text
    assert not [*(tmp_path / "temporary").iterdir()]
    assert not [*Path().glob("*.png")]


# Bad requests


def test_bad_inputs_are_named_and_the_others_predicted() -> None:
    answer = post(model(EchoPredictor()), json={"inputs": ["a", "", "b"]})
    assert answer.status_code == 200
    rows = [{"echo": "a", "number": None}], [{"echo": "b", "number": None}]
    assert answer.json()["results"] == [{"rows": rows[0]}, {"error": "is empty"}, {"rows": rows[1]}]


def test_a_line_of_a_file_that_cannot_be_read() -> None:
    answer = post(model(EchoPredictor()), path="/predict/echo/files", files={"files": ("my file.txt", b"a\n\n")})
    assert answer.json()["results"][1] == {"error": "my file.txt, line 2: is empty"}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"inputs": [""]}, 422, "is empty"),
        ({"inputs": []}, 422, "at least 1 item"),
        ({"inputs": "a"}, 422, "valid list"),
        ({"inputs": [1]}, 422, "valid string"),
        ({"input": ["a"]}, 422, "Field required"),
        ({"inputs": ["a"] * 6}, 422, "at most 5 items"),
        ({"inputs": ["a"], "options": {"shuot": True}}, 422, "not permitted"),
        ({"inputs": ["a"], "options": {"batch_size": 9}}, 422, "not permitted"),
        ({"inputs": ["\ud800"]}, 200, "\\ud800"),
        ({"inputs": ["a" * 100_000]}, 413, "larger than 0.1 MB"),
    ],
)
def test_malformed_requests(body: Any, status: int, message: str) -> None:
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    headers = {"content-type": "application/json"}
    answer = post(model(EchoPredictor()), content=content, headers=headers)
    assert answer.status_code == status
    assert message in answer.text


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 50_000, b'{"inputs": [NaN]}', b"\xff\xfe", b"null"])
def test_what_is_not_json(content: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = post(model(EchoPredictor()), content=content, headers=headers)
    assert answer.status_code in (400, 422)


def test_a_body_without_a_length_is_counted_while_it_arrives() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"a" * 1000

    answer = post(model(EchoPredictor()), content=chunks())
    assert answer.status_code == 413


@pytest.mark.parametrize("image", [[[1, 2], [3]], [[256]], [[-1]], [[1.5]], [["a"]], [[[1, 2]]], [], [[]], [10**30]])
def test_arrays_that_are_no_images(image: Any) -> None:
    assert post(model(image_predictor()), json={"inputs": [image]}).status_code == 422


def test_no_files_and_too_many_lines() -> None:
    assert post(model(EchoPredictor()), path="/predict/echo/files").status_code == 422
    answer = post(model(EchoPredictor()), path="/predict/echo/files", files={"files": ("a.txt", b"a\n" * 6)})
    assert (answer.status_code, answer.json()["detail"][0]["msg"]) == (
        422,
        "there are more than 5 inputs; send them in several requests",
    )


def test_options_have_largest_values_and_those_of_the_machine_are_not_offered() -> None:
    options = model(text_predictor()).options.model_fields
    assert set(options) == {"top", "column", "delimiter"}
    answer = post(model(text_predictor()), json={"inputs": ["good"], "options": {"top": 3}})
    assert answer.status_code == 422
    assert "less than or equal to 2" in answer.text
    answer = post(model(text_predictor()), json={"inputs": ["good"], "options": {"column": "a"}})
    assert answer.json()["detail"][0]["msg"].startswith("column: no input is a table")


def test_a_text_is_never_the_name_of_a_file() -> None:
    Path("secret.txt").write_text("a good film")
    answer = post(model(text_predictor()), json={"inputs": ["secret.txt"]})
    assert "good" not in answer.text


# Batches, overload, slow models, clients that leave


def say(http: httpx.AsyncClient, text: str, **options: Any) -> "asyncio.Task[httpx.Response]":
    body = {"inputs": [text], "options": options}
    return asyncio.get_running_loop().create_task(http.post("/predict/echo", json=body))


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


def echoes(answers: Sequence[httpx.Response]) -> list[str]:
    return [one.json()["results"][0]["rows"][0]["echo"] for one in answers]


def test_waiting_requests_with_equal_options_are_predicted_together() -> None:
    served = model(predictor := EchoPredictor())

    async def conversation(http: httpx.AsyncClient) -> list[httpx.Response]:
        first = say(http, "slow")
        await until(predictor.begun.is_set)
        others = []
        for number, options in enumerate([{}, {"shout": True}, {}, {}, {}]):
            others.append(say(http, f"a{number}", **options))
            await until(lambda: len(served.worker._jobs) == len(others))
        predictor.release.set()
        return await asyncio.gather(first, *others)

    assert echoes(talk(conversation, served)) == ["slow", "a0", "A1", "a2", "a3", "a4"]
    assert predictor.batches == [["slow"], ["a0", "a2", "a3", "a4"], ["a1"]]


def test_one_request_that_fails_does_not_fail_those_beside_it() -> None:
    served = model(predictor := EchoPredictor())

    async def conversation(http: httpx.AsyncClient) -> list[httpx.Response]:
        first = say(http, "slow")
        await until(predictor.begun.is_set)
        others = [say(http, text) for text in ("a", "crash", "b")]
        await until(lambda: len(served.worker._jobs) == 3)
        predictor.release.set()
        answers = await asyncio.gather(first, *others)
        assert (await http.get("/health")).json() == {"status": "ok"}
        return answers

    answers = talk(conversation, served)
    assert [one.status_code for one in answers] == [200, 200, 500, 200]
    assert echoes([answers[1], answers[3]]) == ["a", "b"]


def test_too_many_requests_are_refused_at_once_and_the_others_answered() -> None:
    served = model(predictor := EchoPredictor())

    async def conversation(http: httpx.AsyncClient) -> tuple[httpx.Response, list[httpx.Response]]:
        accepted = [say(http, "slow")]
        await until(predictor.begun.is_set)
        accepted.append(say(http, "a"))
        await until(lambda: len(served.worker._jobs) == 1)
        refused = await say(http, "b")
        predictor.release.set()
        return refused, await asyncio.gather(*accepted)

    refused, accepted = talk(conversation, served, limits=Limits(2, 1000, 20))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert echoes(accepted) == ["slow", "a"]


def test_a_slow_request_times_out_and_leaves_the_queue() -> None:
    served = model(predictor := EchoPredictor())

    async def conversation(http: httpx.AsyncClient) -> list[httpx.Response]:
        first = say(http, "slow")
        await until(predictor.begun.is_set)
        answers = await asyncio.gather(first, say(http, "never"))
        assert not served.worker._jobs
        predictor.release.set()
        return [*answers, await say(http, "a")]

    answers = talk(conversation, served, limits=Limits(3, 1000, 0.3))
    assert [one.status_code for one in answers] == [504, 504, 200]
    assert predictor.batches == [["slow"], ["a"]]


def test_a_client_that_leaves_is_dropped_from_the_queue() -> None:
    """Through ASGI itself: the client sends a request and then `http.disconnect`."""
    served = model(predictor := EchoPredictor())
    app = make_app([served], LIMITS, served.worker.metrics)

    async def leave(gone: asyncio.Event) -> list[Any]:
        body, sent = [json.dumps({"inputs": ["never"]}).encode()], []

        async def receive() -> dict[str, Any]:
            if body:
                return {"type": "http.request", "body": body.pop(), "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/predict/echo", "query_string": b"", "headers": headers}
        await app({**scope, "app": app, "root_path": "", "scheme": "http", "http_version": "1.1"}, receive, send)
        return sent

    async def run() -> list[Any]:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http,
        ):
            first, gone = say(http, "slow"), asyncio.Event()
            await until(predictor.begun.is_set)
            leaving = asyncio.create_task(leave(gone))
            await until(lambda: len(served.worker._jobs) == 1)
            gone.set()
            sent = await leaving
            await until(lambda: not served.worker._jobs)
            predictor.release.set()
            await first
            return sent

    assert asyncio.run(run()) == []
    assert predictor.batches == [["slow"]]
    assert b'requests_total{model="echo",status="499"} 1.0' in served.worker.metrics.text()


def test_waiting_requests_are_answered_when_the_server_ends() -> None:
    predictor = EchoPredictor()

    async def run() -> list[Any]:
        with Worker("echo", predictor, 1, 0.0, Metrics()) as worker:
            jobs = [asyncio.create_task(worker.predict([text], EchoSettings())) for text in ("slow", "a", "b")]
            await until(lambda: predictor.begun.is_set() and len(worker._jobs) == 2)
            threading.Timer(0.05, predictor.release.set).start()
        return await asyncio.gather(*jobs)

    assert [rows[0][0]["echo"] for rows, _ in asyncio.run(run())] == ["slow", "a", "b"]


# Warnings, addresses, settings


def test_warnings_belong_to_their_request() -> None:
    async def conversation(http: httpx.AsyncClient) -> list[Any]:
        answers = await asyncio.gather(*(say(http, text) for text in ["good", "xyz", "bad"] * 4))
        return [one.json()["warnings"] for one in answers]

    assert talk(conversation, model(text_predictor())) == [[], ["xyz: the model knows none of its words"], []] * 4


def test_models_health_metrics_and_the_page() -> None:
    metrics = Metrics()
    models = [model(EchoPredictor(), "one", metrics), model(text_predictor(), "two", metrics)]

    async def conversation(http: httpx.AsyncClient) -> None:
        names = {one["name"]: sorted(one["options"]) for one in (await http.get("/models")).json()}
        assert names == {"one": ["shout"], "two": ["column", "delimiter", "top"]}
        assert (await http.get("/health")).json() == {"status": "ok"}
        assert (await http.post("/predict/two", json={"inputs": ["good"]})).status_code == 200
        assert (await http.post("/predict/three", json={"inputs": ["good"]})).status_code == 404
        assert (await http.get("/predict/two")).status_code == 405
        schema = (await http.get("/openapi.json")).json()
        assert sorted(path for path in schema["paths"] if path.startswith("/predict")) == [
            "/predict/one", "/predict/one/files", "/predict/two", "/predict/two/files"
        ]  # fmt: skip
        text = (await http.get("/metrics")).text
        assert 'sightseq_requests_total{model="two",status="200"} 1.0' in text
        assert 'sightseq_batch_requests_count{model="two"} 1.0' in text
        assert "cdn" not in (await http.get("/docs")).text
        scripts = "/static-offline-docs/swagger-ui-bundle.js"
        assert len((await http.get(scripts)).content) > 1e6

    talk(conversation, *models)


def test_the_exported_file_as_the_engine(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    predictor, pixels = image_predictor(), random_pixels()
    loaded = Loaded(checkpoint, {}, predictor)
    with pytest.raises(ConfigError, match=r"there is no .*model.onnx; run: sightseq export"):
        run_exported(loaded)
    expected = predictor.predict([pixels])
    file = checkpoint.parents[1] / "model.onnx"
    save_onnx(ClassifierGraph(predictor.task).eval(), [predictor.read(pixels)[None]], file, {})
    run_exported(loaded)
    predictor.task.net = None  # type: ignore[assignment]
    (row,) = predictor.predict([pixels])
    assert row["label"] == expected[0]["label"]
    assert row["probability"] == pytest.approx(expected[0]["probability"], abs=1e-5)
    os.utime(file, (0, 0))
    with pytest.raises(ConfigError, match="is older than"):
        run_exported(loaded)
    with pytest.raises(ConfigError, match="engine=onnx: EchoPredictor needs PyTorch"):
        run_exported(Loaded(checkpoint, {}, EchoPredictor()))


def test_several_checkpoints_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for typed in (["ckpt=[a=x/1,b=my runs/2]"], ["ckpt=a=x/1", "ckpt=b=my runs/2"]):
        assert compose(*typed, command="serve")["ckpt"] == ["a=x/1", "b=my runs/2"]
    assert compose("ckpt=x", "port=0", command="serve")["ckpt"] == ["x"]
    assert compose("ckpt=[a=x]", command="serve")["ckpt"] == ["a=x"]
    (file := tmp_path / "a=b.ckpt").touch()
    assert find_named_checkpoint(str(file)) == str(file)
    assert find_named_checkpoint(f"c={file}") == f"c={file}"
    content = {"sightseq": {"config": {"experiment": "image/digits", "title": "Digits"}}}
    monkeypatch.setattr("sightseq.predict.read_checkpoint", lambda path: content)
    monkeypatch.setattr("sightseq.predict.rebuild", lambda *_: image_predictor().task)
    models = load_named(["x", "x", "b=x", "x"], "cpu")
    assert [*models] == ["digits", "digits-2", "b", "digits-3"]
    assert models["b"].title == "Digits"
    with pytest.raises(ConfigError, match="two models named b"):
        load_named(["b=x", "b=y"], "cpu")


def test_settings_and_addresses() -> None:
    config = compose("ckpt=x", command="serve")
    assert validated(config, ServeSettings).host == "127.0.0.1"
    with pytest.raises(ConfigError, match="port=70000"):
        validated(config | {"port": 70000}, ServeSettings)
    with listen("127.0.0.1", 0) as first, pytest.raises(ConfigError, match="choose another port="):
        listen("127.0.0.1", first.getsockname()[1])
