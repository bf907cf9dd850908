"""Whether a change of the code changed what fits give.

Some 200 small fits of all that the library offers, in float64 with fixed seeds: every
estimator, network, prior and alignment, teachers of all kinds, weights, stopping,
padding. What each gives is stored with one state of the library and compared with
another, array by array; a fit that raises is compared by its error. Only public names
are used, so the same script runs with older and newer sources:

    PYTHONPATH=BEFORE python benchmarks/same_fits.py --store before.npz
    PYTHONPATH=AFTER python benchmarks/same_fits.py --compare before.npz

Arrays that differ by more than 1e-12, absolute or relative to their largest entry, are
named, and the exit status is then 1. The bits depend on the machine and on the versions
of torch and scikit-learn: store and compare on the same. Takes about a minute.
"""

import argparse
import os
import re
import sys
import tempfile
import time
import warnings

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from common.fits import all_fits
from sklearn import config_context
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

import skanticipate

N_SHOWN = 24  # rows that are predicted
TOLERANCE = 1e-12
NUMBERS = ("n_iter_", "n_unlabeled_", "feature_weight_", "started_from_teacher_")
TEACHERS = {"teacher_": "X_future_unlabeled", "text_teacher_": "past_actions"}
STEP = 30  # a tiny run takes one fit of so many

# ------------------------------------------------------------------- what a fit gives


def answers(model, name, X):
    """An answer of a model, or the text of its error.   -> array."""
    try:
        found = getattr(model, name)(X)
        return np.stack(list(found)) if name.startswith("staged") else np.asarray(found)
    except Exception as error:
        return text_of(error)


def text_of(error):
    """What an error says.   -> array () of str."""
    return np.array(f"{type(error).__name__}: {error}")


def without_places(array, folder):
    """A text without what every run has another of: a folder and addresses."""
    if array.dtype.kind != "U" or array.ndim:
        return array
    text = str(array).replace(folder, "FOLDER")
    return np.array(re.sub(r"0x[0-9a-f]+", "0x", text))


def history_of(model):
    """Figures of each epoch, NaN in epochs that lack one.   -> dict of (n_epochs,)."""
    records = getattr(model, "history_", [])
    names = {name for record in records for name in record}
    return {
        f"history_ {name}": np.array(
            [float(record.get(name, np.nan)) for record in records]
        )
        for name in sorted(names)
        if all(np.isreal(record.get(name, 0)) for record in records)
    }


def matrices(prior, name="prior_"):
    """Matrices of a fitted prior and of its parts.   -> dict."""
    parts = getattr(prior, "priors_", None)
    if parts is not None:
        found = {f"{name} weights_": np.asarray(prior.weights_)}
        for number, part in enumerate(parts):
            found |= matrices(part, f"{name} {number}")
        return found
    matrix = getattr(prior, "matrix_", None)
    return {} if matrix is None else {name: np.asarray(matrix)}


def taught_by(model, signals):
    """What the teachers of a student answer.   -> dict."""
    found = {}
    for name, signal in TEACHERS.items():
        teacher = getattr(model, name, None)
        given = [v for k, v in signals.items() if k.rpartition("__")[2] == signal]
        if teacher is not None and given:
            seen = given[0][:N_SHOWN]
            if signal == "X_future_unlabeled":
                seen = np.asarray(seen)
                seen = seen[~np.isnan(seen).reshape(len(seen), -1).all(axis=1)]
            found[f"{name} predict_proba"] = answers(teacher, "predict_proba", seen)
    return found


def attributes(model):
    """Attributes of a fitted model that are numbers.   -> dict."""
    found = {name: np.array(getattr(model, name, None)) for name in NUMBERS}
    found = {name: value for name, value in found.items() if value.dtype != object}
    weights = getattr(model, "weights_", None)  # of a history teacher
    if isinstance(weights, dict):
        found |= {f"weights_ {k}": np.array(v) for k, v in weights.items()}
    for name, weight in getattr(model, "heads_", {}).items():
        found[f"heads_ {name}"] = np.asarray(weight)
    found |= matrices(getattr(model, "prior_", None)) | history_of(model)
    for number, member in enumerate(getattr(model, "estimators_", [])):
        found |= {f"{number} {k}": v for k, v in attributes(member).items()}
    return found


def given_by(model, shown, signals):
    """All that is compared of a fitted model.   -> dict of name to array."""
    found = {}
    if isinstance(model, GridSearchCV):
        found["mean_test_score"] = model.cv_results_["mean_test_score"]
        model = model.best_estimator_
    found["classes_"] = np.asarray(model.classes_)
    found["predict_proba"] = answers(model, "predict_proba", shown)
    last, seen = model, shown
    if isinstance(model, Pipeline):
        last, seen = model[-1], model[:-1].transform(shown)
    if len(getattr(last, "anticipation_times_", [])) > 1:
        found["staged_predict_proba"] = answers(last, "staged_predict_proba", seen)
    if hasattr(last, "feature_map"):
        found["feature_map"] = answers(last, "feature_map", seen)
    return found | attributes(last) | taught_by(last, signals)


