import copy
import pickle
import warnings

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.utils import get_tags

import skanticipate
from skanticipate import DistilledAnticipator, HistoryTeacher
from skanticipate.data.samples import hold_out
from skanticipate.datasets import make_kitchen
from skanticipate.estimator import state

KITCHEN = make_kitchen(12, 10, random_state=0)
PAST, Y, GROUPS, ACTIONS = (
    KITCHEN[name] for name in ("past_actions", "y", "groups", "actions")
)
NAMES = np.array([" ".join(ACTIONS[label]) for label in range(len(ACTIONS))])
# the same labels as strings, numbered in their order so that classes keep theirs
RANK = NAMES.argsort().argsort()
NUMBERED = np.where(PAST < 0, -1, RANK[PAST])
COUNTED = ["ngrams", "2 back", "3 back", "4 back", "5 back"]
SORTED_ACTIONS = {int(RANK[label]): pair for label, pair in ACTIONS.items()}
STRINGS = np.where(PAST < 0, "", NAMES[PAST])


def teacher(**params):
    return HistoryTeacher(
        **{"hidden_size": 8, "max_epochs": 1, "random_state": 0, **params}
    )


@pytest.fixture(scope="module")
def fitted():
    return teacher().fit(STRINGS, NAMES[Y], groups=GROUPS)


@pytest.fixture
def divided(monkeypatch):
    """Training and held-out samples of each fit."""
    parts = []

    def remembering(*args):
        parts.append(hold_out(*args))
        return parts[-1]

    monkeypatch.setattr("skanticipate.teachers.history.teacher.hold_out", remembering)
    return parts


def alone(model, name):
    """The teacher as if one of its models had all the weight."""
    single = copy.copy(model)
    single.weights_ = {other: float(other == name) for other in model.weights_}
    return single


# ----------------------------------------------------------------------- many rows


def test_many_rows_are_answered_in_their_order(fitted):
    rows = np.random.default_rng(0).integers(0, len(STRINGS), 3000)
    proba = fitted.predict_proba(STRINGS[rows])
    assert_allclose(proba, fitted.predict_proba(STRINGS)[rows], rtol=1e-4, atol=1e-6)
    assert_array_equal(
        fitted.predict(STRINGS[rows]), fitted.classes_[proba.argmax(axis=1)]
    )


# ------------------------------------------------------------------------ mixture


def log_likelihood(weights, likelihoods, sample_weight):
    return sample_weight @ np.log(likelihoods @ weights)


def test_weights_are_those_of_the_held_out_rows(divided):
    model = teacher(n_networks=1, actions=ACTIONS).fit(PAST, Y, groups=GROUPS)
    held = np.isin(GROUPS, divided[0][1].groups)
    part = clone(model).fit(PAST[~held], Y[~held], groups=GROUPS[~held])
    assert_array_equal(part.classes_, model.classes_)
    wanted = np.arange(held.sum()), np.searchsorted(model.classes_, Y[held])
    answers = np.transpose(
        [alone(part, name).predict_proba(PAST[held])[wanted] for name in model.weights_]
    )
    found, weight = np.array(list(model.weights_.values())), np.ones(held.sum())
    best = log_likelihood(found, answers, weight)
    for other in np.random.default_rng(0).dirichlet(np.ones(7), size=500):
        assert log_likelihood(other, answers, weight) <= best


def test_whole_groups_are_held_out(divided):
    teacher().fit(STRINGS, NAMES[Y], groups=GROUPS)
    ((training, held),) = divided
    assert not set(training.groups) & set(held.groups)
    assert len(training) + len(held) == len(Y)
    assert 0.05 < len(held) / len(Y) < 0.25


def test_one_group_is_held_out_like_none():
    one = teacher().fit(STRINGS, NAMES[Y], groups=np.zeros(len(Y)))
    none = teacher().fit(STRINGS, NAMES[Y])
    assert one.weights_ == none.weights_


def test_groups_without_weight_are_no_groups():
    weight = (np.arange(len(Y)) % 2).astype(float)
    one = teacher().fit(STRINGS, NAMES[Y], groups=weight, sample_weight=weight)
    none = teacher().fit(STRINGS, NAMES[Y], sample_weight=weight)
    assert one.weights_ == none.weights_


def test_models_count_alike_where_no_held_out_class_was_learnt():
    model = teacher().fit(STRINGS[:4], ["cut a", "cut b", "cut c", "cut d"])
    assert_allclose(list(model.weights_.values()), 1 / 7)


