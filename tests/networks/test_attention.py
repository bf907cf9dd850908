import pytest
import torch
from naive_transformer import T, generator, random_clips, shaken
from numpy.testing import assert_allclose
from torch import nn

from skanticipate.networks.attention import Attention, Block
from skanticipate.networks.base import initialize


def like_torch(attention, width):
    """torch.nn.MultiheadAttention with the weights of one of ours."""
    peer = nn.MultiheadAttention(width, attention.n_heads, batch_first=True).double()
    with torch.no_grad():
        for name in ("weight", "bias"):
            parts = [getattr(attention.query, name), getattr(attention.key_value, name)]
            getattr(peer, f"in_proj_{name}").copy_(torch.cat(parts))
            ours = getattr(attention.output, name)
            getattr(peer.out_proj, name).copy_(ours)
    return peer


@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_attention_of_queries_is_that_of_torch(n_heads):
    attention = initialize(Attention(8, n_heads), generator()).double()
    asking, tokens = random_clips(3, 2, 8), random_clips(3, 7, 8, seed=1)
    real = torch.ones(3, 7, dtype=torch.bool)
    real[0, :3] = real[1, 5] = False
    expected, _ = like_torch(attention, 8)(
        asking, tokens, tokens, key_padding_mask=~real
    )
    found = attention(asking, tokens, real=real)
    assert_allclose(found.detach(), expected.detach(), atol=1e-12)
    expected, _ = like_torch(attention, 8)(asking, tokens, tokens)
    assert_allclose(attention(asking, tokens).detach(), expected.detach(), atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_block_is_the_encoder_layer_of_torch(causal):
    block = shaken(initialize(Block(8, 2, 0.0), generator()).double())
    peer = nn.TransformerEncoderLayer(
        8,
        2,
        dim_feedforward=32,
        dropout=0.0,
        activation=lambda x: nn.functional.gelu(x, approximate="tanh"),
        norm_first=True,
        batch_first=True,
        dtype=torch.float64,
    )
    peer.self_attn = like_torch(block.attention, 8)
    peer.norm1, peer.norm2 = block.norms
    peer.linear1, peer.linear2 = block.widen, block.narrow
    x = random_clips(3, T, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    expected = peer.train()(x, src_mask=mask if causal else None)
    assert_allclose(block(x, causal=causal).detach(), expected.detach(), atol=1e-12)
