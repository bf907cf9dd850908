import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from torch.nn import functional

from skanticipate import InceptionTail, RowView, SmoothedAnticipator, VerbNounHead, load
from skanticipate.networks.base import lend_generator

C = 6
SMALL = {"width": 0.04, "dropout": 0.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(spec, shape, n_classes=C):
    """Network whose running moments and scales are no longer zeros and ones."""
    network = spec.build(shape, n_classes, generator=generator()).double().eval()
    draw = generator(1)
    for name, w in network.state_dict().items():
        if ".bn." in name and w.is_floating_point():
            w.uniform_(0.5, 1.5, generator=draw)
    return network


def random_maps(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


# ------------------------------------------------- the same, written down plainly


def same_pad(x, size, stride, value):
    """TensorFlow's SAME: as many outputs as strides begin, what is odd at the end."""
    pads = []
    for n in reversed(x.shape[2:]):
        missing = max((ceil(n / stride) - 1) * stride + size - n, 0)
        pads += [missing // 2, missing - missing // 2]
    return functional.pad(x, pads, value=value)


def plain_pool(x, size, stride):
    return functional.max_pool3d(same_pad(x, size, stride, -torch.inf), size, stride)


def plain_unit(weights, name, x, size, train):
    x = functional.conv3d(same_pad(x, size, 1, 0.0), weights[f"{name}.conv3d.weight"])
    if train:
        mean, var = x.mean((0, 2, 3, 4)), x.var((0, 2, 3, 4), correction=0)
    else:
        mean, var = (weights[f"{name}.bn.running_{k}"] for k in ("mean", "var"))
    scale, shift = weights[f"{name}.bn.weight"], weights[f"{name}.bn.bias"]
    column = (slice(None), None, None, None)
    x = (x - mean[column]) / (var[column] + 1e-3).sqrt()
    return (x * scale[column] + shift[column]).clamp(min=0)


def plain_tail(weights, x, train=False):
    """Maps (B, 480, l, h, w) -> output of Mixed_4f, logits of each window of steps."""
    for block in ("4b", "4c", "4d", "4e", "4f", "5b", "5c"):
        name = f"Mixed_{block}"

        def unit(branch, x, size, name=name):
            return plain_unit(weights, f"{name}.{branch}", x, size, train)

        branches = [
            unit("b0", x, 1),
            unit("b1b", unit("b1a", x, 1), 3),
            unit("b2b", unit("b2a", x, 1), 3),
            unit("b3b", plain_pool(x, 3, 1), 1),
        ]
        x = torch.cat(branches, 1)
        if block == "4f":
            tap = x
            x = plain_pool(x, 2, 2)
    return tap, x


@pytest.mark.parametrize("train", [False, True])
def test_tail_is_i3d_on_the_maps_of_the_paper(train):
    network = built(InceptionTail(**SMALL), (8, 14, 14, 12)).train(train)
    maps = random_maps(1, 8, 14, 14, 12)
    weights = copy.deepcopy(network.state_dict())
    tap, x = plain_tail(weights, maps.permute(0, 4, 1, 2, 3), train)
    assert x.shape[2:] == (4, 7, 7)
    x = functional.avg_pool3d(x, (2, 7, 7), stride=1)
    kernel = weights["classifier.weight"][..., None, None, None]
    x = functional.conv3d(x, kernel, weights["classifier.bias"])  # (B, C, 3, 1, 1)
    output = network(maps)
    assert output.features.shape == (1, 8 * 14 * 14, tap.shape[1])
    assert_allclose(
        output.features.detach(), tap.flatten(2).transpose(1, 2), atol=1e-10
    )
    assert_allclose(output.logits[:, 0].detach(), x.mean(2)[..., 0, 0], atol=1e-10)
    assert output.mask is None and output.auxiliary_loss is None


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.integers(1, 7)] * 3), st.booleans())
def test_grids_of_any_size_are_read(grid, train):
    network = built(InceptionTail(**SMALL), (*grid, 3)).train(train)
    maps = random_maps(3, *grid, 3)
    weights = copy.deepcopy(network.state_dict())
    tap, x = plain_tail(weights, maps.permute(0, 4, 1, 2, 3), train)
    steps = x.mean((3, 4))  # (B, H, T)
    if steps.shape[2] > 1:
        steps = functional.avg_pool1d(steps, 2, stride=1)
    weight, bias = weights["classifier.weight"], weights["classifier.bias"]
    logits = steps.mean(2) @ weight.T + bias
    output = network(maps)
    assert output.features.shape[1] == np.prod(grid)
    assert_allclose(output.features.detach(), tap.flatten(2).transpose(1, 2), atol=1e-9)
    assert_allclose(output.logits[:, 0].detach(), logits, atol=1e-9)


