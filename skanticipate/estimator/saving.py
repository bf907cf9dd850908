"""Estimators in files: `save` writes them, `load` reads them."""

from sklearn.utils.validation import check_is_fitted

from skanticipate.data.warn import warn
from skanticipate.estimator import state


class SaveMixin:
    """Gives an estimator the method `save`."""

    def save(self, path):
        """Write the fitted estimator to a safetensors file, for `skanticipate.load`.

        Parameters
        ----------
        path : str or path-like
            File to write; an old one is replaced once the new one is complete.
            Callbacks are left out, and what says nothing about predictions becomes
            None: a `random_state` that is a generator, and with a warning a function as
            `optimizer` or `scoring` and a mapping of pre-trained `weights`. Of those in
            a file the path is written.
        """
        check_is_fitted(self)
        if left_out := state.write(path, self):
            warn(
                "Left out of the file, and None in what is loaded from it: "
                f"{', '.join(left_out)}. It predicts all the same: functions and "
                "pre-trained weights in memory are for a fit. Set them before the next."
            )


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
    TypeError
        If `trusted` is a single class.

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
    if isinstance(trusted, type):
        raise TypeError(
            f"trusted must be a list of classes, got the class {trusted.__name__}: "
            f"pass [{trusted.__name__}]."
        )
    return state.read(path, trusted)
