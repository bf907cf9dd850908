"""LSTM and GRU layers of K networks at once, with gradients made for them.

Autograd would keep and replay some ten small operations a step; here a layer is one
node. Within it the rows of a batch are columns, (K, H, B): so each gate of a product is
a block of memory, and what is done to numbers one by one, which takes several times as
long where they do not lie side by side, needs no copy.
"""

import torch
from torch.autograd.function import once_differentiable

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


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
    return _LSTM.apply(steps, weight_in, weight, bias_in + bias)


def run_gru(steps, weight_in, weight, bias_in, bias):
    """One layer of GRUs, from a state of zeros; as `run_lstm`, with three gates."""
    return _GRU.apply(steps, weight_in, weight, bias_in, bias)


class _LSTM(torch.autograd.Function):
    @staticmethod
    def forward(ctx, steps, weight_in, weight, bias):
        width = weight.shape[2]
        gates = _room(steps, 4 * width)
        states, cells, shown = (_room(steps, width) for _ in range(3))
        each = zip(_columns(steps), gates, states, cells, shown, strict=True)
        bias, before = bias.unsqueeze(2), None
        for given, gate, state, cell, shows in each:
            torch.baddbmm(bias, weight_in, given, out=gate)
            if before is not None:
                gate.baddbmm_(weight, before[0])
            into, forget, value, out = gate.chunk(4, 1)  # (K, H, B)
            value.mul_(2)
            gate.sigmoid_()
            value.mul_(2).sub_(1)  # as `_tanh_` does
            torch.mul(into, value, out=cell)
            if before is not None:
                cell.addcmul_(forget, before[1])
            torch.mul(_tanh_(shows.copy_(cell)), out, out=state)
            before = state, cell
        ctx.save_for_backward(steps, weight_in, weight, gates, states, cells, shown)
        return _rows(states)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_states):
        steps, weight_in, weight, gates, states, cells, shown = ctx.saved_tensors
        inputs = _InputGradients(steps, weight_in, ctx.needs_input_grad[0])
        d_weight, d_seen = torch.zeros_like(weight), _columns(d_states)
        d_gate = torch.empty_like(gates[0])  # (K, 4H, B)
        d_into, d_forget, d_value, d_out = d_gate.chunk(4, 1)
        d_cell, d_state = torch.zeros_like(cells[0]), torch.zeros_like(cells[0])
        for k in reversed(range(len(gates))):
            into, forget, value, out = gates[k].chunk(4, 1)
            d_state += d_seen[k]
            torch.mul(d_state, shown[k], out=d_out)
            _sigmoid_backward(d_out, out, grad_input=d_out)
            d_state *= out
            d_cell += _tanh_backward(d_state, shown[k], grad_input=d_state)
            torch.mul(d_cell, value, out=d_into)
            _sigmoid_backward(d_into, into, grad_input=d_into)
            torch.mul(d_cell, into, out=d_value)
            _tanh_backward(d_value, value, grad_input=d_value)
            if k == 0:
                d_forget.zero_()
                inputs.add(k, d_gate)
                break
            torch.mul(d_cell, cells[k - 1], out=d_forget)
            _sigmoid_backward(d_forget, forget, grad_input=d_forget)
            inputs.add(k, d_gate)
            d_weight.baddbmm_(d_gate, states[k - 1].mT)
            d_cell *= forget
            torch.bmm(weight.mT, d_gate, out=d_state)
        return inputs.d_steps, inputs.d_weight, d_weight, inputs.d_bias


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, steps, weight_in, weight, bias_in, bias):
        width = weight.shape[2]
        gates = _room(steps, 3 * width)  # reset, update, new
        states, proposed = _room(steps, width), _room(steps, width)
        bias_in, bias = bias_in.unsqueeze(2), bias.unsqueeze(2)
        before, heard = torch.zeros_like(states[0]), torch.empty_like(gates[0])
        each = zip(_columns(steps), gates, states, proposed, strict=True)
        for given, gate, state, own in each:
            torch.baddbmm(bias_in, weight_in, given, out=gate)
            torch.baddbmm(bias, weight, before, out=heard)
            own.copy_(heard[:, 2 * width :])  # what the state says of the new one
            reset, update, new = gate.chunk(3, 1)  # (K, H, B)
            gate[:, : 2 * width].add_(heard[:, : 2 * width]).sigmoid_()
            _tanh_(new.addcmul_(reset, own))
            before = torch.lerp(new, before, update, out=state)
        ctx.save_for_backward(steps, weight_in, weight, gates, states, proposed)
        return _rows(states)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_states):
        steps, weight_in, weight, gates, states, proposed = ctx.saved_tensors
        inputs = _InputGradients(steps, weight_in, ctx.needs_input_grad[0])
        d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(inputs.d_bias)
        d_seen, none = _columns(d_states), torch.zeros_like(states[0])
        d_gate = torch.empty_like(gates[0])  # (K, 3H, B)
        d_reset, d_update, d_new = d_gate.chunk(3, 1)
        d_state = torch.zeros_like(none)
        for k in reversed(range(len(gates))):
            reset, update, new = gates[k].chunk(3, 1)
            before = states[k - 1] if k > 0 else none
            d_state += d_seen[k]
            torch.sub(before, new, out=d_update).mul_(d_state)
            _sigmoid_backward(d_update, update, grad_input=d_update)
            kept = d_state * update
            torch.sub(d_state, kept, out=d_new)
            _tanh_backward(d_new, new, grad_input=d_new)
            torch.mul(d_new, proposed[k], out=d_reset)
            _sigmoid_backward(d_reset, reset, grad_input=d_reset)
            inputs.add(k, d_gate)
            d_new *= reset  # from here on of what the state says to the gates
            d_bias += d_gate.sum(2)
            if k > 0:
                d_weight.baddbmm_(d_gate, before.mT)
                torch.baddbmm(kept, weight.mT, d_gate, out=d_state)
        return inputs.d_steps, inputs.d_weight, d_weight, inputs.d_bias, d_bias


class _InputGradients:
    """Gradients of what a layer makes of its inputs, added up step by step."""

    def __init__(self, steps, weight, wants_steps):
        self.steps, self.weight = steps, weight
        self.d_steps = torch.empty_like(steps) if wants_steps else None
        self.d_weight = torch.zeros_like(weight)
        self.d_bias = weight.new_zeros(weight.shape[:2])

    def add(self, k, d_gate):
        """Take those of the gates (K, n H, B) at a step."""
        self.d_weight.baddbmm_(d_gate, self.steps[:, :, k])
        self.d_bias += d_gate.sum(2)
        if self.d_steps is not None:
            self.d_steps[:, :, k] = torch.bmm(self.weight.mT, d_gate).mT


def _room(steps, width):
    """Room for `width` numbers of each row at each step.   -> (T, K, width, B)."""
    n_models, n_rows, n_steps, _ = steps.shape
    return steps.new_empty(n_steps, n_models, width, n_rows)


def _columns(steps):
    """Rows (K, B, T, h) as columns, step by step.   -> T views (K, h, B)."""
    return [step.mT for step in steps.unbind(2)]


def _rows(states):
    """(T, K, H, B) -> (K, B, T, H), in memory too."""
    return states.permute(1, 3, 0, 2).contiguous()


def _tanh_(x):
    """Hyperbolic tangent in place, in a fraction of the time that torch takes for it.

    tanh(x) = 2 sigmoid(2 x) - 1
    """
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)
