"""One rule for labels that are missing: in every container, at every door."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    LanguageTeacher,
    LateFusion,
    ReplicaEnsemble,
    SemiSupervisedSplit,
    SmoothedAnticipator,
    TeacherEnsemble,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
    load,
)
from skanticipate.data.labels import check_labels
from skanticipate.data.markers import resolve_marker
from skanticipate.data.missing import as_array, is_missing, missing_mask
from skanticipate.data.samples import check_groups
from skanticipate.metrics import (
    marginalize,
    mean_top_k_recall_score,
    mean_top_k_recall_scorer,
    top_k_accuracy,
    top_k_scorer,
)
from skanticipate.plotting import AnticipationCurveDisplay, LabelFractionDisplay
from skanticipate.signals.text import check_past_actions

NAN, NA = np.nan, pd.NA
MISSING = {
    "None": None,
    "NaN": NAN,
    "NA": NA,
    "empty": "",
    "blank": " ",
    "nan as text": "nan",
    "NaN as text": "NaN",
    "NA as text": "<NA>",
    "None as text": "None",
    "-1 as text": "-1",
    "-1.0 as text": "-1.0",
}


class PolarsLike:
    """A column as polars has it: None among ints, which numpy is shown as NaN."""

    dtype = "a type that numpy does not know"

    def __init__(self, values):
        self.values = [None if is_null(v) else v for v in values]

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __array__(self, dtype=None, copy=None):
        if any(isinstance(v, str) for v in self.values):
            return np.array(self.values, dtype=object)
        return np.array([NAN if v is None else v for v in self.values])


def is_null(value):
    return value is None or value is NA or value != value


def objects(values):
    return np.array(values, dtype=object)


def polars(values, dtype):
    pl = pytest.importorskip("polars")
    values = [None if is_null(v) else v for v in values]
    return pl.Series(values, dtype=getattr(pl, dtype))


def arrow(values):
    pytest.importorskip("pyarrow")
    return pd.Series(values, dtype="string[pyarrow]")


def strings_of_numpy(values):
    kind = getattr(np.dtypes, "StringDType", None)
    if kind is None:
        pytest.skip("this numpy has no StringDType")
    nulls = [v for v in objects(values).ravel() if is_null(v)]
    return np.array(values, dtype=kind(na_object=nulls[0]) if nulls else kind())


def masked(values):
    plain = [0 if is_null(v) else v for v in values]
    return np.ma.masked_array(plain, [is_null(v) for v in values])


TEXTS = {
    "list": list,
    "tuple": tuple,
    "numpy object": objects,
    "numpy str": np.array,
    "numpy StringDType": strings_of_numpy,
    "pandas object": lambda v: pd.Series(v, dtype=object),
    "pandas str": pd.Series,
    "pandas string[python]": lambda v: pd.Series(v, dtype="string[python]"),
    "pandas string[pyarrow]": arrow,
    "pandas category": lambda v: pd.Series(pd.Categorical(v)),
    "pandas Index": lambda v: pd.Index(v, dtype=object),
    "polars String": lambda v: polars(v, "String"),
    "polars Categorical": lambda v: polars(v, "Categorical"),
    "like polars": PolarsLike,
}
NUMBERS = {
    "list": list,
    "tuple": tuple,
    "numpy object": objects,
    "numpy float": lambda v: np.array([NAN if is_null(k) else float(k) for k in v]),
    "numpy masked": masked,
    "pandas float": lambda v: pd.Series([NAN if is_null(k) else k for k in v]),
    "pandas object": lambda v: pd.Series(v, dtype=object),
    "pandas Int64": lambda v: pd.Series(v, dtype="Int64"),
    "pandas Float64": lambda v: pd.Series(v, dtype="Float64"),
    "pandas category": lambda v: pd.Series(pd.Categorical(v)),
    "pandas array": lambda v: pd.array(v, dtype="Int64"),
    "polars Int64": lambda v: polars(v, "Int64"),
    "polars Float64": lambda v: polars(v, "Float64"),
    "like polars": PolarsLike,
}
TEXT_LABELS = ["a", "b", "a", "b", "b", "a"]
NUMBER_LABELS = [0, 2, 0, 2, 2, 0]
X = np.arange(12.0).reshape(6, 2) % 5
PAST = [["a"], ["b"]] * 3  # of the text teachers


def can_hold(container, value):
    if isinstance(value, str):
        return True
    if container == "numpy str":
        return False  # it writes None as text, which is another case
    return is_null(value) or container in ("list", "tuple") or "object" in container


def cases(containers, labels, missing):
    return [
        pytest.param(build, labels, value, id=f"{container}, {kind}")
        for container, build in containers.items()
        for kind, value in missing.items()
        if can_hold(container, value)
    ]


NULLS = {kind: value for kind, value in MISSING.items() if not isinstance(value, str)}
COLUMNS = pytest.mark.parametrize(
    ("build", "labels", "value"),
    [
        *cases(TEXTS, TEXT_LABELS, MISSING),
        *cases(NUMBERS, NUMBER_LABELS, NULLS),
    ],
)


def with_missing(build, labels, value):
    """A column whose third and last labels are missing."""
    column = list(labels)
    column[2] = column[5] = value
    return build(column)


def labels_of(y, **params):
    model = SmoothedAnticipator(**params)
    return check_labels(
        y,
        classes=model.classes,
        unlabeled_label=model.unlabeled_label,
        estimator=model,
    )


def small(**params):
    return SmoothedAnticipator(MLP(2), max_epochs=1, random_state=0, **params)


# -------------------------------------------------------------- a missing label in y


@COLUMNS
def test_a_missing_label_is_no_class(build, labels, value):
    y = with_missing(build, labels, value)
    for marker in ("auto", None, -1, "?"):
        with pytest.raises(ValueError, match=r"^Input y .*mark .*set unlabeled_label="):
            labels_of(y, unlabeled_label=marker)


@COLUMNS
def test_every_missing_label_is_the_marker_if_one_of_them_is(build, labels, value):
    for marker in (NAN, NA, "", "nan", "-1"):
        found = labels_of(with_missing(build, labels, value), unlabeled_label=marker)
        assert found.classes.tolist() == sorted(set(labels))
        assert found.codes.tolist() == [0, 1, -1, 1, 1, -1]
        assert found.marker is marker


PLACES = {
    "fit": lambda y: small().fit(X, y),
    "y_val": lambda y: small().fit(X, labels_like(y), X_val=X, y_val=y),
    "score": lambda y: small().fit(X, labels_like(y)).score(X, y),
    "distilled": lambda y: DistilledAnticipator(MLP(2)).fit(X, y, X),
    "split": lambda y: list(SemiSupervisedSplit(2).split(X, y)),
    "number of splits": lambda y: SemiSupervisedSplit(2).get_n_splits(X, y),
    "HistoryTeacher": lambda y: HistoryTeacher().fit(PAST, y),
    "LanguageTeacher": lambda y: LanguageTeacher("none").fit(["a"] * 6, y),
    "TeacherEnsemble": lambda y: TeacherEnsemble([DummyClassifier()]).fit(X, y),
    "top_k_accuracy": lambda y: top_k_accuracy(y, X, k=1, classes=classes_like(y)),
    "mean_top_k_recall": lambda y: mean_top_k_recall_score(
        y, X, k=1, classes=classes_like(y)
    ),
    "LabelFractionDisplay": lambda y: LabelFractionDisplay.from_estimator(
        small(), X, y, X, X_test=X, y_test=labels_like(y)
    ),
}


def labels_like(y):
    return TEXT_LABELS if isinstance(list(y)[0], str) else NUMBER_LABELS


def classes_like(y):
    return sorted(set(labels_like(y)))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("build", "labels", "value"),
    [
        *cases({"list": list, "pandas": pd.Series}, TEXT_LABELS, MISSING),
        *cases({"like polars": PolarsLike}, NUMBER_LABELS, {"None": None}),
        *cases({"Int64": NUMBERS["pandas Int64"]}, NUMBER_LABELS, {"NA": NA}),
    ],
)
def test_every_door_refuses_a_missing_label(place, build, labels, value):
    message = r"(y|y_val|y_true) .*(mark |leave |drop )"
    with pytest.raises(ValueError, match=message):
        PLACES[place](with_missing(build, labels, value))


def test_the_message_names_what_was_found_and_what_may_stand_there():
    for value, words in {
        None: "y contains None: mark unlabelled rows with -1, .*unlabeled_label=np.nan",
        "": 'y holds the string "": .*unlabeled_label=""',
        "nan": 'y holds the string "nan": .*unlabeled_label="nan"',
        "-1": 'y holds the string "-1": .*If "-1" is a class, name it in classes=',
    }.items():
        with pytest.raises(ValueError, match=words):
            labels_of(["a", "b", value])
    with pytest.raises(ValueError, match=r'y_val holds the string "nan"'):
        small().fit(X, TEXT_LABELS, X_val=X[:2], y_val=["a", "nan"])


@pytest.mark.parametrize("text", ["None", "-1", "-1.0"])
def test_a_text_that_may_be_a_name_is_a_class_if_it_is_named(text):
    y = ["a", text, None]
    found = labels_of(y, classes=["a", text], unlabeled_label=NAN)
    assert dict(zip(found.classes, range(2), strict=True)) == {text: 0, "a": 1}
    assert found.codes.tolist() == [1, 0, -1]
    assert labels_of(y[:2], classes=["a", text]).codes.tolist() == [1, 0]
    model = small(classes=["a", text]).fit(X[:2], y[:2], X_val=X[:2], y_val=y[:2])
    hits = model.predict(X[:2]) == np.array(y[:2])  # by hand
    assert model.score(X[:2], y[:2]) == hits.mean()
    scores = [[0.9, 0.1], [0.2, 0.8]]  # of "a" and the other: both right
    assert top_k_accuracy(y[:2], scores, k=1, classes=["a", text]) == 1


@pytest.mark.parametrize("value", [None, NAN, NA, "", "nan", "<NA>"], ids=repr)
def test_what_is_never_a_name_cannot_be_named(value):
    with pytest.raises(ValueError, match="classes must be labels, got a missing one"):
        labels_of(["a", "b"], classes=["a", "b", value])


@pytest.mark.parametrize("marker", [-1, "-1", "a", 2.0])
def test_a_value_is_a_class_or_a_marker(marker):
    classes = ["-1", "a", "b"] if isinstance(marker, str) else [-1, 1, 2]
    with pytest.raises(ValueError, match=f"classes holds {marker!r}, .*either"):
        labels_of(classes, classes=classes, unlabeled_label=marker)


def test_minus_one_is_told_where_another_value_is_the_marker():
    with pytest.warns(UserWarning, match="y holds -1, which here is a class like any"):
        found = labels_of([0, 2, -1, NAN], unlabeled_label=NAN)
    assert found.codes.tolist() == [1, 2, 0, -1]
    assert labels_of([-1, 1, NAN], unlabeled_label=NAN).codes.tolist() == [0, 1, -1]
    assert labels_of([0, -1], unlabeled_label=None).classes.tolist() == [-1, 0]


@pytest.mark.parametrize(
    "fit",
    [
        lambda y: HistoryTeacher(n_networks=1, max_epochs=1).fit([[0], [1]] * 3, y),
        lambda y: TeacherEnsemble([DummyClassifier()]).fit(X, y),
    ],
)
def test_teachers_without_a_marker_say_that_minus_one_is_a_class(fit):
    with pytest.warns(UserWarning, match="y holds -1, which here is a class"):
        assert fit([0, 2, -1, 0, 2, -1]).classes_.tolist() == [-1, 0, 2]
    assert fit([-1, 1, -1, 1, -1, 1]).classes_.tolist() == [-1, 1]


def test_minus_one_that_is_no_class_is_told_by_metrics():
    scores = [[2, 1], [2, 1], [1, 2]]
    with pytest.warns(UserWarning, match="y_true holds -1, .* counts as a miss"):
        assert top_k_accuracy([0, -1, 1], scores, k=1, classes=[0, 1]) == 2 / 3
    with pytest.raises(ValueError, match="y_true mixes strings"):
        top_k_accuracy(["a", -1, "b"], scores, k=1, classes=["a", "b"])
    assert top_k_accuracy([1, -1, 1], scores, k=1, classes=[-1, 1]) == 2 / 3


# ------------------------------------------------------------ numbers in any container


@pytest.mark.parametrize("build", NUMBERS.values(), ids=NUMBERS)
def test_whole_numbers_are_whole_numbers(build):
    labels = labels_of(build([2, 0, -1, 3]))
    assert labels.classes.tolist() == [0, 2, 3]
    assert labels.codes.tolist() == [1, 0, -1, 2]
    assert labels.marker == -1


@pytest.mark.parametrize("build", NUMBERS.values(), ids=NUMBERS)
def test_signed_binary_labels_are_classes(build):
    assert labels_of(build([-1, 1, 1])).codes.tolist() == [0, 1, 1]
    assert labels_of(build([-1, 1, 1]), classes=[0, 1]).codes.tolist() == [-1, 1, 1]


@pytest.mark.parametrize(
    "build",
    [
        list,
        objects,
        NUMBERS["pandas Int64"],
        NUMBERS["pandas category"],
        NUMBERS["like polars"],
        NUMBERS["polars Int64"],
    ],
)
def test_whole_numbers_beside_missing_ones_are_no_floats(build):
    labels = labels_of(build([2, 0, None]), unlabeled_label=NAN)
    assert labels.classes.dtype.kind == "i"
    assert labels.codes.tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("y", "classes", "kind"),
    [
        (objects([True, False]), [False, True], "b"),
        (pd.Series([True, False, NA], dtype="boolean"), [False, True], "b"),
        (PolarsLike([True, None, False]), [False, True], "b"),
        (objects([np.int8(3), np.int64(5)]), [3, 5], "i"),
        (objects([3.0, np.float32(5)]), [3, 5], "f"),
        (np.array([3, 5], dtype=np.uint8), [3, 5], "u"),
        (["b", "a", "b"], ["a", "b"], "U"),
        (objects(["b", "a"]), ["a", "b"], "O"),
        (pd.Categorical(["b", "a"], categories=["a", "b", "unused"]), ["a", "b"], "O"),
    ],
)
def test_classes_are_the_values_that_occur(y, classes, kind):
    found = labels_of(y, unlabeled_label=NAN).classes
    assert found.tolist() == classes
    assert found.dtype.kind == kind


def test_labels_from_a_column_train_as_those_of_an_array():
    expected = small().fit(X, NUMBER_LABELS).predict_proba(X)
    for build in (objects, NUMBERS["pandas Int64"], PolarsLike):
        model = small().fit(X, build(NUMBER_LABELS))
        assert_array_equal(model.predict_proba(X), expected)
        assert model.predict(X).dtype.kind == "i"
        assert model.score(X, build(NUMBER_LABELS)) == model.score(X, NUMBER_LABELS)


@pytest.mark.parametrize("y", [["a", 3], objects(["a", 3, "b"]), pd.Series([2, "a"])])
def test_strings_and_numbers_do_not_mix(y):
    with pytest.raises(ValueError, match="y mixes strings and other labels.*one type"):
        labels_of(y)
    with pytest.raises(ValueError, match="classes mixes strings and other labels"):
        labels_of(["a", "b"], classes=y)


@pytest.mark.parametrize("y", [np.array([b"a", b"b"]), [b"a", b"b"]])
def test_bytes_are_refused(y):
    for read in (labels_of, check_past_actions, HistoryEncoder().fit):
        with pytest.raises(ValueError, match="bytes: decode them"):
            read(y)


@pytest.mark.parametrize("y", [objects([0.5, 1.5]), [0.5, 1.5, None]])
def test_fractions_stay_refused(y):
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        labels_of(y, unlabeled_label=NAN)


# ---------------------------------------------------------------- NaN as the parameter


@pytest.mark.parametrize("marker", [NAN, NA, ""], ids=repr)
@pytest.mark.filterwarnings("ignore:. rows with y ==")
def test_a_missing_value_survives_as_a_parameter(marker, tmp_path):
    y = ["a", "b", None, "b", "a", "nan"]
    model = clone(small()).set_params(unlabeled_label=marker)
    model = clone(model).fit(X, y)
    assert is_missing(model.unlabeled_label_)
    assert model.n_unlabeled_ == 2
    assert model.score(X, y) == model.score(X[[0, 1, 3, 4]], list("abba"))
    model.save(tmp_path / "model.safetensors")
    for again in (
        load(tmp_path / "model.safetensors"),
        pickle.loads(pickle.dumps(model)),
    ):
        assert again.score(X, y) == model.score(X, y)
        assert again.fit(X, y).n_unlabeled_ == 2


@pytest.mark.filterwarnings("ignore:. rows with y ==")
def test_a_search_over_rows_with_missing_labels():
    rng = np.random.RandomState(0)
    y = objects(["a", "b", NAN] * 8)
    X = np.where(y == "a", 1.0, -1.0)[:, None] + rng.normal(size=(24, 3)) / 9
    split = SemiSupervisedSplit(2, unlabeled_label=NAN)
    for scoring in (None, top_k_scorer(1)):
        model = SmoothedAnticipator(MLP(4), unlabeled_label=NAN, random_state=0)
        search = GridSearchCV(model, {"lr": [0.1]}, cv=split, scoring=scoring)
        search.fit(X, y)
        assert search.best_score_ == 1
        assert search.best_estimator_.n_unlabeled_ == 8
    train, test = next(split.split(X, y))
    assert set(range(2, 24, 3)) <= set(train.tolist())
    assert len(test) == 8


def test_rows_without_label_are_left_out_of_scores_though_fit_had_none():
    model = small().fit(X, NUMBER_LABELS)
    y = [0, 2, -1, 2, -1, 0]
    labelled = [0, 1, 3, 5]
    assert model.unlabeled_label_ is None
    assert model.score(X, y) == model.score(X[labelled], np.take(y, labelled))
    watched = small().fit(X, NUMBER_LABELS, X_val=X, y_val=y).history_[-1]
    of_part = small().fit(
        X, NUMBER_LABELS, X_val=X[labelled], y_val=np.take(y, labelled)
    )
    assert watched == of_part.history_[-1]


def test_the_curve_counts_labelled_rows_only():
    sequences = np.zeros((6, 3, 2))
    model = SmoothedAnticipator(max_epochs=1, random_state=0)
    model.fit(sequences, NUMBER_LABELS)
    part = AnticipationCurveDisplay.from_estimator(model, sequences[:2], [0, 2], k=1)
    whole = AnticipationCurveDisplay.from_estimator(
        model, sequences[:4], [0, 2, -1, -1], k=1
    )
    for one, other in zip(part.lines_, whole.lines_, strict=True):
        assert_array_equal(one.get_ydata(), other.get_ydata())


# ---------------------------------------------------------------------------- the past

FILLERS = {**MISSING, "-1": -1}


@pytest.mark.parametrize(("build", "labels", "value"), cases(TEXTS, None, FILLERS))
def test_a_missing_past_action_is_none_in_every_container(build, labels, value):
    y = ["cut pan", "wash pan"] * 2
    y_past = build(["wash pan", value, "wash pan", "cut pan"])
    model = small(prior=TransitionPrior()).fit(X[:4], y, y_past=y_past)
    assert model.prior_.past_actions_ == ["wash pan", "cut pan"]
    assert missing_mask(y_past).tolist() == [False, True, False, False]
    rows = model.prior_.rows(y, y_past)
    assert rows[1] == len(model.prior_.matrix_) - 1  # that of no past action


TABLES = {
    "list": list,
    "tuple": lambda rows: tuple(map(tuple, rows)),
    "numpy object": objects,
    "numpy str": np.array,
    "numpy StringDType": strings_of_numpy,
    "pandas object": lambda rows: pd.DataFrame(rows, dtype=object),
    "pandas string": lambda rows: pd.DataFrame(rows, dtype="string"),
    "polars": lambda rows: polars_frame(rows),
}


def polars_frame(rows):
    pl = pytest.importorskip("polars")
    rows = [[None if is_null(v) else v for v in row] for row in rows]
    return pl.DataFrame(rows, orient="row")


@pytest.mark.parametrize(("build", "rows", "value"), cases(TABLES, None, FILLERS))
def test_missing_past_actions_are_padding_in_every_table(build, rows, value):
    past_actions = build([["cut pan", "wash pan"], [value, "cut pan"], [value] * 2])
    _, read = check_past_actions(past_actions)
    assert read.tolist() == [True, True, False]
    encoder = HistoryEncoder().fit(past_actions)
    assert encoder.vocabulary_["action"].tolist() == ["cut pan", "wash pan"]
    actions = encoder.transform(past_actions)[:, :, 2]
    assert actions.tolist() == [[1, 2], [-1, 1], [-1, -1]]
    texts = HistoryText(template="{verb} {noun}", separator=", ")
    written = ["cut pan, wash pan", "cut pan", ""]
    assert texts.transform(past_actions).tolist() == written


def test_whole_numbers_beside_missing_past_actions():
    actions = {3: ("cut", "pan"), 5: ("wash", "pan")}
    for build in (pd.DataFrame, lambda rows: pd.DataFrame(rows, dtype="Int64")):
        past_actions = build([[3, 5], [None, 3]])
        codes = HistoryEncoder(actions).fit_transform(past_actions)
        assert codes[:, :, 2].tolist() == [[1, 2], [-1, 1]]
    prior = TransitionPrior(actions)
    y_past = pd.Series([5, None, 5, 3], dtype="Int64")
    model = small(prior=prior).fit(X[:4], [3, 5, 3, 5], y_past=y_past)
    assert model.prior_.past_actions_ == [5, 3]
    assert all(isinstance(label, int) for label in model.prior_.past_actions_)


def test_last_actions_are_one_column():
    y_past = pd.DataFrame({"last": ["wash pan", None, "cut pan"]})
    y = ["cut pan", "wash pan", "cut pan"]
    model = small(prior=TransitionPrior()).fit(X[:3], y, y_past=y_past)
    assert model.prior_.past_actions_ == ["wash pan", "cut pan"]
    with pytest.raises(ValueError, match=r"y_past has shape \(3, 2\): give one label"):
        small().fit(X[:3], y, y_past=[["a", "b"]] * 3)


@pytest.mark.filterwarnings("error")
def test_columns_of_unlike_categories_keep_what_is_missing():
    past = [[None, 3, 5], [2, 1, None]]
    table = pd.DataFrame({f"past_{k}": pd.Categorical(v) for k, v in enumerate(past)})
    assert missing_mask(table).tolist() == [[1, 0], [0, 0], [0, 1]]
    assert as_array(table)[1].tolist() == [3, 1]


# -------------------------------------------------------------------------- the groups


@pytest.mark.parametrize(
    ("build", "labels", "value"),
    [
        *cases(TEXTS, TEXT_LABELS, {**NULLS, "empty": "", "nan as text": "nan"}),
        *cases(NUMBERS, NUMBER_LABELS, NULLS),
    ],
)
def test_every_row_has_a_group(build, labels, value):
    with pytest.raises(ValueError, match="groups has missing entries: name the group"):
        check_groups(with_missing(build, labels, value))
    assert check_groups(build(labels)).tolist() == labels


def test_groups_are_of_one_type():
    with pytest.raises(ValueError, match=r"groups mixes strings and .* '1' and 1"):
        check_groups(pd.Series([1, "1", 2]))


# ------------------------------------------------------- parts and kinds of labels

PARTS = [None, "", np.nan, "nan", -1, "-1", "None"]


@pytest.mark.parametrize("part", PARTS, ids=repr)
@pytest.mark.parametrize("as_table", [False, True])
def test_a_missing_noun_is_no_name_that_labels_share(part, as_table):
    actions = {0: ("walk", part), 1: ("sit", part), 2: ("cut", "onion")}
    if as_table:
        verbs, nouns = zip(*actions.values(), strict=True)
        actions = {"label": list(actions), "verb": verbs, "noun": nouns}
    for use in (
        lambda: VerbNounPrior(actions).fit([0, 1, 2]),
        lambda: VerbNounHead(actions).fit([0, 1, 2]),
        lambda: HistoryText(actions).transform([[0, 1, 2]]),
        lambda: HistoryEncoder(actions).fit([[0, 1, 2]]),
        lambda: TransitionPrior(actions).fit([0, 1, 2], [1, 2, 0], [0, 1, 2]),
        lambda: marginalize(np.eye(3), [0, 1, 2], actions),
    ):
        with pytest.raises(ValueError, match="is missing and would count as one"):
            use()


def test_labels_of_another_type_than_the_classes_are_no_misses():
    X, y = np.eye(3)[[0, 1, 2] * 3], np.array([0, 1, 2] * 3)
    model = SmoothedAnticipator(max_epochs=1).fit(X, y)
    texts = y.astype(str)
    for use in (
        lambda: top_k_scorer(1)(model, X, texts),
        lambda: mean_top_k_recall_scorer(1)(model, X, texts),
        lambda: mean_top_k_recall_scorer(1, labels=["0"])(model, X, y),
        lambda: top_k_accuracy(texts, np.eye(3)[y], k=1, classes=[0, 1, 2]),
        lambda: HistoryEncoder().fit([[0, 1]]).transform([["0 0", "1 1"]]),
        lambda: (
            HistoryTeacher(n_networks=1, max_epochs=1)
            .fit(y[:, None], y)
            .predict_proba(np.array([["cut pan"]]))
        ),
    ):
        with pytest.raises(ValueError, match="give both the same type"):
            use()


@pytest.mark.parametrize("marker", [False, True, np.False_])
def test_a_truth_value_marks_no_number(marker):
    model = SmoothedAnticipator(max_epochs=1, unlabeled_label=marker)
    with pytest.raises(ValueError, match="would mark the label"):
        model.fit(np.eye(3), [0, 1, 2])
    truths = np.array([True, False, True])
    assert resolve_marker(truths, marker) == marker


@pytest.mark.parametrize(("marker", "y"), [("0", [0, 1, 2]), (99, ["1", "2", "99"])])
def test_a_marker_of_another_type_than_the_labels_is_told_of(marker, y):
    model = SmoothedAnticipator(max_epochs=1, unlabeled_label=marker)
    with pytest.warns(UserWarning, match="marks no row, but y holds"):
        model.fit(np.eye(3), y)


@pytest.mark.parametrize("classes", [[0, 1, np.nan], ["a", None], ["a", "b", np.nan]])
def test_a_missing_label_is_no_class_of_a_prior(classes):
    with pytest.raises(ValueError, match="missing label"):
        UniformPrior().fit(classes)


@pytest.mark.parametrize("label", [np.ma.masked, "NaT", "--"])
def test_what_masks_and_dates_become_is_missing(label):
    y = ["a", "b", label]
    with pytest.raises(ValueError, match="unlabeled_label="):
        SmoothedAnticipator(max_epochs=1).fit(np.eye(3), y)
    model = SmoothedAnticipator(max_epochs=1, unlabeled_label=np.nan)
    with pytest.warns(UserWarning, match="1 rows .*dropped"):
        model.fit(np.eye(3), y)
    assert model.classes_.tolist() == ["a", "b"]


def test_the_remedy_for_a_class_named_none_is_one_that_there_is():
    with pytest.raises(ValueError, match='If "None" is a class, rename it'):
        HistoryTeacher().fit([["a b"]] * 3, ["a b", "None", "c d"])


@pytest.mark.parametrize(
    "y",
    [["a", "b", "NA"], ["a", "b", "null"], objects(["a", "#N/A", "b"]), [0, 1, -100]]
    + [[0, 1, np.iinfo("i8").min], np.array([0, 1, np.iinfo("i4").min], dtype="i4")]
    + [[0, 1, -2], [3.0, 2.0, -999.0]]
    + [["a", "b", "Unlabeled"], np.array([0, 1, -1]).astype(np.uint8)],
    ids=repr,
)
def test_what_marks_a_missing_label_elsewhere_is_a_class_that_is_told(y):
    with pytest.warns(UserWarning, match="y holds .*, which is a class like any other"):
        found = labels_of(y)
    assert len(found.classes) == 3 and (found.codes >= 0).all()


@pytest.mark.parametrize(
    ("y", "marker", "mark"),
    [
        (np.array([0, 1, -1]).astype(np.uint8), -1, 255),  # which -1 was once
        ([0, 1, -100, -1], -1, -100),
        (objects(["a", "b", None, "NA"]), NAN, "NA"),
        (["a", "b", "-", "x"], "x", "-"),
    ],
    ids=repr,
)
def test_marks_are_told_beside_a_marker_of_ones_own(y, marker, mark):
    says = f"y holds {mark!r}, which is a class like any other"
    with pytest.warns(UserWarning, match=says):
        labels_of(y, unlabeled_label=marker)


@pytest.mark.parametrize("marker", ["unknown", "unknown "])
def test_a_class_that_looks_like_the_marker_is_told(marker):
    with pytest.warns(UserWarning, match=f"labels '{marker}' and 'Unknown' differ in"):
        labels_of(["a", "b", "Unknown"], unlabeled_label=marker)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels_of(["a", "b", marker], unlabeled_label=marker)


@pytest.mark.parametrize(
    ("y", "params"),
    [
        (["a", "b", "NA"], {"classes": ["NA", "a", "b"]}),
        (["a", "b", "NA"], {"unlabeled_label": None}),
        (["a", "b", "none"], {}),
        ([0, 1, 255], {}),
        ([-99, 0, 99], {}),
        ([-100, -50, 0], {}),
        (np.array([0, 254, 255], dtype=np.uint8), {}),  # all that are there, perhaps
    ],
)
def test_a_class_that_is_meant_is_not_told(y, params):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(labels_of(y, **params).classes) == 3


def test_the_marker_among_the_classes_is_told():
    y = np.array([0, 1, 2, -1, -1])
    with pytest.warns(UserWarning, match="classes holds -1, .* unlabeled_label=None"):
        found = labels_of(y, classes=np.unique(y))
    assert found.classes.tolist() == [-1, 0, 1, 2] and found.marker is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels_of(y, classes=np.unique(y), unlabeled_label=None)
        labels_of(y, classes=np.unique(y[:3]))
        labels_of([0, 1], classes=[-1, 0, 1])
        labels_of([-1, 1, 1], classes=[-1, 1])
        labels_of([-2, -1, 0, 1], classes=[-2, -1, 0, 1, 2])


@pytest.mark.parametrize("value", [-1, None, NAN, "nan"])
def test_a_teacher_does_not_score_rows_without_label_as_wrong(value):
    rows, labels = np.array([["a b"], ["c d"]] * 6), np.array(["a b", "c d"] * 6)
    groups = np.arange(12) // 2
    reader = HistoryTeacher(n_networks=0, random_state=0).fit(
        rows, labels, groups=groups
    )
    seer = TeacherEnsemble([GaussianNB(), GaussianNB()]).fit(
        np.eye(2)[[0, 1] * 6], labels
    )
    for teacher, seen in ((reader, rows), (seer, np.eye(2)[[0, 1] * 6])):
        assert teacher.score(seen, labels) == 1
        with pytest.raises(ValueError, match="mixes strings|leave such rows out"):
            teacher.score(seen, np.where(groups == 0, value, labels.astype(object)))
    numbers = TeacherEnsemble([GaussianNB(), GaussianNB()])
    numbers.fit(np.eye(2)[[0, 1] * 6], [0, 1] * 6)
    with pytest.raises(ValueError, match="holds -1, .*leave these rows out"):
        numbers.score(np.eye(2), [0, -1])
    assert numbers.score(np.eye(2), [0, 1]) == 1


@pytest.mark.parametrize("text", ["-1 ", " None", "nan "])
def test_spaces_around_a_missing_label_change_nothing(text):
    with pytest.raises(ValueError, match="holds the string"):
        SmoothedAnticipator(max_epochs=1).fit(np.eye(3), ["a", "b", text])


FUSED = LateFusion([("a", GaussianNB(), (0, 2))])
WITHOUT_PARAMETER = {
    "fusion": FUSED,
    "replicas": ReplicaEnsemble(RandomForestClassifier(2), n_replicas=1),
}


@pytest.mark.parametrize("name", WITHOUT_PARAMETER)
@pytest.mark.parametrize("value", [None, NAN, "", "-1"], ids=repr)
def test_who_reads_minus_one_says_so_of_a_missing_label(name, value):
    y = np.array(["cut", "pour", value, -1], dtype=object)
    X, model = np.arange(8.0).reshape(4, 2), clone(WITHOUT_PARAMETER[name])
    with pytest.raises(ValueError, match="mark unlabelled rows with -1, in a") as error:
        model.fit(X, y)
    assert "unlabeled_label" not in str(error.value)  # which it has not
    y[2] = -1
    assert model.fit(X, y).classes_.tolist() == ["cut", "pour"]


# --------------------------------------------------------- marks of other tools


def past_of(kind):
    """Labels of 3 steps, of which the first of some rows says that there is none."""
    past = np.arange(60).reshape(20, 3) % 7
    past[::4, 0] = -1
    return past.astype("u1") if kind == "u1" else np.where(past < 0, int(kind), past)


@pytest.mark.parametrize("kind, mark", [("u1", 255), ("-100", -100), ("-2", -2)])
def test_marks_of_a_past_without_actions_are_told(kind, mark):
    past, y = past_of(kind), np.arange(20) % 4
    told = {"match": f"holds {mark}, which is an action like any other"}
    with pytest.warns(UserWarning, **told):
        HistoryEncoder().fit(past)
    with pytest.warns(UserWarning, **told):
        TransitionPrior().fit([0, 1, 2, 3], y=y, y_past=past[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HistoryEncoder().fit(np.arange(60).reshape(20, 3).astype("u1"))
        HistoryEncoder().fit(np.arange(60).reshape(20, 3) - 9)  # signed names


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_features_in_place_of_past_actions_are_told(dtype):
    features = np.random.default_rng(0).normal(size=(20, 3)).astype(dtype)
    y, student = np.arange(20) % 4, DistilledAnticipator(MLP(2), max_epochs=1)
    told = {"match": "holds .*each number is read as the label of an action"}
    for fit in (
        lambda: HistoryEncoder().fit(features),
        lambda: HistoryTeacher(n_networks=0).fit(features, y, groups=y),
        lambda: student.fit(features, y, past_actions=features),
        lambda: TransitionPrior().fit([0, 1, 2, 3], y=y, y_past=features[:, 0]),
    ):
        with pytest.warns(UserWarning, **told):
            fit()
    labels = np.abs(np.trunc(9 * features))
    labels[::2, 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HistoryEncoder().fit(labels)


def test_labels_in_place_of_what_was_seen_before_are_told():
    y = np.random.default_rng(0).integers(4, size=80)
    past = np.stack([np.roll(y, 1), y], axis=1)  # the last column is one too many
    names = np.array(["cut leek", "cut pan", "dry pan", "dry leek"])
    marked = np.where(np.arange(80) % 4, y, -1)  # unlabelled rows say nothing
    classes = [0, 1, 2, 3]
    for fit in (
        lambda: HistoryEncoder().fit(past, y),
        lambda: HistoryEncoder().fit(past, marked),
        lambda: HistoryTeacher(n_networks=0).fit(names[past], names[y], groups=y),
        lambda: TransitionPrior().fit(classes, y=y, y_past=y),
        lambda: TemporalPrior().fit(classes, y=y, y_past=y),
    ):
        with pytest.warns(UserWarning, match="tell what is to be anticipated: leave"):
            fit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HistoryEncoder().fit(past[:, :1], y)
        HistoryEncoder().fit(past, np.roll(y, -1))
        HistoryEncoder().fit(past[:10], y[:10])  # few may well be alike
        TransitionPrior().fit(classes, y=y, y_past=np.where(y == 1, -1, y))


def test_codes_whose_padding_lost_its_sign_are_told():
    codes = np.arange(60).reshape(20, 3, 1) % 7
    codes[::4, 0] = -1
    y = np.arange(20) % 4
    model = SmoothedAnticipator(LSTM(4, embedding=3), max_epochs=1)
    with pytest.warns(UserWarning, match="hold 255, which uint8 makes of -1"):
        model.fit(codes.astype("u1"), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(codes, y)
        every = np.arange(300).reshape(100, 3, 1) % 256
        model.fit(every.astype("u1"), np.arange(100) % 4)  # all numbers are codes


@pytest.mark.parametrize("kind", [ReplicaEnsemble, TeacherEnsemble])
def test_ensembles_of_other_classifiers_tell_of_marks(kind):
    X, y = np.arange(40.0)[:, None], np.arange(40) % 4
    member = LogisticRegression()
    model = kind([member] * 2) if kind is TeacherEnsemble else kind(member)
    with pytest.warns(UserWarning, match="y holds -100, which is a class like any"):
        model.fit(X, np.where(y == 3, -100, y))
