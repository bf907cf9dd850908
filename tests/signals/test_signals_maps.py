import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from toy_teachers import CLIPS, ROWS, Answering, Y

from skanticipate import MLP, RecognitionTeacher
from skanticipate.signals.asking import split_transforms
from skanticipate.signals.maps import compute_maps, has_map


@pytest.mark.parametrize(
    "frozen", [False, True], ids=["fitted by the student", "frozen"]
)
def test_maps_are_found_behind_the_steps_of_a_pipeline(frozen):
    teacher = RecognitionTeacher(MLP(5), max_epochs=1, random_state=0)
    scaler = StandardScaler().fit(CLIPS)
    scaled = scaler.transform(CLIPS)
    expected = teacher.fit(scaler.transform(scaled), Y).feature_map(
        scaler.transform(scaled)
    )
    # the second scaler finds scaled clips, so it is made to do as the first
    again = FunctionTransformer(scaler.transform)
    pipe = Pipeline(
        [
            ("scale", scaler),
            ("rest", Pipeline([("scale", again), ("t", clone(teacher))])),
        ]
    )
    pipe.fit(CLIPS, Y)
    found = FrozenEstimator(pipe) if frozen else pipe
    assert has_map(found)
    assert_allclose(np.asarray(compute_maps(found, ROWS)), expected, rtol=1e-6)
    transforms, last = split_transforms(found)
    assert len(transforms.steps) == 2
    assert isinstance(last, RecognitionTeacher)


def test_who_has_no_map():
    for teacher in (LogisticRegression(), make_pipeline(StandardScaler(), Answering())):
        assert not has_map(teacher.fit(CLIPS, Y))


class Mapping(Answering):
    """Its map is a function of the clip; wrong shapes on demand."""

    def feature_map(self, X):
        X = np.asarray(X)
        return X[:, None] if self.answers is None else np.zeros(self.answers)


def test_maps_are_computed_in_order_over_batches(monkeypatch):
    monkeypatch.setattr("skanticipate.signals.maps.prediction_batch", lambda rows: 2)
    maps = compute_maps(Mapping().fit(CLIPS, Y), ROWS)
    assert_array_equal(np.asarray(maps), CLIPS[:, None])


@pytest.mark.parametrize(("batch", "sizes"), [(10, [40]), (9, [9, 9, 9, 9, 4])])
def test_few_clips_are_asked_about_at_once(batch, sizes, monkeypatch):
    name = "skanticipate.signals.maps.prediction_batch"
    monkeypatch.setattr(name, lambda rows: batch)
    teacher, asked = Mapping().fit(CLIPS, Y), []
    original = teacher.feature_map
    teacher.feature_map = lambda X: asked.append(len(X)) or original(X)
    compute_maps(teacher, ROWS)
    assert asked == sizes


@pytest.mark.parametrize("shape", [(40, 3), (39, 1, 3), (40, 2, 2, 3)])
def test_maps_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"must give \(n, N, d\) for n clips, got"):
        compute_maps(Mapping(shape).fit(CLIPS, Y), ROWS)
