"""Names that look alike are two; wherever one is looked up, that is told."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from skanticipate import (
    MLP,
    AVTHead,
    HistoryEncoder,
    HistoryTeacher,
    LateFusion,
    ReplicaEnsemble,
    SmoothedAnticipator,
    TeacherEnsemble,
    TemporalPrior,
    TransitionPrior,
    VerbNounPrior,
)
from skanticipate.data.twins import warn_of_twins
from skanticipate.metrics import (
    labelled_scorer,
    mean_top_k_recall_score,
    mean_top_k_recall_scorer,
    per_class_top_k_recall,
    top_k_accuracy,
    top_k_scorer,
)

RNG = np.random.default_rng(0)
CODES = np.arange(40) % 3
NAMES = np.array(["cut onion", "put pan", "wash cup"])
Y = NAMES[CODES]
X = RNG.normal(size=(40, 4)) + 4 * np.eye(4)[CODES]
HISTORIES = NAMES[RNG.integers(0, 3, (40, 2))]
MODEL = SmoothedAnticipator(MLP(4), max_epochs=2, random_state=0).fit(X, Y)
PROBA = MODEL.predict_proba(X)


def other(labels):
    """The same labels, every second one as another file writes it."""
    return np.where(np.arange(len(labels)) % 2, np.char.capitalize(labels), labels)


def told(run):
    """Warnings of names that look alike."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        run()
    return [t for w in record if "differ in nothing but" in (t := str(w.message))]


ALIKE = [
    ("cut onion", "\ufeffcut onion"),  # the mark at the beginning of a file
    ("cut onion", "cut\u200b onion"),
    ("cup", "c\u00adup"),
    ("put-down cup", "put\u2013down cup"),
    ("caf\u00e9", "cafe\u0301"),
    ("cut onion", "Cut  onion "),
    ("0,2", "0, 2"),
    ("put-down:cup", "put - down: cup"),
    ("1", "01"),
    ("2", "2.0"),
    ("7", 7),
]


@pytest.mark.parametrize("names", ALIKE, ids=map(ascii, ALIKE))
def test_names_that_look_alike_are_told(names):
    assert len(told(lambda: warn_of_twins("label", names))) == 1
    one, two = names
    assert len(told(lambda: warn_of_twins("label", [one], known=["a", two]))) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("cut onion", "cut onions"),
        ("put-down cup", "put down cup"),
        ("2", "-2", "20", "2.5"),
        (1, 1.0, True),  # which are equal, and count as one
        ("P1", "P10"),
        ("set up", "setup"),
        ("\u5207", "\u5200"),
        (None, float("nan"), np.nan, "nan", "NaN", "", " "),
        ("0", "00:10"),
    ],
)
def test_other_names_are_not_told(names):
    assert not told(lambda: warn_of_twins("label", names))


def test_names_that_are_known_are_not_compared_with_each_other():
    assert not told(lambda: warn_of_twins("label", ["mix"], known=["cut", "Cut"]))


