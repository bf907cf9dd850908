"""Small fits of all that the library offers, by name; only public names are used."""

from functools import cache, partial
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    ArrayPrior,
    AttentiveProbe,
    AVTHead,
    CosineSchedule,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    FeatureMapNet,
    FrameMLP,
    GloVePrior,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    InceptionTail,
    LanguageTeacher,
    LastAxisSlice,
    LateFusion,
    MarginalLoss,
    MixturePrior,
    ModalityAttention,
    PerFrame,
    RecognitionTeacher,
    RowView,
    SemiSupervisedSplit,
    SmoothedAnticipator,
    StepSchedule,
    TeacherEnsemble,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
)
from skanticipate.datasets import make_drifting_maps, make_kitchen
from skanticipate.teachers import pretrain_language_model

ALIGNMENTS = ["weak", "student", "teacher", "direct", "pooled"]
ROUNDS = {"max_epochs": 3, "batch_size": 32, "random_state": 0}
SMALL = {**ROUNDS, "dtype": "float64", "device": "cpu"}


class Fit(NamedTuple):
    """A model, or a function that makes it, and what it is fitted on."""

    name: str
    model: object
    X: object
    y: object
    signals: dict = {}  # further arguments of fit, by name
    times: int = 1  # how often it is fitted
    routed: bool = False  # whether scikit-learn routes the signals


# ------------------------------------------------------------------------- the data


def doubles(data, *shape):
    """Clips in float64, of another shape if one is given, and what comes with them."""
    clips = {k: np.array(data[k], dtype=float) for k in ("X_past", "X_future")}
    if shape:
        clips = {k: x.reshape(len(x), *shape) for k, x in clips.items()}
    return Bunch(**{**data, **clips})


@cache
def kitchen(n_steps=None, hidden=0.0):
    """Clips of 12 features, 104 of 8 videos: batches of 32 leave one of 8."""
    return doubles(
        make_kitchen(
            *(8, 13),
            n_steps=n_steps,
            n_features=12,
            unlabeled_fraction=hidden,
            random_state=0,
        )
    )


@cache
def maps():
    """Maps of 5 x 5 positions of 24 features; of 80 clips, 48 have a label."""
    return doubles(
        make_drifting_maps(
            n_labeled_per_class=8, n_unlabeled=32, n_test=1, random_state=0
        )
    )


@cache
def volumes(hidden=0.0):
    """Maps of 2 steps of 3 x 4 positions of 4 features."""
    data = make_kitchen(
        *(8, 13),
        n_steps=2,
        n_features=48,
        unlabeled_fraction=hidden,
        random_state=0,
    )
    return doubles(data, 2, 3, 4, 4)


@cache
def codes():
    """Histories of verbs, nouns and actions in place of features."""
    data = kitchen()
    encoder = HistoryEncoder(data.actions).fit(data.past_actions)
    return Bunch(**{**data, "X_past": encoder.transform(data.past_actions)})


def padded(data):
    """First steps of two clips in three are padding; some futures are missing."""
    past, future = data.X_past.copy(), data.X_future.copy()
    n_steps = past.shape[1]
    past[1::3, 0] = future[2::3, 0] = np.nan
    past[2::3, : n_steps - 1] = np.nan
    future[::10] = np.nan
    return Bunch(**{**data, "X_past": past, "X_future": future})


def names_of(data):
    """Labels of the clips in words."""
    return np.array([" ".join(data.actions[k]) for k in data.y])


def past_names(data):
    """Past actions in words, "" where there is none."""
    words = {k: " ".join(pair) for k, pair in data.actions.items()} | {-1: ""}
    return np.array([[words[k] for k in row] for row in data.past_actions])


def thinned(data):
    """Past actions of every seventh clip; the others have none."""
    kept = np.full_like(data.past_actions, -1)
    kept[::7] = data.past_actions[::7]
    return kept


