"""Classes that may be built from a file, by the names that they have in it.

A file names classes, and nothing is imported because a file names it: what may be built
stands here. Ours are told by `register`; those of scikit-learn, of which a fit leaves
numbers and plain containers, in a table.
"""

from importlib import import_module

from sklearn.base import BaseEstimator

_OURS: dict[str, type] = {}  # name in a file -> class
_OF_SCIKIT_LEARN = {
    name: module
    for module, names in {
        "sklearn.compose": ["ColumnTransformer"],
        "sklearn.decomposition": ["PCA", "TruncatedSVD"],
        "sklearn.discriminant_analysis": ["LinearDiscriminantAnalysis"],
        "sklearn.feature_extraction.text": [
            *("CountVectorizer", "TfidfTransformer", "TfidfVectorizer"),
        ],
        "sklearn.feature_selection": ["VarianceThreshold"],
        "sklearn.frozen": ["FrozenEstimator"],
        "sklearn.impute": ["MissingIndicator", "SimpleImputer"],
        "sklearn.linear_model": ["LogisticRegression"],
        "sklearn.naive_bayes": ["GaussianNB", "MultinomialNB"],
        "sklearn.pipeline": ["FeatureUnion", "Pipeline"],
        "sklearn.preprocessing": [
            *("FunctionTransformer", "KBinsDiscretizer", "MaxAbsScaler"),
            *("MinMaxScaler", "Normalizer", "OneHotEncoder", "OrdinalEncoder"),
            *("PolynomialFeatures", "PowerTransformer", "QuantileTransformer"),
            *("RobustScaler", "StandardScaler"),
        ],
    }.items()
    for name in names
}


def register(*kinds):
    """Let files hold estimators of these classes of ours, under their names.

    Parameters
    ----------
    *kinds : type
        Those that are no estimators are passed over.
    """
    for kind in kinds:
        if issubclass(kind, BaseEstimator):
            _OURS[f"skanticipate:{kind.__name__}"] = kind


def name_of(kind):
    """Name of a class in a file: the public one, else the module and its name there."""
    if _OURS.get(name := f"skanticipate:{kind.__name__}") is kind:
        return name
    module = _OF_SCIKIT_LEARN.get(kind.__name__)
    if module and getattr(import_module(module), kind.__name__) is kind:
        return f"scikit-learn:{kind.__name__}"
    return f"{kind.__module__}:{kind.__qualname__}"


def class_of(name):
    """The class that a file names, or None if it is not one of those here."""
    library, _, known = name.partition(":")
    if library == "scikit-learn" and known in _OF_SCIKIT_LEARN:
        # None in a version of scikit-learn that lacks it
        return getattr(import_module(_OF_SCIKIT_LEARN[known]), known, None)
    return _OURS.get(name)


def is_ours(kind):
    """Whether a class is one of ours, or derives from one."""
    return not set(kind.__mro__).isdisjoint(_OURS.values())
