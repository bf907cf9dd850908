"""What holds of every network of `networks`, a new one among them."""

import copy

import pytest
import torch
from every_network import SPECS, built, own_loss
from numpy.testing import assert_allclose, assert_array_equal

NEARNESS = {"InceptionTail": 2e-4}  # moments of few numbers; 1e-5 of the others


def answers(network, clips):
    """Output and gradients, by what is what, in float64."""
    clips = clips.to(next(network.parameters()).dtype)
    output = network(clips)
    found = {"logits": output.logits}
    features = output.features.flatten(0, 1)  # (B N, d)
    if output.mask is not None:
        features = features[output.mask.flatten()]
    total = output.logits.sin().sum() + features.cos().sum()
    if output.auxiliary_loss is not None:
        found["auxiliary loss"] = output.auxiliary_loss
        total = total + own_loss(output)
    names, weights = zip(*network.named_parameters(), strict=True)
    slopes = torch.autograd.grad(total, weights, allow_unused=True)
    found |= {n: s for n, s in zip(names, slopes, strict=True) if s is not None}
    found["features"] = features
    return {name: value.detach().double() for name, value in found.items()}


@pytest.mark.parametrize("training", [False, True], ids=["prediction", "training"])
@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("name", SPECS)
def test_single_precision_is_near_double(name, scale, training):
    _, double, clips = built(name, scale=scale)
    if clips.ndim == 3:
        clips[2, :2] = torch.nan  # padding
    single = copy.deepcopy(double).float().train(training)
    found = answers(single, clips)
    expected = answers(double.float().double().train(training), clips)
    assert found.keys() == expected.keys()
    largest = max(value.abs().max() for value in expected.values())
    for part, value in expected.items():
        nearness = NEARNESS.get(name, 1e-5)
        bound = nearness * value.abs().max() + 1e-7 * largest
        assert (found[part] - value).abs().max() <= bound, part


@pytest.mark.parametrize("name", SPECS)
def test_clips_are_answered_one_by_one_in_any_order(name):
    _, network, clips = built(name)
    network.eval()
    with torch.inference_mode():
        whole = network(clips.double()).logits
        for rows in ([5, 2, 6, 0, 4, 1, 3], [3], [6, 0, 6]):
            part = network(clips[rows].double()).logits
            assert_allclose(part, whole[rows], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("name", SPECS)
def test_steps_of_padding_in_front_change_nothing(name, n_steps):
    spec, network, clips = built(name)
    if spec.fixed_shape or clips.ndim != 3:
        pytest.skip("no network of sequences of any length")
    clips = clips.double()
    padding = torch.full_like(clips[:, :1], torch.nan).repeat_interleave(n_steps, 1)
    plain, padded = (
        answers(network.train(), x) for x in (clips, torch.cat([padding, clips], 1))
    )
    assert plain.keys() == padded.keys()
    for part, value in plain.items():
        assert_allclose(padded[part], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SPECS)
def test_a_stage_does_not_look_ahead(name):
    spec, network, clips = built(name)
    if len(spec.stage_times()) == 1:
        pytest.skip("one stage, which sees all")
    network.eval()
    later = clips.double()
    later[:, -1] += 1
    with torch.inference_mode():
        before, after = (network(x.double()).logits for x in (clips, later))
    assert_array_equal(before[:, :-1], after[:, :-1])  # (B, S, C)
    assert (before[:, -1] != after[:, -1]).all()
