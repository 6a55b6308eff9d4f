"""Language modelling: loss, perplexity and bits by hand, the carried state, generation and next words."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import sightseq
from sightseq import predict as module
from sightseq.composition import compose
from sightseq.core.blocks import TextBlock
from sightseq.core.errors import ConfigError
from sightseq.core.loading import Batch
from sightseq.decoding.beam import BeamSearch
from sightseq.decoding.sampling import Sampling
from sightseq.nets.language import RecurrentLanguageModel
from sightseq.tasks.language_modeling.keystrokes import Keyboard, KeystrokeSavings
from sightseq.tasks.language_modeling.predict import LanguagePredictor, truncate_at_stop
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.text.spec import LanguageSpec
from sightseq.text.tokenizer import StreamDecoder, Tokenizer, fit

WORDS = fit(["the king loves the queen and the queen fears the king"], "words", 100)
NET = {
    "_target_": "sightseq.nets.language.RecurrentLanguageModel",
    "embedding": 8,
    "hidden": [8],
    "tied": False,
}


def make(tokenizer: Tokenizer = WORDS, **net: Any) -> LanguageModelingTask:
    torch.manual_seed(0)
    spec = LanguageSpec(tokenizer.json, tokenizer.vocab_size)
    return LanguageModelingTask(spec=spec.to_dict(), net=NET | net).eval()


def windows(tokens: Tensor, length: int) -> list[Batch]:
    """The batches of one stream of tokens, one window each."""
    before = F.pad(tokens[:-1], (1, 0))
    return [
        {
            "input": before[None, start : start + length],
            "target": tokens[None, start : start + length],
            "fresh": torch.tensor([start == 0]),
            "index": torch.tensor([start]),
        }
        for start in range(0, len(tokens), length)
    ]


def scores(task: LanguageModelingTask, batches: list[Batch], stage: str = "test") -> dict[str, float]:
    metrics = task.scoreboard.metrics(stage)
    metrics.reset()
    for batch in batches:
        task.scoreboard.update(stage, task.step(batch, stage))
    return {name: float(value) for name, value in metrics.compute().items()}


TEXT = "the queen loves the king and the king fears a ghost"
TOKENS = torch.tensor([*WORDS.encode(TEXT), 0])


@pytest.mark.parametrize("length", [1, 3, 5, 100])
def test_perplexity_and_bits_by_hand_whatever_the_window(length: int) -> None:
    task = make()
    with torch.no_grad():
        found = scores(task, windows(TOKENS, length))
        logits, _ = task(F.pad(TOKENS[:-1], (1, 0))[None])
    nats = -logits[0].log_softmax(1)[torch.arange(len(TOKENS)), TOKENS]
    assert found["loss"] == pytest.approx(nats.mean().item(), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(nats.mean().item()), rel=1e-5)
    # "a" and "ghost" are unknown: their tokens decode to "<unk>", five characters and a space.
    characters = len(TEXT.replace(" a ", " <unk> ").replace("ghost", "<unk>")) + 1
    assert found["bits_per_character"] == pytest.approx(nats.sum().item() / math.log(2) / characters, rel=1e-5)
    top = logits[0].topk(3).indices
    assert found["accuracy"] == pytest.approx((top[:, 0] == TOKENS).float().mean().item())
    assert found["top3"] == pytest.approx((top == TOKENS[:, None]).any(1).float().mean().item())


@pytest.mark.parametrize(
    ("unit", "text"), [("subwords", "naïve \U0001f600 नमस्ते\nqueen"), ("characters", "naïve \U0001f600 नमस्ते\nqueen")]
)
def test_character_counts_of_tokens_sum_to_the_length_of_the_text(unit: Any, text: str) -> None:
    tokenizer = fit([TEXT, "naïve"], unit, 300)
    counts = tokenizer.characters()
    assert sum(counts[token_id] for token_id in tokenizer.encode(text)) == len(text)
    assert counts[0] == 0


def test_each_stage_has_its_own_state() -> None:
    task, (first, second) = make(), windows(TOKENS, 6)
    with torch.no_grad():
        task.step(first, "train")
        carried = task.step(second, "train").loss_sum
        task.step(first, "train")
        task.step(first, "val")
        task.step(second, "val")
        task.step(first, "val")
        assert torch.equal(task.step(second, "train").loss_sum, carried)
        alone = task.step({**second, "fresh": torch.tensor([True])}, "train").loss_sum
    assert not torch.equal(alone, carried)


def test_only_fresh_streams_lose_their_state() -> None:
    task, (first, second) = make(), windows(TOKENS[:10], 5)
    both = {name: torch.cat([value, value]) for name, value in first.items()}
    later = {name: torch.cat([value, value]) for name, value in second.items()}
    with torch.no_grad():
        task.step(both, "val")
        kept = task.step({**later, "fresh": torch.tensor([False, False])}, "val").loss_sum
        task.step(both, "val")
        mixed = task.step({**later, "fresh": torch.tensor([False, True])}, "val").loss_sum
        task.step(both, "val")
        fresh = task.step({**later, "fresh": torch.tensor([True, True])}, "val").loss_sum
    assert mixed.item() == pytest.approx((kept.item() + fresh.item()) / 2, rel=1e-5)


def test_a_checkpoint_contains_the_state() -> None:
    task, (first, second) = make(), windows(TOKENS, 6)
    with torch.no_grad():
        task.step(first, "train")
        checkpoint: dict[str, Any] = {}
        task.on_save_checkpoint(checkpoint)
        other = make()
        other.on_load_checkpoint(checkpoint)
        assert torch.equal(other.step(second, "train").loss_sum, task.step(second, "train").loss_sum)


def test_gradients_stop_at_the_start_of_the_window() -> None:
    task, (first, second) = make().train(), windows(TOKENS, 6)
    task.step(first, "train").loss_sum.backward()
    task.step(second, "train").loss_sum.backward()  # torch would raise if the graph reached into the first window


def test_weights_are_tied() -> None:
    tied = make(tied=True, embedding=4).net
    assert tied.head.weight is tied.embedding.weight
    assert tied.bridge.weight.shape == (4, 8)
    assert make(tied=True).net.bridge is None
    with pytest.raises(ConfigError, match="cannot be bidirectional"):
        make(bidirectional=True)


def test_an_untrained_model_predicts_zipf_frequencies() -> None:
    net = RecurrentLanguageModel(4, embedding=2, hidden=[2], zipf=True)
    nn.init.zeros_(net.embedding.weight)
    shares = torch.tensor([12.0, 6.0, 4.0, 3.0]) / 25  # 1, 1/2, 1/3 and 1/4, normalised
    torch.testing.assert_close(net(torch.tensor([[0]]))[0].softmax(2)[0, 0], shares)


# Keystroke savings

KEYS = fit(["car cars care cat dog dogs"], "words", 100)


def test_key_presses_by_hand() -> None:
    token_ids = {word: KEYS.encode(word)[0] for word in ("car", "cars", "care", "cat", "dog", "dogs")}
    keyboard, logits = Keyboard(KEYS), torch.zeros(1, KEYS.vocab_size)
    logits[0, 0] = logits[0, 1] = 99  # <eos> and <unk> are not proposed
    for place, word in enumerate(["cars", "care", "cat", "dogs", "dog", "car"]):
        logits[0, token_ids[word]] = 10 - place
    expected = {
        "cars": 1,  # proposed before any letter
        "cat": 1,  # the third proposal
        "dogs": 2,  # d
        "dog": 2,  # d: dogs, dog
        "car": 4,  # c: cars, care, cat; ca: the same; car: proposed, but all its letters are typed by then
    }
    for word, presses in expected.items():
        assert keyboard.presses(logits, torch.tensor([token_ids[word]])).tolist() == [presses], word
    assert keyboard.presses(logits, torch.tensor([0])).tolist() == [0]
    metric = KeystrokeSavings(keyboard)
    tokens = torch.tensor([token_ids["cars"], token_ids["car"], 1, -1])
    metric.update(torch.tensor([1, 4, 0, 3]), tokens)
    assert metric.compute().item() == pytest.approx(1 - (1 + 4) / (5 + 4))


def test_keystroke_savings_need_words_and_the_test_stage() -> None:
    assert "keystroke_savings" in make().scoreboard.metrics("test")
    assert "keystroke_savings" not in make().scoreboard.metrics("val")
    assert "keystroke_savings" not in make(fit(["a"], "subwords", 258)).scoreboard.metrics("test")


def test_samples_of_an_epoch_use_the_validated_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """With EMA, these are the averaged weights."""
    seen: list[tuple[str, float]] = []
    samples, step = LanguageModelingTask._samples, LanguageModelingTask.step

    def recorded_samples(task: LanguageModelingTask, count: int) -> list[str]:
        if task.trainer.state.fn == "fit":
            seen.append(("sample", task.net.embedding.weight.sum().item()))
        return samples(task, count)

    def recorded_step(task: LanguageModelingTask, batch: Batch, stage: str) -> Any:
        if stage == "val" and task.trainer.state.fn == "fit":
            seen.append(("val", task.net.embedding.weight.sum().item()))
        return step(task, batch, stage)

    monkeypatch.setattr(LanguageModelingTask, "_samples", recorded_samples)
    monkeypatch.setattr(LanguageModelingTask, "step", recorded_step)
    bricks = (
        "experiment=python_docs",
        "data.synthetic=true",
        "callbacks=[default,ema]",
        "baseline=none",
        "trainer.max_epochs=1",
    )
    sightseq.train(compose(*bricks, "model.net.embedding=4", "model.net.hidden=[4,4]") | {"run_test": False})
    assert {kind for kind, _ in seen} == {"sample", "val"}
    assert len({weight for _, weight in seen}) == 1


# Generation


class Successor(nn.Module):
    """Predicts id + 1 after each token with a probability of almost 1; the state is the last token."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return 50 * F.one_hot((tokens + 1) % self.size, self.size).float(), [(tokens[None, :, -1:].float(),)]


