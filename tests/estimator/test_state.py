import copy
import json
import math
import os
import pickle
import stat
import sys
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import Binarizer

from skanticipate import LSTM, MLP, SmoothedAnticipator, load
from skanticipate.data.tensor_file import write_tensors
from skanticipate.estimator import state
from skanticipate.priors import TransitionPrior, UniformPrior, VerbNounPrior


class Holder(BaseEstimator):
    """Somebody else's estimator, which holds one value."""

    def __init__(self, value=None):
        self.value = value


def round_trip(value, folder, trusted=(Holder,)):
    path = folder / "state.safetensors"
    state.write(path, Holder(value))
    return state.read(path, trusted).value


def fitted(y=(0, 1, 0, 1, 2, 2), **options):
    X = np.random.default_rng(0).normal(size=(len(y), 4))
    options = {"max_epochs": 2, "random_state": 0, **options}
    return SmoothedAnticipator(**options).fit(X, np.asarray(y)), X


# ------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2**70,
        0.1,
        math.inf,
        -math.inf,
        "verb noun",
        "",
        '\u00e9\n"\\\x00\U0001f373',
        [],
        (),
        {},
        [1, "a", None, [2.5]],
        (1, (2, [3])),
        {"a": 1, 2: "b", (3, "c"): [4], None: {}, 0.5: (1,)},
        {"tensor": "x", "class": "os:system", "tuple": 1},
        {"cut onion": ("cut", "onion")},
    ],
    ids=repr,
)
def test_plain_values_come_back(value, tmp_path):
    again = round_trip(value, tmp_path)
    assert again == value
    assert type(again) is type(value)


def test_types_inside_of_containers_come_back(tmp_path):
    again = round_trip([(1,), [1], {"k": (1, 1.0, True)}], tmp_path)
    assert [type(item) for item in again] == [tuple, list, dict]
    assert [type(item) for item in again[2]["k"]] == [int, float, bool]


def test_nan_comes_back(tmp_path):
    assert math.isnan(round_trip(math.nan, tmp_path))
    assert math.isnan(round_trip({"a": (math.nan,)}, tmp_path)["a"][0])


@pytest.mark.parametrize(
    "value",
    [
        np.int64(3),
        np.uint8(200),
        np.float32(0.1),
        np.float64(0.1),
        np.float16("nan"),
        np.bool_(True),
        np.str_("cut"),
    ],
    ids=repr,
)
def test_numpy_scalars_come_back_as_scalars(value, tmp_path):
    again = round_trip(value, tmp_path)
    assert np.ndim(again) == 0 and not isinstance(again, np.ndarray)
    assert_array_equal(again, value)


