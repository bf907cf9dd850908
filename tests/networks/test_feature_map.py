import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skanticipate import (
    FeatureMapNet,
    FrameMLP,
    SmoothedAnticipator,
    VerbNounHead,
    load,
)
from skanticipate.networks.base import lend_generator

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


# ----------------------------------------------------------- FeatureMapNet by hand


def naive_convolution(maps, weight, bias, pad):
    """Sum over the neighbours of a position.   (l, h, w, d) -> (l, h, w, H)."""
    size = weight.shape[2:]
    around = [(k // 2, k // 2) if pad else (0, 0) for k in size]
    maps = np.pad(maps, [*around, (0, 0)])
    step = (1, 1, 1) if pad else size
    grid = [(n - k) // s + 1 for n, k, s in zip(maps.shape, size, step, strict=False)]
    out = np.zeros((*grid, len(weight)))
    for place in np.ndindex(*grid):
        for near in np.ndindex(*size):
            at = tuple(p * s + k for p, s, k in zip(place, step, near, strict=True))
            out[place] += weight[:, :, *near] @ maps[at]
    return out + bias


def naive_norm(maps, weight, bias):
    mean = maps.mean(-1, keepdims=True)
    return (maps - mean) / np.sqrt(maps.var(-1, keepdims=True) + 1e-5) * weight + bias


def naive_map(weights, n_blocks, patch, clip):
    """Output of the last block for one clip without padding (l, h, w, d)."""
    fill = [(0, -n % p) for n, p in zip(clip.shape, patch, strict=False)]
    clip = np.pad(clip, [*fill, (0, 0)])
    x = naive_convolution(clip, weights["stem.weight"], weights["stem.bias"], False)
    x = np.maximum(x, 0)
    for k in range(n_blocks):
        inner = x
        for half in (0, 1):
            conv, norm = f"blocks.{k}.convs.{half}.", f"blocks.{k}.norms.{half}."
            inner = naive_convolution(
                inner, weights[conv + "weight"], weights[conv + "bias"], True
            )
            inner = naive_norm(inner, weights[norm + "weight"], weights[norm + "bias"])
            inner = np.maximum(inner, 0) if half == 0 else inner
        x = np.maximum(x + inner, 0)
    return x


@pytest.mark.parametrize(
    ("shape", "patch", "n_blocks"),
    [
        ((3, 2, 4, D), 1, 1),
        ((3, 2, 4, D), (2, 1, 3), 1),
        ((3, 2, 3, D), 2, 2),
        ((4, 3, D), 1, 2),
        ((4, 3, D), (3, 2), 1),
        ((5, D), 1, 1),
        ((5, D), 2, 1),
        ((1, 2, 2, D), 1, 0),
    ],
)
@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_network_is_the_naive_loop(shape, patch, n_blocks, pooling):
    spec = FeatureMapNet(3, n_blocks=n_blocks, patch_size=patch, pooling=pooling)
    network = built(spec, shape)
    with torch.no_grad():
        for w in network.parameters():
            w += 0.1 * random_maps(*w.shape)  # scales other than one
    clips = random_maps(2, *shape)
    output, weights = network(clips), named(network)
    n_axes = len(shape) - 1
    patches = ((patch,) * n_axes if isinstance(patch, int) else patch) + (1, 1)
    for row, clip in enumerate(clips.numpy()):
        clip = clip.reshape(*shape[:-1], *(1,) * (3 - n_axes), D)
        expected = naive_map(weights, n_blocks, patches[:3], clip)
        assert expected.shape[:n_axes] == spec.map_shape(shape)
        flat = expected.reshape(-1, 3)
        assert_allclose(output.features[row].detach(), flat, atol=1e-10)
        pooled = getattr(flat, pooling)(0)
        logits = weights["classifier.weight"] @ pooled + weights["classifier.bias"]
        assert_allclose(output.logits[row, 0].detach(), logits, atol=1e-10)
    assert output.logits.shape == (2, 1, C) and output.mask is None


@pytest.mark.parametrize(
    ("shape", "taps"), [((5, D), 3), ((5, 6, D), 9), ((5, 6, 7, D), 27)]
)
def test_number_of_parameters_by_hand(shape, taps):
    network = FeatureMapNet(8, n_blocks=2).build(shape, C, generator=generator())
    block = 2 * (taps * 8 * 8 + 8 + 16)
    count = D * 8 + 8 + 2 * block + 8 * C + C
    assert sum(p.numel() for p in network.parameters()) == count


def test_head_reads_the_pooled_channels():
    spec = FeatureMapNet(8, head=VerbNounHead())
    spec.see_classes(["cut onion", "cut bread", "wash onion"])
    network = spec.build((2, 2, 2, D), 3, generator=generator())
    assert network.classifier.verb.weight.shape == (2, 8)


def test_convolutions_start_with_the_weights_of_plain_torch():
    ours = FeatureMapNet(8, n_blocks=1).build((2, 2, 2, D), C, generator=generator(3))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        stem = torch.nn.Conv3d(D, 8, 1)
        inner = torch.nn.Conv3d(8, 8, 3)
    assert torch.equal(ours.stem.weight, stem.weight)
    assert torch.equal(ours.stem.bias, stem.bias)
    assert torch.equal(ours.blocks[0].convs[0].weight, inner.weight)
    assert torch.equal(ours.blocks[0].convs[0].bias, inner.bias)


# ---------------------------------------------------------------- batch and padding


def test_other_clips_of_the_batch_have_no_say_in_training():
    network = built(FeatureMapNet(6), (3, 2, 2, D)).train()
    maps = random_maps(4, 3, 2, 2, D)
    whole, alone = network(maps), network(maps[1:2])
    assert_allclose(whole.logits[1:2].detach(), alone.logits.detach(), atol=1e-12)
    assert_allclose(whole.features[1:2].detach(), alone.features.detach(), atol=1e-12)


@pytest.mark.parametrize(
    ("grid", "patch", "n_padding"),
    [((4, 2, 3), 1, 1), ((4, 2, 3), (2, 1, 2), 4), ((4, 3), 1, 3), ((4,), 2, 2)],
)
@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_padding_steps_in_front_change_nothing(grid, patch, n_padding, pooling):
    spec = FeatureMapNet(6, patch_size=patch, pooling=pooling)
    network = built(spec, (*grid, D))
    maps = random_maps(2, *grid, D)
    padding = torch.full((2, n_padding, *grid[1:], D), NAN, dtype=torch.float64)
    short, long = network(maps), network(torch.cat([padding, maps], 1))
    first, *rest = spec.map_shape((n_padding, *grid[1:], D))
    n = first * int(np.prod(rest))
    assert_allclose(long.logits.detach(), short.logits.detach(), atol=1e-12)
    real = long.features[:, n:].detach()
    assert_allclose(real, short.features.detach(), atol=1e-12)
    assert (long.features[:, :n] == 0).all()
    expected = [False] * n + [True] * short.features.shape[1]
    assert long.mask.tolist() == [expected] * 2


def test_patch_is_padding_where_all_of_its_steps_are():
    network = built(FeatureMapNet(6, patch_size=(2, 2)), (5, 2, D))
    maps = random_maps(3, 5, 2, D)
    maps[0, 0] = maps[1, :2] = maps[2, 4] = NAN
    mask = network(maps).mask
    assert mask.tolist() == [[True] * 3, [False, True, True], [True, True, False]]


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_clip_of_padding_only_scores_as_the_classifier_without_input(pooling):
    network = built(FeatureMapNet(6, pooling=pooling), (3, 2, 2, D))
    output = network(torch.full((2, 3, 2, 2, D), NAN, dtype=torch.float64))
    bias = network.classifier.bias.detach()
    assert_allclose(output.logits[:, 0].detach(), bias.expand(2, C), atol=0)
    assert not output.mask.any()


@pytest.mark.parametrize("spec", [FeatureMapNet(6, patch_size=(2, 1)), FrameMLP(6)])
def test_gradients_through_padding_are_finite_and_clips_stay_as_they_were(spec):
    network = built(spec, (T, 3, D)).train()
    maps = random_maps(4, T, 3, D)
    maps[0, 2] = maps[1, :4] = maps[2] = NAN
    before = maps.clone()
    network(maps).logits.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    assert torch.equal(maps.nan_to_num(nan=-7), before.nan_to_num(nan=-7))


@pytest.mark.parametrize(
    "spec", [FeatureMapNet(6, dropout=0.5), FrameMLP(6, dropout=0.5)]
)
def test_dropout_follows_the_lent_generator_alone(spec):
    before = torch.get_rng_state()
    network = built(spec, (T, 3, D)).train()
    maps, draws = random_maps(4, T, 3, D), []
    for seed in (1, 1, 2):
        with lend_generator(network, generator(seed)):
            draws.append(network(maps).logits)
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert torch.equal(network.eval()(maps).logits, network(maps).logits)
    assert torch.equal(torch.get_rng_state(), before)
    assert not spec.uses_global_rng


# ------------------------------------------------------------------- shapes, errors


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.lists(st.integers(1, 4), min_size=3, max_size=3),
    st.integers(1, 6),
)
def test_map_shape_counts_the_positions(grid, patch, steps):
    """Also where the number of steps is not that of fit."""
    spec = FeatureMapNet(2, n_blocks=1, patch_size=tuple(patch[: len(grid)]))
    network = built(spec, (*grid, 3))
    clip = (steps, *grid[1:], 3)
    assert network(random_maps(2, *clip)).features.shape == (
        2,
        np.prod(spec.map_shape(clip)),
        2,
    )


@pytest.mark.parametrize("shape", [(D,), (2, 3, 4, 5, D)])
def test_grid_has_one_to_three_axes(shape):
    with pytest.raises(ValueError, match=r"one to three axes, .* got \(n, .*use MLP"):
        FeatureMapNet().build(shape, C, generator=generator())


@pytest.mark.parametrize("patch", [(2, 2), (2, 0, 1), (1, 1.5, 1), ()])
def test_patch_size_must_fit_the_grid(patch):
    message = "patch_size must be a positive integer, or one for each of the 3 axes"
    with pytest.raises(ValueError, match=message):
        FeatureMapNet(patch_size=patch).build((2, 3, 4, D), C, generator=generator())


@pytest.mark.parametrize(
    "spec",
    [
        FeatureMapNet(0),
        FeatureMapNet(n_blocks=-1),
        FeatureMapNet(patch_size=0),
        FeatureMapNet(pooling="sum"),
        FeatureMapNet(dropout=1),
        FeatureMapNet(head=3),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(spec):
    with pytest.raises(ValueError, match="must be"):
        spec.build((2, 2, 2, D), C, generator=generator())


def test_sizes_may_be_numpy_integers_as_searches_draw_them():
    spec = FeatureMapNet(np.int64(6), n_blocks=np.int64(1), patch_size=np.int64(2))
    network = spec.build((2, 2, 2, D), C, generator=generator())
    assert network(torch.ones(2, 2, 2, 2, D)).logits.shape == (2, 1, C)


# ------------------------------------------------------------------ in an estimator


@pytest.fixture(scope="module")
def clips():
    """What tells the classes apart is where two things stand to each other."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    maps = rng.normal(scale=0.1, size=(60, 3, 4, 4, 2)).astype(np.float32)
    for row, (label, clip) in enumerate(zip(y, maps, strict=True)):
        down, across = divmod(row // 2 % 9, 3)
        clip[:, down, across, 0] += 3
        clip[:, down + (label == 0), across + (label == 1), 1] += 3
    maps[5, 0] = maps[6, :2] = np.nan
    return maps, y


def test_default_network_learns_where_things_stand_and_is_saved(clips, tmp_path):
    maps, y = clips
    model = SmoothedAnticipator(batch_size=16, max_epochs=8, random_state=0)
    model.fit(maps, y)
    assert isinstance(model.network_spec_, FeatureMapNet)
    assert model.score(maps, y) > 0.9
    assert not hasattr(model, "n_features_in_")
    proba = model.predict_proba(maps)
    path = tmp_path / "model.safetensors"
    model.save(path)
    for again in (load(path), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_array_equal(again.predict_proba(maps), proba)
        again.set_params(warm_start=True, max_epochs=1).fit(maps, y)
        assert again.n_iter_ == 9
    shorter = model.predict_proba(maps[:, 1:])
    assert shorter.shape == (60, 2)


@pytest.mark.parametrize("spec", [FeatureMapNet(4, n_blocks=1), FrameMLP(4)], ids=repr)
def test_early_stopping_in_double_precision_and_in_threads(spec, clips):
    maps, y = clips[0].astype(np.float64), clips[1]

    def fitted(_):
        model = SmoothedAnticipator(
            spec, early_stopping=True, n_iter_no_change=2, max_epochs=6, random_state=0
        )
        return model.fit(maps, y)

    alone = fitted(None)
    assert {w.dtype for w in alone.network_.parameters()} == {torch.float64}
    with ThreadPoolExecutor(3) as pool:
        for other in pool.map(fitted, range(3)):
            assert_array_equal(other.predict_proba(maps), alone.predict_proba(maps))
            assert other.history_ == alone.history_
