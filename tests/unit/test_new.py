"""`sightseq new`: a copy of the template under a new name."""

import ast
import tomllib
from pathlib import Path

import pytest

from sightseq.core.errors import ConfigError
from sightseq.new import HELP, TEMPLATE, new


def test_the_template_is_written_under_the_new_name(capsys: pytest.CaptureFixture[str]) -> None:
    new(["deep/my_counting"])
    folder = Path("deep/my_counting")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-counting"
    assert project["entry-points"]["sightseq.conf"] == {"my_counting": "my_counting.conf"}
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {"task.py", "spec.py", "predict.py", "dots.yaml", "test_my_counting.py"} <= {file.name for file in files}
    for file in files:
        text = file.read_text()
        assert TEMPLATE not in text
        assert TEMPLATE not in str(file)
        if file.suffix == ".py":
            ast.parse(text)
    assert "pip install -e deep/my_counting" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one name"),
        (["a", "b"], "one name"),
        (["my-counting"], "letters, digits and underscores"),
        (["class"], "not a valid package name"),
        (["sightseq"], "not a valid package name"),
        (["there"], "there exists already"),
    ],
)
def test_invalid_package_names(arguments: list[str], words: str) -> None:
    Path("there").mkdir()
    with pytest.raises(ConfigError, match=words):
        new(arguments)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    new(["--help"])
    assert capsys.readouterr().out.strip() == HELP
