"""What else than clips and labels a teacher or a member of a fusion is passed."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier
from sklearn.ensemble import HistGradientBoostingClassifier as Histograms
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import MLP, DistilledAnticipator, LateFusion

RNG = np.random.default_rng(0)
N = 48
Y = np.arange(N) % 2
X = RNG.normal(size=(N, 4)) + Y[:, None]
GROUPS = np.arange(N) // 8
WEIGHTS = RNG.uniform(0.2, 3.0, N)
GRID = {"var_smoothing": [1e-9, 0.1]}


class Splitter(BaseEstimator):
    """GroupKFold that writes down the groups it is given."""

    seen = []

    def split(self, X, y=None, groups=None):
        Splitter.seen.append(groups)
        return GroupKFold(2).split(X, y, groups)

    def get_n_splits(self, X=None, y=None, groups=None):
        return 2


def heard(fit):
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        fitted = fit()
    return fitted, [str(w.message) for w in record if "cannot be" in str(w.message)]


def student(teacher, **signals):
    model = DistilledAnticipator(MLP(4), teacher=teacher, max_epochs=1, random_state=0)
    return heard(lambda: model.fit(X, Y, X + 0.1, **signals))


def scaled(weights):
    return weights / weights.mean()


@pytest.mark.parametrize("before", [False, True], ids=["alone", "in a pipeline"])
def test_a_search_divides_by_groups_and_weighs_its_rows(before):
    search = GridSearchCV(GaussianNB(), GRID, cv=Splitter())
    Splitter.seen = []
    teacher = make_pipeline(StandardScaler(), search) if before else search
    fitted, texts = student(teacher, groups=GROUPS, sample_weight=WEIGHTS)
    assert texts == []
    np.testing.assert_array_equal(Splitter.seen[0], GROUPS)
    futures = StandardScaler().fit_transform(X + 0.1) if before else X + 0.1
    expected = GridSearchCV(GaussianNB(), GRID, cv=GroupKFold(2)).fit(
        futures, Y, groups=GROUPS, sample_weight=scaled(WEIGHTS)
    )
    found = fitted.teacher_[-1] if before else fitted.teacher_
    np.testing.assert_allclose(
        found.predict_proba(futures), expected.predict_proba(futures), rtol=1e-9
    )


def test_a_search_by_metadata_routing_is_passed_what_it_requests():
    with sklearn.config_context(enable_metadata_routing=True):
        inner = GaussianNB().set_fit_request(sample_weight=True)
        inner.set_score_request(sample_weight=True)
        search = GridSearchCV(inner, GRID, cv=GroupKFold(2))
        fitted, texts = student(search, groups=GROUPS, sample_weight=WEIGHTS)
        assert texts == []
        expected = sklearn.clone(search).fit(
            X + 0.1, Y, groups=GROUPS, sample_weight=scaled(WEIGHTS)
        )
        proba = expected.predict_proba(X)
        np.testing.assert_allclose(fitted.teacher_.predict_proba(X), proba, rtol=1e-9)
        _, (text,) = student(GridSearchCV(GaussianNB(), GRID, cv=2), groups=GROUPS)
        assert "groups cannot be passed to GridSearchCV" in text


def test_an_ensemble_that_does_not_route_is_fitted_where_routing_is_enabled():
    teacher = AdaBoostClassifier(n_estimators=2, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        fitted, texts = student(teacher, groups=GROUPS)
    assert texts == []
    expected = teacher.fit(X + 0.1, Y).predict_proba(X)
    np.testing.assert_allclose(fitted.teacher_.predict_proba(X), expected)


@pytest.mark.parametrize(
    ("teacher", "lost"),
    [
        (KNeighborsClassifier(), "sample_weight"),
        (make_pipeline(StandardScaler(), KNeighborsClassifier()), "sample_weight"),
        (CalibratedClassifierCV(GaussianNB(), cv=2), "groups"),
        (
            GridSearchCV(make_pipeline(StandardScaler(), GaussianNB()), {}, cv=2),
            "sample_weight",
        ),
    ],
    ids=["neighbours", "pipeline", "calibrated", "search over a pipeline"],
)
def test_what_cannot_be_passed_is_named(teacher, lost):
    _, texts = student(teacher, groups=GROUPS, sample_weight=WEIGHTS)
    assert len(texts) == 1 and texts[0].startswith(f"{lost} cannot be passed to")
    assert student(teacher)[1] == []


STOPPING = [
    MLPClassifier((2,), early_stopping=True, tol=1.0, n_iter_no_change=1),
    SGDClassifier(loss="log_loss", early_stopping=True, tol=1.0),
    GradientBoostingClassifier(n_estimators=2, n_iter_no_change=1),
    Histograms(max_iter=2, early_stopping=True),
    make_pipeline(StandardScaler(), Histograms(max_iter=2, early_stopping=True)),
]


@pytest.mark.parametrize("teacher", STOPPING, ids=lambda t: type(t).__name__)
def test_rows_that_are_held_out_to_stop_early_are_divided(teacher):
    _, texts = student(teacher, groups=GROUPS)
    assert len(texts) == 1 and texts[0].startswith("groups cannot be passed to")
    members = [("stops", teacher, (0, 4))]
    _, told = heard(lambda: LateFusion(members).fit(X, Y, groups=GROUPS))
    assert told == texts
    assert student(teacher)[1] == []


def test_histograms_stop_early_by_themselves_where_rows_are_many():
    rows = np.arange(10_001) % N
    members = [("many", Histograms(max_iter=1), (0, 4))]

    def fit(rows):
        fusion = LateFusion(members)
        return heard(lambda: fusion.fit(X[rows], Y[rows], groups=GROUPS[rows]))[1]

    assert len(fit(rows)) == 1 and fit(rows[:-1]) == []


@pytest.mark.parametrize(
    "teacher",
    [SGDClassifier(loss="log_loss"), GradientBoostingClassifier(n_estimators=2)],
    ids=["no early stopping", "no patience"],
)
def test_nobody_is_told_where_all_rows_are_learned(teacher):
    assert student(teacher, groups=GROUPS)[1] == []


def test_nobody_is_told_of_groups_that_divide_nothing_or_of_a_frozen_teacher():
    assert student(GaussianNB(), groups=GROUPS, sample_weight=WEIGHTS)[1] == []
    frozen = FrozenEstimator(KNeighborsClassifier().fit(X, Y))
    assert student(frozen, groups=GROUPS, sample_weight=WEIGHTS)[1] == []


def test_members_of_a_fusion_are_passed_the_same():
    search = GridSearchCV(GaussianNB(), GRID, cv=GroupKFold(2))
    members = [
        ("search", search, (0, 2)),
        ("plain", KNeighborsClassifier(), (2, 4)),
        ("linear", LogisticRegression(), (0, 4)),
    ]
    fusion, texts = heard(
        lambda: LateFusion(members).fit(X, Y, groups=GROUPS, sample_weight=WEIGHTS)
    )
    (text,) = texts
    assert text.startswith("sample_weight cannot be passed to KNeighborsClassifier")
    expected = sklearn.clone(search).fit(
        X[:, :2], Y, groups=GROUPS, sample_weight=WEIGHTS
    )
    np.testing.assert_allclose(
        fusion.estimators_[0].predict_proba(X[:, :2]),
        expected.predict_proba(X[:, :2]),
        rtol=1e-9,
    )