def test_the_models_are_fitted_on_all_rows(fitted):
    counted = fitted.models_["ngrams"]
    assert len(counted.levels_[0]["classes"]) == len(np.unique(Y))
    last = np.unique(STRINGS[:, -1])
    assert len(counted.levels_[2]["keys"]) == len(last)


def test_the_mixture_is_more_likely_than_each_model():
    many = make_kitchen(40, random_state=1)
    test = many.groups % 4 == 0
    model = teacher(actions=many.actions, hidden_size=32, n_networks=1, max_epochs=10)
    model.fit(many.past_actions[~test], many.y[~test], groups=many.groups[~test])
    rows, wanted = np.arange(test.sum()), np.searchsorted(model.classes_, many.y[test])

    def score(reader):
        return np.log(
            reader.predict_proba(many.past_actions[test])[rows, wanted]
        ).mean()

    single = {name: score(alone(model, name)) for name in model.weights_}
    assert len(single) == 7 and score(model) > max(single.values()) + 0.01
    uniform = -np.log(len(model.classes_))
    assert min(single.values()) > uniform  # what was done long ago says little
    del single["3 back"], single["4 back"], single["5 back"]
    assert min(single.values()) > uniform + 0.1


# ------------------------------------------------------------------------- labels


def test_answers_are_probabilities(fitted):
    proba = fitted.predict_proba(STRINGS)
    assert proba.shape == (len(Y), len(np.unique(Y)))
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert proba.min() > 0
    assert_array_equal(fitted.predict(STRINGS), fitted.classes_[proba.argmax(axis=1)])


def test_numbers_and_strings_are_the_same(fitted):
    numbers = teacher(actions=SORTED_ACTIONS).fit(NUMBERED, RANK[Y], groups=GROUPS)
    assert_array_equal(NAMES[NAMES.argsort()][numbers.classes_], fitted.classes_)
    assert_array_equal(numbers.predict_proba(NUMBERED), fitted.predict_proba(STRINGS))


@pytest.mark.parametrize("nothing", [None, float("nan"), -1])
def test_all_paddings_are_the_same(fitted, nothing):
    padded = STRINGS.astype(object)
    padded[STRINGS == ""] = nothing
    assert_array_equal(fitted.predict_proba(padded), fitted.predict_proba(STRINGS))
    again = teacher().fit(padded, NAMES[Y], groups=GROUPS)
    assert_array_equal(again.predict_proba(padded), fitted.predict_proba(STRINGS))


def test_a_list_of_lists_is_read(fitted):
    rows = [[None, "wash tomato"], ["wash tomato", "cut tomato"]]
    array = np.array([["", "wash tomato"], ["wash tomato", "cut tomato"]])
    assert_array_equal(fitted.predict_proba(rows), fitted.predict_proba(array))


def test_nothing_seen_is_answered_by_what_comes_first(fitted):
    proba = fitted.predict_proba([[""] * 5])
    assert_allclose(proba.sum(), 1, rtol=1e-5)
    first = Y[(PAST < 0).all(axis=1)]
    often = NAMES[np.bincount(first).argmax()]
    unseen = fitted.predict_proba([["fly kite"] * 5])
    column = fitted.classes_.tolist().index(often)
    assert proba[0, column] > unseen[0, column]


def test_unseen_labels_are_ordinary(fitted):
    unseen = fitted.predict_proba([["fly kite"] * 5, ["fly kite"] * 4 + ["fly tomato"]])
    assert_allclose(unseen.sum(axis=1), 1, rtol=1e-5)
    tomato = [name.endswith(" tomato") for name in fitted.classes_]
    assert unseen[1, tomato].sum() > unseen[0, tomato].sum() + 0.1


def test_a_history_may_be_longer_or_shorter_than_in_fit(fitted):
    short = fitted.predict_proba(STRINGS[:, -2:])
    padded = STRINGS.copy()
    padded[:, :-2] = ""
    assert_allclose(short, fitted.predict_proba(padded), rtol=1e-4)
    longer = np.concatenate([np.full((len(Y), 3), ""), STRINGS], axis=1)
    assert_allclose(
        fitted.predict_proba(longer), fitted.predict_proba(STRINGS), rtol=1e-4
    )


def test_numbers_without_names_are_read_as_actions():
    model = teacher().fit(PAST, Y, groups=GROUPS)
    assert list(model.weights_) == [*COUNTED, "networks"]
    assert_allclose(model.predict_proba(PAST).sum(axis=1), 1, rtol=1e-5)
    assert model.models_["networks"][0].network_spec_.head is None


