"""Write and run graphs as files: ONNX, torch.export, and int8 ONNX."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch.onnx import symbolic_helper

from sightseq.core.errors import ExportError
from sightseq.core.graph import Arrays, Call, Graph

OPSET = 18
OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
"""Operations with weights, and the axis of their output channels; `transB` makes it 0."""
About = dict[str, str]
"""Metadata of a file."""


def save_onnx(graph: Graph, example: Arrays, path: Path, about: About) -> None:
    """Write the graph as ONNX.

    Uses the exporter based on TorchScript, because the newer one fixes the sequence length of bidirectional recurrent
    layers (github.com/pytorch/pytorch/issues/191855).

    Raises:
        ExportError: the graph has an operation that ONNX or the exporter does not support.
    """
    # torch's type stubs lack this function.
    torch.onnx.register_custom_op_symbolic("aten::_upsample_bilinear2d_aa", _resize, OPSET)  # type: ignore[attr-defined]
    # On an error the exporter prints the whole traced graph; its own option does not prevent that.
    silence = patch.object(torch._C, "_jit_onnx_log", lambda *text: None, create=True)
    with warnings.catch_warnings(), torch.no_grad(), silence:
        warnings.simplefilter("ignore")  # deprecations inside torch, and sizes that are fixed on purpose
        try:
            torch.onnx.export(
                graph,
                tuple(map(torch.from_numpy, example)),
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_axes=graph.inputs | graph.outputs,
            )
        except Exception as error:  # of many kinds
            raise ExportError(f"this network cannot be written as ONNX: {_first(error)}") from error
    model = onnx.load(path)
    onnx.helper.set_model_props(model, about)
    onnx.save(model, path)


def _resize(g: Any, x: Any, size: Any, align_corners: Any, *scales: Any) -> Any:
    """Symbolic function that the exporter lacks: antialiased bilinear resize of [B, C, H, W] to a fixed size."""
    height, width = symbolic_helper._get_const(size, "is", "size")  # type: ignore[no-untyped-call]  # untyped
    none = g.op("Constant", value_t=torch.tensor([]))
    zero = g.op("Constant", value_t=torch.tensor([0]))
    batch_and_channels = g.op("Slice", g.op("Shape", x), zero, g.op("Constant", value_t=torch.tensor([2])))
    sizes = g.op("Concat", batch_and_channels, g.op("Constant", value_t=torch.tensor([height, width])), axis_i=0)
    return g.op("Resize", x, none, none, sizes, antialias_i=1, exclude_outside_i=1, mode_s="linear")


def load_onnx(path: Path) -> Call:
    """Return a function that runs the file with onnxruntime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def save_torch(graph: Graph, example: Arrays, path: Path, about: About) -> None:
    """Write the graph as a torch.export program.

    Raises:
        ExportError: the graph cannot be traced, such as recurrent layers over sequences of any length.
    """
    tensors = tuple(map(torch.from_numpy, example))
    shapes = {"inputs": tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in graph.inputs.values())}
    with warnings.catch_warnings(), path.open("wb") as stream:
        warnings.simplefilter("ignore")  # about nn.LSTM's internals and the memory layout of its weights
        try:
            program = torch.export.export(graph, tensors, dynamic_shapes=shapes)
        except Exception as error:  # of many kinds
            raise ExportError(
                f"torch.export cannot trace this network ({_first(error)}); format=onnx may do"
            ) from error
        torch.export.save(program, stream, extra_files=dict(about))


def load_torch(path: Path) -> Call:
    """Return a function that runs a file written by `save_torch`."""
    with path.open("rb") as stream:
        module = torch.export.load(stream).module()

    def call(arrays: Arrays) -> Arrays:
        outputs = module(*map(torch.from_numpy, arrays))
        return [tensor.numpy(force=True) for tensor in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return call


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # an untyped library
    def __init__(self, inputs: Iterable[dict[str, Any]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._inputs, None)


def quantize(path: Path, smaller: Path, samples: Iterable[dict[str, Any]] | None, exact: Iterable[str] = ()) -> None:
    """Quantise an ONNX file to int8.

    Args:
        path: the float32 file.
        smaller: the int8 file to write.
        samples: training inputs by name, from which the ranges of the activations are computed (static quantisation).
            None, as for recurrent networks: ranges are computed at each call (dynamic quantisation).
        exact: modules that stay in 32 bits: see `Graph.exact`.

    Raises:
        ExportError: onnxruntime cannot quantise the network.
    """
    preprocessed = smaller.with_suffix(".folded")
    try:
        quant_pre_process(path, preprocessed, skip_symbolic_shape=True)
        # A node's name is the path of its module; the exporter leaves out parents that were not called themselves.
        kept = [node.name for node in onnx.load(preprocessed).graph.node if {*exact} & {*node.name.split("/")[:-1]}]
        if samples is None:
            quantize_dynamic(preprocessed, smaller, nodes_to_exclude=kept)
        else:
            quantize_static(
                preprocessed, smaller, _Reader(samples), QuantFormat.QDQ, per_channel=True, nodes_to_exclude=kept
            )
    except Exception as error:  # of many kinds
        raise ExportError(f"onnxruntime cannot quantise this network to int8: {_first(error)}") from error
    finally:
        preprocessed.unlink(missing_ok=True)


def quantize_weights(path: Path, smaller: Path) -> None:
    """Write an ONNX file whose weights are int8, with a scale for each output channel; it computes in 32 bits.

    Outputs change less than with `quantize`, which rounds activations too.

    Args:
        path: the float32 file.
        smaller: the file to write.
    """
    model = onnx.load(path)
    weights = {one.name: one for one in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        transposed = any(one.name == "transB" and one.i for one in node.attribute)
        if node.op_type in OUTPUT_AXIS and node.input[1] in weights:
            stored = weights.pop(node.input[1])
            values = onnx.numpy_helper.to_array(stored)
            axis = 0 if transposed else OUTPUT_AXIS[node.op_type]
            largest = np.abs(values).max(tuple({*range(values.ndim)} - {axis}), keepdims=True)
            scale = np.where(largest == 0, 1, largest / 127).astype(np.float32)
            names = [f"{stored.name}_{part}" for part in ("int8", "scale")]
            arrays: list[NDArray[Any]] = [np.rint(values / scale).astype(np.int8), scale.ravel()]
            for name, array in zip(names, arrays, strict=True):
                weights[name] = onnx.numpy_helper.from_array(array, name)
            nodes.append(onnx.helper.make_node("DequantizeLinear", names, [stored.name], axis=axis))
        nodes.append(node)
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
    model.graph.ClearField("initializer")
    model.graph.initializer.extend(weights.values())
    onnx.save(model, smaller)


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
