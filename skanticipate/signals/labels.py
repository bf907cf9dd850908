"""The labels as a signal: what they say, and what a prior knows of each other."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from skanticipate.data.missing import (
    as_array,
    check_same_kind,
    label_codes,
    missing_mask,
)
from skanticipate.data.names import check_tables_alike
from skanticipate.data.places import check_step_names
from skanticipate.data.twins import warn_of_twins
from skanticipate.data.warn import warn
from skanticipate.estimator.sharing import once
from skanticipate.networks.inputs import padding_of
from skanticipate.priors.base import fit_prior
from skanticipate.signals.signal import Signal, relative_weights
from skanticipate.terms.labels import label_parts
from skanticipate.terms.past import PastTerm


@dataclass(eq=False)
class LabelSignal(Signal):
    """Labels, mixed with what a prior knows of them, and those of the steps seen.

    Parameters
    ----------
    prior : prior, default=None
        Unfitted. None: labels alone.
    smoothing : float, default=0.0
        Weight of the prior, in [0, 1].
    """

    _: KW_ONLY
    prior: object = None
    smoothing: float = 0.0

    def check(self, given, past, classes, *, marker, estimator):
        """Check the labels of what was seen: the last of them, and of each step."""
        spec = estimator.network_spec_
        past_weight = getattr(spec, "past_weight", 0.0)
        labels = check_y_past(given.y_past, past.shape)
        if past_weight > 0 and (labels is None or not _is_by_step(labels, past.shape)):
            raise ValueError(_no_labels_of_steps(spec, labels, past.shape))
        if labels is None:
            return {}
        checked = {"y_past": last_seen(labels, classes)}
        if past_weight > 0:
            checked["past_codes"] = codes_of_steps(labels, classes, past, spec)
        return checked

    def has(self, samples):
        """Samples with a label, their own or that of a step."""
        return (samples.codes >= 0) | _has_steps(samples)

    def ask(self, samples, classes, seeds, shared=None):
        """Fit the prior on the labelled samples, and look up its rows if they count."""
        self.terms_of_prior = []
        if self.prior is None:
            return
        labelled = np.flatnonzero(samples.codes >= 0)
        y, y_past = classes[samples.codes[labelled]], samples.signals.get("y_past")
        y_past = None if y_past is None else y_past[labelled]
        weights = samples.weights
        if weights is not None:
            weights = relative_weights(weights, labelled, samples.codes[labelled])
        self.prior = self._fitted((classes, y, y_past, weights), shared)
        if self.smoothing == 0:
            return
        for matrix, rows, weight in self.prior.terms(y, y_past):
            of_sample = np.zeros_like(samples.codes, dtype=np.intp)
            of_sample[labelled] = rows
            self.terms_of_prior.append((matrix, of_sample, weight))

    def _fitted(self, inputs, shared):
        """The prior, fitted here or in another fit that shares it."""
        if shared is None:
            return fit_prior(self.prior, *inputs)
        prior = self.prior
        return once(shared, lambda: fit_prior(prior, *inputs), prior, *inputs)

    def parts(self, samples):
        """``(1 - smoothing) * onehot(y) + smoothing * prior row``."""
        parts = label_parts(samples.codes, self.terms_of_prior, self.smoothing)
        return parts, samples.codes >= 0

    def terms(self, samples, spec, network, seeds, compute):
        """The loss of the steps that were seen, where one of them has a label."""
        if not _has_steps(samples).any():
            return []
        network.scores_past = True
        codes = samples.signals["past_codes"]
        return [PastTerm(spec.past_weight, codes, samples.weights, compute)]

    def fitted(self):
        """The prior."""
        return {} if self.prior is None else {"prior_": self.prior}


def _has_steps(samples):
    """Samples of which a step has a label.   -> (n,) bool."""
    if "past_codes" not in samples.signals:
        return np.zeros_like(samples.codes, dtype=bool)
    return (samples.signals["past_codes"] >= 0).any(axis=1)


def check_y_past(y_past, shape=()):
    """Labels of what was seen as an array that keeps which are missing, or None.

    Parameters
    ----------
    y_past : array-like or None
    shape : tuple
        That of the clips, (n, T, ..., d) if each step may have a label.

    Returns
    -------
    ndarray of shape (n,), (n, T) where each step has one, or None
    """
    if y_past is None:
        return None
    check_tables_alike(y_past, "y_past")
    labels = as_array(y_past)
    if _is_by_step(labels, shape):
        check_step_names(y_past, "y_past")
        return labels
    if labels.ndim == 2 and labels.shape[1] == 1:  # a table of one column
        labels = labels[:, 0]
    if labels.ndim != 1:
        wanted = "give one label for each clip, that of the action seen last"
        if len(shape) > 2:
            wanted += f", or one for each of its {shape[1]} steps"
        raise ValueError(f"y_past has shape {labels.shape}: {wanted}.")
    return labels


def _is_by_step(labels, shape):
    return labels.ndim == 2 and len(shape) > 2 and labels.shape[1] == shape[1]


def _no_labels_of_steps(spec, labels, shape):
    """Message where a loss of the past has nothing to compare with."""
    got = "None" if labels is None else f"one of shape {labels.shape}"
    return (
        f"past_weight={spec.past_weight} of {type(spec).__name__} needs the label of "
        f"each step, y_past of shape {shape[:2]}, got {got}: pass y_past= to fit, with "
        'None, NaN, "" or -1 at steps without a label, or set past_weight=0.'
    )


def last_seen(labels, classes):
    """Label of the action seen last.   (n,) or (n, T) -> (n,)."""
    if labels.ndim == 1:
        return labels
    n_rows, n_steps = labels.shape
    # -1 is a label where the user made it a class, as in the priors.
    seen = ~missing_mask(labels)
    seen |= label_codes(labels.ravel(), classes).reshape(labels.shape) >= 0
    since = seen[:, ::-1].argmax(axis=1)  # steps after it; 0 where nothing was seen
    return labels[np.arange(n_rows), n_steps - 1 - since]


def codes_of_steps(labels, classes, past, spec):
    """Codes of the labels of real steps, -1 for all that is no class.   (n, T)."""
    present = labels[~missing_mask(labels)].tolist()
    check_same_kind(present, classes, "y_past", "the classes of y")
    warn_of_twins("label", present, "in y_past and y", classes.tolist())
    codes = label_codes(labels.ravel(), classes).reshape(labels.shape)
    codes[padding_of(past, spec)] = -1
    if (codes < 0).all():
        warn(
            f"past_weight={spec.past_weight} of {type(spec).__name__} has nothing to "
            "learn from: no real step has a label in y_past that is one of the "
            f"classes. y_past holds {list(dict.fromkeys(present))[:3]}, the classes "
            f"are {classes[:3].tolist()}..."
        )
    return codes
