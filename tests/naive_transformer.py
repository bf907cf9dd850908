"""Attention over small clips, a position at a time."""

import numpy as np
import torch
from hypothesis import strategies as st

T, D, C = 6, 4, 3
NAN = torch.nan


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(spec, shape=(T, D), n_classes=C, seed=0):
    return spec.build(shape, n_classes, generator=generator(seed)).double().eval()


def shaken(network):
    """The network with weights so large that every part of it matters."""
    with torch.no_grad():
        for w in network.parameters():
            w += 0.3 * torch.randn(w.shape, dtype=w.dtype, generator=generator(w.ndim))
    return network


def random_clips(n=5, *shape, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, *(shape or (T, D)))))


def named(network):
    return {name: w.detach().numpy() for name, w in network.named_parameters()}


# ------------------------------------------------------------------- naive oracles


def norm(x, weights, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def affine(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def naive_read(asking, seen, weights, name, n_heads):
    """What one asking vector (H,) reads from those it may see (N, H)."""
    query = affine(asking, weights, f"{name}.query")
    keys, values = np.split(affine(seen, weights, f"{name}.key_value"), 2, -1)
    read = []
    for head in np.split(np.arange(len(query)), n_heads):
        scores = keys[:, head] @ query[head] / np.sqrt(len(head))
        share = np.exp(scores - scores.max())
        read.append(share / share.sum() @ values[:, head])
    return affine(np.concatenate(read), weights, f"{name}.output")


def naive_block(x, weights, k, n_heads, *, causal=False, tokens=None):
    """Block k, one asking vector at a time.   (M, H), tokens (N, H) -> (M, H)."""
    name, out = f"blocks.{k}", []
    seen = norm(x if tokens is None else tokens, weights, f"{name}.norms.0")
    for m, vector in enumerate(x):
        asking = seen[m] if tokens is None else vector
        visible = seen[: m + 1] if causal else seen
        vector = vector + naive_read(
            asking, visible, weights, f"{name}.attention", n_heads
        )
        inner = affine(
            norm(vector, weights, f"{name}.norms.1"), weights, f"{name}.widen"
        )
        out.append(vector + affine(gelu(inner), weights, f"{name}.narrow"))
    return np.array(out)


def naive_guesses(weights, spec, frames):
    """GPT-2 over the frames (T, D) of one clip without padding."""
    x = frames @ weights["encoder.weight"].T
    x = x + weights["positions.weight"][: len(x)]
    for k in range(spec.n_layers):
        x = naive_block(x, weights, k, spec.n_heads, causal=True)
    return norm(x, weights, "norm") @ weights["decoder.weight"].T


paddings = st.lists(
    st.lists(st.booleans(), min_size=T, max_size=T), min_size=1, max_size=3
)
