"""Fuzzing with damaged files and odd texts. Every exception that is not a SightseqError is a failure."""

import contextlib
import faulthandler
import io
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image

from sightseq.composition import compose
from sightseq.core.build import build
from sightseq.core.datamodule import DataModule
from sightseq.core.errors import SightseqError
from sightseq.core.places import group_options
from sightseq.predict import print_predictions
from sightseq.tasks.classification.images import ImageClassificationTask
from sightseq.tasks.classification.predict_images import ImagePredictor
from sightseq.tasks.classification.predict_texts import TextPredictor
from sightseq.tasks.classification.texts import TextClassificationTask
from sightseq.tasks.language_modeling.predict import LanguagePredictor
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.text.spec import LanguageSpec, TextSpec
from sightseq.text.tokenizer import fit
from sightseq.vision.spec import ImageSpec

SECONDS = 10


class Hang(BaseException):
    """A case takes too long. A BaseException, so that no `except Exception` reports it as an input error."""


FORMATS = {
    "png": ["L", "RGB", "RGBA", "P", "1", "LA", "I;16"],
    "jpeg": ["L", "RGB", "CMYK"],
    "gif": ["P", "L"],
    "bmp": ["RGB", "1"],
    "tiff": ["RGB", "L", "F", "CMYK"],
    "webp": ["RGB", "RGBA"],
    "ppm": ["RGB"],
}
Case = Callable[[Random], None]


def run(kind: str, count: int, results: Any) -> None:
    """Run `count` cases in a separate process; send the failures and the peak memory of that process in MiB."""
    torch.set_num_threads(1)
    failures: list[str] = []

    def hang(*_: Any) -> None:
        raise Hang(f"takes more than {SECONDS} s")

    signal.signal(signal.SIGALRM, hang)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        case = KINDS[kind](Path(folder))
        for number in range(count):
            signal.alarm(SECONDS)
            faulthandler.dump_traceback_later(SECONDS + 5, exit=True)  # Python handlers do not run within native code
            try:
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    case(Random(number))
            except SightseqError as error:
                if "\n" in str(error) or not str(error):
                    failures.append(f"case {number}: {str(error)!r} is not one line")
            except BaseException:
                failures.append(f"case {number}: {traceback.format_exc()}")
            finally:
                signal.alarm(0)
                faulthandler.cancel_dump_traceback_later()
    scale = 2**20 if sys.platform == "darwin" else 2**10
    results.send((failures, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale))


def damaged(content: bytes, random: Random) -> bytes:
    """The content of a file with one to three random defects."""
    content_bytes = bytearray(content)
    for _ in range(random.randint(1, 3)):
        place, length = random.randrange(len(content_bytes) + 1), random.randint(1, 64)
        match random.randrange(8):
            case 0:
                del content_bytes[place:]
            case 1:
                del content_bytes[place : place + length]
            case 2:
                content_bytes[place:place] = random.randbytes(length)
            case 3:
                content_bytes[place : place + length] = random.randbytes(length)
            case 4 if content_bytes:
                content_bytes[random.randrange(len(content_bytes))] ^= 1 << random.randrange(8)
            case 5:
                place = random.randrange(min(len(content_bytes), 64) + 1)  # the header, which contains sizes
                content_bytes[place : place + 4] = random.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)])
            case 6:
                content_bytes[place:place] = content_bytes[place : place + length] * random.randint(1, 100)
            case _:
                content_bytes[:] = random.choice(
                    [b"", random.randbytes(length), bytes(length), b"<html>404 Not Found</html>"]
                )
    return bytes(content_bytes)


def odd_text(random: Random) -> str:
    """A random text of unusual characters."""
    alphabets = (
        "a b c",
        "<unk> <eos> [b] [/b] {} ${x} %s \\ ' \"",
        "\0\x1b[31m\r\n\t\x7f\u2028\ufeff",
        "\U0001f600\U0001f468\u200d\U0001f469",
        "\u0301\u0300a\u030a",
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "\u0627\u0631\u062f\u0648 \u202e",
        "\u4e2d\u6587",
        "\udc80\ud800",
        "\uffff\U0010ffff",
    )
    words = [
        "".join(random.choices(random.choice(alphabets), k=random.randint(0, 12))) for _ in range(random.randint(0, 20))
    ]
    return random.choice(["", " ", "\n"]).join(words) * random.choice([1, 1, 1, 1, 1000])