def word_vectors(data):
    """A random vector for each word of the actions but the last."""
    words = sorted({word for pair in data.actions.values() for word in pair})
    vectors = np.random.default_rng(0).normal(size=(len(words), 8))
    return dict(zip(words[:-1], vectors, strict=False))


def matrix_of(n):
    """Distributions at random.   -> (n, n)."""
    return np.random.default_rng(0).dirichlet(np.ones(n), size=n)


def sequences_of(data):
    """The actions of each video, in order."""
    return [data.y[data.groups == video].tolist() for video in np.unique(data.groups)]


# --------------------------------------------------------------------------- a fit


def smoothed(name, data, network=None, signals=None, **params):
    """A student of labels only."""
    model = SmoothedAnticipator(network, **{**SMALL, **params})
    return Fit(name, model, data.X_past, data.y, signals or {})


def distilled(name, data, network=None, signals=None, **params):
    """A student with futures, or with other signals if they are given."""
    model = DistilledAnticipator(network, **{**SMALL, **params})
    if signals is None:
        signals = {"X_future_unlabeled": data.X_future}
    return Fit(name, model, data.X_past, data.y, signals)


def recogniser(network=None, **params):
    """A teacher of few steps."""
    return RecognitionTeacher(network, **{**SMALL, **params})


def reader(actions, **params):
    """A teacher of few weights that reads past actions."""
    small = {"hidden_size": 8, "n_networks": 1, "max_epochs": 1, "random_state": 0}
    return HistoryTeacher(actions, **{**small, "device": "cpu", **params})


# -------------------------------------------------------------------- all the fits


def network_fits(folder):
    """Networks of features, codes and maps."""
    clips, steps, words = kitchen(), kitchen(5), codes()
    head = VerbNounHead(clips.actions)
    own = {"embedding": 6, "head": head}
    yield smoothed("network None, clips", clips)
    yield smoothed("network None, steps", steps)
    yield smoothed("network MLP", clips, MLP(8))
    deep = MLP((12, 8), dropout=0.3, input_dropout=0.2)
    yield smoothed("network MLP, deep with dropout", clips, deep)
    yield smoothed("network MLP, steps", steps, MLP(8))
    yield smoothed("network MLP, head", clips, MLP(8, head=head))
    yield smoothed("network MLP, codes", words, MLP(8, **own))
    yield smoothed("network LSTM, codes", words, LSTM(8, dropout=0.2, **own))
    yield smoothed("network GRU, codes", words, LSTM(8, cell="gru", **own))
    yield smoothed("network FrameMLP, codes", words, FrameMLP(8, **own))
    yield smoothed(
        "network RULSTM, codes", words, RULSTM(8, anticipation_steps=2, **own)
    )
    yield smoothed("network AVTHead, codes", words, AVTHead(8, **own))
    probe = AttentiveProbe(8, input_dropout=0.2, **own)
    yield smoothed("network AttentiveProbe, codes", words, probe)


def step_fits(folder):
    """Networks of sequences, with padding and without."""
    late = {"anticipation_steps": 3, "dropout": 0.2}
    specs = {
        "LSTM": LSTM(8),
        "GRU, two layers": LSTM(8, cell="gru", n_layers=2, input_dropout=0.2),
        "LSTM, stages": LSTM(8, **late),
        "LSTM, answer of an early stage": LSTM(8, **late, anticipation_time=0.75),
        "FrameMLP": FrameMLP((12, 8), dropout=0.2),
        "RULSTM": RULSTM(8, **late),
        "RULSTM, sequence completion": RULSTM(8, **late, pretrain_epochs=2),
        "EncoderDecoderLSTM": EncoderDecoderLSTM(8, **late),
        "AVTHead": AVTHead(8, **late),
        "AVTHead, rolled out": AVTHead(8, rollout_steps=2, attention_dropout=0.1),
        "AVTHead, one layer": AVTHead(8, n_layers=1, future_feature_weight=0.1),
        "AttentiveProbe": AttentiveProbe(8),
        "AttentiveProbe, blocks": AttentiveProbe(
            *(8,), n_queries=2, n_blocks=2, layer_dropout=0.2, dropout=0.2
        ),
        "ModalityAttention": ModalityAttention(
            [
                ("rgb", RULSTM(8, **late, pretrain_epochs=1), (0, 8)),
                ("flow", RULSTM(6, **late), (8, None)),
            ],
            branch_epochs=2,
        ),
    }
    for name, spec in specs.items():
        yield smoothed(f"network {name}", kitchen(5), spec)
        yield smoothed(f"padding {name}", padded(kitchen(5)), spec)


