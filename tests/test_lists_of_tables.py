"""Clips as a list of tables, one a clip, whose columns have names.

The oracle is the array of the same numbers, with columns put into order by hand.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    LSTM,
    DistilledAnticipator,
    LastAxisSlice,
    LateFusion,
    PerFrame,
    RecognitionTeacher,
    SmoothedAnticipator,
    TeacherEnsemble,
    load,
)
from skanticipate.plotting import AttentionMapDisplay

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
CLIPS = RNG.normal(size=(24, 3, 4))  # (n, T, d)
FUTURES = RNG.normal(size=(24, 3, 4))
Y = np.arange(24) % 3
NAMES, ORDER = list("abcd"), [3, 1, 0, 2]


def tables(clips, names=NAMES):
    return [pd.DataFrame(clip, columns=names) for clip in clips]


def shuffled(clips, names=NAMES):
    """The same tables, their columns in another order."""
    return [table[[names[k] for k in ORDER]] for table in tables(clips, names)]


def student(**params):
    return SmoothedAnticipator(LSTM(4), max_epochs=2, random_state=0, **params)


def distilled(**params):
    return DistilledAnticipator(LSTM(4), max_epochs=2, random_state=0, **params)


FITTED = {
    "anticipator": lambda X: student().fit(X, Y).predict_proba,
    "continued": lambda X: (
        lambda model: lambda Z: model.fit(Z, Y).predict_proba(CLIPS)
    )(student(warm_start=True).fit(X, Y)),
    "feature map": lambda X: student().fit(X, Y).feature_map,
    "teacher": lambda X: (
        (
            RecognitionTeacher(LSTM(4), max_epochs=1, random_state=0).fit(X, Y)
        ).predict_proba
    ),
    "ensemble": lambda X: (
        TeacherEnsemble([student()], random_state=0).fit(X, Y).predict_proba
    ),
    "fusion": lambda X: (
        LateFusion([("a", student(), (0, 2)), ("b", student(), (1, 4))])
        .fit(X, Y)
        .predict_proba
    ),
    "PerFrame": lambda X: PerFrame(StandardScaler()).fit(X).transform,
    "LastAxisSlice": lambda X: LastAxisSlice(1, 3).fit(X).transform,
    "Pipeline": lambda X: (
        make_pipeline(PerFrame(StandardScaler()), student()).fit(X, Y).predict_proba
    ),
    "X_val": lambda X: lambda Z: student().fit(X, Y, X_val=Z, y_val=Y).predict_proba(X),
    "X_val of a fusion": lambda X: (
        lambda Z: (
            LateFusion([("a", student(), (0, 4))])
            .fit(X, Y, X_val=Z, y_val=Y)
            .predict_proba(X)
        )
    ),
    "futures": lambda X: lambda Z: distilled().fit(X, Y, Z).predict_proba(X),
}
PLAIN = pytest.mark.filterwarnings(
    "ignore:X (has|does not have valid) feature names", "ignore:.*also train"
)


@PLAIN
@pytest.mark.parametrize("name", FITTED)
def test_columns_come_in_the_order_of_fit(name):
    fit = FITTED[name]
    assert_array_equal(fit(tables(CLIPS))(tables(CLIPS)), fit(CLIPS)(CLIPS))
    with pytest.raises(ValueError, match="should match those.*\n.*same order|order:"):
        fit(tables(CLIPS))(shuffled(CLIPS))


@PLAIN
@pytest.mark.parametrize("name", FITTED)
def test_other_columns_are_refused(name):
    with pytest.raises(ValueError, match="should match those that were passed"):
        FITTED[name](tables(CLIPS))(tables(CLIPS, list("abcx")))


@PLAIN
@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("numbers", [[5, 6, 7, 8], [0, 1, 2, 3]], ids=str)
def test_columns_named_by_numbers_come_in_the_order_of_fit(name, numbers):
    fit = FITTED[name]
    fit(tables(CLIPS, numbers))(tables(CLIPS, numbers))
    with pytest.raises(ValueError, match="names that are expected in another order"):
        fit(tables(CLIPS, numbers))(shuffled(CLIPS, numbers))


def test_one_table_of_numbered_columns_comes_in_the_order_of_fit():
    X = pd.DataFrame(CLIPS[:, 0])
    model = SmoothedAnticipator(max_epochs=1, random_state=0).fit(X, Y)
    assert model.predict(X).shape == Y.shape
    with pytest.raises(ValueError, match="names that are expected in another order"):
        model.predict(X[ORDER])


def test_names_are_those_of_the_columns():
    model = student().fit(tables(CLIPS), Y)
    assert model.feature_names_in_.tolist() == NAMES
    assert not hasattr(model.fit(CLIPS, Y), "feature_names_in_")
    frames = PerFrame(StandardScaler()).fit(tables(CLIPS))
    assert frames.get_feature_names_out().tolist() == NAMES
    cut = LastAxisSlice(1, 3).fit(tables(CLIPS))
    assert cut.get_feature_names_out().tolist() == ["b", "c"]


def test_maps_are_shown_of_clips_in_the_order_of_fit():
    pytest.importorskip("matplotlib").use("Agg")
    model = distilled().fit(tables(CLIPS), Y, tables(FUTURES))
    with pytest.raises(ValueError, match="feature names should match"):
        AttentionMapDisplay.from_estimator(model, shuffled(CLIPS), clip=0)


def test_another_fit_may_have_another_order():
    model = student().fit(tables(CLIPS), Y)
    again = model.fit(shuffled(CLIPS), Y).predict_proba(shuffled(CLIPS))
    fresh = student().fit(CLIPS[:, :, ORDER], Y).predict_proba(CLIPS[:, :, ORDER])
    assert_array_equal(again, fresh)


def test_folds_and_files_keep_the_names(tmp_path):
    proba = cross_val_predict(student(), tables(CLIPS), Y, cv=2)
    assert_array_equal(proba, cross_val_predict(student(), CLIPS, Y, cv=2))
    for names in (NAMES, [5, 6, 7, 8]):
        student().fit(tables(CLIPS, names), Y).save(tmp_path / "model")
        model = load(tmp_path / "model")
        assert len(model.predict(tables(CLIPS, names))) == 24
        with pytest.raises(ValueError, match="same order|another order"):
            model.predict(shuffled(CLIPS, names))


@PLAIN
@pytest.mark.parametrize("names", [NAMES, [5, 6, 7, 8]], ids=str)
def test_a_frozen_teacher_and_member_know_the_columns(names):
    known = FrozenEstimator(student().fit(tables(FUTURES, names), Y))
    model = distilled(teacher=known, teacher_weight=1.0)
    model.fit(CLIPS, Y, tables(FUTURES, names))
    with pytest.raises(ValueError, match="X_future_unlabeled have the names"):
        clone(model).fit(CLIPS, Y, shuffled(FUTURES, names))
    fusion = LateFusion([("known", known, (0, 4))])
    fusion.fit(tables(CLIPS, names), Y)
    with pytest.raises(ValueError, match="X_past that member 'known' sees have"):
        fusion.fit(shuffled(CLIPS, names), Y)
