"""The loss, the free decoding and the report of a translation model."""

import sys
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from sightseq.core.blocks import FigureBlock, TableBlock
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX
from sightseq.core.scores import Output
from sightseq.tasks.conditional_generation.graph import greedy
from sightseq.tasks.conditional_generation.loss import SmoothedCrossEntropy
from sightseq.tasks.conditional_generation.scores import LengthBLEU
from sightseq.tasks.conditional_generation.task import shift_right
from sightseq.tasks.translation.graph import TranslationGraph
from sightseq.tasks.translation.task import TranslationTask
from sightseq.text import quality
from sightseq.text.batch import to_bytes, to_texts
from sightseq.text.quality import bleu_statistics

NET = {"_target_": "sightseq.nets.translation.EncoderDecoder", "embedding": 16, "encoder": [16], "decoder": [32]}


def make(**arguments: Any) -> tuple[TranslationTask, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    spec, batch = TranslationTask.example()
    net = {**NET, **arguments.pop("net", {})}
    return TranslationTask(spec=spec.to_dict(), net=net, **arguments), batch


@pytest.fixture(scope="module")
def trained() -> tuple[TranslationTask, dict[str, torch.Tensor]]:
    """A model that has learned the six pairs of the example by heart."""
    task, batch = make()
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    for _ in range(150):
        output = task.step(batch, "train")
        optimizer.zero_grad()
        (output.loss_sum / output.count).backward()
        optimizer.step()
    return task.eval(), batch


def test_the_decoder_reads_the_target_one_position_late() -> None:
    target = torch.tensor([[5, 6, 0], [7, 0, PAD_INDEX]])
    assert shift_right(target).tolist() == [[0, 5, 6], [0, 7, 0]]


def test_the_reported_loss_is_without_smoothing() -> None:
    task, batch = make(label_smoothing=0.1)
    logits = task(batch["input"], batch["length"], shift_right(batch["target"])).flatten(0, 1)
    plain, smooth = (
        F.cross_entropy(logits, batch["target"].flatten(), ignore_index=-1, reduction="sum", label_smoothing=part)
        for part in (0.0, 0.1)
    )
    training, validation = task.step(batch, "train"), task.step(batch, "val")
    torch.testing.assert_close(training.loss_sum, smooth)
    torch.testing.assert_close(validation.loss_sum, plain)
    for stage, output in (("train", training), ("val", validation)):
        task.scoreboard.update(
            stage, Output(output.loss_sum, output.count, {**output.values, **task.decode(batch, "val")})
        )
        scores = task.scoreboard.compute(stage)
        assert scores["loss"].item() == pytest.approx(plain.item() / 31, rel=1e-5)
        assert scores["perplexity"].item() == pytest.approx(torch.exp(plain / 31).item(), rel=1e-5)
    assert task.size(batch) == training.count == 31


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_of_the_loss(smoothing: float) -> None:
    logits, target = torch.randn(7, 11, requires_grad=True), torch.randint(11, (7,))
    loss, nll = SmoothedCrossEntropy.apply(logits, target, smoothing)
    (gradient,) = torch.autograd.grad(loss / 7, logits)
    expected = F.cross_entropy(logits, target, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected / 7, logits)[0])
    torch.testing.assert_close(nll, F.cross_entropy(logits, target, reduction="none"))


def test_scheduled_sampling_reads_own_predictions() -> None:
    task, batch = make(scheduled_sampling=0.5)
    memory, state = task.encode(batch)
    tokens = shift_right(batch["target"])
    predicted = F.pad(task.net.decode(tokens[:, :-1], state, memory)[0].argmax(2), (1, 0))
    mixed = task._mix_predictions(tokens, state, memory)
    assert ((mixed == tokens) | (mixed == predicted)).all()
    different = tokens != predicted
    assert 0.2 < (mixed == predicted)[different].float().mean() < 0.8
    task.total_steps = 100  # the first of 100 steps
    assert torch.equal(task._mix_predictions(tokens, state, memory), tokens)
    assert task.training_differences()[0] == "scheduled sampling of 0.5"


