"""`sightseq export`: the content of the exported files, and the cases without a file."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import sightseq
from sightseq import export as package
from sightseq.composition import compose
from sightseq.core.errors import ConfigError, DataError, ExportError
from sightseq.core.graph import Arrays, Call, Graph, graph_of
from sightseq.core.loading import Batch
from sightseq.export import export, web
from sightseq.export.files import load_onnx, quantize_weights
from sightseq.text.tokenizer import Tokenizer

SCRIPT = Path(__file__).parents[2] / "scripts" / "run_onnx.py"
SHORT = ("trainer.max_epochs=1", "debug=synthetic", "baseline=none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, Path]:
    """A short run of each kind of model."""
    paths = [f"paths.{name}={folder / name}" for name in ("data", "cache", "runs")]
    kinds = {
        "digits": ["model.net.channels=[32,64]"],
        "imdb": ["model/net=text/bilstm"],
        "python_docs": ["model.net.embedding=16", "model.net.hidden=[16]"],
        "multi30k_de_en": ["model.net.embedding=16", "model.net.encoder=[16]", "model.net.decoder=[32]"],
    }
    return {
        name: Path(sightseq.train(compose(f"experiment={name}", *SHORT, *paths, *few) | {"run_test": False})["folder"])
        for name, few in kinds.items()
    }


def run(folder: Path, ckpt: Path, *overrides: str) -> None:
    paths = [f"paths.{name}={folder / name}" for name in ("data", "cache", "runs")]
    export(compose(f"ckpt={ckpt}", *paths, *overrides, command="export"))


def properties(path: Path) -> dict[str, str]:
    return {one.key: one.value for one in onnx.load(path).metadata_props}


def test_images(folder: Path, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, runs["digits"])
    path = runs["digits"] / "model.onnx"
    assert "probabilities differ by at most" in capsys.readouterr().out
    about = properties(path)
    assert json.loads(about["labels"]) == [str(number) for number in range(10)]
    assert json.loads(about["preprocessing"])["height"] == 8
    example = np.load(runs["digits"] / "model.npz")["input"]
    assert example.dtype == np.uint8
    (found,) = load_onnx(path)([example])
    model = sightseq.load(runs["digits"])
    for image, row in zip(example, found, strict=True):
        (predicted,) = model.predict([image[0]])
        assert predicted["label"] == str(row.argmax())
        assert predicted["probability"] == pytest.approx(row.max(), abs=1e-5)


def test_a_script_runs_the_file_without_the_framework(folder: Path, runs: dict[str, Path]) -> None:
    run(folder, runs["digits"], f"output={folder / 'alone.onnx'}")
    command = [sys.executable, "-X", "importtime", str(SCRIPT), str(folder / "alone.onnx"), str(folder / "alone.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1 + 8
    assert all(line.count("%") == 3 for line in done.stdout.splitlines()[1:])
    assert not {"torch", "sightseq"} & {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_texts_of_any_length(folder: Path, runs: dict[str, Path]) -> None:
    run(folder, runs["imdb"] / "checkpoints" / "best.ckpt")
    model = sightseq.load(runs["imdb"])
    path = runs["imdb"] / "model.onnx"  # the default place: in the run directory
    about = properties(path)
    for text in ("wonderful", "a film that is " * 30):
        token_ids = np.array([model.task.tokenizer.encode(text)])
        (found,) = load_onnx(path)([token_ids, np.array([token_ids.shape[1]])])
        (predicted,) = model.predict([text])
        assert predicted["label"] == json.loads(about["labels"])[found[0].argmax()]
        assert predicted["probability"] == pytest.approx(found[0].max(), abs=1e-5)
    assert json.loads(about["tokenizer"])["model"]["vocab"]


def test_a_language_model_one_step_at_a_time(folder: Path, runs: dict[str, Path]) -> None:
    run(folder, runs["python_docs"])
    path = runs["python_docs"] / "model.onnx"
    labels, call = json.loads(properties(path)["labels"]), load_onnx(path)
    model = sightseq.load(runs["python_docs"])
    state = [np.zeros((1, 1, 16), np.float32)] * 2
    for number in [0, *model.task.tokenizer.encode("the queen")]:
        probabilities, *state = call([np.array([number]), *state])
    predicted = model.next_words("the queen", top=1)
    assert labels[probabilities[0, 2:].argmax() + 2] == predicted[0][0]


def test_an_encoder_and_one_step_of_a_decoder(
    folder: Path, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A greedy translation with the two files, their metadata, and no class of this framework but the tokenizer."""
    run(folder, runs["multi30k_de_en"])
    assert "values differ by at most" in (out := capsys.readouterr().out)
    assert "probabilities differ by at most" in out
    files = {name: runs["multi30k_de_en"] / f"{name}.onnx" for name in ("encoder", "decoder")}
    assert all(path.with_suffix(".npz").is_file() for path in files.values())
    assert not (runs["multi30k_de_en"] / "model.onnx").exists()
    encoder, decoder = (onnxruntime.InferenceSession(path) for path in files.values())
    about = properties(files["decoder"])
    source, target = (Tokenizer(about[f"{side}_tokenizer"]) for side in ("source", "target"))
    model = sightseq.load(runs["multi30k_de_en"])
    for sentence in ("ein hund", "zwei kinder spielen im park ."):
        token_ids = np.array([[*source.encode(sentence), 0]])
        encoded = encoder.run(None, {"input": token_ids, "length": np.array([token_ids.shape[1]])})
        named = dict(zip([output.name for output in encoder.get_outputs()], encoded, strict=True))
        tokens: list[int] = []
        while len(tokens) < 2 * token_ids.shape[1] + 10:
            inputs = {**named, "token": np.array([tokens[-1] if tokens else 0])}
            outputs = decoder.run(None, {one.name: inputs[one.name] for one in decoder.get_inputs()})
            found = {one.name: value for one, value in zip(decoder.get_outputs(), outputs, strict=True)}
            named |= {name.removeprefix("next_"): found[name] for name in found if name.startswith("next_")}
            tokens.append(int(found["probabilities"][0, 2:].argmax()) + 2)  # neither <unk> ...
            if found["probabilities"][0, 0] > found["probabilities"][0, 2:].max():  # ... nor after the end
                tokens.pop()
                break
        (row,) = model.predict([sentence], beam=1)
        assert target.decode(tokens).strip() == row["translation"]


