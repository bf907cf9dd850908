"""The same job done in several ways, in turns, and how they compare with ours."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common.report import print_header, print_row
from common.timing import in_turns


class Entry(NamedTuple):
    """A way to do a job.

    ``call`` does it. ``goal`` is how many times our time it should take at least, None
    where nothing is wanted. ``agrees`` says whether it should give what ours does.
    """

    name: str
    call: Callable
    goal: float | None = None
    agrees: bool = False


def contest(entries, measure, rounds):
    """Do a job in all ways, in turns.

    Parameters
    ----------
    entries : list of Entry
        Ours first.
    measure : callable
        ``call`` of an entry -> (seconds, answer).
    rounds : int
        How often.

    Returns
    -------
    times : ndarray of shape (rounds, E)
        Seconds.
    answers : list of E objects
        What each gave in the last round.
    """
    found = in_turns(measure, [entry.call for entry in entries], rounds)
    times = np.array([[seconds for seconds, _ in turn] for turn in found])
    return times, [answer for _, answer in found[-1]]


def print_contest_header(unit, *others):
    """Print the head of the table whose rows `print_contest` prints."""
    names = ("job", "peer", "peer / ours", "goal", f"peer, {unit}", f"ours, {unit}")
    print_header(*names, *others)


def print_contest(job, entries, times, *, scale=1.0, others=None):
    """Print a row for each peer: medians of its time and of its ratio to ours.

    Parameters
    ----------
    job : str
        What is done.
    entries, times : list of Entry, ndarray
        As in `contest`.
    scale : float, default=1.0
        Units in a second.
    others : dict of str to list of str, default=None
        Further cells of a peer.
    """
    ours, *medians = np.median(scale * times, axis=0)
    ratios = np.median(times[:, 1:] / times[:, :1], axis=0)
    for peer, median, ratio in zip(entries[1:], medians, ratios, strict=True):
        goal = "" if peer.goal is None else f">= {peer.goal:g}x"
        cells = [f"{ratio:.2f}x", goal, f"{median:.2f}", f"{ours:.2f}"]
        print_row(job, peer.name, *cells, *(others or {}).get(peer.name, []))
