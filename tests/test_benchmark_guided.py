"""Students of the benchmarks that are taught by maps in other ways."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator

from skanticipate import DistilledAnticipator, FrameMLP, SmoothedAnticipator
from skanticipate.datasets import make_kitchen
from skanticipate.losses import pooled_loss

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SPEC = FrameMLP(8)


@pytest.fixture(autouse=True, scope="module")
def common_on_path():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "common"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def kitchen():
    return make_kitchen(6, n_steps=3, unlabeled_fraction=0.5, random_state=0)


@pytest.fixture(scope="module")
def teacher(kitchen):
    rows = kitchen.y >= 0
    model = SmoothedAnticipator(SPEC, max_epochs=2, random_state=0)
    return FrozenEstimator(model.fit(kitchen.X_future[rows], kitchen.y[rows]))


def student(spec, teacher, kitchen, **params):
    others = {"feature_weight": 1.0, "init_from_teacher": False, "max_epochs": 3}
    params = {**others, **params}
    model = DistilledAnticipator(spec, teacher=teacher, random_state=1, **params)
    return model.fit(kitchen.X_past, kitchen.y, kitchen.X_future)


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
def test_a_guided_student_that_is_told_nothing_is_the_plain_one(kitchen, teacher):
    from common.guided import Guided

    state = teacher.estimator.network_.state_dict()
    ours = student(Guided(SPEC, start=state), teacher, kitchen)
    plain = student(SPEC, teacher, kitchen, init_from_teacher=True)
    answers = [model.predict_proba(kitchen.X_past) for model in (ours, plain)]
    np.testing.assert_allclose(*answers, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
def test_after_the_phase_maps_teach_nothing(kitchen, teacher):
    from common.guided import Guided

    never = student(Guided(SPEC, n_guided=0), teacher, kitchen)
    plain = student(SPEC, teacher, kitchen, feature_weight=0.0)
    answers = [model.predict_proba(kitchen.X_past) for model in (never, plain)]
    np.testing.assert_allclose(*answers, rtol=1e-4)
    assert never.history_[0]["feature"] > 0  # noted, and not learnt from


@pytest.mark.filterwarnings("ignore:feature_weight is positive")
def test_alone_maps_teach_and_labels_do_not(kitchen, teacher):
    from common.guided import Guided

    spec = Guided(SPEC, n_alone=3, n_guided=3)
    long, short = (
        student(spec, teacher, kitchen, weight_decay=0.0, max_epochs=n) for n in (3, 1)
    )
    assert long.history_[2]["feature"] < long.history_[0]["feature"]
    heads = [model.network_.inner.classifier.weight for model in (long, short)]
    assert torch.equal(*heads)  # as they were at the start


def test_the_loss_of_two_layers_is_the_mean_of_theirs():
    from common.guided import layered

    rng = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 4, 3, 8, generator=rng)

    def pooled(ours, theirs, *, teacher_pooled):
        return pooled_loss(ours, theirs, reduction="none")

    found = layered(pooled, 5, student, teacher, teacher_pooled=None)
    by_hand = [
        torch.nn.functional.huber_loss(
            student[..., part].mean(1), teacher[..., part].mean(1), reduction="none"
        ).mean(1)
        for part in (slice(5), slice(5, 8))
    ]
    assert torch.allclose(found, sum(by_hand) / 2)
