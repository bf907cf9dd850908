"""Warnings that name the line of the user, whatever stands between."""

import sys
import sysconfig
import warnings
from pathlib import Path

_PACKAGE = __name__.partition(".")[0]

# Code that no user wrote: this package, the standard library, installed packages.
_NOT_THE_USERS = tuple(
    f"{folder}/"
    for folder in {
        Path(__file__).parents[1].as_posix(),
        *(
            Path(sysconfig.get_path(name)).as_posix()
            for name in ("stdlib", "platstdlib", "purelib", "platlib")
        ),
    }
)


def warn(message, category=UserWarning):
    """Warn of something at the innermost line that the user wrote.

    Searches, Pipelines, callbacks and worker processes stand between a fit and its
    caller, now these and now those, so the frame is found and not counted. Where there
    is none, as in a worker process, the warning names the outermost frame.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and not is_the_users(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def is_called_by(module, function=None):
    """Whether a function of a module, any or one, waits for what calls this one."""
    return any(
        frame.f_globals.get("__name__") == module
        and function in (None, frame.f_code.co_name)
        for frame in callers()
    )


def callers():
    """List the frames that wait for what calls this one, the innermost first.

    Whose own is not among them: it may keep the list without keeping itself alive.
    """
    found, frame = [], sys._getframe(2)
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def is_one_of_many():
    """Whether a search, a validation, `fit_many` or a display of many fits waits."""
    ours = f"{_PACKAGE}.estimator.many", f"{_PACKAGE}.plotting.label_fraction"
    names = ("sklearn.model_selection._validation", *ours)
    return any(map(is_called_by, names))


def calling_module():
    """Name of the module whose function has called into this package, or None."""
    frame, ours = sys._getframe(1), f"{_PACKAGE}."
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if not name.startswith(ours):
            return name
        frame = frame.f_back
    return None


def is_the_users(path):
    """Whether a file of code is neither this package's nor installed."""
    path = Path(path)
    if {"site-packages", "dist-packages"} & set(path.parts):  # the user's folder too
        return False
    return not path.as_posix().startswith((*_NOT_THE_USERS, "<frozen "))
