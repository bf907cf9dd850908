import contextlib
import importlib.util
import os
import sys
import warnings

import numpy as np
import pytest
from in_fork import in_fork
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import MLP, DistilledAnticipator, SmoothedAnticipator, load
from skanticipate.estimator import telling

callback = pytest.importorskip("sklearn.callback")

Y = np.arange(30) % 3
X = np.random.default_rng(0).normal(size=(30, 4)) + Y[:, None]


def anticipator(max_epochs=5, **options):
    return SmoothedAnticipator(
        MLP(4, dropout=0.2), max_epochs=max_epochs, random_state=0, **options
    )


class Listener:
    """Notes what it is told; says "stop" after so many epochs."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.heard = []
        self.n_epochs = 0

    def setup(self, estimator, context):
        self.heard.append("setup")

    def teardown(self, estimator, context):
        self.heard.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.heard.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context):
        self.heard.append(f"end {context.task_name}")
        self.n_epochs += context.task_name == "epoch"
        return self.n_epochs == self.stop_after


class Watcher(Listener):
    """Also asks for the data and the estimator of the moment."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        if fitted_estimator is None:  # of a teacher, or of what is not whole yet
            return
        proba = fitted_estimator.predict_proba(X)
        self.seen.append((context.task_name, proba, y, metadata))


def test_callback_hears_of_the_fit_and_of_each_epoch_in_order():
    listener = Listener()
    anticipator(2).set_callbacks(listener).fit(X, Y)
    assert listener.heard == [
        "setup",
        "begin fit",
        "begin epoch",
        "end epoch",
        "begin epoch",
        "end epoch",
        "end fit",
        "teardown",
    ]


def test_callback_that_says_stop_ends_training_after_its_epoch():
    listener = Listener(stop_after=3)
    model = anticipator(10).set_callbacks(listener).fit(X, Y)
    assert model.n_iter_ == 3
    assert listener.heard[-2:] == ["end fit", "teardown"]
    assert (model.predict_proba(X) == anticipator(3).fit(X, Y).predict_proba(X)).all()


def test_early_stopping_ends_the_tasks_too():
    listener = Listener()
    model = anticipator(
        50, early_stopping=True, n_iter_no_change=1, tol=10.0, validation_fraction=0.3
    )
    model.set_callbacks(listener).fit(X, Y)
    assert listener.n_epochs == model.n_iter_ < 50


def test_callback_sees_the_model_of_its_epoch():
    watcher = Watcher()
    weights = np.ones(30)
    model = anticipator(3).set_callbacks(watcher)
    model.fit(X, Y, sample_weight=weights)
    names = [name for name, *_ in watcher.seen]
    assert names == ["epoch"] * 3 + ["fit"]
    for epoch in (1, 2, 3):
        expected = anticipator(epoch).fit(X, Y, sample_weight=weights).predict_proba(X)
        assert (watcher.seen[epoch - 1][1] == expected).all()
    assert (watcher.seen[-1][1] == model.predict_proba(X)).all()
    assert all(seen[2] is Y for seen in watcher.seen)
    assert all(list(seen[3]) == ["sample_weight"] for seen in watcher.seen)


