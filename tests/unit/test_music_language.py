"""Music as a language: bits per event by hand, augmentation by stream, composing, baselines, models of texts."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.spec import Spec
from sightseq.decoding.sampling import Sampling
from sightseq.music.events import EventCodec
from sightseq.music.melody import MelodyCodec
from sightseq.music.piece import NOTE, Piece
from sightseq.music.spec import MusicSpec
from sightseq.tasks.language_modeling.baseline import NGram
from sightseq.tasks.language_modeling.music import MusicLanguageTask
from sightseq.tasks.language_modeling.music_baseline import EventNGram
from sightseq.tasks.language_modeling.music_graph import EventStepGraph
from sightseq.tasks.language_modeling.task import LanguageModelingTask
from sightseq.text.tokenizer import Tokenizer

NET = {"_target_": "sightseq.nets.language.RecurrentLanguageModel", "embedding": 8, "hidden": [8], "tied": False}
TRANSPOSE = {"transpose": {"_target_": "sightseq.music.augment.TransposeEvents", "semitones": 5}}


def make(cls: type[LanguageModelingTask] = MusicLanguageTask, **arguments: Any) -> Any:
    torch.manual_seed(0)
    spec, _ = MusicLanguageTask.example()
    return cls(spec=spec.to_dict(), net=NET, **arguments)


def test_bits_per_event_by_hand() -> None:
    task, (_, batch) = make().eval(), MusicLanguageTask.example()
    with torch.no_grad():
        output = task.step(batch, "val")
        logits, _ = task(batch["input"])
    task.scoreboard.update("val", output)
    found = task.scoreboard.compute("val")
    nats = F.cross_entropy(logits.flatten(0, 1), batch["target"].flatten()).item()
    assert found["bits_per_event"].item() == pytest.approx(nats / math.log(2), rel=1e-5)
    assert found["perplexity"].item() == pytest.approx(math.exp(nats), rel=1e-5)
    graph = EventStepGraph(task).eval()
    assert graph.score(graph.call, [batch]) == pytest.approx(nats / math.log(2), rel=1e-4)
    assert set(task.scores("test")) == {"bits_per_event", "perplexity", "accuracy", "top3"}


def test_a_language_model_of_texts_reads_events_too() -> None:
    """The tokens of the spec's tokenizer are the events."""
    task, (spec, batch) = make(LanguageModelingTask), MusicLanguageTask.example()
    music = make()
    task.load_state_dict(music.state_dict())
    one, other = (each.eval().step(batch, "test") for each in (task, music))
    assert torch.equal(one.loss_sum, other.loss_sum)
    words = task.plot_batch(batch)[0].split()
    names = [spec.codec.names[token].replace(" ", "_") for token in batch["input"][0].tolist()]
    assert words == names
    assert Tokenizer(spec.tokenizer).encode(" ".join(words)) == batch["input"][0].tolist()
    assert len(task._samples(1)[0].split()) > 50


@pytest.mark.parametrize(
    "codec", [EventCodec(), EventCodec("beats", 4, programs=(0, 33, 128), tempo=True), MelodyCodec()]
)
def test_every_event_is_a_word(codec: EventCodec | MelodyCodec) -> None:
    spec = MusicSpec.of(codec, 90.0)
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    tokenizer = Tokenizer(spec.tokenizer)
    assert tokenizer.vocab_size == spec.vocab_size
    everything = list(range(2, spec.vocab_size))
    assert tokenizer.encode(tokenizer.decode(everything)) == everything


def test_a_stream_is_transposed_in_the_same_way_for_a_whole_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    task, (_, batch) = make(augment=TRANSPOSE).train(), MusicLanguageTask.example()
    rows = {name: value[:1].expand(64, *value.shape[1:]) for name, value in batch.items()}
    seen: dict[int, Tensor] = {}
    for epoch in (0, 1):
        monkeypatch.setattr(MusicLanguageTask, "current_epoch", epoch)
        torch.manual_seed(epoch)
        seen[epoch] = task.augment(rows)["input"]
        torch.manual_seed(9)
        later = task.augment({name: value + 0 for name, value in rows.items()})
        assert torch.equal(later["input"], seen[epoch])
        assert torch.equal(later["input"][:, 1:], later["target"][:, :-1])
    assert len(seen[0].unique(dim=0)) == 11
    assert not torch.equal(seen[0], seen[1])
    assert "augmentation" in task.training_differences()
    assert make().augment(batch) is batch


class Successor(nn.Module):
    """Predicts id + 1 after each token, and 0 after the last one."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return 50 * F.one_hot((tokens + 1) % self.size, self.size).float(), [(tokens[None, :, -1:].float(),)]


def test_composing_continues_an_opening_up_to_the_end_of_the_piece() -> None:
    task = make().eval()
    size = task.spec.vocab_size
    task.net = Successor(size)
    assert task.compose((size - 4,), 2, 99, Sampling(0.5)) == [[size - 3, size - 2, size - 1]] * 2
    assert task.compose((size - 8,), 1, 3, Sampling(0.0)) == [[size - 7, size - 6]]  # shifts of 2 and 3 steps
    assert len(task.compose((5,), 1, 2, Sampling(0.0))[0]) == 32  # notes without shifts of time
    assert all(token != 1 for token in task.compose((), 1, 5, Sampling(0.0))[0])  # 1 is never used


def pieces(count: int) -> list[Piece]:
    found = []
    for number in range(count):
        notes = np.zeros(4, NOTE)
        notes["start"], notes["end"] = np.arange(4), np.arange(4) + 1
        notes["pitch"], notes["velocity"] = 60 + number + np.array([0, 4, 7, 4]), 80
        found.append(Piece(notes, ((0.0, 100.0),)))
    return found


def test_ngrams_of_events_keep_the_training_music() -> None:
    spec, _ = MusicLanguageTask.example()
    music = pieces(5)
    tokens = np.concatenate([[*spec.codec.encode(piece), 0] for piece in music])
    model = EventNGram(2)
    model.spec = spec
    model.fit({"input": tokens})
    model.fit({"input": tokens[:40]})
    found, plain = model.score({"input": tokens}), NGram(2)
    plain.fit({"input": tokens[:40]})
    assert found["bits_per_event"] == pytest.approx(plain.score({"input": tokens})["loss"] / math.log(2))
    kept = model.training_pieces(3)
    assert len(kept) == 3
    for piece, original in zip(kept, music, strict=False):
        assert piece.notes["pitch"].tolist() == original.notes["pitch"].tolist()
        assert piece.tempi == original.tempi


def test_composed_music_is_compared_with_the_training_music() -> None:
    task = make().eval()
    model = EventNGram(1)
    model.spec = task.spec
    tokens = np.concatenate([[*task.spec.codec.encode(piece), 0] for piece in pieces(5)])
    model.fit({"input": tokens})
    values, (table, _) = task.compare({"unigram": model}, "test")
    assert set(values["music"]) == {"model", "training", "pitch_class_overlap", "interval_overlap"}
    assert values["music"]["training"]["polyphony"] == 1.0
    assert values["music"]["training"]["notes_per_beat"] == 1.0
    assert len(table.rows) == 2
    assert task.compare({"other": NGram(1)}, "test") == ({}, [])
