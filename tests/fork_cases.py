"""Calls in forked children, each with a time limit: a script for a process of its own.

``python fork_cases.py NAME ...`` runs the functions of these names, one after another.
Each gives what every call came to in a child ("hung", an error, or its bits) and what
it comes to in the parent.
"""

import copy
import hashlib
import json
import os
import pickle
import select
import signal
import sys
import tempfile
import threading
from functools import partial

import numpy as np
import torch
from sklearn.base import clone

from skanticipate import (
    LSTM,
    MLP,
    DistilledAnticipator,
    FocalLoss,
    HistoryTeacher,
    LanguageTeacher,
    MarginalLoss,
    RecognitionTeacher,
    SmoothedAnticipator,
    TeacherEnsemble,
    VerbNounPrior,
)
from skanticipate.metrics import labelled_scorer, top_k_scorer
from skanticipate.plotting import results_table
from skanticipate.training.runtime import seeded_global_stream, torch_threads

LIMIT = 20  # seconds
# Torch gives tensors of more than 32,768 numbers to its threads.
N, T, D, C = 1200, 4, 16, 60
METHODS = {
    "fit": lambda model: model.fit(X, Y).predict_proba(X),
    "predict": lambda model: model.predict(X),
    "predict_proba": lambda model: model.predict_proba(X),
    "predict_log_proba": lambda model: model.predict_log_proba(X),
    "staged_predict_proba": lambda model: list(model.staged_predict_proba(X)),
    "feature_map": lambda model: model.feature_map(X),
    "score": lambda model: model.score(X, Y),
}

rng = np.random.default_rng(0)
X = rng.standard_normal((N, T, D), np.float32)
Y = np.arange(N) % C
ACTIONS = {
    k: (("take", "cut", "wash", "open")[k % 4], ("onion", "pan", "board")[k % 3])
    for k in range(C)
}
PAST = rng.integers(0, C, (N, 3))
SHORT = {"max_epochs": 1, "random_state": 0, "device": "cpu"}


def bits(value):
    return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()


def in_child(call):
    """Bits of what a call gives in a forked child, its error, or "hung"."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = bits(call())
        except BaseException as error:
            answer = repr(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    done, _, _ = select.select([reader], [], [], LIMIT)
    answer = os.read(reader, 1 << 16).decode() if done else "hung"
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return answer


def compare(calls):
    """What calls come to in children, and then here.   -> {name: (child, parent)}."""
    there = {name: in_child(call) for name, call in calls.items()}
    return {name: (there[name], bits(call())) for name, call in calls.items()}


def sequence_model():
    return SmoothedAnticipator(LSTM(16, anticipation_steps=2), **SHORT)


def methods():
    """Every method, by threads of the parent and what it did before."""
    found = {}
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        model = sequence_model().fit(X, Y)
        for before in ("fit", "fit and predict_proba"):
            if before != "fit":
                model.predict_proba(X)
            for name, method in METHODS.items():
                answer = in_child(partial(method, model))
                found[f"{name}, {n_threads}, {before}"] = answer
    expected = {name: bits(method(model)) for name, method in METHODS.items()}
    return {case: (a, expected[case.partition(",")[0]]) for case, a in found.items()}


def estimators():
    """Fits and answers of all that computes, in children of a user of torch's pool."""
    torch.set_num_threads(2)
    torch.ones(512, 512) @ torch.ones(512, 512)
    torch.ones(1 << 20).softmax(0)
    pooled = X[:, -1]
    half = np.where(np.arange(N) % 2, Y, -1)
    # Of so many weights that it takes the threads of the parent by itself.
    large = SmoothedAnticipator(MLP((2300, 2300)), batch_size=N, **SHORT)
    two = SmoothedAnticipator(MLP(64), n_threads=2, **SHORT)
    student = DistilledAnticipator(
        MLP(600),
        prior=VerbNounPrior(ACTIONS),
        smoothing=0.2,
        teacher_weight=0.5,
        feature_weight=0.1,
        text_teacher=HistoryTeacher(ACTIONS, max_epochs=1, n_networks=1),
        marginal_loss=MarginalLoss(ACTIONS),
        early_stopping=True,
        **SHORT,
    )
    focal = SmoothedAnticipator(LSTM(600, random_delay=1), loss=FocalLoss(), **SHORT)
    history = HistoryTeacher(ACTIONS, max_epochs=1, n_networks=1, random_state=0)
    teacher = RecognitionTeacher(MLP(600), **SHORT)
    ensemble = TeacherEnsemble([teacher, teacher], random_state=0)
    cameras = SmoothedAnticipator(LSTM(600), **SHORT).fit(X, Y).stream(100)
    cameras.update(X[:100, 0])  # states that torch would give to its threads

    def distilled():
        weights = np.linspace(0.1, 1, N)
        student.fit(pooled, half, pooled, past_actions=PAST, sample_weight=weights)
        return student.predict_proba(pooled)

    calls = {
        "student": distilled,
        "focal": lambda: focal.fit(X, Y).predict_proba(X),
        "history": lambda: history.fit(PAST, Y).predict_proba(PAST),
        "ensemble": lambda: ensemble.fit(pooled, Y).predict_proba(pooled),
        "pickle": lambda: pickle.loads(stored).predict_proba(pooled),
        "negated": lambda: sequences.predict_proba(lazy).numpy(),
        "negated, fit": lambda: clone(sequences).fit(lazy, Y).predict_proba(X),
        "scorer": lambda: labelled_scorer("accuracy")(sequences, tensor, half),
        "top-k scorer": lambda: top_k_scorer(3)(sequences, tensor, half),
        "table": lambda: [*results_table(sequences, tensor, Y).encode()],
        "weights": lambda: started_from(weight),
        "copy": lambda: copy.copy(cameras).update(X[:100, 1]),
        "deepcopy": lambda: copy.deepcopy(cameras).update(X[:100, 1]),
    }
    stored = pickle.dumps(teacher.fit(pooled, Y))
    sequences = sequence_model().fit(X, Y)
    tensor = torch.tensor(X)  # of which scorers and displays take some rows
    lazy = torch._neg_view(-torch.tensor(X))  # to be negated when it is read
    weight = torch._neg_view(-torch.ones(2500, D))
    found = compare(calls)
    # Two threads give other bits than one, and a child has one.
    for name, (model, n) in {"large": (large, 300), "n_threads": (two, N)}.items():
        clips, labels = pooled[:n], Y[:n]
        model.fit(clips, labels).predict_proba(clips)
        answer = in_child(partial(model.predict, clips))
        found[name] = answer, bits(model.predict(clips))
        fit = partial(model.fit, clips, labels)
        again = in_child(lambda fit=fit: fit().n_iter_)
        found[f"{name}, fit"] = again, bits(1)
    return found


