"""Captions are tokenised as by coco-caption.

The expected tokens are those of pycocoevalcap 1.2 (stanford-corenlp-3.4.1.jar, Java 17):
    java -cp stanford-corenlp-3.4.1.jar edu.stanford.nlp.process.PTBTokenizer -preserveLines -lowerCase FILE
without the tokens in `pycocoevalcap.tokenizer.ptbtokenizer.PUNCTUATIONS`. The sentences that are counted in `text.ptb`
are the captions of 800 images of Flickr8k, the English captions of Multi30k, and English sentences of Tatoeba.
"""

import time

import pytest

from sightseq.text.ptb import ptb_tokens

GOLDEN = {
    "A child in a pink dress is climbing up a set of stairs in an entry way .": (
        "a child in a pink dress is climbing up a set of stairs in an entry way"
    ),
    "A man's dog (brown) doesn't run; it's 5 o'clock -- \"wow!\"": (
        "a man 's dog -lrb- brown -rrb- does n't run it 's 5 o'clock wow"
    ),
    "I cannot see, they're gonna play, we've gotta, he'd say y'all's!!": (
        "i can not see they 're gon na play we 've got ta he 'd say y' all 's !!"
    ),
    "Mr. Smith and Dr. J. Jones of the U.S. team at 10:30 a.m.": (
        "mr. smith and dr. j. jones of the u.s. team at 10:30 a.m."
    ),
    "A well-dressed man/woman in a t-shirt, 1,000 people at 1/2 price: $5 or 50%?": (
        "a well-dressed man/woman in a t-shirt 1,000 people at 1/2 price $ 5 or 50 %"
    ),
    "The dogs' ball... wait!! What?! R&B &amp; rock 'n' roll": "the dogs ball wait !! what ?! r&b & rock 'n' roll",
    "It\u2019s a \u201ccafé\u201d \u2013 no, a \u2018bar\u2019 \u2014 with tables\u2026": (
        "it 's a café no a bar with tables"
    ),
    "don't DON'T can't won't isn't ain't d'Artagnan O'Brien": (
        "do n't do n't ca n't wo n't is n't ai n't d'artagnan o'brien"
    ),
    "foo.com end.Start a_b [x] {y} 5ft": "foo.com end.start a_b -lsb- x -rsb- -lcb- y -rcb- 5ft",
    "two  spaces\tand an end \n": "two spaces and an end",
    " . ": "",
    "": "",
}


@pytest.mark.parametrize("text", GOLDEN)
def test_tokens_are_those_of_coco_caption(text: str) -> None:
    assert ptb_tokens(text) == GOLDEN[text]


def test_time_is_linear_in_the_length_of_a_word() -> None:
    began = time.monotonic()
    for text in ("a" * 50_000, "a-" * 50_000, "a." * 50_000, "'" * 50_000, "1," * 50_000):
        ptb_tokens(text)
    assert time.monotonic() - began < 5
