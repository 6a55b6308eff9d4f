"""Compares the training speed of eight common course networks in Keras 3 on TensorFlow and in this framework.

    uv run --group keras python scripts/compare_keras.py

Both train on the same random samples, with the same batch size and Adam, alternately on the same machine. Each
measurement runs in its own process. Keras trains with the defaults of `model.fit`, the framework with the defaults of
`sightseq train`. Writes conf/keras.json, from which scripts/record.py generates the table in RESULTS.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).parents[1]
RECORD = REPOSITORY / "conf" / "keras.json"
EPOCHS, REPEATS = 4, 3  # the first epoch is a warm-up
Arrays = dict[str, np.ndarray]


def data(name: str) -> tuple[Arrays, int]:
    """Return random samples, channels first, and the batch size."""
    random = np.random.default_rng(0)

    def images(count: int, *shape: int) -> np.ndarray:
        return random.integers(0, 256, (count, *shape)).astype(np.uint8)

    def tokens(*shape: int, vocabulary: int) -> np.ndarray:
        return random.integers(1, vocabulary, shape)

    if name == "cats and dogs":
        return {"input": images(640, 3, 150, 150), "target": random.integers(0, 2, 640)}, 32
    if name == "faces":
        return {"input": images(2560, 1, 48, 48), "target": random.integers(0, 7, 2560)}, 64
    if name == "denoising":
        clean = images(6400, 1, 28, 28)
        return {"input": images(6400, 1, 28, 28), "target": clean}, 128
    if name == "sentiment":
        return {"input": tokens(3200, 200, vocabulary=10_000), "target": random.integers(0, 2, 3200)}, 64
    if name == "text generation":
        found = tokens(20 * 60, 36, vocabulary=10_000)
        return {"input": found[:, :-1], "target": found[:, 1:]}, 20
    if name == "forecasting":
        return {
            "input": random.normal(size=(6400, 60, 1)).astype("f"),
            "target": random.normal(size=(6400, 1)).astype("f"),
        }, 32
    if name == "translation":
        found = tokens(3200, 21, vocabulary=8_000)
        source = tokens(3200, 20, vocabulary=8_000)
        return {"input": source, "before": found[:, :-1], "target": found[:, 1:]}, 64
    rolls = (random.random((1280, 101, 88)) < 0.05).astype(np.uint8)  # music
    return {"input": rolls[:, :-1], "target": rolls[:, 1:]}, 64


NAMES = (
    "cats and dogs",
    "faces",
    "denoising",
    "sentiment",
    "text generation",
    "forecasting",
    "translation",
    "music",
)


def keras_seconds(name: str) -> list[float]:
    """Return the seconds of each epoch but the first in Keras."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    from keras import layers as nn

    arrays, batch_size = data(name)
    x: Any = arrays["input"]
    y, loss = arrays["target"], "sparse_categorical_crossentropy"
    layers: list[Any] = []
    if x.ndim == 4:
        x = np.moveaxis(x, 1, 3).astype("f") / 255
    if name == "cats and dogs":
        for width in (32, 64, 128):
            layers += [nn.Conv2D(width, 3, padding="same", activation="relu"), nn.MaxPool2D()]
        layers += [nn.Flatten(), nn.Dense(512, "relu"), nn.Dense(1, "sigmoid")]
        loss = "binary_crossentropy"
    elif name == "faces":
        convs = [nn.Conv2D(width, 3, padding="same", activation="relu") for width in (64, 64, 128)]
        layers = [*convs[:2], nn.MaxPool2D(), nn.Dropout(0.25), convs[2], nn.MaxPool2D(), nn.Dropout(0.25)]
        layers += [nn.Flatten(), nn.Dense(1024, "relu"), nn.Dense(7, "softmax")]
    elif name == "denoising":
        convs = [nn.Conv2D(32, 3, padding="same", activation="relu") for _ in range(4)]
        layers = [convs[0], nn.MaxPool2D(), convs[1], nn.MaxPool2D(), convs[2], nn.UpSampling2D(), convs[3]]
        layers += [nn.UpSampling2D(), nn.Conv2D(1, 3, padding="same", activation="sigmoid")]
        y, loss = np.moveaxis(y, 1, 3).astype("f") / 255, "mse"
    elif name == "sentiment":
        layers, loss = [nn.Embedding(10_000, 32), nn.LSTM(64), nn.Dense(1, "sigmoid")], "binary_crossentropy"
    elif name == "text generation":
        layers = [nn.Embedding(10_000, 128), nn.LSTM(256, return_sequences=True), nn.Dense(10_000, "softmax")]
    elif name == "forecasting":
        layers, loss = [nn.LSTM(50, return_sequences=True), nn.LSTM(50), nn.Dense(1)], "mse"
    elif name == "music":
        layers = [nn.LSTM(128, return_sequences=True) for _ in range(2)] + [nn.Dense(88, "sigmoid")]
        x, y, loss = x.astype("f"), y.astype("f"), "binary_crossentropy"
    if name == "translation":
        source, before = (keras.Input((20,), dtype="int32") for _ in range(2))
        _, *state = nn.LSTM(256, return_state=True)(nn.Embedding(8_000, 256)(source))
        decoded = nn.LSTM(256, return_sequences=True)(nn.Embedding(8_000, 256)(before), initial_state=state)
        model = keras.Model([source, before], nn.Dense(8_000, "softmax")(decoded))
        x = [x, arrays["before"]]
    else:
        model = keras.Sequential([keras.Input(x.shape[1:], dtype="int32" if x.ndim == 2 else "float32"), *layers])
    model.compile("adam", loss)
    seconds: list[float] = []

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]  # a library without types
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.perf_counter() - self.began)

    model.fit(x, y, batch_size, EPOCHS, verbose=0, callbacks=[Clock()])
    return seconds[1:]


