"""All that a fit checks of what it was given, once."""

from typing import NamedTuple

import numpy as np
from sklearn.base import clone

from skanticipate.data.labels import check_labels, warn_dropped
from skanticipate.data.layout import hint_unscaled_validation
from skanticipate.data.leaks import (
    warn_of_earlier_rows,
    warn_of_repeats,
    warn_ungrouped,
    whole_validation,
)
from skanticipate.data.parameters import changed_network
from skanticipate.data.places import check_steps_alike
from skanticipate.data.samples import (
    Samples,
    check_groups,
    check_weights,
    hold_out,
    split_key,
    weigh_classes,
)
from skanticipate.data.validation import (
    check_aligned,
    check_clips,
)
from skanticipate.estimator.blueprint import default_network
from skanticipate.estimator.fit_key import check_can_go_on
from skanticipate.estimator.unaware import warn_of_wrappers
from skanticipate.estimator.watching import check_watched
from skanticipate.training.runtime import seeds_of
from skanticipate.training.schedules import warn_of_warm_up

# What seeds are derived for, and after these what signals want some for; the order
# decides on their numbers.
_PURPOSES = ("split", "init", "shuffle", "dropout", "crop")


class Checked(NamedTuple):
    """What a fit works on."""

    samples: Samples
    validation: Samples | None
    signals: list
    seeds: dict


