"""The steps of an LSTM over a batch that shrinks, with a gradient made for them.

torch's own module hands out the cell of its last step only. Step by step with autograd,
the gradient of the weights would be made and added up at every step, which for few rows
takes longer than all the rest; here it is one product for all steps.
"""

from itertools import accumulate

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from skanticipate.networks.bare import skip_init

_sigmoid_backward = torch.ops.aten.sigmoid_backward
_tanh_backward = torch.ops.aten.tanh_backward


def lstm_weights(n_inputs, hidden_size):
    """Build an LSTM of one layer, without initial weights."""
    return skip_init(nn.LSTM, int(n_inputs), int(hidden_size))


def project(lstm, inputs):
    """What the gates of an LSTM get from its inputs.   (..., e) -> (..., 4H)."""
    bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
    return functional.linear(inputs, lstm.weight_ih_l0, bias)


def consecutive(sizes):
    """Slices of so many rows each, one after the other."""
    ends = accumulate(sizes)
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def run_lstm(lstm, projected, hidden, cell, reads):
    """Run an LSTM over steps of which each has at most the rows of the one before.

    Parameters
    ----------
    lstm : torch.nn.LSTM
        One layer of width H.
    projected : tensor of shape (R, 4H)
        What `project` gave, of all steps.
    hidden, cell : tensor of shape (n, H)
        States before the first step; rows that a step does not read have ended.
    reads : list of slice
        Rows of `projected` that each step reads.

    Returns
    -------
    hidden, cell : tensor of shape (sum of rows read, H)
        States after the first step, then after the second, ...
    """
    if torch.compiler.is_compiling():
        return _run_traced(lstm.weight_hh_l0, projected, hidden, cell, reads)
    weight, keep = lstm.weight_hh_l0, torch.is_grad_enabled()
    if not torch.is_autocast_enabled(weight.device.type):
        return _Run.apply(projected, hidden, cell, weight, reads, keep)
    # Its gradient is made for one precision: that of the weights.
    states = [state.to(weight.dtype) for state in (projected, hidden, cell)]
    with torch.autocast(weight.device.type, enabled=False):
        return _Run.apply(*states, weight, reads, keep)


def _run_traced(weight, projected, hidden, cell, reads):
    """As `_Run`, for a graph: with torch's own gradient, and nothing in place."""
    hiddens, cells = [], []
    for rows in reads:
        given = projected[rows]
        n = given.shape[0]
        gates = torch.addmm(given, hidden[:n], weight.T)
        into, forget, value, out = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell[:n] + into.sigmoid() * value.tanh()
        hidden = out.sigmoid() * cell.tanh()
        hiddens.append(hidden)
        cells.append(cell)
    return torch.cat(hiddens), torch.cat(cells)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx, projected, hidden, cell, weight, reads, keep):
        sizes = [len(projected[rows]) for rows in reads]
        hiddens = projected.new_empty(sum(sizes), weight.shape[1])
        cells = torch.empty_like(hiddens)
        begin, all_gates = (hidden, cell), []
        after = zip(reads, hiddens.split(sizes), cells.split(sizes), strict=True)
        for rows, next_hidden, next_cell in after:
            n = len(next_hidden)
            gates = torch.addmm(projected[rows], hidden[:n], weight.T)
            into, forget, value, out = gates.chunk(4, dim=1)
            gates[:, : 2 * weight.shape[1]].sigmoid_()  # into and forget
            out.sigmoid_()
            torch.mul(forget, cell[:n], out=next_cell).addcmul_(into, value.tanh_())
            torch.tanh(next_cell, out=next_hidden).mul_(out)
            hidden, cell = next_hidden, next_cell
            if keep:
                all_gates.append(gates)
        ctx.save_for_backward(weight, *begin, hiddens, cells, *all_gates)
        ctx.reads, ctx.n_projected = reads, len(projected)
        return hiddens, cells

    @staticmethod
    @once_differentiable
    def backward(ctx, d_hiddens, d_cells):
        weight, hidden, cell, hiddens, cells, *all_gates = ctx.saved_tensors
        sizes = [len(gates) for gates in all_gates]
        cells, d_hiddens, d_cells = (
            states.split(sizes) for states in (cells, d_hiddens, d_cells)
        )
        cells_before = [cell, *cells[:-1]]
        d_gates = hiddens.new_empty(sum(sizes), len(weight))
        d_each = d_gates.split(sizes)
        d_hidden = d_cell = hiddens.new_empty(0, weight.shape[1])  # of the step after
        for k in reversed(range(len(sizes))):
            d_cell = _step_backward(
                all_gates[k],
                cells_before[k][: sizes[k]],
                cells[k],
                _plus(d_hiddens[k], d_hidden),
                _plus(d_cells[k], d_cell),
                d_each[k],
            )
            d_hidden = d_each[k] @ weight
        before = [hidden, *hiddens.split(sizes)[:-1]]
        before = torch.cat([h[:n] for h, n in zip(before, sizes, strict=True)])
        d_projected = d_gates
        if ctx.n_projected < len(d_gates):  # rows that several steps read
            d_projected = d_gates.new_zeros(ctx.n_projected, len(weight))
            for rows, d_rows in zip(ctx.reads, d_each, strict=True):
                d_projected[rows] += d_rows
        d_weight = d_gates.T @ before
        return d_projected, d_hidden, d_cell, d_weight, None, None


def _plus(states, first):
    """A copy of states (n, H) with others (m, H) added to the first m <= n."""
    states = states.clone()
    states[: len(first)] += first
    return states


def _step_backward(gates, cell_before, cell, d_hidden, d_cell, d_gates):
    """Gradient of one step: fills that of the gates, gives that of the cell before."""
    into, forget, value, out = gates.chunk(4, dim=1)
    d_into, d_forget, d_value, d_out = d_gates.chunk(4, dim=1)
    shown = cell.tanh()
    d_out.copy_(_sigmoid_backward(d_hidden * shown, out))
    d_cell += _tanh_backward(d_hidden.mul_(out), shown)
    d_into.copy_(_sigmoid_backward(d_cell * value, into))
    d_forget.copy_(_sigmoid_backward(d_cell * cell_before, forget))
    d_value.copy_(_tanh_backward(d_cell * into, value))
    return d_cell.mul_(forget)
