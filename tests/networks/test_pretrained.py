"""Networks that start from weights that others trained."""

import copy
import pickle
import warnings

import every_network
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AttentiveProbe,
    AVTHead,
    BatchedGridSearchCV,
    DistilledAnticipator,
    EncoderDecoderLSTM,
    FeatureMapNet,
    FrameMLP,
    InceptionTail,
    ModalityAttention,
    NetworkSpec,
    Output,
    RecognitionTeacher,
    SmoothedAnticipator,
    VerbNounHead,
    fit_many,
)
from skanticipate.estimator.given import Given

D, C = 6, 3
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, D)), np.arange(30) % C
SEQUENCES = RNG.normal(size=(12, 4, D))
MAPS = RNG.normal(size=(12, 2, 3, 3, D))
# Rates so small that what a fit begins with is what it ends with, to 1e-9.
STILL = {"max_epochs": 1, "lr": 1e-12, "optimizer": "sgd", "weight_decay": 0.0}

BRANCHES = [("a", RULSTM(4, dropout=0.0), (0, 3)), ("b", RULSTM(3), (3, None))]
BRANCHES = [
    (name, clone(spec).set_params(anticipation_steps=2), columns)
    for name, spec, columns in BRANCHES
]
SPECS = {
    "MLP": (MLP((5, 4)), X[:12]),
    "LSTM": (LSTM(5, n_layers=2), SEQUENCES),
    "RULSTM": (RULSTM(5, anticipation_steps=2), SEQUENCES),
    "EncoderDecoderLSTM": (EncoderDecoderLSTM(5, anticipation_steps=2), SEQUENCES),
    "FrameMLP": (FrameMLP(5), SEQUENCES),
    "FeatureMapNet": (FeatureMapNet(5), MAPS),
    "InceptionTail": (InceptionTail(0.03), MAPS),
    "AVTHead": (AVTHead(8, n_heads=2), SEQUENCES),
    "AttentiveProbe": (AttentiveProbe(8, n_heads=2), SEQUENCES),
    "ModalityAttention": (ModalityAttention(BRANCHES), SEQUENCES),
}
for name in sorted(every_network.SPECS.keys() - SPECS.keys()):  # what is new
    spec, _, clips = every_network.built(name)
    SPECS[name] = spec, clips.numpy()
EVERY = pytest.mark.parametrize("name", SPECS)


def still(spec, seed=1, **params):
    return SmoothedAnticipator(spec, random_state=seed, **{**STILL, **params})


def trained(spec, clips, labels, seed=0, **params):
    """An estimator, and the weights it found."""
    params = {"max_epochs": 2, "lr": 0.05, "random_state": seed} | params
    model = SmoothedAnticipator(spec, **params).fit(clips, labels)
    return model, copy.deepcopy(model.network_.state_dict())


def mlp_weights(seed=0, n_classes=C, size=8):
    draw = np.random.default_rng(seed)
    return {
        "layers.0.weight": draw.normal(size=(size, D)),
        "layers.0.bias": draw.normal(size=size),
        "classifier.weight": draw.normal(size=(n_classes, size)),
        "classifier.bias": draw.normal(size=n_classes),
    }


def by_hand(weights, clips):
    """Probabilities of an MLP with one hidden layer."""
    hidden = clips @ weights["layers.0.weight"].T + weights["layers.0.bias"]
    scores = np.maximum(hidden, 0) @ weights["classifier.weight"].T
    scores = np.exp(scores + weights["classifier.bias"])
    return scores / scores.sum(axis=1, keepdims=True)


# -------------------------------------------------------------------------- what fits


def test_every_public_spec_takes_weights():
    specs = {
        name
        for name in skanticipate.__all__
        if isinstance(kind := getattr(skanticipate, name), type)
        and issubclass(kind, NetworkSpec)
        and kind is not NetworkSpec
    }
    assert specs == set(SPECS)
    for name in specs:
        assert "safetensors" in getattr(skanticipate, name).__doc__
        assert "weights" in SPECS[name][0].get_params()


