import pickle

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from torch.nn import functional

import skanticipate
from skanticipate import (
    LSTM,
    RULSTM,
    DistilledAnticipator,
    MarginalLoss,
    ModalityAttention,
    RecognitionTeacher,
    Schedule,
    SmoothedAnticipator,
    VerbNounHead,
)
from skanticipate.datasets import make_kitchen
from skanticipate.networks.base import Dropout, lend_generator

T, S, C = 6, 3, 5
D = 7  # channels: 0 to 4 of the first branch, 5 of nobody, 6 of the second
CLIPS = make_kitchen(8, 8, n_steps=4, n_features=12, random_state=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def branch(hidden_size=4, **params):
    return RULSTM(hidden_size, **{"anticipation_steps": S, "dropout": 0.0, **params})


def two(first=None, second=None, columns=((0, 5), (6, 7)), **params):
    """A fusion of branches of unequal widths."""
    specs = (first or branch(5), second or branch(3))
    branches = list(zip(("rgb", "flow"), specs, columns, strict=True))
    return ModalityAttention(branches, **{"dropout": 0.0, **params})


def built(spec, shape=(T, D), seed=0):
    return spec.build(shape, C, generator=generator(seed)).double().eval()


def random_clips(n=3, steps=T, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, steps, D)))


def alone(network, number, spec, shape):
    """A branch as a network of its own, with a copy of its weights."""
    found = spec.build(shape, C, generator=generator()).double().eval()
    found.load_state_dict(network.branches[number].state_dict())
    return found


def branches_alone(network):
    return (
        alone(network, 0, branch(5), (T, 5)),
        alone(network, 1, branch(3), (T, 1)),
    )


# ----------------------------------------------------------------- the naive oracle


def naive_weights(network, contexts, masks=(1.0, 1.0)):
    """The formula in plain matrix products, over the weights by name."""
    w = network.state_dict()
    h = torch.cat(contexts, -1)
    h = (h @ w["mlp.0.weight"].T + w["mlp.0.bias"]).clamp(min=0) * masks[0]
    h = (h @ w["mlp.3.weight"].T + w["mlp.3.bias"]).clamp(min=0) * masks[1]
    e = (h @ w["mlp.6.weight"].T + w["mlp.6.bias"]).exp()
    return e / e.sum(-1, keepdim=True)


def naive(network, clips, masks=(1.0, 1.0)):
    """Fusion of networks that know nothing of each other.   -> logits, weights."""
    contexts, logits = [], []
    views = (clips[..., :5], clips[..., 6:])
    for one, view in zip(branches_alone(network), views, strict=True):
        hidden, cells, _ = one.unroll(view)
        contexts += [hidden, cells]
        logits.append(one(view).logits)
    weights = naive_weights(network, contexts, masks)
    return weights[..., :1] * logits[0] + weights[..., 1:] * logits[1], weights


@pytest.mark.parametrize("n_padding", [0, 2, T - 1, T])
def test_network_is_the_naive_fusion_of_its_branches(n_padding):
    network, clips = built(two()), random_clips()
    clips[1, :n_padding] = torch.nan
    logits, weights = naive(network, clips)
    output = network(clips)
    assert output.logits.shape == (3, S, C)
    assert_allclose(output.logits.detach(), logits.detach(), atol=1e-12)
    assert_allclose(network.attention(clips).detach(), weights.detach(), atol=1e-12)
    assert weights.std() > 0.01


class Recorded(Dropout):
    """Dropout that keeps its last mask."""

    def forward(self, x):
        self.mask = super().forward(torch.ones_like(x))
        return x * self.mask


def test_dropout_of_a_branch_comes_before_its_classifier_only():
    network, clips = built(two(branch_epochs=1)).train(), random_clips()
    network.begin_epoch(0, 2)
    for one in network.branches:
        one.dropout = Recorded(0.5)
    with lend_generator(network, generator(1)):
        output = network(clips)
    states = output.features.split([5, 3], -1)  # as the attention would read them
    logits = torch.cat(
        [
            one.classifier(h * one.dropout.mask)
            for one, h in zip(network.branches, states, strict=True)
        ],
        1,
    )
    assert_allclose(output.logits.detach(), logits.detach(), atol=1e-12)
    assert all((one.dropout.mask == 0).any() for one in network.branches)


