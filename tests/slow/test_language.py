"""Time and memory of language models. `pytest -m slow -n 0 -s tests/slow/test_language.py` prints the measurements."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import pytest
import torch

from sightseq.decoding.sampling import Sampling, sample
from sightseq.tasks.language_modeling.predict import LanguagePredictor
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import fit

pytestmark = pytest.mark.slow
WORDS = np.array([f"w{number:05}" for number in range(30_000)], object)
NET = {"_target_": "sightseq.nets.language.RecurrentLanguageModel", "embedding": 400}


@pytest.fixture(scope="module", params=[(400, 400), (1150, 1150, 400)], ids=["ptb", "ptb_long"])
def model(request: pytest.FixtureRequest) -> LanguagePredictor:
    """Models of 10,000 words: one trains on the Penn Treebank in an hour; AWD-LSTM has four times as many weights."""
    tokenizer = fit(list(WORDS[:10_000]), "words", 10_000, lowercase=False)
    spec = LanguageSpec(tokenizer.json, tokenizer.vocab_size)
    return LanguagePredictor(LanguageModelingTask(spec=spec.to_dict(), net={**NET, "hidden": request.param}), "cpu")


def test_the_time_per_token_does_not_depend_on_the_length(model: LanguagePredictor) -> None:
    times = []
    begun = time.perf_counter()
    for _ in sample(model.task, torch.zeros(1, 1, dtype=torch.long), 1000, Sampling()):
        times.append(time.perf_counter() - begun)
        begun = time.perf_counter()
    first, last = median(times[1:200]), median(times[-200:])
    print(f"\na token: {1e3 * first:.2f} ms among the first 200, {1e3 * last:.2f} ms among the last 200 of 1,000")
    assert last < 1.25 * first


def test_a_key_press_takes_at_most_20_ms(model: LanguagePredictor) -> None:
    _, state = model.probabilities(" ".join(WORDS[:500]))
    times = []
    for word in WORDS[500:700]:
        begun = time.perf_counter()
        probabilities, state = model.probabilities(word, state)
        model.best(probabilities, top=3, prefix="w09999")  # a prefix of one word in 10,000
        times.append(time.perf_counter() - begun)
    print(f"\na key press: {1e3 * median(times):.1f} ms, 95 of 100 at most {1e3 * quantiles(times, n=20)[-1]:.1f} ms")
    assert quantiles(times, n=20)[-1] < 0.02


def test_a_corpus_of_2_gb_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    peaks = [peak_memory(tmp_path, megabytes) for megabytes in (20, 2000)]
    assert peaks[1] < 1.25 * peaks[0]


def peak_memory(folder: Path, megabytes: int) -> int:
    """Write a corpus, train and test on it, and return the peak memory of the process in MB.

    Counts anonymous memory only (RssAnon), not cached file pages, which the system can drop at any time.
    """
    corpus = folder / str(megabytes)
    corpus.mkdir()
    generator = np.random.default_rng(0)
    for number in range(20):
        with (corpus / f"{number}.txt").open("w") as file:
            for _ in range(megabytes * 10**6 // 20 // 140_000):
                # Word frequencies as in English: Zipf, 1935.
                lines = WORDS[np.minimum(generator.zipf(1.2, (1000, 20)), len(WORDS)) - 1]
                file.writelines(" ".join(line) + "\n" for line in lines)
    arguments = ["experiment=text_files", f"data.path={corpus}", "data.unit=words", "data.vocab_size=10000"]
    arguments += ["trainer.max_epochs=2", "baseline=none", "model.net.embedding=64", "model.net.hidden=[64]"]
    arguments += [f"trainer.limit_{stage}_batches=500" for stage in ("train", "val", "test")]
    begun, most = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, "-c", "from sightseq.cli import main; main()", "train", *arguments])
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        most = max([most, *(int(line.split()[1]) // 1000 for line in status.splitlines() if "RssAnon" in line)])
        time.sleep(0.2)
    assert process.returncode == 0
    print(f"\n{megabytes} MB of text: at most {most} MB of memory, {time.perf_counter() - begun:.0f} s")
    return most