@EVERY
def test_weights_of_another_fit_are_the_start(name, tmp_path):
    spec, clips = SPECS[name]
    labels = np.arange(len(clips)) % C
    model, weights = trained(spec, clips, labels)
    save_file(weights, tmp_path / "w.safetensors")
    for given in (weights, tmp_path / "w.safetensors"):
        spec = clone(spec).set_params(weights=given)
        # Moments of batches move in any training, hence what it begins with.
        again = still(spec)
        checked = again._check(Given(clips, labels))
        network = again._prepare(checked).training.state.network.eval()
        assert_array_equal(
            network(torch.from_numpy(clips)).logits.detach(),
            model.network_(torch.from_numpy(clips)).logits.detach(),
        )
        assert again.network_spec_.loaded_ == sorted(weights)


def test_answers_are_those_that_the_arrays_say():
    weights = mlp_weights()
    proba = still(MLP(8, weights=weights)).fit(X, Y).predict_proba(X)
    assert_allclose(proba, by_hand(weights, X), atol=1e-9)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(np.float16, 1e-2), (np.float32, 1e-6), (np.longdouble, 1e-9), (">f8", 1e-9)],
)
def test_other_precisions_are_cast(dtype, tolerance):
    weights = mlp_weights()
    given = {name: w.astype(dtype) for name, w in weights.items()}
    proba = still(MLP(8, weights=given)).fit(X, Y).predict_proba(X)
    assert_allclose(proba, by_hand(weights, X), atol=tolerance)


def test_bfloat16_of_a_file_is_cast(tmp_path):
    weights = mlp_weights()
    path = tmp_path / "w.safetensors"
    tensors = {n: torch.tensor(w).bfloat16() for n, w in weights.items()}
    save_file(tensors, path)
    proba = still(MLP(8, weights=str(path))).fit(X, Y).predict_proba(X)
    rounded = {n: w.double().numpy() for n, w in tensors.items()}
    assert_allclose(proba, by_hand(rounded, X), atol=1e-9)


def test_random_numbers_are_those_of_a_fit_without_weights():
    """What is not loaded is drawn as ever, and so is the order of the rows."""
    weights = mlp_weights(n_classes=7)
    with_, without = (
        still(MLP(8, weights=w), dtype="float64").fit(X, Y) for w in (weights, None)
    )
    ours, theirs = (m.network_.classifier.weight.detach() for m in (with_, without))
    assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("prefix", ["module.", "network.", "model.module.", ""])
def test_common_prefixes_are_stripped(prefix):
    weights = mlp_weights()
    given = {prefix + name: w for name, w in weights.items()}
    proba = still(MLP(8, weights=given)).fit(X, Y).predict_proba(X)
    assert_allclose(proba, by_hand(weights, X), atol=1e-9)


def test_a_part_whose_names_begin_alike_keeps_them():
    given = {n: w for n, w in mlp_weights().items() if n.startswith("layers")}
    model = still(MLP(8, weights=given)).fit(X, Y)
    assert model.network_spec_.loaded_ == ["layers.0.bias", "layers.0.weight"]


# ----------------------------------------------------------------- what is left out


@pytest.mark.parametrize("other", [{"classifier.weight": None}, {}])
def test_a_classifier_of_other_classes_is_left_out_quietly(other):
    given = mlp_weights(n_classes=C if other else 9)
    given = {name: w for name, w in given.items() if name not in other}
    model = still(MLP(8, weights=given)).fit(X, Y)  # warnings are errors
    assert model.network_spec_.loaded_ == ["layers.0.bias", "layers.0.weight"]
    assert_allclose(
        model.network_.layers[0].weight.detach(), given["layers.0.weight"], atol=1e-9
    )


