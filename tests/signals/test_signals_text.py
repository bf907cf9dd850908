"""DistilledAnticipator with a teacher that reads the past actions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    HistoryTeacher,
    SmoothedAnticipator,
    TeacherEnsemble,
    UniformPrior,
)
from skanticipate.datasets import make_kitchen
from skanticipate.signals.text import check_past_actions

DATA = make_kitchen(8, 10, n_features=12, unlabeled_fraction=0.4, random_state=0)
PAST, FUTURE, READ = DATA.X_past, DATA.X_future, DATA.past_actions
HAS_HISTORY = (READ >= 0).any(axis=1)
Y = np.where(HAS_HISTORY, DATA.y, np.abs(DATA.y))  # else some rows are dropped
LABELLED = Y >= 0
CLASSES = list(range(20))


class LastAction(ClassifierMixin, BaseEstimator):
    """How often each class followed the last action; keeps what it was given."""

    def fit(self, X, y, *, groups=None):
        self.X_, self.y_, self.groups_ = np.asarray(X), y, groups
        self.classes_ = np.array(CLASSES)
        self.counts_ = np.tile(np.linspace(1, 1.5, 20), (21, 1))  # no ties
        np.add.at(self.counts_, (self.X_[:, -1].astype(int), y), 1)
        return self

    def predict_proba(self, X):
        counts = self.counts_[np.asarray(X)[:, -1].astype(int)]
        return counts / counts.sum(axis=1, keepdims=True)


def student(**params):
    settings = {"max_epochs": 2, "random_state": 0, "batch_size": 32}
    return DistilledAnticipator(MLP(6), **{**settings, "classes": CLASSES, **params})


def fitted_reader():
    rows = LABELLED & HAS_HISTORY
    return LastAction().fit(READ[rows], Y[rows])


def assert_same_weights(one, other):
    for a, b in zip(
        one.network_.parameters(), other.network_.parameters(), strict=True
    ):
        assert_array_equal(a.detach().numpy(), b.detach().numpy())


# -------------------------------------------------------------------- what it is told


def test_the_teacher_learns_from_labelled_rows_with_a_history():
    model = student(text_teacher=LastAction())
    model.fit(PAST, Y, past_actions=READ, groups=DATA.groups)
    rows = LABELLED & HAS_HISTORY
    assert_array_equal(model.text_teacher_.X_, READ[rows])
    assert_array_equal(model.text_teacher_.y_, Y[rows])
    assert_array_equal(model.text_teacher_.groups_, DATA.groups[rows])
    assert model.teacher_ is None


def test_on_labelled_rows_it_is_the_term_of_given_answers():
    # The same soft targets by another way: as answers that replace a teacher.
    reader, rows = fitted_reader(), LABELLED & HAS_HISTORY
    text = student(
        text_teacher=FrozenEstimator(reader), text_weight=0.7, text_temperature=2.0
    )
    text.fit(PAST[rows], Y[rows], past_actions=READ[rows])
    given = student(teacher_weight=0.7, temperature=2.0)
    given.fit(PAST[rows], Y[rows], teacher_proba=reader.predict_proba(READ[rows]))
    assert_same_weights(text, given)
    for one, other in zip(text.history_, given.history_, strict=True):
        assert one["text"] == other["teacher"]


def test_rows_without_a_history_are_masked():
    # A teacher that errs wildly about them would change the student.
    histories = np.where(np.arange(len(Y))[:, None] % 3 == 0, -1, READ)
    read = (histories >= 0).any(axis=1)
    labelled = np.abs(Y)
    answers = fitted_reader().predict_proba(READ)
    answers[~read] = np.nan
    text = student(text_teacher=FrozenEstimator(fitted_reader()))
    text.fit(PAST, labelled, past_actions=histories)
    given = student(teacher_weight=1.0).fit(PAST, labelled, teacher_proba=answers)
    assert_same_weights(text, given)


def test_unlabelled_rows_learn_from_their_history():
    # 10 labels cannot teach 20 classes; what is read can.
    kitchen = make_kitchen(30, 10, n_features=16, random_state=0)
    truth = np.eye(20)[kitchen.y]
    reader = FrozenEstimator(
        LogisticRegression().fit(truth, kitchen.y)  # a perfect reader of one-hot rows
    )
    few = np.where(np.arange(len(truth)) < 10, kitchen.y, -1)
    settings = {"max_epochs": 20, "lr": 1e-2, "text_teacher": reader}
    taught = student(**settings).fit(kitchen.X_past, few, past_actions=truth)
    assert taught.n_unlabeled_ == len(truth) - 10
    with pytest.warns(UserWarning, match="nobody|dropped|no label|marked"):
        alone = SmoothedAnticipator(
            MLP(6), classes=CLASSES, max_epochs=20, random_state=0
        ).fit(kitchen.X_past, few)
    better = taught.score(kitchen.X_past, kitchen.y)
    assert better > alone.score(kitchen.X_past, kitchen.y) + 0.1


@pytest.mark.parametrize("cross_fit", [0, 4])
def test_cross_fitting_leaves_out_whole_groups(cross_fit):
    rows = LABELLED & HAS_HISTORY
    read, y, groups = READ[rows], Y[rows], DATA.groups[rows]
    expected = np.empty((len(y), 20))
    for training, held in GroupKFold(cross_fit or 2).split(y, y, groups):
        if not cross_fit:
            training = held = np.arange(len(y))
        reader = LastAction().fit(read[training], y[training])
        expected[held] = reader.predict_proba(read[held])
    text = student(text_teacher=LastAction(), cross_fit=cross_fit)
    text.fit(PAST[rows], y, past_actions=read, groups=groups)
    given = student(teacher_weight=1.0).fit(PAST[rows], y, teacher_proba=expected)
    assert_same_weights(text, given)


def test_top_k_compares_on_the_likeliest_classes():
    rows = LABELLED & HAS_HISTORY
    answers = fitted_reader().predict_proba(READ[rows])
    model = student(
        text_teacher=FrozenEstimator(fitted_reader()),
        text_top_k=3,
        text_weight=0.0001,
        max_epochs=1,
        lr=1e-9,  # the network stays what it was, so that the term can be recomputed
        batch_size=1000,
    )
    model.fit(PAST[rows], Y[rows], past_actions=READ[rows])
    logits = model.predict_log_proba(PAST[rows])
    total = 0.0
    for answer, scores in zip(answers, logits, strict=True):
        kept = np.argsort(-answer, kind="stable")[:3]
        p = answer[kept] / answer[kept].sum()
        q = np.exp(scores[kept]) / np.exp(scores[kept]).sum()
        total += (p * np.log(p / q)).sum()
    assert_allclose(model.history_[0]["text"], total / rows.sum(), rtol=1e-4)


def test_weight_zero_asks_nobody():
    plain = student().fit(PAST, np.abs(Y))
    silent = student(text_teacher=LastAction(), text_weight=0.0)
    silent.fit(PAST, np.abs(Y), past_actions=READ)
    assert silent.text_teacher_ is None
    assert "text" not in silent.history_[0]
    assert_same_weights(silent, plain)


# -------------------------------------------------------------------- what may be read


def test_histories_may_be_lists_arrays_and_frames():
    pandas = pytest.importorskip("pandas")
    words = np.array(["none", *"abcdefghijklmnopqrst"])[READ + 1]
    listed = [[None if w == "none" else f"do {w}" for w in row] for row in words]
    empty = [["" if w is None else w for w in row] for row in listed]
    models = [
        student(text_teacher=_Lettered()).fit(PAST, Y, past_actions=histories)
        for histories in (listed, empty, np.array(empty), pandas.DataFrame(listed))
    ]
    for other in models[1:]:
        assert_same_weights(models[0], other)


class _Lettered(LastAction):
    """LastAction of the names "do a", "do b", ..."""

    def fit(self, X, y):
        return super().fit(_numbers(X), y)

    def predict_proba(self, X):
        return super().predict_proba(_numbers(X))


def _numbers(X):
    return np.array([[ord(w[-1]) - ord("a") if w else -1 for w in row] for row in X])


def test_any_text_pipeline_can_teach():
    texts = [" ".join(f"a{k}" for k in row if k >= 0) for row in READ.tolist()]
    pipeline = make_pipeline(
        CountVectorizer(token_pattern=r"\S+"), LogisticRegression()
    )
    model = student(text_teacher=pipeline).fit(PAST, Y, past_actions=texts)
    rows = LABELLED & HAS_HISTORY
    expected = pipeline.fit(np.array(texts)[rows], Y[rows]).predict_proba(texts)
    assert_array_equal(model.text_teacher_.predict_proba(texts), expected)


def test_an_ensemble_reads_padding_in_lists():
    past = [[None, "cut pan"], [float("nan"), "wash pan"], ["cut pan", "wash pan"]] * 4
    y = ["wash pan", "cut pan", "cut pan"] * 4
    reader = HistoryTeacher(n_networks=1, max_epochs=1, random_state=0)
    ensemble = TeacherEnsemble([FrozenEstimator(reader.fit(past, y))]).fit(past, y)
    assert_allclose(ensemble.predict_proba(past), reader.predict_proba(past), rtol=1e-6)


def test_a_student_of_a_text_pipeline_can_be_saved(tmp_path):
    texts = [" ".join(f"a{k}" for k in row if k >= 0) for row in READ.tolist()]
    pipeline = make_pipeline(
        CountVectorizer(token_pattern=r"\S+"), LogisticRegression()
    )
    model = student(text_teacher=pipeline).fit(PAST, Y, past_actions=texts)
    model.save(tmp_path / "student")
    again = skanticipate.load(tmp_path / "student")
    assert_array_equal(again.predict_proba(PAST), model.predict_proba(PAST))
    told = again.text_teacher_.predict_proba(texts)
    assert_array_equal(told, model.text_teacher_.predict_proba(texts))


def test_the_error_of_the_default_reader_names_the_parameter_to_set():
    past = np.array([["take"], ["cut"]] * 20, dtype=object)
    with pytest.raises(ValueError, match="Every label needs a verb") as told:
        student(text_teacher=None, classes=None).fit(
            PAST[:40], np.array(["cut", "take"] * 20), past_actions=past
        )
    assert "text_teacher=HistoryTeacher(actions" in told.value.__notes__[0]


def test_an_ensemble_can_teach():
    reader = TeacherEnsemble([HistoryTeacher(), LastAction()])
    rows = np.isin(Y, CLASSES) & HAS_HISTORY
    model = student(text_teacher=reader, classes=None)
    with pytest.raises(ValueError, match="knows labels that the student does not"):
        model.fit(PAST[rows], Y[rows] % 7, past_actions=READ[rows])
    reader = TeacherEnsemble([HistoryTeacher(), DummyClassifier()])
    model.set_params(text_teacher=reader).fit(PAST, Y, past_actions=READ)
    parts = [t.predict_proba(READ) for t in model.text_teacher_.teachers_]
    mean = np.exp(np.mean(np.log(parts), axis=0))
    mean /= mean.sum(axis=1, keepdims=True)
    assert_allclose(model.text_teacher_.predict_proba(READ), mean, rtol=1e-6)


def test_the_default_reads_labels_and_nothing_else():
    model = student().fit(PAST, Y, past_actions=READ)
    assert isinstance(model.text_teacher_, HistoryTeacher)
    assert model.history_[0]["text"] > 0


def test_check_past_actions_finds_empty_rows():
    histories, read = check_past_actions([[None, "", np.nan], ["", "a", "b"]])
    assert read.tolist() == [False, True]
    assert np.asarray(histories).tolist() == [[None] * 3, [None, "a", "b"]]
    histories, read = check_past_actions(np.array([[-1, -1], [-1, 3]]))
    assert read.tolist() == [False, True]
    assert np.asarray(histories).tolist() == [[-1, -1], [-1, 3]]
    assert check_past_actions(["", "cut onion"])[1].tolist() == [False, True]


# ------------------------------------------------------------------- with all the rest


def test_prior_future_and_text_teach_together():
    model = student(
        prior=UniformPrior(),
        smoothing=0.2,
        teacher_weight=0.5,
        cross_fit=2,
        early_stopping=True,
    )
    model.set_params(text_teacher=LastAction())
    model.fit(PAST, Y, FUTURE, past_actions=READ, groups=DATA.groups)
    terms = {"base", "teacher", "text", "feature"}
    accuracies = {"teacher_val_accuracy", "text_val_accuracy"}
    record = model.history_[-1]
    assert terms | accuracies <= record.keys()
    weighted = record["base"] + 0.5 * record["teacher"] + record["text"]
    weighted += model.feature_weight_ * record["feature"]
    assert_allclose(record["loss"], weighted, rtol=1e-6)


def test_validation_accuracy_of_the_reader_is_that_on_held_out_rows():
    y = np.abs(Y)
    model = student(text_teacher=LastAction(), early_stopping=True)
    model.fit(PAST, y, past_actions=READ, groups=DATA.groups)
    reader = model.text_teacher_
    held = HAS_HISTORY & ~np.isin(DATA.groups, reader.groups_)
    assert held.any()
    right = reader.predict_proba(READ[held]).argmax(axis=1) == y[held]
    assert model.history_[0]["text_val_accuracy"] == right.mean()


class Aligned(DummyClassifier):
    """Refuses labels that are not those of the rows which it is told."""

    def fit(self, X, y):
        assert_array_equal(y, np.abs(Y)[X[:, 0]])
        return super().fit(X, y)


def test_histories_are_sliced_by_a_search_over_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), student(text_teacher=Aligned()))
    grid = {"distilledanticipator__text_weight": [0.5, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=KFold(2), error_score="raise")
    numbers = np.arange(len(Y))[:, None]
    search.fit(PAST, np.abs(Y), distilledanticipator__past_actions=numbers)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_stages_share_what_is_read():
    clips = make_kitchen(6, 10, n_steps=4, n_features=6, random_state=0)
    model = student(text_teacher=LastAction())
    model.set_params(network=LSTM(6, anticipation_steps=3))
    model.fit(clips.X_past, clips.y, past_actions=clips.past_actions)
    assert len(list(model.staged_predict_proba(clips.X_past))) == 3
    assert model.history_[0]["text"] > 0


def test_a_cache_keeps_the_reader(tmp_path):
    histories = READ.astype(object)  # no numbers: an array of references
    reader = HistoryTeacher(max_epochs=1)
    models = []
    for weight in (0.5, 1.0):
        model = student(text_teacher=reader, teacher_cache=tmp_path)
        model.set_params(text_weight=weight)
        models.append(model.fit(PAST, Y, past_actions=histories))
        assert len(list(tmp_path.iterdir())) == 1
    fresh = student(text_teacher=reader).fit(PAST, Y, past_actions=histories)
    assert_same_weights(models[1], fresh)
    student(text_teacher=reader, teacher_cache=tmp_path).fit(
        PAST, Y, past_actions=np.where(READ == 3, 4, histories)
    )
    assert len(list(tmp_path.iterdir())) == 2


def test_a_taught_student_is_saved_and_needs_no_text(tmp_path):
    model = student(text_teacher=HistoryTeacher(max_epochs=1))
    model.fit(PAST, Y, past_actions=READ)
    model.save(tmp_path / "model.safetensors")
    again = skanticipate.load(tmp_path / "model.safetensors")
    assert_array_equal(again.predict_proba(PAST), model.predict_proba(PAST))
    assert_array_equal(
        again.text_teacher_.predict_proba(READ), model.text_teacher_.predict_proba(READ)
    )


# ------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("histories", "says"),
    [
        (READ[:-1], "past_actions has"),
        ([[1, 2]] * (len(Y) - 1) + [[1]], "rows that are lists of their own"),
        ([np.array([1, 2]), *[np.array([1])] * (len(Y) - 1)], "lists of their own"),
        (np.zeros((len(Y), 2, 2, 2)), r"got shape \(80, 2, 2, 2\)"),
        (np.zeros((len(Y), 0)), "got shape"),
    ],
)
def test_bad_histories_are_explained(histories, says):
    model = student(text_teacher=LastAction())
    with pytest.raises(ValueError, match=says):
        model.fit(PAST, Y, past_actions=histories)
    assert not hasattr(model, "classes_")


def test_more_classes_than_there_are_cannot_be_compared():
    with pytest.raises(ValueError, match="text_top_k=21 is more than the 20 classes"):
        student(text_top_k=21).fit(PAST, Y, past_actions=READ)


def test_labels_are_needed_where_there_are_histories():
    histories = np.where(LABELLED[:, None], -1, READ)
    with pytest.raises(ValueError, match="No labelled row has a history"):
        student(text_teacher=LastAction()).fit(PAST, Y, past_actions=histories)


def test_a_reader_of_other_classes_is_refused():
    model = student(classes=None, text_teacher=LastAction())
    keep = np.abs(Y) < 5
    with pytest.raises(ValueError, match="knows labels that the student does not"):
        model.fit(PAST[keep], np.abs(Y)[keep], past_actions=READ[keep])


def test_a_reader_with_nothing_to_read_is_missed():
    with pytest.warns(UserWarning, match="text_teacher is set, but there is no row"):
        student(text_teacher=DummyClassifier()).fit(PAST, np.abs(Y))
    with pytest.warns(UserWarning, match="past_actions is set, but") as told:
        student().fit(PAST, np.abs(Y), past_actions=np.full((len(Y), 2), -1))
    assert told[0].filename == __file__


def test_the_size_of_weights_means_nothing_to_a_teacher_that_counts():
    weights = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    models = [
        student(text_teacher=HistoryTeacher(max_epochs=1)).fit(
            PAST, Y, past_actions=READ, sample_weight=size * weights
        )
        for size in (1.0, 2.0**-10)
    ]
    one, other = (m.text_teacher_.predict_proba(READ) for m in models)
    assert_allclose(one, other, rtol=1e-5)
