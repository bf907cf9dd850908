import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skanticipate.plotting import PriorDisplay
from skanticipate.priors import (
    MixturePrior,
    TransitionPrior,
    UniformPrior,
    VerbNounPrior,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

CLASSES = ["cut onion", "peel onion", "wash pan"]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def prior():
    return VerbNounPrior().fit(CLASSES)


def texts(tick_labels):
    return [text.get_text() for text in tick_labels]


def test_names_of_a_table_are_those_of_its_cells():
    table = pd.DataFrame([[0.9, 0.1], [0.3, 0.7]], ["x", "y"], ["a", "b"])
    display = PriorDisplay(table, ["x", "y"], ["a", "b"]).plot()
    assert_array_equal(display.im_.get_array(), table)
    with pytest.raises(ValueError, match="Row 0 of matrix is named 'x', but is read"):
        PriorDisplay(table, ["y", "x"], ["a", "b"]).plot()
    with pytest.raises(ValueError, match="columns of matrix have the names that are"):
        PriorDisplay(table, ["x", "y"], ["b", "a"]).plot()


@pytest.mark.parametrize(
    ("labels", "classes"), [(["x"], ["a", "b"]), (["x", "y"], ["a", "b", "c"])]
)
def test_there_is_a_label_for_each_row_and_a_class_for_each_column(labels, classes):
    with pytest.raises(ValueError, match=r"shape \(2, 2\): expected \([12], [23]\)"):
        PriorDisplay(np.eye(2), labels, classes).plot()


def test_all_labels_are_shown_by_default(prior):
    display = PriorDisplay.from_prior(prior)
    assert_array_equal(display.im_.get_array(), prior.matrix_)
    assert texts(display.ax_.get_yticklabels()) == CLASSES
    assert texts(display.ax_.get_xticklabels()) == CLASSES
    assert display.ax_.get_title() == "VerbNounPrior"
    assert display.figure_ is display.ax_.figure
    assert display.im_.get_clim()[0] == 0
    display.figure_.canvas.draw()


def test_labels_and_classes_are_chosen_in_their_order(prior):
    display = PriorDisplay.from_prior(
        prior, labels=["wash pan", "cut onion"], classes=["peel onion", "wash pan"]
    )
    assert_allclose(display.im_.get_array(), [[0, 1], [0.5, 0]])
    assert texts(display.ax_.get_yticklabels()) == ["wash pan", "cut onion"]
    assert texts(display.ax_.get_xticklabels()) == ["peel onion", "wash pan"]


def test_a_shared_row_is_shown_for_every_label():
    display = PriorDisplay.from_prior(UniformPrior().fit([3, 4]))
    assert_allclose(display.matrix, 0.5)
    assert display.matrix.shape == (2, 2)


def test_rows_of_a_transition_prior_are_the_actions_seen_last():
    prior = TransitionPrior().fit(CLASSES, CLASSES[:2], ["wash pan", ""])
    display = PriorDisplay.from_prior(prior)
    assert texts(display.ax_.get_yticklabels()) == ["wash pan"]
    assert display.ax_.get_ylabel() == "action seen last"
    display = PriorDisplay.from_prior(prior, labels=["take pan", ""])
    assert_allclose(display.matrix, prior.matrix_[[1, -1]])
    assert texts(display.ax_.get_yticklabels()) == ["take pan", "(nothing)"]


def test_it_draws_into_the_given_axes_and_returns_itself(prior):
    figure, (left, right) = plt.subplots(1, 2)
    display = PriorDisplay.from_prior(prior, ax=right, colorbar=False)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert len(figure.axes) == 2
    assert display.plot(left, cmap="magma") is display
    assert display.ax_ is left
    assert display.im_.get_cmap().name == "magma"


def test_many_labels_get_no_tick_labels(prior):
    display = PriorDisplay.from_prior(prior, labels=CLASSES[:2], max_labels=2)
    assert texts(display.ax_.get_yticklabels()) == CLASSES[:2]
    assert texts(display.ax_.get_xticklabels()) == []


def test_the_constructor_only_stores(prior):
    display = PriorDisplay(np.eye(2), ["a", "b"], ["a", "b"])
    assert not hasattr(display, "ax_")
    assert display.row_name == "label"
    assert display.title is None
    assert display.plot().ax_.get_title() == ""


def test_unknown_labels_and_classes_are_named(prior):
    with pytest.raises(ValueError, match="got 'fly kite'"):
        PriorDisplay.from_prior(prior, labels=["fly kite"])
    with pytest.raises(ValueError, match="classes of the prior, got 'fly kite'"):
        PriorDisplay.from_prior(prior, classes=["fly kite"])
    with pytest.raises(ValueError, match="at least one label"):
        PriorDisplay.from_prior(prior, labels=[])


@pytest.mark.parametrize(
    "prior",
    [VerbNounPrior(), TransitionPrior(), MixturePrior([UniformPrior()])],
    ids=lambda prior: type(prior).__name__,
)
@pytest.mark.parametrize("labels", [None, CLASSES])
def test_an_unfitted_prior_says_so(prior, labels):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        PriorDisplay.from_prior(prior, labels=labels)


def test_a_mixture_without_one_row_for_each_label_is_refused():
    prior = MixturePrior([UniformPrior(), TransitionPrior()])
    prior.fit(CLASSES, CLASSES[:1], [""])
    with pytest.raises(ValueError, match="show the parts in priors_"):
        PriorDisplay.from_prior(prior)


def test_missing_matplotlib_is_explained(prior, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skanticipate\[plot\]"'):
        PriorDisplay.from_prior(prior)


def test_a_mixture_keyed_by_the_label_is_shown():
    prior = MixturePrior([UniformPrior(), VerbNounPrior()]).fit(CLASSES)
    assert_allclose(PriorDisplay.from_prior(prior).matrix, prior.matrix_, rtol=1e-6)
