"""Code as users write it, for mypy: what it has to take, and what it has to refuse.

`make lint` checks it. A line that mypy refuses says so, and one that it no longer
refuses is an error (`warn_unused_ignores`).
"""

from collections.abc import Iterator
from typing import Any, assert_type

import numpy as np
import torch

import skanticipate
from skanticipate import (
    LSTM,
    BatchedGridSearchCV,
    CosineSchedule,
    DistilledAnticipator,
    HistoryTeacher,
    LateFusion,
    MixturePrior,
    NetworkSpec,
    Output,
    ReplicaEnsemble,
    RowView,
    SemiSupervisedSplit,
    SmoothedAnticipator,
    TemporalPrior,
    VerbNounPrior,
    fit_many,
    losses,
    metrics,
    plotting,
)
from skanticipate.datasets import FeatureTable, make_kitchen
from skanticipate.priors import BasePrior


def right_uses() -> None:
    kitchen = make_kitchen(n_steps=3, random_state=0)
    X: np.ndarray = kitchen.X_past
    y: list[int] = kitchen.y.tolist()

    model = SmoothedAnticipator(
        LSTM(8, cell="gru"),
        prior=MixturePrior([VerbNounPrior(kitchen.actions), TemporalPrior()]),
        optimizer="sgd",
        lr_schedule=CosineSchedule(warmup_epochs=1),
        class_weight="balanced",
        max_epochs=2,
        random_state=np.random.RandomState(0),
    )
    past, held = [None, *y[:-1]], (X[480:], y[480:])
    fitted = model.fit(X, y, y_past=past)
    fitted.fit(
        X[:480],
        y[:480],
        y_past=past[:480],
        X_val=lambda: held[0],
        y_val=lambda: held[1],
    )
    assert_type(fitted, SmoothedAnticipator)
    assert_type(fitted.predict(X), np.ndarray)
    assert_type(fitted.predict_proba(RowView(X)), np.ndarray)
    assert_type(fitted.staged_predict_proba(X), Iterator[np.ndarray])
    assert_type(fitted.score(X, y), float)
    assert_type(fitted.classes_, np.ndarray)
    assert_type(fitted.history_, list[dict[str, Any]])
    assert_type(fitted.network_, torch.nn.Module)
    assert_type(fitted.stream().update(X[0]), np.ndarray)

    student = DistilledAnticipator(
        LSTM(8), text_teacher=HistoryTeacher(max_epochs=1), alignment="pooled"
    )
    student.set_params(max_epochs=1, random_state=0)
    student.fit(X, y, X, past_actions=[[None, label] for label in past], groups=y)
    plain = SmoothedAnticipator(LSTM(4), max_epochs=1, random_state=0)
    fusion = LateFusion([("all", plain, (0, None)), ("few", plain, (0, 4))])
    assert_type(fusion.fit(X, y), LateFusion)
    replicas = ReplicaEnsemble(fusion, n_replicas=2, random_state=0)
    assert_type(replicas.fit(X, y, groups=y), ReplicaEnsemble)
    assert_type(replicas.predict_proba(X), np.ndarray)
    both = fit_many([plain, plain], X, y, width=2)
    assert_type(both, list[SmoothedAnticipator])

    search = BatchedGridSearchCV(
        plain,
        {"lr": [1e-3, 1e-2], "smoothing": np.linspace(0, 0.1, 2)},
        cv=SemiSupervisedSplit(2),
        scoring={"top": metrics.top_k_scorer(5), "all": "accuracy"},
        refit="top",
    )
    search.fit(X, y, groups=kitchen.groups)
    assert_type(search.best_params_, dict[str, Any])

    proba = fitted.predict_proba(X)
    assert_type(metrics.top_k_accuracy(y, proba, classes=fitted.classes_), float)
    assert_type(metrics.mean_top_k_recall_scorer()(fitted, X, y), float)
    table = FeatureTable.from_arrays({"P01": X[0]})
    assert_type(table["P01"], np.ndarray)
    logits = torch.zeros(2, 3)
    assert_type(losses.soft_cross_entropy(logits, logits.softmax(1)), torch.Tensor)
    curve = plotting.AnticipationCurveDisplay({"a": [[0.5], [0.7]]}, [0.5, 0.25], k=1)
    assert_type(curve.to_markdown(), str)


class Linear(torch.nn.Module):
    """A network of the user's own."""

    def __init__(self, n_inputs: int, n_classes: int) -> None:
        super().__init__()
        self.classifier = torch.nn.Linear(n_inputs, n_classes)

    def forward(self, clips: torch.Tensor) -> Output:
        return Output(self.classifier(clips).unsqueeze(1))


class LinearSpec(NetworkSpec):
    """Its spec."""

    def build(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        *,
        generator: torch.Generator,
    ) -> torch.nn.Module:
        return Linear(input_shape[0], n_classes)


def wrong_uses(model: SmoothedAnticipator, prior: BasePrior, X: np.ndarray) -> None:
    SmoothedAnticipator(optimizer="adamax")  # type: ignore[arg-type]
    SmoothedAnticipator(max_epochs=2.5)  # type: ignore[arg-type]
    SmoothedAnticipator(loss="focal")  # type: ignore[arg-type]
    SmoothedAnticipator(hidden_size=8)  # type: ignore[call-arg]
    SmoothedAnticipator(LSTM(8), VerbNounPrior())  # type: ignore[call-arg]
    DistilledAnticipator(alignment="strong")  # type: ignore[arg-type]
    LSTM(cell="rnn")  # type: ignore[arg-type]
    VerbNounPrior(["cut onion"])  # type: ignore[arg-type]
    model.fit(X)  # type: ignore[call-arg]
    model.fit(X, X[:, 0], X_future=X)  # type: ignore[call-arg]
    model.predict_proba(X).shape = "wide"  # type: ignore[assignment]
    model.n_iter_ + "epochs"  # type: ignore[operator]
    prior.rows()  # type: ignore[call-arg]
    metrics.top_k_accuracy(X, X, k="5")  # type: ignore[arg-type]
    losses.soft_cross_entropy(X, X)  # type: ignore[arg-type]
    skanticipate.save(model)  # type: ignore[call-arg]