def test_clips_of_eight_frames_leave_one_step():
    network = InceptionTail(width=0.04).build((2, 14, 14, 12), C, generator=generator())
    assert network(torch.ones(1, 2, 14, 14, 12)).logits.shape == (1, 1, C)


# --------------------------------------------------------------------- its weights


@pytest.fixture(scope="module")
def whole_tail():
    return InceptionTail().build((8, 14, 14, 480), 125, generator=generator())


@pytest.mark.parametrize(
    ("block", "count"),
    [
        ("Mixed_4b", 737_760),
        ("Mixed_4c", 904_464),
        ("Mixed_4d", 1_103_664),
        ("Mixed_4e", 1_356_672),
        ("Mixed_4f", 1_799_168),
        ("Mixed_5b", 1_974_272),
        ("Mixed_5c", 2_784_736),
        ("classifier", 128_125),
        ("", 10_788_861),
    ],
)
def test_number_of_parameters_is_that_of_i3d(whole_tail, block, count):
    parameters = whole_tail.get_submodule(block).parameters()
    assert sum(p.numel() for p in parameters) == count


def test_blocks_have_the_channels_of_i3d(whole_tail):
    blocks = ("4b", "4c", "4d", "4e", "4f", "5b", "5c")
    widths = [whole_tail.get_submodule(f"Mixed_{k}").n_outputs for k in blocks]
    assert widths == [512, 512, 512, 528, 832, 832, 1024]


def test_weights_have_the_names_of_the_public_network(whole_tail):
    unit = {"conv3d.weight", "bn.weight", "bn.bias", "bn.running_mean"}
    unit |= {"bn.running_var", "bn.num_batches_tracked"}
    branches = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
    blocks = ("4b", "4c", "4d", "4e", "4f", "5b", "5c")
    names = {f"Mixed_{k}.{b}.{w}" for k in blocks for b in branches for w in unit}
    names |= {"classifier.weight", "classifier.bias"}
    assert set(whole_tail.state_dict()) == names


def test_width_scales_the_channels_but_leaves_one():
    network = InceptionTail(0.25).build((2, 2, 2, 480), C, generator=generator())
    assert network.Mixed_4b.b0.conv3d.weight.shape == (48, 480, 1, 1, 1)
    assert network.Mixed_4c.b1b.conv3d.weight.shape == (56, 28, 3, 3, 3)
    network = InceptionTail(0.001).build((2, 2, 2, 480), C, generator=generator())
    assert network.Mixed_5c.n_outputs == 4


def test_head_reads_the_pooled_channels():
    head = VerbNounHead().fit(["cut onion", "cut bread", "wash onion"])
    spec = InceptionTail(**SMALL, head=head)
    spec.see_classes(["cut onion", "cut bread", "wash onion"])
    network = spec.build((2, 2, 2, 4), 3, generator=generator())
    assert network.classifier.verb.weight.shape == (2, network.Mixed_5c.n_outputs)
    assert network(torch.ones(2, 2, 2, 2, 4)).logits.shape == (2, 1, 3)


def test_no_number_is_drawn_from_a_global_stream():
    before = torch.get_rng_state()
    spec = InceptionTail(width=0.04, dropout=0.5)
    network = spec.build((2, 4, 4, 5), C, generator=generator()).train()
    with lend_generator(network, generator(1)):
        one = network(torch.ones(3, 2, 4, 4, 5)).logits
        two = network(torch.ones(3, 2, 4, 4, 5)).logits
    assert not torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)
    assert not spec.uses_global_rng


