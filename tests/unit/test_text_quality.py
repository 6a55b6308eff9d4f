import random

import pytest
import sacrebleu
import torch

from sightseq.core.errors import ConfigError
from sightseq.text import quality
from sightseq.text.quality import CorpusScore, TextMean, bleu, bleu_signature, chrf, chrf_signature, exact_match

TEXT = "a The dog, cat. runs ran; don't 3.5 1,000 (up) & down! ein Straße été को हिन्दी किताब میں ہوں ہے — “quoted”"
WORDS = TEXT.split()


def corpus(seed: int, count: int = 40) -> tuple[list[str], list[str]]:
    """References, and hypotheses that share some of their words; a few texts are empty."""
    generator = random.Random(seed)
    references = [" ".join(generator.choices(WORDS, k=generator.randrange(0, 15))) for _ in range(count)]
    texts = []
    for reference in references:
        words = [word if generator.random() < 0.8 else generator.choice(WORDS) for word in reference.split()]
        texts.append(" ".join(words[: generator.randrange(0, 16)]))
    return texts, references


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tokenize", ["13a", "none", "char", "intl"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_bleu_is_that_of_sacrebleu(seed: int, tokenize: str, lowercase: bool) -> None:
    texts, references = corpus(seed)
    expected = sacrebleu.corpus_bleu(texts, [references], tokenize=tokenize, lowercase=lowercase).score
    assert 0 < expected < 100
    assert bleu(texts, references, tokenize, lowercase) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lowercase", [False, True])
def test_chrf_is_that_of_sacrebleu(seed: int, lowercase: bool) -> None:
    texts, references = corpus(seed)
    metric = sacrebleu.CHRF(lowercase=lowercase)
    assert chrf(texts, references, lowercase) == pytest.approx(metric.corpus_score(texts, [references]).score, abs=1e-9)
    for text, reference in zip(texts, references, strict=True):
        expected = metric.sentence_score(text, [reference]).score
        assert chrf([text], [reference], lowercase) == pytest.approx(expected, abs=1e-9)


def test_several_references() -> None:
    texts, first = corpus(0)
    second = [" ".join(reversed(reference.split())) or "the dog" for reference in first]
    both = list(zip(first, second, strict=True))
    assert bleu(texts, both) == pytest.approx(sacrebleu.corpus_bleu(texts, [first, second]).score, abs=1e-9)
    assert chrf(texts, both) == pytest.approx(sacrebleu.corpus_chrf(texts, [first, second]).score, abs=1e-9)
    assert exact_match(second, both) == 1.0


def test_perfect_and_empty_texts() -> None:
    _, references = corpus(1)
    assert bleu(references, references) == pytest.approx(100)
    assert chrf(references, references) == pytest.approx(100)
    assert bleu([""] * len(references), references) == chrf([""] * len(references), references) == 0
    assert exact_match(["a b", " c ", "D"], ["a b", "c", "d"]) == pytest.approx(2 / 3)


def test_lower_case_also_composes_characters() -> None:
    assert exact_match(["CAFE\u0301"], ["caf\u00e9"], lowercase=True) == 1
    assert bleu(["the CAFE\u0301 is here now"], ["The caf\u00e9 is here now"], lowercase=True) == pytest.approx(100)


@pytest.mark.parametrize("kind", ["bleu", "chrf"])
def test_metrics_count_real_rows_and_can_be_added(kind: str) -> None:
    texts, references = corpus(2)
    statistics = {"bleu": quality.bleu_statistics, "chrf": quality.chrf_statistics}[kind](texts, references)
    expected = {"bleu": bleu, "chrf": chrf}[kind](texts[:30], references[:30])
    index = torch.where(torch.arange(len(texts)) < 30, torch.arange(len(texts)), -1)
    whole, parts = CorpusScore(kind), CorpusScore(kind)
    whole.update(statistics, index)
    for part in torch.arange(len(texts)).split(7):
        parts.update(statistics[part], index[part])
    assert whole.compute().item() == parts.compute().item() == pytest.approx(expected, rel=1e-6)


def test_exact_match_counts_real_rows() -> None:
    metric = TextMean()
    metric.update(torch.tensor([True, False, True]), torch.tensor([4, 7, -1]))
    assert metric.compute() == 0.5


def test_signatures() -> None:
    assert bleu_signature("none", lowercase=True).startswith("nrefs:1|case:lc|eff:no|tok:none|smooth:exp|version:")
    assert chrf_signature().startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")


def test_an_unknown_tokenisation_is_refused() -> None:
    with pytest.raises(ConfigError, match="tokenize=13b"):
        bleu(["a"], ["a"], tokenize="13b")