@pytest.mark.parametrize("value", [np.array(3), np.array(0.5), np.array("cut")])
def test_arrays_without_axes_keep_their_shape(value, tmp_path):
    again = round_trip(value, tmp_path)
    assert again.shape == ()
    assert_array_equal(again, value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(12.0)[::-2],
        np.array([np.nan, np.inf, -0.0], dtype=np.float16),
        np.arange(3, dtype=">f4"),
        np.array([True, False]),
        np.empty((0, 4), dtype=np.float32),
        np.arange(3, dtype=np.uint8),
        np.array(["cut onion", "", "\u00e9"]),
        np.array([["a"], ["bcd"]]),
        np.array([], dtype="<U3"),
        np.array(["a", 3, None, 0.5, True], dtype=object),
        np.array([["a", 1], [None, 2]], dtype=object),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back(array, tmp_path):
    again = round_trip(array, tmp_path)
    assert_array_equal(again, array)
    assert again.shape == array.shape
    assert again.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")


def test_object_array_of_pairs_comes_back(tmp_path):
    pairs = np.empty(2, dtype=object)
    pairs[:] = [("cut", "onion"), ("wash", "pan")]
    again = round_trip(pairs, tmp_path)
    assert again.tolist() == pairs.tolist()
    assert again.shape == (2,)


def test_nested_estimators_come_back(tmp_path):
    value = {"networks": [MLP((3, 2), dropout=0.5), LSTM(4)], "prior": UniformPrior()}
    again = round_trip(value, tmp_path)
    assert repr(again) == repr(value)
    assert again["networks"][0].get_params() == value["networks"][0].get_params()


@pytest.mark.parametrize("value", [{1, 2}, len, object(), 1j, b"x"])
def test_value_that_needs_code_is_named_with_its_place(value, tmp_path):
    message = r"Holder.value.key.1 holds a .*, which a file without code cannot hold"
    with pytest.raises(TypeError, match=message):
        round_trip({"key": (0, value)}, tmp_path)
    assert os.listdir(tmp_path) == []


# -------------------------------------------------------------------- anticipators


@pytest.mark.parametrize(
    "options",
    [
        {"network": MLP(5)},
        {"network": MLP((5, 3), dropout=0.2), "dtype": "float64"},
        {"early_stopping": True, "validation_fraction": 0.5},
        {"class_weight": {0: 2.0, 1: 1}, "classes": [0, 1, 2, 7]},
        {"prior": UniformPrior(), "smoothing": 0.3},
        {"lr": np.float64(0.01), "n_threads": np.int64(1), "tol": np.float32(0.5)},
    ],
    ids=lambda options: "-".join(options),
)
def test_saved_anticipator_predicts_the_same_bits(options, tmp_path):
    model, X = fitted(**options)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.history_ == model.history_
    assert again.get_params().keys() == model.get_params().keys()
    again.fit(X, [0, 1, 0, 1, 2, 2])


@pytest.mark.parametrize(
    "y",
    [
        ["cut onion", "wash pan", "cut onion", "wash pan", "cut pan", "cut pan"],
        np.array(["a", "b", "a", "b", "c", "c"], dtype=object),
        [3, 1, 3, 1, 2, -1],
        np.array([True, False] * 3),
    ],
    ids=["strings", "objects", "ints", "bools"],
)
def test_classes_of_any_type_come_back(y, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model, X = fitted(y)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.classes_.dtype == model.classes_.dtype
    assert again.predict(X).tolist() == model.predict(X).tolist()
    assert again.unlabeled_label_ == model.unlabeled_label_


@pytest.mark.parametrize("prior", [VerbNounPrior(), TransitionPrior()], ids=repr)
def test_fitted_priors_come_back(prior, tmp_path):
    y = np.array(["cut onion", "wash pan", "cut pan"] * 2)
    X = np.random.default_rng(0).normal(size=(6, 4))
    model = SmoothedAnticipator(prior=prior, max_epochs=1).fit(X, y, y_past=y[::-1])
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors").prior_
    assert_array_equal(again.matrix_, model.prior_.matrix_)
    assert_array_equal(again.rows(y, y), model.prior_.rows(y, y))


def test_saved_sequence_model_answers_at_the_same_stages(tmp_path):
    X = np.random.default_rng(0).normal(size=(6, 5, 4))
    X[0, :2] = np.nan
    spec = LSTM(5, anticipation_steps=3, anticipation_time=0.5)
    model = SmoothedAnticipator(spec, max_epochs=1).fit(X, [0, 1, 0, 1, 2, 2])
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    for ours, theirs in zip(
        again.staged_predict_proba(X), model.staged_predict_proba(X), strict=True
    ):
        assert_array_equal(ours, theirs)
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_device_that_is_an_object_can_be_saved(tmp_path):
    model, X = fitted(device=torch.device("cpu"))
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_predict_the_same_bits(copied):
    model, X = fitted()
    assert_array_equal(copied(model).predict_proba(X), model.predict_proba(X))


def test_pickle_holds_no_torch_storage():
    assert b"torch" not in pickle.dumps(fitted()[0])


def test_state_that_cannot_be_written_loads_without_a_warning():
    model, X = fitted()
    given = model.__getstate__()
    for array in given["_weights"].values():
        array.flags.writeable = False  # as joblib maps large arrays for its workers
    again = SmoothedAnticipator.__new__(SmoothedAnticipator)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.__setstate__(given)
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


# -------------------------------------------------------------------------- files


def test_class_that_is_not_trusted_is_refused_with_words(tmp_path):
    path = tmp_path / "state.safetensors"
    state.write(path, MLP(Holder(3)))
    message = r"object of .*test_state:Holder, .* know it: load\(path, trusted="
    with pytest.raises(ValueError, match=message):
        load(path)
    assert state.read(path, trusted=[Holder]).hidden_size.value == 3


def test_class_of_scikit_learn_that_is_not_known_has_to_be_trusted(tmp_path):
    path = tmp_path / "state.safetensors"
    state.write(path, Binarizer(threshold=2.0).fit([[1.0], [3.0]]))
    with pytest.raises(ValueError, match="Binarizer, which is not part of"):
        state.read(path)
    assert state.read(path, trusted=[Binarizer]).threshold == 2


def forged(path, name, inside=()):
    """A file that says of itself what ours say."""
    write_tensors(path, {}, {"class": name, "state": {"dict": list(inside)}})
    return path


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "this:s",
        "antigravity:BaseEstimator",
        "sklearn.base:BaseEstimator",
        "skanticipate:load",
        "skanticipate.estimator.state:json",
        "skanticipate.estimator.base:torch",
        "skanticipate_evil:Estimator",
        "skanticipate",
        "",
        ":",
    ],
)
def test_name_of_a_foreign_thing_is_refused_and_not_imported(name, tmp_path):
    before = set(sys.modules)
    with pytest.raises(ValueError, match="not part of skanticipate"):
        load(forged(tmp_path / "evil.safetensors", name))
    assert set(sys.modules) == before