def test_dropout_follows_each_relu_of_the_attention():
    network, clips = built(two()).train(), random_clips()
    network.mlp[2], network.mlp[5] = Recorded(0.5), Recorded(0.5)
    with lend_generator(network, generator(1)):
        logits = network(clips).logits
    masks = network.mlp[2].mask, network.mlp[5].mask
    assert [m.shape for m in masks] == [(3, S, 4), (3, S, 2)]  # of 2 * (5 + 3)
    assert all(0 < (m == 0).sum() < m.numel() for m in masks)
    assert_allclose(logits.detach(), naive(network, clips, masks)[0].detach())
    dropouts = [m.p for m in built(two(dropout=0.7)).mlp if isinstance(m, Dropout)]
    assert dropouts == [0.7, 0.7]


def test_equal_weights_give_the_mean_of_the_logits():
    network, clips = built(two()), random_clips()
    torch.nn.init.zeros_(network.mlp[6].weight)
    torch.nn.init.zeros_(network.mlp[6].bias)
    first, second = branches_alone(network)
    mean = (first(clips[..., :5]).logits + second(clips[..., 6:]).logits) / 2
    assert_allclose(network(clips).logits.detach(), mean.detach(), atol=1e-12)


def test_feature_map_holds_the_states_of_all_branches():
    network, clips = built(two()), random_clips()
    clips[0, : T - 2] = torch.nan
    output = network(clips)
    first, second = branches_alone(network)
    states = first(clips[..., :5]).features, second(clips[..., 6:]).features
    assert_allclose(output.features.detach(), torch.cat(states, -1).detach())
    assert output.mask.tolist() == [[False, True, True], [True] * 3, [True] * 3]
    assert network(clips[1:]).mask is None
    assert two().map_shape((T, D)) == (S,)


# --------------------------------------------------------- what an answer depends on


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_answer_of_a_stage_does_not_look_ahead(training, apart):
    network, clips = built(two(branch_epochs=1)).train(training), random_clips()
    network.begin_epoch(0 if apart else 1, 2)

    def answers(clips):  # (3, branches that are asked, S, C)
        return network(clips).logits.unflatten(1, (-1, S))

    whole = answers(clips)
    assert whole.shape[1] == (2 if training and apart else 1)
    for stage in range(S):
        later = clips.clone()
        later[:, T - S + stage + 1 :] = 9.0
        found = answers(later)
        assert torch.equal(found[:, :, : stage + 1], whole[:, :, : stage + 1])
        later[:, T - S + stage] = 9.0
        assert not torch.equal(answers(later)[:, :, stage], whole[:, :, stage])


@pytest.mark.parametrize("steps", [T, S])
def test_padding_on_the_left_changes_nothing(steps):
    network, clips = built(two()), random_clips(steps=steps)
    padded = torch.cat([torch.full((3, 2, D), torch.nan), clips], 1)
    for found, expected in zip(network(padded), network(clips), strict=True):
        if expected is not None:
            assert_allclose(found.detach(), expected.detach(), atol=1e-12)
    assert network(padded).mask.all()


def test_channels_that_nobody_reads_count_nothing():
    network, clips = built(two()), random_clips()
    other = clips.clone()
    other[..., 5] = 9.0
    assert torch.equal(network(other).logits, network(clips).logits)
    for channel in (4, 6):
        other = clips.clone()
        other[..., channel] = 9.0
        assert not torch.equal(network(other).logits, network(clips).logits)


def test_clips_of_maps_are_cut_along_their_last_axis():
    network = built(two(), (T, 2, 2, D))
    clips = random_clips(n=3 * 4, seed=1).view(3, T, 2, 2, D)
    logits = alone(network, 0, branch(5), (T, 20))(clips[..., :5].flatten(2)).logits
    network.begin_epoch(0, 1)
    network.apart = True
    assert_allclose(network.train()(clips).logits[:, :S].detach(), logits.detach())


# ----------------------------------------------------------------------- parameters


def test_fusion_of_the_paper_has_its_number_of_parameters():
    columns = ((0, 1024), (1024, 2048), (2048, None))
    branches = [
        (name, RULSTM(), c)
        for name, c in zip(("rgb", "flow", "objects"), columns, strict=True)
    ]
    network = ModalityAttention(branches).build((14, 2400), 2513, generator=generator())

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(network.mlp) == 10_621_443
    assert [count(b) for b in network.branches] == [19_369_425, 19_369_425, 13_864_401]
    assert count(network) == 63_224_694


