"""What sphinx-gallery does not know of the examples: where they lie, which is first."""

import builtins


def tell_file(gallery_conf, example):
    """Give an example the `__file__` that it has as a script."""
    builtins.__file__ = str(example)


class QuickStartFirst:
    """Key that sorts the examples: the quick start, then the others by name."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        """Place of an example."""
        return "quickstart" not in name, name
