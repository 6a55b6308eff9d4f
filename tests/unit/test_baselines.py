"""Baselines learn only from the training split, and their scores equal those of scikit-learn."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk
from sklearn.svm import SVC

from sightseq.core import baseline, results
from sightseq.core.arrays import ArrayDataset
from sightseq.core.baseline import Baseline
from sightseq.core.datamodule import DataModule
from sightseq.core.results import score_baselines
from sightseq.data.image.digits import Digits
from sightseq.data.image.images import synthetic_images
from sightseq.tasks.classification.baseline import HOG, SVM, Classifier, Majority


def stripes(count: int, seed: int, classes: int = 3) -> dict[str, NDArray[Any]]:
    """Images of stripes as the inputs of an SVM."""
    images, labels = synthetic_images(count, classes, 8, 1, seed)
    return {"input": SVM().features(images), "target": labels}


def test_majority_is_the_most_frequent_label_of_training() -> None:
    baseline = Majority()
    baseline.fit({"input": np.zeros((6, 1)), "target": np.array([2, 0, 2, 1, 2, 0])})
    test = {"input": np.zeros((4, 1)), "target": np.array([0, 0, 2, 0])}
    assert baseline.predict(test).tolist() == [2, 2, 2, 2]
    assert baseline.score(test)["accuracy"] == 0.25


def test_scores_against_scikit_learn() -> None:
    class Given(Classifier):
        def fit(self, train: dict[str, NDArray[Any]]) -> None:
            raise NotImplementedError

        def predict(self, batch: dict[str, NDArray[Any]]) -> NDArray[Any]:
            return batch["input"]

    true, guess = np.array([0, 0, 1, 1, 2, 2, 3]), np.array([0, 1, 1, 1, 0, 1, 1])
    found = Given().score({"input": guess, "target": true})
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    assert found == pytest.approx(
        {
            "accuracy": 3 / 7,
            "precision": sk.precision_score(true, guess, **macro),
            "recall": (0.5 + 1 + 0 + 0) / 4,
            "f1": sk.f1_score(true, guess, **macro),
        }
    )
    assert all(type(value) is float for value in found.values())  # results.json contains them


def test_svm_equals_scikit_learn_on_pixels_of_0_to_1() -> None:
    train, test = stripes(90, 0), stripes(60, 1)
    baseline = SVM(C=2.0, components=None)
    baseline.fit(train)
    reference = SVC(C=2.0, gamma="scale").fit(train["input"], train["target"])
    assert baseline.predict(test).tolist() == reference.predict(test["input"]).tolist()
    pixels = np.array([[[[0, 51], [102, 255]]]], np.uint8)
    assert baseline.features(pixels) == pytest.approx(np.array([[0, 0.2, 0.4, 1]]))


@pytest.mark.parametrize("components", [None, 10, 1000])
def test_svm_learns_stripes(components: int | None) -> None:
    baseline = SVM(components=components)
    baseline.fit(stripes(300, 0))
    assert baseline.score(stripes(60, 1))["accuracy"] > 0.8
    assert ("pca" in baseline.model.named_steps) == (components == 10)


def test_svm_learns_from_a_limited_number_of_images() -> None:
    baseline = SVM(components=None, largest=40)
    baseline.fit(stripes(300, 0))
    assert baseline.model.named_steps["svc"].shape_fit_ == (40, 64)
    again = SVM(components=None, largest=40)
    again.fit(stripes(300, 0))
    assert again.predict(stripes(60, 1)).tolist() == baseline.predict(stripes(60, 1)).tolist()


class Recording(Classifier):
    """Records its inputs."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[int]]] = []

    def fit(self, train: dict[str, NDArray[Any]]) -> None:
        self.seen.append(("fit", train["target"].tolist()))

    def predict(self, batch: dict[str, NDArray[Any]]) -> NDArray[Any]:
        self.seen.append(("predict", batch["target"].tolist()))
        return batch["target"]


@pytest.fixture
def data() -> DataModule:
    module = Digits(name="toy")
    module._spec = module.example_spec
    arrays = {"input": np.arange(6), "target": np.arange(6)}
    rows = {"train": [0, 2, 4], "val": [1, 3], "test": [5]}
    module._datasets = {split: ArrayDataset(arrays, np.array(chosen)) for split, chosen in rows.items()}
    return module


