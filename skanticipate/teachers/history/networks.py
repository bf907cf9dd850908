"""The recurrent networks of a HistoryTeacher."""

import numpy as np

from skanticipate.networks import LSTM
from skanticipate.teachers.recognition import RecognitionTeacher
from skanticipate.training.schedules import CosineSchedule

_STEPS_IN_EPOCH = 64  # few rows come in small batches, or ten epochs were few steps
_BATCH_SIZES = 16, 256


def history_network(
    n_rows, classes, head, *, hidden_size, max_epochs, device, n_threads, random_state
):
    """Recurrent network, unfitted. The numbers were found on training videos."""
    return RecognitionTeacher(
        LSTM(hidden_size, cell="gru", embedding=64, dropout=0.5, head=head),
        max_epochs=max_epochs,
        batch_size=int(np.clip(n_rows // _STEPS_IN_EPOCH, *_BATCH_SIZES)),
        lr=4e-3,
        lr_schedule=CosineSchedule(),
        classes=classes,
        unlabeled_label=None,
        device=device,
        n_threads=n_threads,
        random_state=random_state,
    )


def mean_answer(networks, codes, device, n_threads):
    """Mean of the probabilities of fitted networks, which may be on another device.

    (n, L, k) -> (n, C)
    """
    answers = (_at(n, device, n_threads).predict_proba(codes) for n in networks)
    return sum(answers) / len(networks)


def _at(network, device, n_threads):
    """The same fitted network with another device and number of threads."""
    if (network.device, network.n_threads) == (device, n_threads):
        return network
    other = object.__new__(type(network))
    vars(other).update(vars(network), device=device, n_threads=n_threads)
    return other
