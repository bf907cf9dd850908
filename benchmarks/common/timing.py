"""Time of calls, and calls in turns."""

import time

import numpy as np


def cpu_seconds(call, *args):
    """CPU seconds of this process for a call, and what the call gives."""
    start = time.process_time()
    answer = call(*args)
    return time.process_time() - start, answer


def wall_seconds(call, *args):
    """Seconds of a call, and what the call gives."""
    start = time.perf_counter()
    answer = call(*args)
    return time.perf_counter() - start, answer


def cpu_ms(call, *args):
    """Milliseconds of CPU of a call, from as many as take 50 ms."""
    calls, start = 0, time.process_time()
    while time.process_time() - start < 0.05 or not calls:
        call(*args)
        calls += 1
    return 1e3 * (time.process_time() - start) / calls


def in_turns(measure, variants, rounds):
    """Measure every variant once a round, so that a slow moment is not that of one.

    Parameters
    ----------
    measure : callable
        Takes a variant and gives its time.
    variants : iterable of V objects
        What is compared.
    rounds : int
        How often; the caller drops the first where it only warms up.

    Returns
    -------
    list of `rounds` lists of V objects
        What `measure` gives.
    """
    return [[measure(variant) for variant in variants] for _ in range(rounds)]


def medians(measure, variants, rounds):
    """Median time of each variant, and of the ratio of each to the first."""
    times = np.array(in_turns(measure, variants, rounds + 1)[1:])  # the first warms up
    return np.median(times, axis=0), np.median(times / times[:, :1], axis=0)


def seconds_on(device):
    """Clock of calls that compute on a device: CPU time on a CPU, else wall time."""
    return cpu_seconds if device == "cpu" else wall_seconds


def epoch_seconds(fit, epochs, clock=cpu_seconds):
    """Seconds of an epoch: a long fit less a short one.

    Parameters
    ----------
    fit : callable
        Number of epochs -> anything.
    epochs : int
        By how many the long fit is longer than the short one, of one epoch.
    clock : callable, default=cpu_seconds
        As `seconds_on` gives it.
    """
    long, short = (clock(fit, n)[0] for n in (1 + epochs, 1))
    return (long - short) / epochs
