"""Axes of clips by models, and the bars in them."""

import numpy as np


def given_axes(ax, shape):
    axes = np.ravel(ax)
    if len(axes) != shape[0] * shape[1]:
        raise ValueError(
            f"ax must hold one Axes for each of {shape[0]} clips and {shape[1]} "
            f"models, got {len(axes)}."
        )
    return axes.reshape(shape)


def new_axes(plt, shape, names):
    """Axes of clips by models, with room for bars, titles and the longest name."""
    lines = [name.split("\n") for name in names]
    n_clips, n_models, n_bars = shape
    bar = 0.14 * max(map(len, lines)) + 0.08
    width = 2.6 + 0.075 * max(len(line) for name in lines for line in name)
    height = bar * max(4, n_bars) + 0.9
    _, axes = plt.subplots(
        n_clips,
        n_models,
        figsize=(n_models * width + 0.6, n_clips * height),
        squeeze=False,
        layout="constrained",
    )
    return axes


def mark(bar, name, color):
    """Mark the truth: by colour, and by what is seen without it."""
    bar.set(facecolor=color, hatch="///", edgecolor="black")
    name.set_fontweight("bold")


def tidy(ax, n_bars, limit):
    ax.set(xlim=(0, limit), ylim=(n_bars - 0.4, -0.6))  # the first bar at the top
    ax.set_xlabel("probability", fontsize=8)
    ax.tick_params(axis="x", labelsize=8)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)
