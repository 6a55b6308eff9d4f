"""Graphs as files: ONNX, torch.export, and ONNX in 8 bits."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch.onnx import symbolic_helper

from sightseq.core.errors import ExportError
from sightseq.core.graph import Arrays, Call, Graph

OPSET = 18
About = dict[str, str]
"""What a file says of itself."""


def save_onnx(graph: Graph, example: Arrays, path: Path, about: About) -> None:
    """Writes the graph as ONNX.

    By torch's exporter that is based on TorchScript: the newer one fixes the length of what bidirectional layers read
    (github.com/pytorch/pytorch/issues/191855).

    Raises:
        ExportError: it holds what ONNX or the exporter does not know.
    """
    # Its types do not know the function.
    torch.onnx.register_custom_op_symbolic("aten::_upsample_bilinear2d_aa", _resize, OPSET)  # type: ignore[attr-defined]
    # On an error it prints all that it has traced, which its own switch for that does not prevent.
    quiet = patch.object(torch._C, "_jit_onnx_log", lambda *text: None, create=True)
    with warnings.catch_warnings(), torch.no_grad(), quiet:
        warnings.simplefilter("ignore")  # of what is deprecated in it, and of sizes that are fixed on purpose
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
    """What the exporter lacks: torch's antialiased bilinear interpolation of [B, C, H, W] to a fixed size."""
    height, width = symbolic_helper._get_const(size, "is", "size")  # type: ignore[no-untyped-call]  # without types
    none = g.op("Constant", value_t=torch.tensor([]))
    first = g.op("Constant", value_t=torch.tensor([0]))
    kept = g.op("Slice", g.op("Shape", x), first, g.op("Constant", value_t=torch.tensor([2])))
    sizes = g.op("Concat", kept, g.op("Constant", value_t=torch.tensor([height, width])), axis_i=0)
    return g.op("Resize", x, none, none, sizes, antialias_i=1, exclude_outside_i=1, mode_s="linear")


def load_onnx(path: Path) -> Call:
    """Runs a file with onnxruntime, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def save_torch(graph: Graph, example: Arrays, path: Path, about: About) -> None:
    """Writes the graph as torch.export traces it.

    Raises:
        ExportError: it cannot be traced, such as recurrent layers over sequences of any length.
    """
    tensors = tuple(map(torch.from_numpy, example))
    shapes = {"inputs": tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in graph.inputs.values())}
    with warnings.catch_warnings(), path.open("wb") as stream:
        warnings.simplefilter("ignore")  # of what nn.LSTM does within, and of where weights lie
        try:
            program = torch.export.export(graph, tensors, dynamic_shapes=shapes)
        except Exception as error:  # of many kinds
            raise ExportError(
                f"torch.export cannot trace this network ({_first(error)}); format=onnx may do"
            ) from error
        torch.export.save(program, stream, extra_files=dict(about))


def load_torch(path: Path) -> Call:
    """Runs a file of `save_torch`."""
    with path.open("rb") as stream:
        module = torch.export.load(stream).module()

    def call(arrays: Arrays) -> Arrays:
        found = module(*map(torch.from_numpy, arrays))
        return [tensor.numpy(force=True) for tensor in (found if isinstance(found, tuple) else (found,))]

    return call


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # a library without types
    def __init__(self, inputs: Iterable[dict[str, Any]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._inputs, None)


def quantize(path: Path, smaller: Path, samples: Iterable[dict[str, Any]] | None) -> None:
    """Writes an ONNX file in 8 bits.

    Args:
        path: of the file in 32 bits.
        smaller: of the new one.
        samples: inputs of training, from which the ranges of what flows through the network are taken; without, as for
            recurrent networks, they are found anew at each call.

    Raises:
        ExportError: onnxruntime cannot do it.
    """
    folded = smaller.with_suffix(".folded")
    try:
        quant_pre_process(path, folded, skip_symbolic_shape=True)
        if samples is None:
            quantize_dynamic(folded, smaller)
        else:
            quantize_static(folded, smaller, _Reader(samples), QuantFormat.QDQ, per_channel=True)
    except Exception as error:  # of many kinds
        raise ExportError(f"onnxruntime cannot write this network in 8 bits: {_first(error)}") from error
    finally:
        folded.unlink(missing_ok=True)


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