def test_what_is_left_out_is_said_once():
    given = mlp_weights() | {"layers.1.weight": np.zeros((2, 8))}
    given |= {f"stem.{k}": np.zeros(2) for k in range(5)}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = still(MLP((8, 4), weights=given)).fit(X, Y)
    (message,) = [str(w.message) for w in told]
    assert told[0].filename == __file__
    assert "MLP: 2 of 6 arrays" in message
    assert "1 of another shape: layers.1.weight is (2, 8), here (4, 8)" in message
    assert "5 not in the network: stem.0, stem.1, stem.2 and 2 more" in message
    assert "1 without weights, and start at random: layers.1.bias" in message
    assert model.network_spec_.loaded_ == ["layers.0.bias", "layers.0.weight"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"body.weight": np.zeros(3)},
        mlp_weights(size=9),
        {n: w for n, w in mlp_weights().items() if n.startswith("classifier")},
    ],
)
def test_nothing_that_fits_is_an_error(given):
    with pytest.raises(ValueError, match=r"nothing fits .* has layers.0.weight \(8, 6"):
        still(MLP(8, weights=given)).fit(X, Y)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.where(np.eye(8, D) > 0, np.nan, 1.0), "'layers.0.weight' holds NaN"),
        (np.where(np.eye(8, D) > 0, np.inf, 1.0), "'layers.0.weight' holds NaN or inf"),
        (np.ma.masked_greater(np.eye(8, D), 0.5), "'layers.0.weight' holds NaN"),
        (np.eye(8, D, dtype=int), "'layers.0.weight' holds torch.int64"),
        (np.eye(8, D) > 0, "'layers.0.weight' holds torch.bool"),
        (torch.eye(8, D).to(torch.int8), "'layers.0.weight' holds torch.int8"),
        (np.eye(8, D) * 1j, "'layers.0.weight' holds torch.complex128"),
        (np.eye(8, D).astype(str), "'layers.0.weight' holds <U"),
    ],
)
def test_arrays_that_are_no_weights_are_refused_by_name(value, message):
    with pytest.raises(ValueError, match=message):
        still(MLP(8, weights=mlp_weights() | {"layers.0.weight": value})).fit(X, Y)


def test_numbers_beyond_the_precision_are_refused():
    given = mlp_weights()
    given["layers.0.bias"][0] = 1e300
    model = still(MLP(8, weights=given), dtype="float32")
    with pytest.raises(ValueError, match=r"'layers.0.bias' .* as torch.float32"):
        model.fit(X, Y)
    assert not hasattr(model, "network_")


def test_a_checkpoint_in_a_mapping_is_named():
    with pytest.raises(ValueError, match=r"checkpoint\['state_dict'\]"):
        still(MLP(8, weights={"state_dict": mlp_weights()})).fit(X, Y)


def test_keys_must_be_names():
    with pytest.raises(TypeError, match="a key is 3"):
        still(MLP(8, weights={3: np.zeros(2)})).fit(X, Y)


@pytest.mark.parametrize("weights", [3, np.zeros(3), [np.zeros(3)]])
def test_what_is_neither_file_nor_mapping_is_refused(weights):
    with pytest.raises(ValueError, match="'weights' parameter of MLP must be"):
        still(MLP(8, weights=weights)).fit(X, Y)


# -------------------------------------------------------------------------------- files


def write_other(path, kind):
    if kind == "folder":
        path.mkdir()
    elif kind == "npz":
        np.savez(path, **mlp_weights())
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"layers.0.bias": Trap()}, protocol=2))
    elif kind == "torch":
        torch.save({n: torch.tensor(w) for n, w in mlp_weights().items()}, path)
    elif kind == "text":
        path.write_text("weights")
    elif kind == "cut short":
        save_file({n: torch.tensor(w) for n, w in mlp_weights().items()}, path)
        path.write_bytes(path.read_bytes()[:-9])


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize(
    ("kind", "ending", "error", "message"),
    [
        ("folder", "", ValueError, "is a folder: name the safetensors file"),
        ("npz", ".npz", ValueError, "an archive of numpy: pass dict"),
        ("pickle", ".bin", ValueError, "is a pickle.*save_file"),
        ("torch", ".pt", ValueError, "is a pickle.*save_file"),
        ("torch", ".safetensors", ValueError, "is a pickle.*save_file"),
        ("text", ".safetensors", ValueError, "no readable safetensors file"),
        ("cut short", ".safetensors", ValueError, "no readable safetensors file"),
        (
            "missing",
            ".safetensors",
            FileNotFoundError,
            "there is no file .*put it back",
        ),
    ],
)
def test_other_files_are_refused(kind, ending, error, message, tmp_path):
    path = tmp_path / f"w{ending}"
    write_other(path, kind)
    with pytest.raises(error, match=message):
        still(MLP(8, weights=path)).fit(X, Y)


def test_a_file_is_known_by_what_it_holds(tmp_path):
    weights = mlp_weights()
    save_file({n: torch.tensor(w) for n, w in weights.items()}, tmp_path / "w.bin")
    model = still(MLP(8, weights=tmp_path / "w.bin")).fit(X, Y)
    assert_allclose(model.predict_proba(X), by_hand(weights, X), atol=1e-9)


