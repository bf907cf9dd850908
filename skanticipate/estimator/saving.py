"""Estimators in files: `save` writes them, `load` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import FilePath
from skanticipate.data.warn import warn
from skanticipate.estimator import state
from skanticipate.estimator.registry import is_ours


def save(model: BaseEstimator, path: FilePath, *, teacher: bool = True) -> None:
    """Write a fitted estimator to a safetensors file, for `skanticipate.load`.

    The file holds arrays and a description, no code, and a checksum of all of it. It is
    written beside the old one and takes its place when it is whole; mode and symbolic
    links of the old one stay.

    Parameters
    ----------
    model : estimator
        A fitted estimator of this library, or a Pipeline of scikit-learn whose last
        step is one. Of a search the best estimator is saved. Callbacks are left out,
        and what says nothing about predictions becomes None: a `random_state` that is a
        generator, and with a warning a function as `optimizer` or `scoring` and a
        mapping of pre-trained `weights`. Of those in a file the path is written.
    path : str or path-like
        File to write.
    teacher : bool, default=True
        Whether to write the fitted teachers of a student, such as `teacher_`, which
        predictions do not need. Without, they are None in what is loaded, and so are,
        with a warning, those of the unfitted ones, such as `teacher`, that have more
        than 64 KiB of numbers, hold code, or have to be trusted.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is none of ours, or holds what a file without code cannot hold.
    ValueError
        If it holds NaN or infinite weights, or a search has no best estimator.
    OSError
        If the file cannot be written; an old one is then as it was.

    See Also
    --------
    load : Read it again.

    Notes
    -----
    Of scikit-learn, a file may hold `ColumnTransformer`, `CountVectorizer`,
    `FeatureUnion`, `FrozenEstimator`, `FunctionTransformer` without a function,
    `GaussianNB`, `KBinsDiscretizer`, `LinearDiscriminantAnalysis`,
    `LogisticRegression`, `MaxAbsScaler`, `MinMaxScaler`, `MissingIndicator`,
    `MultinomialNB`, `Normalizer`, `OneHotEncoder`, `OrdinalEncoder`, `PCA`, `Pipeline`,
    `PolynomialFeatures`, `PowerTransformer`, `QuantileTransformer`, `RobustScaler`,
    `SimpleImputer`, `StandardScaler`, `TfidfTransformer`, `TfidfVectorizer`,
    `TruncatedSVD` and `VarianceThreshold`. Other classes made of numbers are written
    too, and have to be trusted where they are loaded.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, skanticipate
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = np.eye(4), [0, 1, 0, 1]
    >>> model = skanticipate.SmoothedAnticipator(max_epochs=2)
    >>> pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     skanticipate.save(pipeline, path)
    ...     again = skanticipate.load(path)
    >>> bool((again.predict_proba(X) == pipeline.predict_proba(X)).all())
    True
    """
    model = _best_of(model)
    last = _last_step(model)
    if not is_ours(type(last)):
        raise TypeError(
            f"save() got a {type(model).__name__}{_whose_last(model, last)}: expected "
            "an estimator of skanticipate, or a Pipeline whose last step is one."
        )
    check_is_fitted(model)
    if left_out := state.write(path, model, teacher=teacher):
        warn(
            "Left out of the file, and None in what is loaded from it: "
            f"{', '.join(left_out)}. It predicts all the same: functions, pre-trained "
            "weights in memory and teachers are for a fit. Set them before the next."
        )


def _best_of(model):
    """The best estimator of a search, with a hint; another model as it is."""
    if not isinstance(model, BaseSearchCV):
        return model
    check_is_fitted(model, "cv_results_")
    if not hasattr(model, "best_estimator_"):
        raise ValueError(
            f"{type(model).__name__}(refit={model.refit}) has no best_estimator_ that "
            "could be saved: search with refit=True."
        )
    warn(
        f"Of the {type(model).__name__} only best_estimator_ is saved, and load gives "
        "that: keep cv_results_ yourself, if you need it."
    )
    return model.best_estimator_


def _last_step(model):
    """What gives the answers of a Pipeline, or is frozen; else the model itself."""
    while isinstance(model, Pipeline | FrozenEstimator):
        if isinstance(model, FrozenEstimator):
            model = model.estimator
        else:
            model = model.steps[-1][1] if model.steps else None
    return model


def _whose_last(model, last):
    return "" if last is model else f" that ends in a {type(last).__name__}"


class SaveMixin:
    """Gives an estimator the method `save`."""

    def save(self, path: FilePath, *, teacher: bool = True) -> None:
        """Write the fitted estimator to a safetensors file, as `skanticipate.save`.

        Parameters
        ----------
        path : str or path-like
            File to write; an old one is replaced once the new one is complete.
            Callbacks are left out, and what says nothing about predictions becomes
            None: a `random_state` that is a generator, and with a warning a function as
            `optimizer` or `scoring` and a mapping of pre-trained `weights`. Of those in
            a file the path is written.
        teacher : bool, default=True
            Whether to write the fitted teachers of a student, which predictions do not
            need.
        """
        save(self, path, teacher=teacher)


def load(path: FilePath, *, trusted: Sequence[type] = ()) -> BaseEstimator:
    """Read a fitted estimator from a file that `skanticipate.save` wrote.

    The file is a safetensors file: arrays and a description, no code. Only classes of
    this package, those of scikit-learn that `save` lists, and those that you name, are
    built from it. A file of which a single bit has changed is refused.

    Parameters
    ----------
    path : str or path-like
        File to read.
    trusted : sequence of classes, default=()
        Classes of your own that may stand in the file, such as a network spec.

    Returns
    -------
    estimator
        As it was when saved; predictions are the same to the bit.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it cannot be read.
    ValueError
        If the file is none of ours, is damaged, was written in another format, holds a
        class that is not trusted, or no fitted estimator.
    TypeError
        If `trusted` is no list of classes.

    See Also
    --------
    save : Write such a file.

    Notes
    -----
    The checksum tells damage, not intent: whoever can write a file can write one that
    is intact. Such a file runs no code, but it may answer as its author likes.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, skanticipate
    >>> X, y = np.eye(4), [0, 1, 0, 1]
    >>> model = skanticipate.SmoothedAnticipator(max_epochs=2).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     again = skanticipate.load(path)
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    if isinstance(trusted, type):
        raise TypeError(
            f"trusted must be a list of classes, got the class {trusted.__name__}: "
            f"pass [{trusted.__name__}]."
        )
    kinds = list(trusted) if isinstance(trusted, Iterable) else [trusted]
    if not all(isinstance(kind, type) for kind in kinds):
        raise TypeError(
            f"trusted must be a list of classes, got {trusted!r:.80}: pass the classes "
            "themselves, not their names, nor objects of them."
        )
    model = state.read(path, kinds)
    try:
        last = _last_step(model)
        is_known = is_ours(type(last)) or type(last) in kinds
        if is_known:
            check_is_fitted(model)
    except Exception as error:  # of any kind, from a Pipeline without steps
        raise ValueError(
            f"{path} holds a {type(model).__name__} that is not fitted, or not whole: "
            "name a file that save() wrote."
        ) from error
    if not is_known:
        raise ValueError(
            f"{path} holds a {type(model).__name__}{_whose_last(model, last)}, and no "
            "estimator of skanticipate: name a file that save() wrote."
        )
    return model
