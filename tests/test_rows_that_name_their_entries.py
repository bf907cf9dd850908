"""Lists of rows of pandas, which name their entries: they are read by their place."""

from contextlib import nullcontext

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skanticipate import (
    LSTM,
    MLP,
    AVTHead,
    DistilledAnticipator,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    SmoothedAnticipator,
    TeacherEnsemble,
    pad_clips,
)
from skanticipate.data.axes import has_columns
from skanticipate.data.names import column_names
from skanticipate.metrics import top_k_accuracy

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
Y = np.arange(24) % 3
TABLE = pd.DataFrame(RNG.normal(size=(24, 4)), columns=list("abcd"))
SCORES = pd.DataFrame(np.eye(3), columns=["cut", "peel", "wash"])
PROBA = pd.DataFrame(RNG.dirichlet(np.ones(3), 24), columns=["cut", "peel", "wash"])
REFUSED = "have the names that are expected in another order"


def series(table):
    return [row for _, row in table.iterrows()]


def tuples(table):
    return list(table.itertuples(index=False))


def turned(table):
    return table[table.columns[::-1]]


def student(**params):
    return SmoothedAnticipator(MLP(4), max_epochs=2, random_state=0, **params)


@pytest.mark.parametrize("rows", [series, tuples])
@pytest.mark.filterwarnings("ignore:X .* feature names:UserWarning")
def test_features_come_in_the_order_of_fit(rows):
    expected = student().fit(TABLE.to_numpy(), Y).predict_proba(TABLE.to_numpy())
    for model in (student().fit(rows(TABLE), Y), student().fit(TABLE, Y)):
        assert_array_equal(model.predict_proba(rows(TABLE)), expected)
        with pytest.raises(ValueError, match=REFUSED):
            model.predict_proba(rows(turned(TABLE)))
    with pytest.raises(ValueError, match=r"entries of row 12.*in another order"):
        student().fit(rows(TABLE[:12]) + rows(turned(TABLE[12:])), Y)


@pytest.mark.parametrize("rows", [series, tuples])
def test_scores_are_those_of_their_labels(rows):
    classes = list(SCORES)
    assert top_k_accuracy(classes, rows(SCORES), k=1, classes=classes) == 1
    with pytest.raises(ValueError, match=REFUSED):
        top_k_accuracy(classes, rows(turned(SCORES)), k=1, classes=classes)


def test_answers_and_priors_are_those_of_their_labels():
    y = np.array(list(PROBA), dtype=object)[Y]
    partly = np.where(np.arange(24) % 2, y, -1)
    model = DistilledAnticipator(MLP(4), max_epochs=1, classes=list(PROBA))
    model.fit(TABLE.to_numpy(), partly, teacher_proba=series(PROBA))
    with pytest.raises(ValueError, match=REFUSED):
        model.fit(TABLE.to_numpy(), partly, teacher_proba=series(turned(PROBA)))
    matrix = series(turned(PROBA[:3]))
    with pytest.raises(ValueError, match=REFUSED):
        student(prior=matrix, classes=list(PROBA)).fit(TABLE.to_numpy(), y)


def test_rows_may_have_names_too():
    ids = [f"P01_{k}" for k in range(24)]
    rows = series(TABLE.set_axis(ids))
    student().fit(rows, pd.Series(Y, index=ids))
    with pytest.raises(ValueError, match=r"rows of y, next to X_past, have the names"):
        student().fit(rows, pd.Series(Y, index=ids[::-1]))


def test_other_names_say_nothing():
    own = [[f"{k}{name}" for name in TABLE] for k in range(24)]
    rows = [
        pd.Series(row, names) for row, names in zip(TABLE.to_numpy(), own, strict=True)
    ]
    expected = student().fit(TABLE.to_numpy(), Y).predict_proba(TABLE.to_numpy())
    assert_array_equal(student().fit(rows, Y).predict_proba(rows), expected)
    counted = tuples(TABLE.set_axis(["take pan", "cut", "a b", "d"], axis=1))
    assert counted[0]._fields == ("_0", "cut", "_2", "d")  # places, and no names
    assert top_k_accuracy([0] * 24, counted, k=3, classes=[5, 7, 9, 0]) < 1