def test_class_of_a_later_version_is_refused_with_words(tmp_path):
    path = forged(tmp_path / "new.safetensors", "skanticipate.networks.later:Later")
    with pytest.raises(ValueError, match="skanticipate.networks.later:Later"):
        load(path)


def test_foreign_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": np.ones(3)}, path)
    with pytest.raises(ValueError, match="its format is None, expected 'skanticipate"):
        load(path)
    save_file({"weight": np.ones(3)}, path, {"format": "pt"})
    with pytest.raises(ValueError, match="its format is 'pt'"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps([1]), b"\xff" * 100])
def test_file_that_is_no_safetensors_file_is_refused(content, tmp_path):
    path = tmp_path / "junk.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no readable safetensors file"):
        load(path)


def test_file_that_was_cut_short_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    fitted()[0].save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"damaged: it holds .* bytes of numbers"):
        load(path)


def test_file_that_is_missing_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_writing_that_fails_leaves_the_old_file(failing, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    model, X = fitted()
    model.save(path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(f"os.{failing}", fail)
    with pytest.raises(OSError, match="no space left"):
        fitted(max_epochs=1)[0].save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "model.safetensors"
    fitted()[0].save(path)
    model, X = fitted(max_epochs=3)
    model.save(str(path))
    assert_array_equal(load(str(path)).predict_proba(X), model.predict_proba(X))
    assert os.listdir(tmp_path) == ["model.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_file_gets_the_usual_permissions(tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    fitted()[0].save(tmp_path / "model.safetensors")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes["model.safetensors"] == modes["usual"]


def test_file_holds_weights_as_tensors_and_no_pickle(tmp_path):
    path = tmp_path / "model.safetensors"
    model, _ = fitted()
    model.save(path)
    with safe_open(path, framework="numpy") as file:
        arrays = [file.get_tensor(name) for name in file.keys()]
        described = json.loads(file.metadata()["description"])
    assert described["class"] == "skanticipate:SmoothedAnticipator"
    for weight in model.network_.state_dict().values():
        assert any(
            a.shape == weight.shape and (a == weight.numpy()).all() for a in arrays
        )


def test_unfitted_anticipator_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        SmoothedAnticipator().save(tmp_path / "model.safetensors")
    assert os.listdir(tmp_path) == []


def test_many_word_vectors_are_one_matrix(tmp_path):
    vectors = {f"word{k}": np.full(2, k, dtype=np.float32) for k in range(200_000)}
    path = tmp_path / "vectors.safetensors"
    state.write(path, VerbNounPrior({"vectors": vectors}))
    again = state.read(path).actions["vectors"]
    assert list(again) == list(vectors)
    assert again["word199999"].tolist() == [199999, 199999]