def test_names_of_the_past_serve_numbers_of_what_follows():
    model = teacher().fit(STRINGS, Y, groups=GROUPS)
    assert list(model.weights_) == [*COUNTED, "networks"]
    assert len(model.models_["ngrams"].levels_) == 1 + 1 + model.order


def test_nothing_but_padding_is_enough_where_actions_are_given():
    model = teacher(actions=ACTIONS).fit(np.full((len(Y), 2), -1), Y)
    common = np.bincount(Y).argmax()
    assert model.predict([[-1, -1]])[0] == common


# ------------------------------------------------------------------------ weights


def test_a_weight_of_two_is_a_row_twice_for_what_is_counted():
    weights = np.where(np.arange(len(Y)) % 3 == 0, 2, 1)
    twice = np.repeat(np.arange(len(Y)), weights)
    weighted = teacher().fit(STRINGS, NAMES[Y], sample_weight=weights)
    repeated = teacher().fit(STRINGS[twice], NAMES[Y][twice])
    for name in ("ngrams", "templates"):  # the third are the networks
        one, other = (
            alone(m, name).predict_proba(STRINGS) for m in (weighted, repeated)
        )
        assert_allclose(one, other, rtol=1e-6)


def test_weights_that_sum_to_one_are_told_to_count_nothing():
    weights = np.linspace(1, 2, len(Y))
    fit = teacher(n_networks=0).fit
    with pytest.warns(UserWarning, match="sample_weight has a mean of 0.0083"):
        fit(STRINGS, NAMES[Y], groups=GROUPS, sample_weight=weights / weights.sum())
    student = DistilledAnticipator(text_teacher=teacher(n_networks=0), max_epochs=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="sample_weight has a mean")
        fit(STRINGS, NAMES[Y], groups=GROUPS, sample_weight=weights)
        student.fit(  # which gives its teacher weights of mean 1
            KITCHEN.X_past, Y, past_actions=STRINGS, sample_weight=weights / 1000
        )


def test_a_row_without_weight_is_no_row():
    keep = np.arange(len(Y)) % 4 > 0
    assert set(Y[keep]) == set(Y)
    weighted = teacher().fit(STRINGS, NAMES[Y], sample_weight=keep * 1.0)
    left_out = teacher().fit(
        STRINGS[keep], NAMES[Y][keep], sample_weight=np.ones(sum(keep))
    )
    assert_array_equal(weighted.predict_proba(STRINGS), left_out.predict_proba(STRINGS))


# ------------------------------------------------------------------- scikit-learn


def test_the_same_seed_gives_the_same_bits(fitted):
    before = np.random.get_state()[1].copy()
    again = teacher().fit(STRINGS, NAMES[Y], groups=GROUPS)
    assert_array_equal(again.predict_proba(STRINGS), fitted.predict_proba(STRINGS))
    assert again.weights_ == fitted.weights_
    assert_array_equal(np.random.get_state()[1], before)
    other = teacher(random_state=1).fit(STRINGS, NAMES[Y], groups=GROUPS)
    assert (other.predict_proba(STRINGS) != fitted.predict_proba(STRINGS)).any()


def test_networks_differ(fitted):
    one, other = fitted.models_["networks"]
    codes = fitted.encoder_.transform(STRINGS)
    assert (one.predict_proba(codes) != other.predict_proba(codes)).any()


def test_its_networks_compute_where_it_says_now(fitted):
    expected, model = fitted.predict_proba(STRINGS), copy.deepcopy(fitted)
    for network in model.models_["networks"]:
        network.set_params(device="meta", n_threads=2)  # as of a fit elsewhere
    assert_array_equal(model.set_params(device="cpu").predict_proba(STRINGS), expected)
    assert model.models_["networks"][0].device == "meta"
    with pytest.raises((ValueError, RuntimeError), match="nowhere"):
        model.set_params(device="nowhere").predict_proba(STRINGS)


def test_a_clone_is_unfitted_and_fits_alike(fitted):
    copy = clone(fitted)
    with pytest.raises(NotFittedError):
        copy.predict(STRINGS)
    copy.fit(STRINGS, NAMES[Y], groups=GROUPS)
    assert_array_equal(copy.predict_proba(STRINGS), fitted.predict_proba(STRINGS))


def test_pickled_and_saved_teachers_answer_alike(fitted, tmp_path):
    fitted.save(tmp_path / "teacher.safetensors")
    for again in (
        pickle.loads(pickle.dumps(fitted)),
        skanticipate.load(tmp_path / "teacher.safetensors"),
    ):
        assert_array_equal(again.predict_proba(STRINGS), fitted.predict_proba(STRINGS))
        assert again.weights_ == fitted.weights_
        assert_array_equal(again.classes_, fitted.classes_)


