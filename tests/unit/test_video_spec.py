"""The spec of videos: what fits a trained model, and what an exported file says."""

import json
from dataclasses import replace

from sightseq.core.spec import Spec
from sightseq.vision.spec import ImageSpec
from sightseq.vision.video_spec import VideoSpec

SPEC = VideoSpec(3, 32, 24, ("a", "b"), (0.5,) * 3, (0.25,) * 3, (7, 8), margin=4, frames=8)


def test_the_spec_of_a_frame() -> None:
    assert SPEC.frame == ImageSpec(3, 32, 24, ("a", "b"), (0.5,) * 3, (0.25,) * 3, (7, 8), margin=4)
    assert SPEC.net_arguments() == {"in_channels": 3, "num_classes": 2, "image_size": (32, 24), "frames": 8}
    assert Spec.from_dict(json.loads(json.dumps(SPEC.to_dict()))) == SPEC


def test_difference() -> None:
    assert SPEC.difference(replace(SPEC, frames=9, mean=(0.1,) * 3, counts=())) == ""
    assert "knows the classes a, b" in SPEC.difference(replace(SPEC, classes=("a", "c")))
    assert "images of 3 x 36 x 28, and these are 1 x 36 x 28" in SPEC.difference(replace(SPEC, channels=1))
    dense = replace(SPEC, sampling="dense", rate=7.5)
    expected = "it was trained on frames spread over the whole video, and these are 7.5 frames per second"
    assert SPEC.difference(dense) == expected
    assert "7.5 frames per second, and these are 8 frames" in dense.difference(replace(dense, rate=8.0))
    assert "the data is ImageSpec" in SPEC.difference(SPEC.frame)


def test_metadata() -> None:
    metadata = SPEC.metadata()
    assert json.loads(metadata["labels"]) == ["a", "b"]
    assert json.loads(metadata["preprocessing"])["height"] == 36
    assert json.loads(metadata["sampling"]) == {"frames": 8, "sampling": "uniform", "rate": None}
