"""A user's own sentence pairs: two files, TSV, TMX, folders."""

from pathlib import Path
from typing import Any

import pytest

from sightseq.core.errors import ConfigError, DataError
from sightseq.data.parallel.parallel_files import ParallelFiles
from tests.unit.test_parallel import pairs_of

ROWS = [(f"satz {n}", f"sentence {n}") for n in range(40)]


def prepared(**arguments: Any) -> ParallelFiles:
    data = ParallelFiles(name="mine", root="data", cache="cache", vocab_size=400, **arguments)
    data.prepare_data()
    return data


def every(data: ParallelFiles) -> list[tuple[str, str]]:
    return sorted(pair for split in ("train", "val", "test") for pair in pairs_of(data, split))


def write(name: str, *lines: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return name


def tmx(*units: str, head: str = "", name: str = "mine.tmx") -> str:
    body = "".join(f"<tu>{unit}</tu>" for unit in units)
    return write(name, f'<?xml version="1.0"?>{head}<tmx version="1.4"><header srclang="de"/><body>{body}</body></tmx>')


def unit(source: str, target: str) -> str:
    return f'<tuv xml:lang="de-DE"><seg>{source}</seg></tuv><tuv xml:lang="EN"><seg>{target}</seg></tuv>'


def test_two_files_a_table_and_a_memory_give_the_same_pairs() -> None:
    files = {
        "path": write("mine.de", *(one for one, _ in ROWS)),
        "target_path": write("mine.en", *(t for _, t in ROWS)),
    }
    both = prepared(**files)
    assert both.spec.languages == ("de", "en")
    assert every(both) == sorted(ROWS)
    table = prepared(path=write("mine.tsv", *("\t".join(row) for row in ROWS)))
    assert table.spec.languages == ("source", "target")
    assert every(table) == sorted(ROWS)
    assert every(prepared(path=tmx(*(unit(*row) for row in ROWS)), source="de", target="en")) == sorted(ROWS)


def test_text_files_without_languages_in_their_names() -> None:
    data = prepared(
        path=write("one.txt", *(one for one, _ in ROWS)), target_path=write("two.txt", *(t for _, t in ROWS))
    )
    assert data.spec.languages == ("source", "target")
    with pytest.raises(ConfigError, match="are both en"):
        ParallelFiles(name="mine", path="one.txt", target_path="two.txt", source="en", target="en")


def test_a_folder_with_files_of_the_splits() -> None:
    write("mine/train.de", *(one for one, _ in ROWS))
    write("mine/train.en", *(two for _, two in ROWS))
    write("mine/test.tsv", "neu\tnew")
    data = prepared(path="mine", source="de", target="en")
    assert len(every(data)) == 41
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [36, 4, 1]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"train.txt": ["a"]}, r"needs train\.tsv, train\.tmx, or train\.de and train\.en"),
        ({"train.de": ["a"]}, r"there is mine/train\.de, but no mine/train\.en"),
        ({"train.de": ["a"], "train.en": ["a"], "train.tsv": ["a\tb"]}, "several files for train"),
        ({"train.de": ["a", "b", ""], "train.en": ["a", "b"]}, r"train\.de has 3 lines, and mine/train\.en has 2;"),
        ({"train.de": ["a", ""], "train.en": ["", "b"]}, "no pair with a text on both sides"),
        ({"train.tsv": ["a\tb", "no tab"]}, r"train\.tsv, line 2, has no tab"),
    ],
)
def test_bad_folders_are_refused(files: dict[str, list[str]], complaint: str) -> None:
    for name, lines in files.items():
        write(f"mine/{name}", *lines)
    with pytest.raises(DataError, match=complaint):
        prepared(path="mine", source="de", target="en")


def test_bad_paths_are_refused() -> None:
    with pytest.raises(DataError, match=r"data\.path=FOLDER"):
        prepared(path="nowhere")
    with pytest.raises(DataError, match=r"nowhere; name yours"):
        prepared(path=write("a.de", "x"), target_path="nowhere")
    with pytest.raises(DataError, match=r"a\.de is not \.tsv or \.tmx"):
        prepared(path="a.de")
    with pytest.raises(ConfigError, match=r"data\.path="):
        ParallelFiles(name="mine", target_path="a.de")


def test_quotes_have_no_meaning_and_empty_pairs_are_counted() -> None:
    rows = [*("\t".join(row) for row in ROWS), '"Ja\t"Yes', "\t", "", "leer\t"]
    data = prepared(path=write("mine.tsv", *rows))
    assert ('"Ja', '"Yes') in every(data)
    assert data.skipped == [f"mine.tsv, line {n}, where a side is empty" for n in (42, 43, 44)]


# TMX


def test_markup_of_other_programs_is_not_text() -> None:
    marked = unit("Ein <bpt i='1'>&lt;b></bpt><hi>gro\u00dfes</hi><ept i='1'>&lt;/b></ept>\n Haus &amp; Hof", "big")
    data = prepared(path=tmx(marked, *(unit(*row) for row in ROWS)), source="de", target="en")
    assert ("Ein gro\u00dfes Haus & Hof", "big") in every(data)


def test_units_without_both_languages_are_counted() -> None:
    lone = '<tuv xml:lang="de"><seg>allein</seg></tuv>'
    exact = [unit(*row).replace("de-DE", "de") for row in ROWS]
    data = prepared(path=tmx(lone, *exact, unit("a", "b")), source="de", target="en-US")
    assert every(data) == sorted(ROWS)  # "de" is exactly "de" where the file has it; "en-US" is "en"
    assert data.skipped == ["mine.tmx, line 1, without a text in de and in en"] * 2


BOMB = '<!DOCTYPE tmx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE tmx [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("head", [BOMB, OUTSIDE])
def test_entities_are_refused(head: str) -> None:
    with pytest.raises(DataError, match="declares the entity 'a', which is refused"):
        prepared(path=tmx(unit("&a;", "b"), head=head), source="de", target="en")


def test_a_reference_to_a_dtd_is_not_followed() -> None:
    head = '<!DOCTYPE tmx SYSTEM "tmx14.dtd">'
    assert every(prepared(path=tmx(*(unit(*row) for row in ROWS), head=head), source="de", target="en")) == sorted(ROWS)


def test_bad_memories_are_refused() -> None:
    with pytest.raises(DataError, match=r"has the languages de-de, en; name one with data\.source=CODE"):
        prepared(path=tmx(unit("a", "b")))
    with pytest.raises(DataError, match=r"name one with data\.target=CODE"):
        prepared(path="mine.tmx", source="de", target="fr")
    with pytest.raises(DataError, match=r"is not valid XML: .* line 2"):
        prepared(path=write("cut.tmx", "<tmx>", "<body"), source="de", target="en")
    with pytest.raises(DataError, match="is not valid XML"):
        prepared(path=write("odd.tmx", '<?xml version="1.0" encoding="no-such"?><tmx/>'), source="de", target="en")
