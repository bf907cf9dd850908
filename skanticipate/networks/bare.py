"""Modules of torch whose weights are still to be drawn."""

from torch import nn


def skip_init(kind, *args, **options):
    """Make a module of torch without initial weights, which `initialize` draws.

    As `torch.nn.utils.skip_init`, for recurrent modules too. That one builds on the
    meta device, whose kernels import a compiler: up to 2 s in every new process.

    Parameters
    ----------
    kind : type
        Class of the module, which draws its weights in `reset_parameters`.
    *args, **options : object
        Of its constructor.
    """
    module = kind.__new__(kind)
    vars(module)["reset_parameters"] = lambda: None  # of this one, in its constructor
    module.__init__(*args, **options)
    del vars(module)["reset_parameters"]
    return module


def classifier(spec, width, n_classes):
    """A plain linear layer, or the module of the spec's head."""
    if spec.head is None:
        return skip_init(nn.Linear, width, n_classes)
    if not hasattr(spec, "head_"):
        raise ValueError(
            f"{spec.head} has not seen the classes: call see_classes(classes) before "
            "build(), as the estimators do."
        )
    return spec.head_.build(width)
