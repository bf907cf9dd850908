"""Calls that train several estimators, read step by step, or keep what they made."""

import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from call_inputs import (
    ACTIONS,
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
    table_of,
)
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skanticipate as sk
from skanticipate import datasets, losses, metrics

SCORERS = [None, "accuracy", metrics.top_k_scorer(2)]
SCORERS += [metrics.mean_top_k_recall_scorer(2), metrics.labelled_scorer("accuracy")]


def estimator(rng, ndim, kind=sk.SmoothedAnticipator):
    """An estimator that is quickly trained."""
    given = {"max_epochs": 1, "random_state": 0, "batch_size": 4}
    given |= parameters(rng, kind, chance=0.04, wrong=0.001)
    return kind(**{"network": network(rng, ndim), **given})


def together(rng):
    """Estimators that are trained together, where they can be."""
    ndim, n, names = rng.choice([2, 2, 3]), rng.choice([6, 9]), rng.random() < 0.5
    kind = rng.choice([sk.SmoothedAnticipator] * 2 + [sk.DistilledAnticipator])
    models = [estimator(rng, ndim, kind)]
    for seed in range(rng.choice([0, 1, 2])):
        other = {"random_state": seed, "lr": pick(rng, [1e-3, 0.1])}
        models.append(clone(models[0]).set_params(**other))
    if rng.random() < 0.2:
        models.append(estimator(rng, ndim, kind))
    given = {"width": pick(rng, ["auto", 1, 2])}
    if rng.random() < 0.1:
        folds = [np.arange(n - k) for k in range(len(models))]
        given["train"] = rng.choice([folds, folds, folds[1:], *WRONG])
    X = clips(rng, n, ndim)
    if kind is sk.DistilledAnticipator:
        given["X_future_unlabeled"] = clips(rng, n, ndim)
    fitted = sk.fit_many(models, X, labels(rng, n, names), **given)
    assert len(fitted) == len(models)
    for model in fitted:
        check_proba(model.predict_proba(X), model)