def test_branches_start_as_they_would_alone_and_the_attention_as_plain_torch():
    network = two().build((T, D), C, generator=generator(3))
    draws = generator(3)
    for spec, width, ours in zip(
        (branch(5), branch(3)), (5, 1), network.branches, strict=True
    ):
        expected = spec.build((T, width), C, generator=draws).state_dict()
        assert all(torch.equal(w, expected[k]) for k, w in ours.state_dict().items())
    with torch.random.fork_rng():
        torch.set_rng_state(draws.get_state())
        plain = [torch.nn.Linear(16, 4), torch.nn.Linear(4, 2), torch.nn.Linear(2, 2)]
    expected = [p for layer in plain for p in layer.parameters()]
    for a, b in zip(network.mlp.parameters(), expected, strict=True):
        assert torch.equal(a, b)


def test_attention_has_units_however_narrow_the_branches_are():
    network = built(two(branch(1), branch(1)))
    assert [m.out_features for m in network.mlp[::3]] == [1, 1, 2]
    assert network(random_clips()).logits.isfinite().all()


def test_no_number_is_drawn_from_a_global_stream():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    network = two(branch(dropout=0.5), dropout=0.5).build(
        (T, D), C, generator=generator()
    )
    with lend_generator(network, generator(1)):
        network.train()(random_clips().float())
    assert not two().uses_global_rng
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


# ------------------------------------------------------------------ branches learn


class FirstEpochs(Schedule):
    """A rate that is 0 once the branches no longer learn alone."""

    def __init__(self, n=2):
        self.n = n

    def share(self, epoch, max_epochs):
        return float(epoch < self.n)


def small(first=None, second=None, **params):
    columns = ((0, 8), (8, None))
    return two(first or branch(), second or branch(3), columns, **params)


def smoothed(network=None, **params):
    options = {"max_epochs": 3, "batch_size": 32, "random_state": 0, **params}
    return SmoothedAnticipator(small() if network is None else network, **options)


@pytest.mark.parametrize("pretrain_epochs", [0, 1])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_branches_learn_in_their_epochs_what_they_learn_alone(
    optimizer, pretrain_epochs
):
    # Full batches: the order of the rows does not matter.
    X, y = CLIPS.X_past, CLIPS.y
    specs = [branch(pretrain_epochs=pretrain_epochs), branch(3)]
    network = small(*specs, branch_epochs=2)
    options = {"batch_size": len(y), "smoothing": 0, "momentum": 0, "weight_decay": 0}
    if optimizer == "adamw":  # the attention must not decay either
        options["weight_decay"] = 0.1
    start = smoothed(network, optimizer="sgd", lr=1e-300, **options).fit(X, y)
    start = start.network_.state_dict()
    rate = {"sgd": 0.5, "adamw": 0.01}[optimizer]
    model = smoothed(
        network,
        optimizer=optimizer,
        lr=2 * rate if optimizer == "sgd" else rate,  # of two branches
        lr_schedule=FirstEpochs(),
        **options,
    ).fit(X, y)
    found = model.network_.state_dict()
    plain = {"weight_decay": options["weight_decay"], "lr": rate}
    if optimizer == "adamw":
        plain["eps"] = 2e-8  # half of the gradient, and half of this
    codes = torch.from_numpy(np.searchsorted(model.classes_, y))
    losses = []
    for k, columns in enumerate((slice(8), slice(8, 12))):
        prefix = f"branches.{k}."
        view = torch.from_numpy(X[..., columns])
        own = specs[k].build(view.shape[1:], len(model.classes_), generator=generator())
        own = own.double().train()
        weights = {n.removeprefix(prefix): w for n, w in start.items() if prefix in n}
        own.load_state_dict(weights)
        kind = torch.optim.SGD if optimizer == "sgd" else torch.optim.AdamW
        steps = kind(own.parameters(), **plain)
        losses.append([])
        for epoch in range(2):
            own.begin_epoch(epoch, 2)
            logits = own(view).logits
            loss = sum(functional.cross_entropy(z, codes) for z in logits.unbind(1)) / S
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses[-1].append(float(loss.detach()))
        for name, weight in own.state_dict().items():
            assert_allclose(found[prefix + name], weight, atol=1e-10)
            assert not torch.equal(found[prefix + name], weights[name])
    assert_allclose(model.loss_curve_[:2], np.mean(losses, axis=0))
    for name in found:
        if name.startswith("mlp"):
            assert torch.equal(found[name], start[name])