def test_the_attention_penalty_is_that_of_the_equation() -> None:
    task, batch = make(attention_penalty=0.5)
    plain, _ = make()
    memory, state = task.encode(batch)
    *_, weights = task.net.features(shift_right(batch["target"]), state, memory)
    expected = 0.0
    for row, length in enumerate(batch["length"].tolist()):
        sums = weights[row, batch["target"][row] != PAD_INDEX].sum(0)
        expected += sum((1 - sums[position].item()) ** 2 for position in range(length))
    losses = {stage: [one.step(batch, stage).loss_sum for one in (task, plain)] for stage in ("train", "val")}
    assert (losses["train"][0] - losses["train"][1]).item() == pytest.approx(0.5 * expected, rel=1e-4)
    assert torch.equal(*losses["val"])
    padded = {**batch, "index": torch.tensor([0, 1, 2, 3, 4, -1])}
    rows = {name: tensor[:5] for name, tensor in batch.items()}
    torch.testing.assert_close(task.step(padded, "train").loss_sum, task.step(rows, "train").loss_sum)
    with pytest.raises(ConfigError, match=r"attention_penalty=0\.5: the network has no attention"):
        make(attention_penalty=0.5, net={"attention": None})[0].step(batch, "train")


class SeveralReferences(TranslationTask):
    """Each line of `reference` is a reference; texts are compared without commas."""

    def references(self, batch: dict[str, torch.Tensor]) -> list[list[str]]:
        return [text.split("\n") for text in to_texts(batch["reference"])]

    def normalise(self, text: str) -> str:
        return text.replace(",", "")


def test_several_references_and_normalisation(trained: Any) -> None:
    task, batch = trained
    texts = to_texts(task.decode(batch, "val")["hypothesis"])
    several = SeveralReferences(**task.hparams)
    several.load_state_dict(task.state_dict())
    references = [f"another text\n,{text},\na third one" for text in texts]
    values = several.eval().decode({**batch, "reference": to_bytes(references)}, "val")
    assert to_texts(values["reference"]) == references
    assert values["exact"].all()
    assert quality.bleu_score(values["bleu_statistics"].sum(0)) == pytest.approx(100)
    assert quality.chrf_score(values["chrf_statistics"].sum(0)) == pytest.approx(100)
    assert not task.decode({**batch, "reference": to_bytes(references)}, "val")["exact"].any()


@pytest.mark.parametrize("stage", ["val", "test"])
def test_a_model_writes_what_it_has_learned(stage: str, trained: Any) -> None:
    task, batch = trained
    values = task.decode(batch, stage)
    assert values["exact"].all()
    assert to_texts(values["hypothesis"]) == to_texts(values["reference"])
    task.scoreboard.metrics(stage).reset()
    output = task.step(batch, stage)
    task.scoreboard.update(stage, Output(output.loss_sum, output.count, {**output.values, **values}))
    scores = task.scoreboard.compute(stage)
    assert scores["bleu"] == pytest.approx(100)
    assert scores["chrf"] == pytest.approx(100)
    assert scores["exact"] == 1


def test_texts_are_compared_with_the_raw_reference(trained: Any) -> None:
    task, batch = trained
    texts = to_texts(task.decode(batch, "val")["hypothesis"])
    references = [*texts[:-1], "a text — with ünknown words"]
    values = task.decode({**batch, "reference": to_bytes(references)}, "val")
    assert values["exact"].tolist() == [True] * 5 + [False]
    assert to_texts(values["reference"]) == references


def test_a_text_has_at_most_twice_the_length_of_its_source_plus_ten() -> None:
    task, batch = make()
    assert task.longest(batch).tolist() == [20] * 6  # max_tokens of the spec
    batch["length"] = torch.tensor([1, 2, 3, 4, 5, 6])
    assert task.longest(batch).tolist() == [12, 14, 16, 18, 20, 20]
    torch.nn.init.constant_(task.net.decoder.head.bias[:1], -100.0)  # never ends
    assert (task.decode(batch, "val")["tokens"] != 0).sum(1).tolist() == [12, 14, 16, 18, 20, 20]