def started_from(weight):
    """Answers of a model that started from given weights, whose hash is in its key."""
    network = MLP(2500, weights={"layers.0.weight": weight})
    with tempfile.TemporaryDirectory() as folder:
        model = SmoothedAnticipator(network, checkpoint=folder, **SHORT)
        return model.fit(X[:, -1], Y).predict_proba(X[:, -1])


def regions():
    """Thread counts in children, and a lock that another thread of Python held."""
    torch.set_num_threads(2)
    held, done = threading.Event(), threading.Event()

    def hold():
        with seeded_global_stream(0):
            held.set()
            done.wait()

    def counts():
        inside = []
        for n_threads in (None, 2, 3):
            with torch_threads(n_threads):
                inside.append(torch.get_num_threads())
        return [*inside, torch.get_num_threads()]

    def draw():
        with seeded_global_stream(1):
            return torch.rand(3)

    with torch_threads(2):  # a child that goes on where its parent was
        found = {"in a region": (in_child(counts), bits([1, 1, 1, 2]))}
    found["outside"] = in_child(counts), bits([1, 1, 1, 2])
    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    answer = in_child(draw)
    done.set()
    other.join()
    return {**found, "lock": (answer, bits(draw()))}


def language():
    """A teacher that reads, fitted and asked."""
    from tiny_bert import write_tiny_bert

    torch.set_num_threads(2)
    torch.ones(1 << 20).softmax(0)
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_bert(os.path.join(folder, "bert"))
        past, y = PAST[:400], Y[:400]  # of some ten tokens, each of 16 numbers
        frozen = LanguageTeacher(model, ACTIONS, **SHORT).fit(past, y)
        tuned = LanguageTeacher(
            model, ACTIONS, freeze=False, batch_size=400, **SHORT
        ).fit(past, y)
        return compare(
            {
                "frozen": lambda: frozen.predict_proba(past),
                "frozen, fit": lambda: frozen.fit(past, y).predict_proba(past),
                "tuned": lambda: tuned.predict_proba(past),
                "tuned, fit": lambda: tuned.fit(past, y).predict_proba(past),
            }
        )


def search():
    """A search whose workers are forked from a parent that has predicted."""
    from joblib import parallel_config
    from sklearn.model_selection import GridSearchCV

    torch.set_num_threads(2)
    grid = GridSearchCV(
        sequence_model(), {"smoothing": [0.0, 0.1]}, cv=2, scoring="neg_log_loss"
    )
    expected = grid.fit(X, Y).cv_results_["mean_test_score"]
    with parallel_config("multiprocessing", n_jobs=2):
        found = grid.fit(X, Y).cv_results_["mean_test_score"]
    return {"scores": (bits(found), bits(expected))}


if __name__ == "__main__":
    json.dump({name: globals()[name]() for name in sys.argv[1:]}, sys.stdout)
