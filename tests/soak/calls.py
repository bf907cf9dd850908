"""Calls of the public functions and estimators, with what is mostly right.

A call is a fit and a prediction, a transformation, a metric, a cut of a table, of tiny
data. It succeeds, or raises ValueError or TypeError from a line that says so; an error
out of the depths of NumPy or torch is none that anybody documented. After each call
the caller's arrays and what all of the process share are as they were.
"""

import copy
import linecache
import os
import random
import traceback
import warnings

import numpy as np
import pandas as pd
import sklearn
import torch
from bounded import Reader
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import skanticipate as sk
from skanticipate import datasets, losses, metrics

VERBS, NOUNS = ["cut", "wash", "take"], ["onion", "pan", "tap"]
NAMES = [f"{verb} {noun}" for verb in VERBS for noun in NOUNS]
ACTIONS = {k: tuple(name.split()) for k, name in enumerate(NAMES)}
VECTORS = {w: [float(k), 1.0, k % 2] for k, w in enumerate([*VERBS, *NOUNS])}
WRONG = [None, -1, 0, 1.5, float("nan"), float("inf"), "bad", (), [], {}, object()]
WRONG += [True, np.float32(2), np.array([1, 2]), b"x", "", -0.0, [[1], [1, 2]]]
WRONG += [10**30, 2**70]


# What parameters may be, by their name; the same name means the same everywhere.
PARAMETERS = {
    "hidden_size": [1, 2, 3],
    "inner_size": [2, 4],
    "cell": ["lstm", "gru"],
    "n_layers": [1, 2],
    "n_heads": [1, 2],
    "n_blocks": [1, 2],
    "n_queries": [1, 2],
    "n_positions": [4, 32],
    "max_steps": [8, 128],
    "rollout_steps": [1, 2],
    "future_feature_weight": [0.0, 1.0],
    "past_weight": [0.0, 0.5],
    "embedding": [None, 2],
    "embedding_std": [0.1, 1.0],
    "input_dropout": [0.0, 0.5],
    "layer_dropout": [0.0, 0.3],
    "attention_dropout": [0.0, 0.3],
    "dropout": [0.0, 0.5, 0.99],
    "time_step": [0.25, 1.0],
    "anticipation_steps": [1, 2],
    "anticipation_time": [None, 0.25, 1.0],
    "random_delay": [0, 1],
    "pretrain_epochs": [0, 1],
    "patch_size": [1, 2],
    "smoothing": [0.0, 0.1, 1.0],
    "max_epochs": [1, 2],
    "batch_size": [1, 4, 128],
    "optimizer": ["adamw", "sgd"],
    "lr": [1e-3, 0.1, 1e-8],
    "momentum": [0.0, 0.9],
    "nesterov": [False, True],
    "weight_decay": [0.0, 0.1],
    "max_grad_norm": [None, 1.0],
    "lr_schedule": [None, sk.StepSchedule(1), sk.CosineSchedule(warmup_epochs=1)],
    "early_stopping": [False, True],
    "validation_fraction": [0.1, 0.5],
    "n_iter_no_change": [1, 10],
    "tol": [0.0, 1e-4],
    "scoring": ["loss", "accuracy", "top_5_accuracy"],
    "loss": [None, sk.FocalLoss()],
    "class_weight": [None, "balanced"],
    "marginal_loss": [None, sk.MarginalLoss(ACTIONS)],
    "logit_adjustment": [0.0, 1.0],
    "classes": [None, range(9), NAMES],
    "unlabeled_label": ["auto", -1, None],
    "dtype": ["auto", "float32", "float64"],
    "device": ["auto", "cpu"],
    "n_threads": [None, 1, 2],
    "warm_start": [False, True],
    "random_state": [0, 7, None],
    "alignment": ["weak", "student", "teacher", "direct", "pooled"],
    "alpha": [None, 0.5],
    "feature_weight": [None, 0.0, 1.0],
    "teacher_weight": [0.0, 1.0],
    "temperature": [1.0, 2.0],
    "cross_fit": [0, 2],
    "init_from_teacher": ["auto", True, False],
    "unlabeled_fraction": [0.5, 0.1],
    "text_weight": [1.0, 0.0],
    "text_temperature": [1.0, 3.0],
    "text_top_k": [None, 2],
    "include_self": [True, False],
    "strength": [0.0, 10.0],
    "direction": ["predecessor", "successor"],
    "similarity": ["absdot", "cosine", "relu", "expcosine"],
    "power": [1.0, 3.0],
    "order": [1, 3],
    "n_networks": [1, 2],
    "form": ["codes", "onehot"],
    "average": ["log_proba", "proba", "attention"],
    "combine": ["proba", "log_proba"],
    "pooling": ["max", "mean", "avg"],
    "start": [0, 1, -2],
    "stop": [None, 2, -1],
    "noun_order": ["head_first", "as_written"],
}


