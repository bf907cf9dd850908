import pickle

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.semi_supervised import SelfTrainingClassifier

from skanticipate import MLP, RowView, SemiSupervisedSplit, SmoothedAnticipator


def folds(split, y, groups=None, X=None):
    return [(a.tolist(), b.tolist()) for a, b in split.split(X, y, groups)]


def naive_folds(inner, y, groups, is_unlabelled):
    """Row by row, with lists: relabel the labelled rows, split, translate back."""
    labelled = [i for i in range(len(y)) if not is_unlabelled(y[i])]
    labels = np.array([y[i] for i in labelled])
    part = None if groups is None else np.array([groups[i] for i in labelled])
    result = []
    for train, test in inner.split(np.zeros(len(labels)), labels, part):
        test = [labelled[j] for j in test]
        train = [labelled[j] for j in train]
        tested = set() if groups is None else {groups[i] for i in test}
        train += [
            i
            for i in range(len(y))
            if is_unlabelled(y[i]) and (groups is None or groups[i] not in tested)
        ]
        result.append((sorted(train), test))
    return result


# ------------------------------------------------------------------------- the laws

# Without 1: a fold of nothing but -1 and 1 warns, as another test says.
labels_of_rows = st.lists(st.sampled_from([-1, -1, 0, 2, 3]), min_size=8, max_size=60)


@settings(max_examples=100, deadline=None)
@given(labels_of_rows, st.integers(2, 4), st.data())
def test_folds_are_those_of_a_naive_loop_and_keep_the_laws(y, n_folds, data):
    groups = data.draw(
        st.lists(st.sampled_from("abcdef"), min_size=len(y), max_size=len(y))
    )
    labelled = [i for i, label in enumerate(y) if label != -1]
    if len({groups[i] for i in labelled}) < n_folds:
        return
    inner = GroupKFold(n_folds)
    got = folds(SemiSupervisedSplit(inner), y, groups)
    assert got == naive_folds(inner, y, groups, lambda label: label == -1)
    tests = [row for _, test in got for row in test]
    assert sorted(tests) == [i for i, label in enumerate(y) if label != -1]
    for train, test in got:
        assert {groups[i] for i in train}.isdisjoint(groups[i] for i in test)
        assert train == sorted(set(train))
        dropped = set(range(len(y))) - set(train) - set(test)
        assert all(y[i] == -1 for i in dropped)
        assert {groups[i] for i in dropped} <= {groups[i] for i in test}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=12, max_size=40), st.integers(2, 4))
def test_without_groups_every_unlabelled_row_trains_in_every_fold(hidden, n_folds):
    y = np.where(hidden, -1, np.arange(len(hidden)) % 2 * 2)
    if np.bincount(y[y >= 0], minlength=3)[[0, 2]].min() < n_folds:
        return
    got = folds(SemiSupervisedSplit(n_folds), y)
    assert got == naive_folds(
        StratifiedKFold(n_folds), y, None, lambda label: label == -1
    )
    for train, test in got:
        assert set(np.flatnonzero(hidden)) <= set(train)
        assert sorted(train + test) == list(range(len(y)))


def test_an_int_stratifies_the_labelled_rows():
    y = np.array([0] * 12 + [1] * 6 + [-1] * 30)
    for _, test in SemiSupervisedSplit(3).split(None, y):
        assert np.bincount(y[test]).tolist() == [4, 2]


@pytest.mark.parametrize("cv", [3, None])
def test_an_int_with_groups_keeps_them_apart(cv):
    rng = np.random.RandomState(0)
    y, groups = rng.randint(-1, 3, size=120), rng.randint(12, size=120)
    expected = naive_folds(
        StratifiedGroupKFold(cv or 5), y, groups, lambda label: label == -1
    )
    assert folds(SemiSupervisedSplit(cv), y, groups) == expected


def test_rows_dropped_with_a_tested_group_by_hand():
    y = [0, -1, 1, -1, 0, 2, -1]
    groups = ["a", "a", "b", "b", "c", "c", "d"]
    assert folds(SemiSupervisedSplit(LeaveOneGroupOut()), y, groups) == [
        ([2, 3, 4, 5, 6], [0]),
        ([0, 1, 4, 5, 6], [2]),
        ([0, 1, 2, 3, 6], [4, 5]),
    ]


# ----------------------------------------------------------------------- the marker

LABELLED, HIDDEN = [0, 2, 3, 5], [1, 4]


