"""Numbers that a mask hides are refused, wherever they are given."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    MLP,
    ArrayPrior,
    DistilledAnticipator,
    HistoryTeacher,
    HistoryText,
    LastAxisSlice,
    LateFusion,
    PerFrame,
    RecognitionTeacher,
    RowView,
    SmoothedAnticipator,
    TeacherEnsemble,
    pad_clips,
)
from skanticipate.data.missing import missing_mask
from skanticipate.datasets import write_submission
from skanticipate.metrics import marginalize, top_k_accuracy

X = np.random.default_rng(0).normal(size=(12, 3, 2))
Y = np.repeat([0, 1, 2], 4)
PROBA = np.full((12, 3), 1 / 3)
MODEL = {"max_epochs": 1, "random_state": 0}

TEACHER = RecognitionTeacher(MLP(2), **MODEL)


def masked(values, hide=True):
    """Mask of nothing, or of the last number."""
    mask = np.zeros(np.shape(values), dtype=bool)
    mask.flat[-1] = hide
    return np.ma.array(values, mask=mask)


def fit(X_past=X, **signals):
    return DistilledAnticipator(MLP(2), **MODEL).fit(X_past, Y, X, **signals)


def fit_with_answers(proba):
    model = DistilledAnticipator(MLP(2), classes=[0, 1, 2], teacher_weight=1.0, **MODEL)
    return model.fit(X, Y, teacher_proba=proba)


def fuse(weights):
    members = [(name, SmoothedAnticipator(MLP(2), **MODEL), (0, 1)) for name in "ab"]
    return LateFusion(members, weights=weights).fit(X, Y)


def submit(tmp_path, verb):
    levels = {"sls_pt": 0, "sls_tl": 0, "sls_td": 0}
    write_submission(
        tmp_path / "test.json", ["s"], verb=verb, noun=np.zeros((1, 300)), **levels
    )


CALLS = {
    "X_past": (X, fit),
    "X_future_unlabeled": (X, lambda x: DistilledAnticipator(MLP(2)).fit(X, Y, x)),
    "X_val": (X, lambda x: fit(X + 1, X_val=x, y_val=Y)),
    "X_past in 2-D": (X[:, 0], lambda x: SmoothedAnticipator(MLP(2)).fit(x, Y)),
    "teacher_proba": (PROBA, fit_with_answers),
    "sample_weight": (np.ones(12), lambda w: fit(sample_weight=w)),
    "base": (X, RowView),
    "clips[11]": (X, pad_clips),
    "X of PerFrame": (X, PerFrame(StandardScaler()).fit),
    "X of LastAxisSlice": (X, LastAxisSlice(0, 1).fit),
    "y_score": (PROBA, lambda s: top_k_accuracy(Y, s, k=1)),
    "proba": (PROBA, lambda p: marginalize(p, ["a b", "a c", "d b"])),
    "X of TeacherEnsemble": (X, lambda x: TeacherEnsemble([TEACHER]).fit(x, Y)),
    "weights": (np.ones(2), fuse),
    "The prior matrix": (np.eye(3), lambda m: ArrayPrior(m, [0, 1, 2]).fit([0, 1, 2])),
}


@pytest.mark.parametrize("name", CALLS)
def test_hidden_numbers_are_refused(name):
    values, call = CALLS[name]
    whose = name.partition(" of ")[0].partition(" in ")[0]
    whose = whose.replace("[", r"\[")
    with pytest.raises(
        ValueError, match=f"{whose} is a masked array .* 1 of "
    ) as error:
        call(masked(values))
    assert str(error.value).endswith(".") and "expected" in str(error.value)


@pytest.mark.parametrize("name", CALLS)
def test_a_mask_that_hides_nothing_is_no_matter(name):
    values, call = CALLS[name]
    call(masked(values, hide=False))


def test_masks_in_a_list_are_seen():
    clips = [*X[:-1], masked(X[-1])]
    for call in (fit, pad_clips, PerFrame(StandardScaler()).fit):
        with pytest.raises(ValueError, match="is a masked array that hides 1 of 6"):
            call(clips)


def test_the_remedy_leaves_hidden_steps_out():
    mask = np.zeros(X.shape, dtype=bool)
    mask[:3, 0] = True  # the first step of three clips
    hidden = np.ma.array(X, mask=mask)
    with pytest.raises(ValueError, match=r"hides 6 of 72 values.*\.filled\(np.nan\)"):
        PerFrame(StandardScaler()).fit(hidden)
    scaler = PerFrame(StandardScaler()).fit(hidden.filled(np.nan)).transformer_
    assert_array_equal(scaler.mean_, X.reshape(-1, 2)[~mask[:, :, 0].ravel()].mean(0))


def test_scores_of_a_submission_must_be_shown(tmp_path):
    with pytest.raises(ValueError, match="The scores of verb is a masked array"):
        submit(tmp_path, masked(np.zeros((1, 97))))
    submit(tmp_path, masked(np.zeros((1, 97)), hide=False))


def test_counts_of_a_byte_are_summed_as_wide_numbers():
    counts = np.array([[200, 100, 3]], dtype=np.uint8)
    with pytest.raises(ValueError, match="probabilities: .* Row 0 sums to 303"):
        marginalize(counts, ["a b", "a c", "d b"])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_row_numbers_of_a_byte_reach_all_rows(dtype, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(300.0)[:, None])
    rows = np.array([0, 100], dtype=dtype)
    view = RowView(np.load(tmp_path / "x.npy", mmap_mode="r"), rows=rows)
    assert np.asarray(view).ravel().tolist() == [0, 100]


def test_hidden_labels_of_an_ensemble_are_missing():
    histories = np.tile([[1, 2], [2, 1], [0, 1]], (4, 1))
    hidden = np.ma.array(histories, mask=histories == 0)
    missing = np.where(histories == 0, None, histories)
    ensemble = TeacherEnsemble([HistoryTeacher()], random_state=0).fit(missing, Y)
    expected = ensemble.predict_proba(missing)
    assert_array_equal(ensemble.predict_proba(hidden), expected)
    assert_array_equal(ensemble.fit(hidden, Y).predict_proba(hidden), expected)


def test_a_list_of_masked_rows_is_read_as_the_masked_table():
    table = np.ma.array([["cut leek", "wash pan"]] * 3, mask=[[1, 0], [0, 1], [0, 0]])
    wanted = [["", "wash <v> pan"], ["cut <v> leek", ""]]
    rows = list(table)
    assert_array_equal(missing_mask(rows), table.mask)
    found = HistoryText().fit(rows).transform(rows).tolist()
    assert found == [wanted[0][1], wanted[1][0], "cut <v> leek <a> wash <v> pan"]
    assert found == HistoryText().fit(table).transform(table).tolist()


def test_masks_in_lists_of_lists_are_refused():
    hidden = np.ma.array([1.0, 1e3], mask=[False, True])
    X = [[hidden, hidden], [hidden, hidden]]  # (2, 2, 2)
    with pytest.raises(ValueError, match="masked array that hides 4 of 8"):
        SmoothedAnticipator(MLP(2), max_epochs=1).fit(X, [0, 1])
