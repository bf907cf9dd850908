"""Probabilities with a column for every class, whoever answers."""

import numpy as np


def proba_of(fitted, X, classes):
    """Probabilities with a column for every class, 0 for those not learnt.

    Parameters
    ----------
    fitted : fitted classifier
        Has learnt some of the classes.
    X : ndarray of shape (n, ...)
        What it answers about.
    classes : ndarray of shape (C,)
        Sorted labels of the columns.

    Returns
    -------
    proba : ndarray of shape (n, C)
    """
    found = fitted.predict_proba(X)
    proba = np.zeros((len(found), len(classes)))
    proba[:, np.searchsorted(classes, fitted.classes_)] = found
    return proba


def cross_fitted(fit, X, folds, classes, dtype=float):
    """Answers of teachers that were not fitted on what they answer about.

    Parameters
    ----------
    fit : callable
        `fit(rows)` gives a classifier fitted on these rows.
    X : ndarray of shape (n, ...)
        What is answered about.
    folds : iterable of (rows to fit, rows that are held out)
        Rows that are held out in no fold have no answer.
    classes : ndarray of shape (C,)
        Sorted labels of the columns.
    dtype : dtype
        Of the answers.

    Returns
    -------
    proba : ndarray of shape (n, C)
        NaN where there is no answer.
    """
    proba = np.full((len(X), len(classes)), np.nan, dtype=dtype)
    for fitted, held in folds:
        proba[held] = proba_of(fit(fitted), X[held], classes)
    return proba
