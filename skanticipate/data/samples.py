"""What a fit works on: the rows with a signal, their weights, the rows held out."""

import hashlib
from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import column_or_1d, compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from skanticipate.data.boxes import plain_column, refuse_identical, unboxed
from skanticipate.data.masked import refuse_masked
from skanticipate.data.missing import holds_missing, of_one_kind
from skanticipate.data.numbers import Interval
from skanticipate.data.rows import RowView
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.twins import warn_of_twins


@dataclass(frozen=True)
class Samples:
    """Rows of a training or validation set, aligned with each other.

    Attributes
    ----------
    rows : RowView of shape (n, ...)
        Clips.
    codes : ndarray of shape (n,)
        Index of each label in the classes; -1 where there is none.
    weights : ndarray of shape (n,) or None
        Weight of each row in the loss; None means 1.
    groups : ndarray of shape (n,) or None
        Video or person of each row.
    signals : dict of str to RowView or ndarray of shape (n, ...)
        What else rows have, and masks (n,) of those that have it, by the names that
        the signals gave them when they checked it.
    """

    rows: RowView
    codes: np.ndarray
    weights: np.ndarray | None = None
    groups: np.ndarray | None = None
    signals: dict = field(default_factory=dict)

    def __len__(self):
        return len(self.codes)

    def select(self, keep):
        """Samples at a mask or at indices."""
        if np.asarray(keep).dtype == bool:
            if keep.all():
                return self
            keep = np.flatnonzero(keep)
        return Samples(
            self.rows[keep],
            self.codes[keep],
            None if self.weights is None else _unless_alike(self.weights[keep]),
            None if self.groups is None else self.groups[keep],
            {name: signal[keep] for name, signal in self.signals.items()},
        )


def check_weights(codes, sample_weight):
    """Weight of each row as given.   -> (n,) or None."""
    if sample_weight is None:
        return None
    refuse_masked(
        sample_weight, "sample_weight", "Pass .filled(0) to leave these rows out."
    )
    weights = _check_sample_weight(
        plain_numbers(sample_weight, "sample_weight"),
        codes,
        dtype=np.float64,
        ensure_non_negative=True,
    )
    if not np.isfinite(weights).all():  # with assume_finite nobody has looked
        raise ValueError("Input sample_weight contains NaN or infinity.")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    least, most = weights[weights > 0].min(), weights.max()
    if least < 1e-30 or most > 1e30:
        raise ValueError(
            f"Sample weights go from {least:.3g} to {most:.3g}, which float32 cannot "
            "hold: divide them by their mean, and set those that count nothing to 0."
        )
    return _unless_alike(weights)


def check_groups(groups):
    """One name of a video or person a row.   -> (n,) or None."""
    if groups is None:
        return None
    masked = isinstance(groups, np.ma.MaskedArray)
    groups = plain_column(groups.tolist() if masked else groups)
    if np.ndim(groups) != 1 and np.shape(groups)[1:] != (1,):
        raise ValueError(
            f"groups has shape {np.shape(groups)}: give one name of a video or person "
            "for each row."
        )
    groups = column_or_1d(groups)
    if groups.dtype == object:
        refuse_identical(groups.tolist(), "groups")
    if holds_missing(groups.tolist()):
        raise ValueError("groups has missing entries: name the group of every row.")
    groups = of_one_kind(groups, "groups")
    if groups.dtype.kind in "UOT":
        warn_of_twins("group", groups.tolist(), "in all rows")
    return groups


def _unless_alike(weights):
    """Weights, or None where all are 1: as sums of products they round otherwise."""
    return None if weights is None or (weights == 1).all() else weights


def weigh_classes(samples, class_weight, classes):
    """Samples whose weights are multiplied by those of their classes."""
    if class_weight is None:
        return samples
    labelled = samples.codes >= 0
    codes = samples.codes[labelled]
    present = np.unique(codes)
    if isinstance(class_weight, dict):
        class_weight = _weights_by_code(class_weight, classes, present)
    of_class = np.ones(len(classes))
    of_class[present] = compute_class_weight(
        class_weight,
        classes=present,
        y=codes,
        sample_weight=None if samples.weights is None else samples.weights[labelled],
    )
    weights = np.where(labelled, of_class[samples.codes], 1.0)
    if samples.weights is not None:
        weights = weights * samples.weights
    if not weights.any():
        raise ValueError(f"class_weight={class_weight} leaves no row any weight.")
    kept = weights > 0
    weighed = replace(samples, weights=weights).select(kept)
    return replace(weighed, weights=_unless_alike(weights[kept]))


