"""Colours, lines and texts that stay apart, without colours too."""

from textwrap import wrap

# Okabe and Ito's colours, which colour-blind readers can tell apart; their yellow is
# too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHES = ("-", "--", "-.", ":")


def line_style(k):
    """Style of line number k, as arguments of `Axes.plot`.

    The lengths 7, 4 and 9 have no common divisor: colour and dashes alone tell 28
    lines apart, dashes and marker 36.

    Examples
    --------
    >>> line_style(8)
    {'color': '#D55E00', 'linestyle': '-', 'marker': '>'}
    """
    return {
        "color": COLOURS[k % len(COLOURS)],
        "linestyle": DASHES[k % len(DASHES)],
        "marker": MARKERS[k % len(MARKERS)],
    }


def wrapped(text, width, n_lines=3):
    """Text in short lines, and an ellipsis if there are more of them.

    Examples
    --------
    >>> print(wrapped("put down the large cutting board", 14, n_lines=2))
    put down the
    large cutting…
    """
    lines = wrap(str(text), width)
    if len(lines) > n_lines:
        lines[n_lines - 1 :] = [lines[n_lines - 1][: width - 1] + "…"]
    return "\n".join(lines)


def legend_beside(ax, width=28, handles=None):
    """Name the lines at the right of the axes, where no data are.

    `handles` are lines of other axes too; None: those of the axes.
    """
    if handles is None:
        handles, _ = ax.get_legend_handles_labels()
    return ax.legend(
        handles,
        [wrapped(handle.get_label(), width) for handle in handles],
        loc="upper left",
        bbox_to_anchor=(1.02, 1),
        borderaxespad=0,
        handlelength=3,  # room for dashes
        frameon=False,
    )
