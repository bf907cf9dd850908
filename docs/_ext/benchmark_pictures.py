"""Pictures of results of benchmarks, readable in grey and on a telephone."""

import matplotlib as mpl
import numpy as np
from common.tables import columns_of
from matplotlib.figure import Figure

from skanticipate.plotting._look import COLOURS, wrapped

mpl.rcParams["svg.hashsalt"] = "skanticipate"  # the same file from the same numbers

WIDTH = 5.2  # inches: letters of size 9 are read on 400 pixels too
SETTINGS = {  # file -> its name, marker
    "fair_manoeuvres_10": ("manoeuvres, 10 % of the labels", "o"),
    "fair_manoeuvres_20": ("manoeuvres, 20 %", "s"),
    "fair_salads_20": ("50 Salads, 20 %", "^"),
}
ARMS = {  # row of the tables -> what it is called here
    "soft targets, teacher of the past": "soft targets, but of the past",
    "soft targets": "soft targets",
    "start, soft targets": "start and soft targets",
    "start, soft targets, weak": "the same and maps (weak)",
}


def gains(folder):
    """Gains over plain students, of each way to be taught, with two standard errors."""
    tables = {
        name: columns_of((folder / f"{name}.csv").read_text()) for name in SETTINGS
    }
    figure = Figure(figsize=(WIDTH, 6.2), layout="constrained")
    panels = {"accuracy over plain": "points", "log loss over plain": "nats"}
    for ax, (column, unit) in zip(figure.subplots(2), panels.items(), strict=True):
        for k, (name, (label, marker)) in enumerate(SETTINGS.items()):
            at, gain, error = _gains_of_arms(tables[name], column)
            ax.errorbar(
                gain,
                at + 0.22 * (k - 1),
                xerr=2 * error,
                fmt=marker,
                color=COLOURS[k],
                label=label,
                capsize=3,
            )
        ax.axvline(0, color="0.4", linewidth=1)
        ax.set_yticks(range(len(ARMS)), [wrapped(arm, 18) for arm in ARMS.values()])
        ax.set_ylim(len(ARMS) - 0.5, -0.5)
        ax.set_xlabel(f"{column}, {unit}")
        _tidy(ax, "x")
    figure.legend(
        *ax.get_legend_handles_labels(), loc="outside upper left", frameon=False
    )
    return figure


def _gains_of_arms(table, column):
    """Places of the arms that a table has, their gains, the larger standard errors."""
    found = {row: i for i, row in enumerate(table["row"])}
    kept = [(at, found[arm]) for at, arm in enumerate(ARMS) if arm in found]
    at, rows = np.array(kept).T
    errors = [table[f"{column}: se {over}"] for over in ("seeds", "clips")]
    return at, np.array(table[column])[rows], np.max(errors, axis=0)[rows]


def searches(folder):
    """How many times as long peers take, on a scale of powers of two."""
    table = columns_of((folder / "searches.csv").read_text())
    points = {"skorch, one by one": [], "ours, one by one": []}
    names = []
    for job, peer, ratio in zip(
        table["job"], table["peer"], table["peer / ours [x]"], strict=True
    ):
        if peer == "bare products":
            continue
        kind, _, how = peer.partition(", ")
        name = job.removeprefix("search, ").replace("r(", "r (")
        name = f"{name}, {how}" if how else name
        if name not in names:
            names.append(name)
        whose = "skorch" if "skorch" in kind else "ours"
        points[f"{whose}, one by one"].append((ratio, names.index(name)))
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    ax = figure.subplots()
    for k, (label, found) in enumerate(points.items()):
        x, y = zip(*found, strict=True)
        ax.plot(x, y, "so"[k], color=COLOURS[1 - k], label=label)
    ax.axvline(1, color="0.4", linewidth=1)
    ax.set_xscale("log", base=2)
    ax.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    ax.set_yticks(range(len(names)), [wrapped(name, 22) for name in names], fontsize=9)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel("time of the peer over ours")
    _tidy(ax, "both")
    figure.legend(loc="outside upper left", frameon=False, ncols=2)
    return figure


def memory(folder):
    """What an epoch adds to memory, before and now, over the rows."""
    table = columns_of((folder / "memory.csv").read_text())
    classes, rows = np.array(table["classes"]), np.array(table["rows"])
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    ax = figure.subplots()
    for when, line, fill in (("before", ":", "none"), ("now", "-", "full")):
        megabytes = np.array(table[f"epoch, MB, {when}"])
        for k, n in enumerate(np.unique(classes)):
            at = classes == n
            ax.plot(
                rows[at],
                megabytes[at],
                linestyle=line,
                marker="os"[k],
                fillstyle=fill,
                color=COLOURS[k],
                label=f"{n:,.0f} classes, {when}",
            )
    ax.set(xscale="log", yscale="log", xlabel="rows", ylabel="memory of an epoch, MB")
    _tidy(ax, "both")
    figure.legend(loc="outside upper left", frameon=False, ncols=2)
    return figure


def _tidy(ax, axis):
    ax.grid(axis=axis, color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


PICTURES = {  # file -> what its picture shows, and who draws it
    "fair_manoeuvres_20": (
        "Gains of this table and of the two below, with two standard errors (the "
        "larger of both kinds): accuracy is better to the right, log loss to the left.",
        gains,
    ),
    "searches": (
        "To the right of 1, training together is faster; the scale doubles.",
        searches,
    ),
    "memory": ("Both scales are logarithmic.", memory),
}
