"""What arrays call their axes, those in files too, and what such names mean."""

import re
import sys

_COUNTED = re.compile(r"dim_\d+")  # what xarray calls axes that nobody named
_OF_NETCDF = "This is a netCDF dimension"  # whose name is that of its dataset
_OF_ZARR = "_ARRAY_DIMENSIONS"  # an attribute, before zarr had names of its own
# What axes are mostly called, in the singular and in small letters.
_ROWS = {"clip", "row", "sample", "segment", "video"}
_STEPS = {"ago", "frame", "second", "step", "t", "time"}
_FEATURES = {"channel", "feature"}
_PLACES = {"h", "height", "w", "width", "x", "y"}


def dims_of(table):
    """What an array of xarray, or a view, calls its axes.   -> tuple, or None."""
    dims = getattr(table, "dims", None)
    return dims if isinstance(dims, tuple) and hasattr(table, "indexes") else None


def named_axes(table):
    """What an array calls its axes, None for one without a name.   -> tuple, or None.

    An array of xarray, or a dataset of h5py or zarr, in whose file the names stand.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> named_axes(SimpleNamespace(attrs={"_ARRAY_DIMENSIONS": ["feature", "time"]}))
    ('feature', 'time')
    """
    names = dims_of(table)
    h5py = sys.modules.get("h5py")
    if h5py is not None and isinstance(table, h5py.Dataset):
        names = [_name_in_hdf5(axis) for axis in table.dims]
    elif names is None:
        names = getattr(getattr(table, "metadata", None), "dimension_names", None)
        names = names or getattr(table, "attrs", {}).get(_OF_ZARR)
    if names is None or not any(names):
        return None
    return tuple(None if _is_counted(name) else name for name in names)


def _name_in_hdf5(axis):
    """Label of an axis, or the name of its coordinates, or none."""
    if axis.label or not len(axis):
        return axis.label
    (name, *_), path = axis.keys(), axis[0].name or ""
    return path.rpartition("/")[2] if name.startswith(_OF_NETCDF) else name


def _is_counted(name):
    return not name or _COUNTED.fullmatch(str(name)) is not None


def are_elsewhere(axes):
    """Whether axes say by their names that rows are not first, or features not last.

    Examples
    --------
    >>> are_elsewhere(["clip", "features", "time"]), are_elsewhere(["clip", "x", "d"])
    (True, False)
    """
    called = [str(axis).casefold().removesuffix("s") for axis in axes]
    if len(called) < 2:
        return False
    (first, *later), (*before, last) = called, called
    rows_later = first in _STEPS | _FEATURES and not _ROWS.isdisjoint(later)
    features_before = last in _STEPS | _PLACES and not _FEATURES.isdisjoint(before)
    return rows_later or features_before


def in_words(axes):
    """The names of axes, of some of which there may be none, as a text."""
    return ", ".join("..." if axis is None else str(axis) for axis in axes)