def test_all_parts_learn_together_afterwards():
    runs = [
        smoothed(small(branch_epochs=1), max_epochs=3, lr_schedule=schedule)
        .fit(CLIPS.X_past, CLIPS.y)
        .network_.state_dict()
        for schedule in (None, FirstEpochs(1))
    ]
    for name, weight in runs[0].items():
        assert not torch.equal(weight, runs[1][name]), name


def test_joint_loss_is_that_of_the_fused_logits():
    X, y = CLIPS.X_past, CLIPS.y
    options = {"batch_size": len(y), "smoothing": 0, "optimizer": "sgd"}
    model = smoothed(small(branch_epochs=1), lr=1e-300, **options).fit(X, y)
    codes = np.searchsorted(model.classes_, y)
    staged = np.stack(list(model.staged_predict_proba(X)))  # (S, n, C)
    joint = -np.log(staged[:, np.arange(len(y)), codes]).mean()
    assert_allclose(model.loss_curve_[1:], [joint, joint])
    assert abs(model.loss_curve_[0] - joint) > 1e-4  # a mean of losses, not of logits


@pytest.mark.parametrize("apart", [False, True])
def test_terms_of_all_objectives_are_means_over_the_answers(apart):
    X, y = CLIPS.X_past, CLIPS.y.copy()
    classes = np.unique(CLIPS.y)
    n, c = len(y), len(classes)
    draws = np.random.default_rng(0)
    teacher = draws.dirichlet(np.ones(c), size=n)
    teacher[::5] = np.nan
    y[1::2] = -1
    weights = draws.uniform(0.5, 2, size=n)
    network = small(branch_epochs=int(apart))
    kept = (y >= 0) | ~np.isnan(teacher[:, 0])
    model = DistilledAnticipator(
        network,
        teacher_weight=1,
        temperature=2.0,
        smoothing=0.3,
        marginal_loss=MarginalLoss(CLIPS.actions),
        unlabeled_fraction=None,
        classes=classes,
        max_epochs=2,
        batch_size=n,
        optimizer="sgd",
        lr=1e-300,
        random_state=0,
    )
    X, y, teacher, weights = X[kept], y[kept], teacher[kept], weights[kept]
    model.fit(X, y, teacher_proba=teacher, sample_weight=weights)
    net = model.network_.train(apart)
    net.apart = apart
    logits = net(torch.from_numpy(X)).logits.detach().numpy()  # (n, stages, C)
    assert logits.shape[1] == (2 * S if apart else S)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    labelled = y >= 0
    codes = np.searchsorted(classes, y[labelled])

    def kl(q, temperature):
        soft = p ** (1 / temperature)
        soft = soft / soft.sum(-1, keepdims=True)
        q = q ** (1 / temperature)
        q = (q / q.sum(-1, keepdims=True))[:, None]
        return temperature**2 * (q * np.log(q / soft)).sum(-1).mean(1)

    def mean(losses, rows):
        return (losses * weights[rows]).sum() / weights[rows].sum()

    targets = np.full((len(codes), c), 0.3 / c)
    targets[np.arange(len(codes)), codes] += 0.7
    base = kl(teacher, 1)
    base[labelled] = -(targets[:, None] * np.log(p[labelled])).sum(-1).mean(1)
    both = labelled & ~np.isnan(teacher[:, 0])
    expected = {
        "base": mean(base, slice(None)),
        "teacher": mean(kl(teacher, 2)[both], both),
    }
    for place, part in enumerate(("verb", "noun")):
        parts = np.array([CLIPS.actions[label][place] for label in classes.tolist()])
        members = parts == parts[codes][:, None]
        inside = (p[labelled] * members[:, None]).sum(-1)
        expected[part] = mean(-np.log(inside).mean(1), labelled)
    record = model.history_[0]
    for name, value in expected.items():
        assert_allclose(record[name], value, err_msg=name)


