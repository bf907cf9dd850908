"""LSTM and GRU layers of K networks at once, with gradients made for them.

Autograd would keep and replay some ten small operations a step; here a layer is one
node, and the gradients of its weights are one product each over all steps.
"""

import torch
from torch.autograd.function import once_differentiable

from skanticipate.networks.affine import affine

_sigmoid_backward = torch.ops.aten.sigmoid_backward
_tanh_backward = torch.ops.aten.tanh_backward


def run_lstm(steps, weight_in, weight, bias_in, bias):
    """One layer of LSTMs, from a state of zeros.

    Parameters
    ----------
    steps : tensor of shape (K, B, T, e)
    weight_in, weight : tensors of shape (K, 4H, e) and (K, 4H, H)
        Of inputs and of states; gates in torch's order.
    bias_in, bias : tensors of shape (K, 4H)

    Returns
    -------
    tensor of shape (K, B, T, H)
        States after each step.
    """
    inputs = _project(steps, weight_in, bias_in + bias)  # (K, T, B, 4H)
    return _LSTM.apply(inputs, weight).transpose(1, 2)


def run_gru(steps, weight_in, weight, bias_in, bias):
    """One layer of GRUs, from a state of zeros; as `run_lstm`, with three gates."""
    inputs = _project(steps, weight_in, bias_in)  # (K, T, B, 3H)
    return _GRU.apply(inputs, weight, bias).transpose(1, 2)


def _project(steps, weight, bias):
    """What gates get from the inputs.   (K, B, T, e) -> (K, T, B, gates)."""
    n_models, n_rows, n_steps, _ = steps.shape
    rows = steps.transpose(1, 2).reshape(n_models, n_steps * n_rows, -1)
    return affine(rows, weight, bias).unflatten(1, (n_steps, n_rows))


def _before(states):
    """State before each step: zeros, then all but the last.   (K, T, B, H)."""
    return torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)


def _transposed(weight):
    """Weights (K, gates, H) for products at every step.   -> (K, H, gates)."""
    return weight.transpose(
        1, 2
    ).contiguous()  # products with a view take twice as long


class _LSTM(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs, weight):
        width, matrix = weight.shape[2], _transposed(weight)
        gates = _gates_like(inputs, width)
        states = inputs.new_empty(*inputs.shape[:3], width)
        cells = torch.empty_like(states)
        before = None
        for given, gate, state, cell in _steps(inputs, gates, states, cells):
            if before is not None:
                given = torch.baddbmm(given, before[0], matrix)
            into, forget, value, out = _apart(given, into=gate)
            gate[:2].sigmoid_()  # into and forget
            out.sigmoid_()
            torch.mul(into, value.tanh_(), out=cell)
            if before is not None:
                cell.addcmul_(forget, before[1])
            torch.tanh(cell, out=state).mul_(out)
            before = state, cell
        ctx.save_for_backward(weight, gates, states, cells)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx, d_states):
        weight, gates, states, cells = ctx.saved_tensors
        shown = cells.tanh()
        d_gates = cells.new_empty(*cells.shape[:3], weight.shape[1])
        d_gate = torch.empty_like(gates[:, 0])  # (4, K, B, H)
        d_into, d_forget, d_value, d_out = d_gate
        d_cell, d_state = torch.zeros_like(cells[:, 0]), 0.0
        each = _steps(gates, _before(cells), shown, d_gates, d_states)
        for gate, before, shows, d_given, d_seen in reversed(each):
            into, forget, value, out = gate
            d_state = d_seen + d_state
            torch.mul(d_state, shows, out=d_out)
            d_cell += _tanh_backward(d_state.mul_(out), shows)
            torch.mul(d_cell, value, out=d_into)
            torch.mul(d_cell, before, out=d_forget)
            torch.mul(d_cell, into, out=d_value)
            d_gate[:2] = _sigmoid_backward(d_gate[:2], gate[:2])
            d_out.copy_(_sigmoid_backward(d_out, out))
            d_value.copy_(_tanh_backward(d_value, value))
            _together(d_gate, into=d_given)
            d_cell *= forget
            d_state = torch.bmm(d_given, weight)
        return d_gates, _d_weight(d_gates, states)


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs, weight, bias):
        width, matrix = weight.shape[2], _transposed(weight)
        gates = _gates_like(inputs, width)  # reset, update, new
        states = inputs.new_empty(*inputs.shape[:3], width)
        proposed = torch.empty_like(states)  # what the state says of the new one
        bias, before = bias.unsqueeze(1), torch.zeros_like(states[:, 0])
        heard = torch.empty_like(gates[:, 0])
        for given, gate, state, own in _steps(inputs, gates, states, proposed):
            _apart(torch.baddbmm(bias, before, matrix), into=heard)
            reset, update, new = _apart(given, into=gate)
            own.copy_(heard[2])
            gate[:2].add_(heard[:2]).sigmoid_()
            new.addcmul_(reset, own).tanh_()
            before = torch.lerp(new, before, update, out=state)
        ctx.save_for_backward(weight, gates, states, proposed)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx, d_states):
        weight, gates, states, proposed = ctx.saved_tensors
        d_gates = states.new_empty(*states.shape[:3], weight.shape[1])
        d_heard = torch.empty_like(d_gates)  # of what the state says to the gates
        d_gate = torch.empty_like(gates[:, 0])  # (3, K, B, H)
        d_reset, d_update, d_new = d_gate
        d_state = 0.0
        each = _steps(gates, _before(states), proposed, d_gates, d_heard, d_states)
        for gate, state, own, d_given, d_hear, d_seen in reversed(each):
            reset, update, new = gate
            d_state = d_seen + d_state
            kept = d_state * update
            torch.mul(d_state, state - new, out=d_update)
            d_new.copy_(_tanh_backward(d_state - kept, new))
            torch.mul(d_new, own, out=d_reset)
            d_gate[:2] = _sigmoid_backward(d_gate[:2], gate[:2])
            _together(d_gate, into=d_given)
            d_new *= reset
            _together(d_gate, into=d_hear)
            d_state = kept.baddbmm_(d_hear, weight)
        return d_gates, _d_weight(d_heard, states), d_heard.sum((1, 2))


# What is done to numbers one by one takes several times as long where they do not lie
# side by side, as those of a gate do not: within a step, gates stand in an axis before.


def _gates_like(inputs, width):
    """Room for gates, apart.   (K, T, B, n H) -> (n, T, K, B, H)."""
    n_models, n_steps, n_rows, n_all = inputs.shape
    return inputs.new_empty(n_all // width, n_steps, n_models, n_rows, width)


def _apart(given, into):
    """Numbers (K, B, n H) copied into gates (n, K, B, H).   -> n tensors (K, B, H)."""
    into.copy_(given.unflatten(-1, (len(into), -1)).permute(2, 0, 1, 3))
    return into


def _together(gates, into):
    """Gates (n, K, B, H) copied into numbers (K, B, n H)."""
    into.unflatten(-1, (len(gates), -1)).copy_(gates.permute(1, 2, 0, 3))


def _steps(gates, *others):
    """Slices of gates (n, T, K, B, H), or numbers (K, T, B, h), step by step."""
    return list(zip(*(t.unbind(1) for t in (gates, *others)), strict=True))


def _d_weight(d_gates, states):
    """Gradient of weights (K, n H, H) of states, of all steps at once."""
    before = _before(states).flatten(1, 2)
    return torch.bmm(d_gates.flatten(1, 2).transpose(1, 2), before)
