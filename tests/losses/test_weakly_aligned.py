import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch.nn import functional

from skanticipate.losses import (
    direct_loss,
    pooled_loss,
    teacher_pooled,
    weakly_aligned,
    weakly_aligned_loss,
)

A = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
R = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]]], dtype=torch.float64)
DIRECTIONS = pytest.mark.parametrize("direction", ["both", "student", "teacher"])
FORMS = pytest.mark.parametrize("form", ["huber", "squared"])


def attention(query, keys, alpha):
    return torch.softmax(alpha * query @ keys.mT, -1) @ keys


def reference(
    student,
    teacher,
    *,
    alpha=None,
    direction="both",
    form="huber",
    delta=1.0,
    reduction="none",
    student_mask=None,
    teacher_mask=None,
):
    """The equations, sample by sample, on the real positions alone, by autograd."""
    losses = []
    for b in range(len(student)):
        a, r = student[b], teacher[b]
        a = a if student_mask is None else a[student_mask[b]]
        r = r if teacher_mask is None else r[teacher_mask[b]]
        scale = a.shape[1] ** -0.5 if alpha is None else alpha
        halves = {
            "student": attention(a, r, scale) - attention(a, a, scale),
            "teacher": attention(r, a, scale) - attention(r, r, scale),
        }
        loss = 0.0
        for half, x in halves.items():
            if direction in (half, "both"):
                h = x**2
                if form == "huber":
                    h = torch.where(
                        x.abs() <= delta, h / 2, delta * (x.abs() - delta / 2)
                    )
                loss = loss + (h.sum() if reduction == "sum" else h.mean())
        losses.append(loss)
    losses = torch.stack(losses)
    return losses if reduction == "none" else losses.mean()


