"""Writes results down: record.py RUN_DIR [RUN_DIR ...] adds them to conf/results.json.

Then RESULTS.md and README's table of projects are written anew from that file.

The runs of one call are one measurement: the same experiment, other seeds or folds. Nothing is typed by hand; a
`--note TEXT` is added to what the runs say of themselves.
"""

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

from sightseq.composition import compose
from sightseq.core.naming import SECONDS, score_infos
from sightseq.core.places import experiments
from sightseq.core.rundir import read_config, without_repeats
from sightseq.sweep import mean_std

REPOSITORY = Path(__file__).parents[1]
RECORDS = REPOSITORY / "conf" / "results.json"
KERAS = REPOSITORY / "conf" / "keras.json"
START, END = "<!-- projects -->", "<!-- /projects -->"
HEAD = """# Results

Written by `scripts/record.py` from the `results.json` of the runs; do not edit. A run reads its test split once, after
training; recipes were tuned on validation data. ± is the standard deviation over seeds, or folds. Baselines were fitted
on the training and validation data together. Seconds are those of training alone, and with everything (imports apart).
"""


def record(folders: list[Path], note: str | None) -> tuple[str, dict[str, Any]]:
    """The name and the record of one measurement.

    Raises:
        SystemExit: the runs are not of one config or are of generated data, or one has not finished or has no test.
    """
    runs = [json.loads((folder / "results.json").read_text()) for folder in folders]
    configs, repeats = zip(*(without_repeats(read_config(folder)) for folder in folders), strict=True)
    folds = {one["data.fold"] for one in repeats}
    if any(config != configs[0] for config in configs) or not all(run["test"] for run in runs):
        raise SystemExit("these runs are not of one config, or have no test: nothing was recorded")
    if any(run["data"]["synthetic"] for run in runs):
        raise SystemExit("these runs are of generated data, which says nothing of the real task: nothing was recorded")
    first = runs[0]
    failed = {name for run in runs for name, found in run["baselines"].items() if "error" in found}
    if failed:
        print(f"left out, since it failed: the baseline {', '.join(sorted(failed))}")
    commands = sorted({run["sweep"] or run["command"] for run in runs})
    scores = {f"{s}/{m}": mean_std([run[s][m] for run in runs]) for s in ("val", "test") for m in first[s]}
    head = first["headline"]
    info = score_infos(first)[head]
    return first["experiment"], {
        **{key: first[key] for key in ("title", "task", "network", "parameters", "precision", "epochs", "data")},
        "headline": first["headline"],
        "metrics": first["metrics"],
        "summary": f"test {info.title} {info.mean_std_text(*scores[f'test/{head}'])}",
        "seeds": sorted({run["seed"] for run in runs}),
        "folds": sorted(folds - {None}),
        "scores": scores,
        "baselines": {
            name: {m: mean_std([run["baselines"][name]["test"][m] for run in runs]) for m in found["test"]}
            for name, found in first["baselines"].items()
            if name not in failed
        },
        "seconds": {key: mean_std([run["seconds"][key] for run in runs]) for key in ("fit", "total")},
        "hardware": first["hardware"],
        "versions": first["versions"],
        "commits": sorted({run["commit"] or "unknown" for run in runs}),
        "finished": max(run["finished"] for run in runs),
        "commands": commands,
        "note": note,
    }


def repeated(found: dict[str, Any]) -> tuple[str, list[int]]:
    """What the runs of a measurement differ in, and its values: folds, or else seeds."""
    word = "fold" if found["folds"] else "seed"
    values: list[int] = found[f"{word}s"]
    return word + "s" * (len(values) > 1), values


