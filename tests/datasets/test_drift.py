import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate.datasets import make_drifting_maps

ARRAYS = ("X_past", "X_future", "y", "X_test", "y_test", "class_codes")


@pytest.fixture(scope="module")
def maps():
    return make_drifting_maps(random_state=0)


@pytest.fixture(scope="module")
def still():
    return make_drifting_maps(0, n_unlabeled=500, n_test=0, random_state=1)


def nearest(tokens, codes):
    """Number of the nearest code, and the distance to it, of each token."""
    distance = np.stack([np.linalg.norm(tokens - code, axis=-1) for code in codes])
    return distance.argmin(axis=0), distance.min(axis=0)


def read(data):
    """What stands where, found from the arrays and the codes alone.

    Content of the future is next to a class code; content of the past is what is far
    from every background code: noise alone is 0.3 * sqrt(24) = 1.5 long.
    """
    codes = np.concatenate([data.background_codes, data.class_codes])
    number, distance = nearest(data.X_future, codes)
    assert distance.max() < 3
    future = number >= 12
    past = nearest(data.X_past, data.background_codes)[1] > 3
    return past, future, number


# ---------------------------------------------------------------------- the layout


def test_the_default_sizes_are_those_of_the_published_task(maps):
    assert maps.X_past.shape == maps.X_future.shape == (2018, 5, 5, 24)
    assert maps.X_test.shape == (1000, 5, 5, 24)
    assert maps.y.shape == (2018,)
    assert maps.y_test.shape == (1000,)
    assert {maps[name].dtype for name in ARRAYS if name[0] == "X"} == {np.dtype("f4")}


def test_labelled_pairs_come_first_and_are_as_many_for_each_class(maps):
    assert_array_equal(maps.y[:18], np.repeat(range(6), 3))
    assert (maps.y[18:] == -1).all()
    data = make_drifting_maps(n_labeled_per_class=5, n_unlabeled=0, n_test=0)
    assert_array_equal(np.bincount(data.y), [5] * 6)
    assert len(data.X_test) == len(data.y_test) == 0


def test_hidden_and_test_classes_are_uniform(maps):
    _, _, number = read(maps)
    hidden = number[18:].reshape(2000, -1).max(axis=1) - 12
    for classes in (hidden, maps.y_test):
        share = np.bincount(classes, minlength=6) / len(classes)
        assert_allclose(share, 1 / 6, atol=0.05)


# ------------------------------------------------------------------------ the codes


def test_codes_are_sqrt_24_long_and_directions_orthonormal(maps):
    assert maps.class_codes.shape == (6, 24)
    assert maps.background_codes.shape == (12, 24)
    for codes in (maps.class_codes, maps.background_codes):
        assert_allclose((codes**2).sum(axis=1), 24)
    assert_allclose(
        maps.nuisance_directions @ maps.nuisance_directions.T, np.eye(6), atol=1e-12
    )


def test_codes_point_into_independent_directions(maps):
    codes = np.concatenate([maps.class_codes, maps.background_codes])
    cosines = (codes @ codes.T / 24)[~np.eye(18, dtype=bool)]
    assert_allclose(cosines.std(), 24**-0.5, atol=0.04)
    assert abs(cosines.mean()) < 0.05


@pytest.mark.parametrize("n_content", [1, 3, 25])
def test_the_content_of_the_future_is_the_code_of_the_class(n_content):
    data = make_drifting_maps(
        n_content=n_content, n_unlabeled=100, n_test=0, random_state=2
    )
    _, future, number = read(data)
    assert_array_equal(future.sum(axis=(1, 2)), n_content)
    for row, label in enumerate(data.y):
        (code,) = set(number[row][future[row]])  # one class a clip
        assert label in (-1, code - 12)


def test_noise_has_a_standard_deviation_of_three_tenths(maps):
    codes = np.concatenate([maps.background_codes, maps.class_codes])
    number, _ = nearest(maps.X_future, codes)
    noise = maps.X_future - codes[number]
    assert_allclose(noise.std(axis=(0, 1, 2)), 0.3, atol=0.01)
    assert_allclose(noise.mean(axis=(0, 1, 2)), 0, atol=0.01)


def test_background_is_uniform_and_drawn_anew_for_the_future(still):
    past, future, number = read(still)
    before = nearest(still.X_past, still.background_codes)[0]
    background = ~past & ~future
    share = np.bincount(before[background], minlength=12) / background.sum()
    assert_allclose(share, 1 / 12, atol=0.015)
    same = (before == number)[background].mean()
    assert_allclose(same, 1 / 12, atol=0.015)


# --------------------------------------------------------------------- the nuisance


def residuals_of_content(data):
    """What is left of the content of the past without its code.   (n, n_content, d)."""
    past, future, number = read(data)
    label = number.reshape(len(number), -1).max(axis=1) - 12
    seen = past.sum(axis=(1, 2)) == 3  # a nuisance may look like background by chance
    assert seen.mean() > 0.98
    tokens = data.X_past[seen][past[seen]].reshape(-1, 3, 24)
    return tokens - data.class_codes[label[seen]][:, None]