def random_maps(b, n_s, n_t, d, *, scale=1.0, seed=0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    maps = [rng.normal(scale=scale, size=(b, n, d)) for n in (n_s, n_t)]
    return [torch.from_numpy(m).to(dtype) for m in maps]


def random_masks(b, n_s, n_t, seed=0):
    rng = np.random.default_rng(seed)
    masks = [rng.random((b, n)) < 0.6 for n in (n_s, n_t)]
    for mask in masks:
        mask[:, 1] = True
    return [torch.from_numpy(mask) for mask in masks]


def value_and_gradient(loss, student, *args, **params):
    student = student.detach().clone().requires_grad_()
    value = loss(student, *args, **params)
    (gradient,) = torch.autograd.grad(value.sum(), student)
    return value.detach(), gradient


def relative(found, expected):
    return float((found.double() - expected).abs().max() / expected.abs().max())


@pytest.fixture
def in_rows(monkeypatch):
    """Room for two queries of one sample at a time, as for maps of enormous size."""
    for limit in (weakly_aligned._USUAL, weakly_aligned._LARGEST):
        monkeypatch.setitem(limit, "cpu", 2 * 8 * (4 * 7 + 3 * 3))


# ------------------------------------------------------------------ numbers by hand


@pytest.mark.parametrize(
    ("factor", "form", "student", "teacher", "both"),
    [
        (1, "squared", 1.2296811839245154, 1.6719744562494223, 2.9016556401739377),
        (1, "huber", 0.6148405919622577, 0.8359872281247112, 1.4508278200869689),
        (5, "squared", 87.49995395601343, 68.74999816052582, 156.24999211653926),
        (5, "huber", 17.49999926421032, 14.999999684661569, 32.49999894887189),
    ],
)
def test_worked_example(factor, form, student, teacher, both):
    expected = {"student": student, "teacher": teacher, "both": both}
    for direction, value in expected.items():
        found = weakly_aligned_loss(
            factor * A, factor * R, direction=direction, form=form, reduction="sum"
        )
        assert_allclose(found, value, rtol=1e-12 if factor == 1 else 2e-6)


def test_attention_without_scale_is_the_mean_and_with_a_large_one_the_nearest():
    assert_allclose(teacher_pooled(R, alpha=0)[0, 0], [1, 1 / 3], rtol=1e-12)
    # (1, 0) sees most of (2, 0); (0, 1) and (2, 0) see themselves
    assert_allclose(teacher_pooled(R, alpha=1e3)[0], [[0, 1], [2, 0], [2, 0]])


def test_nearest_vectors_are_compared_at_a_large_scale():
    # a_1 sees (2, 0) there and (1, 0) and (1, 1) alike here; a_2 sees (0, 1) and the
    # mean of (0, 1) and (1, 1); a_3 sees (2, 0) and (1, 1)
    found = weakly_aligned_loss(
        A, R, alpha=1e3, direction="student", form="squared", reduction="sum"
    )
    assert_allclose(found, (1 + 0.25) + (0.25 + 0) + (1 + 1))


def test_a_permuted_map_costs_nothing():
    permuted = A[:, [1, 2, 0]]
    assert_allclose(weakly_aligned_loss(A, permuted), 0, atol=1e-30)
    direct = direct_loss(A, permuted, form="squared", reduction="sum")
    assert_allclose(direct, 4)


def test_reductions_differ_by_the_number_of_elements():
    student, teacher = random_maps(4, 5, 7, 3)
    for direction, n in {"student": 5, "teacher": 7}.items():
        each, mean, total = (
            weakly_aligned_loss(
                student, teacher, direction=direction, reduction=reduction
            )
            for reduction in ("none", "mean", "sum")
        )
        assert each.shape == (4,)
        assert mean.shape == total.shape == ()
        assert_allclose(mean, each.mean(), rtol=1e-12)
        assert_allclose(total, each.mean() * n * 3, rtol=1e-12)


# --------------------------------------------------------------- against the equations


@DIRECTIONS
@FORMS
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("alpha", [None, 0.0, 1.3])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_value_and_gradient_follow_the_equations(
    direction, form, masked, alpha, reduction
):
    student, teacher = random_maps(4, 5, 7, 3)
    params = {"direction": direction, "form": form, "alpha": alpha, "delta": 0.7}
    params["reduction"] = reduction
    if masked:
        params["student_mask"], params["teacher_mask"] = random_masks(4, 5, 7)
    value, gradient = value_and_gradient(
        weakly_aligned_loss, student, teacher, **params
    )
    expected, slope = value_and_gradient(reference, student, teacher, **params)
    assert_allclose(value, expected, rtol=1e-12)
    assert_allclose(gradient, slope, rtol=1e-10, atol=1e-14)


@DIRECTIONS
@FORMS
@pytest.mark.parametrize("masked", [False, True])
def test_query_by_query_it_is_the_same(in_rows, direction, form, masked):
    student, teacher = random_maps(2, 5, 7, 3)
    params = {"direction": direction, "form": form, "reduction": "none"}
    if masked:
        params["student_mask"], params["teacher_mask"] = random_masks(2, 5, 7)
    assert weakly_aligned._plan(student, teacher)[:2] == (1, 2)
    found = value_and_gradient(weakly_aligned_loss, student, teacher, **params)
    expected = value_and_gradient(reference, student, teacher, **params)
    for ours, theirs in zip(found, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-14)
    pooled = teacher_pooled(teacher)
    assert_allclose(pooled, attention(teacher, teacher, 3**-0.5), rtol=1e-12)


@DIRECTIONS
@FORMS
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_gradient_passes_gradcheck(direction, form, masked, reduction):
    student, teacher = random_maps(2, 3, 4, 2, scale=2)
    params = {"direction": direction, "form": form, "reduction": reduction}
    if masked:
        params["student_mask"], params["teacher_mask"] = random_masks(2, 3, 4)
    assert torch.autograd.gradcheck(
        lambda maps: weakly_aligned_loss(maps, teacher, **params),
        student.requires_grad_(),
    )


def check_in_single_precision(b, n, d, alpha, direction="both"):
    # Vectors whose scores are of the size of 1 to 10, as trained maps have them.
    scale = 1.5 * d**-0.25 if alpha is None else 1.5 * d**-0.5
    student, teacher = random_maps(b, n, n, d, scale=scale, dtype=torch.float32)
    params = {"alpha": alpha, "direction": direction}
    value, gradient = value_and_gradient(
        weakly_aligned_loss, student, teacher, **params
    )
    expected, slope = value_and_gradient(
        reference, student.double(), teacher.double(), **params
    )
    assert value.dtype == gradient.dtype == torch.float32
    assert_allclose(value, expected.mean(), rtol=1e-6)
    assert relative(gradient, slope / b) < 2e-5
    pooled = teacher_pooled(teacher, alpha=alpha)
    cached = value_and_gradient(
        weakly_aligned_loss, student, teacher, teacher_pooled=pooled, **params
    )
    assert_allclose(cached[0], expected.mean(), rtol=1e-6)
    assert relative(cached[1], slope / b) < 2e-5


@DIRECTIONS
@pytest.mark.parametrize("alpha", [None, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("n", "d"), [(49, 64), (49, 256), (196, 64), (130, 33)])
def test_single_precision_is_enough(n, d, alpha, direction):
    check_in_single_precision(5, n, d, alpha, direction)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("b", "n", "d", "alpha"),
    [
        *product([16], [49], [64, 256, 832], [None, 1.0, 2.0]),
        *((b, n, d, None) for b, n in ((4, 196), (3, 392)) for d in (64, 256, 832)),
        *((2, 784, 256, 1.0), (2, 784, 832, None)),
        *((1, 1568, 64, 2.0), (1, 1568, 256, None), (1, 1568, 832, 1.0)),
    ],
)
def test_single_precision_is_enough_at_the_sizes_of_papers(b, n, d, alpha):
    check_in_single_precision(b, n, d, alpha)


def test_it_is_as_exact_as_autograd_on_peaked_attention():
    student, teacher = random_maps(2, 196, 196, 256, dtype=torch.float32)

    def plain(student, teacher):
        alpha = 256**-0.5
        return functional.huber_loss(
            attention(student, teacher, alpha), attention(student, student, alpha)
        ) + functional.huber_loss(
            attention(teacher, student, alpha), attention(teacher, teacher, alpha)
        )

    _, expected = value_and_gradient(plain, student.double(), teacher.double())
    _, theirs = value_and_gradient(plain, student, teacher)
    _, ours = value_and_gradient(weakly_aligned_loss, student, teacher)
    assert relative(ours, expected) < 2 * relative(theirs, expected) < 1e-4


def test_the_batch_is_cut_without_a_trace():
    student, teacher = random_maps(61, 60, 60, 40)
    samples, rows, _ = weakly_aligned._plan(student, teacher)
    assert 1 < samples < 61
    assert rows == 60
    value, gradient = value_and_gradient(
        weakly_aligned_loss, student, teacher, reduction="none"
    )
    expected, slope = value_and_gradient(reference, student, teacher)
    assert_allclose(value, expected, rtol=1e-12)
    assert_allclose(gradient, slope, rtol=1e-9, atol=1e-15)


# ------------------------------------------------------------------------------- laws

maps = st.tuples(
    st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)
)
seeds = st.integers(0, 2**32 - 1)
options = st.fixed_dictionaries(
    {
        "alpha": st.sampled_from([None, 0.0, 0.3, 2.0]),
        "form": st.sampled_from(["huber", "squared"]),
    }
)
directions = st.sampled_from(["both", "student", "teacher"])