class FitChecks:
    """The checking side of `BaseAnticipator`."""

    def _check(self, given):
        """Check what fit was given, once.   Given -> Checked."""
        X_past, y, y_past = given.X_past, given.y, given.y_past
        X_val, y_val = given.X_val, given.y_val
        if y_past is not None:
            check_steps_alike(X_past, y_past, "y_past")
        if self.checkpoint is not None:
            check_can_go_on(self)
        if self.lr_schedule is not None:
            warn_of_warm_up(self.lr_schedule, self.max_epochs)
        signals = self._signals()
        purposes = [purpose for signal in signals for purpose in signal.purposes]
        seeds = seeds_of(self.random_state, [*_PURPOSES, *purposes])
        continues = self._continues()  # with the network of an earlier fit
        rows = self._check_rows(X_past, continues)
        if X_val is not None or y_val is not None:
            X_val, y_val = whole_validation(X_val, y_val, len(rows))
        labels = self._check_labels(y, y_past, y_val)
        if self.early_stopping:
            check_watched(self, len(labels.classes))
        check_aligned(rows.shape[0], X_past=X_past, y=y, **given.aligned())
        self._describe(rows, labels, continues)
        samples = self._check_samples(rows, labels, signals, given)
        seed = self._split_seed(samples, X_val, seeds["split"], continues)
        samples, validation = self._divide(samples, X_val, y_val, seed)
        counted = samples
        if self.class_weight is not None:
            samples = weigh_classes(samples, self.class_weight, self.classes_)
        earlier = self.class_log_frequency_ if continues else None
        self.class_log_frequency_ = _log_frequency(
            counted, samples.codes, len(self.classes_), earlier
        )
        return Checked(samples, validation, signals, seeds)

    def _check_rows(self, X_past, continues):
        """Check clips.   -> RowView."""
        if continues:
            if changed := changed_network(self):
                raise ValueError(
                    f"{changed} warm_start continues with it: set the parameter back, "
                    "or set warm_start=False."
                )
            return self._check_like_fit(X_past, "X_past")
        return check_clips(X_past, name="X_past", estimator=self, reset=True)

    def _check_labels(self, y, y_past, y_val):
        labels = check_labels(
            y,
            classes=self.classes,
            unlabeled_label=self.unlabeled_label,
            estimator=self,
        )
        warn_of_wrappers(self, labels, y_past=y_past, y_val=y_val)
        return labels

    def _check_samples(self, rows, labels, signals, given):
        """Check what came with the clips, once.   -> Samples, those with a signal."""
        checked = {}
        for signal in signals:
            checked |= signal.check(
                given,
                rows,
                self.classes_,
                marker=self.unlabeled_label_,
                estimator=self,
            )
        weights, groups = given.sample_weight, given.groups
        if weights is not None:
            weights = check_weights(labels.codes, weights)
        if groups is not None:
            groups = check_groups(groups)
        samples = Samples(
            rows,
            labels.codes,
            weights,
            groups,
            checked,
        )
        return self._with_signal(samples, signals)

    def _with_signal(self, samples, signals):
        """Samples that something can be learnt from."""
        has = np.any([signal.has(samples) for signal in signals], axis=0)
        if not has.all():
            warn_dropped(int((~has).sum()), self.unlabeled_label_)
        if samples.weights is not None:
            has = has & (samples.weights > 0)
            if not has.any():
                raise ValueError(
                    "No row to learn from has a positive weight: check sample_weight."
                )
        return samples if has.all() else samples.select(has)

    def _describe(self, rows, labels, continues):
        """Note the classes, and what it takes to build the network."""
        if continues and not np.array_equal(labels.classes, self.classes_):
            raise ValueError(
                f"warm_start continues with the classes {self.classes_}, but y has "
                f"{labels.classes}: fix them with classes=, or set warm_start=False."
            )
        self.classes_, self.unlabeled_label_ = labels.classes, labels.marker
        self.n_unlabeled_ = int((labels.codes < 0).sum())
        if continues:
            return
        spec = default_network(rows) if self.network is None else clone(self.network)
        self.network_spec_ = spec
        spec.see_classes(self.classes_)
        self.input_shape_ = spec.input_shape_of(rows)
        self.feature_dim_ = rows.shape[-1]
        self.anticipation_times_ = spec.stage_times()

    def _split_seed(self, samples, X_val, seed, continues):
        """Seed of the rows to hold out: of the fit before, where this one goes on.

        Its network has learned all other rows of that fit.
        """
        earlier = getattr(self, "_held_out", None) if continues else None
        self._held_out = None
        if X_val is not None or not self.early_stopping:
            return seed
        told = split_key(samples, self.validation_fraction)
        if earlier is not None and earlier["of"] == told:
            seed = earlier["seed"]
        elif continues:
            warn_of_earlier_rows()
        self._held_out = {"seed": seed, "of": told}
        return seed

    def _divide(self, samples, X_val, y_val, seed):
        """Training and validation samples; the latter None where nobody looks."""
        if (X_val is None) != (y_val is None):
            raise ValueError("Pass X_val and y_val together, or neither of them.")
        if X_val is not None:
            validation = self._check_validation(X_val, y_val)
            warn_of_repeats(validation.rows, samples.rows)
            hint_unscaled_validation(samples.rows, validation.rows)
            return samples, validation
        if self.early_stopping:
            if samples.groups is None:
                warn_ungrouped(
                    f"early_stopping of {type(self).__name__} holds rows out"
                )
            return hold_out(samples, self.validation_fraction, seed)
        return samples, None


def _log_frequency(samples, learned, n_classes, earlier=None):
    """Logarithm of the share of each class in the labels.   -> (C,).

    One row more is counted for each class, of rows whose mean weight is 1. A class that
    is not `learned` has 0, as if it were all there is: nothing is known of it, and
    nothing shall favour it.

    Parameters
    ----------
    samples : Samples
        The labels that are counted.
    learned : ndarray of shape (m,)
        Codes of the labels that are learned from, -1 where there is none.
    n_classes : int
        Number of classes C.
    earlier : ndarray of shape (C,), default=None
        What an earlier fit found, which this one continues: a class that is no longer
        learned keeps it.
    """
    labelled = samples.codes >= 0
    weights = None
    if samples.weights is not None:
        weights = samples.weights[labelled] / samples.weights[labelled].mean()
    counts = np.bincount(samples.codes[labelled], weights, n_classes) + 1
    known = np.bincount(learned[learned >= 0], minlength=n_classes) > 0
    logs = np.zeros(n_classes) if earlier is None else earlier.copy()
    logs[known] = np.log(counts[known] / counts[known].sum())
    return logs