# ------------------------------------------------------------------- normalisation


def test_running_moments_are_plain_means_and_then_momentum_takes_over():
    network = InceptionTail(**SMALL).build((1, 2, 2, 3), C, generator=generator())
    unit = network.double().train().Mixed_4b.b0  # a convolution and its norm
    kernel = unit.conv3d.weight.detach()[:, :, 0, 0, 0]
    means, variances = [], []
    for seed in range(103):
        maps = random_maps(2, 1, 2, 2, 3, seed=seed)
        with torch.no_grad():
            unit(maps, None)
        values = (maps @ kernel.T).flatten(0, 3)  # (8, H)
        means.append(values.mean(0))
        variances.append(values.var(0))
        if seed == 2:
            three = unit.bn.running_mean.clone(), unit.bn.running_var.clone()
        if seed == 99:
            hundred = unit.bn.running_mean.clone()
    assert_allclose(three[0], torch.stack(means[:3]).mean(0), atol=1e-12)
    assert_allclose(three[1], torch.stack(variances[:3]).mean(0), atol=1e-12)
    expected = torch.stack(means[:100]).mean(0)
    assert_allclose(hundred, expected, atol=1e-12)
    for mean in means[100:]:
        expected = 0.99 * expected + 0.01 * mean
    assert_allclose(unit.bn.running_mean, expected, atol=1e-12)


@pytest.mark.parametrize("maps", [(1, 1, 1, 1, 3), (1, 2, 2, 2, 3)])
def test_single_value_is_normalised_as_in_prediction(maps):
    """After the pooling by twos one value is left for each channel."""
    network = built(InceptionTail(**SMALL), maps[1:]).train()
    before = copy.deepcopy(network.state_dict())
    logits = network(random_maps(*maps)).logits
    assert logits.isfinite().all()
    logits.sum().backward()
    after = network.state_dict()
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        key = f"Mixed_5b.b0.bn.{name}"
        assert_array_equal(after[key], before[key])
    tracked = int(after["Mixed_4b.b0.bn.num_batches_tracked"])
    assert tracked == (1 if maps[1] == 2 else 0)


def test_prediction_changes_no_moments():
    network = built(InceptionTail(**SMALL), (2, 2, 2, 3))
    before = copy.deepcopy(network.state_dict())
    network(random_maps(4, 2, 2, 2, 3))
    for name, w in network.state_dict().items():
        assert torch.equal(w, before[name])


# ------------------------------------------------------------------------- padding


def padded(maps, where):
    maps = maps.clone()
    maps[where] = torch.nan
    return maps


@pytest.mark.parametrize("n_padding", [2, 4])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_padding_steps_in_front_change_nothing(n_padding, train, steps):
    network = built(InceptionTail(**SMALL), (steps, 3, 4, 3)).train(train)
    other = copy.deepcopy(network)
    maps = random_maps(3, steps, 3, 4, 3)
    longer = torch.cat([torch.full((3, n_padding, 3, 4, 3), torch.nan), maps], 1)
    short, long = network(maps), other(longer)
    n = n_padding * 12
    assert_allclose(long.logits.detach(), short.logits.detach(), atol=1e-10)
    assert_allclose(long.features[:, n:].detach(), short.features.detach(), atol=1e-10)
    assert (long.features[:, :n] == 0).all()
    assert long.mask.tolist() == [[False] * n + [True] * (steps * 12)] * 3
    for a, b in zip(network.buffers(), other.buffers(), strict=True):
        assert_allclose(a, b, atol=1e-12)


def test_clips_of_unequal_length_share_a_batch():
    network = built(InceptionTail(**SMALL), (6, 2, 2, 3))
    maps = random_maps(3, 6, 2, 2, 3)
    alone = [network(maps[k : k + 1, 2 * k :]).logits for k in range(3)]
    for k in range(3):
        maps[k, : 2 * k] = torch.nan
    assert_allclose(
        network(maps).logits.detach(), torch.cat(alone).detach(), atol=1e-10
    )