def test_attention_learns_whom_to_trust():
    # A switch in the first modality says which of the two shows the class.
    draws = np.random.default_rng(0)
    y, other = draws.integers(4, size=(2, 400))
    first_shows = draws.random(400) < 0.5
    shown = np.eye(4)[np.where(first_shows, [y, other], [other, y])]  # (2, n, 4)
    switch = np.repeat(first_shows[:, None], 4, 1)
    X = np.concatenate([shown[0], switch, shown[1]], 1)[:, None].repeat(2, 1)
    specs = [branch(16, anticipation_steps=1) for _ in range(2)]
    model = SmoothedAnticipator(
        two(*specs, ((0, 8), (8, 12)), branch_epochs=10),
        max_epochs=30,
        lr=0.01,
        batch_size=64,
        random_state=0,
    ).fit(X[:300], y[:300])
    weights = model.network_.attention(torch.from_numpy(X[300:])).detach()[:, 0, 0]
    held = first_shows[300:]
    assert weights[held].mean() > 0.8 and weights[~held].mean() < 0.2
    assert model.score(X[300:], y[300:]) > 0.95


# ---------------------------------------------------------------------- estimators


def test_staged_probabilities_are_those_of_each_anticipation_time():
    specs = {"first": branch(anticipation_time=0.5), "second": branch(3)}
    specs["second"].set_params(anticipation_time=0.5)
    model = smoothed(small(**specs)).fit(CLIPS.X_past, CLIPS.y)
    assert model.anticipation_times_.tolist() == [0.75, 0.5, 0.25]
    staged = list(model.staged_predict_proba(CLIPS.X_past))
    assert [p.shape for p in staged] == 3 * [(len(CLIPS.y), len(model.classes_))]
    assert_allclose(model.predict_proba(CLIPS.X_past), staged[1], atol=1e-7)
    assert not np.allclose(staged[0], staged[1])
    assert model.feature_map(CLIPS.X_past).shape == (len(CLIPS.y), 3, 7)
    longer = np.concatenate([np.full_like(CLIPS.X_past, np.nan), CLIPS.X_past], 1)
    assert_allclose(model.predict_proba(longer), staged[1], atol=1e-7)


def test_logit_adjustment_moves_the_fused_scores():
    model = smoothed(small(branch_epochs=1)).fit(CLIPS.X_past, CLIPS.y)
    plain = model.predict_proba(CLIPS.X_past)
    model.set_params(logit_adjustment=1.0)
    expected = plain / np.exp(model.class_log_frequency_)
    expected /= expected.sum(1, keepdims=True)
    assert_allclose(model.predict_proba(CLIPS.X_past), expected, rtol=1e-4)


def bits(_=None):
    network = small(branch(dropout=0.3), dropout=0.3, branch_epochs=1)
    model = smoothed(network).fit(CLIPS.X_past, CLIPS.y)
    weights = [w.numpy().tobytes() for w in model.network_.state_dict().values()]
    return b"".join(weights) + repr(model.history_).encode()


def test_same_seed_gives_the_same_bits_in_threads_too():
    expected = bits()
    with joblib.parallel_config("threading", n_jobs=4):
        found = joblib.Parallel()(joblib.delayed(bits)(k) for k in range(4))
    assert set(found) == {expected}


def test_copies_answer_the_same_to_the_bit(tmp_path):
    clips = CLIPS.X_past.copy()
    clips[::3, :2] = np.nan
    first = branch(head=VerbNounHead(CLIPS.actions), pretrain_epochs=1)
    network = small(first, branch_epochs=2)
    model = smoothed(network).fit(clips, CLIPS.y)
    assert not hasattr(first, "head_")  # the caller's spec stays as it was
    expected = model.predict_proba(clips)
    model.save(tmp_path / "model.safetensors")
    loaded = skanticipate.load(tmp_path / "model.safetensors")
    assert repr(loaded) == repr(model)
    for again in (pickle.loads(pickle.dumps(model)), loaded):
        assert_array_equal(again.predict_proba(clips), expected)
        assert_array_equal(again.fit(clips, CLIPS.y).predict_proba(clips), expected)


def test_branches_and_their_parameters_are_parameters():
    spec = small()
    params = spec.get_params()
    assert params["rgb"] is spec.branches[0][1]
    assert params["flow__hidden_size"] == 3
    own = {"branches", "dropout", "branch_epochs", "weights"}
    assert set(spec.get_params(deep=False)) == own
    copy = clone(spec).set_params(rgb__hidden_size=9, flow=branch(2), dropout=0.1)
    names, specs, columns = zip(*copy.branches, strict=True)
    assert names == ("rgb", "flow") and columns == ((0, 8), (8, None))
    assert [s.hidden_size for s in specs] == [9, 2] and copy.dropout == 0.1
    assert [s.hidden_size for _, s, _ in spec.branches] == [4, 3]
    assert "hidden_size=9" in repr(copy) and "<div" in copy._repr_html_()


