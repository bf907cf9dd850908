"""Fits together against fits one by one: every option, exactly."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from together import (
    CLIPS,
    EXACT,
    FOLDS,
    FUTURES,
    NAMES,
    PAST,
    RNG,
    SOME,
    C,
    D,
    N,
    T,
    X,
    Y,
    assert_as_alone,
)

from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    DistilledAnticipator,
    GloVePrior,
    HistoryTeacher,
    MarginalLoss,
    MixturePrior,
    MultiStepSchedule,
    RecognitionTeacher,
    SmoothedAnticipator,
    StepSchedule,
    TemporalPrior,
    TransitionPrior,
    UniformPrior,
    VerbNounHead,
    VerbNounPrior,
)
from skanticipate.metrics import top_k_scorer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* no teacher speaks for them"),
    pytest.mark.filterwarnings("ignore:feature_weight is positive, but the student"),
]

WEIGHTS = RNG.random(N) * (np.arange(N) % 7 > 0)  # some are zero
GROUPS = np.arange(N) // 4
PADDED = np.where((np.arange(N) % 3 == 0)[:, None, None], np.nan, CLIPS)
PADDED[:, 2:] = CLIPS[:, 2:]
CODES = RNG.integers(0, 5, (N, 3, 2))
VECTORS = {
    word: np.float32(v)
    for word, v in zip(
        ("cut", "wash", "leek", "cup"), ((1, 0), (1, 1), (0, 1), (-1, 2)), strict=True
    )
}


def smoothed(network=None, **params):
    network = MLP((7, 5)) if network is None else network
    return SmoothedAnticipator(network, **EXACT | params)


def distilled(network=None, **params):
    teacher = RecognitionTeacher(LSTM(6), max_epochs=2, random_state=1)
    network = LSTM(6) if network is None else network
    params = {"teacher": teacher, "feature_weight": 0.2} | params
    return DistilledAnticipator(network, **EXACT | params)


def over(make, name, values):
    """An estimator for each value of a parameter and each fold, and their rows."""
    models = [make(**{name: value}) for value in values for _ in FOLDS]
    return models, FOLDS * len(values)


# ------------------------------------------------------------------ what labels say


@pytest.mark.parametrize(
    "prior",
    [
        None,
        UniformPrior(),
        TransitionPrior(),
        TemporalPrior(),
        VerbNounPrior(),
        GloVePrior(vectors=VECTORS),
        MixturePrior([VerbNounPrior(), TemporalPrior()], weights=[0.7, 0.3]),
        MixturePrior([TransitionPrior(strength=5.0), UniformPrior()]),
    ],
    ids=str,
)
def test_smoothing_with_a_prior(prior):
    models = [
        smoothed(prior=prior, smoothing=smoothing)
        for smoothing in (0.0, 0.1, 0.9)
        for _ in FOLDS
    ]
    y_past = np.where(np.arange(N) % 5 == 0, None, NAMES[::-1].astype(object))
    assert_as_alone(models, X, NAMES, train=FOLDS * 3, y_past=y_past)


def test_priors_of_all_kinds_in_one_stack():
    priors = [UniformPrior(), VerbNounPrior(), TransitionPrior(), None, None]
    priors.append(MixturePrior([VerbNounPrior(), TransitionPrior()]))
    models = [
        smoothed(prior=prior, smoothing=0.1 * k, random_state=k)
        for k, prior in enumerate(priors)
    ]
    assert_as_alone(models, X, NAMES, y_past=NAMES[::-1])


def test_matrix_as_a_prior_and_a_class_set_wider_than_the_labels():
    matrix = RNG.dirichlet(np.ones(C + 1), C + 1)
    models, train = over(
        lambda smoothing: smoothed(
            prior=matrix, smoothing=smoothing, classes=list(range(C + 1))
        ),
        "smoothing",
        [0.1, 0.5],
    )
    assert_as_alone(models, X, Y, train=train)


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 2.0, 1: 0.5}], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_of_classes_and_of_rows(class_weight, weighted):
    models, train = over(
        lambda smoothing: smoothed(smoothing=smoothing, class_weight=class_weight),
        "smoothing",
        [0.0, 0.3],
    )
    weights = {"sample_weight": WEIGHTS} if weighted else {}
    assert_as_alone(models, X, Y, train=train, **weights)


def test_weights_of_classes_of_some_models_only():
    models = [smoothed(class_weight=w) for w in (None, "balanced", None, {0: 3.0})]
    fitted = assert_as_alone(models, X, Y)
    assert np.array_equal(*(m.class_log_frequency_ for m in fitted[:2]))


def test_marginal_losses_of_any_weight():
    models = [
        smoothed(
            MLP(7, head=VerbNounHead()),
            marginal_loss=MarginalLoss(verb_weight=verb, noun_weight=noun),
            smoothing=0.1,
        )
        for verb, noun in [(0.5, 1.0), (2.0, 0.1), (1.0, 3.0)]
        for _ in FOLDS
    ]
    assert_as_alone(models, X, NAMES, train=FOLDS * 3)


def test_marginal_losses_of_verbs_or_of_nouns_are_stacks_of_their_own():
    models = [
        smoothed(marginal_loss=MarginalLoss(verb_weight=verb, noun_weight=1.0 - verb))
        for verb in (0.0, 0.0, 1.0, 1.0)
    ]
    assert_as_alone(models, X, NAMES, together=2)


def test_adjusted_logits():
    models = [smoothed(logit_adjustment=v) for v in (0.0, 0.5, 1.0)]
    y = np.minimum(Y, RNG.integers(0, C, N))
    assert_as_alone(models, X, y)


# ------------------------------------------------------------------------- networks


NETWORKS = {
    "MLP": (MLP(5), X),
    "MLP of three layers": (MLP((8, 7, 6)), X),
    "MLP of sequences": (MLP(5), PADDED),
    "MLP that drops": (MLP((8, 7), dropout=0.3, input_dropout=0.2), X),
    "MLP of codes": (MLP(5, embedding=3, input_dropout=0.3), CODES),
    "LSTM": (LSTM(5), CLIPS),
    "GRU": (LSTM(5, cell="gru"), CLIPS),
    "LSTM of two layers": (LSTM(5, n_layers=2), CLIPS),
    "GRU of three layers": (LSTM(4, cell="gru", n_layers=3), CLIPS),
    "LSTM with stages": (LSTM(5, anticipation_steps=3), CLIPS),
    "GRU of padded clips with stages": (
        LSTM(5, cell="gru", anticipation_steps=2, anticipation_time=0.5),
        PADDED,
    ),
    "LSTM of padded clips": (LSTM(5), PADDED),
    "LSTM that drops": (LSTM(5, dropout=0.4, input_dropout=0.2), PADDED),
    "LSTM of codes": (LSTM(5, embedding=3), np.where(CODES > 3, -1, CODES)),
    "LSTM of one step": (LSTM(5), CLIPS[:, :1]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name):
    network, clips = NETWORKS[name]
    models, train = over(
        lambda lr: smoothed(network, lr=lr, smoothing=0.1), "lr", [0.002, 0.02]
    )
    assert_as_alone(models, clips, Y, train=train)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_head_of_verbs_and_nouns(cell):
    network = LSTM(5, cell=cell, head=VerbNounHead(), dropout=0.2)
    models, train = over(lambda lr: smoothed(network, lr=lr), "lr", [0.002, 0.02])
    assert_as_alone(models, CLIPS, NAMES, train=train)


def test_networks_that_drop_alike_and_unlike():
    # one generator of several models draws once, and others their own
    models = [
        smoothed(MLP(9, dropout=0.4), random_state=seed, lr=lr)
        for seed in (0, 1)
        for lr in (0.002, 0.02)
    ]
    assert_as_alone(models, X, Y)


def test_dropout_where_last_batches_differ_although_seeds_do_not():
    models = [
        distilled(LSTM(6, dropout=0.4), unlabeled_fraction=share)
        for share in (None, 0.5, 0.0)
    ]
    assert_as_alone(models, CLIPS, SOME, X_future_unlabeled=FUTURES)


def test_networks_of_other_shapes_are_other_stacks():
    models = [smoothed(MLP(size)) for size in (4, 5, 4, 5, (4, 5))]
    assert_as_alone(models, X, Y, together=2)


def test_tables_of_codes_differ_where_folds_have_not_seen_all_of_them():
    codes = np.minimum(CODES, 3)
    codes[FOLDS[0][0]] = 9  # the fold without it has smaller tables
    models = [smoothed(MLP(5, embedding=3)) for _ in FOLDS]
    row = FOLDS[0][0]
    n_with = sum(row in rows for rows in FOLDS)
    assert_as_alone(models, codes, Y, train=FOLDS, together=n_with)


# ------------------------------------------------------------------------- training


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_rates_momenta_and_decays_of_all_kinds(optimizer):
    models = [
        smoothed(optimizer=optimizer, lr=lr, momentum=m, weight_decay=decay)
        for lr, m, decay in [
            (0.01, 0.9, 0.0),
            (0.01, 0.0, 0.0),
            (np.float32(0.01), 0.9, 0.1),
            (np.float32(0.05), 0.9, 0.1),
            (np.float32(0.05), 0.9, np.float32(0.2)),
            (np.float32(0.05), 0.9, np.float32(2.0)),
            (np.float32(0.05), np.float32(0.5), 1),
            (0.01, 0.9, np.int64(2)),
        ]
    ]
    assert_as_alone(models, X, Y)


def test_optimizers_are_stacks_of_their_own():
    names = ("sgd", "adamw", "sgd", "adamw", "adam", "adam")
    models = [smoothed(optimizer=name) for name in names]
    assert_as_alone(models, X, Y, together=2)


def test_momentum_of_both_kinds():
    models = [
        smoothed(optimizer="sgd", nesterov=nesterov, momentum=m, lr=0.05)
        for nesterov in (False, True)
        for m in (0.3, 0.9)
    ]
    assert_as_alone(models, X, Y)


@pytest.mark.parametrize("network", [MLP(6), LSTM(5)], ids=str)
def test_norms_of_gradients_are_those_of_each(network):
    models = [
        smoothed(network, max_grad_norm=norm, optimizer="sgd", lr=0.5, random_state=k)
        for k, norm in enumerate((None, 0.01, 0.1, np.float32(0.2), 1e6))
    ]
    clips = X if isinstance(network, MLP) else CLIPS
    assert_as_alone(models, clips, Y, train=[*FOLDS, None, None, None])


def test_a_users_optimiser_is_alone():
    models = [
        smoothed(optimizer=torch.optim.RMSprop, random_state=k, lr=0.01)
        for k in range(2)
    ]
    assert_as_alone(models, X, Y, together=1)


def test_scorers_that_early_stopping_watches():
    models = [
        smoothed(early_stopping=True, scoring=scoring, lr=lr, max_epochs=6)
        for scoring in ("balanced_accuracy", top_k_scorer(2), "loss")
        for lr in (0.01, 0.1)
    ]
    assert_as_alone(models, X, Y)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 31, 200])
def test_batch_sizes_with_folds_of_unequal_length(batch_size):
    folds = [*FOLDS, np.arange(N), np.arange(16), np.arange(17, 40)]
    models = [
        smoothed(batch_size=batch_size, random_state=k % 2, smoothing=0.1 * k)
        for k in range(len(folds))
    ]
    assert_as_alone(models, X, Y, train=folds)


def test_dropout_with_folds_of_unequal_length():
    folds = [*FOLDS, np.arange(N), np.arange(16), np.arange(17, 40)]
    models = [smoothed(MLP(9, dropout=0.3)) for _ in folds]
    assert_as_alone(models, X, Y, train=folds)


def test_schedules_and_numbers_of_epochs():
    models = [
        smoothed(lr_schedule=schedule, max_epochs=max_epochs, lr=0.02)
        for schedule in (
            None,
            CosineSchedule(),
            CosineSchedule(warmup_epochs=0.7),
            StepSchedule(2),
            StepSchedule(1, factor=0.5),
            MultiStepSchedule([1, 2], 0.3),
        )
        for max_epochs in (1, 3)
    ]
    fitted = assert_as_alone(models, X, Y)
    assert [m.n_iter_ for m in fitted] == 6 * [1, 3]


@pytest.mark.filterwarnings("ignore:.* kept the weights of the first epoch")
@pytest.mark.parametrize("how", ["held out", "groups", "X_val"])
@pytest.mark.parametrize("network", [MLP(6), LSTM(5, dropout=0.2)], ids=str)
def test_early_stopping(how, network):
    models = [
        smoothed(
            network,
            early_stopping=True,
            n_iter_no_change=2,
            lr=lr,
            max_epochs=15,
            scoring=scoring,
            validation_fraction=0.3,
        )
        for lr in (0.001, 0.03, 0.3)
        for scoring in ("loss", "accuracy")
    ]
    signals = {}
    if how == "groups":
        signals = {"groups": GROUPS}
    elif how == "X_val":
        clips = RNG.normal(size=(20, T, D))
        signals = {"X_val": clips, "y_val": np.arange(20) % C}
    fitted = assert_as_alone(models, CLIPS, Y, **signals)
    assert len({m.n_iter_ for m in fitted}) > 1  # they left the stack one by one


def test_validation_data_without_early_stopping():
    models = [smoothed(lr=lr) for lr in (0.01, 0.1)]
    fitted = assert_as_alone(models, X, Y, X_val=X[:9] + 1, y_val=Y[:9])
    assert "val_loss" in fitted[0].history_[0]


# -------------------------------------------------------------------------- teachers


@pytest.mark.parametrize(
    "alignment", ["weak", "student", "teacher", "direct", "pooled"]
)
@pytest.mark.parametrize("padded", [False, True])
def test_maps_of_a_teacher(alignment, padded):
    models, train = over(
        lambda feature_weight: distilled(
            alignment=alignment,
            feature_weight=feature_weight,
            teacher_weight=0.5,
            temperature=2.0,
            smoothing=0.1,
        ),
        "feature_weight",
        [0.1, 0.7],
    )
    futures, clips = FUTURES.copy(), CLIPS
    if padded:
        clips, futures[1::4, :2] = PADDED, np.nan
        futures[::5] = np.nan  # no future
    assert_as_alone(models, clips, SOME, train=train, X_future_unlabeled=futures)


def test_other_alphas_and_temperatures_are_other_stacks():
    models = [
        distilled(alpha=alpha, teacher_weight=0.3, temperature=temperature)
        for alpha in (None, 0.5)
        for temperature in (1.0, 3.0)
        for _ in range(2)
    ]
    assert_as_alone(models, CLIPS, Y, X_future_unlabeled=FUTURES, together=2)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_maps_of_another_width_are_met_by_a_projection(missing, padded):
    teacher = RecognitionTeacher(LSTM(4), max_epochs=2)
    models = [
        distilled(teacher=teacher, random_state=seed, batch_size=1, max_epochs=1)
        for seed in (1, 2)
    ]
    futures, clips = FUTURES.copy(), CLIPS.copy()
    if missing:  # a step without a future does not move the projection
        futures[::3] = np.nan
    if padded:  # nor does one with nothing but padding
        clips[::5] = np.nan
    assert_as_alone(models, clips, Y, X_future_unlabeled=futures, together=1)


@pytest.mark.parametrize("fraction", [None, 0.5, 0.0])
@pytest.mark.parametrize("start", [True, False])
def test_unlabelled_rows_and_the_start_from_a_teacher(fraction, start):
    models = [
        distilled(
            teacher=RecognitionTeacher(LSTM(6), max_epochs=2) if seed else None,
            unlabeled_fraction=fraction,
            init_from_teacher=start,
            random_state=seed,
            teacher_weight=w,
        )
        for seed in (0, 1)
        for w in (0.2, 1.0)
    ]
    futures = FUTURES.copy()
    futures[::5] = np.nan
    fitted = assert_as_alone(models, CLIPS, SOME, X_future_unlabeled=futures)
    assert all(m.started_from_teacher_ is start for m in fitted)
    assert fitted[0].feature_weight_ == 0.2


def test_feature_weight_and_start_left_to_the_estimator():
    models = [distilled(feature_weight=None, lr=lr) for lr in (0.01, 0.1)]
    fitted = assert_as_alone(models, CLIPS, SOME, X_future_unlabeled=FUTURES)
    assert [m.feature_weight_ for m in fitted] == [0.1, 0.1]


@pytest.mark.parametrize("grouped", [False, True])
def test_cross_fitted_teachers(grouped):
    models = [distilled(cross_fit=3, teacher_weight=w) for w in (0.1, 1.0)]
    signals = {"groups": GROUPS} if grouped else {}
    fitted = assert_as_alone(
        models, CLIPS, Y, X_future_unlabeled=FUTURES, together=4, **signals
    )  # three folds, and all
    assert fitted[0].teacher_ is not None


def test_frozen_teacher():
    teacher = RecognitionTeacher(LSTM(6), max_epochs=2, random_state=0, dtype="float64")
    teacher = FrozenEstimator(teacher.fit(FUTURES, Y))
    models, train = over(
        lambda lr: distilled(teacher=teacher, lr=lr), "lr", [0.01, 0.1]
    )
    assert_as_alone(models, CLIPS, SOME, X_future_unlabeled=FUTURES, train=train)


def test_teacher_of_another_library():
    futures = FUTURES.reshape(N, -1)
    models = [
        distilled(
            MLP(5), teacher=LogisticRegression(), feature_weight=0.0, teacher_weight=w
        )
        for w in (0.2, 1.0)
        for _ in FOLDS
    ]
    assert_as_alone(models, X, SOME, X_future_unlabeled=futures, train=FOLDS * 2)


def test_answers_instead_of_a_teacher():
    proba = RNG.dirichlet(np.ones(C), N)
    proba[:, 2] = 0  # divergences are fine with zeros
    proba /= proba.sum(axis=1, keepdims=True)
    proba[::4] = np.nan
    models, train = over(
        lambda teacher_weight: DistilledAnticipator(
            MLP(5),
            classes=list(range(C)),
            teacher_weight=teacher_weight,
            smoothing=0.1,
            temperature=2.0,
            unlabeled_fraction=None,
            **EXACT,
        ),
        "teacher_weight",
        [0.2, 1.0],
    )
    y = np.where(np.isnan(proba[:, 0]), Y, SOME)  # each row has some signal
    assert_as_alone(models, X, y, teacher_proba=proba, train=train)


READER = HistoryTeacher(max_epochs=1, n_networks=1, hidden_size=4, random_state=0)


@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("network", [MLP(5, dropout=0.3), LSTM(5)], ids=str)
def test_text_of_rows_of_which_some_have_nothing_else(top_k, network):
    past = PAST.copy()
    past[np.flatnonzero(SOME >= 0)[::3]] = None  # no history
    models = [
        DistilledAnticipator(
            network,
            text_teacher=READER,
            text_weight=weight,
            text_top_k=top_k,
            text_temperature=2.0,
            unlabeled_fraction=None,
            prior=TransitionPrior(),
            smoothing=0.2,
            **EXACT | {"batch_size": size, "random_state": seed},
        )
        for weight, size, seed in [(0.3, 2, 0), (1.0, 2, 0), (1.0, 2, 1)]
    ]
    clips = X if isinstance(network, MLP) else PADDED
    past_labels = np.where(np.arange(N) % 4 == 0, None, PAST[:, -1])
    fitted = assert_as_alone(models, clips, SOME, past_actions=past, y_past=past_labels)
    assert "text" in fitted[0].history_[0]


def test_all_signals_at_once():
    futures, past = FUTURES.copy(), PAST.copy()
    futures[::5], futures[1::4, :2] = np.nan, np.nan
    past[::3] = None
    models, train = over(
        lambda text_weight: distilled(
            LSTM(6, cell="gru", dropout=0.2),
            teacher=RecognitionTeacher(LSTM(6, cell="gru"), max_epochs=2),
            text_teacher=READER,
            text_weight=text_weight,
            teacher_weight=0.5,
            prior=TransitionPrior(),
            smoothing=0.2,
            class_weight="balanced",
            lr_schedule=CosineSchedule(warmup_epochs=1),
            early_stopping=True,
            validation_fraction=0.3,
        ),
        "text_weight",
        [0.1, 1.0],
    )
    assert_as_alone(
        models,
        PADDED,
        SOME,
        train=train,
        X_future_unlabeled=futures,
        past_actions=past,
        y_past=past[:, -1],
        sample_weight=WEIGHTS,
        groups=GROUPS,
    )


def test_clones_are_what_is_fitted():
    models = [distilled(lr=lr) for lr in (0.01, 0.1)]
    before = [clone(m).get_params() for m in models], [vars(m).copy() for m in models]
    assert_as_alone(models, CLIPS, SOME, X_future_unlabeled=FUTURES)
    assert [vars(m) for m in models] == before[1]
    assert list(map(repr, [m.get_params() for m in models])) == list(
        map(repr, before[0])
    )


# ----------------------------------------------------------------------- float32


@pytest.mark.parametrize("network", [MLP((16, 8)), LSTM(8)], ids=str)
def test_in_float32_labels_are_the_same_and_scores_close(network):
    clips, data = (X, {}) if isinstance(network, MLP) else (CLIPS, {})
    models, train = over(
        lambda lr: smoothed(network, lr=lr, dtype="float32", max_epochs=10),
        "lr",
        [0.002, 0.01],
    )
    assert_as_alone(models, clips.astype(np.float32), Y, train=train, atol=1e-4)
    assert torch.get_default_dtype() == torch.float32