@pytest.mark.parametrize("train", [False, True])
def test_clip_of_padding_only_scores_as_the_classifier_without_input(train):
    network = built(InceptionTail(**SMALL), (3, 2, 2, 3)).train(train)
    output = network(torch.full((2, 3, 2, 2, 3), torch.nan, dtype=torch.float64))
    bias = network.classifier.bias.detach()
    assert_allclose(output.logits[:, 0].detach(), bias.expand(2, C), atol=0)
    assert not output.mask.any()


@pytest.mark.parametrize("where", [np.s_[:, 0], np.s_[0, 1], np.s_[1], np.s_[:, ::2]])
def test_gradients_through_padding_are_finite(where):
    network = built(InceptionTail(**SMALL), (5, 2, 3, 3)).train()
    maps = padded(random_maps(3, 5, 2, 3, 3), where)
    before = maps.clone()
    network(maps).logits.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    assert torch.equal(maps.nan_to_num(nan=-7), before.nan_to_num(nan=-7))


# --------------------------------------------------------------------------- crops


def coordinates(n, steps, height, width):
    """Maps whose channels are row of the batch, step, y and x."""
    axes = [torch.arange(k) for k in (n, steps, height, width)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).double()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_random_crop_is_a_window_shared_by_past_and_future(height, width, size, seed):
    past, future = coordinates(4, 2, height, width), coordinates(4, 3, height, width)
    spec = InceptionTail(crop_size=size)
    small, after = spec.crop(past, future, generator(seed))
    tall, wide = min(height, size), min(width, size)
    assert small.shape == (4, 2, tall, wide, 4)
    assert after.shape == (4, 3, tall, wide, 4)
    corners = small[:, :1, :1, :1, 2:]
    assert (corners >= 0).all()
    steps = coordinates(4, 3, tall, wide)
    steps[..., 2:] += corners
    assert torch.equal(after, steps)
    assert torch.equal(small, steps[:, :2])


def test_crops_fall_everywhere_and_follow_the_generator():
    maps = coordinates(300, 1, 5, 4)
    spec = InceptionTail(crop_size=2)
    one, none = spec.crop(maps, None, generator(0))
    assert none is None
    corners = {tuple(corner) for corner in one[:, 0, 0, 0, 2:].long().tolist()}
    assert corners == {(y, x) for y in range(4) for x in range(3)}
    assert torch.equal(one, spec.crop(maps, None, generator(0))[0])
    assert not torch.equal(one, spec.crop(maps, None, generator(1))[0])


@pytest.mark.parametrize("size", [None, 5, 9])
def test_maps_that_fit_are_passed_on(size):
    maps = coordinates(2, 2, 5, 4)
    past, future = InceptionTail(crop_size=size).crop(maps, maps, generator())
    assert past is maps and future is maps


def test_prediction_reads_the_middle():
    spec = InceptionTail(**SMALL, crop_size=4)
    network = built(spec, (2, 7, 4, 3))
    maps = random_maps(2, 2, 7, 4, 3)
    whole, middle = network(maps), network(maps[:, :, 1:5])
    assert torch.equal(whole.logits, middle.logits)
    assert torch.equal(whole.features, middle.features)


@pytest.mark.parametrize(
    ("size", "shape", "random"),
    [
        (14, (8, 14, 14, 480), False),
        (14, (8, 16, 29, 480), True),
        (14, (8, 7, 15, 480), True),
        (None, (8, 16, 29, 480), False),
    ],
)
def test_crops_are_random_where_the_maps_are_larger(size, shape, random):
    spec = InceptionTail(crop_size=size)
    assert not spec.crops_at_random  # it has seen no maps
    rows = RowView(np.broadcast_to(np.float32(0), (5, *shape)))
    assert spec.input_shape_of(rows) == shape
    assert spec.crops_at_random is random