def _weights_by_code(class_weight, classes, present):
    labels, weights = unboxed(list(class_weight)), list(class_weight.values())
    class_weight = dict(zip(labels, unboxed(weights), strict=True))
    codes = {label: code for code, label in enumerate(classes.tolist())}
    truths = any(isinstance(label, bool) for label in codes)
    strangers = [
        label
        for label in class_weight
        if label not in codes or (isinstance(label, bool | np.bool_) and not truths)
    ]
    by_code = {
        codes[label]: weight
        for label, weight in class_weight.items()
        if label not in strangers
    }
    # As in scikit-learn: one may be the class of another fold if all others are named.
    if strangers and not by_code.keys() >= set(present.tolist()):
        raise ValueError(
            f"class_weight names labels that are no classes: {strangers[:5]}. Name "
            "every class as y has it, or pass classes= with all labels, also those "
            "that a fold lacks."
        )
    number = Interval(Real, 0, None, closed="left")
    if not all(number.is_satisfied_by(w) and w < np.inf for w in class_weight.values()):
        raise ValueError(
            "class_weight must hold finite numbers that are not negative, got "
            f"{class_weight}."
        )
    return {code: by_code.get(code, 1.0) for code in present.tolist()}


def hold_out(samples, fraction, seed):
    """Split off a share of the labelled rows, whole groups where groups are given.

    Returns
    -------
    training, validation : Samples
        Unlabelled rows train, unless their group is held out.
    """
    labelled = np.flatnonzero(samples.codes >= 0)
    codes = samples.codes[labelled]
    counts = np.bincount(codes)
    counts = counts[counts > 0]
    n_held = int(np.ceil(fraction * len(labelled)))
    if n_held >= len(labelled):
        raise ValueError(
            f"validation_fraction={fraction} of {len(labelled)} labelled rows leaves "
            "none to train on: lower it, or pass X_val and y_val where fit takes them."
        )
    if samples.groups is not None:
        held_groups = _groups_to_hold(samples.groups[labelled], n_held, seed)
        held = np.flatnonzero(np.isin(samples.groups[labelled], held_groups))
        training = ~np.isin(samples.groups, held_groups)
    else:
        # Long tails cannot be stratified: some classes have a single row.
        even = counts.min() >= 2 and min(n_held, len(codes) - n_held) >= len(counts)
        kind = StratifiedShuffleSplit if even else ShuffleSplit
        split = kind(1, test_size=n_held, random_state=seed)
        _, held = next(split.split(codes, codes))
        training = np.ones(len(samples), dtype=bool)
        training[labelled[held]] = False
    return samples.select(training), samples.select(labelled[held])


def split_key(samples, fraction):
    """Text that is equal where `hold_out` with one seed holds the same rows out."""
    groups = [] if samples.groups is None else samples.groups
    places = np.unique(groups, return_inverse=True)[1]
    told = [len(samples), len(places), float(fraction)]
    digest = hashlib.blake2b(repr(told).encode(), digest_size=16)
    for numbers in (samples.codes, places):
        digest.update(np.ascontiguousarray(numbers, dtype=np.int64))
    return digest.hexdigest()


def _groups_to_hold(groups, n_held, seed):
    """Random groups that together have about as many rows as wanted."""
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 2:
        raise ValueError(
            "Whole groups are held out to validate on, but all labelled rows belong to "
            "one group: pass more groups or none, or X_val and y_val where fit takes "
            "them."
        )
    order = np.random.default_rng(seed).permutation(len(names))
    rows = np.cumsum(sizes[order])[:-1]  # at least one group trains
    return names[order[: 1 + np.argmin(np.abs(rows - n_held))]]
