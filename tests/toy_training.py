"""A small training over random clips, put together by hand."""

import numpy as np
import torch

from skanticipate import RowView
from skanticipate.networks import LSTM
from skanticipate.terms.labels import LabelTerm, label_parts
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import Batch, ClipReader
from skanticipate.training.loop import initial_state
from skanticipate.training.optimizers import MatrixDecayAdamW, make_optimizer
from skanticipate.training.runtime import Compute
from skanticipate.training.scoring import ValidationScore
from skanticipate.training.step import GradientStep

N, T, D, C = 60, 4, 6, 3
CPU = Compute(torch.device("cpu"), torch.float32)
SEEDS = {"shuffle": 3, "crop": 5, "dropout": 4}


def data(n=N, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, C, n)
    return rng.normal(size=(n, T, D)).astype(np.float32) + codes[:, None, None], codes


def state_of(network, optimizer="adamw", lr=0.02, weight_decay=0.01, **options):
    """State at the start of training."""
    options_of_kind = {"lr": lr, "weight_decay": weight_decay}
    if optimizer == "matrix decay":
        optimizer = MatrixDecayAdamW(network.parameters(), **options_of_kind)
    else:
        optimizer = make_optimizer(
            optimizer, [network], momentum=0.9, nesterov=False, **options_of_kind
        )
    return initial_state({"network": network}, optimizer, SEEDS, **options)


def new_training(spec=None, **options):
    """A state at the start and its step over the data above."""
    spec = LSTM(8, dropout=0.3, anticipation_steps=2) if spec is None else spec
    X, codes = data()
    network = spec.build((T, D), C, generator=torch.Generator().manual_seed(0))
    state = state_of(network, **options)
    term = LabelTerm(label_parts(codes, [], 0.0), codes >= 0, None, CPU)
    take = ClipReader(RowView(X), CPU)
    return state, GradientStep(state, batches_of(take), Objective([term]))


def batches_of(take_clips):
    """Batches without crops or futures."""
    return lambda samples: Batch(samples, take_clips(samples))


def validation(watched="loss"):
    X, codes = data(40, seed=9)
    reader = ClipReader(RowView(X), CPU)
    return ValidationScore(reader, codes, stage=-1, watched=watched)
