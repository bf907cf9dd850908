"""Ghosh et al. 2022: a teacher that reads the past actions."""

from __future__ import annotations

from typing import Any

from skanticipate._typing import Actions, FilePath
from skanticipate.anticipators.distilled import DistilledAnticipator
from skanticipate.networks import AVTHead
from skanticipate.presets.given import with_given
from skanticipate.teachers import HistoryTeacher, LanguageTeacher
from skanticipate.training.schedules import CosineSchedule

# Hugging Face's.
_GPT2_DROPOUT: dict[str, Any] = {"layer_dropout": 0.1, "attention_dropout": 0.1}

_FINE_TUNING: dict[str, Any] = {
    "freeze": False,
    "pooling": "first",
    "max_length": 512,
    "batch_size": 16,
    "lr": 1e-5,
    "weight_decay": 1e-7,
}


def ghosh2022_egtea(
    model: FilePath | None = None, actions: Actions | None = None, **parameters: Any
) -> DistilledAnticipator:
    """Ghosh et al. on EGTEA Gaze+: a text model teaches AVT.

    The student is AVT's head on frame features of 10 steps at 1 per second, the last of
    them 0.5 s before the action, (n, 10, d): 2 layers of 4 heads and width 2048,
    dropout of 0.8, weights of 1 for guessed features and 0.1 for the labels of past
    frames (`y_past` of shape (n, 10)); SGD with Nesterov's momentum, a rate of 1e-3
    that falls along half a cosine, and a weight decay of 1e-6, for 15 epochs. The
    teacher reads the last 15 actions (`past_actions` of shape (n, 15)) and is
    fine-tuned for 6 epochs by AdamW with a rate of 1e-5 and a weight decay of 1e-7 in
    batches of 16, with losses of 0.8, 0.1 and 0.1 for action, verb and noun and
    balanced classes. Its answers at a temperature of 10 teach with a lambda of 150,
    which over 106 classes is a `text_weight` of 1.415.

    *Ours*: AVT's configuration for features, on one GPU (batches of 64; AVT multiplies
    the rate by the number of GPUs), momentum 0.9; of the code's 4 to 6 epochs and
    batches of 14 to 16 of the teacher the largest; and rows without a history are left
    out of the text term, where the code teaches them a uniform distribution. The
    `time_step` of the network is the gap to the action, for its single answer, and not
    the second between two frames. The teacher's pre-training on recipes (200,000 steps
    of masked words at a rate of 0.15, in batches of 12 to 15) is left to
    `skanticipate.teachers.pretrain_language_model`.

    Parameters
    ----------
    model : str or path-like, default=None
        Folder or name of the encoder of `LanguageTeacher`: the paper has BERT, RoBERTa,
        DistilBERT, ALBERT, ELECTRA and DeBERTa of base size. None takes a
        `HistoryTeacher`, which needs no language model.
    actions : mapping or table, default=None
        Verb and noun of each label, for the teacher. None: labels are "verb noun".
    **parameters
        Parameters of the estimator, in place of these.

    Returns
    -------
    DistilledAnticipator

    Raises
    ------
    ValueError
        If the estimator has no parameter of a name.

    References
    ----------
    S. Ghosh et al., "Distilling Knowledge from Language Models for Video-based Action
    Anticipation", arXiv 2210.05991, and its code.
    R. Girdhar, K. Grauman, "Anticipative Video Transformer", ICCV 2021: the code's
    configuration for EGTEA and TSN features.

    Examples
    --------
    >>> from skanticipate import presets
    >>> model = presets.ghosh2022_egtea(max_epochs=1)
    >>> model.text_weight, model.text_temperature, model.network.past_weight
    (1.415, 10.0, 0.1)
    """
    network = AVTHead(
        2048,
        n_layers=2,
        n_heads=4,
        future_feature_weight=1.0,
        past_weight=0.1,
        dropout=0.8,
        time_step=0.5,  # the last frame lies so long before the action
        **_GPT2_DROPOUT,
    )
    teacher = HistoryTeacher(actions)
    if model is not None:
        teacher = LanguageTeacher(
            model,
            actions,
            noun_order="reading",
            verb_weight=0.1,
            noun_weight=0.1,
            max_epochs=6,
            class_weight="balanced",
            **_FINE_TUNING,
        )
    student = DistilledAnticipator(
        network,
        text_teacher=teacher,
        text_weight=1.415,
        text_temperature=10.0,
        smoothing=0.0,
        max_epochs=15,
        batch_size=64,
        optimizer="sgd",
        lr=1e-3,
        momentum=0.9,
        nesterov=True,
        weight_decay=1e-6,
        lr_schedule=CosineSchedule(),
    )
    return with_given(student, parameters)


