"""What is turned into arrays is compared by the names of its rows before."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skanticipate import (
    LSTM,
    MLP,
    BatchedGridSearchCV,
    DistilledAnticipator,
    HistoryEncoder,
    HistoryText,
    LastAxisSlice,
    PerFrame,
    RecognitionTeacher,
    SmoothedAnticipator,
)
from skanticipate.datasets import (
    cut_pairs,
    label_history,
    many_shot_actions,
    unlabeled_pairs,
    validate_submission,
    write_submission,
)
from skanticipate.metrics import (
    epic100_metrics,
    labelled_scorer,
    marginalize,
    time_to_action,
)
from skanticipate.plotting import (
    AnticipationCurveDisplay,
    AttentionMapDisplay,
    LabelFractionDisplay,
    results_table,
)
from skanticipate.priors import (
    MixturePrior,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
)

pd = pytest.importorskip("pandas")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


IDS = [f"P01_{k}" for k in range(3)]
Y_TRUE = pd.Series([0, 1, 2], index=IDS)
SCORES = pd.DataFrame(np.eye(3), index=IDS)  # all right, row by row
REORDERED = SCORES.loc[IDS[::-1]]

N = 24
RNG = np.random.default_rng(0)
NAMES = [f"clip {k}" for k in RNG.permutation(N)]
X = pd.DataFrame(RNG.normal(size=(N, 3)), index=NAMES, columns=list("abc"))
Y = pd.Series(np.arange(N) % 2, index=NAMES)


def student(**params):
    return DistilledAnticipator(
        MLP(4), max_epochs=1, random_state=0, classes=[0, 1], **params
    )


REFUSED = "rows of .* have the names that are expected in another"


@pytest.mark.parametrize("unlabelled", [[], [3, 5]], ids=["all", "some"])
def test_displays_refuse_rows_in_another_order(unlabelled):
    pytest.importorskip("matplotlib").use("agg")
    tests = Y.copy()
    tests.iloc[unlabelled] = -1
    given = {"y": Y, "X_future_unlabeled": X, "y_test": tests, "groups": Y}
    options = {"fractions": [1.0], "n_repeats": 1}

    def scores(**other):
        parts = given | other
        y, future = parts.pop("y"), parts.pop("X_future_unlabeled")
        display = LabelFractionDisplay.from_estimator(
            GaussianNB(), X, y, future, X_test=X, **parts, **options
        )
        return display.scores["GaussianNB"]

    rows = tests.to_numpy() >= 0
    expected = GaussianNB().fit(X, Y).score(X[rows], Y[rows])
    assert scores() == expected
    for name, part in given.items():
        with pytest.raises(ValueError, match=REFUSED):
            scores(**{name: part.sort_index()})


@pytest.mark.filterwarnings("ignore:k=2 with 2 classes")
def test_curves_of_estimators_refuse_rows_in_another_order():
    pytest.importorskip("matplotlib").use("agg")
    clips = X.copy()  # a table that a Pipeline makes sequences of
    model = make_pipeline(
        FunctionTransformer(lambda table: np.asarray(table)[:, :, None]),
        SmoothedAnticipator(
            LSTM(4, time_step=1.0, anticipation_steps=2), max_epochs=1, random_state=0
        ),
    ).fit(clips, Y)
    assert results_table(model, clips, Y, k=2).count("100.00") == 2
    for wrong in (results_table, AnticipationCurveDisplay.from_estimator):
        with pytest.raises(ValueError, match="rows of y, next to X, have the names"):
            wrong(model, clips, Y.sort_index(), k=2)


def staged(*stages):
    return time_to_action([0, 1, 2], stages, [2.0, 1.0], k=1)


def curve_of(*stages):
    pytest.importorskip("matplotlib").use("agg")
    display = AnticipationCurveDisplay.from_predictions(
        [0, 1, 2], {"m": [stages]}, [2.0, 1.0], k=1
    )
    return display.scores["m"].mean()


@pytest.mark.parametrize(("metric", "best"), [(staged, 2.0), (curve_of, 1.0)])
def test_stages_are_compared_with_each_other(metric, best):
    assert metric(SCORES, SCORES) == metric(SCORES, SCORES.to_numpy()) == best
    assert metric(SCORES, SCORES.set_axis(["x", "y", "z"])) == best
    for stages in ((SCORES, REORDERED), (REORDERED, SCORES)):
        with pytest.raises(ValueError, match=r"rows of .*\[1\], next to .*\[0\], have"):
            metric(*stages)


def test_runs_and_estimators_are_compared_with_each_other():
    pytest.importorskip("matplotlib").use("agg")
    draw = AnticipationCurveDisplay.from_predictions
    for runs in ({"a": [[SCORES], [REORDERED]]}, {"a": [[SCORES]], "b": [[REORDERED]]}):
        with pytest.raises(ValueError, match=REFUSED):
            draw([0, 1, 2], runs, [1.0], k=1)
    display = draw([0, 1, 2], {"a": [[SCORES], [SCORES]]}, [1.0], k=1)
    assert_array_equal(display.scores["a"], [[1, 1]])


def test_scores_of_displays_name_their_times_and_fractions():
    pytest.importorskip("matplotlib").use("agg")
    scores = pd.DataFrame([[0.25], [0.5]], index=[2.0, 1.0])
    display = AnticipationCurveDisplay({"m": scores}, [2.0, 1.0])
    assert_array_equal(display.plot().lines_[0].get_ydata(), [25, 50])
    with pytest.raises(ValueError, match="Row 0 of the scores of 'm' is named 2.0"):
        AnticipationCurveDisplay({"m": scores}, [1.0, 2.0]).plot()
    scores = scores.set_axis([0.1, 0.5])
    display = LabelFractionDisplay({"m": scores}, [0.1, 0.5])
    assert_array_equal(display.plot().lines_[0].get_ydata(), [0.25, 0.5])
    with pytest.raises(ValueError, match="Row 0 of the scores of 'm' is named 0.1"):
        LabelFractionDisplay({"m": scores}, [0.5, 0.1]).plot()


LABELS = pd.Series(["cut", "peel", "cut", "wash"], index=list("abcd"))
PAST = pd.Series(["wash", "cut", "peel", "cut"], index=list("abcd"))


@pytest.mark.parametrize(
    "prior",
    [
        TemporalPrior(),
        TransitionPrior(strength=1.0),
        MixturePrior([TransitionPrior(), UniformPrior()], weights=[1, 0]),
        UniformPrior(),
    ],
    ids=lambda prior: type(prior).__name__,
)
def test_priors_refuse_labels_in_another_order_than_the_past(prior):
    classes = ["cut", "peel", "wash"]
    prior.fit(classes, LABELS, PAST)
    named = prior.terms(LABELS, PAST)
    plain = clone(prior).fit(classes, list(LABELS), list(PAST))
    for term, other in zip(named, plain.terms(list(LABELS), list(PAST)), strict=True):
        for part, same in zip(term, other, strict=True):
            assert_array_equal(part, same)
    asks = [prior.fit, lambda _, *labels: prior.terms(*labels)]
    if not isinstance(prior, MixturePrior):
        asks.append(lambda _, *labels: prior.rows(*labels))
    for ask in asks:
        with pytest.raises(ValueError, match="rows of y_past, next to y, have"):
            ask(classes, LABELS, PAST[::-1])


def test_columns_of_a_mapping_name_their_rows():
    columns = {
        "video": ["a", "a", "a"],
        "start_frame": [0, 60, 150],
        "stop_frame": [50, 130, 200],
        "action": [7, 8, 9],
    }
    table = {name: pd.Series(c, index=IDS) for name, c in columns.items()}
    past = label_history(table, history=1, anticipation_time=0.5)
    assert past.tolist() == [[-1], [-1], [8]]
    for name in columns:
        with pytest.raises(ValueError, match=REFUSED):
            label_history(table | {name: table[name][::-1]})
        with pytest.raises(ValueError, match=REFUSED):
            unlabeled_pairs(table | {name: table[name][::-1]}, 0)
    pairs = unlabeled_pairs(columns, 0)
    pairs = {name: pd.Series(c, index=IDS) for name, c in pairs.items()}
    features = {"a": np.arange(30.0)[:, None]}
    assert len(cut_pairs(pairs, features, feature_rate=2).y) == 3
    with pytest.raises(ValueError, match=REFUSED):
        cut_pairs(pairs | {"y": pairs["y"][::-1]}, features, feature_rate=2)


def test_tables_of_actions_name_their_rows():
    columns = {"label": [7, 8, 9], "verb": ["cut", "peel", "cut"], "noun": list("xyz")}
    actions = {name: pd.Series(c, index=IDS) for name, c in columns.items()}
    right = marginalize(np.eye(3), [7, 8, 9], actions)
    assert_array_equal(right.verb_proba, [[1, 0], [0, 1], [1, 0]])
    with pytest.raises(ValueError, match=REFUSED):
        marginalize(np.eye(3), [7, 8, 9], actions | {"noun": actions["noun"][::-1]})
    ids = {"label": [7, 8, 9], "verb_id": [0, 0, 1], "noun_id": [0, 1, 1]}
    ids = {name: pd.Series(c, index=IDS) for name, c in ids.items()}
    assert many_shot_actions(ids, [0], [1]).tolist() == [8]
    with pytest.raises(ValueError, match=REFUSED):
        many_shot_actions(ids | {"noun_id": ids["noun_id"][::-1]}, [0], [1])


def test_labels_of_segments_name_their_rows():
    segments = dict.fromkeys(("verb", "noun", "action"), Y_TRUE)
    scores = dict.fromkeys(("verb", "noun", "action"), np.eye(3))
    assert epic100_metrics(segments, **scores)[1]["top1_accuracy"] == 1
    for name in segments:
        with pytest.raises(ValueError, match=REFUSED):
            epic100_metrics(segments | {name: Y_TRUE[::-1]}, **scores)


def test_submissions_compare_their_tables(tmp_path):
    ids = pd.Series(["P01_11_0", "P01_11_1", "P01_11_2"], index=IDS)
    verb = pd.DataFrame(2 * np.eye(3, 97), index=IDS)
    noun = pd.DataFrame(2 * np.eye(3, 300), index=IDS)
    levels = {"sls_pt": 1, "sls_tl": 3, "sls_td": 3}
    path = tmp_path / "test.json"
    write_submission(path, ids, verb=verb, noun=noun, **levels)
    assert_array_equal(validate_submission(path, ids).verb, verb)
    for wrong in ({"verb": verb[::-1]}, {"noun": noun[::-1]}):
        for given in (ids, list(ids)):
            with pytest.raises(ValueError, match=REFUSED):
                write_submission(
                    path, given, **({"verb": verb, "noun": noun} | wrong), **levels
                )


def test_scorers_and_searches_compare_weights_and_labels():
    model = GaussianNB().fit(X, Y)
    accuracy, weights = labelled_scorer("accuracy"), Y + 1.0
    expected = np.average(model.predict(X) == Y, weights=weights)
    assert accuracy(model, X, Y, sample_weight=weights) == pytest.approx(expected)
    with pytest.raises(ValueError, match="rows of sample_weight, next to X, have"):
        accuracy(model, X, Y, sample_weight=weights.sort_index())
    search = BatchedGridSearchCV(student(), {"lr": [0.1, 0.01]}, cv=2)
    search.fit(X, Y, X_future_unlabeled=X)
    plain = clone(search).fit(X, Y.to_numpy(), X_future_unlabeled=X)
    assert search.best_score_ == plain.best_score_
    for y, future in ((Y.sort_index(), X), (Y, X.sort_index())):
        with pytest.raises(ValueError, match=REFUSED):
            clone(search).fit(X, y, X_future_unlabeled=future)


@pytest.mark.filterwarnings("ignore:X .* feature names")
def test_maps_of_one_clip_are_of_one_row():
    pytest.importorskip("matplotlib").use("agg")
    model = student(teacher=RecognitionTeacher(MLP(4), max_epochs=1, random_state=0))
    model.fit(X, Y, X + 1)
    draw = AttentionMapDisplay.from_estimator
    assert draw(model, X, X + 1, clip=1).teacher.shape == (1,)
    with pytest.raises(ValueError, match="rows of X_future, next to X_past, have"):
        draw(model, X, X.sort_index(), clip=1)


def test_clips_that_a_groupby_sorts_say_which_they_are():
    names = [f"clip_{k}" for k in range(12)]  # sorted, clip_10 comes before clip_2
    index = pd.MultiIndex.from_product([names, range(3)], names=["clip", "step"])
    frames = pd.DataFrame(RNG.normal(size=(36, 2)), index=index)
    y = pd.Series(np.arange(12) % 2, index=names)
    clips = [table for _, table in frames.groupby(level="clip")]
    model = SmoothedAnticipator(LSTM(3), max_epochs=1)
    with pytest.raises(ValueError, match="rows of y, next to X_past, have the names"):
        model.fit(clips, y)
    model.fit(clips, y[sorted(names)])
    model.fit([table for _, table in frames.groupby(level="clip", sort=False)], y)


HISTORIES = pd.DataFrame(
    RNG.permuted([["cut pan", "dry cup"]] * N, axis=1), index=NAMES, columns=list("ab")
)


@pytest.mark.parametrize(
    ("transformer", "table"),
    [
        (PerFrame(StandardScaler()), X),
        (LastAxisSlice(0, 2), X),
        (HistoryEncoder(form="onehot"), HISTORIES),
        (HistoryText(), HISTORIES),
    ],
    ids=["PerFrame", "LastAxisSlice", "HistoryEncoder", "HistoryText"],
)
def test_a_pipeline_that_loses_the_names_of_rows_has_compared_them(transformer, table):
    reads = isinstance(transformer, HistoryText)
    after = [CountVectorizer(), MultinomialNB()] if reads else [student()]
    model = make_pipeline(transformer, *after)
    with pytest.raises(ValueError, match=REFUSED):
        model.fit(table, Y.sort_index())
    assert model.fit(table, Y).predict(table).shape == (N,)
