"""Files with one transcript a line, as Kaldi and CMU Sphinx write them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sightseq.core.errors import DataError
from sightseq.data.transcribed import Sample
from sightseq.text.sentences import read_lines

SPHINX = re.compile(r"(?:<s>)?(.*?)(?:</s>)?\s*\(([^()\s]+)\)\s*")


def read_transcripts(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the place of each line, for messages, the id of its recording, and the transcript.

    A line is either "19-198-0000 NORTHANGER ABBEY" (LibriSpeech, Kaldi), or "<s> NORTHANGER ABBEY </s> (19-198-0000)"
    (CMU Sphinx). Empty lines are ignored; a transcript may be empty.

    Raises:
        DataError: the file is not UTF-8.
    """
    for number, line in enumerate(read_lines(file), 1):
        if sphinx := SPHINX.fullmatch(line):
            yield f"{file}, line {number}", sphinx[2], sphinx[1].strip()
        elif line.strip():
            name, *words = line.split(maxsplit=1)
            yield f"{file}, line {number}", name, words[0] if words else ""


def match(
    transcripts: Iterator[tuple[str, str, str]],
    recordings: Mapping[str, Path],
    speakers: Mapping[str, str],
    skip: bool,
    skipped: list[str],
) -> list[Sample]:
    """Return the recordings that transcripts name.

    Args:
        transcripts: see `read_transcripts`.
        recordings: recordings by id.
        speakers: the speaker of each id; it may have more or fewer.
        skip: leave out a transcript whose recording is not there.
        skipped: descriptions of these are appended.

    Raises:
        DataError: a recording is not there and `skip` is not set, or has two transcripts.
    """
    samples: dict[str, Sample] = {}
    for place, name, text in transcripts:
        if name in samples:
            raise DataError(f"{place}: {name} has another transcript; remove one of them")
        if name in recordings:
            samples[name] = Sample(recordings[name], text, speakers.get(name, ""))
        elif skip:
            skipped.append(f"{place}: there is no recording {name}")
        else:
            raise DataError(
                f"{place}: there is no recording {name}; add it, or leave such lines out with data.corrupt=skip"
            )
    return list(samples.values())


def by_stem(files: Sequence[Path]) -> dict[str, Path]:
    """Return the files by their names without suffix."""
    return {file.stem: file for file in files}
