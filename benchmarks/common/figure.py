"""A figure with a line for each row of a table."""

from contextlib import contextmanager

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from common.report import OUTPUT


@contextmanager
def figure_of_rows(name, rows, height):
    """Axes whose row k is that of the k-th name from below, saved at the end.

    Parameters
    ----------
    name : str
        Name of the file in the folder of results, without its ending.
    rows : list of str
        Names of the rows, from below.
    height : float
        Inches.
    """
    fig, ax = plt.subplots(figsize=(8, height), layout="constrained")
    yield ax
    ax.set_yticks(range(len(rows)), rows)
    OUTPUT.mkdir(exist_ok=True)
    fig.savefig(OUTPUT / f"{name}.png", dpi=110)
    plt.close(fig)