def results(fit, folder):
    """Fit a model, as often as it says.   -> dict of name to array."""
    if fit.model is None:
        return {"skipped": np.array("skipped: transformers is not installed")}
    found = {}
    try:
        np.random.seed(0)
        torch.manual_seed(0)
        model = fit.model() if callable(fit.model) else fit.model
        for turn in range(fit.times):
            model.fit(fit.X, fit.y, **fit.signals)
            given = given_by(model, fit.X[:N_SHOWN], fit.signals)
            found |= {k if turn == 0 else f"{k}, again": v for k, v in given.items()}
    except Exception as error:
        found["error"] = text_of(error)
    return {k: without_places(v, folder) for k, v in found.items()}


def run(pick):
    """Do the fits that are picked.   -> dict of "fit: array" to array."""
    arrays = {}
    with tempfile.TemporaryDirectory() as folder:
        for fit in pick(all_fits(folder)):
            with (
                warnings.catch_warnings(),
                config_context(enable_metadata_routing=fit.routed),
            ):
                warnings.simplefilter("ignore")  # of rows and classes that are few
                found = results(fit, folder)
            for name in {"error", "skipped"} & set(found):
                print(f"{fit.name}: {found[name]}", flush=True)
            for name, array in found.items():
                if f"{fit.name}: {name}" in arrays:
                    raise ValueError(f"There are two fits of the name {fit.name!r}.")
                arrays[f"{fit.name}: {name}"] = array
    return arrays


# ----------------------------------------------------------------------- comparing


def difference(before, now):
    """Largest difference, absolute or relative to the largest entry.   -> float."""
    if before is None or now is None or before.shape != now.shape:
        return np.inf
    if before.dtype.kind not in "biuf" or now.dtype.kind not in "biuf":
        return 0.0 if np.array_equal(before, now) else np.inf
    before, now = before.astype(float), now.astype(float)
    if np.array_equal(before, now, equal_nan=True):
        return 0.0
    same = (before == now) | (np.isnan(before) & np.isnan(now))
    gap = np.abs(before[~same] - now[~same]).max()
    scale = np.abs(before[np.isfinite(before)]).max(initial=0.0)
    if np.isnan(gap):
        return np.inf
    return max(gap, gap / scale if scale else gap)


def compare(before, now):
    """Print what differs, and a summary.   -> number of arrays that differ."""
    names = list(dict.fromkeys([*before, *now]))
    gaps = {name: difference(before.get(name), now.get(name)) for name in names}
    differ = [name for name, gap in gaps.items() if gap > TOLERANCE]
    for name in differ:
        print(f"{name}: {gaps[name]:.1e}{how(before.get(name), now.get(name))}")
    fits = {name.partition(": ")[0] for name in names}
    largest = max(gaps.values(), default=0.0)
    print(
        f"{len(fits)} fits, {len(names)} arrays, {len(differ)} differ, "
        f"largest difference {largest:.1e}"
    )
    return len(differ)


def how(before, now):
    """What differs where it is not a number."""
    if before is None or now is None:
        return " (only now)" if before is None else " (only before)"
    if before.shape != now.shape:
        return f" (shape {before.shape}, now {now.shape})"
    if before.dtype.kind == "U" and before.ndim == 0:
        return f" ({before}, now {now})"
    return ""


# -------------------------------------------------------------------- command line


def read(path, only):
    """Arrays of the fits that are picked.   -> dict."""
    with np.load(path) as stored:
        return {k: stored[k] for k in stored if only in k.partition(": ")[0]}


def tiny():
    """Store and compare a handful of fits.   -> number of arrays that differ."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fits.npz")
        np.savez(path, **run(lambda fits: fits[::STEP]))
        return compare(read(path, ""), run(lambda fits: fits[::STEP]))


def main():
    """Store what fits give, or compare it with what was stored."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--store", metavar="FILE", help="npz file to write")
    what.add_argument("--compare", metavar="FILE", help="npz file to compare with")
    what.add_argument("--tiny", action="store_true", help="a run that only shows it")
    parser.add_argument("--only", default="", help="fits with this in their names")
    options = parser.parse_args()
    print(f"skanticipate {skanticipate.__version__} of {skanticipate.__path__[0]}")
    if options.tiny:
        sys.exit(min(tiny(), 1))
    start = time.perf_counter()
    arrays = run(lambda fits: [fit for fit in fits if options.only in fit.name])
    if not arrays:
        parser.error(f"no fit has {options.only!r} in its name")
    print(f"{time.perf_counter() - start:.0f} s")
    if options.compare:
        sys.exit(min(compare(read(options.compare, options.only), arrays), 1))
    np.savez(options.store, **arrays)
    compare(arrays, read(options.store, options.only))


if __name__ == "__main__":
    main()