def successor(tokenizer: Tokenizer = WORDS) -> LanguagePredictor:
    task = make(tokenizer)
    task.net = Successor(tokenizer.vocab_size)
    return LanguagePredictor(task, "cpu")


ORDERED = [WORDS.decode([n]) for n in range(WORDS.vocab_size)]  # <eos>, <unk> and the words


def test_a_perfect_model_needs_one_key_press_per_word() -> None:
    tokens = torch.tensor([*range(1, WORDS.vocab_size), 0])  # an unknown word, all other words, an end
    saved = scores(successor().task, windows(tokens, 4))["keystroke_savings"]
    assert saved == pytest.approx(1 - len(ORDERED[2:]) / sum(len(word) + 1 for word in ORDERED[2:]))


def test_generation_continues_the_prompt() -> None:
    found = successor().generate(ORDERED[3], tokens=3, samples=2)
    assert found == [" " + " ".join(ORDERED[4:7])] * 2


def test_texts_end_before_a_stop_string() -> None:
    model = successor()
    assert model.generate(ORDERED[2], tokens=5, stop=[ORDERED[4]]) == [f" {ORDERED[3]} "]
    steps = list(model.stream(ORDERED[2], 5, 1, Sampling(), stop=[ORDERED[4]]))
    assert len(steps) == 2
    assert truncate_at_stop("a b c b", ["c", "b"]) == "a "


