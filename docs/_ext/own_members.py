"""The reference shows what this package defines, not what it inherits."""

from sklearn.model_selection import GridSearchCV

PACKAGE = "skanticipate"


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out methods that are inherited from scikit-learn or from Python itself."""
    function = getattr(obj, "fget", None) or obj
    module = getattr(function, "__module__", None)
    if callable(function) and not str(module).startswith(PACKAGE):
        return True
    return None  # as autodoc decides


def setup(app):
    """Register the choice."""
    for links_elsewhere in (GridSearchCV.n_features_in_, GridSearchCV.classes_):
        links_elsewhere.__doc__ = None  # the glossary of scikit-learn
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
