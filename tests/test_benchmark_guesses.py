"""Networks of the benchmarks that guess the future: what they are to compute."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator

from skanticipate import LSTM, FeatureMapNet, FrameMLP, SmoothedAnticipator, fit_many

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True, scope="module")
def common_on_path():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "common"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def clips():
    """Pasts, futures of which some end early, and labels."""
    rng = np.random.default_rng(0)
    past, future = rng.normal(size=(2, 40, 4, 6)).astype(np.float32)
    future[::3, 2:] = np.nan
    return past, future, np.arange(40) % 5


def teacher_of(clips, network):
    from common.guessing import Pooled

    past, future, y = clips
    model = SmoothedAnticipator(network, max_epochs=3, random_state=0)
    return Pooled(model.fit(future, y), future)


@pytest.mark.parametrize(
    "network",
    [LSTM(8, cell="gru"), FrameMLP(8), FeatureMapNet(8, n_blocks=0)],
    ids=lambda network: type(network).__name__,
)
def test_the_pooled_map_is_what_the_classifier_of_a_teacher_reads(clips, network):
    _, future, _ = clips
    teacher = teacher_of(clips, network)
    vectors = teacher.feature_map(future)
    assert vectors.shape == (40, 1, 8)
    assert vectors.mean(axis=(0, 1)) == pytest.approx(np.zeros(8), abs=1e-5)
    read = teacher.classify(vectors[:, 0])
    np.testing.assert_allclose(read, teacher.predict_proba(future), atol=1e-6)


def students(clips, teacher, through=True):
    from common.arms import Arm, Setting, student
    from common.guessing import Guesser

    spec = Guesser(LSTM(8), teacher.width, 16, dropout=0.5, through=through)
    arm, setting = Arm("future", True, False, "pooled", 1.0), Setting("", 0.5, 0.0, 3)
    frozen = FrozenEstimator(teacher)
    return [
        student(arm, setting, spec, np.arange(5), seed, teacher=frozen)
        for seed in range(2)
    ]


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
def test_students_that_guess_are_the_same_together_and_alone(clips):
    past, future, y = clips
    models = students(clips, teacher_of(clips, LSTM(6)))
    y = np.where(np.arange(40) < 20, y, -1)
    for model, together in zip(models, fit_many(models, past, y, future), strict=True):
        alone = model.fit(past, y, future).predict_proba(past)
        np.testing.assert_allclose(together.predict_proba(past), alone, atol=1e-5)


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
def test_what_a_classifier_makes_of_another_guess(clips):
    from common.guessing import read_instead

    past, future, y = clips
    model = students(clips, teacher_of(clips, LSTM(6)))[0]
    model.fit(past, np.where(np.arange(40) < 20, y, -1), future)
    guess = model.feature_map(past)[:, 0]
    instead = np.random.default_rng(1).normal(size=guess.shape).astype(np.float32)
    found = read_instead(model, past, guess, instead)
    layer = model.network_.added.guess
    hook = layer.register_forward_hook(lambda *_: torch.from_numpy(instead))
    np.testing.assert_allclose(found, model.predict_proba(past), atol=1e-5)
    hook.remove()
    assert np.abs(found - model.predict_proba(past)).max() > 1e-3


def test_a_guess_apart_does_not_learn_from_the_classifier():
    from common.guessing import Guesser

    clips = torch.zeros(2, 3, 4)
    for through in (True, False):
        spec = Guesser(LSTM(5), 6, through=through)
        network = spec.build((3, 4), 2, generator=torch.Generator().manual_seed(0))
        network(clips).logits.sum().backward()
        assert (network.added.guess.weight.grad is not None) == through
        assert network.added.reader.weight.grad is not None


def test_a_linear_guess_finds_what_is_linear(clips):
    from common.guessing import linear_guess
    from common.lessons import Lesson

    rng = np.random.default_rng(2)
    past = rng.normal(size=(300, 4, 2)).astype(np.float32)

    class Last:
        """A teacher whose map is the last step of the past, turned."""

        def feature_map(self, X):
            return X[:, None, -1] @ np.array([[1, 2], [-1, 0.5]])

    both = {"past": past[:200], "future": past[:200]}, {"past": past[200:]}
    one = Lesson(*both, np.zeros(200), np.zeros(100), None, None)
    found = linear_guess(one, Last())
    by_hand = past[200:, -1] @ np.array([[1, 2], [-1, 0.5]])
    np.testing.assert_allclose(found, by_hand, atol=0.1)