def test_the_unknown_word_is_never_generated_and_an_end_is_a_line_break() -> None:
    last = ORDERED[-1]
    (text,) = successor().generate(last, tokens=2, sampling=Sampling(temperature=0))
    assert text.startswith("\n")
    assert "<unk>" not in text


def test_characters_are_decoded_when_they_are_complete() -> None:
    tokenizer = fit(["ab"], "subwords", 258)
    stream = StreamDecoder(tokenizer)
    added = [stream.add(token_id) for token_id in tokenizer.encode("é\U0001f600a")]
    assert added == ["", "é", "", "", "", "\U0001f600", "a"]
    words = StreamDecoder(WORDS)
    token_ids = [*WORDS.encode("the king"), 0, *WORDS.encode("the")]
    assert "".join(words.add(token_id) for token_id in token_ids) == "the king\nthe"
    words = StreamDecoder(WORDS, begins=False)
    assert "".join(words.add(token_id) for token_id in WORDS.encode("the king")) == " the king"
    symbols = fit(["a , b"], "words", 9)
    words = StreamDecoder(symbols)
    assert "".join(words.add(token_id) for token_id in symbols.encode("a, b")) == "a, b"


@pytest.mark.parametrize("prompt", ["", "the", "the king loves"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_scores_of_a_beam_are_those_of_its_texts(prompt: str, cell: str) -> None:
    task = make(cell=cell, hidden=[8, 6])
    task.net.head.weight.data *= 20
    rows = LanguagePredictor(task, "cpu").search(prompt, BeamSearch(6, 5, length_penalty=0.5, forbidden=(1,)))
    assert len(rows) == 6
    assert len({row["text"] for row in rows}) == 6
    for row in rows:
        before, after = WORDS.encode(prompt), WORDS.encode(row["text"])
        if len(after) < 5:  # the end of the document is part of the text
            after.append(0)
        with torch.no_grad():
            logits, _ = task(torch.tensor([[0, *before, *after]]))
        log_p = logits[0].log_softmax(1)[len(before) : -1].gather(1, torch.tensor(after)[:, None]).sum().item()
        assert row["log_probability"] == pytest.approx(log_p, abs=1e-4)
        assert row["score"] == pytest.approx(log_p / len(after) ** 0.5, abs=1e-4)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


def test_a_beam_ends_before_a_stop_string_and_at_the_end_of_the_document() -> None:
    model, settings = successor(), BeamSearch(3, 20, forbidden=(1,))
    assert model.search(ORDERED[2], settings, stop=[ORDERED[5]])[0]["text"] == f" {ORDERED[3]} {ORDERED[4]} "
    best = model.search(ORDERED[-2], settings)[0]
    assert best["text"] == f" {ORDERED[-1]}"
    assert best["score"] == pytest.approx(0, abs=1e-6)


def test_next_words_are_the_most_probable_ones() -> None:
    model = successor()
    ((word, probability), *others) = model.next_words(f"{ORDERED[2]} {ORDERED[3]}", top=3)
    assert word == ORDERED[4]
    assert probability == pytest.approx(1, abs=1e-3)
    assert len(others) == 2
    assert {"<eos>", "<unk>"}.isdisjoint(word for word, _ in others)
    assert [word for word, _ in model.next_words("the", top=9, prefix="k")] == ["king"]
    with pytest.raises(ConfigError, match="the tokens of this model are not words"):
        successor(fit(["ab"], "subwords", 258)).next_words("a")


def test_a_key_press_continues_from_the_state() -> None:
    model = LanguagePredictor(make(), "cpu")
    whole, _ = model.probabilities("the king loves")
    _, state = model.probabilities("the king")
    torch.testing.assert_close(model.probabilities("loves", state)[0], whole)


def run(monkeypatch: pytest.MonkeyPatch, *changes: str) -> int:
    monkeypatch.setattr(module, "load", lambda path, device: successor())
    return module.predict(compose("ckpt=x", f"input={ORDERED[2]}", *changes, command="predict"))


def test_the_command_streams_one_text(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, "tokens=2") == 0
    assert capfd.readouterr().out == f"{' '.join(ORDERED[2:5])}\n"


def test_an_integer_may_be_written_as_a_float(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, "tokens=2.0") == 0
    assert capfd.readouterr().out == f"{' '.join(ORDERED[2:5])}\n"


def test_the_command_prints_many_texts(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, "tokens=2", "samples=3", "format=jsonl") == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert rows == [{"prompt": ORDERED[2], "text": f" {ORDERED[3]} {ORDERED[4]}"}] * 3


def test_several_texts_are_streamed(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, "tokens=2", "samples=3") == 0
    assert capfd.readouterr().out == f"{' '.join(ORDERED[2:5])}\n\n" * 3


def test_the_command_prints_the_texts_of_a_beam(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, "tokens=2", "beam=5") == 0
    assert capfd.readouterr().out == f"{' '.join(ORDERED[2:5])}\n"
    assert run(monkeypatch, "tokens=2", "beam=3", "samples=2", "format=jsonl") == 0
    first, second = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert first == {
        "prompt": ORDERED[2],
        "text": f" {ORDERED[3]} {ORDERED[4]}",
        "log_probability": pytest.approx(0, abs=1e-6),
        "score": pytest.approx(0, abs=1e-6),
    }
    assert second["score"] < -10
    assert run(monkeypatch, "tokens=2", "beam=3", "samples=2") == 0
    assert capfd.readouterr().out == f"{ORDERED[2]}{first['text']}\n\n{ORDERED[2]}{second['text']}\n\n"
    assert "<unk>" not in second["text"]


def test_a_beam_repeats_no_ngram(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def stutter(tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return 9 * F.one_hot(tokens * 0 + 2, WORDS.vocab_size).float(), None

    model = successor()
    monkeypatch.setattr(model.task.net, "forward", stutter)
    assert model.predict([""], beam=2, tokens=4)[0]["text"] == " ".join([ORDERED[2]] * 4)
    words = model.predict([""], beam=2, tokens=4, no_repeat_ngram=2)[0]["text"].split()
    assert words[:2] == [ORDERED[2]] * 2
    assert words[2] != ORDERED[2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("beam=5 temperature=0.5", "temperature=0.5: has no effect with beam=5, which does not sample"),
        ("beam=5 seed=1", "seed=1: has no effect with beam=5"),
        ("no_repeat_ngram=3", "no_repeat_ngram=3: has no effect with sampling; it needs beam=5"),
        ("beam=2 samples=3", "samples=3: beam=2 finds at most 2 texts"),
        ("mode=next_word beam=2", "beam=2: has no effect with mode=next_word"),
        ("beam=0", "beam"),
        ("beam=2 no_repeat_ngram=-1", "no_repeat_ngram"),
    ],
)
def test_options_that_do_not_fit_a_beam_are_refused(wrong: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=message):
        run(monkeypatch, *wrong.split())


def test_unknown_words_are_named(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, "tokens=1", f"input='Zxq {ORDERED[2]} zxq'") == 0
    assert capfd.readouterr().err == "Warning: the model does not know: Zxq, zxq\n"
    assert run(monkeypatch, "tokens=1") == 0
    assert not capfd.readouterr().err


def test_the_command_proposes_words(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert run(monkeypatch, "mode=next_word", "top=2") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[1].split() == [ORDERED[3], "100.0", "%"]
    assert len(lines) == 3


@pytest.mark.parametrize(
    "wrong",
    ["temperature=-1", "temperature=inf", "mode=guess", "tokens=0", "top_p=2", "stop=END", "tokens=a", "tokens=2.5"],
)
def test_the_command_refuses_invalid_options(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=wrong.partition("=")[0]):
        run(monkeypatch, wrong)


@pytest.mark.parametrize("wrong", ["top=2", "mode=next_word tokens=3", "mode=next_word top=1 seed=1"])
def test_options_of_the_other_mode_are_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^\w+=\d: has no effect with mode=\w+; it needs mode=\w+$"):
        run(monkeypatch, *wrong.split())


def test_several_prompts_are_continued_separately(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    prompts = [ORDERED[3], "fine \udcff", ORDERED[5]]
    monkeypatch.setattr(module, "load", lambda path, device: successor())
    config = compose("ckpt=x", "input=x", "tokens=1", "temperature=0", command="predict") | {"input": prompts}
    assert module.predict(config) == 2
    out, err = capfd.readouterr()
    assert out == f"{' '.join(ORDERED[3:5])}\n\n{' '.join(ORDERED[5:7])}\n\n"
    assert err.startswith("InputError: ")
    assert module.predict({**config, "format": "jsonl"}) == 2
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["prompt"] for row in rows] == prompts[::2]
    config = compose("ckpt=x", "input=x", "mode=next_word", "top=1", command="predict") | {"input": prompts[::2]}
    assert module.predict(config) == 0
    words = capfd.readouterr().out.split()
    assert [words[n + 1 : n + 3] for n, word in enumerate(words) if word == "..."] == [["next", "word"]] * 2
    assert {ORDERED[4], ORDERED[6]} <= set(words)


@pytest.mark.parametrize("kind", ["token", "output", "weight"])
def test_dropout_is_detected_in_the_network(kind: str) -> None:
    assert make().training_differences() == []
    assert make(**{f"{kind}_dropout": 0.5}).training_differences() == ["dropout"]


def test_the_report_shows_samples(tmp_path: Path) -> None:
    task = make()
    (block,) = task.blocks("test")
    assert isinstance(block, TextBlock)
    assert block.title == "Samples"
    assert "100 tokens each" in block.caption
    texts = [text.split() for text in block.text.split("\n\n* * *\n\n")]
    assert len(texts) == 3
    for words in texts:
        assert 50 < len(words) <= 100  # 100 tokens, some of which are ends
        assert set(words) <= set(ORDERED[2:])
    assert task.plot_batch(windows(TOKENS, 5)[1]) == [WORDS.decode(TOKENS[4:9].tolist())]