@pytest.mark.parametrize(
    ("y", "marker"),
    [
        ([0, -1, 2, 0, -1, 2], "auto"),
        ([0.0, -1.0, 2.0, 0.0, -1.0, 2.0], "auto"),
        (["cut", -1, "mix", "cut", -1, "mix"], "auto"),
        (np.array(["cut", -1, "mix", "cut", -1, "mix"], dtype=object), "auto"),
        (["cut", "", "mix", "cut", "", "mix"], ""),
        (np.array(["cut", "", "mix", "cut", "", "mix"], dtype=object), ""),
        (["cut", "-1", "mix", "cut", "-1", "mix"], "-1"),
        ([-1, 9, 1, -1, 9, 1], 9),
        ([1, -1, 1, 1, -1, 1], -1),
    ],
)
def test_marked_rows_train_and_never_test(y, marker):
    split = SemiSupervisedSplit(KFold(2), unlabeled_label=marker)
    assert folds(split, y) == [
        (sorted(LABELLED[2:] + HIDDEN), LABELLED[:2]),
        (sorted(LABELLED[:2] + HIDDEN), LABELLED[2:]),
    ]


@pytest.mark.parametrize(
    ("y", "marker"), [([-1, 1] * 4, "auto"), ([-1, 0, 1, 2] * 2, None)]
)
def test_where_nothing_is_the_marker_the_inner_splitter_decides_alone(y, marker):
    split = SemiSupervisedSplit(2, unlabeled_label=marker)
    expected = [(a.tolist(), b.tolist()) for a, b in StratifiedKFold(2).split(y, y)]
    assert folds(split, y) == expected


def test_a_fold_that_would_be_misread_as_two_classes_warns():
    y, groups = [0, 0, 1, 1, -1], ["a", "a", "b", "b", "c"]
    with pytest.warns(UserWarning, match="set unlabeled_label=-1 in both"):
        folds(SemiSupervisedSplit(GroupKFold(2)), y, groups)
    folds(SemiSupervisedSplit(GroupKFold(2), unlabeled_label=-1), y, groups)
    groups = ["a", "a", "b", "b", "a"]  # no unlabelled row is left beside 1
    folds(SemiSupervisedSplit(GroupKFold(2)), y, groups)


# ----------------------------------------------------------------- inner splitters


def test_an_iterable_counts_labelled_rows():
    y = [-1, 0, 1, -1, 0, 1]
    split = SemiSupervisedSplit([([0, 1], [2, 3]), ([2, 3], [0, 1])])
    assert folds(split, y) == [([0, 1, 2, 3], [4, 5]), ([0, 3, 4, 5], [1, 2])]
    assert folds(split, y) == folds(split, y)
    assert split.get_n_splits(None, y) == split.get_n_splits() == 2


def test_a_mask_of_whole_numbers_is_no_list_of_rows():
    y = np.array([0, 1, -1, 0, 1])
    mask = np.array([1, 1, 0, 0])
    split = SemiSupervisedSplit([(mask, 1 - mask)])
    with pytest.raises(ValueError, match="fold of cv holds 4 numbers 0 and 1"):
        list(split.split(None, y, groups=range(5)))


def test_a_mask_has_an_entry_for_each_labelled_row():
    y = np.array([0, 1, -1, 0, 1])
    mask = np.array([True, True, False, False, False])
    split = SemiSupervisedSplit([(mask, ~mask)])
    with pytest.raises(ValueError, match=r"shape \(5,\), but there are 4 labelled"):
        list(split.split(None, y, groups=range(5)))


def test_an_iterable_may_hold_masks():
    y = [-1, 0, 1, -1, 0, 1]
    mask = np.array([True, True, False, False])
    split = SemiSupervisedSplit([(mask, ~mask)])
    assert folds(split, y) == [([0, 1, 2, 3], [4, 5])]


@pytest.mark.parametrize(
    ("inner", "n_splits"),
    [
        (3, 3),
        (KFold(4), 4),
        (ShuffleSplit(7, random_state=0), 7),
        (LeaveOneOut(), 6),
        (LeaveOneGroupOut(), 3),
    ],
)
def test_the_number_of_folds_is_that_of_the_labelled_rows(inner, n_splits):
    y = [0, -1, 1, 0, -1, 1, 0, 1, -1]
    groups = [0, 9, 1, 2, 8, 0, 1, 2, 7]
    given = groups if isinstance(inner, LeaveOneGroupOut) else None
    split = SemiSupervisedSplit(inner)
    assert split.get_n_splits(None, y, given) == n_splits
    assert len(folds(split, y, given)) == n_splits


def test_scikit_learn_says_so_when_a_splitter_ignores_groups():
    with pytest.warns(UserWarning, match="groups parameter is ignored by KFold"):
        got = folds(SemiSupervisedSplit(KFold(2)), [0, 0, 2, 2, -1, -1], list("aabbac"))
    assert got == [([2, 3, 5], [0, 1]), ([0, 1, 4, 5], [2, 3])]