def test_a_saved_estimator_is_no_file_of_weights(tmp_path):
    still(MLP(8)).fit(X, Y).save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"take load\(path\).network_"):
        still(MLP(8, weights=tmp_path / "m.safetensors")).fit(X, Y)


def test_a_file_that_vanished_is_missed_by_fits_only(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({n: torch.tensor(w) for n, w in mlp_weights().items()}, path)
    model = still(MLP(8, weights=path)).fit(X, Y)
    model.save(tmp_path / "m.safetensors")
    path.unlink()
    expected = model.predict_proba(X)
    for other in (
        pickle.loads(pickle.dumps(model)),
        skanticipate.load(tmp_path / "m.safetensors"),
    ):
        assert_array_equal(other.predict_proba(X), expected)
        assert str(other.network.weights) == str(path)
    with pytest.raises(FileNotFoundError, match="it back"):
        model.fit(X, Y)
    assert_array_equal(model.predict_proba(X), expected)  # all or nothing


# --------------------------------------------------------------------- other networks


def i3d_weights(width, n_inputs, n_classes):
    """Arrays of the public names and shapes of I3D's last blocks, and a stem."""
    spec = InceptionTail(width, crop_size=None, dropout=0.0)
    network = spec.build(
        (4, 3, 3, n_inputs), n_classes, generator=torch.Generator().manual_seed(5)
    )
    weights = {name: w.double().clone() for name, w in network.state_dict().items()}
    draw = torch.Generator().manual_seed(6)
    for name, w in weights.items():
        if ".bn." in name and w.ndim:
            w.uniform_(0.5, 1.5, generator=draw)
    expected = copy.deepcopy(weights)
    kernel = weights.pop("classifier.weight")[..., None, None, None]
    weights["logits.conv3d.weight"] = kernel  # (C, H, 1, 1, 1)
    weights["logits.conv3d.bias"] = weights.pop("classifier.bias")
    for stem in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Mixed_3b.b1a", "Mixed_3c.b0"):
        weights[f"{stem}.conv3d.weight"] = torch.ones(2, 2, 1, 1, 1)
    return weights, expected


def test_public_names_of_i3d_are_known():
    weights, expected = i3d_weights(0.03, D, C)
    # As the public files are: written before torch counted batches.
    given = {n: w for n, w in weights.items() if "num_batches" not in n}
    model = still(InceptionTail(0.03, dropout=0.0, weights=given), lr=1e-15)
    model.fit(MAPS, np.arange(12) % C)  # no warning of the stem
    found = model.network_.state_dict()
    for name, w in expected.items():
        if "running" in name:  # a batch in a hundred moved them, and not all the way
            assert 0 < (found[name] - w).abs().max() < 0.05 * w.abs().max()
        elif "num_batches" in name:
            assert found[name] == 101
        else:
            assert_allclose(found[name], w, atol=1e-9)


def test_the_stem_is_one_count_in_what_is_said():
    weights, _ = i3d_weights(0.03, D, 400)
    del weights["Mixed_5c.b3b.bn.bias"]
    spec = InceptionTail(0.03, weights={f"module.{n}": w for n, w in weights.items()})
    with pytest.warns(UserWarning, match="InceptionTail") as told:
        still(spec).fit(MAPS, np.arange(12) % C)
    message = str(told[0].message)
    assert "1 without weights, and start at random: Mixed_5c.b3b.bn.bias" in message
    assert "4 of layers before this network are not used" in message
    assert "Conv3d_1a" not in message and "classifier" not in message


def test_i3d_of_another_width_does_not_fit():
    weights, _ = i3d_weights(0.2, D, C)
    with pytest.raises(ValueError, match="nothing fits the network of InceptionTail"):
        still(InceptionTail(0.1, weights=weights)).fit(MAPS, np.arange(12) % C)


def test_counters_may_come_as_floats():
    weights, _ = i3d_weights(0.03, D, C)
    given = {n: w.double().numpy() for n, w in weights.items()}
    model = still(InceptionTail(0.03, weights=given))
    model.fit(MAPS, np.arange(12) % C)
    assert "Mixed_4b.b0.bn.num_batches_tracked" in model.network_spec_.loaded_
    given["Mixed_4b.b0.bn.num_batches_tracked"] = 0.5
    with pytest.raises(ValueError, match="num_batches_tracked' must hold whole"):
        model.fit(MAPS, np.arange(12) % C)


def test_branches_of_modality_attention_start_from_their_own():
    labels = np.arange(12) % C
    name, spec, _ = BRANCHES[0]
    _, weights = trained(spec, SEQUENCES[..., :3], labels)
    branch = clone(spec).set_params(weights=weights)
    fusion = ModalityAttention([(name, branch, (0, 3)), BRANCHES[1]])
    assert clone(fusion).branches[0][1].weights is weights
    model = still(fusion).fit(SEQUENCES, labels)
    for name, w in weights.items():
        found = model.network_.branches[0].state_dict()[name]
        assert_allclose(found, w, atol=1e-9)
    assert model.network_spec_.branches[0][1].loaded_ == sorted(weights)


class Plain(NetworkSpec):
    """As a user would write it."""

    def __init__(self, weights=None):
        self.weights = weights

    def build(self, input_shape, n_classes, *, generator):
        return _Plain(*input_shape, n_classes)


class _Plain(nn.Linear):
    def forward(self, clips):
        return Output(super().forward(clips).unsqueeze(1))


def test_networks_of_users_are_given_weights_too():
    given = {"weight": RNG.normal(size=(C, D)), "bias": RNG.normal(size=C)}
    model = still(Plain(given)).fit(X, Y)
    assert_allclose(model.network_.weight.detach(), given["weight"], atol=1e-9)
    assert clone(Plain(given)).weights is given
    with pytest.raises(TypeError, match="got a list"):
        still(Plain([1.0])).fit(X, Y)


def test_heads_are_loaded_whole():
    names = ["cut onion", "cut bread", "wash onion"]
    labels = np.array(names)[Y]
    _, weights = trained(MLP(8, head=VerbNounHead()), X, labels)
    model = still(MLP(8, head=VerbNounHead(), weights=weights)).fit(X, labels)
    assert model.network_spec_.loaded_ == sorted(weights)
    others = np.array([*names, "wash bread"])[np.arange(30) % 4]
    model = still(MLP(8, head=VerbNounHead(), weights=weights)).fit(X, others)
    assert model.network_spec_.loaded_ == ["layers.0.bias", "layers.0.weight"]


# ----------------------------------------------------------- parameters of an estimator


def test_clones_share_a_mapping_and_print_it_short():
    weights = mlp_weights()
    model = make_pipeline(StandardScaler(), still(MLP(8, weights=weights)))
    found = clone(model)
    assert found[-1].network.weights is weights
    assert found[-1].get_params()["network__weights"] is weights
    assert clone(found[-1].fit(X, Y).network_spec_).weights is weights
    assert "weights=<4 arrays>" in repr(model) and "array(" not in repr(model)
    page = model._repr_html_()
    assert "4 arrays" in page and "array([" not in page
    assert "weights=<4 arrays>" in repr(MLP(weights=weights))
    branch = RULSTM(weights=weights)
    fusion = ModalityAttention([("a", branch, (0, 1))], weights=weights)
    assert repr(fusion).count("<4 arrays>") == 2
    assert clone(fusion).weights is weights
    assert repr(MLP()) == "MLP()"


def test_a_fitted_mapping_is_as_it_was():
    weights = mlp_weights()
    before = copy.deepcopy(weights)
    for w in weights.values():
        w.flags.writeable = False
    SmoothedAnticipator(MLP(8, weights=weights), max_epochs=3).fit(X, Y)
    tensors = {n: torch.tensor(w, requires_grad=True) for n, w in before.items()}
    SmoothedAnticipator(MLP(8, weights=tensors), max_epochs=3).fit(X, Y)
    for name, w in before.items():
        assert_array_equal(weights[name], w)
        assert_array_equal(tensors[name].detach(), w)


@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
@pytest.mark.parametrize("as_files", [False, True])
def test_searches_over_weights(search, as_files, tmp_path):
    grid = [mlp_weights(seed) for seed in range(3)]
    wanted = [np.log(by_hand(w, X)[np.arange(30), Y]).mean() for w in grid]
    if as_files:
        for k, w in enumerate(grid):
            tensors = {n: torch.tensor(a) for n, a in w.items()}
            save_file(tensors, tmp_path / f"{k}.safetensors")
        grid = [str(tmp_path / f"{k}.safetensors") for k in range(3)]
    found = search(
        still(MLP(8)), {"network__weights": [*grid, None]}, scoring="neg_log_loss", cv=3
    ).fit(X, Y)
    scores = found.cv_results_["mean_test_score"]  # folds are of one size
    assert_allclose(scores[:3], wanted, atol=1e-8)
    best = int(np.argmax(scores))
    assert best == 3 or best == int(np.argmax(wanted))
    if search is BatchedGridSearchCV and best < 3:  # scikit-learn's copies every value
        assert found.best_estimator_.network.weights is grid[best]


@pytest.mark.parametrize("as_files", [False, True])
def test_fits_together_start_from_their_own_weights(as_files, tmp_path):
    grid = [mlp_weights(seed) for seed in (0, 1, 0)]
    if as_files:
        for k, w in enumerate(grid[:2]):
            tensors = {n: torch.tensor(a) for n, a in w.items()}
            save_file(tensors, tmp_path / f"{k}.safetensors")
        grid = [str(tmp_path / f"{k}.safetensors") for k in (0, 1, 0)]
    models = [
        SmoothedAnticipator(MLP(8, weights=w), lr=lr, max_epochs=3, random_state=0)
        for w in grid
        for lr in (0.01, 0.02)
    ]
    for model, together in zip(models, fit_many(models, X, Y), strict=True):
        alone = model.fit(X, Y).predict_proba(X)
        assert_allclose(together.predict_proba(X), alone, atol=1e-12)


def test_fits_from_one_mapping_are_trained_together(monkeypatch):
    from skanticipate.estimator import many

    sizes = []
    together = many.run_together
    monkeypatch.setattr(
        many, "run_together", lambda ts: sizes.append(len(ts)) or together(ts)
    )
    weights = mlp_weights()
    models = [
        SmoothedAnticipator(MLP(8, weights=weights), lr=lr, max_epochs=2)
        for lr in (0.01, 0.02, 0.03)
    ]
    fit_many([m.set_params(random_state=0) for m in models], X, Y)
    assert sizes == [3]


def test_warm_start_goes_on_from_the_last_fit():
    model = SmoothedAnticipator(
        MLP(8, weights=mlp_weights()), max_epochs=3, lr=0.05, random_state=0
    ).fit(X, Y)
    trained_ = model.predict_proba(X)
    model.set_params(warm_start=True, **STILL).fit(X, Y)
    assert_allclose(model.predict_proba(X), trained_, atol=1e-9)
    assert np.abs(trained_ - by_hand(mlp_weights(), X)).max() > 0.01


# ----------------------------------------------------------------------------- teachers


@pytest.mark.parametrize("cross_fit", [0, 2])
def test_student_and_default_teacher_start_from_the_same(cross_fit):
    weights = mlp_weights()
    model = DistilledAnticipator(
        MLP(8, weights=weights),
        cross_fit=cross_fit,
        random_state=0,
        **STILL,
    ).fit(X, Y, X[::-1].copy())
    assert model.started_from_teacher_
    for part in (model, model.teacher_):
        assert_allclose(part.predict_proba(X), by_hand(weights, X), atol=1e-9)
    assert model.teacher_.network.weights is weights


def test_teachers_that_start_otherwise_are_not_shared():
    models = [
        DistilledAnticipator(MLP(8, weights=mlp_weights(s)), random_state=0, **STILL)
        for s in (0, 1, 0)
    ]
    fitted = fit_many(models, X, Y, X[::-1].copy())
    for model, seed in zip(fitted, (0, 1, 0), strict=True):
        expected = by_hand(mlp_weights(seed), X)
        assert_allclose(model.teacher_.predict_proba(X), expected, atol=1e-9)
    assert fitted[0].teacher_ is fitted[2].teacher_  # of equal numbers


def cached(weights, folder):
    """Number of teachers in a folder after a fit with these weights."""
    DistilledAnticipator(
        MLP(8, weights=weights),
        feature_weight=0,
        teacher_cache=folder,
        random_state=0,
        **STILL,
    ).fit(X, Y, X[::-1].copy())
    return len(list(folder.glob("*.teacher.safetensors")))


@pytest.mark.parametrize(
    "kind", [np.asarray, torch.tensor, lambda w: torch.tensor(w).bfloat16()]
)
def test_cached_teachers_are_told_by_the_numbers_of_a_mapping(kind, tmp_path):
    given = [{n: kind(w) for n, w in mlp_weights(s).items()} for s in (0, 0, 1)]
    assert [cached(w, tmp_path) for w in given] == [1, 1, 2]
    given[0]["layers.0.bias"][3] += 1
    assert cached(given[0], tmp_path) == 3


def test_cached_teachers_are_told_by_what_a_file_holds(tmp_path):
    path, folder = tmp_path / "w.safetensors", tmp_path / "cache"
    counts = []
    for seed in (0, 0, 1):
        tensors = {n: torch.tensor(w) for n, w in mlp_weights(seed).items()}
        save_file(tensors, path)
        counts.append(cached(path, folder))
    assert counts == [1, 1, 2]


# ------------------------------------------------------------------------------- saving


def test_a_saved_estimator_is_written_without_its_mapping(tmp_path):
    weights = mlp_weights() | {"huge": np.zeros(100_000)}
    with pytest.warns(UserWarning, match="not in the network: huge"):
        model = DistilledAnticipator(
            MLP(8, weights=weights), max_epochs=1, random_state=0
        ).fit(X, Y, X[::-1].copy())
    path = tmp_path / "m.safetensors"
    with pytest.warns(
        UserWarning, match="Left out of the file.*network.weights"
    ) as told:
        model.save(path)
    assert len(told) == 1
    assert path.stat().st_size < 100_000
    assert model.network.weights is weights  # it was not changed
    assert model.network_spec_.weights is weights
    again = skanticipate.load(path)
    assert again.network.weights is None
    assert again.teacher_.network_spec_.weights is None
    assert again.network_spec_.loaded_ == model.network_spec_.loaded_
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert_array_equal(again.teacher_.predict_proba(X), model.teacher_.predict_proba(X))


def test_a_pickle_keeps_the_mapping():
    weights = mlp_weights()
    model = still(MLP(8, weights=weights)).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    assert again.network.weights.keys() == weights.keys()
    assert again.network.weights is again.network_spec_.weights
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_weights_of_a_network_make_the_round_through_a_file(tmp_path):
    model, weights = trained(LSTM(4), SEQUENCES, np.arange(12) % C)
    save_file(weights, tmp_path / "w.safetensors")
    assert load_file(tmp_path / "w.safetensors").keys() == weights.keys()
    spec = LSTM(4, weights=tmp_path / "w.safetensors")
    again = still(spec).fit(SEQUENCES, np.arange(12) % C)
    assert_allclose(
        again.predict_proba(SEQUENCES), model.predict_proba(SEQUENCES), atol=1e-9
    )


@pytest.mark.parametrize("init_from_teacher", ["auto", True])
def test_pretrained_weights_are_kept_from_a_teacher_that_had_none(init_from_teacher):
    weights = mlp_weights()
    still_so = {"lr": 1e-30, "weight_decay": 0.0, "random_state": 0, "max_epochs": 1}
    for teacher, own in (
        (MLP(8), init_from_teacher == "auto"),
        (MLP(8, weights=mlp_weights(1)), False),
    ):
        model = DistilledAnticipator(
            MLP(8, weights=weights),
            teacher=RecognitionTeacher(teacher, max_epochs=1),
            init_from_teacher=init_from_teacher,
            teacher_weight=1.0,
            **still_so,
        ).fit(X, Y, X[::-1].copy())
        assert model.started_from_teacher_ is not own
        start = weights if own else model.teacher_.network_.state_dict()
        for name, w in model.network_.state_dict().items():
            assert_allclose(w, start[name], atol=1e-6)


def test_maps_of_networks_of_the_same_start_are_compared_without_a_warning():
    network = MLP(8, weights=mlp_weights())
    model = DistilledAnticipator(
        network,
        teacher=RecognitionTeacher(network, max_epochs=1),
        init_from_teacher=False,
        feature_weight=0.1,
        max_epochs=1,
        random_state=0,
    ).fit(X, Y, X[::-1].copy())
    assert not model.started_from_teacher_ and "feature" in model.history_[0]