class Saver(Watcher):
    """Saves the estimator of each epoch."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            self.seen.append(fitted_estimator)
            fitted_estimator.save(self.folder / f"{len(self.seen)}")


def test_callback_can_save_the_model_of_its_epoch(tmp_path):
    saver = Saver(tmp_path)
    futures = X + 0.1
    model = DistilledAnticipator(MLP(4), max_epochs=3, random_state=0)
    model.set_callbacks(saver).fit(X, Y, futures)
    for epoch in (1, 2, 3):
        seen, again = saver.seen[epoch - 1], load(tmp_path / f"{epoch}")
        assert (again.predict_proba(X) == seen.predict_proba(X)).all()
        assert again.history_ == seen.history_ == model.history_[:epoch]
        assert again.loss_curve_ == model.loss_curve_[:epoch]
        assert again.n_iter_ == epoch
        taught = again.teacher_.predict_proba(futures)
        assert (taught == model.teacher_.predict_proba(futures)).all()
    assert (again.predict_proba(X) == model.predict_proba(X)).all()


def test_callback_that_says_stop_leaves_a_checkpoint_to_go_on_from(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("skanticipate.training.checkpoint._PAUSE", 0)
    plain = anticipator(10).fit(X, Y)
    listener = Listener(stop_after=3)
    model = anticipator(10, checkpoint=tmp_path).set_callbacks(listener).fit(X, Y)
    assert model.n_iter_ == 3
    again = anticipator(10, checkpoint=tmp_path).set_callbacks(listener)
    with pytest.warns(UserWarning, match="nothing of 3 of 10 epochs"):
        again.fit(X, Y)
    assert listener.n_epochs == 10  # seven more
    assert (again.predict_proba(X) == plain.predict_proba(X)).all()
    assert again.history_ == plain.history_


def test_epochs_that_were_read_from_a_checkpoint_are_told_of(tmp_path):
    anticipator(3, checkpoint=tmp_path).fit(X, Y)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = anticipator(3, checkpoint=tmp_path).set_callbacks(monitor)
    with pytest.warns(UserWarning, match="nothing of 3 of 3 epochs.*checkpoint"):
        model.fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        anticipator(3, checkpoint=tmp_path).fit(X, Y)  # nobody listens


def test_watching_does_not_change_what_is_learnt():
    watched = anticipator().set_callbacks(Watcher(), Listener()).fit(X, Y)
    plain = anticipator().fit(X, Y)
    assert (watched.predict_proba(X) == plain.predict_proba(X)).all()
    assert watched.history_ == plain.history_


def test_callback_hears_the_teardown_when_fit_fails():
    listener = Listener()
    with pytest.raises(ValueError, match="NaN"):
        anticipator().set_callbacks(listener).fit(np.full((30, 4), np.nan), Y)
    assert listener.heard[-1:] != ["end fit"]
    assert listener.heard.count("setup") == listener.heard.count("teardown")


def test_scoring_monitor_logs_a_score_each_epoch():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = anticipator(3).set_callbacks(monitor).fit(X, Y)
    scores = monitor.get_logs().data_as_pandas
    last = scores["accuracy"].to_numpy()[-1]
    assert len(scores) >= 3
    assert last == pytest.approx(model.score(X, Y))


def test_scoring_monitor_works_in_a_pipeline_in_a_search():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = make_pipeline(StandardScaler(), anticipator(2).set_callbacks(monitor))
    grid = {"smoothedanticipator__lr": [0.01, 0.1]}
    search = GridSearchCV(model, grid, cv=2).fit(X, Y)
    assert search.best_estimator_[-1].n_iter_ == 2
    assert len(monitor.get_logs(select="all")) >= 1


def test_progress_bar_shows_the_fit(capsys):
    pytest.importorskip("rich")
    anticipator(2).set_callbacks(callback.ProgressBar()).fit(X, Y)
    assert "SmoothedAnticipator" in capsys.readouterr().out


NAMES = np.array(["cut", "pour", "wash"], dtype=object)


@pytest.mark.parametrize("names", [np.arange(3), NAMES], ids=["numbers", "strings"])
@pytest.mark.parametrize("kind", [SmoothedAnticipator, DistilledAnticipator])
def test_callbacks_are_shown_the_labelled_rows(kind, names):
    labels = names[Y].copy()
    labels[20:] = -1
    monitor = callback.ScoringMonitor(scoring="accuracy")
    watcher = Watcher()
    model = kind(MLP(4), max_epochs=2, random_state=0)
    model.set_callbacks(monitor, watcher)
    futures = {"X_future_unlabeled": X} if kind is DistilledAnticipator else {}
    with contextlib.nullcontext() if futures else pytest.warns(match="are dropped"):
        model.fit(X, labels, sample_weight=np.arange(1.0, 31), **futures)
    hits = model.predict(X[:20]) == names[Y[:20]]  # counted by hand, with weights
    accuracy = monitor.get_logs().data_as_pandas["accuracy"].to_numpy()[-1]
    assert accuracy == pytest.approx(np.average(hits, weights=np.arange(1.0, 21)))
    *_, y, metadata = watcher.seen[-1]
    assert y.tolist() == names[Y[:20]].tolist()
    assert metadata["sample_weight"].tolist() == list(range(1, 21))


@pytest.fixture
def without_callbacks(monkeypatch):
    """Read the module as before scikit-learn 1.9, where there are no callbacks."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    spec = importlib.util.spec_from_file_location("shim", telling.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_older_scikit_learn_trains_without_callbacks(without_callbacks):
    class Estimator(without_callbacks.CallbackSupportMixin):
        verbose = 0

        @without_callbacks.with_callbacks
        def fit(self, n):
            task = without_callbacks.FitTask(self, n, None, None, None)
            task.begin(None)
            records = list(task.epochs(iter(range(n)), dict, lambda: False))
            task.end()
            return records

    assert Estimator().fit(3) == [0, 1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_older_scikit_learn_can_train():
    code = (
        "import sys, skanticipate\n"  # and with it all of scikit-learn that it needs
        "for name in [n for n in sys.modules if n.startswith('skanticipate')]:\n"
        "    del sys.modules[name]\n"
        "sys.modules['sklearn.callback'] = None\n"
        "from skanticipate import SmoothedAnticipator\n"
        "model = SmoothedAnticipator(max_epochs=2)\n"
        "assert model.fit([[0.0], [1.0]], [0, 1]).n_iter_ == 2\n"
        "assert not hasattr(model, 'set_callbacks')\n"
    )
    assert in_fork(exec, code, {}) == 0