@pytest.mark.parametrize(
    "cv", [[([0, 1], [2, 3]), ([0, 2], [1, 3])], [([0, 2], [1, 3]), ([0, 1], [2, 3])]]
)
def test_groups_that_train_and_are_tested_are_told_of(cv):
    """The four labelled rows are of a, a, b and b; one of two folds divides both."""
    args = [0, 0, 2, 2, -1, -1], list("aabbac")
    with pytest.warns(
        UserWarning, match="labelled rows of groups that it tests"
    ) as got:
        folds(SemiSupervisedSplit(cv), *args)
    assert len(got) == 1
    folds(SemiSupervisedSplit(cv[:1] if cv[0][0] == [0, 1] else cv[1:]), *args)


# ------------------------------------------------------------------ in scikit-learn


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers the rows and labels it was given; predicts the first class."""

    seen = []

    def __init__(self, level=0):
        self.level = level

    def fit(self, X, y):
        rows = np.asarray(X).reshape(len(X), -1)[:, 0].astype(int)
        self.seen.append((rows.tolist(), np.asarray(y).tolist()))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[-1])


def rows_as(kind, tmp_path):
    X = np.stack([np.arange(24.0), np.zeros(24)], axis=1)
    if kind == "list":
        return X.tolist()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    return {"array": X, "memmap": mapped, "rows": RowView(mapped)}[kind]


@pytest.mark.parametrize("kind", ["array", "list", "memmap", "rows"])
def test_a_search_trains_on_what_the_split_says(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(Recorder, "seen", [])
    y = np.tile([0, 2, -1, -1], 6)
    groups = np.repeat(np.arange(6), 4)
    X = rows_as(kind, tmp_path)
    search = GridSearchCV(
        Recorder(), {"level": [1]}, cv=SemiSupervisedSplit(GroupKFold(3))
    )
    search.fit(X, y, groups=groups)
    expected = [train for train, _ in folds(search.cv, y, groups)]
    assert [rows for rows, _ in Recorder.seen] == [*expected, list(range(24))]
    assert all(labels == y[rows].tolist() for rows, labels in Recorder.seen)
    assert search.n_splits_ == 3


@pytest.fixture
def blobs():
    rng = np.random.RandomState(0)
    truth = np.arange(200) % 4
    X = rng.normal(size=(200, 3)) + 6 * np.eye(4)[truth, :3]
    y = np.where(rng.uniform(size=200) < 0.5, -1, truth)
    return X, y, np.arange(200) // 10


def test_scores_count_labelled_rows_only(blobs):
    X, y, _ = blobs
    model = SelfTrainingClassifier(LogisticRegression())
    plain = cross_val_score(model, X, y, cv=5).mean()
    ours = cross_val_score(model, X, y, cv=SemiSupervisedSplit(5)).mean()
    assert plain < 0.6
    assert ours > 0.95
    for scoring in ("neg_log_loss", "roc_auc_ovr", "top_k_accuracy"):
        scores = cross_val_score(
            model, X, y, cv=SemiSupervisedSplit(5), scoring=scoring
        )
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("inner", [3, GroupKFold(3), StratifiedGroupKFold(3)])
def test_cross_validate_hands_over_groups_without_routing(blobs, inner):
    X, y, groups = blobs
    split = SemiSupervisedSplit(inner)
    result = cross_validate(
        SelfTrainingClassifier(LogisticRegression()),
        X,
        y,
        groups=groups,
        cv=split,
        return_indices=True,
    )
    expected = list(split.split(X, y, groups))
    for train, test, (a, b) in zip(*result["indices"].values(), expected, strict=True):
        assert_array_equal(train, a)
        assert_array_equal(test, b)


def test_groups_are_routed_without_a_request(blobs):
    X, y, groups = blobs
    split = SemiSupervisedSplit(GroupKFold(4))
    with sklearn.config_context(enable_metadata_routing=True):
        model = SelfTrainingClassifier(LogisticRegression())
        search = GridSearchCV(model, {"threshold": [0.7]}, cv=split)
        search.fit(X, y, groups=groups)
        result = cross_validate(
            model, X, y, params={"groups": groups}, cv=split, return_indices=True
        )
    assert search.best_score_ > 0.95
    for train, test in zip(*result["indices"].values(), strict=True):
        assert set(groups[train]).isdisjoint(groups[test])


def test_halving_by_samples_works_on_clips(blobs):
    X, y, _ = blobs
    search = HalvingGridSearchCV(
        SelfTrainingClassifier(LogisticRegression()),
        {"threshold": [0.6, 0.75, 0.9]},
        cv=SemiSupervisedSplit(3),
        min_resources=60,
        random_state=0,
    ).fit(X, y)
    assert search.n_iterations_ >= 2
    assert search.best_score_ > 0.9


@pytest.mark.filterwarnings("ignore:.*are unlabelled and no teacher speaks")
def test_an_anticipator_reads_the_folds_as_they_are_meant(blobs):
    X, y, groups = blobs
    model = SmoothedAnticipator(MLP(8), max_epochs=30, lr=0.02, random_state=0)
    scores = cross_val_score(
        model, X, y, groups=groups, cv=SemiSupervisedSplit(2), scoring="accuracy"
    )
    assert scores.min() > 0.9


# -------------------------------------------------------------------- the object


def test_clone_repr_and_pickle():
    split = SemiSupervisedSplit(GroupKFold(3), unlabeled_label="")
    copy = clone(split)
    assert copy is not split
    assert copy.cv is not split.cv
    assert copy.get_params(deep=False).keys() == {"cv", "unlabeled_label"}
    assert repr(SemiSupervisedSplit(3)) == "SemiSupervisedSplit(cv=3)"
    y, groups = ["a", "", "b", "c"], [0, 1, 1, 2]
    for other in (copy, pickle.loads(pickle.dumps(split))):
        assert folds(other, y, groups) == folds(split, y, groups)


def test_arguments_are_left_as_they_are():
    y, groups = np.array([0, -1, 2, 0, 2, -1]), np.array([0, 0, 1, 1, 2, 2])
    before = y.copy(), groups.copy()
    folds(SemiSupervisedSplit(2), y, groups)
    assert_array_equal(y, before[0])
    assert_array_equal(groups, before[1])


# ----------------------------------------------------------------------- the errors


@pytest.mark.parametrize(
    ("cv", "y", "groups", "message"),
    [
        (2, None, None, "requires y to be passed"),
        (2, [-1, -1, -1], None, "no labelled rows: all 3"),
        (2, [0.5, 0.1, 2.3, -1.0], None, "Unknown label type: continuous"),
        (2, ["a", None, "b"], None, "y contains None"),
        (2, ["a", "-1", "b"], None, 'unlabeled_label="-1"'),
        (5, [0, 2, 0, -1, -1], None, "Only 3 labelled rows for 5 folds: lower cv"),
        (None, [0, 2, 0, -1, -1], None, "Only 3 labelled rows for 5 folds"),
        (3, [0, 2, 0, 2, -1], list("aabbc"), "Only 2 labelled groups for 3 folds"),
        (4, [0, 2, 0, 2, -1], None, "n_splits=4 cannot be greater"),
        (GroupKFold(2), [0, 2, 0, -1], None, "'groups' parameter should not be None"),
        (2, [0, 2, 0, 2], [0, 1], "groups has 2 rows but y has 4"),
        (2, [0, 2, 0, 2], ["a", None, "b", "c"], "groups has missing entries"),
        ([([0, 1], [5])], [0, 2, -1, -1, -1, 0], None, "must count labelled rows only"),
        (PredefinedSplit([0, 0, 1, 1]), [0, -1, 2, 0], None, "names the labelled row"),
        (iter([([0], [1])]), [0, 2], None, "read only once"),
        (1, [0, 2], None, "'cv' parameter of SemiSupervisedSplit"),
        ("five", [0, 2], None, "'cv' parameter of SemiSupervisedSplit"),
    ],
)
def test_what_cannot_be_split_is_refused(cv, y, groups, message):
    with pytest.raises(ValueError, match=message):
        folds(SemiSupervisedSplit(cv), y, groups)


def test_x_of_another_length_is_refused():
    with pytest.raises(ValueError, match="X has 3 rows but y has 4"):
        folds(SemiSupervisedSplit(2), [0, 2, 0, 2], X=np.zeros((3, 1)))


def test_a_count_that_depends_on_the_rows_needs_y():
    with pytest.raises(ValueError, match="'groups' parameter should not be None"):
        SemiSupervisedSplit(LeaveOneGroupOut()).get_n_splits(groups=[0, 1])


def test_given_folds_are_places_of_labelled_rows():
    pd = pytest.importorskip("pandas")
    y = pd.Series([0, -1, 1, 0, 1, -1], index=list("fedcba"))
    labelled = y[y >= 0]
    test = pd.Series([True, True, False, False], index=labelled.index)
    split = SemiSupervisedSplit([(~test, test)])
    ((train, found),) = split.split(None, y, y.index)
    assert_array_equal(found, [0, 2])
    assert_array_equal(train, [1, 3, 4, 5])
    names = labelled.index[:2]
    for wrong, match in [
        (test[::-1], "rows of a fold of cv have the names"),
        (names, "a fold of cv is an Index"),
    ]:
        with pytest.raises(ValueError, match=match):
            list(SemiSupervisedSplit([(wrong, wrong)]).split(None, y, y.index))
