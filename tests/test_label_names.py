"""Tables of scores, whose columns are named by labels."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from skanticipate import (
    MLP,
    DistilledAnticipator,
    LateFusion,
    SmoothedAnticipator,
    TeacherEnsemble,
)
from skanticipate.metrics import (
    epic100_metrics,
    marginalize,
    mean_top_k_recall_score,
    time_to_action,
    top_k_accuracy,
    top_k_scorer,
)

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
Y = np.where(np.arange(30) < 20, np.arange(30) % 3, -1)
PAST = pd.DataFrame(RNG.normal(size=(30, 4)), columns=list("abcd"))
FUTURE = pd.DataFrame(RNG.normal(size=(30, 4)), columns=list("abcd"))


def student(**params):
    return DistilledAnticipator(MLP(4), max_epochs=2, random_state=0, **params)


KNOWN = [0, 1, 3, 4]
CERTAIN = np.eye(4)  # the right class of row k is that of column k
READERS = {
    "top_k_accuracy": lambda scores, **c: top_k_accuracy(KNOWN, scores, k=1, **c),
    "mean_top_k_recall": lambda scores, **c: mean_top_k_recall_score(
        KNOWN, scores, k=1, **c
    ),
    "time_to_action": lambda scores, **c: time_to_action(
        KNOWN, [scores], [1.0], k=1, **c
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_scores_that_name_labels_are_not_read_by_position(name):
    read = READERS[name]
    scores = pd.DataFrame(CERTAIN, columns=KNOWN)
    assert read(scores, classes=KNOWN) == 1
    assert read(scores.rename(columns=float), classes=KNOWN) == 1
    assert read(scores.rename(columns=str), classes=[0.0, 1.0, 3.0, 4.0]) == 1
    assert read(pd.DataFrame(CERTAIN), classes=KNOWN) == 1  # which counts its columns
    with pytest.raises(ValueError, match="Column 2 of y_score is named 3"):
        read(scores)
    with pytest.raises(ValueError, match="columns of y_score have the names"):
        read(scores[[3, 0, 4, 1]].rename(columns=float), classes=KNOWN)


def test_columns_that_are_numbers_are_column_numbers_without_classes():
    scores = pd.DataFrame(np.eye(3))
    assert top_k_accuracy([0, 1, 2], scores, k=1) == 1
    assert top_k_accuracy([0, 1, 2], scores.rename(columns=str), k=1) == 1
    named = scores.set_axis(["cut", "pour", "wash"], axis=1)
    assert top_k_accuracy([0, 1, 2], named, k=1) == 1
    with pytest.raises(ValueError, match="columns of y_score have the names"):
        top_k_accuracy([0, 1, 2], scores[[2, 0, 1]], k=1)


def test_sums_over_actions_are_not_read_by_position():
    actions = {k: (k % 2, k) for k in KNOWN}
    sums = marginalize(pd.DataFrame(CERTAIN, columns=map(float, KNOWN)), KNOWN, actions)
    np.testing.assert_array_equal(sums.verb_proba.argmax(axis=1), [0, 1, 1, 0])
    with pytest.raises(ValueError, match="Column 3 of proba is named 5"):
        marginalize(pd.DataFrame(CERTAIN, columns=[0, 1, 3, 5]), KNOWN, actions)


FLOATS = [1.0, 2.0, 4.0]


@pytest.mark.parametrize("names", [[1, 2, 4], ["1", "2", "4"], FLOATS], ids=str)
def test_classes_that_are_floats_are_named_by_whole_numbers(names):
    y = np.array(FLOATS)[np.abs(Y)]
    proba = pd.DataFrame(RNG.dirichlet([1, 1, 1], 30), columns=names)
    model = student(classes=FLOATS, teacher_weight=1.0, class_weight={2: 3.0})
    by_name = model.fit(PAST, y, teacher_proba=proba).predict_proba(PAST)
    plain = model.fit(PAST, y, teacher_proba=proba.to_numpy()).predict_proba(PAST)
    np.testing.assert_array_equal(by_name, plain)
    with pytest.raises(ValueError, match="teacher_proba have the names"):
        model.fit(PAST, y, teacher_proba=proba[names[::-1]])
    with pytest.raises(ValueError, match="Column 2 of teacher_proba is named"):
        model.fit(PAST, y, teacher_proba=proba.set_axis([*names[:2], 5], axis=1))
    matrix = pd.DataFrame(RNG.dirichlet([1, 1, 1], 3), index=names, columns=names)
    model = SmoothedAnticipator(MLP(4), prior=matrix, classes=FLOATS, max_epochs=1)
    np.testing.assert_allclose(model.fit(PAST, y).prior_.matrix_, matrix, rtol=1e-6)
    for other in (matrix[names[::-1]], matrix.loc[names[::-1]]):
        with pytest.raises(ValueError, match="prior matrix have the names"):
            model.set_params(prior=other).fit(PAST, y)


def test_weights_of_classes_are_keyed_by_equal_numbers():
    y = np.array(FLOATS)[np.abs(Y)]

    def fit(weights):
        return student(class_weight=weights).fit(PAST, y).predict_proba(PAST)

    np.testing.assert_array_equal(fit({2: 3.0}), fit({2.0: 3.0}))
    assert (fit({2: 3.0}) != fit(None)).any()
    with pytest.raises(ValueError, match="class_weight names labels that are no"):
        fit({"2": 3.0})


SEGMENTS = pd.DataFrame({"verb": [0, 1, 1], "noun": [2, 3, 2], "action": KNOWN[:3]})
PAIRS = {0: (0, 2), 1: (1, 3), 3: (1, 2)}


def epic(action, segments=SEGMENTS, **given):
    given = {"actions": PAIRS, "classes": KNOWN[:3]} | given
    return epic100_metrics(segments, action=action, **given)[2]["top1_accuracy"]


def test_epic_scores_name_their_classes():
    scores = pd.DataFrame(np.eye(3), columns=KNOWN[:3])
    assert epic(scores) == epic(scores.to_numpy()) == epic(scores.rename(columns=str))
    with pytest.raises(ValueError, match="Column 2 of .* is named 3"):
        epic(scores, classes=None, verb=np.eye(3), noun=np.eye(3, 4))
    with pytest.raises(ValueError, match="Column 1 of the scores of verb is named 2"):
        epic(scores, verb=pd.DataFrame(np.eye(3)[:, :2], columns=[0, 2]))
    with pytest.raises(ValueError, match="verb of tail holds strings"):
        epic(scores, tail={"verb": ["1"], "noun": [2]})


# -------------------------------------------------------------- answers that are tables


class Tabular(GaussianNB):
    """Answers in a table whose columns are named by its classes, perhaps reversed."""

    def __init__(self, backwards=False):
        super().__init__()
        self.backwards = backwards

    def predict_proba(self, X):
        table = pd.DataFrame(super().predict_proba(X), columns=map(str, self.classes_))
        return table[table.columns[::-1]] if self.backwards else table


@pytest.mark.parametrize(
    "read",
    [
        lambda model: student(teacher=model).fit(PAST, Y, FUTURE).predict_proba(PAST),
        lambda model: TeacherEnsemble([model]).fit(PAST, Y % 3).predict_proba(PAST),
        lambda model: (
            LateFusion([("a", model, (0, 4))])
            .fit(PAST.to_numpy(), Y % 3)
            .predict_proba(PAST.to_numpy())
        ),
        lambda model: top_k_scorer(1)(model.fit(PAST, Y % 3), PAST, Y % 3),
    ],
    ids=["teacher", "ensemble", "fusion", "scorer"],
)
def test_answers_name_their_classes(read):
    np.testing.assert_array_equal(read(Tabular()), read(GaussianNB()))
    with pytest.raises(ValueError, match="have the names that are expected in another"):
        read(Tabular(backwards=True))


@pytest.mark.parametrize("labels", [[0, 1, 2], ["cut", "peel", "wash"]], ids=str)
def test_levels_that_all_columns_share_are_no_names(labels):
    y, scores = np.array(labels), np.eye(3)
    levels = [("score", label) for label in labels]
    table = pd.DataFrame(scores, columns=pd.MultiIndex.from_tuples(levels))
    assert top_k_accuracy(y, table, k=1, classes=labels) == 1
    with pytest.raises(ValueError, match="in another order"):
        top_k_accuracy(y, table.iloc[:, ::-1], k=1, classes=labels)