def test_beam_search_is_for_the_test_only(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task, batch = trained
    sizes = []
    search = TranslationTask.search
    monkeypatch.setattr(
        TranslationTask,
        "search",
        lambda self, batch, settings: [sizes.append(settings.size), search(self, batch, settings)][1],
    )
    task.decode(batch, "val")
    task.decode(batch, "test")
    assert sizes == [1, 5]


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"label_smoothing=1\.0"):
        make(label_smoothing=1.0)
    with pytest.raises(ConfigError, match=r"consensus=0\.0: a temperature is above 0"):
        make(consensus=0.0)
    with pytest.raises(ConfigError, match=r"scheduled_sampling=-0\.1"):
        make(scheduled_sampling=-0.1)
    with pytest.raises(ConfigError, match=r"beam=0"):
        make(beam=0)
    with pytest.raises(ConfigError, match=r"attention_penalty=-1"):
        make(attention_penalty=-1.0)


def test_a_tokenisation_is_checked_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"tokenize=13b: sacrebleu has no such tokenisation; .*13a"):
        make(tokenize="13b")
    quality._sacrebleu.cache_clear()
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)  # not installed
    with pytest.raises(ConfigError, match=r"sacrebleu is needed .*pip install 'sightseq\[translation\]'"):
        make()


def test_bleu_by_length() -> None:
    references = ["a b c d e", "a b c d e f", " ".join("abcdefghij" * 6)]
    texts = ["a b c d e", "x y z x y z", references[2]]
    metric = LengthBLEU()
    metric.update(bleu_statistics(texts, references), torch.tensor([0, 1, 2]))
    metric.update(bleu_statistics(texts, references), torch.tensor([0, -1, -1]))
    groups = metric.compute()
    assert groups[:, 0].tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert groups[[0, 1, 9], 1].tolist() == pytest.approx([100, 0, 100])


@pytest.mark.parametrize("attention", ["multiplicative", None])
def test_the_report(attention: str | None) -> None:
    task, batch = make(net={"attention": attention})
    task.eval()
    output = task._scored(batch, "test")
    task.collect_examples(batch, output)
    blocks = {block.title: block for block in task.blocks("test")}
    assert list(blocks) == ["Translations", "Worst translations", *["Attention"] * bool(attention), "BLEU by length"]
    worst = blocks["Worst translations"]
    assert isinstance(worst, TableBlock)
    assert len(worst.rows) == 6
    assert [row[3] for row in worst.rows] == sorted(row[3] for row in worst.rows)
    assert {row[0] for row in worst.rows} == set(task.sources(batch))
    assert "tok:13a" in blocks["BLEU by length"].caption
    details = task.details("test")
    assert details["bleu_signature"].startswith("nrefs:1|case:mixed")
    assert sum(count for count, _ in details["bleu_by_length"]) == 6
    if attention:
        figure = blocks["Attention"]
        assert isinstance(figure, FigureBlock)
        panel = figure.figure.axes[0]
        assert [label.get_text() for label in panel.get_xticklabels()][-1] == "<eos>"
    task.reset_examples()
    assert [block.title for block in task.blocks("test")] == ["BLEU by length"]


def test_the_graph_translates_as_the_model_does(trained: Any) -> None:
    task, batch = trained
    graph = TranslationGraph(task).eval()
    texts = to_texts(task.decode(batch, "val")["hypothesis"])
    rows = greedy(graph, graph.encoder.call, graph.call, batch)
    assert [task.tokenizer.decode(row) for row in rows] == texts
    assert graph.score(graph.call, [batch]) == pytest.approx(100)
    assert graph.encoder.score(graph.encoder.call, [batch]) == pytest.approx(100)


def test_bytes_of_texts() -> None:
    texts = ["", "naïve", "हिन्दी", "اردو"]
    assert to_texts(to_bytes(texts)) == texts