def test_map_shape_is_the_grid_of_the_crop():
    assert InceptionTail().map_shape((8, 16, 29, 480)) == (8, 14, 14)
    assert InceptionTail().map_shape((2, 7, 29, 480)) == (2, 7, 14)
    assert InceptionTail(crop_size=None).map_shape((8, 16, 29, 480)) == (8, 16, 29)


# -------------------------------------------------------------------------- errors


def test_past_and_future_must_be_of_one_size():
    maps = torch.ones(2, 2, 5, 4, 3)
    message = r"same height and width .*, got \(5, 4\) and \(4, 4\): extract both"
    with pytest.raises(ValueError, match=message):
        InceptionTail(crop_size=2).crop(maps, maps[:, :, :4], generator())


@pytest.mark.parametrize("shape", [(5,), (3, 5), (3, 4, 5), (3, 4, 5, 6, 7)])
def test_maps_must_have_time_height_and_width(shape):
    with pytest.raises(ValueError, match=r"expects maps \(n, l, h, w, d\), got \(n, "):
        InceptionTail().build(shape, C, generator=generator())


@pytest.mark.parametrize(
    "spec",
    [
        InceptionTail(0),
        InceptionTail(crop_size=0),
        InceptionTail(dropout=1),
        InceptionTail(head=3),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(spec):
    with pytest.raises(ValueError, match="must be"):
        spec.build((2, 2, 2, 3), C, generator=generator())


# ------------------------------------------------------------------ in an estimator


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    y = np.arange(33) % 3
    maps = rng.normal(size=(33, 2, 4, 4, 5)).astype(np.float32)
    maps[np.arange(33), :, 1:3, 1:3, y] += 3
    maps[3, 0] = np.nan
    return maps, y


def estimator(**options):
    options = {"max_epochs": 12, "batch_size": 16, "random_state": 0, **options}
    return SmoothedAnticipator(InceptionTail(width=0.05), **options)


def test_estimator_learns_saves_and_loads(clips, tmp_path):
    maps, y = clips
    model = estimator().fit(maps, y)  # its last batch is one row
    assert not hasattr(model, "n_features_in_")
    assert model.score(maps, y) > 0.9
    proba = model.predict_proba(maps)
    path = tmp_path / "model.safetensors"
    model.save(path)
    for again in (load(path), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_array_equal(again.predict_proba(maps), proba)
        for (name, a), b in zip(
            model.network_.state_dict().items(),
            again.network_.state_dict().values(),
            strict=True,
        ):
            assert a.dtype == b.dtype and torch.equal(a, b), name
        again.set_params(warm_start=True, max_epochs=2).fit(maps, y)
        assert again.n_iter_ == 14
        tracked = again.network_.Mixed_4b.b0.bn.num_batches_tracked
        assert tracked.dtype == torch.int64 and int(tracked) == 14 * 3


@pytest.mark.filterwarnings("ignore:.*rows of X_val also train")
def test_early_stopping_restores_the_moments(clips):
    maps, y = clips
    model = estimator(early_stopping=True, n_iter_no_change=3, max_epochs=30)
    model.fit(maps, y, X_val=maps[:9], y_val=np.roll(y[:9], 1))
    losses = [record["val_loss"] for record in model.history_]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1
    batches = int(model.network_.Mixed_4b.b0.bn.num_batches_tracked)
    assert batches == 3 * (best + 1)
    proba = model.predict_proba(maps[:9])
    loss = -np.log(proba[np.arange(9), np.roll(y[:9], 1)]).mean()
    assert loss == pytest.approx(losses[best], rel=1e-5)


def test_double_precision_reaches_all_tensors(clips):
    maps, y = clips
    model = estimator(max_epochs=1).fit(maps.astype(np.float64), y)
    kinds = {w.dtype for w in model.network_.state_dict().values()}
    assert kinds == {torch.float64, torch.int64}


def test_threads_give_the_same_bits(clips):
    def proba(_):
        return estimator(max_epochs=2).fit(*clips).predict_proba(clips[0])

    alone = proba(None)
    with ThreadPoolExecutor(3) as pool:
        for other in pool.map(proba, range(3)):
            assert_array_equal(other, alone)
