"""Actions of whole videos, as lists of labels."""

from collections.abc import Mapping, Set

from skanticipate.data.boxes import refuse_identical
from skanticipate.data.missing import as_list
from skanticipate.data.places import check_ascending


def checked_sequences(sequences):
    """Actions of each video, as lists.

    Raises
    ------
    ValueError
        If they are named, one of them is a single label, has no order or, by its index,
        another one, or a label is itself a list.
    """
    if isinstance(sequences, Mapping) or hasattr(sequences, "columns"):
        raise ValueError(
            "sequences must be a list that holds the list of labels of each video, got "
            f"a {type(sequences).__name__}: pass its values, list(sequences.values()) "
            "of a dict, or datasets.label_sequences of a table of segments."
        )
    if hasattr(sequences, "groups"):  # of pandas: pairs of name and table
        raise ValueError(
            "sequences must be a list that holds the list of labels of each video, got "
            f"a {type(sequences).__name__}: pass [list(labels) for _, labels in "
            "table.groupby('video')['action']] of rows in the order of time, or "
            "datasets.label_sequences of a table of segments."
        )
    lists = []
    for k, sequence in enumerate(as_list(sequences)):
        is_table = isinstance(sequence, Mapping) or hasattr(sequence, "columns")
        single = isinstance(sequence, str) or not hasattr(sequence, "__len__")
        if is_table or single or isinstance(sequence, Set):
            raise ValueError(
                "sequences must hold a list of labels for each video, in the order of "
                f"time, got {sequence!r:.200} in place of such a list: a single "
                "video is [labels]."
            )
        check_ascending(sequence, f"sequences[{k}]")
        lists.append(as_list(sequence))
        refuse_identical(lists[-1], f"sequences[{k}]")
        if any(hasattr(v, "__len__") and not isinstance(v, str) for v in lists[-1]):
            raise ValueError(
                "sequences must hold a list of labels for each video, got "
                f"{lists[-1]!r:.80}, of which one is itself a list or a table: pass "
                "the labels alone, without the name of the video."
            )
    return lists
