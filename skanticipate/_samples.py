"""What a fit works on: the rows with a signal, their weights, the rows held out."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedShuffleSplit,
)
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from skanticipate._rows import RowView


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
    y_past : ndarray of shape (n,) or None
        Label of the action seen last.
    """

    rows: RowView
    codes: np.ndarray
    weights: np.ndarray | None = None
    groups: np.ndarray | None = None
    y_past: np.ndarray | None = None

    def __len__(self):
        return len(self.codes)

    def select(self, keep):
        """Samples at a mask or at indices."""
        if np.asarray(keep).dtype == bool:
            if keep.all():
                return self
            keep = np.flatnonzero(keep)
        aligned = ("codes", "weights", "groups", "y_past")
        parts = {name: getattr(self, name) for name in aligned}
        parts = {k: None if v is None else v[keep] for k, v in parts.items()}
        return replace(self, rows=self.rows[keep], **parts)


def optional_column(signal):
    """One entry a row as an array, or None; labels keep their Python values."""
    if signal is None:
        return None
    if isinstance(signal, list | tuple):
        return np.array(signal, dtype=object)
    return np.asarray(signal)


def sample_weights(codes, sample_weight, class_weight, classes):
    """Weight of each row: its own times that of its class.   -> (n,) or None."""
    weights = None
    if sample_weight is not None:
        weights = _check_sample_weight(
            sample_weight, codes, dtype=np.float64, ensure_non_negative=True
        )
        if not weights.any():
            raise ValueError(
                "Sample weights must contain at least one non-zero number."
            )
    if class_weight is None:
        return weights
    labelled = codes >= 0
    counted = labelled if weights is None else labelled & (weights > 0)
    if not counted.any():
        raise ValueError(
            "No labelled row has a positive sample_weight, so classes cannot be "
            "weighed."
        )
    present = np.unique(codes[counted])
    if isinstance(class_weight, dict):
        known = {k: code for code, k in enumerate(classes.tolist())}
        if strangers := [k for k in class_weight if k not in known]:
            raise ValueError(
                f"class_weight names labels that are no classes: {strangers[:5]}."
            )
        class_weight = {known[k]: w for k, w in class_weight.items()}
        class_weight = {k: class_weight.get(k, 1.0) for k in present.tolist()}
        if min(class_weight.values()) < 0:
            raise ValueError(f"class_weight must not be negative, got {class_weight}.")
    of_class = np.ones(len(classes))
    of_class[present] = compute_class_weight(
        class_weight,
        classes=present,
        y=codes[counted],
        sample_weight=None if weights is None else weights[counted],
    )
    factors = np.where(labelled, of_class[codes], 1.0)
    return factors if weights is None else weights * factors


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
            "none to train on: lower it, or pass X_val and y_val."
        )
    if samples.groups is not None:
        if len(np.unique(samples.groups[labelled])) < 2:
            raise ValueError(
                "early_stopping holds out whole groups, but all labelled rows belong "
                "to one group: pass more groups, none, or X_val and y_val."
            )
        split = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
        _, held = next(split.split(codes, codes, samples.groups[labelled]))
        held_groups = np.unique(samples.groups[labelled[held]])
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