def map_fits(folder):
    """Networks of feature maps."""
    patches = FeatureMapNet(8, n_blocks=1, patch_size=2, pooling="mean", dropout=0.2)
    plain, probe = FeatureMapNet(8), AttentiveProbe(8)
    specs = {"FeatureMapNet": plain, "FeatureMapNet, patches": patches, "probe": probe}
    for name, spec in specs.items():
        name = f"network {name}, maps"
        yield smoothed(name, maps(), spec)
        yield smoothed(f"{name}, steps", volumes(), spec)
        yield smoothed(f"padding {name}, steps", padded(volumes()), spec)
    yield smoothed("network None, maps", volumes(), max_epochs=1)
    whole, cut = InceptionTail(0.04, crop_size=None), InceptionTail(0.04, crop_size=3)
    yield smoothed("network InceptionTail", volumes(), whole)
    yield smoothed("network InceptionTail, crops", volumes(), cut)
    yield smoothed("padding InceptionTail, crops", padded(volumes()), cut)
    hidden = volumes(0.5)
    yield distilled("crops of pairs", hidden, cut)
    yield distilled("crops of pairs, feature loss", hidden, cut, feature_weight=0.5)
    yield distilled("crops of pairs, padding", padded(hidden), cut, teacher_weight=0.5)
    other = recogniser(FeatureMapNet(8))
    yield distilled("crops of pairs, other teacher", hidden, cut, teacher=other)


def prior_fits(folder):
    """Every prior."""
    data = kitchen()
    verb_noun, glove = VerbNounPrior(data.actions), partial(GloVePrior, data.actions)
    vectors = word_vectors(data)
    mixed = [TransitionPrior(data.actions), verb_noun, UniformPrior()]
    priors = {
        "none": None,
        "uniform": UniformPrior(),
        "verb-noun": verb_noun,
        "verb-noun without itself": VerbNounPrior(data.actions, include_self=False),
        "GloVe": glove(vectors),
        "GloVe, cosine": glove(vectors, similarity="cosine", power=2.0),
        "GloVe, relu": glove(vectors, similarity="relu", include_self=False),
        "GloVe, expcosine": glove(vectors, similarity="expcosine", power=4.0),
        "predecessor": TemporalPrior(),
        "successor": TemporalPrior("successor", strength=2.0, include_self=False),
        "temporal of sequences": TemporalPrior(sequences=sequences_of(data)),
        "transition": TransitionPrior(data.actions, strength=5.0),
        "transition of labels": TransitionPrior(),
        "mixture": MixturePrior(mixed, weights=[2, 1, 0]),
        "mixture of labels": MixturePrior([glove(vectors), verb_noun]),
        "array": ArrayPrior(matrix_of(25), np.arange(25)),
    }
    rest = {"smoothing": 0.4, "signals": {"y_past": data.y_past}}
    for name, prior in priors.items():
        yield smoothed(f"prior {name}", data, MLP(8), prior=prior, **rest)
    given = {"prior": matrix_of(20), "classes": np.arange(20)}
    yield smoothed("prior matrix", data, MLP(8), **given, **rest)
    yield smoothed("prior only", data, MLP(8), prior=verb_noun, smoothing=1.0)
    hidden = {"prior": mixed[0], "smoothing": 0.3, "classes": np.arange(20)}
    signals = {"X_future_unlabeled": data.X_future, "y_past": data.y_past}
    yield distilled("prior and futures", kitchen(hidden=0.4), MLP(8), signals, **hidden)