def test_searches_go_over_branches():
    search = smoothed(max_epochs=2, classes=np.unique(CLIPS.y))
    grid = [
        {"network__rgb__hidden_size": [2, 6]},
        {"network__flow": [branch(5)], "network__branch_epochs": [0, 1]},
    ]
    search = GridSearchCV(search, grid, cv=KFold(2), error_score="raise")
    search.fit(CLIPS.X_past, CLIPS.y)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 4 and np.isfinite(scores).all()
    alone = search.best_estimator_.network_.branches[0].rolling.hidden_size
    assert alone == search.best_params_.get("network__rgb__hidden_size", 4)


def test_warm_start_goes_on_with_branches_that_learn_alone_first():
    model = smoothed(small(branch_epochs=1), max_epochs=2, warm_start=True)
    model.fit(CLIPS.X_past, CLIPS.y).fit(CLIPS.X_past, CLIPS.y)
    assert [record["epoch"] for record in model.history_] == [1, 2, 3, 4]
    assert not model.network_.apart


@pytest.mark.parametrize("branch_epochs", [0, 1])
def test_student_and_teacher_of_the_same_network(branch_epochs, tmp_path):
    futures, past = CLIPS.X_future.copy(), CLIPS.X_past.copy()
    futures[1::4], past[2::4, :2] = np.nan, np.nan
    y = np.where(np.arange(len(CLIPS.y)) % 2, CLIPS.y, -1)
    model = DistilledAnticipator(
        small(branch_epochs=branch_epochs),
        teacher_cache=tmp_path,
        max_epochs=2,
        random_state=0,
    )
    proba = model.fit(past, y, futures).predict_proba(past)
    assert model.started_from_teacher_ and model.feature_weight_ > 0
    assert isinstance(model.teacher_, RecognitionTeacher)
    record = model.history_[-1]
    assert record["feature"] > 0 and np.isfinite(record["loss"])
    assert model.teacher_.feature_map(futures[:1]).shape == (1, 3, 7)
    again = clone(model).fit(past, y, futures)  # with the teacher of the cache
    assert_array_equal(again.predict_proba(past), proba)


# ------------------------------------------------------------------------- errors


def test_network_needs_sequences():
    message = r"ModalityAttention expects .* got \(n, 7\): use MLP"
    with pytest.raises(ValueError, match=message):
        built(two(), (D,))


def test_clip_must_be_as_long_as_its_stages():
    with pytest.raises(ValueError, match="Clips of 2 steps .* 3 stages: give longer"):
        built(two())(random_clips(steps=2))


@pytest.mark.parametrize("max_epochs", [1, 2])
def test_attention_must_be_left_epochs(max_epochs):
    model = smoothed(small(branch_epochs=2), max_epochs=max_epochs)
    message = f"branch_epochs=2 leaves none of the {max_epochs} epochs .* raise max_"
    with pytest.raises(ValueError, match=message):
        model.fit(CLIPS.X_past, CLIPS.y)
    assert not hasattr(model, "network_")


@pytest.mark.parametrize("branch_epochs", [0, 1])
def test_branches_pretrain_within_their_own_epochs(branch_epochs):
    spec = small(branch(pretrain_epochs=1), branch_epochs=branch_epochs)
    message = f"'rgb' has pretrain_epochs=1, .* branch_epochs={branch_epochs}: raise"
    with pytest.raises(ValueError, match=message):
        smoothed(spec).fit(CLIPS.X_past, CLIPS.y)


ONE = ("rgb", branch(), (0, 5))


