"""Maps as images: axes of a fitting size, and the steps of a map side by side."""

import numpy as np


def new_axes(plt, panels, clips, colorbar):
    """One axes a panel: a row for each clip.

    Panels of a single clip stand below each other where they are wide.
    """
    shapes = [_mosaic_shape(grid.shape) for _, _, grid in panels]
    height, width = np.max(shapes, axis=0).tolist()
    n_bars = colorbar * len({group for _, group, _ in panels})
    wide = clips is None and width > 2 * height
    n_rows = 1 if clips is None else len(clips)
    n_columns = len(panels) // n_rows
    cell = 2.6 / max(height, width)
    gap = max(0.3, 0.8 - cell * height)  # a row is as high as its name is long
    if wide:  # cells of a short strip shall not be huge
        n_rows, n_columns = n_columns, 1
        cell, gap = min(8 / width, 2.6 / max(4, height)), 0.9
    size = (
        n_columns * cell * width + 0.8 * n_bars + 0.6,
        n_rows * (cell * height + gap) + 1.1 - gap,
    )
    _, axes = plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, layout="constrained"
    )
    return list(axes.ravel())


def _mosaic_shape(shape):
    """Rows and columns of the image of a grid."""
    if not 1 <= len(shape) <= 3:
        raise ValueError(
            f"A map has one to three axes, time first, got a grid of {shape}."
        )
    if len(shape) == 1:
        return 1, shape[0]
    if len(shape) == 2:
        return shape
    steps, height, width = shape
    return height, steps * width


def draw_map(ax, grid, *, cmap, title):
    """Draw a grid as an image; the images of its steps side by side."""
    image = np.moveaxis(grid, 0, -2) if grid.ndim == 3 else grid  # (h, l, w)
    image = image.reshape(_mosaic_shape(grid.shape))
    im = ax.imshow(np.ma.masked_invalid(image), cmap=cmap, interpolation="nearest")
    ax.set(title=title, yticks=[], anchor="W")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    n_steps = 0 if grid.ndim == 2 else len(grid)
    width = image.shape[1] / max(n_steps, 1)
    named = np.arange(0, n_steps, max(1, -(-n_steps // 10)))  # ten at most
    ax.set_xticks(width * (named + 0.5) - 0.5, named + 1)
    for step in range(1, n_steps):
        ax.axvline(step * width - 0.5, color="white", linewidth=min(3, 30 / n_steps))
    if n_steps:
        ax.set_xlabel("step")
    return im