def label_fits(folder):
    """Labels, their weights and their names."""
    data, hidden = kitchen(), kitchen(hidden=0.3)
    words = Bunch(**{**data, "y": names_of(data)})
    marked = Bunch(**{**data, "y": np.where(hidden.y < 0, 99, data.y)})
    unknown = Bunch(**{**data, "y": np.where(hidden.y < 0, "?", words.y)})
    missing = Bunch(**{**data, "y": np.where(hidden.y < 0, np.nan, data.y)})
    weights = np.random.default_rng(0).random(len(data.y))
    weights[::4] = 0
    classes = {k: 1.0 + k for k in np.unique(data.y).tolist()}
    weighted = {"signals": {"sample_weight": weights}}
    fit = partial(smoothed, network=MLP(8))
    yield fit("labels hidden", hidden)
    yield fit("labels in words", words, prior=VerbNounPrior(), smoothing=0.3)
    yield fit("labels with another marker", marked, unlabeled_label=99)
    yield fit("labels with NaN", missing, unlabeled_label=np.nan)
    yield fit("labels in words with a marker", unknown, unlabeled_label="?")
    yield fit("classes without rows", data, classes=np.arange(-1, 25)[::-1][:25])
    yield fit("class_weight", data, class_weight=classes)
    yield fit("class_weight balanced", data, class_weight="balanced")
    yield fit("sample_weight", data, **weighted)
    yield fit("sample_weight, balanced", data, class_weight="balanced", **weighted)
    marginal = MarginalLoss(data.actions, verb_weight=0.5, noun_weight=2.0)
    yield fit("marginal_loss", data, marginal_loss=marginal)
    yield fit("marginal_loss, weights", data, marginal_loss=marginal, **weighted)
    yield fit("logit_adjustment", data, logit_adjustment=0.8, **weighted)
    futures = {"X_future_unlabeled": data.X_future}
    rest = {"class_weight": "balanced", "marginal_loss": marginal, "teacher_weight": 1}
    both = {"signals": {**futures, "sample_weight": weights}, **rest}
    pupil = partial(distilled, network=MLP(8), logit_adjustment=0.5)
    yield pupil("labels hidden, all of it", hidden, **both)
    yield pupil("labels in words, futures", unknown, unlabeled_label="?")
    both["marginal_loss"] = None  # which asks for a name of each class
    yield pupil("classes without rows, futures", hidden, classes=np.arange(25), **both)


