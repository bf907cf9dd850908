"""LanguageTeacher: the past actions, read as a text."""

import copy
import hashlib
import inspect
import multiprocessing
import os
import pickle
import shutil
import threading
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import load_file, save_file
from scipy.special import log_softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.utils import compute_class_weight
from tiny_bert import NOUNS, VERBS, settings, tiny_tokenizer, write_tiny_bert
from transformers import AutoModel

import skanticipate
from skanticipate import (
    CosineSchedule,
    DistilledAnticipator,
    LanguageTeacher,
    TeacherEnsemble,
)
from skanticipate.estimator import state
from skanticipate.signals.members import features_of_members
from skanticipate.signals.text import check_past_actions
from skanticipate.teachers.language import teacher as language
from skanticipate.teachers.language.embedding import TextEncoder
from skanticipate.teachers.language.encoder import quiet
from skanticipate.training.step import GradientStep

LABELS = [f"{verb} {noun}" for verb in VERBS for noun in NOUNS]  # 16


def kitchen(n=48, seed=0):
    """Histories of up to three actions; what follows is the next verb, same noun."""
    rng = np.random.default_rng(seed)
    history = rng.integers(16, size=(n, 3))
    y = np.array([LABELS[(last + 4) % 16] for last in history[:, -1]])
    past = np.array(LABELS, dtype=object)[history]
    past[: n // 4, 0] = ""
    past[: n // 8, 1] = None
    return past, y


PAST, Y = kitchen()
GROUPS = np.arange(len(Y)) // 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "bert")


def quick(model, **params):
    defaults = {"max_epochs": 2, "device": "cpu", "random_state": 0}
    return LanguageTeacher(model, **{**defaults, **params})


def tuned(model, **params):
    return quick(model, **{"freeze": False, "lr": 1e-3, "batch_size": 16, **params})


def vectors_of(model, texts):
    """Mean over the tokens of each text, one text at a time.   -> (n, d)."""
    network, tokenizer = AutoModel.from_pretrained(model).eval(), tiny_tokenizer()
    with torch.no_grad():
        return np.stack(
            [
                network(input_ids=torch.tensor([tokenizer(text)["input_ids"]]))
                .last_hidden_state[0]
                .mean(0)
                .numpy()
                for text in texts
            ]
        )


def text_of(row):
    """Text of a history, by hand."""
    return " <a> ".join(label.replace(" ", " <v> ") for label in row if label)


def assert_same_answers(one, other):
    assert_array_equal(one.predict_proba(PAST), other.predict_proba(PAST))


# ------------------------------------------------------------------------------ answers


@pytest.mark.parametrize("make", [quick, tuned])
def test_it_answers_with_probabilities_of_the_labels(model, make):
    teacher = make(model)
    assert teacher.fit(PAST, Y) is teacher
    proba = teacher.predict_proba(PAST)
    assert_array_equal(teacher.classes_, np.unique(Y))
    assert proba.shape == (48, len(teacher.classes_))
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert_array_equal(teacher.predict(PAST), teacher.classes_[proba.argmax(axis=1)])


def test_the_frozen_teacher_is_a_linear_layer_over_the_vectors(model):
    teacher = quick(model).fit(PAST, Y)
    vectors = vectors_of(model, [text_of(row) for row in PAST])
    heads = teacher.heads_
    logits = vectors @ heads["action.weight"].T + heads["action.bias"]
    expected = np.exp(log_softmax(logits, axis=1))
    assert_allclose(teacher.predict_proba(PAST), expected, atol=1e-5)
    assert_allclose(teacher.feature_map(PAST), vectors[:, None], atol=1e-5)


def test_what_frozen_heads_learn_does_not_depend_on_the_scale_of_the_vectors(
    model, tmp_path
):
    with quiet():
        network = AutoModel.from_pretrained(model)
    norm = network.encoder.layer[-1].output.LayerNorm
    with torch.no_grad():
        norm.weight *= 40  # each channel by a factor of its own, and moved
        norm.weight[::2] *= 0.05
        norm.bias[1::2] += 30
    with quiet():
        network.save_pretrained(tmp_path)
        tiny_tokenizer().save_pretrained(tmp_path)
    one, other = (quick(m, max_epochs=5).fit(PAST, Y) for m in (model, tmp_path))
    assert np.abs(one.heads_["action.weight"] - other.heads_["action.weight"]).max() > 1
    assert_allclose(
        one.predict_proba(PAST), other.predict_proba(PAST), rtol=2e-3, atol=1e-5
    )


def test_a_single_text_is_learnt(model):
    past, y = [["cut onion"]] * 4, ["cut pan", "cut pan", "cut pan", "wash pan"]
    proba = quick(model, max_epochs=99, lr=0.1).fit(past, y).predict_proba(past[:1])
    assert_allclose(proba, [[0.75, 0.25]], atol=0.02)


def test_each_distinct_text_is_read_once(model, monkeypatch):
    n_read = []
    forward = TextEncoder.forward

    def counting(self, tokens):
        n_read.append(len(tokens.ids))
        return forward(self, tokens)

    monkeypatch.setattr(TextEncoder, "forward", counting)
    past = np.array(
        [["cut onion"], ["wash pan"], ["cut onion"], [""]] * 5, dtype=object
    )
    teacher = quick(model, max_epochs=5).fit(past, ["cut pan", "wash pan"] * 10)
    assert sum(n_read) == 3
    teacher.predict_proba(past)
    assert sum(n_read) == 6


@pytest.mark.parametrize("make", [quick, tuned])
def test_answers_come_in_the_order_of_the_rows(model, make):
    teacher = make(model).fit(PAST, Y)
    order = np.random.default_rng(1).permutation(len(Y))
    assert_allclose(
        teacher.predict_proba(PAST[order]),
        teacher.predict_proba(PAST)[order],
        atol=1e-5,
    )


def test_it_learns_what_follows(model):
    last = PAST[:, -1:]
    teacher = quick(model, max_epochs=200, lr=0.05).fit(last, Y)
    assert teacher.loss_curve_[-1] < teacher.loss_curve_[0] / 3
    assert teacher.score(last, Y) > 0.9


def test_texts_are_read_as_they_are(model):
    texts = [text_of(row) for row in PAST]
    assert_same_answers(quick(model).fit(PAST, Y), quick(model).fit(texts, Y))


def test_labels_may_be_numbers_with_names(model):
    codes = {label: k for k, label in enumerate(sorted(LABELS))}
    past = [[codes[label] if label else -1 for label in row] for row in PAST]
    actions = {k: tuple(label.split()) for label, k in codes.items()}
    numbered = quick(model, actions=actions).fit(past, [codes[label] for label in Y])
    named = quick(model).fit(PAST, Y)
    assert [actions[k] for k in numbered.classes_] == [
        tuple(label.split()) for label in named.classes_
    ]
    assert_array_equal(numbered.predict_proba(past), named.predict_proba(PAST))


def test_of_long_histories_the_latest_actions_are_read(model):
    with pytest.warns(
        UserWarning, match="distinct texts have more than 9 tokens"
    ) as told:
        teacher = quick(model, max_length=9).fit(PAST, Y)
    assert len(told) == 1 and told[0].filename == __file__
    other = PAST.copy()
    other[:, 0] = "open board"  # seven tokens are words: "> cut <v> pan" are six
    assert_array_equal(
        teacher.predict_proba(PAST[12:]), teacher.predict_proba(other[12:])
    )
    other[:, -1] = "open board"
    assert not np.allclose(teacher.predict_proba(PAST), teacher.predict_proba(other))


# ------------------------------------------------------------------------------- losses


@pytest.mark.parametrize("sample_weight", [None, np.arange(48.0)])
def test_the_loss_weighs_action_verb_and_noun(model, sample_weight):
    teacher = quick(
        model,
        max_epochs=1,
        batch_size=48,
        lr=1e-12,
        weight_decay=0.0,
        verb_weight=0.2,
        noun_weight=0.1,
    ).fit(PAST, Y, sample_weight=sample_weight)
    vectors = vectors_of(model, [text_of(row) for row in PAST])
    columns = {"action": Y}
    columns["verb"], columns["noun"] = np.array([label.split() for label in Y]).T
    names = {"action": teacher.classes_.tolist()}
    for part, k in (("verb", 0), ("noun", 1)):  # in the order of the classes
        names[part] = list(dict.fromkeys(c.split()[k] for c in teacher.classes_))
    means = {}
    for part, column in columns.items():
        heads = teacher.heads_
        logits = vectors @ heads[f"{part}.weight"].T + heads[f"{part}.bias"]
        codes = [names[part].index(name) for name in column]
        losses = -log_softmax(logits, axis=1)[np.arange(48), codes]
        means[part] = np.average(losses, weights=sample_weight)
    (record,) = teacher.history_
    for part, mean in means.items():
        assert record[part] == pytest.approx(mean, abs=1e-4)
    expected = 0.7 * means["action"] + 0.2 * means["verb"] + 0.1 * means["noun"]
    assert record["loss"] == pytest.approx(expected, abs=1e-4)


def test_heads_without_weight_are_left_out(model):
    teacher = quick(model, verb_weight=0.0).fit(PAST, Y)
    assert {name.partition(".")[0] for name in teacher.heads_} == {"action", "noun"}
    assert teacher.heads_["noun.weight"].shape == (4, 16)


def test_without_verbs_and_nouns_labels_need_no_names(model):
    teacher = quick(model, verb_weight=0.0, noun_weight=0.0)
    teacher.fit(PAST, [label.split()[0] for label in Y])
    assert teacher.classes_.tolist() == sorted(VERBS)
    record = teacher.history_[0]
    assert record["loss"] == record["action"] and "verb" not in record


def test_class_weights_are_weights_of_rows(model):
    balanced = quick(model, class_weight="balanced").fit(PAST, Y)
    of_class = compute_class_weight("balanced", classes=np.unique(Y), y=Y)
    weights = of_class[np.searchsorted(np.unique(Y), Y)]
    assert_same_answers(balanced, quick(model).fit(PAST, Y, sample_weight=weights))
    with pytest.raises(AssertionError):
        assert_same_answers(balanced, quick(model).fit(PAST, Y))


def test_a_row_without_weight_counts_for_nothing(model):
    keep = np.arange(48) >= 4
    assert set(Y[keep]) == set(Y)
    weighted = quick(model).fit(PAST, Y, sample_weight=keep.astype(float))
    alone = quick(model).fit(PAST[keep], Y[keep])
    # Texts are read in other batches, so the last bits differ.
    assert_allclose(weighted.predict_proba(PAST), alone.predict_proba(PAST), atol=1e-4)


# -------------------------------------------------------------------------- fine-tuning


def encoder_weights(model):
    weights = AutoModel.from_pretrained(model).state_dict()
    return {k: w.numpy() for k, w in weights.items() if not k.startswith("pooler")}


def test_fine_tuning_changes_the_encoder_and_learns(model):
    teacher = tuned(model, max_epochs=25, lr=5e-3).fit(PAST, Y)
    assert teacher.loss_curve_[-1] < 0.5 * teacher.loss_curve_[0]
    before = encoder_weights(model)
    assert set(teacher.encoder_weights_) > set(before)
    for part in ("embeddings.word", "layer.0.attention", "layer.1.output.dense"):
        changed = [
            np.abs(teacher.encoder_weights_[name] - before[name]).max()
            for name in before
            if part in name
        ]
        assert changed and min(changed) > 1e-4
    frozen = quick(model, max_epochs=25, lr=5e-3, batch_size=16).fit(PAST, Y)
    assert teacher.loss_curve_[-1] < frozen.loss_curve_[-1]


def test_a_frozen_encoder_is_not_kept_nor_changed(model):
    before = encoder_weights(model)
    teacher = quick(model).fit(PAST, Y)
    assert not hasattr(teacher, "encoder_weights_")
    for name, weight in encoder_weights(model).items():
        assert_array_equal(weight, before[name])


def test_dropout_works_in_fine_tuning_only(model, tmp_path):
    plain = write_tiny_bert(
        tmp_path / "plain", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    assert_same_answers(quick(model).fit(PAST, Y), quick(plain).fit(PAST, Y))
    losses = [tuned(m).fit(PAST, Y).loss_curve_[0] for m in (model, plain)]
    assert losses[0] != losses[1]


def test_none_stands_for_other_settings_when_all_is_trained(model):
    frozen = quick(model, max_epochs=None).fit(PAST, Y)
    assert (frozen.n_iter_, frozen.history_[0]["lr"]) == (20, 1e-3)
    trained = quick(model, max_epochs=None, freeze=False).fit(PAST[:16], Y[:16])
    assert (trained.n_iter_, trained.history_[0]["lr"]) == (8, 1e-5)


@pytest.mark.parametrize("make, decay", [(quick, 1.0), (tuned, 1e-7)])
def test_none_stands_for_another_weight_decay_when_all_is_trained(model, make, decay):
    teachers = [
        make(model, lr=0.1, weight_decay=wd).fit(PAST, Y) for wd in (None, decay, 0.3)
    ]
    assert_same_answers(*teachers[:2])
    with pytest.raises(AssertionError):
        assert_same_answers(*teachers[1:])


def test_the_rate_warms_up(model):
    teacher = quick(
        model, lr=0.01, max_epochs=4, lr_schedule=CosineSchedule(warmup_epochs=2)
    ).fit(PAST, Y)
    rates = [record["lr"] / 0.01 for record in teacher.history_]  # one batch an epoch
    assert_allclose(rates, [0.25, 0.75, 0.5 + 0.5 * 0.5**0.5, 0.5 - 0.5 * 0.5**0.5])
    teacher.set_params(lr_schedule__warmup_epochs=40)
    with pytest.warns(UserWarning, match="warmup_epochs=40 .*max_epochs=4"):
        teacher.fit(PAST, Y)


@pytest.mark.parametrize("make", [quick, tuned])
@pytest.mark.parametrize("groups", [None, GROUPS])
def test_early_stopping_keeps_the_best_weights(model, make, groups, monkeypatch):
    held = []

    def remembering(samples, fraction, seed):
        training, validation = hold_out(samples, fraction, seed)
        held.append((training.rows.rows, validation.rows.rows))
        return training, validation

    hold_out = language.hold_out
    monkeypatch.setattr(language, "hold_out", remembering)
    teacher = make(model, early_stopping=True, max_epochs=12, lr=0.03)
    teacher.set_params(validation_fraction=0.25, n_iter_no_change=2)
    teacher.fit(PAST, Y, groups=groups)
    ((training, validation),) = held
    assert len(validation) == 12
    if groups is not None:
        assert not set(groups[training]) & set(groups[validation])
    losses = [record["val_loss"] for record in teacher.history_]
    assert np.argmin(losses) == len(losses) - 3  # stopped two epochs after the best
    proba = teacher.predict_proba(PAST[validation])
    expected = log_loss(Y[validation], proba, labels=teacher.classes_)
    assert min(losses) == pytest.approx(expected, abs=1e-3)


# ------------------------------------------------------------------------ as estimators


@pytest.mark.parametrize("make", [quick, tuned])
def test_same_seed_same_answers(model, make):
    one, other = (make(model).fit(PAST, Y) for _ in range(2))
    assert_same_answers(one, other)
    assert one.history_ == other.history_
    with pytest.raises(AssertionError):
        assert_same_answers(one, make(model, random_state=1).fit(PAST, Y))


@pytest.mark.parametrize("make", [quick, tuned])
def test_nothing_around_it_changes(model, make, capfd):
    before = settings()
    given, labels = PAST.copy(), Y.copy()
    make(model, early_stopping=True).fit(PAST, Y).predict_proba(PAST)
    assert settings() == before
    assert capfd.readouterr() == ("", "")
    assert_array_equal(PAST, given)
    assert_array_equal(Y, labels)


@pytest.mark.parametrize("make", [quick, tuned])
def test_it_survives_pickle_and_safetensors(model, make, tmp_path):
    teacher = make(model).fit(PAST, Y)
    path = tmp_path / "teacher"
    teacher.save(path)
    joblib.dump(teacher, tmp_path / "teacher.joblib")
    for again in (
        state.read(path),
        pickle.loads(pickle.dumps(teacher)),
        joblib.load(tmp_path / "teacher.joblib", mmap_mode="r"),
    ):
        assert_same_answers(again, teacher)
        assert again.history_ == teacher.history_
        assert again.get_params() == teacher.get_params()


def test_a_file_of_a_frozen_teacher_holds_heads_only(model, tmp_path):
    teacher = quick(model).fit(PAST, Y)
    state.write(tmp_path / "teacher", teacher)
    n_floats = sum(w.size for w in teacher.heads_.values())
    assert n_floats == (16 + 1) * (len(teacher.classes_) + 4 + 4)
    assert (tmp_path / "teacher").stat().st_size < 4 * n_floats + 10_000


def test_paths_are_taken_as_names_are(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    teacher = quick(folder).fit(PAST, Y)
    assert clone(teacher).model == folder
    state.write(tmp_path / "teacher", teacher)
    assert_same_answers(state.read(tmp_path / "teacher"), teacher)
    assert_same_answers(teacher, quick(model).fit(PAST, Y))


def test_a_fit_that_fails_leaves_the_estimator_as_it_was(model, monkeypatch):
    teacher = tuned(model).fit(PAST, Y)
    before = dict(vars(teacher))
    with pytest.raises(ValueError):
        teacher.fit(PAST, Y[:-1])
    monkeypatch.setattr(GradientStep, "__call__", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        teacher.fit(PAST[::-1], Y)
    assert vars(teacher) == before
    fresh = quick(model)
    with pytest.raises(ZeroDivisionError):
        fresh.fit(PAST, Y)
    assert not [name for name in vars(fresh) if name.endswith("_")]


def test_freezing_forgets_the_weights_of_an_earlier_fit(model):
    teacher = tuned(model).fit(PAST, Y)
    teacher.set_params(freeze=True, lr=None, batch_size=None).fit(PAST, Y)
    assert not hasattr(teacher, "encoder_weights_")
    assert_same_answers(teacher, quick(model).fit(PAST, Y))


def test_it_is_searched_over(model):
    grid = {"pooling": ["mean", "first"], "template": ["{verb} {noun}"]}
    search = GridSearchCV(quick(model, max_epochs=30, lr=0.05), grid, cv=KFold(2))
    assert search.fit(PAST, Y).best_score_ > 1 / 16


def test_groups_are_routed(model, monkeypatch):
    seen = []

    def remembering(samples, *args):
        seen.append(samples.groups)
        return hold_out(samples, *args)

    hold_out = language.hold_out
    monkeypatch.setattr(language, "hold_out", remembering)
    with config_context(enable_metadata_routing=True):
        teacher = quick(model, early_stopping=True)
        search = GridSearchCV(teacher, {"max_epochs": [1]}, cv=KFold(2))
        search.fit(PAST, Y, groups=GROUPS)
    assert [len(groups) for groups in seen] == [24, 24, 48]
    parameters = inspect.signature(LanguageTeacher.set_fit_request).parameters
    assert set(parameters) == {"self", "groups", "sample_weight"}


def test_it_teaches_a_student(model):
    X = np.random.default_rng(0).standard_normal((48, 5))
    student = DistilledAnticipator(
        text_teacher=quick(model, random_state=None), max_epochs=2, random_state=0
    ).fit(X, Y, past_actions=PAST, groups=GROUPS)
    assert isinstance(student.text_teacher_, LanguageTeacher)
    assert student.text_teacher_.random_state is not None
    assert "text" in student.history_[0]


def test_a_student_weighs_several_by_their_vectors_and_several_histories(model):
    X = np.random.default_rng(0).standard_normal((48, 5))
    several = np.stack([PAST, PAST[::-1]], axis=1)  # (48, 2, L)
    ensemble = TeacherEnsemble([quick(model), tuned(model)], average="attention")
    student = DistilledAnticipator(
        text_teacher=ensemble, max_epochs=2, random_state=0
    ).fit(X, Y, past_actions=several, groups=GROUPS)
    features = features_of_members(
        student.text_teacher_, check_past_actions(several)[0]
    )
    for m, member in enumerate(student.text_teacher_.teachers_):
        own = member.feature_map(PAST)[:, 0]
        assert_allclose(features[:, m], (own + own[::-1]) / 2, atol=1e-5)
    assert np.isfinite([record["text"] for record in student.history_]).all()


# ---------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "change, message",
    [
        ({"y": Y[:-1]}, "y has 47 rows but past_actions has 48"),
        ({"groups": GROUPS[1:]}, "groups has 47 rows but past_actions has 48"),
        ({"sample_weight": np.ones(3)}, "sample_weight has 3 rows"),
        ({"sample_weight": -np.ones(48)}, "[Nn]egative"),
        ({"sample_weight": np.zeros(48)}, "at least one non-zero"),
        ({"y": np.linspace(0, 1, 48)}, "Unknown label type"),
        ({"y": np.full(48, "cut onion")}, "needs at least 2 classes"),
        ({"y": None}, "requires y to be passed"),
        ({"past_actions": np.arange(48)}, r"or texts of shape \(n,\)"),
        ({"past_actions": np.arange(96).reshape(48, 2)}, "pass actions="),
        ({"past_actions": np.full((48, 2), "cut")}, "'cut': pass actions="),
        (
            {"y": np.arange(48) % 2},
            "Every label needs a verb and a noun.*pass actions=",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(model, change, message):
    given = {"past_actions": PAST, "y": Y, **change}
    with pytest.raises(ValueError, match=message):
        quick(model).fit(given.pop("past_actions"), given.pop("y"), **given)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"verb_weight": 0.5, "noun_weight": 0.5}, "leave nothing to the action"),
        ({"verb_weight": -0.1}, "verb_weight"),
        ({"pooling": "max"}, "pooling"),
        ({"model": None}, "model"),
        ({"model": AutoModel}, "model"),
        ({"max_length": 2}, "max_length"),
        ({"max_length": 49}, "reads at most 48"),
        ({"freeze": "yes"}, "freeze"),
        ({"lr": 0.0}, "lr"),
        ({"lr_schedule": CosineSchedule(warmup_epochs=-1)}, "warmup_epochs"),
        ({"template": "{action}"}, "write one action"),
        ({"noun_order": "epic"}, "noun_order"),
        ({"device": "abacus"}, "names no device"),
        ({"class_weight": {"fly pan": 2.0}}, "no classes"),
        ({"early_stopping": True, "validation_fraction": 0.999}, "none to train on"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(model, params, message):
    with pytest.raises(ValueError, match=message):
        quick(model).set_params(**params).fit(PAST, Y)


def test_a_loss_that_is_not_finite_stops_the_fit(model):
    with pytest.raises(ValueError, match="Usual causes: a learning rate"):
        quick(model, lr=1e38, max_epochs=5).fit(PAST, Y)


def test_labels_unknown_at_prediction_are_refused(model):
    teacher = quick(model, actions={label: label.split() for label in LABELS})
    teacher.fit(PAST, Y)
    with pytest.raises(ValueError, match="'fly pan': add them to actions"):
        teacher.predict_proba([["cut onion", "fly pan"]])


def test_the_folder_is_needed_at_prediction(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    teacher = quick(folder).fit(PAST, Y)
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        teacher.predict_proba(PAST)


# ------------------------------------------------------- the folder after the fit


def negated(path):
    """Other weights in a file of the same size and time."""
    stat = path.stat()
    weights = {name: -w for name, w in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def renamed(folder):
    """Let two words change places in the vocabulary."""
    path = folder / "tokenizer.json"
    words = path.read_text().replace('"pan"', '"?"').replace('"onion"', '"pan"')
    path.write_text(words.replace('"?"', '"onion"'))


COPIES = {
    "itself": lambda teacher, folder: teacher,
    "copied": lambda teacher, folder: copy.deepcopy(teacher),
    "pickled": lambda teacher, folder: pickle.loads(pickle.dumps(teacher)),
    "saved": lambda teacher, folder: saved(teacher, folder / "teacher"),
}


def saved(teacher, path):
    teacher.save(path)
    return skanticipate.load(path)


@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)
def test_another_encoder_of_the_same_width_is_refused(again, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    teacher = again(quick(folder).fit(PAST, Y), tmp_path)
    expected = teacher.predict_proba(PAST)
    weights = (folder / "model.safetensors").read_bytes()
    negated(folder / "model.safetensors")
    assert (folder / "model.safetensors").stat().st_size == len(weights)
    message = r"not that of fit: model\.safetensors changed\. Restore.* or fit again"
    for ask in (teacher.predict_proba, teacher.predict):
        with pytest.raises(ValueError, match=message):
            ask(PAST)
    (folder / "model.safetensors").write_bytes(weights)
    assert_array_equal(teacher.predict_proba(PAST), expected)


@pytest.mark.parametrize("make", [quick, tuned])
def test_other_words_and_settings_are_refused(make, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    teacher = make(folder).fit(PAST, Y)
    (folder / "added_tokens.json").write_text("{}")
    with pytest.raises(ValueError, match=r"fit: added_tokens\.json changed"):
        teacher.predict_proba(PAST)
    (folder / "added_tokens.json").unlink()
    renamed(folder)
    write_tiny_bert(tmp_path / "other", hidden_act="relu")
    shutil.copy(tmp_path / "other" / "config.json", folder)
    with pytest.raises(ValueError, match=r"config\.json, tokenizer\.json changed"):
        teacher.predict_proba(PAST)


def test_fine_tuned_weights_stand_for_those_of_the_folder(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    teacher = tuned(folder).fit(PAST, Y)
    expected = teacher.predict_proba(PAST)
    negated(folder / "model.safetensors")
    assert_array_equal(teacher.predict_proba(PAST), expected)
    write_tiny_bert(folder, hidden_size=8)
    with pytest.raises(ValueError, match=r"not that of fit: config\.json changed"):
        teacher.predict_proba(PAST)


def test_files_that_are_not_read_may_change(model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    teacher = quick(folder).fit(PAST, Y)
    expected = teacher.predict_proba(PAST)
    for name in ("README.md", "pytorch_model.bin", "model.onnx", ".gitattributes"):
        (folder / name).write_text("new")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    os.utime(folder / "model.safetensors")
    assert_array_equal(teacher.predict_proba(PAST), expected)
    moved = shutil.move(folder, tmp_path / "elsewhere")
    teacher.set_params(model=moved)
    assert_array_equal(teacher.predict_proba(PAST), expected)


def test_files_are_noted_by_hashes_of_their_bytes(model):
    noted = quick(model).fit(PAST, Y).model_files_
    assert sorted(noted) == [
        *("config.json", "model.safetensors", "tokenizer.json"),
        "tokenizer_config.json",
    ]
    for name, digest in noted.items():
        content = (Path(model) / name).read_bytes()
        assert digest == hashlib.sha256(content).hexdigest()
    assert set(noted) - set(tuned(model).fit(PAST, Y).model_files_) == {
        "model.safetensors"
    }


def test_shards_are_noted(model, tmp_path):
    folder = tmp_path / "sharded"
    with quiet():
        network = AutoModel.from_pretrained(model)
        network.save_pretrained(folder, max_shard_size="4KB")
        tiny_tokenizer().save_pretrained(folder)
    shards = sorted(path.name for path in folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    teacher = quick(folder).fit(PAST, Y)
    fine = tuned(folder).fit(PAST, Y)
    assert not [name for name in fine.model_files_ if "safetensors" in name]
    negated(folder / shards[1])
    with pytest.raises(ValueError, match=rf"not that of fit: {shards[1]} changed"):
        teacher.predict_proba(PAST)
    fine.predict_proba(PAST)


def test_a_file_that_stays_is_hashed_once(model, tmp_path, monkeypatch):
    folder = shutil.copytree(model, tmp_path / "copy")
    hashed, digest = [], hashlib.file_digest

    def counted(file, kind):
        hashed.append(file.name)
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    teacher = quick(folder).fit(PAST, Y)
    n_files = len(teacher.model_files_)
    for _ in range(3):
        teacher.predict_proba(PAST)
    assert len(hashed) == n_files
    content = (folder / "config.json").read_bytes()
    (folder / "config.json").write_bytes(content)
    teacher.predict_proba(PAST)
    assert len(hashed) == n_files + 1


def test_a_teacher_of_an_earlier_version_is_to_be_fitted_again(model):
    teacher = quick(model).fit(PAST, Y)
    del teacher.model_files_
    with pytest.raises(NotFittedError):
        teacher.predict_proba(PAST)


def test_labels_of_one_axis_are_no_texts(model):
    teacher = quick(model).fit(PAST, Y)
    rows = PAST[-8:]
    expected = teacher.predict_proba(rows[:, -1:])
    with pytest.raises(
        ValueError, match=r"which fit has read as '\w+ <v> .*\[:, None\]"
    ):
        teacher.predict_proba(rows[:, -1])
    # Some of these labels follow no history, so that they are none of the classes.
    few = quick(model).fit(PAST[-24:], Y[-24:])
    assert not set(PAST[:, -1]) <= set(few.classes_)
    named = quick(model, actions={label: tuple(label.split()) for label in LABELS})
    for other in (few, named.fit(PAST[-24:], Y[-24:])):
        with pytest.raises(ValueError, match="holds labels such as"):
            other.predict_proba(PAST[:, -1])
    assert len(few.predict_proba(["cut the onion", "wash pan", "open <v> pan"])) == 3
    texts = [label.replace(" ", " <v> ") for label in rows[:, -1]]
    assert_array_equal(teacher.predict_proba(texts), expected)
    plain = quick(model, template="{verb} {noun}").fit(PAST, Y)
    found = plain.predict_proba(rows[:, -1])  # the labels are their own texts
    assert_array_equal(found, plain.predict_proba(rows[:, -1:]))
    texts = quick(model).fit(PAST[:, -1], Y)
    assert len(texts.predict_proba(rows[:, -1])) == 8


def test_names_that_are_one_as_words_are_not_said_to_count_as_two(model):
    titled = PAST.copy()
    titled[::2] = [[cell and cell.title() for cell in row] for row in PAST[::2]]
    expected = quick(model).fit(PAST, Y).predict_proba(PAST)
    found = quick(model).fit(titled, Y).predict_proba(titled)  # without a warning
    assert_array_equal(found, expected)


def test_a_score_tells_of_marks_that_count_as_misses(model):
    fitted = quick(model).fit(PAST, Y)
    with pytest.warns(UserWarning, match="y holds 'NA', which is none of classes"):
        fitted.score(PAST, np.where(np.arange(len(Y)) % 3, Y, "NA"))


def test_a_forked_child_reads_whatever_another_thread_of_its_parent_did(model):
    fitted = quick(model).fit(PAST, Y)
    held, done = threading.Event(), threading.Event()

    def hold():
        with quiet():
            held.set()
            done.wait()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    process = multiprocessing.get_context("fork").Process(
        target=fitted.predict, args=(PAST,)
    )
    process.start()
    process.join(timeout=60)
    is_over = process.exitcode == 0
    process.kill()
    done.set()
    other.join()
    assert is_over


def test_words_that_the_tokenizer_does_not_know_are_told_of(model):
    foreign = np.array([f"{a}x {b}x" for a in VERBS for b in NOUNS], object)[:, None]
    y = np.array(LABELS)
    with pytest.warns(UserWarning, match=r"16 of 16 distinct texts cannot .*\[UNK\]"):
        teacher = quick(model).fit(foreign, y)
    proba = teacher.fit(PAST, Y).predict_proba(foreign[:1])
    with pytest.warns(UserWarning, match="16 of 16 distinct texts cannot be told"):
        answers = teacher.predict_proba(foreign)
    assert_allclose(answers, np.repeat(proba, 16, axis=0), rtol=1e-5)
    half = np.array([f"{a}x {b}" for a in VERBS[:1] for b in NOUNS], object)[:, None]
    quick(model).fit(half, y[:4])  # they are four texts for the model too
    with pytest.raises(ValueError, match="rather than ids in actions="):
        quick(model, actions={0: (0, 1), 1: (1, 1)}).fit([[0], [1]], [0, 1])
