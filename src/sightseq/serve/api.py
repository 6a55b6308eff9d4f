"""The HTTP API of trained models: its routes, and what they answer."""

import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, File, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, Field, create_model

from sightseq.core.errors import ConfigError, SightseqError
from sightseq.serve.guard import Guard, Limits
from sightseq.serve.metrics import Metrics
from sightseq.serve.model import Model
from sightseq.serve.worker import showing


class Result(BaseModel):
    """What was predicted for one input."""

    rows: list[dict[str, Any]] = Field(description="the rows that sightseq predict prints")


class Failure(BaseModel):
    """Why one input was not predicted."""

    error: str


class Answer(BaseModel):
    """The answer to a request: a result for each input, in order."""

    results: list[Result | Failure]
    warnings: list[str]


class Problem(BaseModel):
    """Why a request was refused."""

    detail: Any


REFUSALS: dict[int | str, dict[str, Any]] = {
    413: {"model": Problem, "description": "The body is too large."},
    422: {"model": Problem, "description": "No input can be read, or an option is invalid."},
    503: {"model": Problem, "description": "Too many requests are waiting: see the header Retry-After."},
    504: {"model": Problem, "description": "It took too long."},
}


def make_app(models: Sequence[Model], limits: Limits, metrics: Metrics) -> FastAPI:
    """Return the application; its workers run while it does.

    Args:
        models: the models, which are addressed by their names.
        limits: see `Limits`.
        metrics: those that the workers of the models count in.
    """

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as stack:
            stack.enter_context(showing())
            for model in models:
                stack.enter_context(model.worker)
            yield

    app = FastAPIOffline(
        title="sightseq", description="Predictions of trained models.", lifespan=running, redoc_url=None
    )
    app.add_exception_handler(SightseqError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)

    @app.get("/", include_in_schema=False)
    async def start() -> RedirectResponse:
        return RedirectResponse("/docs")

    @app.get("/health", summary="Whether all models can answer")
    async def health() -> Response:
        broken = [model.name for model in models if not model.worker.alive]
        return _json({"status": f"ended: {', '.join(broken)}" if broken else "ok"}, 503 if broken else 200)

    @app.get("/metrics", summary="Counts and times, for Prometheus")
    async def measured() -> Response:
        return Response(metrics.text(), media_type=metrics.content_type)

    @app.get("/models", summary="The models, and their options")
    async def listed() -> Response:
        return _json([_described(model) for model in models])

    paths: dict[str, str] = {}
    for model in models:
        path = f"/predict/{model.name}"
        route: dict[str, Any] = {"tags": [model.title or model.name], "response_model": Answer, "responses": REFUSALS}
        if model.predictor.json_input is not None:
            app.post(path, summary=f"{model.name}: inputs in JSON", **route)(_from_json(model))
            paths[path] = model.name
        if model.predictor.reads_files:
            app.post(f"{path}/files", summary=f"{model.name}: files", **route)(_from_files(model))
            paths[f"{path}/files"] = model.name
    app.add_middleware(Guard, limits=limits, metrics=metrics, models=paths)
    return app


def _from_json(model: Model) -> Any:
    kind: Any = list[model.predictor.json_input]  # type: ignore[name-defined]
    body = create_model(
        f"{model.name} inputs",
        inputs=(kind, Field(min_length=1, max_length=model.max_inputs)),
        options=(model.options, Field(default_factory=model.options)),
    )

    async def predict(body: Any) -> Response:
        return _json(await model.answer(body.inputs, body.options))

    predict.__annotations__["body"] = body
    return predict


def _from_files(model: Model) -> Any:
    async def predict(options: Any, files: Any = ()) -> Response:
        return _json(await model.answer_files([(file.filename or "", file.file) for file in files], options))

    predict.__annotations__["options"] = Annotated[model.options, Query()]
    needed = model.predictor.default_input is None
    default = File(min_length=1) if needed else File(default_factory=list)
    predict.__annotations__["files"] = Annotated[list[UploadFile], default]
    return predict


def _described(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "title": model.title,
        "json": model.predictor.json_input is not None,
        "files": model.predictor.reads_files,
        "options": model.options.model_json_schema().get("properties", {}),
    }


def _json(content: Any, status: int = 200) -> Response:
    """Return content as JSON: a number that is not finite as null, and a lone surrogate as its escape."""
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(content), ensure_ascii=False)
    return Response(text.encode("utf-8", "backslashreplace"), status, media_type="application/json")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


async def _refused(request: Request, error: Exception) -> Response:
    place = ["options"] if isinstance(error, ConfigError) else ["inputs"]
    return _json({"detail": [{"loc": place, "msg": str(error), "type": type(error).__name__}]}, 422)


async def _invalid(request: Request, error: Exception) -> Response:
    """Answer what does not fit the schema, without repeating the input as FastAPI does."""
    assert isinstance(error, RequestValidationError)  # Starlette calls this for no other
    return _json({"detail": [{key: one[key] for key in ("loc", "msg", "type")} for one in error.errors()]}, 422)
