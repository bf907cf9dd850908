"""What calls are given: parameters and data, mostly right."""

import copy

import numpy as np
import pandas as pd

import skanticipate as sk

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
    "on_divergence": ["raise", "best"],
    "precision": [None, "bf16"],
    "checkpoint_every": [1, 2],
    "branch_epochs": [0, 1],
    "crop_size": [None, 14],
    "freeze": [True, False],
    "verb_weight": [0.0, 0.15],
    "noun_weight": [0.0, 0.15],
    "max_length": [None, 16],
    "n_replicas": [1, 2],
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

# -------------------------------------------------------------------------- the data

KEPT = []  # what a call was given, and copies


def kept(value):
    """Note what a call is given, to compare it afterwards."""
    if isinstance(value, np.ndarray | pd.DataFrame | pd.Series | list):
        KEPT.append((value, copy.deepcopy(value)))
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
    return rng.choice(bad if rng.random() < 0.03 else good)


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
    table = pd.DataFrame(segments) if way == 3 and lengths == {n} else segments
    return rng.choice(WRONG) if rng.random() < 0.02 else table


def check_proba(proba, model):
    assert proba.shape[1] == len(model.classes_)
    assert np.isfinite(proba).all() and (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-3)
