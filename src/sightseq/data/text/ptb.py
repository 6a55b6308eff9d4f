"""The Penn Treebank, preprocessed for language models by Mikolov et al., 2010."""

from collections.abc import Iterator
from pathlib import Path

from sightseq.core.download import missing_error
from sightseq.data.text.streams import StreamData, read_text, synthetic_prose

FILES = {"train": "ptb.train.txt", "val": "ptb.valid.txt", "test": "ptb.test.txt"}


class PTB(StreamData):
    """Words of the Wall Street Journal: 929,589 train, 73,760 validation and 82,430 test, line ends included.

    Each line is a sentence. There are 10,000 distinct words; rare words are `<unk>`. If the test file is absent, the
    validation file is the test split, and the last sentences of the training file are the validation split.
    """

    def locate(self) -> list[Path]:
        """Return the files that exist: at least those of the training and validation splits.

        Raises:
            DataError: they are not there.
        """
        for base in (self.root / name for name in self.folders):
            for folder in (base, base / "data", base / "simple-examples" / "data"):
                found = {split: folder / name for split, name in FILES.items() if (folder / name).is_file()}
                if {"train", "val"} <= set(found):
                    return list(found.values())
        raise missing_error(self.name, self.root, self.folders, " and ".join(list(FILES.values())[:2]))

    def documents(self, sources: list[Path]) -> Iterator[tuple[str, str]]:
        """Yield each sentence as a document."""
        names = {name: split for split, name in FILES.items()}
        lines = {names[file.name]: "".join(read_text(file)).removesuffix("\n").split("\n") for file in sources}
        if "test" not in lines:
            cut = round(len(lines["train"]) * (1 - self.val_fraction))
            lines = {"train": lines["train"][:cut], "val": lines["train"][cut:], "test": lines["val"]}
        return ((split, line) for split, sentences in lines.items() for line in sentences)

    def write_synthetic(self, folder: Path) -> None:
        """Write 400 training, 40 validation and 40 test sentences."""
        for seed, (name, count) in enumerate(zip(FILES.values(), (400, 40, 40), strict=True)):
            (folder / name).write_text(synthetic_prose(count, seed))
