"""Calls of the public functions and estimators, with what is mostly right.

A call is a fit and a prediction, a transformation, a metric, a cut of a table, of tiny
data. It succeeds, or raises ValueError or TypeError from a line that says so; an error
out of the depths of NumPy or torch is none that anybody documented. After each call
the caller's arrays and what all of the process share are as they were.
"""

import linecache
import os
import random
import traceback
import warnings

import numpy as np
import sklearn
import torch
from bounded import Reader
from call_inputs import KEPT, same
from call_ways import WAYS as OF_ONE
from calls_of_several import WAYS as OF_SEVERAL

WAYS = OF_ONE + OF_SEVERAL


class Calls(Reader):
    """Calls with random parameters and data."""

    name = "calls"
    refusals = ()

    def prepare(self, folder):
        for k in range(3 * len(WAYS)):  # what is imported late
            rng = random.Random(k)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    WAYS[k % len(WAYS)](rng)
            except (ValueError, TypeError):
                pass

    def make(self, rng):
        return {}

    def read(self, folder, rng):
        way = rng.choice(WAYS)
        before = shared()
        given = []
        KEPT[:] = []
        try:
            way(rng)
        except (ValueError, TypeError, IndexError, OSError) as error:
            if isinstance(error, OSError) or said_so(error):
                raise Documented(str(error)) from None
            raise
        finally:
            given[:] = [(value, copied) for value, copied in KEPT]
            check_shared(before, shared())
            for value, copied in given:
                assert same(value, copied), "an array of the caller has changed"


class Documented(ValueError):
    """An error that a line of ours, or of scikit-learn's checks, raised on purpose."""


Calls.refusals = (Documented,)
Calls.names_file = False


def said_so(error):
    """Whether an error comes from a line that raises it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if "/sklearn/" in last.filename:
        return True
    if "inhomogeneous" in str(error):  # NumPy's own words for rows of several lengths
        return True
    line = linecache.getline(last.filename, last.lineno)
    return "/skanticipate/" in last.filename and "raise " in line


def shared():
    """What all of a process share."""
    return {
        "numpy": np.random.get_state()[1].tobytes(),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "random": hash(random.getstate()),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "filters": list(warnings.filters),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "errors of numpy": np.geterr(),
        "config": sklearn.get_config(),
    }


def check_shared(before, after):
    changed = [name for name, value in before.items() if value != after[name]]
    assert not changed, f"changed: {changed}"
