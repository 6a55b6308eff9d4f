"""CIDEr-D, ROUGE-L and BLEU of captions are those of coco-caption.

The numbers of `CAPTIONS` were computed with pycocoevalcap 1.2, from the raw texts on:
    captions = {number: [{"caption": text}] for number, text in ...}
    references, results = PTBTokenizer().tokenize(...), PTBTokenizer().tokenize(captions)
    Bleu(4), Rouge(), Cider(): .compute_score(references, results)
"""

import time

import numpy as np
import pytest
import torch

from sightseq.text import quality
from sightseq.text.batch import to_bytes
from sightseq.text.caption_scores import Cider, caption_scores, caption_statistics, diversity
from sightseq.text.consensus import CiderD, cider_d, longest_common_subsequence, rouge_l
from sightseq.text.ptb import ptb_tokens

CAPTIONS = [
    (
        "a brown dog runs through the tall grass",
        [
            "A brown dog is running through tall grass .",
            "The dog runs across a grassy field.",
            "A dog, brown and white, runs through the grass!",
            "Brown dog running outside",
            "A dog doesn't stop running in the grass .",
        ],
    ),
    (
        "two men are playing soccer on a field",
        [
            "Two men play soccer on a green field .",
            "Men in red (and blue) uniforms are playing soccer .",
            "Two soccer players fight for the ball .",
        ],
    ),
    (
        "a man in a red shirt is standing in front of a building",
        [
            'A man\'s red T-shirt says "U.S. Army" .',
            "A man wearing a red shirt stands in front of a building .",
            "The man can't see the building behind him .",
            "A man stands on the street ; a building is behind him .",
        ],
    ),
    (
        "a girl a girl a girl a girl",
        [
            "A little girl in a pink dress is climbing the stairs .",
            "A girl going into a wooden building .",
            "A little girl climbing into a wooden playhouse .",
        ],
    ),
    ("", ["A boat on the water at 5:30 p.m.", "Boats are on the lake ."]),
    (
        "a man",
        [
            "A man rides a bicycle down a steep hill -- without hands!",
            "A cyclist rides down a hill .",
            "The man is on a bike .",
        ],
    ),
    (
        "the children are playing in the water",
        ["The children are playing in the water .", "Kids play in a fountain ."],
    ),
]
CIDER = [2.0078225546436563, 2.0352732029563487, 1.5414286455715198, 0.324306419099166, 0.0, 0.4625078934620613,
         5.015799428574347]  # fmt: skip
ROUGE = [0.75, 0.75, 0.8058124174372522, 0.4048672566371681, 0.0, 0.273542600896861, 1.0]
BLEU = [0.7124875833408708, 0.623850591020664, 0.500071434685288, 0.38399889956337474]
TEXTS = [ptb_tokens(text) for text, _ in CAPTIONS]
REFERENCES = [list(map(ptb_tokens, several)) for _, several in CAPTIONS]


def test_cider_of_each_caption() -> None:
    assert CiderD(REFERENCES).scores(TEXTS, REFERENCES) == pytest.approx(CIDER, abs=1e-12)
    assert cider_d(TEXTS, REFERENCES) == pytest.approx(1.6267340206152998, abs=1e-12)


def test_rouge_of_each_caption() -> None:
    pairs = zip(TEXTS, REFERENCES, strict=True)
    assert [rouge_l(text, several) for text, several in pairs] == pytest.approx(ROUGE, abs=1e-12)


def test_all_scores_are_in_percent() -> None:
    scores = caption_scores(TEXTS, REFERENCES)
    assert set(scores) == {"cider", "bleu", "bleu1", "bleu2", "bleu3", "rouge", "chrf", "exact"}
    # coco-caption adds 1e-9 to each count of n-grams, sacrebleu does not.
    found = [scores[name] for name in ("bleu1", "bleu2", "bleu3", "bleu")]
    assert found == pytest.approx([100 * value for value in BLEU], abs=1e-6)
    assert scores["cider"] == pytest.approx(162.67340206152998)
    assert scores["rouge"] == pytest.approx(56.9174610710183)
    assert scores["exact"] == pytest.approx(1 / 7)


def test_cider_by_hand() -> None:
    # Three images; "a" is in all references and weighs log 1 = 0; the other words weigh log 3, and so does each pair.
    cider = CiderD([["a dog"], ["a cat"], ["a bird"]])
    # n = 1: cosine 1; n = 2: 1; n = 3 and 4: none.
    assert cider.scores(["a dog"], [["a dog"]]) == pytest.approx([10 * 2 / 4])
    # An unknown word weighs log 3, too. n = 1: 1 / sqrt 2; n = 2: 1 / sqrt 2; one word longer.
    expected = 10 / 4 * 2**-0.5 * 2 * np.exp(-1 / 72)
    assert cider.scores(["a dog runs"], [["a dog"]]) == pytest.approx([expected])
    # The second "dog" is clipped: 1 * 1 / (2 * 1) for n = 1, and "a dog" is 1 of 2 pairs.
    expected = 10 / 4 * (1 / 2 + 2**-0.5) * np.exp(-1 / 72)
    assert cider.scores(["a dog dog"], [["a dog"]]) == pytest.approx([expected])
    # Clipped only in the generated text: min(1, 2) * 2 / (1 * 2).
    expected = 10 / 4 * (1 + 2**-0.5) * np.exp(-1 / 72)
    assert cider.scores(["a dog"], [["a dog dog"]]) == pytest.approx([expected])