def ghosh2022_epic55(
    model: FilePath | None = None, actions: Actions | None = None, **parameters: Any
) -> DistilledAnticipator:
    """Ghosh et al. on EPIC-KITCHENS-55: a text model teaches AVT.

    The student is AVT's head on frame features of 10 steps at 2 per second, the last of
    them 1 s before the action, (n, 10, d): 12 layers of 8 heads and width 2048, dropout
    of 0.8, a weight of 2 for guessed features and none for the labels of past frames;
    Adam with a rate of 5e-6 that falls along half a cosine and a weight decay of 1e-4,
    for 20 epochs in batches of 32. The teacher reads the last 5 actions (`past_actions`
    of shape (n, 5)) and is fine-tuned for 8 epochs by AdamW with a rate of 1e-5 and a
    weight decay of 1e-7 in batches of 16, with losses of 0.7, 0.15 and 0.15 for action,
    verb and noun. Its 50 most probable classes at a temperature of 5 teach with a
    lambda of 20, which over 50 classes is a `text_weight` of 0.4.

    *Ours*: the rate of one GPU (AVT multiplies it by the number of GPUs); rows without
    a history are left out of the text term; the teacher's rows are shuffled. What
    `ghosh2022_egtea` says of `time_step` and of pre-training holds here too.

    Parameters
    ----------
    model, actions : str or path-like, and mapping or table, default=None
        As in `ghosh2022_egtea`.
    **parameters
        Parameters of the estimator, in place of these.

    Returns
    -------
    DistilledAnticipator

    Raises
    ------
    ValueError
        If the estimator has no parameter of a name.

    References
    ----------
    S. Ghosh et al., "Distilling Knowledge from Language Models for Video-based Action
    Anticipation", arXiv 2210.05991, and its code.
    R. Girdhar, K. Grauman, "Anticipative Video Transformer", ICCV 2021: the code's
    configuration for EPIC-KITCHENS-55 and irCSN-152 features of IG65M.

    Examples
    --------
    >>> from skanticipate import presets
    >>> model = presets.ghosh2022_epic55(max_epochs=1)
    >>> model.text_top_k, model.optimizer, model.lr
    (50, 'adam', 5e-06)
    """
    network = AVTHead(
        2048,
        n_layers=12,
        n_heads=8,
        future_feature_weight=2.0,
        past_weight=0.0,
        dropout=0.8,
        time_step=1.0,  # the last frame lies so long before the action
        **_GPT2_DROPOUT,
    )
    teacher = HistoryTeacher(actions)
    if model is not None:
        teacher = LanguageTeacher(
            model,
            actions,
            noun_order="head_first",
            verb_weight=0.15,
            noun_weight=0.15,
            max_epochs=8,
            **_FINE_TUNING,
        )
    student = DistilledAnticipator(
        network,
        text_teacher=teacher,
        text_weight=0.4,
        text_temperature=5.0,
        text_top_k=50,
        smoothing=0.0,
        max_epochs=20,
        batch_size=32,
        optimizer="adam",
        lr=5e-6,
        weight_decay=1e-4,
        lr_schedule=CosineSchedule(),
    )
    return with_given(student, parameters)
