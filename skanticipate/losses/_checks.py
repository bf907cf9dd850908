"""What the losses demand of their arguments, in the words a caller reads."""

from numbers import Real
from typing import Literal, get_args

import torch

Form = Literal["huber", "squared"]
Reduction = Literal["mean", "sum", "none"]
OfRows = Literal["mean", "none"]  # of losses that are no sums over positions
LARGEST = 1e15  # number by which scores are multiplied: float32 holds its square
FORMS, REDUCTIONS, OF_ROWS = map(get_args, (Form, Reduction, OfRows))


def check_option(name, value, options):
    """Raise unless the value is one of a few strings."""
    if not isinstance(value, str) or value not in options:
        listed = " or ".join(repr(option) for option in options)
        raise ValueError(f"{name} must be {listed}, got {value!r}.")


def is_finite(value):
    """Whether a value is a number that float32 can multiply by, no truth value."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and -LARGEST <= value <= LARGEST


def check_positive(name, value):
    """Raise unless the value is such a number above 0."""
    if not (is_finite(value) and value > 0):
        raise ValueError(
            f"{name} must be a finite number above 0, got {value!r:.40}: "
            f"at most {LARGEST:g}."
        )


def check_distributions(name, proba):
    """Raise unless rows are probabilities (B, C), as rounded to bfloat16 too."""
    least, sums = proba.amin(-1), proba.sum(-1, dtype=torch.float32)
    right = (least >= 0) & ((sums - 1).abs() <= 4e-3)  # never of NaN
    if not all_hold(right):
        row = int(torch.argmin(right.int()))
        raise ValueError(
            f"{name} must hold probabilities: rows that are not negative and sum to 1. "
            f"Row {row} sums to {sums[row]:.4g}, its least entry is {least[row]:.4g}. "
            "Of logits take the softmax, of logarithms exp."
        )


def all_hold(mask):
    """Whether all entries hold; True where a transform has hidden their values."""
    if torch.compiler.is_compiling():
        return True
    try:
        return bool(mask.all())
    except RuntimeError:  # of torch.func.vmap
        return True


def check_maps(student, teacher):
    """Raise unless both are feature maps of the same rows and channels."""
    for name, maps in (("student", student), ("teacher", teacher)):
        if maps.ndim != 3 or not maps.is_floating_point() or 0 in maps.shape[1:]:
            raise ValueError(
                f"{name} must be a floating-point tensor of shape (B, N, d), positions "
                f"before channels; got {maps.dtype} of shape {tuple(maps.shape)}."
            )
    if student.shape[0] != teacher.shape[0]:
        raise ValueError(
            f"student has {student.shape[0]} rows but teacher has {teacher.shape[0]}: "
            "give one map of each for every row."
        )
    if student.shape[2] != teacher.shape[2]:
        raise ValueError(
            f"student has {student.shape[2]} channels but teacher has "
            f"{teacher.shape[2]}: map the student to {teacher.shape[2]} channels "
            "first, for example with torch.nn.Linear."
        )


def check_mask(name, mask, maps):
    """Raise unless the mask marks at least one position of each row as real."""
    if mask is None:
        return
    if mask.dtype != torch.bool or mask.shape != maps.shape[:2]:
        raise ValueError(
            f"{name} must be a bool tensor of shape {tuple(maps.shape[:2])}, True at "
            f"real positions; got {mask.dtype} of shape {tuple(mask.shape)}."
        )
    if not mask.any(1).all():
        raise ValueError(
            f"{name} leaves a row without any real position: take such rows out first."
        )
