"""Many fits as one: what can be trained together is, the rest one after the other."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from traceback import format_exception
from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed

from skanticipate.data.numbers import N_JOBS
from skanticipate.data.validation import each_read_once
from skanticipate.estimator.base import BaseAnticipator
from skanticipate.estimator.given import Given
from skanticipate.estimator.memory import naming_memory
from skanticipate.estimator.state import describe, parts
from skanticipate.estimator.telling import (
    Part,
    handed_to,
    has_callbacks,
    here,
    within,
)
from skanticipate.training.checkpoint import UnusableCheckpoint
from skanticipate.training.loop import run
from skanticipate.training.runtime import torch_threads, with_gradients
from skanticipate.training.stackable import kind_of, usual_width
from skanticipate.training.stacked import run_together

_WORKER_DIED = (
    "A process of n_jobs={} ended before its fits did: the system killed it, as it "
    "does where memory runs out, or a library crashed in it. Lower n_jobs, width or "
    "batch_size. With checkpoint, what was done is kept, and the same call goes on."
)
_OPTIONAL = {field.name for field in fields(Given)} - {"X_past", "y"}


class Outcome(NamedTuple):
    """What became of a job: the fitted estimator or the error, and the time it took."""

    estimator: object | None
    error: Exception | None
    seconds: float


@with_gradients()
def fit_jobs(jobs, *, n_jobs=None, width="auto"):
    """Fit the estimators of jobs, together where that can be done.

    Parameters
    ----------
    jobs : list of Job
        In any order and of any kinds.
    n_jobs : int, default=None
        Processes, as in joblib.
    width : int or "auto", default="auto"
        How many are trained together at most; "auto" goes by the size of a step.

    Returns
    -------
    list of Outcome
        In the order of the jobs. What one fit raises does not touch the others.

    Raises
    ------
    ValueError
        If `n_jobs` is no number of processes.
    RuntimeError
        If a process of `n_jobs` dies, as where memory runs out.
    """
    if n_jobs is not None and (n_jobs == 0 or not N_JOBS.is_satisfied_by(n_jobs)):
        raise ValueError(
            "n_jobs must be None, a whole number from 1 to 10,000, or a negative one, "
            f"of which -1 means all processors; got {n_jobs!r:.80}."
        )
    groups = defaultdict(list)
    for k, job in enumerate(jobs):
        groups[_group(job, k)].append(k)
    parts = [
        part.tolist()
        for group in groups.values()
        for part in np.array_split(group, min(len(group), effective_n_jobs(n_jobs)))
    ]
    try:
        found = Parallel(n_jobs=n_jobs)(
            delayed(_fit_part)([jobs[k] for k in part], width, os.getpid())
            for part in parts
        )
    except BrokenProcessPool as error:
        # Of joblib's kind, as a GridSearchCV would raise it.
        raise type(error)(_WORKER_DIED.format(n_jobs)) from error
    outcomes = [None] * len(jobs)
    for part, own in zip(parts, found, strict=True):
        for k, outcome in zip(part, own, strict=True):
            outcomes[k] = outcome
    return outcomes


def fitted_of(outcomes):
    """The estimators of outcomes; the first error among them is raised."""
    for k, outcome in enumerate(outcomes):
        if outcome.error is not None:
            outcome.error.add_note(f"This was fit {k} of {len(outcomes)}, from 0.")
            raise outcome.error
    return [outcome.estimator for outcome in outcomes]


def _group(job, k):
    """What jobs share that may be trained together; their number where none may."""
    estimator = job.estimator
    steps = [getattr(type(estimator), name, None) for name in ("fit", "_fit")]
    if steps != [BaseAnticipator.fit, BaseAnticipator._fit]:
        return k
    if estimator.warm_start or set(job.signals) - _OPTIONAL:
        return k
    if why_alone(estimator) or estimator.verbose:
        return k
    told = [
        getattr(estimator, name)
        for name in ("network", "optimizer", "batch_size", "n_threads")
    ]
    try:
        return type(estimator), type(estimator.network), describe(told)
    except TypeError:
        return k


def why_alone(estimator):
    """What about an estimator needs a fit of its own, else None."""
    if has_callbacks(estimator):
        return "callbacks are set, which follow a fit of its own"
    if any(isinstance(p, np.random.RandomState) for p in parts(estimator)):
        return "its random_state is a generator: set it to an integer"
    return None


def _fit_part(jobs, width, home):
    """Fit jobs of one group, for the process `home`.   -> list of Outcome."""
    outcomes = _fit_group(jobs, width)
    if os.getpid() != home:  # which will not see where an error comes from
        for error in filter(None, (outcome.error for outcome in outcomes)):
            error.add_note(f"In another process:\n{''.join(format_exception(error))}")
    return outcomes


@each_read_once()
def _fit_group(jobs, width):
    """Fit jobs of one group, those of one kind together.   -> list of Outcome."""
    if len(jobs) == 1:
        return [_fit_alone(*jobs)]
    shared, fits, waiting, widths = {}, [], defaultdict(list), {}
    for job in jobs:
        fit = _Fit(job, shared)
        fits.append(fit)
        if fit.error is not None:
            continue
        if fit.kind is None or width == 1:
            _train([fit])
            continue
        alike = waiting[fit.kind]
        alike.append(fit)
        if fit.kind not in widths:
            widths[fit.kind] = width if width != "auto" else _usual_width(fit)
        most = widths[fit.kind]
        if len(alike) >= most:
            _train(waiting.pop(fit.kind))
        elif sum(map(len, waiting.values())) >= 2 * most:  # what waits takes memory
            _train(waiting.pop(max(waiting, key=lambda kind: len(waiting[kind]))))
    for alike in waiting.values():
        _train(alike)
    return [fit.outcome() for fit in fits]


def _usual_width(fit):
    with torch_threads(fit.estimator.n_threads):
        return usual_width(fit.prepared.training)


def _fit_alone(job):
    start, estimator = time.perf_counter(), job.estimator
    try:
        with within(job.name), handed_to(estimator):
            fitted, error = estimator.fit(job.X, job.y, **job.signals), None
    except Exception as failure:
        fitted, error = None, failure
    return Outcome(fitted, error, time.perf_counter() - start)


def _train(fits):
    """Train what is prepared, and set the fitted attributes."""
    start, first = time.perf_counter(), fits[0]
    trainings = [fit.prepared.training for fit in fits]
    for fit in fits:
        fit.part.begin(fit.prepared.training.max_epochs)
    with torch_threads(first.estimator.n_threads, trainings[0].state.network):
        errors = _run_together(trainings) if len(fits) > 1 else [_run_alone(first)]
        if errors is None:
            trainings = None  # whose memory is needed
            for fit in fits:
                fit.prepared = None
            errors = [fit.again() for fit in fits]
        for fit, error in zip(fits, errors, strict=True):
            if error is not None:
                fit.fail(error)
            elif fit.prepared is not None:
                fit.estimator._finish(fit.prepared)
    for fit in fits:
        fit.part.end()
        fit.prepared = None  # moments of optimisers, targets: no longer needed
        fit.seconds += (time.perf_counter() - start) / len(fits)


def _run_together(trainings):
    """Run trainings as one.   -> list of error or None; None if that cannot be done."""
    try:
        return run_together(trainings)
    except UnusableCheckpoint as error:  # of all of them
        return [error] * len(trainings)
    except Exception:  # that one of them raised, such as its schedule, or all of them
        return None


def _run_alone(fit):
    training = fit.prepared.training
    try:
        with naming_memory(fit.estimator, training.step.take_batch.rows):
            run(training)
    except Exception as error:
        return error
    return None


class _Fit:
    """A fit that is prepared, or failed before.

    Parameters
    ----------
    job : Job
        Of an anticipator.
    shared : dict
        What earlier fits have learnt from the same teachers.
    """

    def __init__(self, job, shared):
        start = time.perf_counter()
        self.estimator, self.error, self.kind = job.estimator, None, None
        self.before, self.job = dict(vars(self.estimator)), job
        self.part = Part(job.name, here())
        try:
            with self.part.entered():
                self.prepared = self._prepare(job, shared)
            self.prepared.training.told = self.part.note_epoch
        except Exception as error:
            self.fail(error)
        else:
            kind, spec = kind_of(self.prepared.training), self.estimator.network_spec_
            if kind is not None:
                classes = tuple(self.estimator.classes_.tolist())
                self.kind = kind, describe(spec), classes
        self.seconds = time.perf_counter() - start

    def _prepare(self, job, shared):
        estimator = self.estimator
        estimator._validate_params()
        with naming_memory(estimator, job.X):
            checked = estimator._check(Given(job.X, job.y, **job.signals))
            with torch_threads(estimator.n_threads):
                return estimator._prepare(checked, shared)

    def again(self):
        """Fit from the start, alone.   -> the error of it, or None."""
        self.fail(None)
        return _fit_alone(self.job).error

    def fail(self, error):
        """Note an error; the estimator is as it was before the fit."""
        self.error = error
        vars(self.estimator).clear()
        vars(self.estimator).update(self.before)

    def outcome(self):
        """What became of it.   -> Outcome."""
        fitted = None if self.error is not None else self.estimator
        return Outcome(fitted, self.error, self.seconds)