def test_all_pairs_of_captions() -> None:
    cider = CiderD(REFERENCES)
    vectors = cider.vectors(TEXTS)
    expected = [cider.scores([text] * len(TEXTS), [[other] for other in TEXTS]) for text in TEXTS]
    assert vectors.similarity(vectors) == pytest.approx(np.array(expected), abs=1e-12)
    rows = np.array([6, 0, 3])
    assert vectors[rows].similarity(vectors[:2]) == pytest.approx(np.array(expected)[rows, :2], abs=1e-12)


def test_texts_of_one_image_or_without_words() -> None:
    assert cider_d(["a dog"], [["a dog"]]) == 0  # every n-gram is in all images
    assert CiderD(REFERENCES).scores(["", ""], [["", "a dog"], ["a dog"]]).tolist() == [0, 0]
    assert rouge_l("", [""]) == 1  # as coco-caption, for which both are one empty word
    assert rouge_l("", ["a dog"]) == rouge_l("a dog", [""]) == 0


@pytest.mark.parametrize(
    ("one", "two", "length"), [("abcbdab", "bdcaba", 4), ("", "abc", 0), ("abc", "abc", 3), ("abc", "cba", 1)]
)
def test_longest_common_subsequence(one: str, two: str, length: int) -> None:
    assert longest_common_subsequence(list(one), list(two)) == length


def test_cider_of_5_000_images_takes_seconds() -> None:
    generator = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(3000)])
    frequency = 1 / np.arange(1, 3001)
    drawn = words[generator.choice(3000, (5000, 6, 11), p=frequency / frequency.sum())]
    captions = [[" ".join(row) for row in image] for image in drawn]
    began = time.monotonic()
    score = cider_d([image[0] for image in captions], [image[1:] for image in captions])
    assert time.monotonic() - began < 30
    assert 0 < score < 1


# Metrics


def test_the_metric_of_batches_is_that_of_the_corpus() -> None:
    statistics = caption_statistics(TEXTS, REFERENCES)
    index = torch.arange(7)
    metric, rouge = Cider(), quality.TextMean()
    for part in index.split(3):
        padded = torch.cat([part, torch.tensor([-1])])
        rows = torch.cat([part, part[:1]])
        metric.update(statistics["captions"][rows], padded)
        rouge.update(statistics["rouge"][rows], padded)
    assert metric.compute().item() == pytest.approx(162.673402, abs=1e-4)
    assert rouge.compute().item() == pytest.approx(56.917461, abs=1e-4)
    assert (metric.texts, metric.references) == (TEXTS, REFERENCES)
    assert (
        caption_statistics(["", "über"], [["a"], ["b", "c"]])["captions"].tolist()
        == to_bytes(["\na", "über\nb\nc"]).tolist()
    )


def test_the_metric_joins_the_texts_of_all_processes() -> None:
    statistics = caption_statistics(TEXTS, REFERENCES)["captions"]
    parts = [Cider(), Cider()]
    for metric, rows in zip(parts, torch.arange(7).split(4), strict=True):
        metric.update(statistics[rows], rows)
    # What torchmetrics does: one tensor for each process, concatenated.
    parts[0].captions = torch.cat([torch.cat(metric.captions) for metric in parts])  # type: ignore[assignment]
    assert parts[0].compute().item() == pytest.approx(162.673402, abs=1e-4)
    assert (parts[0].texts, parts[0].references) == (TEXTS, REFERENCES)


def test_the_metric_without_texts() -> None:
    metric = Cider()
    metric.update(torch.zeros(2, 3, dtype=torch.uint8), torch.tensor([-1, -1]))
    assert metric.compute().isnan()
    assert metric.texts == []


@pytest.mark.parametrize("longest", [1, 2, 3, 4])
def test_bleu_up_to_n_words(longest: int) -> None:
    metric = quality.CorpusScore("bleu", longest)
    metric.update(quality.bleu_statistics(TEXTS, REFERENCES, "none"), torch.arange(7))
    assert metric.compute().item() == pytest.approx(100 * BLEU[longest - 1], abs=1e-4)


def test_diversity() -> None:
    texts = ["a dog", "a dog", "a red cat", "the bird"]
    assert diversity(texts) == {"unique": 0.75, "vocabulary": 6}
    found = diversity(texts, frozenset({"a dog", "the birds"}))
    assert found == {"unique": 0.75, "vocabulary": 6, "novel": 0.5}