ACTIONS = {k: (f"v{k % 3}", f"n{k % 2}") for k in range(3)}
PAST = pd.DataFrame(RNG.integers(0, 3, (24, 3)), columns=["third", "second", "last"])


@pytest.mark.filterwarnings("ignore:HistoryTeacher holds rows out:UserWarning")
def test_actions_of_the_past_come_in_one_order():
    mixed = series(PAST[:12]) + series(turned(PAST[12:]))
    with pytest.raises(ValueError, match=REFUSED):
        HistoryEncoder(ACTIONS).fit(mixed)
    teacher = HistoryTeacher(ACTIONS, n_networks=1, max_epochs=1, random_state=0)
    with pytest.raises(ValueError, match=REFUSED):
        TeacherEnsemble([teacher]).fit(mixed, Y)
    model = DistilledAnticipator(MLP(4), max_epochs=1, text_teacher=teacher)
    two = [PAST.iloc[[k, k - 1]] for k in range(24)]  # candidates, (n, 2, 3)
    model.fit(TABLE.to_numpy(), Y, past_actions=two)
    for histories in (mixed, [*two[:12], *map(turned, two[12:])]):
        with pytest.raises(ValueError, match=REFUSED):
            model.fit(TABLE.to_numpy(), Y, past_actions=histories)


# ------------------------------------------------------------------- lists of lists

CLIPS = RNG.normal(size=(24, 3, 4))  # (n, T, d)


def steps(clips, names="abcd"):
    """Clips as lists of Series, one a step."""
    places = ["abcd".index(name) for name in names]
    return [[pd.Series(step[places], list(names)) for step in clip] for clip in clips]


@pytest.mark.filterwarnings("ignore:X .* feature names:UserWarning")
def test_steps_in_lists_of_lists_name_their_features():
    def clip_student():
        return SmoothedAnticipator(LSTM(4), max_epochs=2, random_state=0)

    expected = clip_student().fit(CLIPS, Y).predict_proba(CLIPS)
    tables = [pd.DataFrame(clip, columns=list("abcd")) for clip in CLIPS]
    for known in (steps(CLIPS), tables):
        model = clip_student().fit(known, Y)
        assert_array_equal(model.predict_proba(steps(CLIPS)), expected)
        with pytest.raises(ValueError, match=REFUSED):
            model.predict_proba(steps(CLIPS, "dcba"))
    half = [*steps(CLIPS[:12]), *steps(CLIPS[12:], "dcba")]
    within = [
        [*steps(clips[None, :2])[0], *steps(clips[None, 2:], "dcba")[0]]
        for clips in CLIPS
    ]
    for mixed, row in (
        (half, "12, 0"),
        (within, "0, 2"),
        (tuple(map(tuple, half)), "12, 0"),
    ):
        with pytest.raises(ValueError, match=f"entries of row {row}, .*another order"):
            clip_student().fit(mixed, Y)


def history_student():
    teacher = HistoryTeacher(ACTIONS, n_networks=1, max_epochs=1, random_state=0)
    return DistilledAnticipator(
        MLP(4), max_epochs=1, text_teacher=teacher, random_state=0
    )


READERS = {
    "encoder": lambda past: HistoryEncoder(ACTIONS).fit(past).transform(past),
    "text": lambda past: HistoryText(ACTIONS).fit_transform(past),
    "teacher": lambda past: (
        HistoryTeacher(ACTIONS, n_networks=1, max_epochs=1, random_state=0)
        .fit(past, Y)
        .predict_proba(past)
    ),
    "ensemble": lambda past: (
        TeacherEnsemble(
            [HistoryTeacher(ACTIONS, n_networks=1, max_epochs=1)], random_state=0
        )
        .fit(past, Y)
        .predict_proba(past)
    ),
    "student": lambda past: (
        history_student()
        .fit(TABLE.to_numpy(), Y, past_actions=past)
        .predict_proba(TABLE.to_numpy())
    ),
}
READS = pytest.mark.filterwarnings("ignore:HistoryTeacher holds rows out:UserWarning")