def training_fits(folder):
    """Optimisers, schedules, batches, early stopping and second fits."""
    data, steps = kitchen(), kitchen(5)
    groups = {"groups": data.groups}
    ends = {"max_epochs": 12, "n_iter_no_change": 2, "early_stopping": True, "lr": 0.05}
    fit = partial(smoothed, data=data, network=MLP(8, dropout=0.2))
    yield fit("optimizer sgd", optimizer="sgd", lr=0.1, weight_decay=0.01)
    yield fit("optimizer sgd, no momentum", optimizer="sgd", momentum=0.0)
    yield fit("optimizer adamw", weight_decay=0.3, lr=0.01)
    yield fit("schedule cosine", lr_schedule=CosineSchedule(warmup_epochs=1.5))
    step = StepSchedule(2, factor=0.3, warmup_epochs=1)
    yield fit("schedule steps", lr_schedule=step, max_epochs=4)
    yield fit("batches of one size", batch_size=26)
    yield fit("one batch", batch_size=500)
    yield fit("float32", dtype="float32")
    yield fit("early stopping", **ends)
    for scoring in ("loss", "accuracy", "top_5_accuracy"):
        name = f"early stopping by groups, {scoring}"
        yield fit(name, signals=groups, scoring=scoring, **ends)
    held = {"X_val": steps.X_past[80:], "y_val": steps.y[80:]}
    first = Bunch(
        X_past=steps.X_past[:80], y=steps.y[:80], X_future=steps.X_future[:80]
    )
    yield smoothed("early stopping by X_val", first, LSTM(8), held, **ends)
    yield smoothed("validation figures", first, LSTM(8), held)
    held = {**held, "X_future_unlabeled": first.X_future}
    yield distilled("early stopping by X_val, futures", first, LSTM(8), held, **ends)
    both = {"X_future_unlabeled": data.X_future, "past_actions": data.past_actions}
    taught = {"text_teacher": reader(data.actions), **ends}
    yield distilled("early stopping, teachers", data, MLP(8), both | groups, **taught)
    again = fit("warm_start", warm_start=True, optimizer="sgd")
    yield again._replace(times=2)
    again = distilled(
        "warm_start, futures", kitchen(hidden=0.4), MLP(8), warm_start=True
    )
    yield again._replace(times=2)
    yield fit("fitted twice")._replace(times=2)


def future_fits(folder):
    """How student and teacher are compared, and how the teacher is used."""
    clips, steps = kitchen(hidden=0.5), kitchen(5, 0.5)
    wide = {"feature_weight": 0.5, "teacher": recogniser(FeatureMapNet(12))}
    for kind in ALIGNMENTS:
        fit = partial(distilled, alignment=kind)
        yield fit(f"alignment {kind}, maps", maps(), FeatureMapNet(8))
        yield fit(f"alignment {kind}, other width", maps(), FeatureMapNet(8), **wide)
        yield fit(f"alignment {kind}, vectors", clips, MLP(8), feature_weight=0.5)
        other = {"feature_weight": 0.5, "teacher": recogniser(MLP(12))}
        yield fit(f"alignment {kind}, other vectors", clips, MLP(8), **other)
        stages = RULSTM(8, anticipation_steps=5, dropout=0.0)
        yield fit(f"alignment {kind}, stages", steps, stages, feature_weight=0.5)
        probe = {"feature_weight": 0.5, "alpha": 0.05}
        name = f"alignment {kind}, padding and alpha"
        yield fit(name, padded(steps), AttentiveProbe(8), **probe)
    grid = {"X_future_unlabeled": volumes().X_future}
    yield distilled("alignment of other positions", steps, LSTM(8), grid, **wide)
    for alpha in (0, 0.3, 3.0):
        yield distilled(f"alpha {alpha}", maps(), FeatureMapNet(8), alpha=alpha)
    for share in (None, 0, 0.3):
        name = f"unlabeled_fraction {share}"
        yield distilled(name, clips, MLP(8), unlabeled_fraction=share)
    for start in (True, False, "auto"):
        name, start = f"init_from_teacher {start}", {"init_from_teacher": start}
        yield distilled(name, steps, LSTM(8), **start)
        weights = {"teacher_weight": 1.0, "feature_weight": 0.5}
        yield distilled(f"{name}, weights", clips, MLP(8), **start, **weights)
    yield distilled("futures, network None", volumes(0.5), max_epochs=1)
    yield distilled("futures with padding", padded(steps), LSTM(8), feature_weight=0.3)
    for t in (0.5, 4.0):
        soft = {"teacher_weight": 0.7, "temperature": t}
        yield distilled(
            f"temperature {t}", steps, LSTM(8, anticipation_steps=3), **soft
        )


