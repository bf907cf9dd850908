"""Recurrent networks that go on from their states."""

import torch

from skanticipate.networks.recurrence import project, run_lstm
from skanticipate.networks.stepping import Stepper, kept


class RecurrentStepper(Stepper):
    """Steps of `LSTM`. A state holds that of each layer, and of an LSTM each cell."""

    def __init__(self, network, stage, n_stages):
        super().__init__(network, stage, n_stages)
        self.layers = network.rolling.all_weights
        self.classifier = network.classifier

    def start(self, n_clips):
        """States (n, H) of all layers, then cells."""
        rolling = self.network.rolling
        n_states = rolling.num_layers * (2 if rolling.mode == "LSTM" else 1)
        shape = n_clips, rolling.hidden_size
        return tuple(self.zeros(*shape) for _ in range(n_states))

    def read(self, state, step, real):
        """Pass a step (n, e) through all layers."""
        n_layers = len(self.layers)
        hidden, cells = state[:n_layers], state[n_layers:]
        next_hidden, next_cells = [], []
        for layer, weights in enumerate(self.layers):
            if cells:
                before = hidden[layer], cells[layer]
                step, cell = torch.lstm_cell(step, before, *weights)
                next_cells.append(cell)
            else:
                step = torch.gru_cell(step, hidden[layer], *weights)
            next_hidden.append(step)
        return kept(real, (*next_hidden, *next_cells), state)

    def scores(self, state):
        """Classify the state of the last layer."""
        return self.classifier(state[len(self.layers) - 1])


class RollingStepper(Stepper):
    """Steps of `RULSTM`. A state holds that of the rolling LSTM, and the last step."""

    def start(self, n_clips):
        """State and cell (n, H), step (n, e), whether there was one (n, 1)."""
        width, n_inputs = self.network.rolling.hidden_size, self.network.input.n_outputs
        return tuple(self.zeros(n_clips, n) for n in (width, width, n_inputs, 1))

    def read(self, state, step, real):
        """Let the rolling LSTM read a step (n, e)."""
        hidden, cell, _, seen = state
        projected = project(self.network.rolling, step)
        one_step = [slice(None)]
        after = run_lstm(self.network.rolling, projected, hidden, cell, one_step)
        step = step.clone()  # it may lie in an array of the user's
        return kept(real, (*after, step, torch.ones_like(seen)), state)

    def scores(self, state):
        """Classify what the network thinks when it has unrolled."""
        return self.network.classifier(self.unroll(state))

    def unroll(self, state):
        """Unroll over the step, once for each that is to come and once more."""
        hidden, cell, step, seen = state
        projected = project(self.network.unrolling, step)
        reads = [slice(None)] * (self.lag + 2)
        states, _ = run_lstm(self.network.unrolling, projected, hidden, cell, reads)
        return states[-len(step) :] * seen  # (n, H)