@pytest.mark.parametrize(
    ("branches", "error", "message"),
    [
        (None, ValueError, "The 'branches' parameter .* instance of 'list'"),
        ([], ValueError, r"at least two branches, got \[\]: use RULSTM"),
        ([ONE], ValueError, "at least two branches, got .*: use RULSTM for a single"),
        ([ONE, 3], ValueError, r"must hold tuples \(name, RULSTM, .* got 3"),
        ([ONE, ("b", branch())], ValueError, r"tuples .*, got \('b', RULSTM\("),
        ([ONE, [*ONE]], ValueError, r"must hold tuples .* got \['rgb'"),
        ([ONE, (1, branch(), (5, 6))], TypeError, r"must be strings, got \['rgb', 1\]"),
        ([ONE, ("rgb", branch(), (5, 6))], ValueError, r"not unique: \['rgb', 'rgb'\]"),
        ([ONE, ("a__b", branch(), (5, 6))], ValueError, r"not contain __: .*'a__b'"),
        ([ONE, ("dropout", branch(), (5, 6))], ValueError, r"conflict .*\['dropout'\]"),
        ([ONE, ("b", LSTM(), (5, 6))], TypeError, r"'b' must be a RULSTM, .* LSTM\(\)"),
        ([ONE, ("b", RULSTM, (5, 6))], TypeError, "'b' must be a RULSTM, .* <class"),
        (
            [ONE, ("b", branch(hidden_size=0), (5, 6))],
            ValueError,
            "The 'hidden_size' parameter of RULSTM",
        ),
        (
            [ONE, ("b", branch(embedding=2), (5, 6))],
            ValueError,
            "'b' has embedding=2, .* set embedding=None",
        ),
        (
            [ONE, ("b", branch(anticipation_time=9), (5, 6))],
            ValueError,
            "9 s is none of the 3 stages",
        ),
    ],
    ids=str,
)
def test_branches_that_cannot_be_fused_are_refused(branches, error, message):
    spec = ModalityAttention(branches)
    spec = clone(spec)  # searches may still set them right
    with pytest.raises(error, match=message):
        built(spec)
    with pytest.raises(error, match=message):
        smoothed(spec).fit(CLIPS.X_past, CLIPS.y)


@pytest.mark.parametrize(
    "other",
    [{"time_step": 0.5}, {"anticipation_steps": 2}, {"anticipation_time": 0.5}],
    ids=str,
)
def test_branches_must_have_the_same_stages(other):
    message = r"All branches must have the same .* got \{'rgb': \(.*, 'flow': \(.*\)\}"
    with pytest.raises(ValueError, match=message):
        built(two(second=branch(3, **other)))


def test_branches_may_name_the_same_stage_in_two_ways():
    assert two(second=branch(3, anticipation_time=0.25)).answering_stage() == 2
    built(two(second=branch(3, anticipation_time=0.25)))


@pytest.mark.parametrize(
    "columns",
    [
        (-1, 5),
        (3, 3),
        (4, 3),
        (0, 8),
        (7, None),
        (0.0, 5),
        (False, 5),
        (0, True),
        (True, None),
        (None, 5),
        (1,),
        5,
        slice(0, 5),
        "ab",
    ],
    ids=str,
)
def test_columns_must_lie_in_the_last_axis(columns):
    message = r"branch 'rgb' must be \(start, stop\) with .* <= 7, .* got "
    with pytest.raises(ValueError, match=message):
        built(two(columns=(columns, (6, 7))))


@pytest.mark.parametrize("columns", [((0, 5), (4, 7)), ((4, 7), (0, 5))])
def test_columns_must_not_overlap(columns):
    with pytest.raises(ValueError, match="'(rgb|flow)' both read channel 4: give each"):
        built(two(columns=columns))


@pytest.mark.parametrize(
    "wrong",
    [{"dropout": 1.0}, {"branch_epochs": -1}, {"branch_epochs": 0.5}],
    ids=str,
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"The '{next(iter(wrong))}' parameter"):
        built(two().set_params(**wrong))


def test_sizes_may_be_numpy_integers_as_searches_draw_them():
    sizes = np.array([0, 5, 6, 7])
    spec = two(branch(sizes[2]), columns=((sizes[0], sizes[1]), (sizes[2], sizes[3])))
    network = built(spec.set_params(branch_epochs=sizes[1]))
    assert network(random_clips()).logits.shape == (3, S, C)


def test_early_stopping_keeps_no_epoch_of_branches_alone():
    figures = iter([0.9, 0.8, 0.1, 0.3, 0.2])

    def asked(estimator, X, y):
        return next(figures)

    def fitted(max_epochs, **params):
        model = SmoothedAnticipator(
            small(branch_epochs=2), max_epochs=max_epochs, random_state=0, **params
        )
        val = {"X_val": CLIPS.X_past[:9], "y_val": CLIPS.y[9:18]} if params else {}
        return model.fit(CLIPS.X_past[9:], CLIPS.y[9:], **val).network_.state_dict()

    found = fitted(5, early_stopping=True, n_iter_no_change=5, scoring=asked)
    for name, expected in fitted(4).items():
        assert torch.equal(found[name], expected)
