"""The spec of denoising, and the import of optional packages."""

import json

import numpy as np
import pytest

from sightseq.core.errors import CheckpointError, ConfigError
from sightseq.core.extras import require
from sightseq.core.spec import Spec
from sightseq.vision.denoising_spec import DenoisingSpec
from sightseq.vision.spec import ImageSpec

NOISE = {
    "poisson": {"_target_": "sightseq.vision.noise.Poisson", "sigma": (5, 40)},
    "jpeg": {"_target_": "sightseq.vision.noise.JPEG", "quality": 80},
}
SPEC = DenoisingSpec(3, 96, 96, NOISE, (15.0, 25.0))


def test_the_noise_configs_survive_json() -> None:
    again = Spec.from_dict(json.loads(json.dumps(SPEC.to_dict())))
    assert again == SPEC
    assert isinstance(again, DenoisingSpec)
    assert again.noise["poisson"] == NOISE["poisson"]
    assert hash(again) == hash(SPEC)


def test_an_untrusted_class_in_the_noise_is_not_built() -> None:
    values = SPEC.to_dict() | {"noise": {"x": {"_target_": "os.system", "command": "true"}}}
    again = Spec.from_dict(values)
    assert isinstance(again, DenoisingSpec)
    assert again.noise == values["noise"]
    with pytest.raises(CheckpointError, match="channels"):
        Spec.from_dict(SPEC.to_dict() | {"channels": {"_target_": "os.system"}})


def test_other_noise_and_sizes_fit_and_other_colours_do_not() -> None:
    assert SPEC.difference(DenoisingSpec(3, 28, 28)) == ""
    assert SPEC.difference(DenoisingSpec(1, 96, 96)) == "it was trained on RGB images, but the data is grey"
    assert "ImageSpec" in SPEC.difference(ImageSpec(3, 96, 96, ("a",), (0.5,), (0.5,)))


def test_net_arguments_summary_and_metadata() -> None:
    assert SPEC.net_arguments() == {"in_channels": 3, "out_channels": 3}
    assert SPEC.summary() == {"colours": "RGB", "noise": "Poisson sigma=5..40 + JPEG quality=80"}
    assert DenoisingSpec(1, 8, 8).summary() == {"colours": "grey", "noise": "from the noisy files"}
    assert json.loads(SPEC.metadata()["preprocessing"]) == {"channels": 3, "colours": "RGB", "values": "0..1"}


def test_examples_have_the_form_that_a_plot_needs() -> None:
    image = np.array([-0.5, 0.0, 0.5, 2.0], np.float32).reshape(1, 2, 2)
    assert DenoisingSpec(1, 2, 2).to_example(image).tolist() == [[0, 0], [128, 255]]
    assert SPEC.to_example(np.zeros((3, 2, 5), np.uint8)).shape == (2, 5, 3)


def test_a_missing_package_is_named_with_its_install_command() -> None:
    assert require("json", "denoising") is json
    with pytest.raises(
        ConfigError, match=r"no_such_package is needed \(.*\); run: pip install 'sightseq\[denoising\]'"
    ):
        require("no_such_package.inner", "denoising")
