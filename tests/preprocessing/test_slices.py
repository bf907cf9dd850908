import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_transformer_get_feature_names_out

from skanticipate import LSTM, LastAxisSlice, RowView, SmoothedAnticipator
from skanticipate.datasets import make_kitchen

CLIPS = np.random.default_rng(0).normal(size=(7, 3, 6)).astype(np.float32)


def test_names_of_features_as_scikit_learn_checks_them_on_itself():
    check_transformer_get_feature_names_out("LastAxisSlice", LastAxisSlice())


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (2, None), (1, 5), (5, 6)])
@pytest.mark.parametrize("shape", [(42, 3), (7, 18), (7, 3, 6), (7, 3, 1, 6)])
def test_slice_is_that_of_numpy(start, stop, shape):
    X = CLIPS.reshape(shape)
    d = shape[-1]
    if (stop or d) > d or start >= d:
        with pytest.raises(ValueError, match="must lie within"):
            LastAxisSlice(start, stop).fit(X)
        return
    out = LastAxisSlice(start, stop).fit_transform(X)
    assert_array_equal(out, X[..., start:stop])
    assert out.dtype == np.float32


def test_padding_stays():
    X = CLIPS.copy()
    X[2, 0] = np.nan
    assert np.isnan(LastAxisSlice(1, 3).fit_transform(X)[2, 0]).all()


def test_memory_maps_are_not_read(tmp_path):
    np.save(tmp_path / "clips.npy", CLIPS)
    mapped = np.load(tmp_path / "clips.npy", mmap_mode="r")
    for source in (mapped, RowView(mapped), RowView(mapped, np.array([4, 1]))):
        out = LastAxisSlice(1, 4).fit_transform(source)
        assert isinstance(out, RowView)
        assert_array_equal(np.asarray(out), np.asarray(source)[..., 1:4])
        assert_array_equal(out.take([1]), np.asarray(source)[[1], :, 1:4])


def test_other_channels_are_refused():
    model = LastAxisSlice(0, 2).fit(CLIPS)
    with pytest.raises(ValueError, match=r"5 channels.*fitted on 6"):
        model.transform(CLIPS[..., :5])
    with pytest.raises(ValueError, match="start before stop"):
        LastAxisSlice(3, 3).fit(CLIPS)


def test_names_are_those_of_the_kept_columns():
    names = LastAxisSlice(1, 3).fit(np.zeros((2, 4))).get_feature_names_out()
    assert names.tolist() == ["x1", "x2"]


def test_late_fusion_survives_cross_validation():
    kitchen = make_kitchen(20, n_steps=4, random_state=0)
    branch = SmoothedAnticipator(
        LSTM(8), classes=list(kitchen.actions), max_epochs=2, random_state=0
    )
    parts = [(0, 10), (10, None)]
    fusion = VotingClassifier(
        [
            (str(k), make_pipeline(LastAxisSlice(*part), branch))
            for k, part in enumerate(parts)
        ],
        voting="soft",
    ).fit(kitchen.X_past, kitchen.y)
    alone = [
        branch.fit(kitchen.X_past[..., slice(*part)], kitchen.y).predict_proba(
            kitchen.X_past[..., slice(*part)]
        )
        for part in parts
    ]
    assert_array_equal(fusion.predict_proba(kitchen.X_past), np.mean(alone, axis=0))
    branch.set_params(classes=None)
    assert np.isfinite(cross_val_score(fusion, kitchen.X_past, kitchen.y % 4)).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"start": 4, "stop": 2}, "start"),
        ({"stop": 99}, "stop"),
        ({"start": "x"}, "The 'start' parameter of LastAxisSlice"),
    ],
)
def test_channels_that_are_none_are_refused_after_fit_too(changed, message):
    clips = np.arange(30.0).reshape(5, 6)
    kept = LastAxisSlice(1, 3).fit(clips)
    with pytest.raises(ValueError, match=message):
        kept.set_params(**changed).transform(clips)
    kept.set_params(start=2, stop=5)
    assert_array_equal(kept.transform(clips), clips[:, 2:5])