def test_one_clip_has_one_nuisance(still):
    residuals = residuals_of_content(still)
    apart = residuals - residuals.mean(axis=1, keepdims=True)
    assert_allclose(apart.std(), 0.3 * np.sqrt(2 / 3), atol=0.01)  # noise alone


def test_the_nuisance_is_of_rank_six_and_twice_as_long_as_a_code(still):
    nuisance = residuals_of_content(still).mean(axis=1)
    variance = np.linalg.eigvalsh(np.cov(nuisance.T))[::-1]
    # (2 * sqrt(24))**2 = 96 in 6 directions: 16 each; noise elsewhere, 0.09 / 3.
    assert_allclose(variance[:6].mean(), 16, rtol=0.1)
    assert variance[5] > 8
    assert_allclose(variance[6:], 0.03, atol=0.015)
    outside = nuisance - nuisance @ still.nuisance_directions.T @ (
        still.nuisance_directions
    )
    assert_allclose((outside**2).sum(axis=1).mean(), 18 * 0.03, rtol=0.1)


def test_nuisance_and_class_have_nothing_to_do_with_each_other():
    many = make_drifting_maps(
        0, n_labeled_per_class=200, n_unlabeled=0, n_test=0, random_state=3
    )
    past, _, _ = read(many)
    content = (many.X_past * past[..., None]).sum(axis=(1, 2)) / 3
    projected = (content - many.class_codes[many.y]) @ many.nuisance_directions.T
    means = np.stack([projected[many.y == label].mean(axis=0) for label in range(6)])
    assert np.abs(means).max() < 4.5 * 4 / np.sqrt(200)  # standard error of a mean


# ------------------------------------------------------------------------ the drift


def displacements(data):
    """Every (row, column) shift that carries the past content to the future one."""
    past, future, _ = read(data)
    seen = past.sum(axis=(1, 2)) == future.sum(axis=(1, 2))
    for before, after in zip(past[seen], future[seen], strict=True):
        yield [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if (np.roll(before, (down, right), axis=(0, 1)) == after).all()
        ]


def test_without_drift_content_stays_where_it_is(still):
    assert all((0, 0) in shifts for shifts in displacements(still))


@pytest.mark.parametrize("drift", [1, 2])
def test_content_moves_together_round_the_torus(drift):
    data = make_drifting_maps(drift, n_unlabeled=1000, n_test=0, random_state=4)
    shifts = list(displacements(data))
    assert len(shifts) > 980
    # Three of 25 cells on a torus tell by how much they moved; one answer each.
    assert all(len(found) == 1 for found in shifts)
    found = np.array([shift for (shift,) in shifts])
    assert np.abs(found).max() == drift
    cells = (found[:, 0] + drift) * (2 * drift + 1) + found[:, 1] + drift
    n_shifts = (2 * drift + 1) ** 2
    share = np.bincount(cells, minlength=n_shifts) / len(cells)
    assert_allclose(share, 1 / n_shifts, atol=0.035)


def test_content_may_stand_anywhere_and_wraps(maps):
    past, future, _ = read(maps)
    for mask in (past, future):
        assert_allclose(mask.mean(axis=0), 3 / 25, atol=0.035)


def test_test_clips_are_past_clips_of_the_same_world(maps):
    content = nearest(maps.X_test, maps.background_codes)[1] > 3
    rows = content.sum(axis=(1, 2)) == 3
    tokens = maps.X_test[rows][content[rows]].reshape(-1, 3, 24).mean(axis=1)
    away = np.eye(24) - maps.nuisance_directions.T @ maps.nuisance_directions
    guess, distance = nearest(tokens @ away, maps.class_codes @ away)
    assert rows.mean() > 0.98
    assert (guess == maps.y_test[rows]).mean() > 0.99


# -------------------------------------------------------------------------- the rest


def test_the_same_seed_gives_the_same_arrays(maps):
    again = make_drifting_maps(random_state=0)
    other = make_drifting_maps(random_state=1)
    for name in ARRAYS:
        assert_array_equal(maps[name], again[name])
    assert not np.allclose(maps.X_past, other.X_past)


def test_the_global_random_state_is_left_alone():
    np.random.seed(3)
    expected = np.random.uniform()
    np.random.seed(3)
    make_drifting_maps(n_unlabeled=2, n_test=2, random_state=0)
    assert np.random.uniform() == expected


def test_the_description_names_the_limits(maps):
    text = " ".join(maps.DESCR.split())
    for words in (
        "no real video",
        "Soft targets alone",
        "mean-pooled maps",
        "single content position",
        "nuisance touches content positions only",
        "random start",
        "codes of a class are unrelated",
    ):
        assert words in text


@pytest.mark.parametrize(
    "parameters",
    [
        {"drift": -1},
        {"n_labeled_per_class": 0},
        {"n_unlabeled": -1},
        {"n_test": -1},
        {"n_content": 0},
        {"n_content": 26},
        {"random_state": "today"},
    ],
)
def test_parameters_out_of_range_are_refused(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"'{name}' parameter of make_drifting_maps"):
        make_drifting_maps(**parameters)