def teacher_fits(folder):
    """Teachers of other kinds, cross-fitted and kept."""
    data = kitchen(hidden=0.4)
    grouped = {"X_future_unlabeled": data.X_future, "groups": data.groups}
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    members = [recogniser(MLP(8)), recogniser(MLP(8), random_state=None), linear]
    fit = partial(distilled, data=data, network=MLP(8), teacher_weight=0.5)
    kept = {"teacher_cache": f"{folder}/kept", "feature_weight": 0.5}
    yield fit("cross_fit", cross_fit=2)
    yield fit("cross_fit by groups", signals=grouped, cross_fit=3)
    yield fit("cross_fit, feature loss", signals=grouped, cross_fit=2, **kept)
    yield fit("teacher_cache", **kept)._replace(times=2)
    yield distilled("teacher_cache, maps", maps(), FeatureMapNet(8), **kept)._replace(
        times=2
    )
    yield fit("teacher logistic regression", teacher=linear)
    yield fit("teacher logistic regression, folds", teacher=linear, cross_fit=2)
    scaled = make_pipeline(StandardScaler(), recogniser(MLP(8)))
    yield fit("teacher in a Pipeline", teacher=scaled, feature_weight=0.5)
    for average in ("log_proba", "proba"):
        several = TeacherEnsemble(members, average=average, random_state=0)
        yield fit(f"teacher ensemble, {average}", teacher=several)
        labelled = data.y >= 0
        name, seen = f"ensemble {average}", data.X_future[labelled]
        yield Fit(name, several, seen, data.y[labelled], {})
    yield fit("teacher smoothed", teacher=SmoothedAnticipator(MLP(8), **SMALL))
    yield fit("teacher of its own seed", teacher=recogniser(MLP(8), random_state=None))


def answer_fits(folder):
    """Teachers that were fitted before, and answers of nobody."""
    data, steps = kitchen(hidden=0.4), kitchen(5, 0.4)
    grouped = {"X_future_unlabeled": data.X_future, "groups": data.groups}
    fit = partial(distilled, data=data, network=MLP(8), teacher_weight=0.5)
    for spec in (MLP(8), MLP(12)):
        frozen = partial(frozen_pupil, spec, feature_weight=0.5, **SMALL)
        yield Fit(f"teacher frozen {spec}", frozen, data.X_past, data.y, grouped)
    proba = matrix_of(len(data.y))[:, :20]
    proba = proba / proba.sum(axis=1, keepdims=True)
    proba[::6] = np.nan
    answers = {"signals": {"teacher_proba": proba}, "classes": np.arange(20)}
    yield fit("teacher_proba", **answers)
    answers["signals"] = {**answers["signals"], **grouped}
    yield fit("teacher_proba and futures", feature_weight=0.5, **answers)
    several = LSTM(8, anticipation_steps=2)
    yield distilled("teacher of stages", steps, several, teacher_weight=0.5)
    yield Fit("recognition", recogniser(LSTM(8)), steps.X_future, steps.y)


def frozen_pupil(spec, **params):
    """A student whose teacher was fitted before."""
    data = kitchen(hidden=0.4)
    known = data.y >= 0
    teacher = recogniser(spec).fit(data.X_future[known], data.y[known])
    return DistilledAnticipator(MLP(8), teacher=FrozenEstimator(teacher), **params)


