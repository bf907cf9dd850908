"""Whole numbers that pass for features: bits of halves, codes and labels."""

import numpy as np

from skanticipate.data.layout import shape_text, some_of
from skanticipate.data.padded import n_leading, vary
from skanticipate.data.stored import bits_of
from skanticipate.data.warn import warn


def hint_whole_numbers(rows, *, may_embed):
    """Warn of features that seem to be whole numbers of another kind.

    Parameters
    ----------
    rows : RowView of shape (n, d), (n, T, d) or (n, ..., d)
        Whole numbers.
    may_embed : bool
        Whether the network would take codes of labels too.
    """
    hint_bits(rows)
    if rows.ndim == 2:
        _hint_labels(rows)
    elif may_embed and rows.ndim == 3:
        _hint_codes(rows)


def hint_bits(rows):
    """Warn of whole numbers that look like the bits of features in half precision."""
    if rows.dtype.kind not in "iu" or rows.dtype.itemsize != 2:
        return
    if kind := bits_of(np.concatenate(list(some_of(rows)))):
        warn(
            f"The clips of shape {shape_text(rows)} are whole numbers of 16 bits, "
            f"{rows.dtype}, and look like the bits of {kind}: convert the features to "
            "float32 where they were written, or pass these as float32 if they are "
            "numbers."
        )


def _hint_codes(rows):
    """Warn of codes of labels (n, T, k), as `HistoryEncoder` gives them.

    They are whole numbers of 32 bits, of which -1 is padding: those of actions alone,
    or of verbs, nouns and actions, each of which has one verb and one noun. The latter
    are told in other types of whole numbers too, where actions occur again.
    """
    are_plain, width = rows.dtype == np.int32, rows.shape[-1]
    if not (width == 3 or (width == 1 and are_plain)):
        return
    codes = np.concatenate(list(some_of(rows))).reshape(-1, rows.shape[-1])
    actions, n_times = np.unique(codes[:, -1], return_counts=True)
    if width == 1:
        are_codes = actions[0] == -1
    else:
        are_codes = actions[0] >= -1 and len(np.unique(codes, axis=0)) == len(actions)
        are_codes &= are_plain or (len(actions) > 3 and np.median(n_times) > 1)
    if are_codes:
        warn(
            f"Clips of shape {shape_text(rows)} hold whole numbers, read as features "
            "of which a larger one is more. If they are codes of labels, as "
            "HistoryEncoder gives them, set embedding= of the network, or "
            "form='onehot' of the encoder; else pass floats."
        )


def _hint_labels(rows):
    """Warn of labels of past actions (n, L).

    They are whole numbers, of which -1 stands before all others in some rows.
    """
    if rows.dtype.kind != "i" or rows.shape[1] < 2:
        return
    labels = np.concatenate(list(some_of(rows)))
    missing = labels == -1
    before = n_leading(missing)
    no_others = missing[~missing.all(axis=1)].sum() == before.sum()
    if vary(before) and no_others and labels.min() == -1 and labels.max() > 1:
        warn(
            f"Rows of shape {shape_text(rows)} hold whole numbers, read as features of "
            "which a larger one is more, and -1 before them, as labels of past actions "
            "do: encode these with HistoryEncoder, or pass floats."
        )