def search(rng):
    """A search over candidates."""
    ndim, n, names = rng.choice([2, 2, 3]), rng.choice([9, 14]), rng.random() < 0.5
    grid = {"lr": [1e-3, pick(rng, [0.1])], "smoothing": [0.0, 0.1]}
    grid = {k: v for k, v in grid.items() if rng.random() < 0.7}
    if rng.random() < 0.05:
        grid = rng.choice([*WRONG, {"nobody": [1]}, {"lr": []}, {"lr": 3}, [grid]])
    wrong = [value for value in WRONG if not hasattr(value, "split")]
    cv = pick(rng, [2, 3, sk.SemiSupervisedSplit(pick(rng, [2, 3], wrong))], wrong)
    given = {"cv": cv, "scoring": pick(rng, SCORERS), "error_score": "raise"}
    if rng.random() < 0.3:
        given["refit"] = pick(rng, [True, False])
    kind = rng.choice([sk.BatchedGridSearchCV] * 2 + [GridSearchCV])
    if rng.random() < 0.3:
        kind = sk.BatchedRandomizedSearchCV
        given["random_state"] = pick(rng, [0, 3], WRONG[1:])  # None is all of NumPy's
        given["n_iter"] = pick(rng, [1, 2])
    if kind is not GridSearchCV and rng.random() < 0.3:
        given["width"] = pick(rng, ["auto", 1, 2])
    X, y = clips(rng, n, ndim), labels(rng, n, names)
    if getattr(y, "dtype", "") == "O":  # of which GridSearchCV says nothing
        kind = sk.BatchedGridSearchCV if kind is GridSearchCV else kind
    groups = maybe(rng, 0.2, lambda: np.arange(n) // 2)
    found = kind(estimator(rng, ndim), grid, **given)
    found.fit(X, y, groups=groups)
    if hasattr(found, "best_estimator_"):
        check_proba(found.predict_proba(X), found)


def replicas(rng):
    """Estimators of several seeds, and of streams that are weighed."""
    n, names = rng.choice([6, 9]), rng.random() < 0.5
    if rng.random() < 0.5:
        given = {"n_replicas": rng.choice([1, 2]), "random_state": 0}
        given |= parameters(rng, sk.ReplicaEnsemble, wrong=0.03)
        if isinstance(given.get("n_jobs"), int) and given["n_jobs"] < 0:
            del given["n_jobs"]  # joblib keeps the processes that it starts
        model = sk.ReplicaEnsemble(**{"estimator": estimator(rng, 2), **given})
        X = clips(rng, n, 2)
    else:
        columns = pick(rng, [(0, 2), (1, None), (0, 4)], [*WRONG, (3, 1), (0, 9)])
        branches = [
            ("a", sk.RULSTM(2, anticipation_steps=pick(rng, [1], [2])), columns),
            ("b", sk.RULSTM(1, anticipation_steps=1), (2, None)),
        ][: pick(rng, [2], [1])]
        given = parameters(rng, sk.ModalityAttention, wrong=0.03)
        spec = sk.ModalityAttention(**{"branches": branches, **given})
        model = sk.SmoothedAnticipator(spec, max_epochs=2, random_state=0)
        X = clips(rng, n, 3)
    check_proba(model.fit(X, labels(rng, n, names)).predict_proba(X), model)


def inception(rng):
    """The end of a network of pictures."""
    given = parameters(rng, sk.InceptionTail, wrong=0.02)
    given |= {"width": pick(rng, [0.02, 0.03], [0, -1, "a", None, 1e-9])}
    model = sk.SmoothedAnticipator(
        sk.InceptionTail(**given), max_epochs=1, random_state=0
    )
    X = clips(rng, 4, rng.choice([5, 5, 5, 3]))
    check_proba(model.fit(X, labels(rng, 4, False)).predict_proba(X), model)


def stream(rng):
    """Steps of videos, one after the other."""
    kinds = [sk.LSTM, sk.RULSTM, sk.FrameMLP, sk.AVTHead, sk.MLP, sk.FeatureMapNet]
    kind, n = rng.choice(kinds[:4] * 3 + kinds[4:]), 6
    ndim = 5 if kind is sk.FeatureMapNet else 3
    small = {"hidden_size": 2, "n_heads": 1, "anticipation_steps": 1}
    given = {k: v for k, v in small.items() if k in kind._get_param_names()}
    given |= parameters(rng, kind, chance=0.04, wrong=0.004)
    model = sk.SmoothedAnticipator(kind(**given), max_epochs=1, random_state=0)
    X = numpy_of(rng).normal(size=(n, *(3, 2, 2, 4)[-ndim + 1 :])).astype("f4")
    X = X if ndim == 5 else numpy_of(rng).normal(size=(n, 3, 4)).astype("f4")
    model.fit(X, labels(rng, n, False))
    steps = model.stream(pick(rng, [2], [*WRONG, 3]))
    for k in range(3):
        step = kept(X[:2, k])
        if rng.random() < 0.1:
            step = kept(rng.choice([*WRONG, X[:3, k], X[:2], X[0], step * np.nan]))
        proba = steps.update(step)
        assert np.isfinite(proba).all()
        if rng.random() < 0.2:
            steps.reset(pick(rng, [None, [0], [1, 0]], [*WRONG, [2], [-1], ["a"]]))


def keep(rng):
    """An estimator that is saved and read, or a fit that is kept."""
    n, ndim = 9, rng.choice([2, 3])
    X, y = clips(rng, n, ndim), labels(rng, n, rng.random() < 0.5)
    model = estimator(rng, ndim)
    with tempfile.TemporaryDirectory() as folder:
        if rng.random() < 0.4:
            every = pick(rng, [1, 2])
            model.set_params(checkpoint=pick(rng, [folder]), checkpoint_every=every)
        model.fit(X, y)
        path = Path(folder, pick(rng, ["a.safetensors"], ["", "a/b", "a" * 300]))
        sk.save(model, path)
        again = sk.load(path).predict_proba(X)
    np.testing.assert_array_equal(again, model.predict_proba(X))


@cache
def bert():
    """A tiny model of language."""
    from tiny_bert import write_tiny_bert

    folder = tempfile.TemporaryDirectory()  # which lasts as long as the function
    return folder, write_tiny_bert(Path(folder.name) / "bert")


def language(rng):
    """A teacher that reads with a model of language."""
    n, names = 8, rng.random() < 0.5
    given = {"max_epochs": 1, "random_state": 0, "batch_size": 4}
    given |= parameters(rng, sk.LanguageTeacher, chance=0.08, wrong=0.004)
    given["actions"] = pick(rng, [None if names else ACTIONS])
    teacher = sk.LanguageTeacher(**{**given, "model": pick(rng, [bert()[1]])})
    past = history(rng, n, names)
    check_proba(teacher.fit(past, labels(rng, n, names)).predict_proba(past), teacher)


def pairs(rng):
    """Pairs of clips that are cut or drawn, and lists of actions."""
    way = rng.randrange(5)
    if way == 0:
        features = {v: np.ones((rng.choice([40, 400]), 3), "f4") for v in "ab"}
        found = datasets.unlabeled_pairs(table_of(rng), 2, random_state=0)
        rate = pick(rng, [1, 2.0, 30])
        given = pick(rng, [found]), pick(rng, [features])
        datasets.cut_pairs(*given, feature_rate=rate)
    elif way == 1:
        given = [np.ones((rng.randrange(2, 20), 3), "f4") for _ in range(5)]
        y = maybe(rng, 0.5, lambda: labels(rng, 5, False))
        sizes = {"n_steps": pick(rng, [1, 3]), "gap": pick(rng, [0, 2])}
        number = pick(rng, [1, 2])
        given = kept(pick(rng, [given], [*WRONG, [*given, np.ones(3)]]))
        datasets.trimmed_pairs(given, y, n_pairs=number, random_state=0, **sizes)
    elif way == 2:
        table = table_of(rng)
        table = dict(table) if hasattr(table, "keys") else {}
        given = [f"P{k:02d}_1" for k in range(np.size(table.get("action")))]
        table["video"] = pick(rng, [given])
        training = pick(rng, [None, ["P00", "P01"]])
        datasets.participant_split(pick(rng, [table]), training)
    elif way == 3:
        table = {"label": [0, 1, 2], "verb_id": [0, 0, 1], "noun_id": [0, 1, 1]}
        given = [pick(rng, [[0], [1], []]) for _ in range(2)]
        rule = pick(rng, ["and", "or"])
        datasets.many_shot_actions(pick(rng, [table, ACTIONS]), *given, rule=rule)
    else:
        small = {"n_actions_per_video": 4, "n_features": pick(rng, [8, 12])}
        small |= {"n_steps": pick(rng, [None, 2]), "noise": pick(rng, [0.0, 1.0])}
        small["unlabeled_fraction"] = pick(rng, [0.0, 0.5])
        datasets.make_kitchen(3, random_state=pick(rng, [0, 3], WRONG[1:]), **small)


def official(rng):
    """Scores as challenges count them, and what is handed in."""
    n, n_classes = pick(rng, [1, 4], [2]), pick(rng, [120], [9])
    proba = numpy_of(rng).dirichlet(np.ones(n_classes), n)
    if rng.random() < 0.1:
        proba[0, 0] = rng.choice([np.nan, np.inf, -1])
    kept(proba)
    actions = {k: (k % 97, k) for k in range(n_classes)}
    given = {"action": pick(rng, [proba]), "actions": pick(rng, [actions])}
    if rng.random() < 0.3:
        given["verb"] = pick(rng, [numpy_of(rng).dirichlet(np.ones(97), n)])
        given["noun"] = pick(rng, [numpy_of(rng).dirichlet(np.ones(300), n)])
    if rng.random() < 0.5:
        codes = numpy_of(rng).integers(0, n_classes, n)
        truth = {"action": codes, "verb": codes % 97, "noun": codes}
        given["tail"] = pick(rng, [None, {"verb": [0], "noun": [1], "action": [0, 1]}])
        given["unseen"] = pick(rng, [None, codes > 3])
        metrics.epic100_metrics(pick(rng, [truth]), **given)
        return
    with tempfile.TemporaryDirectory() as folder:
        ids = pick(rng, [[f"P01_1_{k}" for k in range(n)]], [*WRONG, ["a", "a"]])
        levels = {f"sls_{k}": pick(rng, [1, 3]) for k in ("pt", "tl", "td")}
        datasets.write_submission(Path(folder, "test.json"), ids, **given, **levels)


def part(rng):
    """Rows of an array that are not copied, and losses of sets of classes."""
    X, n = clips(rng, 6, rng.choice([2, 3, 5])), 4
    if rng.random() < 0.5:
        rows = pick(rng, [None, [0, 2], [5, -1], np.arange(6) > 2, [3, 3]])
        if isinstance(X, list) or not np.shape(X) or len(X) < 6:
            return
        view = sk.RowView(X, rows)
        chosen = np.asarray(view)
        seen = np.asarray(range(6) if rows is None else rows)
        expected = np.asarray(X)[seen if seen.size else []]
        np.testing.assert_array_equal(chosen, expected)
        if not len(view):
            return
        key = pick(rng, [0, slice(1, 3), [0], -1], [np.int64(0), [], [-1], slice(9)])
        np.testing.assert_array_equal(np.asarray(view[key]), chosen[key])
        return
    numbers = torch.Generator().manual_seed(rng.getrandbits(32))
    logits = torch.randn(n, 2, 5, generator=numbers)
    if rng.random() < 0.5:
        members = torch.rand(n, 5, generator=numbers) > 0.5
        members[:, 0] = True
        reduction = pick(rng, ["mean", "none"])
        losses.marginal_cross_entropy(logits, members, reduction=reduction)
        return
    found = losses.teacher_pooled(logits, alpha=pick(rng, [None, 0.5]))
    assert torch.isfinite(found).all()


def pipeline(rng):
    """Transformers and an estimator, one after the other."""
    n, ndim = 9, rng.choice([2, 3, 5])
    first = rng.choice([sk.PerFrame(StandardScaler()), sk.LastAxisSlice(0, 3)])
    model = make_pipeline(first, estimator(rng, ndim))
    X = clips(rng, n, ndim)
    check_proba(model.fit(X, labels(rng, n, False)).predict_proba(X), model)


WAYS = [together, together, search, search, replicas, inception, stream, stream, keep]
WAYS += [keep, language, pairs, pairs, official, official, part, pipeline]
if find_spec("transformers") is None:
    WAYS.remove(language)