@given(maps, seeds, options, directions)
@settings(max_examples=50, deadline=None)
def test_order_of_positions_does_not_matter(shape, seed, params, direction):
    student, teacher = random_maps(*shape, seed=seed)
    rng = np.random.default_rng(seed)
    orders = [torch.from_numpy(rng.permutation(m.shape[1])) for m in (student, teacher)]
    one, slope = value_and_gradient(
        weakly_aligned_loss, student, teacher, direction=direction, **params
    )
    other, moved = value_and_gradient(
        weakly_aligned_loss,
        student[:, orders[0]],
        teacher[:, orders[1]],
        direction=direction,
        **params,
    )
    assert_allclose(one, other, rtol=1e-10)
    assert_allclose(slope[:, orders[0]], moved, rtol=1e-8, atol=1e-14)


@given(maps, seeds, options, directions)
@settings(max_examples=50, deadline=None)
def test_a_map_is_no_distance_from_itself_permuted(shape, seed, params, direction):
    student, _ = random_maps(*shape, seed=seed)
    order = np.random.default_rng(seed).permutation(student.shape[1])
    loss = weakly_aligned_loss(
        student, student[:, torch.from_numpy(order)], direction=direction, **params
    )
    assert_allclose(loss, 0, atol=1e-25)


@given(maps, seeds, options)
@settings(max_examples=50, deadline=None)
def test_the_loss_is_symmetric_and_its_halves_change_places(shape, seed, params):
    student, teacher = random_maps(*shape, seed=seed)
    forth, back = (
        [weakly_aligned_loss(*pair, direction=direction, **params) for direction in way]
        for pair, way in [
            ((student, teacher), ("both", "student", "teacher")),
            ((teacher, student), ("both", "teacher", "student")),
        ]
    )
    assert_allclose(forth, back, rtol=1e-9, atol=1e-25)
    assert_allclose(forth[0], forth[1] + forth[2], rtol=1e-9, atol=1e-25)


def test_a_half_is_not_symmetric():
    one = weakly_aligned_loss(A, R, direction="student")
    assert abs(one - weakly_aligned_loss(R, A, direction="student")) > 0.01


