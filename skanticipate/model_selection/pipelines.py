"""Fits of a search, in which candidates share the first steps of a Pipeline.

The first steps are fitted by scikit-learn's own Pipeline, whose last step is a recorder
that keeps what it is given. From there on a last step is a fit like any other, so that
those of all candidates can be trained together.
"""

import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object

from skanticipate.estimator.many import Outcome
from skanticipate.model_selection.folds import Fold, Received


@dataclass(eq=False)
class Fit:
    """One fit that a search wants.

    Attributes
    ----------
    estimator : estimator
        Unfitted, its parameters set.
    values : dict
        The parameters that its candidate sets, by name.
    source : Fold or Received
        The rows.
    name : str
        What it is called where its training is told of.
    """

    estimator: object
    values: dict
    source: Fold | Received
    name: str = ""

    def job(self):
        """What is to be done.   -> Job."""
        return replace(self.source.job(self.estimator), name=self.name)


class Recorder(BaseEstimator):
    """Stands at the end of a Pipeline in place of its last step, and keeps its input.

    Parameters
    ----------
    last : estimator
        Whose requests for metadata it makes its own.
    """

    def __init__(self, last):
        self.last = last

    def fit(self, X, y=None, **signals):
        """Keep what is given."""
        self.received_ = Received(X, y, signals)
        return self

    def get_metadata_routing(self):
        """Ask for what the last step asks for."""
        return get_routing_for_object(self.last)

    def __sklearn_tags__(self):
        return get_tags(self.last)


def fit_all(fits, run):
    """Do all fits of a search.

    Parameters
    ----------
    fits : list of Fit
    run : callable
        Does jobs, as `fit_jobs`.

    Returns
    -------
    list of Outcome
        In the order of the fits.
    """
    outcomes = {}
    for alike in _grouped(fits, _first_steps):
        plain = alike
        if _has_first_steps(alike[0].estimator):
            behind = _fit_last_steps(alike, run)
            outcomes |= behind
            # Those whose first steps failed: they shall say so themselves.
            plain = [fit for fit in alike if fit not in behind]
        done = run([fit.job() for fit in plain]) if plain else []
        outcomes |= dict(zip(plain, done, strict=True))
    return [outcomes[fit] for fit in fits]


def _has_first_steps(estimator):
    # No subclass: those of other libraries resample rows and keep more than steps.
    if type(estimator) is not Pipeline or len(estimator.steps) < 2:
        return False
    return hasattr(estimator.steps[-1][1], "fit")


def _first_steps(fit):
    """What tells apart fits whose first steps, or lack of them, differ."""
    if not _has_first_steps(fit.estimator):
        return None
    last, _ = fit.estimator.steps[-1]
    own = [
        (name, _mark(value))
        for name, value in fit.values.items()
        if name.partition("__")[0] != last or _routes(value)
    ]
    return tuple(sorted(own))


def _routes(value):
    """Whether what a last step is given may depend on a value of its parameters."""
    enabled = get_config()["enable_metadata_routing"]
    return enabled and hasattr(value, "get_metadata_routing")


def _mark(value):
    """Equal for values that are the same; for some equal ones it is not."""
    if value is None or isinstance(value, str | int | float | np.generic):
        return type(value).__name__, repr(value)
    return "", str(id(value))


def _grouped(fits, key):
    """Fits of equal keys, in the order in which the keys appear."""
    groups = {}
    for fit in fits:
        groups.setdefault(key(fit), []).append(fit)
    return groups.values()


class _Begun(NamedTuple):
    """A Pipeline whose first steps are fitted, and what it took."""

    pipeline: Pipeline
    seconds: float

    def with_last(self, outcome):
        """The whole Pipeline, given what became of its last step.   -> Outcome."""
        seconds = self.seconds + outcome.seconds
        if outcome.error is not None:
            return Outcome(None, outcome.error, seconds)
        fitted = copy.copy(self.pipeline)
        name, _ = fitted.steps[-1]
        fitted.steps = [*fitted.steps[:-1], (name, outcome.estimator)]
        return Outcome(fitted, None, seconds)


def _fit_last_steps(fits, run):
    """Fit the first steps once for each source, then the last steps of all fits.

    -> dict of Outcome, without those whose first steps failed.
    """
    sources = list(dict.fromkeys(fit.source for fit in fits))
    pipeline = fits[0].estimator
    recording = [source.job(_recording(pipeline)) for source in sources]
    begun = {
        source: _Begun(done.estimator, done.seconds)
        for source, done in zip(sources, run(recording), strict=True)
        if done.error is None
    }
    fits = [fit for fit in fits if fit.source in begun]
    lasts = [_last_step(fit, begun[fit.source].pipeline) for fit in fits]
    return {
        fit: begun[fit.source].with_last(outcome)
        for fit, outcome in zip(fits, fit_all(lasts, run), strict=True)
    }


def _recording(pipeline):
    name, last = pipeline.steps[-1]
    return clone(pipeline).set_params(**{name: Recorder(last)})


def _last_step(fit, begun):
    name, last = fit.estimator.steps[-1]
    values = {
        key.removeprefix(f"{name}__"): value
        for key, value in fit.values.items()
        if key.startswith(f"{name}__")
    }
    if name in fit.values:  # another last step, whose own first steps are others
        values[""] = fit.values[name]
    return Fit(last, values, begun.steps[-1][1].received_, fit.name)
