"""A warning names the line of the user, with and without what stands between."""

import inspect
import warnings
from concurrent.futures import ThreadPoolExecutor as Pool

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import MLP, SemiSupervisedSplit, SmoothedAnticipator
from skanticipate.data.warn import warn

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.where(np.arange(40) < 30, np.arange(40) % 3, -1)


def student():
    return SmoothedAnticipator(MLP(4), max_epochs=1, random_state=0)


def in_a_search():
    return GridSearchCV(student(), {"lr": [0.1]}, cv=SemiSupervisedSplit(2))


def with_callbacks():
    pytest.importorskip("sklearn.callback")
    return student().set_callbacks(Silent())


class Silent:
    """A callback of scikit-learn that does nothing."""

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **told):
        pass

    def on_fit_task_end(self, estimator, context, **told):
        pass

    def teardown(self, estimator, context):
        pass


@pytest.mark.parametrize(
    "make",
    [
        student,
        in_a_search,
        lambda: make_pipeline(StandardScaler(), student()),
        with_callbacks,
    ],
)
def test_the_line_that_calls_fit_is_named(make):
    model = make()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        line = inspect.currentframe().f_lineno + 1
        model.fit(X, Y)
    told = [w for w in told if "are dropped" in str(w.message)]
    assert told and {(w.filename, w.lineno) for w in told} == {(__file__, line)}


def test_where_no_line_is_the_users_the_warning_is_given_all_the_same():
    with pytest.warns(UserWarning, match="^of something$"), Pool(1) as pool:
        pool.submit(warn, "of something").result()


def test_category():
    with pytest.warns(FutureWarning, match="soon"):
        warn("soon", FutureWarning)