def test_baselines_fit_on_train_and_for_the_test_on_train_and_val(data: DataModule) -> None:
    recording = Recording()
    scores = score_baselines({"noted": recording}, data, test=True)
    assert recording.seen == [("fit", [0, 2, 4]), ("predict", [1, 3]), ("fit", [0, 2, 4, 1, 3]), ("predict", [5])]
    assert scores["noted"]["val"]["accuracy"] == scores["noted"]["test"]["accuracy"] == 1
    assert scores["noted"]["seconds"] >= 0


def test_baselines_use_the_test_split_only_on_request(data: DataModule) -> None:
    recording = Recording()
    assert score_baselines({"noted": recording}, data, test=False)["noted"]["test"] is None
    assert [5] not in [labels for _, labels in recording.seen]


def test_training_data_is_not_read_for_a_baseline_without_fit(data: DataModule) -> None:
    class Fixed(Recording):
        fit = Baseline.fit

    data._datasets["train"].arrays = {}  # reading it would fail
    fixed = Fixed()
    assert score_baselines({"fixed": fixed}, data, test=True)["fixed"]["test"]["accuracy"] == 1
    assert fixed.seen == [("predict", [1, 3]), ("predict", [5])]


def test_a_failing_baseline_is_reported_and_the_others_are_scored(data: DataModule) -> None:
    class Failing(Recording):
        def fit(self, data: Any) -> None:
            raise ValueError("one class\nis too few")

    found = score_baselines({"bad": Failing(), "noted": Recording()}, data, test=True)
    assert found["bad"] == {"error": "ValueError: one class is too few"}
    assert found["noted"]["test"]["accuracy"] == 1


def test_training_scores_are_those_of_the_last_epoch() -> None:
    rows = [{"epoch": 1, "train/loss": 2.0}, {"epoch": 2, "train/loss": 1.5, "train/f1": float("nan"), "val/loss": 1.0}]
    assert results.training_scores(rows) == {"loss": 1.5}
    assert results.training_scores([]) == {}


def test_baselines_read_samples_in_batches(data: DataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    class RecordsBatchSizes(Recording):
        def features(self, inputs: NDArray[Any]) -> NDArray[Any]:
            self.seen.append(("look", inputs.tolist()))
            return 10 * inputs

    monkeypatch.setattr(baseline, "CHUNK", 2)
    looking = RecordsBatchSizes()
    found = looking.read(data.dataset("train"))
    assert looking.seen == [("look", [0, 2]), ("look", [4])]
    assert found["input"].tolist() == [0, 20, 40]
    assert found["target"].tolist() == [0, 2, 4]


def test_hog_counts_directions() -> None:
    """Vertical stripes have only horizontal gradients, so all counts are in the bin of that direction."""
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
    upright, lying = HOG().features(np.stack([ramp[None], ramp.T[None]]))
    assert upright.shape == (7 * 7 * 4 * 9,)
    bins = upright.reshape(-1, 9)
    assert bins.argmax(1).tolist() == [bins[0].argmax()] * len(bins)
    assert np.count_nonzero(bins > 0.01) <= 2 * len(bins)
    assert lying.reshape(-1, 9)[0].argmax() != bins[0].argmax()


@pytest.mark.parametrize("shape", [(3, 40, 40), (1, 100, 70)])
def test_hog_learns_from_images_of_any_size_and_colour(shape: tuple[int, int, int]) -> None:
    images, labels = synthetic_images(90, 3, 100, shape[0], 0)
    images = images[:, :, : shape[1], : shape[2]]
    baseline = HOG()
    seen = baseline.features(images)
    baseline.fit({"input": seen[:60], "target": labels[:60]})
    assert baseline.score({"input": seen[60:], "target": labels[60:]})["accuracy"] > 0.9


def test_images_of_several_sizes_are_padded_at_their_ends() -> None:
    small, large = np.ones((2, 1, 2, 3)), np.ones((1, 1, 4, 2))
    found = baseline.concatenate([small, large])
    assert found.shape == (3, 1, 4, 3)
    assert found.sum((1, 2, 3)).tolist() == [6, 6, 8]
    assert found[0, 0, :2].all()