@READS
@pytest.mark.parametrize("name", READERS)
def test_histories_are_in_the_order_of_their_own_steps(name):
    read, past = READERS[name], PAST.to_numpy()
    expected = read(past)
    rising = [
        pd.Series(row, [7 * k, 7 * k + 2, 7 * k + 3]) for k, row in enumerate(past)
    ]
    ago = PAST.set_axis([3, 2, 1], axis=1)  # how many actions ago
    assert_array_equal(read(rising), expected)
    for counted in (ago, series(ago)):  # or turned: nothing tells
        told = pytest.warns(UserWarning, match="counted how many steps ago")
        with nullcontext() if name == "ensemble" else told:
            assert_array_equal(read(counted), expected)
    falling = [row.sort_index(ascending=False) for row in rising]
    with pytest.raises(ValueError, match="index of .* does not rise"):
        read(falling)
    if name == "ensemble":  # whose whole numbers may be features
        return
    for bad in (ago[[3, 1, 2]], series(ago[[3, 1, 2]])):
        with pytest.raises(ValueError, match="do not rise"):
            read(bad)


LONG = RNG.integers(0, 3, (24, 12))
STEP_NAMES = {  # of twelve steps, in order
    "texts": [str(k) for k in range(12)],
    "names": [f"step_{k}" for k in range(12)],
    "before": [f"t-{12 - k}" for k in range(12)],
    "lags": [f"lag{12 - k}" for k in range(12)],
    "back lags": [f"{12 - k}_back" for k in range(12)],
    "minus lags": [f"t_minus_{12 - k}" for k in range(12)],
    "levels": [("past", k) for k in range(12)],
    "negative": list(range(-12, 0)),
}


@READS
@pytest.mark.parametrize("names", STEP_NAMES.values(), ids=STEP_NAMES)
def test_numbers_within_names_tell_the_order_of_steps(names):
    read = READERS["encoder"]
    columns = (
        names if isinstance(names[0], str | int) else pd.MultiIndex.from_tuples(names)
    )
    table = pd.DataFrame(LONG, columns=columns)
    assert_array_equal(read(table), read(LONG))
    sorted_as_texts = table[sorted(names, key=str)]
    bad = [sorted_as_texts, series(sorted_as_texts)]
    if any(word in str(names) for word in ("-", "lag", "back", "minus")):
        bad += [table[names[::-1]]]  # the latest first
    for turned_table in bad:
        with pytest.raises(ValueError, match="do not rise"):
            read(turned_table)


def test_names_that_hold_no_number_at_one_place_tell_nothing():
    for names in (["b2", "a1", "c3"], ["x", "c", "a"], ["f.jp2", "b.jp2", "c.jp2"]):
        assert_array_equal(
            READERS["encoder"](PAST.set_axis(names, axis=1)),
            READERS["encoder"](PAST.to_numpy()),
        )


def test_steps_named_by_files_are_not_sorted_as_texts():
    clips = RNG.normal(size=(24, 12, 4))
    tables = [pd.DataFrame(c, index=[f"img_{k}.jpg" for k in range(12)]) for c in clips]
    assert_array_equal(pad_clips(tables), clips)
    with pytest.raises(ValueError, match="does not rise from step to step"):
        pad_clips([table.sort_index() for table in tables])


@pytest.mark.parametrize(
    "names",
    [
        [f"P01-{k}" for k in range(12)],  # no minus
        [f"2020-01-{k:02d}" for k in range(1, 13)],
        [f"village_{k}" for k in range(12)],  # no lag
        list(pd.date_range("2020", periods=12, tz="UTC")),
        ["whole", ("a", 1), *"bcdefghijk"],
    ],
)
def test_names_of_frames_that_rise_are_taken(names):
    clips = RNG.normal(size=(24, 12, 4))
    index = pd.Index(names, dtype=object, tupleize_cols=False)
    assert_array_equal(pad_clips([pd.DataFrame(c, index=index) for c in clips]), clips)


