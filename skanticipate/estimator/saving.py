"""Estimators in files: `save` writes them, `load` reads them."""

from collections.abc import Mapping

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skanticipate.data.warn import warn
from skanticipate.estimator import state
from skanticipate.networks.base import NetworkSpec


class SaveMixin:
    """Gives an estimator the method `save`."""

    def save(self, path):
        """Write the fitted estimator to a safetensors file, for `skanticipate.load`.

        Parameters
        ----------
        path : str or path-like
            File to write; an old one is replaced once the new one is complete.
            Callbacks are left out, and a `random_state` that is a generator becomes
            None: neither says anything about predictions. Nor do pre-trained weights
            that a network was given as a mapping: they become None, with a warning.
            Of those in a file the path is written.
        """
        check_is_fitted(self)
        written = _without_mappings(self)
        if written is not self:
            warn(
                "save() leaves out the pre-trained weights that a network was given as "
                "a mapping: the trained ones are saved, and the loaded estimator has "
                "weights=None. Give the path of a safetensors file to keep the name."
            )
        state.write(path, written)


def _without_mappings(value):
    """An estimator, or what it holds, without mappings of pre-trained weights.

    The same object where there are none.
    """
    if isinstance(value, list | tuple):
        inner = list(map(_without_mappings, value))
        changed = any(a is not b for a, b in zip(inner, value, strict=True))
        if not changed:
            return value
        return tuple(inner) if isinstance(value, tuple) else inner
    if not isinstance(value, BaseEstimator):
        return value
    changed = {
        name: new
        for name, old in vars(value).items()
        if (new := _without_mappings(old)) is not old
    }
    if isinstance(value, NetworkSpec):
        if isinstance(vars(value).get("weights"), Mapping):
            changed["weights"] = None
    if not changed:
        return value
    copy = object.__new__(type(value))  # of which nothing is built again
    vars(copy).update(vars(value) | changed)
    return copy


def load(path, *, trusted=()):
    """Read a fitted anticipator or teacher from a file that its `save` wrote.

    The file is a safetensors file: arrays and a description, no code. Only classes of
    this package, and those that you name, are built from it.

    Parameters
    ----------
    path : str or path-like
        File to read.
    trusted : sequence of classes, default=()
        Classes of your own that may stand in the file, such as a network spec.

    Returns
    -------
    estimator
        As it was when saved; predictions are the same to the bit.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is none of ours, or holds a class that is not trusted.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, skanticipate
    >>> X, y = np.eye(4), [0, 1, 0, 1]
    >>> model = skanticipate.SmoothedAnticipator(max_epochs=2).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     again = skanticipate.load(path)
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    return state.read(path, trusted)