def text_fits(folder):
    """Teachers that read past actions, alone and with a student."""
    data = kitchen(hidden=0.3)
    past = {"past_actions": data.past_actions}
    own = {"text_teacher": reader(data.actions)}
    fit = partial(distilled, data=data, network=MLP(8), signals=past)
    yield fit("text, teacher None")
    yield fit("text", **own)
    yield fit("text, top k", text_top_k=3, text_temperature=5.0, **own)
    yield fit("text, temperature", text_weight=0.3, text_temperature=0.7, **own)
    yield fit("text, cross_fit", cross_fit=2, **own)
    by_groups = {"signals": {**past, "groups": data.groups}, "cross_fit": 3}
    yield fit("text, cross_fit by groups", **by_groups, **own)
    yield fit("text, few histories", signals={"past_actions": thinned(data)}, **own)
    both = {"signals": {**past, "X_future_unlabeled": data.X_future}}
    yield fit("text and futures", teacher_weight=0.5, **both, **own)
    kept = {"teacher_cache": f"{folder}/texts", "feature_weight": 0.2}
    yield fit("text and futures, kept", **kept, **both, **own)._replace(times=2)
    words = make_pipeline(
        HistoryEncoder(data.actions, form="onehot"), recogniser(FrameMLP(8))
    )
    yield fit("text, codes", text_teacher=words)
    data = kitchen()
    weights = np.random.default_rng(0).random(len(data.y))
    weights[::5] = 0
    for name, teacher in {
        "actions": reader(data.actions),
        "no actions": reader(None),
    }.items():
        yield Fit(f"history, {name}", teacher, data.past_actions, data.y)
    weighted = {"sample_weight": weights, "groups": data.groups}
    teacher = reader(data.actions, order=2, n_networks=2)
    yield Fit("history, weights", teacher, data.past_actions, data.y, weighted)
    teacher = reader(None)
    yield Fit("history, words", teacher, past_names(data), names_of(data))


def language_fits(folder):
    """Teachers that read past actions with a tiny language model."""
    data = kitchen()
    past, y = past_names(data), names_of(data)
    installed = find_spec("transformers") is not None
    cases = {
        "frozen": {},
        "first token": {"pooling": "first", "class_weight": "balanced"},
        "early stopping": {"early_stopping": True, "max_length": 12},
        "trained": {"freeze": False, "lr": 1e-3, "verb_weight": 0.0},
        "schedule": {"lr_schedule": CosineSchedule(warmup_epochs=1)},
    }
    small = {**ROUNDS, "device": "cpu"}
    for name, params in cases.items():
        make = None
        if installed:
            make = partial(language_teacher, folder, **{**small, **params})
        yield Fit(f"language, {name}", make, past, y, {"groups": data.groups})
    make = partial(pretrained_teacher, folder, **small)
    yield Fit("language, pretrained", make if installed else None, past, y)
    make = partial(language_pupil, folder, small)
    pair = {"past_actions": past}
    yield Fit("language, student", make if installed else None, data.X_past, y, pair)
    linear = make_pipeline(HistoryText(), CountVectorizer(), LogisticRegression())
    pupil = DistilledAnticipator(MLP(8), text_teacher=linear, **SMALL)
    yield Fit("text, linear", pupil, data.X_past, y, {"past_actions": past})


def combined_fits(folder):
    """Fusions, Pipelines and searches."""
    steps, clips, hidden = kitchen(5), kitchen(), kitchen(5, 0.4)
    branch = SmoothedAnticipator(LSTM(8, anticipation_steps=2), **SMALL)
    pupil = DistilledAnticipator(LSTM(8), **SMALL)
    parts = [("rgb", (0, 8)), ("flow", (8, None))]
    for combine in ("proba", "log_proba"):
        members = [(name, branch, columns) for name, columns in parts]
        fusion = LateFusion(members, weights=[2, 1], combine=combine)
        yield Fit(f"fusion {combine}", fusion, steps.X_past, steps.y)
    members = [(name, pupil, columns) for name, columns in parts]
    pair = {"X_future_unlabeled": hidden.X_future}
    yield Fit("fusion, futures", LateFusion(members), hidden.X_past, hidden.y, pair)
    model = SmoothedAnticipator(MLP(8), **SMALL)
    scaled = make_pipeline(StandardScaler(), model)
    yield Fit("Pipeline", scaled, clips.X_past, clips.y)
    frames = make_pipeline(PerFrame(StandardScaler()), LastAxisSlice(2, 9), branch)
    yield Fit("Pipeline of frames", frames, padded(steps).X_past, steps.y)
    frames = Pipeline([("scale", PerFrame(StandardScaler())), ("model", pupil)])
    given = {f"model__{name}": clip for name, clip in pair.items()}
    yield Fit("Pipeline, futures", frames, hidden.X_past, hidden.y, given)
    routed = Pipeline(frames.steps, transform_input=["X_future_unlabeled"])
    yield Fit("Pipeline, routed", routed, hidden.X_past, hidden.y, pair, routed=True)
    rest = {"scoring": "accuracy", "cv": GroupKFold(3)}
    search = GridSearchCV(model, {"lr": [1e-3, 1e-2]}, **rest)
    yield Fit("search", search, clips.X_past, clips.y, {"groups": clips.groups})
    grid = {"alpha": [0.1, 1.0], "feature_weight": [0.1, 0.5]}
    pupil = DistilledAnticipator(
        LSTM(8), teacher_cache=f"{folder}/search", classes=np.arange(20), **SMALL
    )
    rest["cv"] = SemiSupervisedSplit(GroupKFold(3))
    given = {"groups": hidden.groups, **pair}
    search = GridSearchCV(pupil, grid, **rest)
    yield Fit("search, futures", search, hidden.X_past, hidden.y, given)