def page(records: dict[str, dict[str, Any]]) -> str:
    """RESULTS.md."""
    lines = [
        HEAD,
        "| experiment | data | network | test | runs | baselines | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in records.items():
        metric, infos = found["headline"], score_infos(found)
        info = infos[metric]
        # Most baselines know no seed, and so no deviation.
        scores = {name: scores[metric] for name, scores in found["baselines"].items()}
        baselines = ", ".join(f"{n} {info.mean_std_text(mean, std or math.nan)}" for n, (mean, std) in scores.items())
        seconds = " / ".join(SECONDS.mean_std_text(*found["seconds"][key]) for key in ("fit", "total"))
        score = info.mean_std_text(*found["scores"][f"test/{metric}"])
        word, values = repeated(found)
        lines.append(
            f"| [{name}](#{name}) | {found['data']['name']} | {found['network']}, {found['parameters']:,} parameters "
            f"| {info.title} **{score}** | {len(values)} {word} | {baselines} | {seconds} |"
        )
    for name, found in records.items():
        lines += ["", f"## {name}", "", found["title"] + (f". {found['note']}" if found["note"] else "."), ""]
        lines += ["```sh", *found["commands"], "```", ""]
        lines += ["| metric | validation | test |", "|---|---|---|"]
        for metric, info in score_infos(found).items():
            # Some are of the test alone.
            scores = [found["scores"].get(f"{split}/{metric}") for split in ("val", "test")]
            row = [info.mean_std_text(*score) if score else "\N{EN DASH}" for score in scores]
            lines.append(f"| {info.title} | {row[0]} | {row[1]} |")
        data, hardware = found["data"], found["hardware"]
        word, values = repeated(found)
        lines += [
            "",
            f"{data['train']:,} {data.get('counted', 'samples')} to train, {data['val']:,} to validate, "
            f"{data['test']:,} to test{read_in(data)}; {found['epochs']} epochs in {found['precision']}; "
            f"{word} {', '.join(map(str, values))}.",
            f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB, accelerator: "
            f"{hardware['accelerator']}; " + ", ".join(f"{n} {v}" for n, v in found["versions"].items()) + "; "
            f"commit {', '.join(found['commits'])}; finished {found['finished'][:10]}.",
        ]
    return "\n".join(lines + keras_table()) + "\n"


def read_in(data: dict[str, Any]) -> str:
    """How many streams were read side by side, which a perplexity depends on a little."""
    streams = data.get("streams")
    return f", in {', '.join(map(str, streams.values()))} streams" if streams else ""


def keras_table() -> list[str]:
    """The table of scripts/compare_keras.py, if it was run."""
    if not KERAS.exists():
        return []
    found = json.loads(KERAS.read_text())
    about = next(iter(found.values()))
    lines = [
        "",
        "## Keras",
        "",
        "The course networks by Keras 3 on TensorFlow and by this framework, in turn, each with its own defaults",
        "(here bf16 where the CPU has it, channels last, fused Adam, freed memory kept; pooling before ReLU, and the",
        "denoiser's last convolution before its pixels are doubled, which are the same functions): samples a second,",
        "medians of nine epochs, and in brackets the quartiles.",
        "",
        "```sh",
        "uv run --group keras python scripts/compare_keras.py",
        "```",
        "",
        "| network | Keras | sightseq | ratio |",
        "|---|---|---|---|",
    ]
    for name, one in found.items():
        rates = [rate(one["samples"], one[side]) for side in ("keras", "ours")]
        lines.append("| " + " | ".join([name, *rates, f"{one['ratio']:.2f}"]) + " |")
    mean = statistics.geometric_mean(one["ratio"] for one in found.values())
    hardware = about["hardware"]
    return [
        *lines,
        "",
        f"Geometric mean **{mean:.2f}**. {hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB; "
        + ", ".join(f"{n} {v}" for n, v in about["versions"].items())
        + f"; commit {', '.join(sorted({str(one['commit']) for one in found.values()}))}.",
    ]


def rate(samples: int, seconds: list[float]) -> str:
    """Samples a second: the median, and the quartiles."""
    high, middle, low = (samples / value for value in statistics.quantiles(seconds, method="inclusive"))
    return f"{middle:,.0f} ({low:,.0f} .. {high:,.0f})"


def projects(records: dict[str, dict[str, Any]]) -> str:
    """README's table: an experiment a line, with its two classes and its result."""
    head = "| project | experiment | LightningModule | LightningDataModule | network | result |"
    lines = [head, "|---|---|---|---|---|---|"]
    for name in experiments():
        config = compose(f"experiment={name}")
        classes = [config[part]["_target_"].rpartition(".")[2] for part in ("model", "data")]
        network = config["model"]["net"]
        network = network.get("name") or network["_target_"].rpartition(".")[2]
        # A dataset without a licence is the reader's own.
        missing = "not recorded" if config["data"].get("licence") else "yours"
        found = records.get(name, {}).get("summary", missing)
        lines.append(f"| {config['title']} | `{name}` | `{classes[0]}` | `{classes[1]}` | `{network}` | {found} |")
    return "\n".join(lines)


def main() -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", metavar="RUN_DIR")
    parser.add_argument("--note")
    arguments = parser.parse_args()
    records = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
    if arguments.folders:
        name, found = record(arguments.folders, arguments.note)
        records[name] = found
        print(f"{name}: {found['summary']}")
    records = dict(sorted(records.items()))
    RECORDS.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n")
    (REPOSITORY / "RESULTS.md").write_text(page(records))
    readme = REPOSITORY / "README.md"
    before, _, rest = readme.read_text().partition(START)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{START}\n{projects(records)}\n{END}{after}")


if __name__ == "__main__":
    main()