def images(folder: Path) -> Case:
    """Damaged images as inputs of predict."""
    spec = ImageSpec(3, 32, 32, ("a", "b"), (0.5,) * 3, (0.25,) * 3)
    net = {"_target_": "sightseq.nets.convnet.ConvNet", "channels": [4], "hidden": []}
    model = ImagePredictor(ImageClassificationTask(spec=spec.to_dict(), net=net), "cpu")
    good: list[tuple[str, bytes]] = []
    for name, modes in FORMATS.items():
        for mode in modes:
            stream = io.BytesIO()
            pixels = np.random.default_rng(0).integers(0, 256, (37, 41, 3)).astype(np.uint8)
            image = Image.fromarray(pixels)
            (image.convert("L") if mode == "I;16" else image).convert(mode).save(stream, name)
            good.append((name, stream.getvalue()))

    def case(random: Random) -> None:
        name, content = random.choice(good)
        path = folder / f"picture.{random.choice([name, 'png', 'jpg'])}"
        path.write_bytes(damaged(content, random))
        status = print_predictions(model, [str(path)], random.choice(["table", "jsonl"]), model.Settings(batch_size=2))
        assert status in (0, 2)

    return case


def texts(folder: Path) -> Case:
    """Odd texts and damaged text files as inputs of predict."""
    tokenizer = fit(["a film that is good", "a film that is bad"], "words", 20)
    spec = TextSpec(tokenizer.json, tokenizer.vocab_size, ("bad", "good"))
    net = {"_target_": "sightseq.nets.text.RecurrentClassifier", "embedding": 4, "hidden": [4]}
    classifier = TextPredictor(TextClassificationTask(spec=spec.to_dict(), net=net), "cpu")
    subwords = fit(["a film that is good", "a film that is bad"], "subwords", 300)
    language = LanguageSpec(subwords.json, subwords.vocab_size)
    net = {"_target_": "sightseq.nets.language.RecurrentLanguageModel", "embedding": 4, "hidden": [4]}
    writer = LanguagePredictor(LanguageModelingTask(spec=language.to_dict(), net=net), "cpu")

    def case(random: Random) -> None:
        given, format = odd_text(random), random.choice(["table", "jsonl"])
        if random.random() < 0.5:
            path = folder / random.choice(["lines.txt", "rows.csv", "rows.jsonl"])
            given = random.choice(["", "text\n"]) + given
            path.write_bytes(damaged(given.encode("utf-8", "surrogatepass"), random))
            given = str(path)
        if random.random() < 0.7:
            status = print_predictions(classifier, [given], format, classifier.Settings(batch_size=2))
        else:
            status = print_predictions(writer, [given], format, writer.Settings(tokens=3))
        assert status in (0, 2)

    return case


def readers(folder: Path) -> Case:
    """Datasets with one damaged file."""
    configs: dict[str, dict[str, Any]] = {}
    whole: dict[str, Path] = {}
    for name in group_options("data"):
        config = compose(f"data={name}")["data"] | {"url": None, "files": None, "cache": str(folder / name)}
        config |= {option: size for option, size in (("image_size", 32), ("margin", 0)) if option in config}
        data = build(config | {"synthetic": True}, DataModule, "data")
        data.prepare_data()
        if config.get("folders"):  # the others read files of installed Python packages
            configs[name], whole[name] = config, data.root

    def case(random: Random) -> None:
        name = random.choice(sorted(configs))
        own = folder / "own"
        shutil.rmtree(own, ignore_errors=True)
        data = build(configs[name] | {"root": str(own), "cache": str(own / "cache")}, DataModule, "data")
        shutil.copytree(whole[name] / data.folders[0], own / data.folders[0])
        path = random.choice(sorted(path for path in own.rglob("*") if path.is_file()))
        path.write_bytes(damaged(path.read_bytes(), random))
        data.prepare_data()
        next(iter(data.train_dataloader()))

    return case


KINDS: dict[str, Callable[[Path], Case]] = {"images": images, "texts": texts, "readers": readers}
