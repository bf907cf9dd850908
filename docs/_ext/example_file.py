"""Examples save their picture beside themselves; sphinx-gallery hides where they lie."""

import builtins


def tell_file(gallery_conf, example):
    """Give an example the `__file__` that it has as a script."""
    builtins.__file__ = str(example)