class Calls(Reader):
    """Calls with random parameters and data."""

    name = "calls"
    refusals = ()

    def prepare(self, folder):
        for k in range(3 * len(WAYS)):  # what is imported late
            rng = random.Random(k)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    WAYS[k % len(WAYS)](rng)
            except (ValueError, TypeError):
                pass

    def make(self, rng):
        return {}

    def read(self, folder, rng):
        way = rng.choice(WAYS)
        before = shared()
        given = []
        _KEPT[:] = []
        try:
            way(rng)
        except (ValueError, TypeError, FileNotFoundError) as error:
            if said_so(error):
                raise Documented(str(error)) from None
            raise
        finally:
            given[:] = [(value, copied) for value, copied in _KEPT]
            check_shared(before, shared())
            for value, copied in given:
                assert same(value, copied), "an array of the caller has changed"


class Documented(ValueError):
    """An error that a line of ours, or of scikit-learn's checks, raised on purpose."""


Calls.refusals = (Documented,)
Calls.names_file = False


def said_so(error):
    """Whether an error comes from a line that raises it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if "/sklearn/" in last.filename:
        return True
    if "inhomogeneous" in str(error):  # NumPy's own words for rows of several lengths
        return True
    line = linecache.getline(last.filename, last.lineno)
    return "/skanticipate/" in last.filename and "raise " in line


def shared():
    """What all of a process share."""
    return {
        "numpy": np.random.get_state()[1].tobytes(),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "random": hash(random.getstate()),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "filters": list(warnings.filters),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "errors of numpy": np.geterr(),
        "config": sklearn.get_config(),
    }


def check_shared(before, after):
    changed = [name for name, value in before.items() if value != after[name]]
    assert not changed, f"changed: {changed}"


# -------------------------------------------------------------------------- the data

_KEPT = []  # what a call was given, and copies


def kept(value):
    """Note what a call is given, to compare it afterwards."""
    if isinstance(value, np.ndarray | pd.DataFrame | pd.Series | list):
        _KEPT.append((value, copy.deepcopy(value)))
    return value


def same(value, copied):
    if isinstance(value, list):
        return all(same(a, b) for a, b in zip(value, copied, strict=True))
    if isinstance(value, pd.DataFrame | pd.Series):
        return value.equals(copied)
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return all(map(same, value.ravel().tolist(), copied.ravel().tolist()))
        return value.dtype == copied.dtype and value.tobytes() == copied.tobytes()
    if type(value) is object:  # equal to itself only
        return True
    return value is copied or value == copied or (value != value and copied != copied)


def pick(rng, good, bad=WRONG):
    """One of what is right, seldom one of what is wrong."""
    return rng.choice(bad if rng.random() < 0.05 else good)


def numpy_of(rng):
    return np.random.default_rng(rng.getrandbits(32))


def clips(rng, n, ndim):
    """Features of n clips, of a dtype and in a container of some kind."""
    shapes = {2: (4,), 3: (3, 4), 5: (2, 2, 2, 4)}
    X = numpy_of(rng).normal(size=(n, *shapes[ndim]))
    X = X.astype(rng.choice(["f4", "f4", "f8", "f2", ">f4"]))
    way = rng.randrange(14)
    if way == 0:
        X[rng.randrange(n)] = rng.choice([np.nan, np.inf, 1e4, 0])
    elif way == 1:
        X.flat[rng.randrange(X.size)] = rng.choice([np.nan, -np.inf, 6e4])
    elif way == 2:
        X = np.asfortranarray(X)
    elif way == 3:
        X = X.tolist()
    elif way == 4 and ndim == 2:
        X = pd.DataFrame(X.astype("f8"), columns=list("abcd"))
    elif way == 5:
        X = np.repeat(X, 2, axis=0)[::2]
    elif way == 6:
        X.flags.writeable = False
    elif way == 7 and ndim == 3:
        X[:, 0] = np.nan
    elif way == 8 and rng.random() < 0.5:
        return rng.choice([*WRONG, X[:-1], X[:0], X.astype(str), X[..., None], X > 0])
    elif way == 9:
        X = (X * 9).astype(rng.choice(["i2", "i8", "u1"]))
    return kept(X)


def labels(rng, n, names):
    """Labels of n rows."""
    k = rng.choice([2, 3, 5])
    codes = [i % k for i in range(n)]
    rng.shuffle(codes)
    y = np.array([NAMES[c] for c in codes]) if names else np.array(codes)
    way = rng.randrange(14)
    if way == 0 and not names:
        y[: n // 3] = -1
    elif way == 1:
        y = y.tolist()
    elif way == 2:
        y = pd.Series(y)
    elif way == 3:
        y = y.astype(object)
        if rng.random() < 0.4:
            y[0] = rng.choice([None, np.nan, "", "nan", pd.NA, 3.5, ()])
    elif way == 4 and rng.random() < 0.4:
        return rng.choice([*WRONG, y[:-1], y[:0], np.stack([y, y]), y[:1].repeat(n)])
    elif way == 5 and not names:
        y = y.astype(rng.choice(["f4", "i1", "u2", "bool"]))
    return kept(y)


def history(rng, n, names):
    """Labels of past actions of n rows."""
    pool = NAMES if names else range(9)
    rows = [[rng.choice(pool) for _ in range(3)] for _ in range(n)]
    way = rng.randrange(12)
    if way == 0:
        rows[rng.randrange(n)] = rng.choice([None, [], [None], "cut onion", 3, np.nan])
    elif way == 1:
        rows = [row[: rng.randrange(4)] for row in rows]
    elif way == 2 and rng.random() < 0.5:
        return rng.choice([*WRONG, rows[1:]])
    elif way < 8:
        rows = np.array(rows)
    return kept(rows)


def maybe(rng, chance, value):
    return value() if rng.random() < chance else None


def parameters(rng, kind, chance=0.2, wrong=0.01):
    """Some parameters of a class, by name."""
    given = {}
    for name in kind._get_param_names():
        if rng.random() < wrong:
            given[name] = rng.choice(WRONG)
        elif name in PARAMETERS and rng.random() < chance:
            given[name] = rng.choice(PARAMETERS[name])
    given.pop("verbose", None)
    return given


def network(rng, ndim):
    """A small network for clips of so many axes, mostly."""
    fitting = {
        2: [sk.MLP],
        3: [sk.LSTM, sk.RULSTM, sk.FrameMLP, sk.AVTHead, sk.AttentiveProbe]
        + [sk.EncoderDecoderLSTM, sk.MLP],
        5: [sk.FeatureMapNet, sk.AttentiveProbe],
    }
    kinds = fitting[ndim if rng.random() < 0.95 else rng.choice([2, 3, 5])]
    kind = rng.choice(kinds)
    small = {"hidden_size": 2, "inner_size": 4, "n_heads": 2}
    if kind is sk.AttentiveProbe:
        small["hidden_size"] = 4
    if "anticipation_steps" in kind._get_param_names():
        small["anticipation_steps"] = rng.choice([1, 2])
    given = {k: v for k, v in small.items() if k in kind._get_param_names()}
    given |= parameters(rng, kind, chance=0.15, wrong=0.005)
    if rng.random() < 0.05:
        given["head"] = sk.VerbNounHead(ACTIONS)
    return kind(**given)


def prior(rng):
    """A prior, or what stands for none."""
    made = [
        lambda: sk.UniformPrior(),
        lambda: sk.VerbNounPrior(rng.choice([ACTIONS, None])),
        lambda: sk.GloVePrior(rng.choice([ACTIONS, None]), VECTORS),
        lambda: sk.TemporalPrior(),
        lambda: sk.TransitionPrior(rng.choice([ACTIONS, None])),
        lambda: sk.MixturePrior([sk.UniformPrior(), sk.VerbNounPrior(ACTIONS)]),
        lambda: sk.ArrayPrior(np.eye(9), range(9)),
        lambda: sk.MixturePrior([prior(rng), prior(rng)], rng.choice([None, [1, 2]])),
    ]
    found = rng.choice(made)()
    given = parameters(rng, type(found), wrong=0.02)
    for name in ("actions", "vectors", "priors", "matrix", "classes", "sequences"):
        given.pop(name, None)
    return found.set_params(**given)


# ------------------------------------------------------------------------- the calls


def anticipator(rng):
    """A fit and predictions of an estimator."""
    ndim, n, names = rng.choice([2, 2, 3, 3, 5]), rng.choice([6, 9, 14]), rng.random()
    names = names < 0.5
    kind = rng.choice(
        [sk.SmoothedAnticipator, sk.DistilledAnticipator, sk.RecognitionTeacher]
    )
    given = {"max_epochs": 1, "random_state": 0}
    given |= parameters(rng, kind, chance=0.08, wrong=0.002)
    if rng.random() < 0.9:
        given["network"] = network(rng, ndim)
    if "prior" in kind._get_param_names() and rng.random() < 0.4:
        given["prior"] = prior(rng)
    X, y = clips(rng, n, ndim), labels(rng, n, names)
    signals = {
        "X_future_unlabeled": maybe(rng, 0.4, lambda: clips(rng, n, ndim)),
        "past_actions": maybe(rng, 0.2, lambda: history(rng, n, names)),
        "y_past": maybe(rng, 0.3, lambda: labels(rng, n, names)),
        "groups": maybe(rng, 0.2, lambda: np.arange(n) // 2),
        "sample_weight": maybe(rng, 0.1, lambda: numpy_of(rng).random(n)),
    }
    if rng.random() < 0.1:
        signals |= {"X_val": clips(rng, n, ndim), "y_val": labels(rng, n, names)}
    if kind is sk.DistilledAnticipator and rng.random() < 0.3:
        quick = {"n_networks": 1, "hidden_size": 2, "max_epochs": 1}
        given["text_teacher"] = sk.HistoryTeacher(random_state=0, **quick)
    model = kind(**given).fit(X, y, **signals)
    proba = model.predict_proba(clips(rng, n, ndim) if rng.random() < 0.1 else X)
    check_proba(proba, model)
    if rng.random() < 0.3:
        clone(model)
        assert set(model.predict(X)) <= set(model.classes_.tolist())
        for stage in model.staged_predict_proba(X):
            check_proba(stage, model)


def check_proba(proba, model):
    assert proba.shape[1] == len(model.classes_)
    assert np.isfinite(proba).all() and (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-3)


def build(rng):
    """A network built and called."""
    ndim = rng.choice([2, 3, 5])
    shape = {2: (4,), 3: (3, 4), 5: (2, 2, 2, 4)}[ndim]
    spec = network(rng, ndim)
    y, n = np.arange(3), 6
    X = numpy_of(rng).normal(size=(n, *shape)).astype("f4")
    if rng.random() < 0.1:
        X = clips(rng, n, ndim)
    model = sk.SmoothedAnticipator(spec, max_epochs=1, random_state=0)
    model.fit(X, y.repeat(2))
    check_proba(model.predict_proba(X), model)
    if np.isfinite(np.asarray(X, dtype=float)).all():  # padding has none
        assert np.isfinite(model.feature_map(X)).all()


def fit_prior(rng):
    """A prior fitted alone."""
    n, names = 12, rng.random() < 0.5
    y = labels(rng, n, names)
    y_past = maybe(rng, 0.9, lambda: labels(rng, n, names))
    classes = pick(rng, [NAMES if names else range(9)], [*WRONG, NAMES[:1], NAMES * 2])
    fitted = prior(rng).fit(classes, y, y_past)
    matrix = getattr(fitted, "matrix_", None)
    if matrix is None:  # of a mixture that is keyed by past actions
        return
    assert np.isfinite(matrix).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-4)


def teacher(rng):
    """A teacher of texts or of features."""
    n, names = 12, rng.random() < 0.5
    if rng.random() < 0.7:
        given = {"n_networks": 1, "hidden_size": 2, "max_epochs": 1, "random_state": 0}
        given |= parameters(rng, sk.HistoryTeacher, wrong=0.01)
        given["actions"] = rng.choice([None, ACTIONS])
        past = history(rng, n, names)
        model = sk.HistoryTeacher(**given).fit(past, labels(rng, n, names))
        check_proba(model.predict_proba(past), model)
        return
    member = sk.RecognitionTeacher(sk.MLP(2), max_epochs=1, random_state=0)
    members = [member, LogisticRegression()][: rng.choice([1, 2])]
    given = parameters(rng, sk.TeacherEnsemble, wrong=0.02)
    X = clips(rng, n, 2)
    model = sk.TeacherEnsemble(**{"teachers": members, **given})
    check_proba(model.fit(X, labels(rng, n, names)).predict_proba(X), model)


def transform(rng):
    """A transformer, or padding."""
    n, names = 8, rng.random() < 0.5
    of_labels, of_clips = [sk.HistoryEncoder, sk.HistoryText], [sk.PerFrame]
    kind = rng.choice([*of_labels, *of_clips, sk.LastAxisSlice])
    if rng.random() < 0.2:
        rows = [np.ones((rng.randrange(1, 4), 3)) for _ in range(n)]
        if rng.random() < 0.1:
            rows[0] = rng.choice([*WRONG, np.ones(3), np.ones((2, 2)), np.ones((0, 3))])
        n_steps = pick(rng, [1, 2, 3, 4, None])
        padded = sk.pad_clips(kept(rows), n_steps=n_steps)
        assert len(padded) == n and padded.ndim == 3
        return
    given = parameters(rng, kind, wrong=0.04)
    if kind in of_labels:
        given["actions"] = rng.choice([ACTIONS, None])
        X = history(rng, n, names)
    else:
        X = clips(rng, n, rng.choice([2, 3, 3, 5]))
        if kind is sk.PerFrame:
            given["transformer"] = StandardScaler()
    found = kind(**given).fit(X).transform(X)
    assert len(found) == len(X)


def metric(rng):
    """A metric of scores."""
    n, c = rng.choice([1, 5, 20]), rng.choice([2, 5, 9])
    score = numpy_of(rng).random((n, c))
    y = numpy_of(rng).integers(0, c, n)
    if rng.random() < 0.08:
        score.flat[rng.randrange(score.size)] = rng.choice([np.nan, np.inf, -1, 1e300])
    if rng.random() < 0.08:
        y = rng.choice([*WRONG, y + 1, y[:-1], -y, y.astype(str), y.astype("f4")])
    given = {}
    if rng.random() < 0.6:
        given["k"] = pick(rng, [1, 2, c])
    if rng.random() < 0.4:
        good = [range(c), np.arange(c), list(range(c))]
        given["classes"] = pick(rng, good)
    way = rng.randrange(5)
    kept(score), kept(y)
    if way == 0:
        value = metrics.top_k_accuracy(y, score, **given)
        assert 0 <= value <= 1
    elif way == 1:
        value = metrics.mean_top_k_recall_score(y, score, **given)
        assert 0 <= value <= 1
    elif way == 2:
        metrics.per_class_top_k_recall(y, score, **given)
    elif way == 3:
        times = pick(rng, [[1.0, 0.5], [0.5, 1.0]], [[1.0], [], [np.nan, 1]])
        metrics.time_to_action(y, [score, score], times, **given)
    else:
        table = pick(rng, [ACTIONS, {k: (k, 0) for k in range(c)}])
        metrics.marginalize(score, given.get("classes", range(c)), table)


def loss(rng):
    """A loss of tensors."""
    b, s, c, d = rng.choice([1, 3]), rng.choice([1, 2]), 4, 3
    numbers = torch.Generator().manual_seed(rng.getrandbits(32))
    dtype = rng.choice([torch.float32, torch.float64])

    def draw(*shape):
        return torch.randn(*shape, generator=numbers, dtype=dtype)

    logits, proba = draw(b, s, c), draw(b, c).softmax(-1)
    maps = draw(b, 2, d), draw(b, rng.choice([2, 2, 5]), d)
    reduction = pick(rng, ["mean", "none"], ["sum", 3, None])
    form = pick(rng, ["huber", "squared"])
    way = rng.randrange(6)
    if way == 0:
        value = losses.soft_cross_entropy(logits, proba, reduction=reduction)
    elif way == 1:
        options = {"temperature": pick(rng, [1.0, 2.0])}
        options["top_k"] = pick(rng, [None, 2, 4], [9, 0, "a"])
        value = losses.distillation_kl(logits, proba, reduction=reduction, **options)
    elif way == 2:
        value = losses.weakly_aligned_loss(
            *maps, alpha=pick(rng, [None, 0.5]), form=form, reduction=reduction
        )
    elif way == 3:
        value = losses.direct_loss(*maps, form=form, reduction=reduction)
    elif way == 4:
        value = losses.pooled_loss(*maps, form=form, reduction=reduction)
    else:
        options = {"gamma": pick(rng, [2.0, 0.5]), "alpha": pick(rng, [None, 0.25])}
        value = losses.focal_loss(logits, proba, reduction=reduction, **options)
    assert value.shape == ((b,) if reduction == "none" else ())
    assert torch.isfinite(value).all()


def table_of(rng):
    """A table of segments, mostly right."""
    n = rng.choice([1, 4, 9])
    start = np.cumsum(numpy_of(rng).integers(30, 90, n))
    segments = {
        "video": np.array(["a", "b"])[numpy_of(rng).integers(0, 2, n)],
        "start_frame": start + 60,
        "stop_frame": start + 80,
        "action": numpy_of(rng).integers(0, 5, n),
    }
    way = rng.randrange(9)
    if way == 0:
        segments[rng.choice(list(segments))] = rng.choice([*WRONG, start[1:], -start])
    elif way == 1 and rng.random() < 0.5:
        del segments[rng.choice(list(segments))]
    lengths = {np.size(column) for column in segments.values()}
    return pd.DataFrame(segments) if way == 3 and lengths == {n} else segments


def dataset(rng):
    """What cuts and labels tables."""
    segments, way = table_of(rng), rng.randrange(5)
    fps = pick(rng, [30, 30, 25.0, {"a": 30, "b": 25}])
    if way == 0:
        datasets.label_history(
            segments,
            history=pick(rng, [1, 5]),
            anticipation_time=pick(rng, [1.0, 0.0]),
            rule=pick(rng, ["ended", "started"]),
            fps=fps,
        )
    elif way == 1:
        datasets.label_sequences(segments, max_gap=pick(rng, [None, 1.0, 0]), fps=fps)
    elif way == 2:
        n, time = pick(rng, [1, 3]), pick(rng, [1.0, 2.0])
        datasets.unlabeled_pairs(
            segments, n, clip_duration=time, fps=fps, random_state=0
        )
    elif way == 3:
        features = {v: np.ones((1200, 3), "f4") for v in "ab"}
        datasets.cut_clips(
            datasets.FeatureTable.from_arrays(features),
            segments,
            observation=pick(rng, [1.5, 0.5]),
            anticipation=pick(rng, [1.0, 2.0]),
            step=pick(rng, [0.25, 0.5]),
            fps=fps,
            padding=pick(rng, ["repeat", "drop", "nan"]),
            future_steps=pick(rng, [None, 2]),
        )
    else:
        X = clips(rng, 5, rng.choice([3, 3, 5]))
        datasets.first_fraction(X, pick(rng, [0.2, 1.0, 0.5]))


def fusion(rng):
    """Estimators of slices of the features."""
    n, names = 9, rng.random() < 0.5
    member = sk.SmoothedAnticipator(sk.MLP(2), max_epochs=1, random_state=0)
    slices = [(0, 2), (2, None), (0, None), (1, 9), (3, 1)]
    parts = [
        (name, clone(member), rng.choice(slices[: 5 if rng.random() < 0.1 else 3]))
        for name in "ab"[: rng.choice([1, 2])]
    ]
    given = parameters(rng, sk.LateFusion, wrong=0.03)
    model = sk.LateFusion(**{"estimators": parts, **given})
    X = clips(rng, n, 2)
    check_proba(model.fit(X, labels(rng, n, names)).predict_proba(X), model)


WAYS = [anticipator, anticipator, anticipator, build, fit_prior, fit_prior, teacher]
WAYS += [transform, transform, metric, metric, loss, dataset, dataset, fusion]
