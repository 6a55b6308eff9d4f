"""`sightseq explain`: the steps from raw input to loss, in order of execution."""

import math
import re
from pathlib import Path

import pytest
import torch

import sightseq
from sightseq.composition import compose
from sightseq.explain import explain, shapes


def page(capsys: pytest.CaptureFixture[str], *overrides: str) -> list[str]:
    explain(compose(*overrides, command="explain"))
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line.strip()]


def row(lines: list[str], name: str) -> str:
    (found,) = [line for line in lines if re.match(rf"{re.escape(name)} [A-Z]", line)]
    return found


def test_shapes_and_parameters_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    lines = page(capsys, "model.net.channels=[16,32]", "model.net.convs_per_stage=1", "data.batch_size=8")
    assert "input [8, 1, 8, 8] uint8" in lines
    assert row(lines, "0").endswith("[8, 16, 8, 8] 144")  # 16 filters of 3 x 3
    assert row(lines, "1").endswith("[8, 16, 8, 8] 32")
    assert row(lines, "4").endswith("[8, 32, 4, 4] 4,608")
    assert lines[lines.index("loss and metrics") - 1] == f"all {144 + 32 + 4608 + 64 + 330:,}"
    order = [lines.index(found) for found in (row(lines, "augmentations.0"), row(lines, "pixels"), row(lines, "net"))]
    assert order == sorted(order)
    loss = re.search(r"ClassificationTask.step \S+ ([\d.]+), untrained$", row(lines, "loss"))[1]
    assert float(loss) == pytest.approx(math.log(10), abs=0.3)


def test_each_source_position_is_the_first_line_of_the_class(capsys: pytest.CaptureFixture[str]) -> None:
    lines = page(capsys, "experiment=python_docs", "debug=synthetic")
    package = Path(sightseq.__file__).parent
    found = [match for line in lines if (match := re.search(r"(\w+) \S*src/sightseq/(\S+):(\d+)", line))]
    assert len(found) > 8
    for match in found:
        written = (package / match[2]).read_text().splitlines()[int(match[3]) - 1 :][:3]
        assert any(re.match(rf" *(class {match[1]}\b|def )", line) for line in written), match[0]


def test_tied_weights_count_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = page(capsys, "experiment=python_docs", "debug=synthetic", "model.net.embedding=8", "model.net.hidden=[8]")
    (vocabulary,) = [int(match[1]) for line in lines if (match := re.search(r"vocab_size (\d+)", line))]
    assert row(lines, "embedding").endswith(f"{8 * vocabulary}")
    assert row(lines, "layers.0").endswith(f"and 2 more {2 * 4 * 8 * (8 + 1)}")
    assert row(lines, "head").endswith(f" {vocabulary}")  # its biases


def test_blocks_are_expanded_to_the_requested_depth(capsys: pytest.CaptureFixture[str]) -> None:
    deep = page(capsys, "experiment=fashion_mnist", "debug=synthetic")
    flat = page(capsys, "experiment=fashion_mnist", "debug=synthetic", "depth=1")
    assert len(flat) < len(deep)
    (all_deep,), (all_flat,) = ([line for line in lines if line.startswith("all ")] for lines in (deep, flat))
    assert all_deep == all_flat
    assert row(flat, "net").endswith(all_flat.removeprefix("all"))


def test_synthetic_data_replaces_missing_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert page(capsys, "experiment=mnist")[0].startswith("data mnist (synthetic)")


def test_shapes_of_any_module_output() -> None:
    one, two = torch.zeros(2, 3), torch.zeros(4)
    assert shapes(one) == "[2, 3]"
    assert shapes({"boxes": [one, (two, two)], "count": 3}) == "[2, 3] and 2 more"
    assert shapes((None, one)) == "[2, 3]"
    assert shapes(None) == shapes(7) == shapes([]) == ""
