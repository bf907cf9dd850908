"""Camporese et al. 2020: labels that know each other."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from skanticipate.anticipators.smoothed import SmoothedAnticipator
from skanticipate.data.numbers import check_count
from skanticipate.networks import RULSTM, EncoderDecoderLSTM
from skanticipate.presets.given import with_given
from skanticipate.priors.base import BasePrior


def camporese2020_lstm(
    prior: BasePrior | ArrayLike | None = None,
    *,
    max_epochs: int = 100,
    **parameters: Any,
) -> SmoothedAnticipator:
    """Camporese et al.: an LSTM encoder-decoder that learns from smoothed labels.

    It reads 14 steps of 0.25 s, of which the last 8 are anticipation times from 2 to
    0.25 s; `predict_proba` answers 1 s before the action, and all eight times are in
    `staged_predict_proba`. One modality: (n, 14, d). Clips of several modalities are
    fused by `LateFusion`.

    *Ours*: the weight of the prior (not on the poster: search over `smoothing`), and
    widths, dropout and training, which are not on the poster either: they are those of
    RU-LSTM's code. Its best epoch is kept too: pass `X_val` and `y_val`, else a tenth
    of the labelled rows is held out.

    Parameters
    ----------
    prior : prior, default=None
        What labels know of each other; the poster compares `UniformPrior`,
        `VerbNounPrior`, `GloVePrior`, `TemporalPrior` and ``MixturePrior`` of GloVe and
        verb-noun. None means `UniformPrior`.
    max_epochs : int, default=100
        All of them are run, and the best is kept.
    **parameters
        Parameters of the estimator, in place of these: of five classes or fewer, whose
        top-5 accuracy says nothing, ``scoring="loss"``.

    Returns
    -------
    SmoothedAnticipator

    Raises
    ------
    ValueError
        If the estimator has no parameter of a name.

    References
    ----------
    G. Camporese, P. Coscia, A. Furnari, G. M. Farinella, L. Ballan, "Knowledge
    Distillation for Action Anticipation via Label Smoothing", ICPR 2020.

    Examples
    --------
    >>> from skanticipate import presets
    >>> presets.camporese2020_lstm(smoothing=0.2).network.stage_times()
    array([2.  , 1.75, 1.5 , 1.25, 1.  , 0.75, 0.5 , 0.25])
    """
    network = EncoderDecoderLSTM(
        1024,
        dropout=0.8,
        time_step=0.25,
        anticipation_steps=8,
        anticipation_time=1.0,
    )
    model = _camporese(network, prior, max_epochs=max_epochs)
    return with_given(model, parameters)


def camporese2020_rulstm(
    prior: BasePrior | ArrayLike | None = None,
    *,
    max_epochs: int = 200,
    **parameters: Any,
) -> SmoothedAnticipator:
    """Camporese et al.: RU-LSTM that learns from smoothed labels.

    The network and its training are Furnari and Farinella's: 6 steps of 0.25 s that
    only encode and 8 anticipation times from 2 to 0.25 s, states of 1024, dropout of
    0.8; SGD with a rate of 0.01, momentum 0.9, in batches of 128, without weight decay
    or schedule, for 100 epochs of sequence completion and 100 of anticipation. Of the
    latter the one of the best top-5 accuracy 1 s before the action is kept: pass
    `X_val` and `y_val`, else a tenth of the labelled rows is held out. One modality:
    (n, 14, d); for several, `network=ModalityAttention(...)`.

    *Ours*: the weight of the prior (not on the poster: search over `smoothing`). One
    fit does both phases, with one optimiser.

    Parameters
    ----------
    prior : prior, default=None
        As in `camporese2020_lstm`.
    max_epochs : int, default=200
        Epochs in all; the first half of them completes sequences.
    **parameters
        Parameters of the estimator, in place of these: of five classes or fewer, whose
        top-5 accuracy says nothing, ``scoring="loss"``.

    Returns
    -------
    SmoothedAnticipator

    Raises
    ------
    ValueError
        If the estimator has no parameter of a name, or `max_epochs` is below 1.
    TypeError
        If `max_epochs` is no whole number.

    References
    ----------
    G. Camporese, P. Coscia, A. Furnari, G. M. Farinella, L. Ballan, "Knowledge
    Distillation for Action Anticipation via Label Smoothing", ICPR 2020.
    A. Furnari, G. M. Farinella, "What Would You Expect? Anticipating Egocentric Actions
    with Rolling-Unrolling LSTMs and Modality Attention", ICCV 2019, and its code.

    Examples
    --------
    >>> from skanticipate import presets
    >>> model = presets.camporese2020_rulstm(max_epochs=6)
    >>> model.max_epochs, model.network.pretrain_epochs
    (6, 3)
    """
    check_count(max_epochs, "max_epochs")
    network = RULSTM(
        1024,
        dropout=0.8,
        pretrain_epochs=max_epochs // 2,
        time_step=0.25,
        anticipation_steps=8,
        anticipation_time=1.0,
    )
    model = _camporese(network, prior, max_epochs=max_epochs)
    return with_given(model, parameters)


def _camporese(network, prior, *, max_epochs):
    """Soft labels, and the training of RU-LSTM's code."""
    return SmoothedAnticipator(
        network,
        prior=prior,
        smoothing=0.1,
        max_epochs=max_epochs,
        batch_size=128,
        optimizer="sgd",
        lr=0.01,
        momentum=0.9,
        weight_decay=0.0,
        early_stopping=True,
        scoring="top_5_accuracy",
        n_iter_no_change=max_epochs,  # all epochs are run, and the best is kept
    )
