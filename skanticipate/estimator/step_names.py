"""What the tables that a stream reads call their features and their videos."""

from typing import Any, NamedTuple

from skanticipate.data.axes import check_axes, has_columns, index_of
from skanticipate.data.leaves import first_table
from skanticipate.data.names import (
    check_column_order,
    check_columns_alike,
    check_order,
    column_names,
    row_names,
)
from skanticipate.data.places import check_ascending

_BEFORE = ", next to those of an earlier step,"


class StepNames(NamedTuple):
    """Names that the steps so far had, None where they had none."""

    videos: Any = None
    features: Any = None


def check_names_of_step(X, known, *, is_one, reader):
    """Refuse features named otherwise than in fit, and what steps before had elsewhere.

    Parameters
    ----------
    X : object
        A step, or several.
    known : StepNames
        Of the steps before.
    is_one : bool
        Whether there is one video, so that the rows of a table are its steps.
    reader : estimator
        What reads X first, a model or a transformer.

    Returns
    -------
    known : StepNames
        With those of this step.

    Raises
    ------
    ValueError
        If steps of a table do not rise; if features have other names than in fit, or
        features or videos those of an earlier step in another order.
    """
    videos, features = known
    if is_one and has_columns(X):
        check_ascending(X, "X")  # several steps, the latest last
    elif not is_one and (found := row_names(X)) is not None:
        check_order(found, videos or found, f"The rows of X{_BEFORE}")
        videos = found
    names_own = index_of(X) is not None or hasattr(X, "_fields")
    is_row = names_own and not has_columns(X)  # a Series, a tuple with names
    table = [X] if is_row else first_table(X)
    check_axes(X, name="X", estimator=reader, reset=False)
    check_columns_alike(table, getattr(reader, "_columns", None), name="X")
    # Of a fit on arrays no names are known, but those of the first table are.
    check_column_order(table, features, name=f"X{_BEFORE}")
    return StepNames(videos, features or column_names(table))
