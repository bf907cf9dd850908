"""What stands in lists of lists."""

from skanticipate.data.axes import has_columns


def first_leaf(rows):
    """What stands first in lists of lists, or None."""
    top = rows[0] if rows else None
    while _is_list(top):
        top = top[0] if top else None
    return top


def leaves(rows, within=""):
    """Yield what stands in lists of lists, and its place as text."""
    for k, row in enumerate(rows):
        if _is_list(row):
            yield from leaves(row, f"{within}{k}, ")
        else:
            yield f"{within}{k}", row


def _is_list(row):
    """Whether this is a list, or a tuple that does not name its entries."""
    return isinstance(row, list | tuple) and not hasattr(row, "_fields")


def first_table(X):
    """The first table of a list of tables, which becomes one array; else X itself."""
    parts = X if isinstance(X, list | tuple) else ()
    return next((part for part in parts if has_columns(part)), X)
