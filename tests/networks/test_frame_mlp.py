import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skanticipate import MLP, FrameMLP

T, D, C = 5, 4, 3
NAN = torch.nan


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(spec, shape, n_classes=C):
    return spec.build(shape, n_classes, generator=generator()).double().eval()


def random_maps(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def named(network):
    return {name: w.detach().numpy() for name, w in network.named_parameters()}


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.booleans(), min_size=T, max_size=T), min_size=1, max_size=4),
    st.sampled_from([7, (6, 5)]),
    st.sampled_from([(D,), (2, 2)]),
)
def test_scores_of_the_real_frames_are_averaged(padding, sizes, inner):
    network = built(FrameMLP(sizes), (T, *inner))
    clips = random_maps(len(padding), T, *inner)
    clips[torch.tensor(padding)] = NAN
    output = network(clips)
    weights = named(network)
    for row, clip in enumerate(clips.numpy()):
        scores = []
        for step, frame in enumerate(clip.reshape(T, -1)):
            if np.isnan(frame).all():
                assert output.mask is not None and not output.mask[row, step]
                continue
            for k in range(1 if isinstance(sizes, int) else 2):
                weight, bias = (
                    weights[f"layers.{k}.weight"],
                    weights[f"layers.{k}.bias"],
                )
                frame = np.maximum(weight @ frame + bias, 0)
            assert_allclose(output.features[row, step].detach(), frame, atol=1e-12)
            assert output.mask is None or output.mask[row, step]
            score = weights["classifier.weight"] @ frame + weights["classifier.bias"]
            scores.append(score)
        mean = np.mean(scores, 0) if scores else weights["classifier.bias"]
        assert_allclose(output.logits[row, 0].detach(), mean, atol=1e-12)


def test_clip_of_one_frame_is_scored_as_pooled_features():
    network = FrameMLP(8).build((1, D), C, generator=generator())
    pooled = MLP(8).build((D,), C, generator=generator())
    x = random_maps(4, D).float()
    assert torch.equal(network(x[:, None]).logits, pooled(x).logits)


def test_frames_of_codes_are_embedded_and_padding_is_left_out():
    network = built(FrameMLP(8, embedding=3), (2, (4, 6)))
    codes = torch.tensor([[[-1.0, -1], [3, 5]]])
    output = network(codes)
    alone = network(codes[:, 1:])
    assert_allclose(output.logits.detach(), alone.logits.detach(), atol=1e-12)
    assert output.mask.tolist() == [[False, True]]


def test_frames_need_an_axis():
    with pytest.raises(ValueError, match=r"frames in order, .* got \(n, 4\): use MLP"):
        FrameMLP().build((D,), C, generator=generator())


@pytest.mark.parametrize("sizes", [(), 0, (4, 2.5)])
def test_sizes_of_hidden_layers_must_be_positive(sizes):
    with pytest.raises(ValueError, match="hidden_size.* must"):
        FrameMLP(sizes).build((T, D), C, generator=generator())


def test_map_shape_of_frames_is_their_number():
    assert FrameMLP().map_shape((8, 3, 4)) == (8,)