class Polars:
    """As a Series of polars that holds no structs, whose fields are an error."""

    class struct:
        @property
        def fields(self):
            raise RuntimeError("invalid series dtype: expected `Struct`")

    struct = struct()

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def to_list(self):
        return list(self.values)


def test_a_column_without_fields_has_no_names():
    assert column_names(Polars([1, 2])) is None
    assert not has_columns(Polars([1, 2]))


def test_numbers_of_features_are_no_steps():
    rows = [pd.Series(row, index=[7, 2, 5, 1]) for row in CLIPS[:, 0]]
    model = SmoothedAnticipator(MLP(4), max_epochs=2, random_state=0)
    expected = model.fit(CLIPS[:, 0], Y).predict_proba(CLIPS[:, 0])
    assert_array_equal(model.fit(rows, Y).predict_proba(rows), expected)
    with pytest.raises(ValueError, match=REFUSED):
        model.predict_proba([row.sort_index() for row in rows])


@READS
def test_candidates_in_lists_of_lists_are_in_one_order():
    rows = series(PAST)
    other = series(turned(PAST))
    fit = history_student().fit
    fit(TABLE.to_numpy(), Y, past_actions=[[row, row] for row in rows])
    with pytest.raises(ValueError, match=REFUSED):
        fit(
            TABLE.to_numpy(),
            Y,
            past_actions=[[*two] for two in zip(rows, other, strict=True)],
        )
    ragged = [row[k % 2 :] for k, row in enumerate(rows)]
    with pytest.raises(ValueError, match="not all of one shape"):
        fit(TABLE.to_numpy(), Y, past_actions=ragged)


def test_labels_of_steps_rise_by_their_own_names():
    labels = pd.DataFrame(RNG.integers(0, 3, (24, 3)))
    model = SmoothedAnticipator(
        AVTHead(8, n_heads=2, past_weight=1.0), max_epochs=1, random_state=0
    )
    expected = model.fit(CLIPS, Y, y_past=labels.to_numpy()).predict_proba(CLIPS)
    late = labels.set_axis([-3.0, -2.0, -1.0], axis=1)
    for good in (labels, late, series(late), labels.set_axis(list("xyz"), axis=1)):
        assert_array_equal(
            model.fit(CLIPS, Y, y_past=good).predict_proba(CLIPS), expected
        )
    own = [row.set_axis([k + 9, k + 5, k]) for k, row in enumerate(series(labels))]
    for bad in (turned(late), late[[-3.0, -1.0, -2.0]], series(turned(late)), own):
        with pytest.raises(ValueError, match="of y_past.* not rise"):
            model.fit(CLIPS, Y, y_past=bad)
    texts = labels.set_axis(["1", "10", "2"], axis=1)  # as a file has them, sorted
    with pytest.raises(ValueError, match="of y_past.* not rise"):
        model.fit(CLIPS, Y, y_past=texts)
    with pytest.warns(UserWarning, match="y_past .* counted how many steps ago"):
        model.fit(CLIPS, Y, y_past=turned(labels))


def test_labels_of_other_steps_than_those_of_the_clips_are_refused():
    times = np.array([0.0, 0.5, 1.0])
    clips = [pd.DataFrame(clip, index=times) for clip in CLIPS]
    labels = pd.DataFrame(RNG.integers(0, 3, (24, 3)), columns=times)
    model = SmoothedAnticipator(
        AVTHead(8, n_heads=2, past_weight=1.0), max_epochs=1, random_state=0
    )
    model.fit(clips, Y, y_past=labels)
    model.fit(clips, Y, y_past=labels.set_axis(times + 100, axis=1))  # another clock
    with pytest.raises(ValueError, match=r"column 0 is 0\.5, step 0 is 0\.0"):
        model.fit(clips, Y, y_past=labels.set_axis(times + 0.5, axis=1))