@given(maps, seeds)
@settings(max_examples=50, deadline=None)
def test_without_scale_the_means_are_compared(shape, seed):
    student, teacher = random_maps(*shape, seed=seed)
    n = student.shape[1] + teacher.shape[1]
    found = weakly_aligned_loss(
        student, teacher, alpha=0, form="squared", reduction="sum"
    )
    distance = (student.mean(1) - teacher.mean(1)).square().sum(1)
    assert_allclose(found, n * distance.mean(), rtol=1e-9)
    pooled = pooled_loss(student, teacher, reduction="none")
    for direction in ("student", "teacher"):
        half = weakly_aligned_loss(
            student, teacher, alpha=0, direction=direction, reduction="none"
        )
        assert_allclose(half, pooled, rtol=1e-9)


# ------------------------------------------------------------------------------ masks


@DIRECTIONS
@pytest.mark.parametrize("rows", ["whole", "in rows"])
def test_what_stands_at_hidden_positions_does_not_matter(direction, rows, request):
    if rows == "in rows":
        request.getfixturevalue("in_rows")
    student, teacher = random_maps(2, 5, 7, 3)
    masks = random_masks(2, 5, 7)
    params = {"direction": direction, "student_mask": masks[0]}
    params["teacher_mask"] = masks[1]
    pooled = teacher_pooled(teacher, mask=masks[1])
    expected, slope = value_and_gradient(
        weakly_aligned_loss, student, teacher, reduction="none", **params
    )
    for value in (math.nan, math.inf, 1e30):
        for array, mask in zip(
            (student, teacher, pooled), [*masks, masks[1]], strict=True
        ):
            array[~mask] = value
        for known in (None, pooled):
            found, gradient = value_and_gradient(
                weakly_aligned_loss,
                student,
                teacher,
                reduction="none",
                teacher_pooled=known,
                **params,
            )
            assert_allclose(found, expected, rtol=1e-12)
            assert_allclose(gradient, slope, rtol=1e-10, atol=1e-15)
            assert (gradient[~masks[0]] == 0).all()
        assert_allclose(
            teacher_pooled(teacher, mask=masks[1])[masks[1]], pooled[masks[1]]
        )


def test_a_row_without_real_positions_is_an_error():
    student, teacher = random_maps(2, 3, 3, 2)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    for name in ("student_mask", "teacher_mask"):
        with pytest.raises(ValueError, match=f"{name} leaves a row without any real"):
            weakly_aligned_loss(student, teacher, **{name: mask})
    with pytest.raises(ValueError, match="mask leaves a row without any real"):
        teacher_pooled(teacher, mask=mask)


# -------------------------------------------------------------------------- gradients


def test_no_gradient_flows_into_the_teacher():
    student, teacher = random_maps(2, 3, 4, 2)
    pooled = teacher_pooled(teacher.requires_grad_()).requires_grad_()
    loss = weakly_aligned_loss(student.requires_grad_(), teacher, teacher_pooled=pooled)
    loss.backward()
    assert student.grad is not None
    assert teacher.grad is None
    assert pooled.grad is None


@DIRECTIONS
def test_the_student_may_be_fixed(direction):
    student, teacher = random_maps(2, 3, 4, 2)
    loss = weakly_aligned_loss(student, teacher.requires_grad_(), direction=direction)
    assert not loss.requires_grad
    expected = reference(student, teacher, direction=direction, reduction="mean")
    assert_allclose(loss, expected.detach(), rtol=1e-12)


def test_rows_can_be_weighed():
    student, teacher = random_maps(3, 3, 4, 2)
    weight = torch.tensor([0.0, 2.0, -1.5], dtype=torch.float64)

    def weighed(loss):
        return lambda *maps: (loss(*maps, reduction="none") * weight).sum()

    _, gradient = value_and_gradient(weighed(weakly_aligned_loss), student, teacher)
    _, slope = value_and_gradient(weighed(reference), student, teacher)
    assert_allclose(gradient, slope, rtol=1e-10, atol=1e-15)


