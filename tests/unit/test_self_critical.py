"""Self-critical training: rewards, baselines and gradients."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sightseq.core.arrays import ArrayDataset
from sightseq.core.build import build
from sightseq.core.errors import ConfigError
from sightseq.core.task import Task
from sightseq.decoding.states import select_examples, select_rows
from sightseq.tasks.captioning.self_critical import SelfCriticalTask
from sightseq.text.batch import to_texts
from sightseq.text.consensus import CiderD
from sightseq.text.tokenizer import EOS_ID, UNKNOWN_ID

NET = {
    "_target_": "sightseq.nets.captioning.Captioner",
    "encoder": {"_target_": "sightseq.nets.feature_map.ConvFeatures", "channels": [8, 8, 8]},
    "embedding": 16,
    "hidden": [32],
    "attention": "multiplicative",
}


def make(**arguments: Any) -> tuple[SelfCriticalTask, dict[str, Tensor]]:
    torch.manual_seed(0)
    spec, batch = SelfCriticalTask.example()
    target = f"{SelfCriticalTask.__module__}.SelfCriticalTask"
    task = build({"_target_": target, "net": NET, **arguments}, Task, "model", spec=spec.to_dict())
    assert isinstance(task, SelfCriticalTask)
    captions = np.array(to_texts(batch["reference"]), object)
    task.prepare_training(ArrayDataset({"captions": captions}, np.arange(len(captions))))
    return task.train(), batch


def tokens_of(task: SelfCriticalTask, *texts: str) -> Tensor:
    rows = [torch.tensor([*task.tokenizer.encode(text), EOS_ID]) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=EOS_ID)


def test_the_reward_is_cider_with_the_frequencies_of_the_training_captions() -> None:
    task, batch = make()
    references = [[f"{one} <eos>" for one in text.split("\n")] for text in to_texts(batch["reference"])]
    cider = CiderD(references)
    texts = [several[0].removesuffix(" <eos>") for several in references]
    tokens = torch.stack([tokens_of(task, *texts), tokens_of(task, *texts).flip(0)], 1).flatten(0, 1)
    reward = task.reward(tokens, batch)
    for column, words in enumerate((texts, texts[::-1])):
        expected = cider.scores([f"{text} <eos>" for text in words], references)
        assert reward[:, column].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert reward[:, 0].min() > 2  # a caption is one of its own references


def test_a_caption_without_an_end_has_a_lower_reward() -> None:
    task, batch = make()
    batch = {name: rows[:1] for name, rows in batch.items()}
    whole = tokens_of(task, to_texts(batch["reference"])[0].split("\n")[0])
    assert task.reward(whole[:, :-1], batch) < task.reward(whole, batch)
    after = torch.cat([whole, whole], 1)  # what follows the end does not count
    assert torch.equal(task.reward(after, batch), task.reward(whole, batch))


@torch.no_grad()
def test_samples_follow_the_distribution_of_the_network() -> None:
    task, batch = make(samples=400)
    task.eval()
    batch = {name: rows[:1] for name, rows in batch.items()}
    memory, state = task.encode(batch)
    several = select_rows(state, torch.zeros(400, dtype=torch.int64))
    tokens = task.sample(batch, memory, several)
    assert len(tokens) == 400
    assert not (tokens == UNKNOWN_ID).any()
    features = task.net.features(torch.tensor([[EOS_ID]]), state, memory)[0][0]
    every = torch.arange(task.tokenizer.vocab_size)
    probability = (-task.negative_log_p(features.expand(len(every), -1), every)).exp()
    assert probability.sum().item() == pytest.approx(1)
    counts = torch.bincount(tokens[:, 0], minlength=len(every))
    assert (counts / 400 - probability).abs().max() < 0.08
    assert not torch.equal(task.sample(batch, memory, several)[:, 0], tokens[:, 0])


@pytest.mark.parametrize("samples", [1, 3])
def test_the_loss_by_hand(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Dropout in training would change the probabilities.
    task, batch = make(samples=samples, net={**NET, "input_dropout": 0.5, "output_dropout": 0.5})
    batch["index"][-1] = -1  # a padding row
    seen: list[Tensor] = []
    monkeypatch.setattr(task, "sample", lambda *read: seen.append(SelfCriticalTask.sample(task, *read)) or seen[0])
    output = task.step(batch, "train")
    (tokens,) = seen
    assert task.training
    task.eval()
    reward = task.reward(tokens, batch)
    greedy = task.reward(task.greedy(batch), batch)[:, 0]
    memory, state = task.encode(batch)
    loss, count = torch.zeros(()), 0
    for number in range(5 * samples):
        row, place = divmod(number, samples)
        others = [reward[row, other] for other in range(samples) if other != place]
        baseline = sum(others) / len(others) if others else greedy[row]
        words = tokens[number].tolist()
        words = words[: words.index(EOS_ID) + 1] if EOS_ID in words else words
        before = torch.tensor([[EOS_ID, *words[:-1]]])
        one = select_rows(state, torch.tensor([row])), select_examples(memory, torch.tensor([row]))
        logits = task.net.decode(before, *one)[0][0].index_fill(1, torch.tensor([UNKNOWN_ID]), -torch.inf)
        log_p = logits.log_softmax(1)[range(len(words)), words]
        loss = loss - (reward[row, place] - baseline) * log_p.sum()
        count += len(words)
    assert output.loss_sum.requires_grad
    torch.testing.assert_close(output.loss_sum, loss)
    assert int(output.count) == count
    torch.testing.assert_close(output.values["penalty"], -reward[:5].sum())
    assert int(output.values["captions"]) == 5 * samples
    torch.testing.assert_close(output.values["cider"], 100 * reward.mean(1))


def test_greedy_captions_are_those_of_validation() -> None:
    task, batch = make(samples=1)
    found = task.eval().greedy(batch)
    hypotheses = to_texts(task.decode(batch, "val")["hypothesis"])
    assert [task.tokenizer.decode([n for n in row if n != EOS_ID]) for row in found.tolist()] == hypotheses


def test_training_raises_the_reward() -> None:
    task, batch = make(encoder_rate=1.0)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    rewards = []
    for _ in range(120):
        output = task.step(batch, "train")
        task.scoreboard.update("train", output)
        optimizer.zero_grad()
        (output.loss_sum / output.count).backward()
        optimizer.step()
        rewards.append(float(output.values["cider"].mean()))
    assert sum(rewards[-10:]) > 3 * sum(rewards[:10])
    scores = task.scoreboard.compute("train")
    assert scores["loss"].item() == pytest.approx(-scores["cider"].item() / 100, rel=1e-4)
    assert scores["cider"].item() == pytest.approx(sum(rewards) / len(rewards), rel=1e-4)


def test_validation_is_that_of_captioning() -> None:
    task, batch = make()
    output = task.step(batch, "val")
    assert output.loss_sum.item() == pytest.approx(float(output.values["nll_sum"]))
    assert set(task.scoreboard.infos["val"]) >= {"loss", "perplexity", "cider", "bleu", "rouge", "exact"}
    assert set(task.scoreboard.infos["train"]) == {"loss", "cider"}
    assert make(net={**NET, "output_dropout": 0.5})[0].training_differences() == ["sampling of captions"]


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ConfigError, match="samples=0"):
        make(samples=0)
    with pytest.raises(ConfigError, match=r"label_smoothing=0\.1: self-critical training does not use it"):
        make(label_smoothing=0.1)
    task, batch = make()
    del batch["reference"]
    with pytest.raises(ConfigError, match=r"data\.references=true"):
        task.step(batch, "train")
