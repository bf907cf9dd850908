"""An ordinary search over fits that are there already.

What scikit-learn gives of a search (scores, columns, ranks, what is raised and warned
of) is made by its own search here: over a stand-in that looks its fit up, by candidate
and training rows, instead of fitting.
"""

from dataclasses import dataclass, field

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV
from sklearn.utils import get_tags
from sklearn.utils.validation import _num_samples

# No name of a parameter, so it is no other's.
_CANDIDATE = "candidate no."


@dataclass(eq=False, repr=False)
class Candidate:
    """A candidate of a search, and what became of its fits.

    Attributes
    ----------
    number : int
    params : dict
    estimator : estimator
        Unfitted, with these parameters.
    outcomes : dict of bytes to Outcome
        By the numbers of the training rows, in the order of the splits.
    seconds : list of float
        What the fits took, in the order of the splits.
    """

    number: int
    params: dict
    estimator: object
    outcomes: dict = field(default_factory=dict)
    seconds: list = field(default_factory=list)

    def keep(self, rows, outcome):
        """Keep what became of the fit on some rows."""
        self.outcomes[rows.tobytes()] = outcome
        self.seconds.append(outcome.seconds)

    def __sklearn_clone__(self):
        return self

    def __deepcopy__(self, memo):  # a search copies what it sets
        return self

    def __repr__(self):
        return str(self.number)


class Lookup(BaseEstimator):
    """Stands in for a candidate; as soon as it is fitted it does what that does.

    Parameters
    ----------
    candidate : Candidate, default=None
    """

    __metadata_request__fit = {"rows": True, "sample_weight": False}

    def __init__(self, candidate=None):
        self.candidate = candidate

    def set_params(self, **params):
        """Stand in for another candidate."""
        self.candidate = params[_CANDIDATE]
        return self

    def fit(self, X, y=None, *, rows, sample_weight=None):
        """Look the fit up.

        There is none of all rows, which the search asks for in the end: that of the
        best candidate is fitted elsewhere.
        """
        outcome = self.candidate.outcomes.get(rows.tobytes())
        if outcome is not None and outcome.error is not None:
            raise outcome.error
        if outcome is not None:
            self.fitted_ = outcome.estimator
        return self

    def __getattr__(self, name):
        if name.startswith("_") or "fitted_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.fitted_, name)

    def __sklearn_tags__(self):
        if self.candidate is None:
            return super().__sklearn_tags__()
        return get_tags(self.candidate.estimator)


class _OnFitted:
    """A scorer that is shown the fitted estimator instead of what stands in for it."""

    def __init__(self, scorer):
        self.scorer = scorer

    def __call__(self, stand_in, *args, **metadata):
        return self.scorer(stand_in.fitted_, *args, **metadata)

    @property
    def __wrapped__(self):
        return self.scorer

    def __getattr__(self, name):  # requests, and what it takes
        if name == "scorer":  # not yet unpickled
            raise AttributeError(name)
        return getattr(self.scorer, name)

    def __repr__(self):
        return repr(self.scorer)


def check_scorers(estimator, scoring, refit):
    """Scorers as a search keeps them, and `scoring` that shows them what is fitted.

    Names among several scores stay names: those share predictions, and see an
    estimator through its predictions only.

    -> (callable or dict of callable, callable or dict)
    """
    if isinstance(scoring, list | tuple | set | dict):
        GridSearchCV(Lookup(), {}, scoring=scoring, refit=refit).get_metadata_routing()
        named = scoring if isinstance(scoring, dict) else {s: s for s in scoring}
        scorers = {k: check_scoring(estimator, scoring=s) for k, s in named.items()}
        shown = {k: _OnFitted(s) if callable(s) else s for k, s in named.items()}
        return scorers, shown
    scorer = scoring if callable(scoring) else check_scoring(estimator, scoring=scoring)
    return scorer, _OnFitted(scorer)


class _Inner(GridSearchCV):
    """A search that calls itself what it is the inside of, where it warns.

    It goes to other processes with each candidate, for callbacks, of which it has none:
    so it goes without the fits of all others.
    """

    def __getstate__(self):
        return {}

    def __repr__(self):
        return repr(self.outer)


# Parameters of a search that mean the same over fits that are there.
_PASSED_ON = (
    *("n_jobs", "refit", "verbose", "pre_dispatch"),
    *("error_score", "return_train_score"),
)


def search_fitted(outer, candidates, splits, scoring, X, y, metadata):
    """Score and rank candidates that are fitted.

    Parameters
    ----------
    outer : estimator
        The search that they are candidates of.
    candidates : list of Candidate
    splits : list of (train, test)
    scoring : callable or dict
        From `check_scorers`.
    X, y : as fit was given them
    metadata : dict
        What scorers may ask for.

    Returns
    -------
    GridSearchCV
        Fitted, but for the best estimator. Its results are those of the candidates.
    """
    grid = [
        {_CANDIDATE: [candidate], **{k: [v] for k, v in candidate.params.items()}}
        for candidate in candidates
    ]
    options = {name: getattr(outer, name) for name in _PASSED_ON}
    if callable(outer.refit):
        options["refit"] = lambda told: outer.refit(_results(told, candidates))
    search = _Inner(Lookup(), grid, cv=splits, scoring=scoring, **options)
    search.outer = outer
    search.fit(X, y, rows=np.arange(_num_samples(X)), **metadata)
    search.cv_results_ = _results(search.cv_results_, candidates)
    return search


def _results(results, candidates):
    """Results of candidates instead of what stood in for them."""
    params = [candidate.params for candidate in candidates]
    columns = dict.fromkeys(f"param_{name}" for given in params for name in given)
    seconds = np.array([candidate.seconds for candidate in candidates])
    told = {}
    for key, values in results.items():
        if key == "params":
            told |= {column: results[column] for column in columns}
            told["params"] = params
        elif not key.startswith("param_"):
            told[key] = values
    told["mean_fit_time"] = seconds.mean(axis=1)
    told["std_fit_time"] = seconds.std(axis=1)
    return told
