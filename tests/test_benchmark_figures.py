"""Figures of the benchmarks against hand-made numbers and peers."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True, scope="module")
def common_on_path():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "common"]:
        del sys.modules[name]


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(4), 60), rng.integers(4, size=60)


def test_log_losses_and_brier_scores_agree_with_scikit_learn(answers):
    from common.certainty import briers, log_losses

    proba, y = answers
    assert log_losses(proba, y).mean() == pytest.approx(log_loss(y, proba))
    theirs = brier_score_loss(y, proba, labels=np.arange(4), scale_by_half=False)
    assert briers(proba, y).mean() == pytest.approx(theirs)


def test_a_label_of_probability_zero_has_a_finite_loss():
    from common.certainty import log_losses

    assert log_losses(np.eye(2), np.array([0, 0])) == pytest.approx([0, -np.log(1e-7)])


def test_calibration_error_of_two_bins_by_hand():
    from common.certainty import calibration_error

    # Three clips at .95, two of them right; one at .5, wrong.
    sure, hit = np.array([0.95, 0.95, 0.95, 0.5]), np.array([1.0, 1, 0, 0])
    by_hand = (abs(2 - 3 * 0.95) + 0.5) / 4
    assert calibration_error(sure, hit) == pytest.approx(by_hand)
    # The one at .5 twice is as if it stood there twice.
    twice = calibration_error(np.append(sure, 0.5), np.append(hit, 0))
    assert calibration_error(sure, hit, np.array([1, 1, 1, 2])) == pytest.approx(twice)
    assert calibration_error(np.ones(2), np.ones(2)) == 0  # 1 is in the last bin


def test_calibration_gain_and_its_errors():
    from common.certainty import calibration_gain

    hit = np.array([[1.0, 0, 1, 1], [1, 1, 1, 1]])
    ours, theirs = np.full((2, 4), 0.8), np.ones((2, 4))
    found = calibration_gain((ours, hit), (theirs, hit), np.arange(4))
    per_seed = 100 * np.array([0.05 - 0.25, 0.2 - 0.0])
    assert found.gain == pytest.approx(per_seed.mean())
    assert found.se_seeds == pytest.approx(per_seed.std(ddof=1) / np.sqrt(2))
    assert found.se_clips > 0
    # One group: the same clips in every resample.
    one = calibration_gain((ours, hit), (theirs, hit), np.zeros(4))
    assert one.se_clips == pytest.approx(0)


def test_p_value_adds_both_variances():
    from common.certainty import p_value
    from common.gains import Gain

    assert p_value(Gain(1.96 * 5, 3.0, 4.0)) == pytest.approx(0.05, abs=1e-4)
    assert p_value(Gain(-1.96 * 4, np.nan, 4.0)) == pytest.approx(0.05, abs=1e-4)
    assert p_value(Gain(0.0, 0.0, 0.0)) == 1


def test_holm_by_hand():
    from common.certainty import holm

    # 4 x .01, 3 x .02 = .06, 2 x .03 = .06, then .2; never falling, at most 1.
    found = holm([0.02, 0.2, 0.01, 0.03])
    assert found == pytest.approx([0.06, 0.2, 0.04, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])


def test_scores_of_two_seeds():
    from common.scores import certainty, scores

    proba = np.array([[[0.7, 0.3], [0.6, 0.4], [0.1, 0.9]]] * 2)
    y, classes = np.array([3, 5, 5]), np.array([3, 5])
    found = scores(proba, y, classes)
    assert found["top-1"].mean(axis=1) == pytest.approx([2 / 3] * 2)
    assert found["class recall"].mean(axis=1) == pytest.approx([3 / 4] * 2)
    loss = -np.log([0.7, 0.4, 0.9]).mean()
    assert found["log loss"].mean(axis=1) == pytest.approx([loss] * 2)
    sure, hit, errors = certainty(proba, y, classes)
    assert sure[0] == pytest.approx([0.7, 0.6, 0.9])
    assert hit[0].tolist() == [1, 0, 1]
    assert errors == pytest.approx([(0.3 + 0.6 + 0.1) / 3] * 2)


def test_the_best_candidate_is_that_of_the_mean_curve():
    from common.fair import Look

    look = Look(["a", "b"])
    # (candidates, epochs, (log loss, accuracy)); two runs
    look.runs.append(
        np.array([[[2, 0.1], [1, 0.2], [3, 0.9]], [[2, 0], [2, 0], [2, 0]]])
    )
    look.runs.append(
        np.array([[[2, 0.1], [2, 0.2], [3, 0.9]], [[2, 0], [1.4, 0], [1, 0]]])
    )
    assert look.best() == ("a", 2, -1.5)  # of a .5 at most, b 1.5 as well, later
    assert look.best(among=lambda c: c == "b") == ("b", 3, -1.5)
    candidate, periods, accuracy = look.best("accuracy")
    assert (candidate, periods) == ("a", 3)
    assert accuracy == pytest.approx((0.2 + 0.9 + 0.9) / 3)


def test_inner_parts_hold_out_the_folds_that_follow():
    from common.tasks import Task, same

    folds = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    task = Task(folds, folds, folds, same(folds, folds), ())
    parts = task.inner_parts(3, 2)
    assert [held.tolist() for _, held in parts] == [[0, 4], [1, 5]]
    assert [rows.tolist() for rows, _ in parts] == [[1, 2, 5, 6], [0, 2, 4, 6]]


def test_labels_are_kept_of_whole_groups_and_clips_are_scaled():
    from common.lessons import lesson
    from common.tasks import Task, same

    rng = np.random.default_rng(0)
    past, future = 5 + 3 * rng.normal(size=(2, 40, 3, 2))
    past[0, 0] = np.nan  # padding
    groups = np.repeat(np.arange(10), 4)
    task = Task(np.arange(40) % 2, groups, groups % 2, same(past, future), ())
    one = lesson(task, 0, *task.part(0), 0.4, seed=0)
    known = [set(one.y[one.groups == g] >= 0) for g in np.unique(one.groups)]
    assert sorted(known, key=str) == [{False}] * 3 + [{True}] * 2
    both = np.concatenate([one.clips["past"], one.clips["future"]])
    assert np.nanmean(both, axis=(0, 1)) == pytest.approx([0, 0], abs=1e-5)
    assert np.nanstd(both, axis=(0, 1)) == pytest.approx([1, 1], abs=1e-5)


def test_stored_settings_are_read_as_they_were_and_keep_other_shares(
    tmp_path, monkeypatch
):
    import json

    from common import contrast

    monkeypatch.setattr(contrast, "SETTINGS", tmp_path)
    plan = {"labels only": {"setting": {"network": "GRU 64", "periods": 3}}, "n": []}
    contrast.store("gtea", contrast.Budget(), 5, "0.2", [plan])
    contrast.store("gtea", contrast.Budget(), 5, "1", [plan, plan])
    found = json.loads((tmp_path / "gtea.json").read_text())
    assert found["shares"] == {"0.2": [plan], "1": [plan, plan]}
    assert (found["set"], found["seeds"]) == ("gtea", 5)


def test_the_temperature_of_logits_that_are_thrice_too_large_is_three():
    from common.tempering import temperature_of, tempered

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns = (rng.random((20_000, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    assert temperature_of(3 * logits, columns) == pytest.approx(3, rel=0.05)
    sharp = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    assert tempered(sharp, 3.0) == pytest.approx(proba)
    assert tempered(np.array([[1.0, 0.0]]), 2.0) == pytest.approx(np.eye(2)[:1])


def test_a_stored_plan_gives_the_same_answers_again():
    import json

    from common.fair import Budget, choose, measure
    from common.tasks import load_task

    task = load_task("kitchen", None)
    budget = Budget((0.0,), (0.0,), 2, 1, 1, (1.0,))
    plan = choose(task, 0, 0.2, budget, with_maps=False)
    first = measure(task, 0, 0.2, plan, [0])
    again = measure(task, 0, 0.2, json.loads(json.dumps(plan)), [0])
    assert list(first) == list(again)
    n_test = len(task.part(0)[1])
    for arm, proba in first.items():
        np.testing.assert_array_equal(again[arm], proba)
        assert proba.shape == (1, n_test, len(task.classes))
        np.testing.assert_allclose(proba.sum(axis=2), 1, rtol=1e-5)


def test_outcomes_by_hand_the_first_of_equal_classes_is_the_better():
    from common.outcomes import outcomes

    # Label 20 is second, 10 first beside an equal one, 70 last of seven.
    proba = np.array(
        [
            [0.5, 0.3, 0.2, 0, 0, 0, 0],
            [0.4, 0.4, 0.2, 0, 0, 0, 0],
            [0.4, 0.3, 0.1, 0.1, 0.1, 0, 0],
        ]
    )
    classes, y = np.arange(10, 80, 10), np.array([20, 10, 70])
    found = outcomes(proba, y, classes, many_shot=np.array([20, 70]))
    assert found["top-1"].tolist() == [0, 1, 0]
    assert found["top-5"].tolist() == [1, 1, 0]
    assert found["class-mean top-1"].mean() == pytest.approx(1 / 3)
    assert found["recall@5"].mean() == pytest.approx(1 / 2)  # of 20 and 70
    equal = outcomes(np.full((7, 7), 1 / 7), classes, classes)
    assert equal["top-5"].tolist() == [1, 1, 1, 1, 1, 0, 0]
