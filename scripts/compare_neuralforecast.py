"""Compares an LSTM of neuralforecast with one of this framework on the same windows of two series.

    uv run --group neuralforecast python scripts/compare_neuralforecast.py

Both train an encoder of one LSTM layer on the oil temperature of ETTh1 (if it is in $SIGHTSEQ_DATA) and on weekly CO2,
with the same training, validation and test windows, number of steps, batch size, loss (MAE), Adam and learning rate,
and validate once per epoch. Each window is normalised by its mean and standard deviation. The heads differ:
neuralforecast maps the states of the last steps to the forecast, one each, this framework maps the last state to all
steps. Precision and threads are the defaults of each. Every training runs in its own process, and the two sides
alternate. Writes conf/neuralforecast.json, from which scripts/record.py generates the table in RESULTS.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).parents[1]
RECORD = REPOSITORY / "conf" / "neuralforecast.json"
SEEDS = (1, 2, 3)
HIDDEN, LEARNING_RATE, BATCH_SIZE = 64, 0.001, 64
DATA = {
    "ETTh1, oil temperature": (5, ["experiment=ett_96", "data.targets=[OT]", "data.lookback=96", "data.calendar=[]"]),
    "co2": (20, ["experiment=co2", "data.calendar=[]"]),
}


def config(name: str, seed: int) -> dict[str, Any]:
    """Return the config of our side: the experiment's data, and a network, loss and optimizer common to both sides."""
    from sightseq.composition import compose

    epochs, overrides = DATA[name]
    return compose(
        *overrides,
        "model/net=forecasting/recurrent",
        "optimizer=adam",
        "scheduler=none",
        "baseline=none",
        "model.net.cell=lstm",
        f"model.net.hidden=[{HIDDEN}]",
        f"model.optimizer.lr={LEARNING_RATE}",
        "model.loss=mae",
        "model.normalisation=window",
        f"data.batch_size={BATCH_SIZE}",
        f"trainer.max_epochs={epochs}",
        "+callbacks.best.monitor=null",  # the last weights, as on the other side
        f"seed={seed}",
    )


def errors(difference: np.ndarray, std: float, scale: float) -> dict[str, float]:
    """Return MSE on the standardised scale and MASE of the errors [N, H]; NaN is not counted."""
    return {
        "mse": float(np.nanmean(np.square(difference / std))),
        "mase": float(np.nanmean(np.abs(difference / scale))),
    }


def ours(name: str, seed: int) -> dict[str, Any]:
    """Train and test in this framework."""
    import sightseq

    with tempfile.TemporaryDirectory() as folder:
        found = config(name, seed)
        found["paths"]["runs"] = folder
        results = sightseq.train(found)
    windows = results["data"]["train"] * results["epochs"]
    scores = {metric: results["test"][metric] for metric in ("mse", "mase")}
    return scores | {"seconds": results["seconds"]["fit"], "windows": windows, "parameters": results["parameters"]}


def theirs(name: str, seed: int) -> dict[str, Any]:
    """Train and test in neuralforecast, on the arrays and the windows of our data module."""
    import logging

    import pandas
    import pytorch_lightning
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MAE
    from neuralforecast.models import LSTM

    from sightseq.core.build import build
    from sightseq.core.datamodule import DataModule

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    found = config(name, seed)
    data = build(found["data"], DataModule, "data")
    data.prepare_data()
    spec: Any = data.spec
    splits: dict[str, Any] = {split: data.dataset(split) for split in ("train", "val", "test")}
    origins = {split: one.rows for split, one in splits.items()}
    arrays = splits["train"].arrays
    val, test, end = origins["val"][0], origins["test"][0], origins["test"][-1] + spec.horizon
    # Missing values are filled forward as on our side.
    table = pandas.DataFrame(
        {
            "unique_id": name,
            "ds": pandas.to_datetime(arrays["time"][:end], unit="s"),
            "y": arrays["values"][:end, 0].astype(np.float64),
        }
    )
    steps = -(-len(origins["train"]) // BATCH_SIZE)
    seconds: list[float] = []

    class Clock(pytorch_lightning.Callback):
        def on_fit_start(self, *_: Any) -> None:
            seconds.append(time.perf_counter())

        def on_fit_end(self, *_: Any) -> None:
            seconds.append(time.perf_counter())

    model = LSTM(
        h=spec.horizon,
        input_size=spec.lookback,
        encoder_n_layers=1,
        encoder_hidden_size=HIDDEN,
        decoder_layers=1,
        loss=MAE(),
        max_steps=DATA[name][0] * steps,
        val_check_steps=steps,
        learning_rate=LEARNING_RATE,
        batch_size=1,  # series
        windows_batch_size=BATCH_SIZE,
        training_data_availability_threshold=1.0,  # complete windows only
        scaler_type="standard",
        random_seed=seed,
        callbacks=[Clock()],
        enable_progress_bar=False,
        enable_checkpointing=False,
        logger=False,
    )
    forecasts = NeuralForecast([model], freq=pandas.infer_freq(table["ds"])).cross_validation(
        table, n_windows=None, val_size=int(test - val), test_size=int(end - test), step_size=1, verbose=0
    )
    predicted = forecasts.sort_values(["cutoff", "ds"])["LSTM"].to_numpy().reshape(-1, spec.horizon)
    first = np.arange(test, end - spec.horizon + 1)
    assert len(predicted) == len(first)
    rows = np.isin(first, origins["test"])  # ours leave out windows without any value
    target = arrays["target"][first[rows, None] + np.arange(spec.horizon), 0]
    scores = errors(predicted[rows] - target, spec.std[0], arrays["scale"][0, 0])
    parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    windows = DATA[name][0] * steps * BATCH_SIZE
    return scores | {"seconds": seconds[1] - seconds[0], "windows": windows, "parameters": parameters}


def measure(side: str, name: str, seed: int) -> dict[str, Any]:
    """Train one side ("ours" or "theirs") in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "found.json"
        command = [sys.executable, __file__, name, "--one", side, "--seed", str(seed), "--output", str(output)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(output.read_text())
        return found


def main() -> None:
    """Train both sides on all series that are named; see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=tuple(DATA), help=f"some of {', '.join(DATA)}")
    parser.add_argument("--one", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        found = (ours if arguments.one == "ours" else theirs)(arguments.names[0], arguments.seed)
        arguments.output.write_text(json.dumps(found))
        return
    from importlib.metadata import version

    from sightseq.core.environment import commit, hardware, versions

    about = {"hardware": hardware(), "commit": commit()}
    about["versions"] = versions() | {"neuralforecast": version("neuralforecast")}
    records: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in arguments.names:
        runs: dict[str, list[dict[str, Any]]] = {"theirs": [], "ours": []}
        for seed in SEEDS:
            for side, found in runs.items():
                found.append(measure(side, name, seed))
        records[name] = about | {"epochs": DATA[name][0]} | runs
        for side, found in runs.items():
            means = {key: np.mean([run[key] for run in found]) for key in ("mase", "mse", "seconds")}
            print(f"{name}, {side}: " + ", ".join(f"{key} {value:.4f}" for key, value in means.items()), flush=True)
        RECORD.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
