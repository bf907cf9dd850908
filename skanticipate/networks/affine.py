"""Linear layers of K networks at once."""

import torch
from torch.autograd.function import once_differentiable


def affine(x, weight, bias):
    """(K B, ..., e), weight (K, h, e), bias (K, h) or None -> (K B, ..., h)."""
    rows = x.reshape(len(weight), -1, x.shape[-1])
    return _Affine.apply(rows, weight, bias).view(*x.shape[:-1], weight.shape[1])


class _Affine(torch.autograd.Function):
    """Batched products whose gradients lie in memory as the weights do.

    What autograd gives for a transposed weight is transposed too, which fused
    optimisers do not take.
    """

    @staticmethod
    def forward(ctx, rows, weight, bias):
        ctx.save_for_backward(rows, weight)
        if bias is None:
            return torch.bmm(rows, weight.transpose(1, 2))
        return torch.baddbmm(bias.unsqueeze(1), rows, weight.transpose(1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out):
        rows, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            torch.bmm(d_out, weight) if wanted[0] else None,
            torch.bmm(d_out.transpose(1, 2), rows),
            d_out.sum(1) if wanted[2] else None,
        )