def test_8_bits_of_both_files(folder: Path, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, runs["multi30k_de_en"], "quantize=int8", f"output={folder / 'small.onnx'}")
    assert capsys.readouterr().out.count("ONNX, int8") == 2
    assert {path.name for path in folder.glob("small-*.onnx")} == {
        f"small-{name}{kind}.onnx" for name in ("encoder", "decoder") for kind in ("", ".int8")
    }


@pytest.mark.parametrize("name", ["digits", "imdb"])
def test_8_bits(name: str, folder: Path, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, runs[name], "quantize=int8", f"output={folder / name}.onnx")
    lines = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert lines["PyTorch"][-1] == lines["ONNX"][-1]
    assert lines["PyTorch"][-1].endswith("%")
    assert lines["ONNX, int8"][-1].endswith("%")
    whole, small = ((folder / f"{name}{kind}.onnx").stat().st_size for kind in ("", ".int8"))
    assert small < whole


def test_8_bits_are_calibrated_with_a_few_rows_at_a_time(runs: dict[str, Path]) -> None:
    batch = {"input": torch.arange(10 * 64).reshape(10, 1, 8, 8), "index": torch.arange(10)}
    pieces = graph_of(sightseq.load(runs["digits"]).task).calibration([batch])
    assert pieces is not None
    rows = [piece["input"] for piece in pieces]
    assert [len(piece) for piece in rows] == [4, 4, 2]
    assert (np.concatenate(rows) == batch["input"].numpy()).all()


def test_torch_export(folder: Path, runs: dict[str, Path]) -> None:
    run(folder, runs["digits"], "format=torch")
    assert (runs["digits"] / "model.pt2").exists()
    with pytest.raises(ExportError, match=r"cannot trace this network .*format=onnx"):
        run(folder, runs["imdb"], "format=torch")
    assert not list(runs["imdb"].glob("*.pt2"))