class Holder(BaseEstimator):
    def __init__(self, value=None):
        self.value = value


def test_the_state_of_numbered_labels_goes_round(tmp_path):
    model = teacher(actions=ACTIONS).fit(PAST, Y)
    state.write(tmp_path / "state", Holder([model]))
    again = state.read(tmp_path / "state", [Holder]).value[0]
    assert again.actions == ACTIONS
    assert_array_equal(again.predict_proba(PAST), model.predict_proba(PAST))


def test_a_student_is_taught():
    student = DistilledAnticipator(
        text_teacher=teacher(actions=ACTIONS), max_epochs=2, random_state=0
    )
    student.fit(KITCHEN.X_past, Y, past_actions=PAST, groups=GROUPS)
    assert isinstance(student.text_teacher_, HistoryTeacher)
    assert student.history_[0]["text"] > 0


def test_a_search_over_its_parameters():
    search = GridSearchCV(
        teacher(n_networks=1), {"order": [1, 2]}, cv=GroupKFold(2), error_score="raise"
    )
    search.fit(STRINGS, NAMES[Y], groups=GROUPS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(STRINGS, NAMES[Y]) > 1 / len(ACTIONS)


def test_groups_are_routed_to_fit(divided):
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(teacher(n_networks=1), {"order": [1]}, cv=GroupKFold(2))
        search.fit(STRINGS, NAMES[Y], groups=GROUPS)
    assert len(divided) == 3  # two folds, and all rows
    for training, held in divided:
        assert not set(training.groups) & set(held.groups)


def test_tags_allow_strings_and_gaps():
    tags = get_tags(HistoryTeacher()).input_tags
    assert tags.string and tags.categorical and tags.allow_nan
    assert get_tags(HistoryTeacher()).estimator_type == "classifier"


# ------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("past", "y", "options", "says"),
    [
        (STRINGS[:9], NAMES[Y][:8], {}, "y has 8 rows but past_actions has 9"),
        (STRINGS, NAMES[Y], {"groups": [1, 2]}, "groups has 2 rows"),
        (STRINGS, NAMES[Y], {"sample_weight": [1.0]}, "sample_weight has 1 rows"),
        (STRINGS, NAMES[Y], {"sample_weight": np.zeros(len(Y))}, "non-zero"),
        (NAMES[Y], NAMES[Y], {}, r"shape \(n, L\)"),
        (STRINGS[:, :0], NAMES[Y], {}, r"shape \(n, L\)"),
        (STRINGS, ["cut onion"] * len(Y), {}, "at least 2 classes"),
        ([["cut"], ["wash"]], ["cut onion", "cut pan"], {}, "verb and a noun"),
        ([["cut pan"], ["wash pan"]], ["cut", "wash"], {}, "verb and a noun"),
        (np.full((len(Y), 2), ""), NAMES[Y], {}, "nothing but padding"),
        (STRINGS, None, {}, "requires y"),
        (STRINGS, np.linspace(0, 1, len(Y)), {}, "Unknown label type"),
    ],
)
def test_what_cannot_be_read(past, y, options, says):
    with pytest.raises(ValueError, match=says):
        teacher().fit(past, y, **options)


@pytest.mark.parametrize("where", ["past", "y"])
def test_a_table_must_name_every_label(where):
    few = {label: ACTIONS[label] for label in ACTIONS if label != Y[0]}
    past = PAST if where == "past" else np.where(Y[0] == PAST, -1, PAST)
    with pytest.raises(ValueError, match="add them to actions"):
        teacher(actions=few).fit(past, Y)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("order", 0),
        ("hidden_size", 0),
        ("n_networks", -1),
        ("strength", 0),
        ("validation_fraction", 1),
    ],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        teacher(**{name: value}).fit(STRINGS, NAMES[Y])


def test_a_fit_that_fails_leaves_all_as_it_was():
    model = teacher(n_networks=1).fit(STRINGS, NAMES[Y])
    before = model.predict_proba(STRINGS)
    with pytest.raises(ValueError):
        model.fit(STRINGS, ["cut onion"] * len(Y))
    assert_array_equal(model.predict_proba(STRINGS), before)


def test_few_rows_are_enough():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = teacher().fit(
            [["cut pan"], ["wash pan"]], ["wash pan", "dry pan"], groups=[0, 1]
        )
    assert_allclose(model.predict_proba([["cut pan"]]).sum(), 1, rtol=1e-5)