def test_gradients_can_be_asked_for_again_but_not_their_gradients():
    student, teacher = random_maps(2, 3, 4, 2)
    loss = weakly_aligned_loss(student.requires_grad_(), teacher)
    loss.backward(retain_graph=True)
    once = student.grad.clone()
    loss.backward()
    assert_allclose(student.grad, 2 * once)
    loss = weakly_aligned_loss(student, teacher).square()
    (gradient,) = torch.autograd.grad(loss, student, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_inputs_are_left_as_they_were():
    tensors = [*random_maps(2, 3, 4, 2), teacher_pooled(random_maps(2, 3, 4, 2)[1])]
    masks = random_masks(2, 3, 4)
    before = [tensor.clone() for tensor in [*tensors, *masks]]
    loss = weakly_aligned_loss(
        tensors[0].requires_grad_(),
        tensors[1],
        teacher_pooled=tensors[2],
        student_mask=masks[0],
        teacher_mask=masks[1],
    )
    loss.backward()
    assert all(map(torch.equal, [*tensors, *masks], before))


def test_channels_may_come_first_in_memory():
    student, teacher = random_maps(2, 5, 5, 3)
    expected = value_and_gradient(weakly_aligned_loss, student, teacher)
    found = value_and_gradient(
        weakly_aligned_loss, student.mT.contiguous().mT, teacher.mT.contiguous().mT
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-10)


def test_half_precision_is_computed_in_single():
    student, teacher = random_maps(2, 5, 5, 3, dtype=torch.bfloat16)
    value, gradient = value_and_gradient(weakly_aligned_loss, student, teacher.half())
    expected, slope = value_and_gradient(
        weakly_aligned_loss, student.double(), teacher.half().double()
    )
    assert value.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    assert_allclose(value, expected, rtol=1e-6)
    assert relative(gradient, slope) < 1e-2


def test_no_row_is_no_error():
    student, teacher = torch.zeros(0, 3, 2), torch.zeros(0, 4, 2)
    loss = weakly_aligned_loss(student.requires_grad_(), teacher, reduction="none")
    assert loss.shape == (0,)
    loss.sum().backward()
    assert student.grad.shape == (0, 3, 2)


# ----------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3), (2, 3, 4)), r"student must be .* \(B, N, d\)"),
        (((2, 3, 4), (2, 3, 4, 1)), r"teacher must be .* \(B, N, d\)"),
        (((2, 0, 4), (2, 3, 4)), r"student must be"),
        (((2, 3, 4), (3, 3, 4)), "student has 2 rows but teacher has 3"),
        (((2, 3, 4), (2, 3, 5)), r"student has 4 channels .* 5: .* torch\.nn\.Linear"),
    ],
)
def test_shapes_must_fit(shapes, message):
    with pytest.raises(ValueError, match=message):
        weakly_aligned_loss(*map(torch.zeros, shapes))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": -0.1}, "alpha must be None or a finite number not below 0"),
        ({"alpha": math.nan}, "alpha"),
        ({"alpha": math.inf}, "alpha"),
        ({"alpha": "auto"}, "alpha"),
        (
            {"direction": "forward"},
            "direction must be 'both' or 'student'",
        ),
        ({"form": "l1"}, "form must be 'huber' or 'squared'"),
        ({"reduction": "batchmean"}, "reduction must be 'mean' or 'sum' or 'none'"),
        ({"delta": 0.0}, "delta must be a finite number above 0"),
        ({"delta": math.inf}, "delta"),
        (
            {"teacher_pooled": torch.zeros(1, 2, 2)},
            "teacher_pooled must have the shape",
        ),
        ({"student_mask": torch.ones(1, 3)}, "student_mask must be a bool tensor"),
        ({"teacher_mask": torch.ones(1, 2, dtype=torch.bool)}, "teacher_mask must be"),
    ],
)
def test_options_must_be_known(params, message):
    with pytest.raises(ValueError, match=message):
        weakly_aligned_loss(A, R, **params)


def test_a_scale_that_no_position_uses_is_checked_too():
    one = torch.zeros(1, 1, 2)
    with pytest.raises(ValueError, match="alpha must be None or a finite number"):
        weakly_aligned_loss(one, one, alpha=-0.1)


def test_maps_must_be_of_floating_point():
    with pytest.raises(ValueError, match=r"student must be a floating-point .*int64"):
        weakly_aligned_loss(A.long(), R)


def test_pooling_checks_its_arguments():
    with pytest.raises(ValueError, match="alpha"):
        teacher_pooled(R, alpha=-1.0)
    with pytest.raises(ValueError, match="floating-point"):
        teacher_pooled(R[0])


# --------------------------------------------------------------------------------- GPU


@pytest.mark.gpu
@DIRECTIONS
@pytest.mark.parametrize("masked", [False, True])
def test_both_devices_give_the_same(direction, masked):
    student, teacher = random_maps(6, 140, 150, 32, scale=0.5)
    params = {"student_mask": None, "teacher_mask": None}
    if masked:
        params = dict(zip(params, random_masks(6, 140, 150), strict=True))
    expected = value_and_gradient(
        weakly_aligned_loss, student, teacher, direction=direction, **params
    )
    on_gpu = {k: v if v is None else v.cuda() for k, v in params.items()}
    found = value_and_gradient(
        weakly_aligned_loss,
        student.cuda(),
        teacher.cuda(),
        direction=direction,
        **on_gpu,
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert_allclose(ours.cpu(), theirs, rtol=1e-9, atol=1e-14)