def test_a_file_with_different_outputs_is_not_kept(
    folder: Path, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(path: Path) -> Any:
        call = load_onnx(path)
        return lambda arrays: [found * 1.001 for found in call(arrays)]

    name, save, _ = package.WAYS["onnx"]
    monkeypatch.setitem(package.WAYS, "onnx", (name, save, wrong))
    with pytest.raises(ExportError, match=r"differ from PyTorch's by up to 1\.0e-03 of the largest"):
        run(folder, runs["digits"], f"output={folder / 'wrong' / 'model.onnx'}")
    assert not list((folder / "wrong").iterdir())


class Distances(Graph):
    """A graph whose outputs are not probabilities: one real number per row."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.inputs, self.outputs = {"input": {0: "batch"}}, {"distance": {0: "batch"}}

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return inputs[0] * 2

    def example(self, batch: Batch, rows: int) -> Arrays:
        return [batch["input"][:rows].numpy()]

    def read(self, call: Call, batches: Iterable[Batch]) -> Iterator[tuple[Any, Any]]:
        for batch in batches:
            yield call(self.example(batch, 3))[0], batch["target"].numpy()

    def score(self, call: Call, batches: Iterable[Batch]) -> float:
        return 0.0


def test_outputs_that_are_not_probabilities_are_compared() -> None:
    def differ(values: list[float], factor: float) -> float:
        batch = {"input": torch.tensor(values), "target": torch.zeros(3)}
        data: Any = SimpleNamespace(val_dataloader=lambda: [batch])
        return package.largest_difference(Distances(), lambda arrays: [factor * arrays[0]], data)

    assert differ([-4.0, -1.0, 0.5], 2.2) == pytest.approx(0.1, abs=1e-6)
    assert differ([0.0, 0.0, 0.0], 2.2) == 0
    assert not differ([1.0, float("nan"), 0.0], 2.0) <= package.TOLERANCE
    assert Distances().calibration([]) is None


def test_user_errors(folder: Path, runs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="format=tflite"):
        run(folder, runs["digits"], "format=tflite")
    with pytest.raises(ConfigError, match="is for format=onnx"):
        run(folder, runs["digits"], "format=torch", "quantize=int8")


@pytest.fixture
def runtime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file in place of the package onnxruntime-web, in the cache."""
    path = folder / "cache" / "onnxruntime-web" / web.ARCHIVE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for member in web.MEMBERS:
            about = tarfile.TarInfo(f"package/dist/{member}")
            about.size = len(member)
            archive.addfile(about, io.BytesIO(member.encode()))
    monkeypatch.setattr(web, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_a_web_page(folder: Path, runs: dict[str, Path], runtime: Path) -> None:
    page = runs["digits"] / "web"
    run(folder, runs["digits"], "format=web", "quantize=float")
    settings = json.loads((page / "model.json").read_text())
    assert settings["labels"] == [str(number) for number in range(10)]
    assert settings["preprocessing"]["height"] == 8
    assert settings["drawing"]["background"] in (0, 255)
    assert (settings["input"], settings["output"]) == ("input", "probabilities")
    assert json.loads((page / "manifest.json").read_text())["name"] == settings["title"] == "Handwritten digits, 8x8"
    assert (page / "onnxruntime.js").read_text() == "ort.wasm.bundle.min.mjs"
    worker = (page / "service-worker.js").read_text().splitlines()
    files = json.loads(worker[1].removeprefix("const FILES = ").removesuffix(";"))
    assert set(files) == {"./", *(path.name for path in page.iterdir())} - {"service-worker.js"}
    image = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    (probabilities,) = load_onnx(page / "model.onnx")([image[None, None]])[0]
    (row,) = sightseq.load(runs["digits"]).predict([image])
    assert settings["labels"][probabilities.argmax()] == row["label"]
    assert probabilities.max() == pytest.approx(row["probability"], abs=1e-5)
    # An older export is replaced, and a browser sees that there is a new version.
    (page / "old.js").touch()
    run(folder, runs["digits"], "format=web", "quantize=int8")
    assert not (page / "old.js").exists()
    assert (page / "service-worker.js").read_text().splitlines()[0] != worker[0]


@pytest.mark.parametrize(("score", "change", "small"), [(0.896, 0.01, True), (0.894, 0.0, False), (0.9, 0.011, False)])
def test_a_web_page_has_int8_weights_if_they_cost_little(
    score: float,
    change: float,
    small: bool,
    folder: Path,
    runs: dict[str, Path],
    runtime: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(package, "compare_runtimes", lambda *_: (0.9, score))
    compare = package.largest_difference
    # Without a number of batches all are compared: the int8 file.
    monkeypatch.setattr(package, "largest_difference", lambda *a, **b: change if b else compare(*a))
    run(folder, runs["digits"], "format=web", f"output={folder / 'page'}")
    operations = {node.op_type for node in onnx.load(folder / "page" / "model.onnx").graph.node}
    assert ("DequantizeLinear" in operations) == small
    assert "QuantizeLinear" not in operations
    assert not (folder / "page" / "int8.onnx").exists()


@pytest.mark.parametrize(
    ("operation", "shape", "axis", "attributes"),
    [
        ("Conv", (4, 3, 2, 2), 0, {}),
        ("ConvTranspose", (3, 4, 2, 2), 1, {}),
        ("Gemm", (3, 4), 1, {}),
        ("Gemm", (4, 3), 0, {"transB": 1}),
        ("MatMul", (3, 4), 1, {}),
    ],
)
def test_int8_weights_have_a_scale_for_each_output_channel(
    operation: str, shape: tuple[int, ...], axis: int, attributes: dict[str, int], tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    weight = generator.normal(size=shape).astype(np.float32)
    sizes = np.array([0.01, 1, 100, 0], np.float32)  # of the channels; one is zero
    weight *= sizes.reshape([-1 if place == axis else 1 for place in range(weight.ndim)])
    inputs = generator.normal(size=(2, 3, *shape[2:])).astype(np.float32)
    node = onnx.helper.make_node(operation, ["x", "w"], ["y"], **attributes)
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, inputs.shape)
    found = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "one", [given], [found], [onnx.numpy_helper.from_array(weight, "w")])
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), whole)
    quantize_weights(whole, small)
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(small).graph.initializer}
    assert stored["w_int8"].dtype == np.int8
    assert np.abs(stored["w_int8"]).max(tuple({*range(weight.ndim)} - {axis})).tolist() == [127, 127, 127, 0]
    exact, rounded = (np.moveaxis(load_onnx(path)([inputs])[0], 1, 0).reshape(4, -1) for path in (whole, small))
    errors = np.abs(exact - rounded).max(1)
    assert (errors <= np.abs(inputs).sum() * stored["w_scale"] / 2).all()
    assert (errors > 0).tolist() == [True, True, True, False]


def test_web_pages_that_are_refused(
    folder: Path, runs: dict[str, Path], runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("imdb", "multi30k_de_en"):
        with pytest.raises(ExportError, match=r"format=web is for image classifiers, and this is .*use format=onnx"):
            run(folder, runs[name], "format=web")
        assert not (runs[name] / "web").exists()
    task = sightseq.load(runs["digits"]).task
    object.__setattr__(task.spec, "subject", "face")
    with pytest.raises(ExportError, match="cannot find them"):
        graph_of(task).web_page([])
    with pytest.raises(ConfigError, match=r"contains other files; name a new folder with output=FOLDER"):
        run(folder, runs["digits"], "format=web", f"output={runs['digits']}")
    runtime.write_bytes(b"half of it")
    with pytest.raises(DataError, match=r"is not the published file .*delete it and try again"):
        run(folder, runs["digits"], "format=web")
    runtime.unlink()

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("pooch.retrieve", offline)
    with pytest.raises(DataError, match=r"cannot download https://.*tgz .*put it into .* yourself, or .*paths\.cache="):
        run(folder, runs["digits"], "format=web")
