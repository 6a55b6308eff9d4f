"""Classification of texts, and the weights of their words."""

import pytest
import torch
from torch import Tensor, nn

from sightseq.core.blocks import PassagesBlock
from sightseq.tasks.classification.attribution import token_weights
from sightseq.tasks.classification.texts import LONGEST, TextClassificationTask
from sightseq.text.batch import pad
from sightseq.text.spec import TextSpec
from sightseq.text.tokenizer import fit

TOKENIZER = fit(["bad good film"], "words", 100)
SPEC = TextSpec(TOKENIZER.json, TOKENIZER.vocab_size, ("negative", "positive"), max_tokens=200)
NET = {"_target_": "sightseq.nets.text.RecurrentClassifier", "embedding": 4, "hidden": [4], "one_logit": True}
BAD, GOOD, FILM = (TOKENIZER.encode(word)[0] for word in ("bad", "good", "film"))


class Counts(nn.Module):
    """The logit is the number of "good" minus half the number of "bad"."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENIZER.vocab_size, 1)
        with torch.no_grad():
            self.embedding.weight.zero_()
            self.embedding.weight[GOOD], self.embedding.weight[BAD] = 1.0, -0.5

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        real = torch.arange(tokens.shape[1]) < lengths[:, None]
        return (self.embedding(tokens) * real[..., None]).sum(1)


def make() -> TextClassificationTask:
    torch.manual_seed(0)
    task = TextClassificationTask(spec=SPEC.to_dict(), net=NET)
    task.net = Counts()
    return task.eval()


def batch(*texts: str, target: list[int]) -> dict[str, Tensor]:
    return {
        **pad([TOKENIZER.encode(text) for text in texts], SPEC.max_tokens),
        "target": torch.tensor(target),
        "index": torch.arange(len(texts)),
    }


def test_probabilities_by_hand() -> None:
    found = make().predict_step(batch("good good film", "bad", target=[1, 0]))
    expected = torch.tensor([[0.0, 2.0], [0.0, -0.5]]).softmax(1)
    torch.testing.assert_close(found, expected)


def test_word_weights_by_hand() -> None:
    rows = batch("good film bad unknown", "bad", target=[1, 0])
    weights = token_weights(make(), rows["input"], rows["length"], torch.tensor([1, 0]))
    assert weights is not None
    # The output is linear in the embedding, so the integral is exact. For the second class: good 1, bad -0.5; the
    # largest weight of a text is scaled to 1. For the first class, "bad" is evidence.
    torch.testing.assert_close(weights[0], torch.tensor([1.0, 0.0, -0.5, 0.0]), atol=1e-4, rtol=0)
    assert weights[1, 0].item() == pytest.approx(1.0)
    assert weights[1, 1:].abs().sum() == 0


def test_explaining_does_not_change_the_model() -> None:
    task = TextClassificationTask(spec=SPEC.to_dict(), net=NET).train()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    rows = batch("good film", target=[1])
    with torch.inference_mode():
        first = token_weights(task, rows["input"], rows["length"], torch.tensor([1]))
    assert first is not None
    assert first.shape == rows["input"].shape
    assert task.training
    assert all(p.requires_grad and p.grad is None for p in task.parameters())
    assert all(torch.equal(before[name], value) for name, value in task.state_dict().items())


def test_networks_without_an_embedding_are_not_explained() -> None:
    assert token_weights(nn.Linear(2, 2), torch.zeros(1, 2), torch.ones(1), torch.zeros(1)) is None


def task_with_examples() -> TextClassificationTask:
    task = make()
    for first, texts, target in ((0, ["good", "bad " * 190], [1, 1]), (2, ["good film <b>"], [0])):
        rows = batch(*texts, target=target)
        rows["index"] += first
        output = task.step(rows, "test")
        task.scoreboard.update("test", output)
        task.collect_examples(rows, output)
    return task


def test_the_report_shows_the_texts() -> None:
    blocks = {block.title: block for block in task_with_examples().blocks("test")}
    assert {"Confusion matrix", "Calibration", "Sample predictions"} <= set(blocks)
    mistakes, mattering = blocks["Most confident mistakes"], blocks["The words that mattered"]
    assert isinstance(mistakes, PassagesBlock)
    worst = mistakes.passages
    assert [passage.caption for passage in worst] == [
        "✗ negative (100%), truth: positive",
        "✗ positive (73%), truth: negative",
    ]
    text = worst[0].text
    assert text.count("bad") == LONGEST
    assert "[...]" in text
    assert worst[1].text == "good film <unk> <unk> <unk> "
    assert isinstance(mattering, PassagesBlock)
    right = next(passage for passage in mattering.passages if not passage.wrong)
    assert [(word, round(weight, 3)) for word, weight in right.words] == [("good ", 1.0)]


def test_plot_batch_gives_the_texts() -> None:
    assert make().plot_batch(batch("good film", "bad", target=[1, 0])) == ["positive: good film ", "negative: bad "]