def disk_fits(folder):
    """Memory maps, some of whose rows are taken."""
    hidden = kitchen(5, 0.4)
    branch = SmoothedAnticipator(LSTM(8, anticipation_steps=2), **SMALL)
    past, future = (on_disk(folder, k, hidden[k]) for k in ("X_past", "X_future"))
    some = np.random.default_rng(0).permutation(len(hidden.y))[:70]
    y, pair = hidden.y[some], {"X_future_unlabeled": RowView(future)[some]}
    yield Fit("memory map", branch, RowView(past)[some], y)
    pupil = DistilledAnticipator(LSTM(8), feature_weight=0.5, **SMALL)
    yield Fit("memory map, futures", pupil, RowView(past)[some], y, pair)


def on_disk(folder, name, clips):
    """A memory map of clips."""
    np.save(f"{folder}/{name}.npy", clips)
    return np.load(f"{folder}/{name}.npy", mmap_mode="r")


def all_fits(folder):
    """Every fit; what has to lie in files lies in the folder.   -> list of Fit."""
    kinds = (
        *(network_fits, step_fits, map_fits, prior_fits, label_fits, training_fits),
        *(future_fits, teacher_fits, answer_fits, text_fits, language_fits),
        *(combined_fits, disk_fits),
    )
    return [fit for kind in kinds for fit in kind(folder)]


# ------------------------------------------------------------------ language models


def language_teacher(folder, **params):
    """A teacher on top of a tiny language model."""
    return LanguageTeacher(write_tiny_bert(f"{folder}/bert"), **params)


def pretrained_teacher(folder, **params):
    """A teacher whose language model has read the histories first."""
    texts = HistoryText().fit_transform(past_names(kitchen()))
    bert, read = write_tiny_bert(f"{folder}/bert"), f"{folder}/pretrained"
    rest = {"max_epochs": 1, "lr": 1e-3, "device": "cpu", "random_state": 0}
    pretrain_language_model(bert, [t for t in texts if t], read, **rest)
    return LanguageTeacher(read, **params)


def language_pupil(folder, params):
    """A student of such a teacher."""
    teacher = language_teacher(folder, **params)
    return DistilledAnticipator(MLP(8), text_teacher=teacher, **SMALL)


@cache
def write_tiny_bert(folder):
    """A BERT of random weights that knows the words of the kitchen.   -> folder."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    pairs = kitchen().actions.values()
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<", ">", "v", "a"]
    words = [*marks, *sorted({word for pair in pairs for word in pair})]
    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
        initializer_range=0.3,  # texts then differ well above rounding
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertForMaskedLM(config).save_pretrained(folder)
    names = {f"{mark[1:-1].lower()}_token": mark for mark in marks[:5]}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **names
    ).save_pretrained(folder)
    return folder
