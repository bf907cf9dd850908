"""Parameters that a user gives to a preset by keyword."""

from sklearn.base import clone

# What a teacher of clips may have like its student.
_ALIKE = (
    *("max_epochs", "batch_size", "optimizer", "lr", "momentum", "nesterov"),
    *("weight_decay", "max_grad_norm", "lr_schedule", "classes"),
    *("dtype", "device", "n_threads", "verbose", "network"),
)


def with_given(estimator, parameters):
    """Set what a user gave.   -> the estimator.

    Raises
    ------
    ValueError
        If the estimator has no parameter of a name.
    """
    try:
        return estimator.set_params(**parameters)
    except AttributeError as error:  # of a part that is None
        raise ValueError(
            f"One of the parameters {sorted(parameters)} is of a part that this "
            f"estimator does not have ({error}): give the part itself."
        ) from error


def also_for_teacher(student, parameters):
    """Parameters, with those that a preset gives student and teacher alike for both.

    What is given as ``teacher__...`` stays the teacher's own.
    """
    if "teacher" in parameters:
        return parameters
    known = student.get_params()
    twins = {
        f"teacher__{name}": clone(value, safe=False)
        for name, value in parameters.items()
        if name.partition("__")[0] in _ALIKE
        and f"teacher__{name}" in known
        and repr(known[name]) == repr(known[f"teacher__{name}"])
    }
    return twins | parameters