def our_seconds(name: str) -> list[float]:
    """Return the seconds of each epoch but the first in this framework."""
    import course_networks
    from lightning.pytorch import Callback

    from sightseq.bench import training_only_config
    from sightseq.composition import compose
    from sightseq.core.arrays import ArrayDataset
    from sightseq.core.environment import resolve_precision
    from sightseq.core.loading import BatchSampler, Loader
    from sightseq.core.logfile import log_to_file
    from sightseq.core.trainer import make_trainer

    arrays, batch_size = data(name)
    config = compose("optimizer=adam", "scheduler=none", "callbacks=default")
    task = course_networks.task(name, config["model"]["optimizer"])
    config = training_only_config(config)
    config["trainer"]["max_epochs"] = EPOCHS
    count = len(arrays["input"])
    if name == "sentiment":
        arrays["length"] = np.full(count, 200)
    elif name == "text generation":
        arrays["fresh"] = np.full(count, True)
    elif name == "music":
        arrays["length"] = np.full(count, 100)
    elif name == "denoising":
        arrays |= {"level": np.zeros(count, "f"), "size": np.full((count, 2), 28)}
    times: list[float] = []

    class Clock(Callback):
        def on_train_epoch_start(self, *_: Any) -> None:
            times.append(time.perf_counter())

        def on_train_end(self, *_: Any) -> None:
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder, log_to_file(Path(folder)):
        trainer = make_trainer(config, Path(folder), resolve_precision("auto"), task)
        trainer.callbacks.insert(0, Clock())
        trainer.progress_bar_callback.disable()
        trainer.fit(task, Loader(ArrayDataset(arrays, np.arange(count)), BatchSampler(count, batch_size, shuffle=True)))
    return [end - begin for begin, end in pairwise(times[1:])]  # an epoch ends where the next one begins


def measure(side: str, name: str) -> list[float]:
    """Measure the seconds per epoch of one side ("keras" or "ours") in a new process."""
    command = [sys.executable, __file__, "--one", side, name]
    found: list[float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return found


def main() -> None:
    """Measure all networks that are named; see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--one", choices=("keras", "ours"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps((keras_seconds if arguments.one == "keras" else our_seconds)(arguments.names[0])))
        return
    from importlib.metadata import version

    from sightseq.core.environment import commit, hardware, versions

    about = {"hardware": hardware(), "commit": commit()}
    about["versions"] = versions() | {name: version(name) for name in ("keras", "tensorflow")}
    found: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in arguments.names:
        seconds: dict[str, list[float]] = {"keras": [], "ours": []}
        for _ in range(REPEATS):
            for side, times in seconds.items():
                times += measure(side, name)
        arrays, batch_size = data(name)
        ratio = statistics.median(seconds["keras"]) / statistics.median(seconds["ours"])
        found[name] = about | {"samples": len(arrays["input"]), "batch_size": batch_size, **seconds, "ratio": ratio}
        print(f"{name}: {ratio:.2f} times as fast as Keras", flush=True)
        RECORD.write_text(json.dumps(found, indent=1) + "\n")
    print(f"geometric mean: {statistics.geometric_mean(one['ratio'] for one in found.values()):.2f}")


if __name__ == "__main__":
    main()
