"""Calls: a fit and a prediction, a transformation, a metric, a cut of a table."""

import numpy as np
import torch
from call_inputs import (
    ACTIONS,
    NAMES,
    WRONG,
    check_proba,
    clips,
    history,
    kept,
    labels,
    maybe,
    network,
    numpy_of,
    parameters,
    pick,
    prior,
    table_of,
)
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import skanticipate as sk
from skanticipate import datasets, losses, metrics


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
