"""The Penn Treebank as language models read it: Mikolov et al., 2010."""

from collections.abc import Iterator
from pathlib import Path

from sightseq.core.download import missing
from sightseq.data.text.streams import StreamData, read_text, synthetic_prose

FILES = {"train": "ptb.train.txt", "val": "ptb.valid.txt", "test": "ptb.test.txt"}


class PTB(StreamData):
    """929,589 words of the Wall Street Journal to train, 73,760 to validate and 82,430 to test, line ends included.

    A sentence a line, 10,000 different words, rare ones as `<unk>`. Where the file to test is absent, the one to
    validate tests, and the last sentences of the one to train validate.
    """

    def locate(self) -> list[Path]:
        """The files that are there: those to train and to validate at least."""
        for base in (self.root / name for name in self.folders):
            for folder in (base, base / "data", base / "simple-examples" / "data"):
                found = {split: folder / name for split, name in FILES.items() if (folder / name).is_file()}
                if {"train", "val"} <= set(found):
                    return list(found.values())
        raise missing(self.name, self.root, self.folders, " and ".join(list(FILES.values())[:2]))

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """Each sentence."""
        names = {name: split for split, name in FILES.items()}
        lines = {names[file.name]: "".join(read_text(file)).removesuffix("\n").split("\n") for file in sources}
        if "test" not in lines:
            cut = round(len(lines["train"]) * (1 - self.val_fraction))
            lines = {"train": lines["train"][:cut], "val": lines["train"][cut:], "test": lines["val"]}
        return ((split, line) for split, sentences in lines.items() for line in sentences)

    def write_synthetic(self, folder: Path) -> None:
        """400 sentences to train, 40 to validate and 40 to test."""
        for seed, (name, count) in enumerate(zip(FILES.values(), (400, 40, 40), strict=True)):
            (folder / name).write_text(synthetic_prose(count, seed))
