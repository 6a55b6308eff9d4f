"""Compares the speed of translation networks in JoeyNMT with that of the same networks in this framework.

    uv run python scripts/compare_joeynmt.py

Needs Multi30k in $SIGHTSEQ_DATA. JoeyNMT runs in its own environment, because it needs an old protobuf. Both sides
train on the same token ids (German to English, joint subwords) for one epoch with the same batch size, loss, optimizer
and dropout, and then translate the test set with a beam of 5. Threads are the defaults of each. JoeyNMT computes in 32
bits on a CPU; this framework also in its default precision for training (bf16 autocast where the CPU has it), in which
it then translates too. Each training runs in its own process. Writes
conf/joeynmt.json, from which scripts/record.py generates the table in RESULTS.md.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]
RECORD = REPOSITORY / "conf" / "joeynmt.json"
JOEYNMT = "joeynmt==2.3.0"
BATCH_SIZE, DECODED, BEAM, LONGEST = 64, 100, 5, 60  # sentences to train and to translate; hypotheses; tokens
EMBEDDING, ENCODER, DECODER, DROPOUT = 256, 256, 512, 0.2
LEARNING_RATE, SMOOTHING, CLIP = 0.001, 0.1, 1.0
LOGGED = 50  # steps between two lines of JoeyNMT's log
NETWORKS: dict[str, dict[str, Any]] = {
    "LSTM, multiplicative attention": {"cell": "lstm", "attention": "multiplicative", "input_feeding": False},
    "GRU, additive attention": {"cell": "gru", "attention": "additive", "input_feeding": False},
    "LSTM, multiplicative attention, input feeding": {
        "cell": "lstm",
        "attention": "multiplicative",
        "input_feeding": True,
    },
}
SIDES = ("JoeyNMT", "sightseq, 32-true", "sightseq, auto")


def config(network: dict[str, Any], precision: str) -> dict[str, Any]:
    """Return the config of our side."""
    from sightseq.composition import compose

    values = network | {"embedding": EMBEDDING, "encoder": [ENCODER], "decoder": [DECODER], "tied": False}
    values |= {f"{place}_dropout": DROPOUT for place in ("input", "hidden", "output")}
    return compose(
        "experiment=multi30k_de_en",
        *(f"model.net.{name}={value}" for name, value in values.items()),
        f"data.batch_size={BATCH_SIZE}",
        f"data.eval_batch_size={DECODED}",
        "optimizer=adam",
        "scheduler=none",
        "callbacks=[default]",
        "baseline=none",
        f"model.optimizer.lr={LEARNING_RATE}",
        f"model.label_smoothing={SMOOTHING}",
        f"trainer.gradient_clip_val={CLIP}",
        "trainer.max_epochs=1",
        "trainer.limit_val_batches=1",  # validation is not part of the comparison
        "run_test=false",
        f"precision={precision}",
        "seed=1",
    )


def prepared(found: dict[str, Any]) -> Any:
    """Return the data module of our side, with prepared data."""
    from sightseq.core.build import build
    from sightseq.core.datamodule import DataModule

    data = build(found["data"], DataModule, "data")
    data.prepare_data()
    return data


def ours(network: dict[str, Any], precision: str) -> dict[str, Any]:
    """Train and translate in this framework."""
    import torch

    import sightseq
    from sightseq.core import checkpoint
    from sightseq.core.environment import resolve_precision
    from sightseq.decoding.beam import BeamSearch
    from sightseq.text.quality import bleu
    from sightseq.text.tokenizer import UNKNOWN_ID

    found = config(network, precision)
    data = prepared(found)
    with tempfile.TemporaryDirectory() as folder:
        found["paths"]["runs"] = folder
        results = sightseq.train(found)
        (last,) = Path(folder).rglob("last.ckpt")
        task: Any = checkpoint.rebuild(checkpoint.read_checkpoint(last), str(last))
    task.eval()
    texts, references, tokens = [], [], 0
    half = resolve_precision(precision) == "bf16-mixed"
    began = time.perf_counter()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        for batch in data.test_dataloader():
            settings = BeamSearch(BEAM, LONGEST, length_penalty=1.0, forbidden=(UNKNOWN_ID,))
            for best, *_ in task.search(batch, settings):
                tokens += len(best.tokens) + 1
                texts.append(task.tokenizer.decode(best.tokens))
            references += task.references(batch)
    seconds = time.perf_counter() - began
    trained = sum(task.size(batch) for batch in data.train_dataloader())
    return {
        "parameters": results["parameters"],
        "training": trained / results["seconds"]["fit"],
        "decoding": len(texts) / seconds,
        "length": tokens / len(texts),
        "bleu": bleu(texts, references, "13a", lowercase=True),
    }


def sentences(data: Any, split: str) -> Iterator[tuple[str, str]]:
    """Yield source and target of each pair of a split as words, one for each token id, without EOS."""
    dataset = data.dataset(split)
    for row in dataset.rows.tolist():
        yield tuple(  # type: ignore[misc]  # two sides
            " ".join(f"t{token}" for token in tokens.row(row)[: most - 1] if token)
            for tokens, most in zip(dataset.tokens, dataset.max_tokens, strict=True)
        )


def theirs(network: dict[str, Any]) -> dict[str, Any]:
    """Train and translate in JoeyNMT."""
    from importlib.metadata import version

    from sightseq.text.quality import bleu
    from sightseq.text.tokenizer import Tokenizer

    data = prepared(config(network, "32-true"))
    spec: Any = data.spec
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split in ("train", "val", "test"):
            for language, side in zip(("src", "trg"), zip(*sentences(data, split), strict=True), strict=True):
                (folder / f"{split}.{language}").write_text("\n".join(side) + "\n")
        words = [f"t{number}" for number in range(2, spec.source.vocab_size)]
        (folder / "vocabulary.txt").write_text("\n".join(["<unk>", "<pad>", "<s>", "</s>", *words]) + "\n")
        steps = -(-len(data.dataset("train")) // BATCH_SIZE)
        settings = peer_config(folder, network, steps)
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        log = run_peer(folder, "train", "--skip-test")
        rates = [int(rate) for rate in re.findall(r"Tokens per Sec: +(\d+)", log)][1:]  # the first is a warm-up
        (parameters,) = re.findall(r"Total params: ([\d,]+)", log)
        log = run_peer(folder, "test", "--output-path", str(folder / "output"))
        seconds = float(re.findall(r"Generation took ([\d.]+)", log)[-1])  # of the test set
        tokenizer = Tokenizer(spec.target.tokenizer)
        rows = [line.split() for line in (folder / "output.test").read_text().splitlines()]
        texts = [tokenizer.decode([int(word[1:]) for word in row if word[0] == "t"]) for row in rows]
        dataset = data.dataset("test")
        references = list(dataset.arrays["target"][dataset.rows])
    return {
        "parameters": int(parameters.replace(",", "")),
        "training": len(rates) / sum(1 / rate for rate in rates),
        "decoding": len(texts) / seconds,
        "length": sum(len(row) + 1 for row in rows) / len(rows),
        "bleu": bleu(texts, references, "13a", lowercase=True),
        "torch": version("torch"),
    }


def run_peer(folder: Path, *arguments: str) -> str:
    """Run a command of JoeyNMT and return its output."""
    from importlib.metadata import version

    mode, *options = arguments
    command = ["uv", "run", "--no-project", "--isolated", "--python", sys.executable]
    for package in (JOEYNMT, f"torch=={version('torch')}", "setuptools<81", "importlib_metadata"):
        command += ["--with", package]
    command += ["python", "-m", "joeynmt", mode, str(folder / "config.yaml"), *options]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"JoeyNMT failed:\n{finished.stderr[-2000:]}")
    return finished.stdout + finished.stderr


def peer_config(folder: Path, network: dict[str, Any], steps: int) -> dict[str, Any]:
    """Return JoeyNMT's config of the same network and training."""
    side = {"max_length": 1000, "level": "word", "voc_file": str(folder / "vocabulary.txt"), "lowercase": False}
    layer = {
        "rnn_type": network["cell"],
        "embeddings": {"embedding_dim": EMBEDDING, "dropout": DROPOUT},
        "dropout": DROPOUT,
        "num_layers": 1,
    }
    attention = {"multiplicative": "luong", "additive": "bahdanau"}[network["attention"]]
    frequency = steps // LOGGED * LOGGED
    return {
        "name": "compare",
        "joeynmt_version": JOEYNMT.partition("==")[2],
        "model_dir": str(folder / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            **{name: str(folder / split) for name, split in (("train", "train"), ("dev", "val"), ("test", "test"))},
            "dataset_type": "plain",
            "sample_dev_subset": 10,  # validation is not part of the comparison
            "src": side | {"lang": "src"},
            "trg": side | {"lang": "trg"},
        },
        "training": {
            "loss": "crossentropy",
            "label_smoothing": SMOOTHING,
            "optimizer": "adam",
            "learning_rate": LEARNING_RATE,
            "scheduling": "exponential",  # it has no constant rate; this factor keeps it
            "decrease_factor": 1.0,
            "clip_grad_norm": CLIP,
            "batch_size": BATCH_SIZE,
            "batch_type": "sentence",
            "normalization": "tokens",
            "epochs": 1,
            "validation_freq": frequency,
            "logging_freq": LOGGED,
            "overwrite": True,
            "print_valid_sents": [0],
        },
        "testing": {
            "beam_size": BEAM,
            "beam_alpha": 1.0,
            "batch_size": DECODED,
            "batch_type": "sentence",
            "max_output_length": LONGEST,
            "generate_unk": False,
            "eval_metrics": ["bleu"],
        },
        "model": {
            "initializer": "xavier_uniform",
            "embed_initializer": "normal",
            "embed_init_weight": 0.1,
            "tied_embeddings": True,
            "tied_softmax": False,
            "encoder": layer | {"type": "recurrent", "hidden_size": ENCODER, "bidirectional": True},
            "decoder": layer
            | {
                "type": "recurrent",
                "hidden_size": DECODER,
                "hidden_dropout": DROPOUT,
                "init_hidden": "bridge",
                "attention": attention,
                "input_feeding": network["input_feeding"],
            },
        },
    }


def measure(name: str, side: str) -> dict[str, Any]:
    """Train and translate on one side in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "found.json"
        command = [sys.executable, __file__, name, "--one", side, "--output", str(output)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(output.read_text())
        return found


def main() -> None:
    """Measure all networks that are named; see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=tuple(NETWORKS), help=f"some of {', '.join(NETWORKS)}")
    parser.add_argument("--one", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        network, (framework, _, precision) = NETWORKS[arguments.names[0]], arguments.one.partition(", ")
        found = ours(network, precision) if framework == "sightseq" else theirs(network)
        arguments.output.write_text(json.dumps(found))
        return
    from sightseq.core.environment import commit, hardware, versions

    about = {"hardware": hardware(), "commit": commit(), "versions": versions() | {"joeynmt": JOEYNMT[9:]}}
    records: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in arguments.names:
        records[name] = about | {"sides": {}}
        for side in SIDES:
            found = records[name]["sides"][side] = measure(name, side)
            print(f"{name}, {side}: " + ", ".join(f"{key} {value}" for key, value in found.items()), flush=True)
        RECORD.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
