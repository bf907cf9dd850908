"""The feature term against a loop over rows, in float64."""

import numpy as np
import pytest
import torch
from naive_terms import BATCH, SAMPLES, B, Case, D, N, check, distance, gradient
from numpy.testing import assert_allclose

from skanticipate.terms.features import projection


@pytest.mark.parametrize(
    "alignment", ["weak", "student", "teacher", "direct", "pooled"]
)
@pytest.mark.parametrize("alpha", [None, 0.0, 2.5])
@pytest.mark.parametrize("masked", [False, True])
def test_feature_term_is_a_mean_over_rows_with_a_future(alignment, alpha, masked):
    case = Case()
    masks = {"student_mask": None, "teacher_mask": None}
    if masked:
        rng = np.random.default_rng(1)
        masks = {
            "student_mask": rng.random((B, 5)) < 0.6,
            "teacher_mask": rng.random((N, 5)) < 0.6,
        }
        for mask in masks.values():
            mask[:, 4] = True  # both are padded on the left
        masks["student_mask"][2] = False  # a clip of nothing but padding
    features = case.features(alignment, alpha, masks["teacher_mask"])
    output = case.output(masks["student_mask"])
    terms = case.objective(features=features)(output, BATCH)
    check(terms["feature"], case.feature(alignment, alpha, **masks))


def test_clips_of_nothing_but_padding_have_no_map_though_all_have_a_future():
    case = Case()
    case.given[:] = True
    mask = np.ones((B, 5), dtype=bool)
    mask[[1, 5]] = False
    terms = case.objective(features=case.features("weak"))(case.output(mask), BATCH)
    check(terms["feature"], case.feature("weak", student_mask=mask))


@pytest.mark.parametrize(
    "alignment", ["weak", "student", "teacher", "direct", "pooled"]
)
def test_maps_without_a_position_to_compare_are_left_out(alignment):
    case = Case()
    masks = {
        "student_mask": np.ones((B, 5), dtype=bool),
        "teacher_mask": np.ones((N, 5), dtype=bool),
    }
    masks["teacher_mask"][int(SAMPLES[0])] = False  # a future of nothing but padding
    masks["student_mask"][1, 2:] = False  # no position is real in both of the second
    masks["teacher_mask"][int(SAMPLES[1]), :2] = False
    case.teacher[int(SAMPLES[0])] = np.nan
    features = case.features(alignment, mask=masks["teacher_mask"])
    output = case.output(masks["student_mask"])
    terms = case.objective(features=features)(output, BATCH)
    check(terms["feature"], case.feature(alignment, **masks))
    assert gradient(case, terms, "feature").isfinite().all()


def test_maps_of_other_size_are_compared_but_not_position_by_position():
    case = Case()
    case.teacher = case.teacher[:, :3]
    for alignment in ("weak", "student", "teacher", "pooled"):
        features = case.features(alignment)
        terms = case.objective(features=features)(case.output(), BATCH)
        expected = sum(
            case.weight(s)
            * distance(list(case.student[r]), list(case.teacher[s]), alignment, None)
            for r, s in enumerate(SAMPLES.tolist())
            if case.given[s]
        )
        assert_allclose(terms["feature"][0].item(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match='alignment "weak"'):
        case.objective(features=case.features("direct"))(case.output(), BATCH)


def test_a_batch_without_futures_has_no_feature_term():
    case = Case()
    case.given[:] = False
    terms = case.objective(features=case.features("weak"))(case.output(), BATCH)
    assert set(terms) == {"base"}


def test_a_batch_of_padding_has_no_feature_term():
    case = Case()
    output = case.output(np.zeros((B, 5), bool))
    terms = case.objective(features=case.features("weak"))(output, BATCH)
    assert set(terms) == {"base"}


# --------------------------------------------------------------------- projection


def test_projection_keeps_maps_of_the_same_channels():
    assert isinstance(projection(4, 4, None), torch.nn.Identity)


@pytest.mark.parametrize(("n_student", "n_teacher"), [(5, 3), (3, 5)])
def test_projection_is_drawn_from_its_generator(n_student, n_teacher):
    one, two = (
        projection(n_student, n_teacher, torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(one.weight, two.weight)
    assert one(torch.zeros(2, 7, n_student)).shape == (2, 7, n_teacher)
    weight = one.weight if n_student > n_teacher else one.weight.T
    assert_allclose((weight @ weight.T).detach(), np.eye(3), atol=1e-5)


def test_the_student_is_projected_before_it_is_compared():
    case = Case()
    between = projection(D, 2, torch.Generator().manual_seed(0)).double()
    case.teacher = case.teacher[:, :, :2]
    features = case.features("pooled", between=between)
    terms = case.objective(features=features)(case.output(), BATCH)
    weight = between.weight.detach().numpy()
    expected = sum(
        case.weight(s)
        * distance(list(case.student[r] @ weight.T), list(case.teacher[s]), "pooled", 1)
        for r, s in enumerate(SAMPLES.tolist())
        if case.given[s]
    )
    assert_allclose(terms["feature"][0].item(), expected, rtol=1e-12)
    [slope] = torch.autograd.grad(terms["feature"][0], between.weight)
    assert (slope != 0).any()


def test_features_of_rows_without_a_future_may_be_no_numbers():
    case = Case()
    case.teacher[~case.given] = np.nan
    case.student[~case.given[SAMPLES]] = np.nan
    terms = case.objective(features=case.features("weak"))(case.output(), BATCH)
    check(terms["feature"], case.feature("weak"))
    slope = gradient(case, terms, "feature")
    assert (slope[~case.given[SAMPLES]] == 0).all() and slope.isfinite().all()