DOORS = {
    "y_val": lambda y: MODEL.fit(X, Y, X_val=X + 0.1, y_val=y),
    "score": lambda y: MODEL.score(X, y),
    "score of a fusion": lambda y: FUSION.score(X, y),
    "top_k_accuracy": lambda y: top_k_accuracy(y, PROBA, k=1, classes=NAMES),
    "recall": lambda y: per_class_top_k_recall(y, PROBA, k=1, classes=NAMES),
    "top_k_scorer": lambda y: top_k_scorer(1)(MODEL, X, y),
    "labelled_scorer": lambda y: labelled_scorer("accuracy")(MODEL, X, y),
    "score of a teacher": lambda y: READER.score(HISTORIES, y),
}
FUSION = LateFusion([("a", LogisticRegression(), (0, None))]).fit(X, Y)
READER = HistoryTeacher(n_networks=0, random_state=0)
READER.fit(HISTORIES, Y, groups=np.arange(40) // 4)


@pytest.mark.parametrize("door", DOORS)
def test_a_miss_that_looks_like_a_class_is_told(door):
    texts = told(lambda: DOORS[door](other(Y)))
    assert texts and "'put pan' and 'Put pan'" in texts[0]
    unseen = np.where(np.arange(40) % 5, Y, "fly")  # a miss, and no more
    assert not told(lambda: DOORS[door](unseen))


def test_marks_are_told_by_scores_of_teachers():
    with pytest.warns(UserWarning, match="y holds 'NA', which is none of classes"):
        READER.score(HISTORIES, np.where(np.arange(40) % 5, Y, "NA"))


@pytest.mark.parametrize(
    "score",
    [
        lambda labels: mean_top_k_recall_score(
            Y, PROBA, k=1, classes=NAMES, labels=labels
        ),
        lambda labels: mean_top_k_recall_scorer(1, labels)(MODEL, X, Y),
    ],
    ids=["metric", "scorer"],
)
def test_labels_of_a_mean_that_look_like_others_are_told(score):
    assert len(told(lambda: score(["Cut onion", "put pan"]))) == 1
    assert not told(lambda: score(["fly", "put pan"]))  # does not occur


@pytest.mark.parametrize(
    "fit",
    [
        lambda y: ReplicaEnsemble(LogisticRegression(), n_replicas=2).fit(X, y),
        lambda y: TeacherEnsemble([LogisticRegression()] * 2).fit(X, y),
    ],
    ids=["ReplicaEnsemble", "TeacherEnsemble"],
)
@pytest.mark.filterwarnings("ignore:.*failed to converge")
def test_ensembles_of_other_classifiers_tell_of_labels(fit):
    assert len(told(lambda: fit(other(Y)))) == 1
    assert not told(lambda: fit(Y))


def test_histories_of_another_file_are_told():
    """All that they name is unknown, as if nobody had ever done it."""
    encoder = HistoryEncoder().fit(HISTORIES)
    texts = told(lambda: encoder.transform(np.char.upper(HISTORIES)))
    assert [text.split()[1] for text in texts] == ["verbs", "nouns", "actions"]
    assert not told(lambda: encoder.transform([["cut onion", "cut pan"]]))


def test_nouns_of_what_follows_are_told():
    y = np.array(["cut Onion", "put pan", "wash cup"])[CODES]
    reader = HistoryTeacher(n_networks=0, random_state=0)
    groups = np.arange(40) // 4
    texts = told(lambda: reader.fit(HISTORIES, y, groups=groups))
    assert "The nouns 'onion' and 'Onion'" in texts[0]


def test_sequences_are_compared_with_the_classes():
    """Of two videos one is written otherwise, with actions of its own."""
    sequences = [["Cut onion", "Mix soup"], ["put pan", "wash cup"]]
    for prior in (TemporalPrior, TransitionPrior):
        fit = prior(sequences=sequences).fit
        assert "'Cut onion' and 'cut onion'" in told(lambda fit=fit: fit(NAMES))[0]


def test_labels_of_steps_are_told():
    network = AVTHead(8, past_weight=1.0)
    model = SmoothedAnticipator(network, max_epochs=1, random_state=0)
    clips, steps = np.repeat(X[:, None], 2, axis=1), HISTORIES
    assert not told(lambda: model.fit(clips, Y, y_past=steps))
    steps = np.where([True, False], np.char.capitalize(steps), steps)
    assert len(told(lambda: model.fit(clips, Y, y_past=steps))) == 1


def test_ids_of_which_some_are_texts_are_told():
    actions = {0: (1, 2), 1: (2, "2"), 2: (3, 4)}
    (text,) = told(lambda: VerbNounPrior(actions).fit(range(3)))
    assert "The nouns 2 and '2'" in text


@pytest.mark.parametrize("mark", ["NA", "?", "null"])
def test_nouns_that_say_that_there_is_none_are_told(mark):
    """They would be one thing that is walked and sat."""
    actions = {0: ("walk", mark), 1: ("sit", mark), 2: ("cut", "onion")}
    with pytest.warns(UserWarning, match="Several labels have the noun"):
        VerbNounPrior(actions).fit(range(3))
    actions = {0: ("walk", mark), 1: ("sit", "sit"), 2: ("cut", "onion")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VerbNounPrior(actions).fit(range(3))
