"""Networks of users, and how all networks are built and loaded."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from user_network import UserNetwork

from skanticipate import (
    LSTM,
    MLP,
    FeatureMapNet,
    NetworkSpec,
    Output,
    RowView,
    SmoothedAnticipator,
)
from skanticipate.datasets import make_kitchen
from skanticipate.estimator.blueprint import Blueprint, default_network

DATA = make_kitchen(10, 10, n_features=12, random_state=0)
X, Y = DATA.X_past, DATA.y


def anticipator(network=None, **params):
    return SmoothedAnticipator(
        MLP(8) if network is None else network,
        **{"max_epochs": 2, "random_state": 0, **params},
    )


# ------------------------------------------------------------- networks of users


def test_a_network_of_plain_modules_works_and_is_reproducible():
    stream = torch.get_rng_state()
    one = anticipator(UserNetwork()).fit(X, Y)
    torch.manual_seed(123)
    other = anticipator(UserNetwork()).fit(X, Y)
    assert one.predict_proba(X).tobytes() == other.predict_proba(X).tobytes()
    assert one.predict_proba(X).tobytes() == one.predict_proba(X).tobytes()
    torch.set_rng_state(stream)


def test_a_network_of_plain_modules_leaves_the_global_stream_alone():
    stream = torch.get_rng_state()
    model = anticipator(UserNetwork()).fit(X, Y)
    model.predict(X)
    copy.deepcopy(model)
    assert torch.equal(torch.get_rng_state(), stream)


def test_dropout_of_a_user_is_active_in_training_only():
    full = anticipator(UserNetwork(0.0)).fit(X, Y)
    dropped = anticipator(UserNetwork(0.5)).fit(X, Y)
    assert not np.array_equal(full.predict_proba(X), dropped.predict_proba(X))


def test_buffers_travel_with_the_weights():
    model = anticipator(UserNetwork()).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    for one, other in zip(
        model.network_.buffers(), again.network_.buffers(), strict=True
    ):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


class WrongNetwork(NetworkSpec):
    def __init__(self, fault):
        self.fault = fault

    def build(self, input_shape, n_classes, *, generator):
        return _WrongNetwork(self.fault, input_shape[0], n_classes)


class _WrongNetwork(nn.Module):
    def __init__(self, fault, n_inputs, n_classes):
        super().__init__()
        self.fault = fault
        width = n_classes - 1 if fault == "classes" else n_classes
        self.layer = nn.Linear(n_inputs, width)

    def forward(self, clips):
        logits = self.layer(clips)
        if self.fault == "tensor":
            return logits
        return Output(logits if self.fault == "stage" else logits.unsqueeze(1))


@pytest.mark.parametrize("fault", ["tensor", "stage", "classes"])
def test_a_network_that_answers_in_another_form_is_explained(fault):
    with pytest.raises((TypeError, ValueError), match=r"Output|\(B, S, C\)"):
        anticipator(WrongNetwork(fault)).fit(X, Y)


T, D, C = 6, 4, 3


def random_clips(n=5, steps=T, width=D, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, steps, width)))


# --------------------------------------------------------------------- blueprint


class Own(NetworkSpec):
    """A network of a user, which draws from torch's global stream."""

    def build(self, input_shape, n_classes, *, generator):
        class Network(nn.Linear):
            def forward(self, clips):
                return super().forward(clips).unsqueeze(1)

        return Network(input_shape[0], n_classes)


def test_network_of_a_user_follows_the_seed_and_leaves_the_global_stream():
    before = torch.get_rng_state()
    blueprint = Blueprint(Own(), (D,), C)
    one, two, three = (blueprint.build(seed).weight for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, three)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loaded_network_has_the_bits_of_its_weights(dtype):
    blueprint = Blueprint(LSTM(8, dropout=0.5), (T, D), C)
    network = blueprint.build(4).to(dtype)
    arrays = {name: w.numpy() for name, w in network.state_dict().items()}
    again = blueprint.load(arrays)
    assert not again.training
    clips = random_clips().to(dtype)
    assert torch.equal(again(clips).logits, network.eval()(clips).logits)
    with torch.no_grad():
        again.classifier.bias += 1
    assert not torch.equal(again.classifier.bias, network.classifier.bias)


def test_weights_that_cannot_be_written_load_without_a_warning():
    blueprint = Blueprint(MLP(8), (D,), C)
    weights = {k: w.numpy() for k, w in blueprint.build(0).state_dict().items()}
    for array in weights.values():
        array.flags.writeable = False  # as joblib's workers get them
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blueprint.load(weights)


def test_default_network_follows_the_axes():
    assert isinstance(default_network(RowView(np.ones((9, D)))), MLP)
    assert isinstance(default_network(RowView(np.ones((9, T, D)))), LSTM)
    for grid in ((2, 2), (2, 2, 2), (2, 2, 2, 2)):
        rows = RowView(np.ones((9, *grid, D)))
        assert isinstance(default_network(rows), FeatureMapNet)
