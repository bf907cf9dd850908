"""Counts of labels, which pandas gives with the labels in their index."""


def refuse_counts(labels, name):
    """Refuse what `value_counts` or `groupby(...).size()` of pandas gave for labels.

    Parameters
    ----------
    labels : object
        Only a Series that has the name of counts, or none beside a named index.
    name : str
        What the labels are called.

    Raises
    ------
    ValueError
        If its values are counts.
    """
    index = getattr(labels, "index", None)
    if not hasattr(index, "names") or hasattr(labels, "columns"):
        return
    by_name = labels.name in ("count", "proportion")
    if by_name or (labels.name is None and index.name is not None):
        raise ValueError(
            f"{name} must be a list of labels, got a Series of counts, whose labels "
            f"are its index: pass list({name}.index); or list({name}), if its values "
            "are the labels."
        )
