"""Tables whose columns are those that are expected, in another order, are refused."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skanticipate import (
    LSTM,
    MLP,
    AVTHead,
    DistilledAnticipator,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    LateFusion,
    SmoothedAnticipator,
    TeacherEnsemble,
    pad_clips,
)
from skanticipate.datasets import (
    FeatureTable,
    cut_pairs,
    first_fraction,
    trimmed_pairs,
    unlabeled_pairs,
    write_submission,
)
from skanticipate.metrics import marginalize, top_k_accuracy

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
Y = np.where(np.arange(30) < 20, np.arange(30) % 3, -1)
PAST = pd.DataFrame(RNG.normal(size=(30, 4)), columns=list("abcd"))
FUTURE = pd.DataFrame(RNG.normal(size=(30, 4)), columns=list("abcd"))
REVERSED = FUTURE[list("dcba")]


def student(**params):
    return DistilledAnticipator(MLP(4), max_epochs=2, random_state=0, **params)


@pytest.mark.parametrize("teacher", [None, LogisticRegression()], ids=["own", "other"])
def test_reversed_columns_of_futures_are_refused(teacher):
    with pytest.raises(ValueError, match="X_future_unlabeled have the names"):
        student(teacher=teacher).fit(PAST, Y, REVERSED)


def test_other_columns_of_futures_are_refused_for_the_own_network_only():
    other = FUTURE.rename(columns=str.upper)
    with pytest.raises(ValueError, match="feature names should match"):
        student().fit(PAST, Y, other)
    student(teacher=LogisticRegression()).fit(PAST, Y, other)


def test_a_frozen_teacher_knows_its_columns():
    labelled = Y >= 0
    teacher = LogisticRegression().fit(FUTURE[labelled].to_numpy(), Y[labelled])
    named = LogisticRegression().fit(FUTURE[labelled], Y[labelled])
    other = PAST.rename(columns=str.upper)
    student(teacher=FrozenEstimator(teacher)).fit(other, Y, FUTURE)
    with pytest.raises(ValueError, match="another order"):
        student(teacher=FrozenEstimator(named)).fit(other, Y, REVERSED)


def test_X_val_is_refused_likewise():
    with pytest.raises(ValueError, match="same order"):
        student().fit(PAST, Y, FUTURE, X_val=REVERSED, y_val=Y)


def test_columns_of_teacher_proba_are_labels():
    classes = ["cut", "pour", "wash"]
    y = np.array(classes)[np.abs(Y)]
    proba = pd.DataFrame(RNG.dirichlet([1, 1, 1], 30), columns=classes)
    model = student(classes=classes, teacher_weight=1.0)
    by_name = model.fit(PAST, y, teacher_proba=proba).predict_proba(PAST)
    plain = model.fit(PAST, y, teacher_proba=proba.to_numpy()).predict_proba(PAST)
    np.testing.assert_array_equal(by_name, plain)
    with pytest.raises(ValueError, match="teacher_proba have the names"):
        model.fit(PAST, y, teacher_proba=proba[classes[::-1]])


def test_rows_and_columns_of_a_prior_matrix_are_labels():
    classes = ["cut", "pour", "wash"]
    matrix = pd.DataFrame(RNG.dirichlet([1, 1, 1], 3), index=classes, columns=classes)

    def fit(prior):
        model = SmoothedAnticipator(MLP(4), prior=prior, classes=classes, max_epochs=1)
        return model.fit(PAST, np.array(classes)[np.abs(Y)])

    np.testing.assert_allclose(fit(matrix).prior_.matrix_, matrix, rtol=1e-6)
    for other in (matrix[classes[::-1]], matrix.loc[classes[::-1]]):
        with pytest.raises(ValueError, match="prior matrix have the names"):
            fit(other)


HISTORY = pd.DataFrame({"last but one": ["cut pan"] * 4, "last": ["wash pan"] * 4})


@pytest.mark.parametrize(
    "reader",
    [
        lambda: HistoryEncoder().fit(HISTORY).transform,
        lambda: (
            HistoryTeacher(n_networks=1, max_epochs=1)
            .fit(HISTORY, ["cut pan", "wash pan"] * 2)
            .predict_proba
        ),
    ],
    ids=["HistoryEncoder", "HistoryTeacher"],
)
def test_columns_of_histories_come_in_the_order_of_fit(reader):
    read = reader()
    as_arrays = read(HISTORY.to_numpy())
    np.testing.assert_array_equal(read(HISTORY), as_arrays)
    with pytest.raises(ValueError, match="past_actions have the names"):
        read(HISTORY[["last", "last but one"]])
    assert len(read(HISTORY[["last"]])) == 4  # histories may be shorter


def test_names_that_were_read_from_a_file_are_strings():
    proba = pd.DataFrame(RNG.dirichlet([1, 1, 1], 30), columns=["2", "0", "1"])
    with pytest.raises(ValueError, match="teacher_proba have the names"):
        student(classes=[0, 1, 2]).fit(PAST, Y, teacher_proba=proba)


SCORES = pd.DataFrame([[0.7, 0.2, 0.1]] * 4, columns=["cut pan", "cut pot", "wash pan"])


@pytest.mark.parametrize(
    "read",
    [
        lambda scores: top_k_accuracy(
            ["cut pan"] * 4, scores, k=1, classes=list(SCORES.columns)
        ),
        lambda scores: marginalize(scores, list(SCORES.columns)).verb_proba,
    ],
    ids=["top_k_accuracy", "marginalize"],
)
def test_scores_name_their_classes(read):
    np.testing.assert_array_equal(read(SCORES), read(SCORES.to_numpy()))
    with pytest.raises(ValueError, match="have the names that are expected in another"):
        read(SCORES[["wash pan", "cut pan", "cut pot"]])


LEVELS = {"sls_pt": 2, "sls_tl": 3, "sls_td": 3}


def test_a_submission_is_not_written_from_shuffled_columns(tmp_path):
    verb, noun = np.eye(97)[:2], np.eye(300)[:2]
    shuffled = pd.DataFrame(verb)[list(range(96, -1, -1))]
    path = tmp_path / "test.json"
    with pytest.raises(ValueError, match="verb have the names"):
        write_submission(path, ["P01_1", "P01_2"], verb=shuffled, noun=noun, **LEVELS)
    assert not path.exists()


@pytest.mark.parametrize("dtype", [int, float, object])
def test_an_ensemble_reads_tables_in_the_order_of_fit(dtype):
    table = pd.DataFrame(RNG.integers(0, 9, (30, 3)), columns=list("abc")).astype(dtype)
    ensemble = TeacherEnsemble([GaussianNB()]).fit(table, np.arange(30) % 2)
    assert ensemble.predict_proba(table).shape == (30, 2)
    with pytest.raises(ValueError, match=r"another order|same order"):
        ensemble.predict_proba(table[list("cba")])


# ------------------------------------------------- teachers that were fitted before


def frozen(teacher, columns=FUTURE.columns):
    return FrozenEstimator(teacher.fit(FUTURE[columns][Y >= 0], Y[Y >= 0]))


NAMELESS = pytest.mark.filterwarnings("ignore:X does not have valid feature names")


@NAMELESS
@pytest.mark.parametrize(
    "teacher",
    [
        lambda: TeacherEnsemble([frozen(GaussianNB()), frozen(LogisticRegression())]),
        lambda: frozen(TeacherEnsemble([GaussianNB()])),
        lambda: frozen(make_pipeline(StandardScaler(), GaussianNB())),
        lambda: make_pipeline(
            frozen(StandardScaler()), LogisticRegression(random_state=0)
        ),
        lambda: frozen(GridSearchCV(GaussianNB(), {}, cv=2)),
        lambda: VotingClassifier([("a", frozen(GaussianNB()))], voting="soft"),
    ],
    ids=["in an ensemble", "ensemble", "pipeline", "first step", "search", "voting"],
)
def test_frozen_parts_know_their_columns(teacher):
    past = PAST.rename(columns=str.upper)
    student(teacher=teacher()).fit(past, Y, FUTURE)
    with pytest.raises(ValueError, match="X_future_unlabeled have the names"):
        student(teacher=teacher()).fit(past, Y, REVERSED)


@NAMELESS
def test_a_later_step_names_what_a_step_before_it_gives():
    later = LogisticRegression().fit(REVERSED[Y >= 0], Y[Y >= 0])
    teacher = make_pipeline(StandardScaler(), FrozenEstimator(later))
    student(teacher=teacher).fit(PAST.rename(columns=str.upper), Y, FUTURE)


STEPS = pd.DataFrame(
    {"last but one": ["cut pan", "wash cup"] * 6, "last": ["wash pan", "dry cup"] * 6}
)
NEXT = np.array(["dry pan", "cut cup"] * 6)


@pytest.mark.parametrize(
    "reader",
    [
        lambda: HistoryTeacher(n_networks=1, max_epochs=1),
        lambda: make_pipeline(HistoryText(), CountVectorizer(), LogisticRegression()),
        lambda: GridSearchCV(
            make_pipeline(HistoryText(), CountVectorizer(), LogisticRegression()),
            {},
            cv=2,
        ),
        lambda: TeacherEnsemble([HistoryTeacher(n_networks=1, max_epochs=1)]),
    ],
    ids=["HistoryTeacher", "Pipeline", "search", "ensemble"],
)
def test_a_frozen_text_teacher_knows_its_columns(reader):
    teacher = FrozenEstimator(reader().fit(STEPS, NEXT))
    model = DistilledAnticipator(
        MLP(4), text_teacher=teacher, max_epochs=1, random_state=0
    )
    model.fit(np.eye(12), NEXT, past_actions=STEPS)
    with pytest.raises(ValueError, match="past_actions have the names"):
        model.fit(np.eye(12), NEXT, past_actions=STEPS[["last", "last but one"]])


def test_texts_are_written_from_columns_in_the_order_of_fit():
    writer = HistoryText().fit(STEPS)
    assert writer.transform(STEPS)[0] == "cut <v> pan <a> wash <v> pan"
    with pytest.raises(ValueError, match="past_actions have the names"):
        writer.transform(STEPS[["last", "last but one"]])
    pipeline = make_pipeline(HistoryText(), CountVectorizer(), LogisticRegression())
    with pytest.raises(ValueError, match="past_actions have the names"):
        pipeline.fit(STEPS, NEXT).predict(STEPS[["last", "last but one"]])


def test_lists_of_tables_name_their_columns_in_one_order():
    rng = np.random.default_rng(0)
    tables = [pd.DataFrame(rng.normal(size=(3, 2)), columns=["a", "b"]) for _ in "wxyz"]
    other = [*tables[:3], tables[3][["b", "a"]]]
    with pytest.raises(ValueError, match=r"columns of X_past\[3\] have the names"):
        SmoothedAnticipator(LSTM(2), max_epochs=1).fit(other, [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"columns of clips\[3\] have the names"):
        pad_clips(other)
    assert_allclose(pad_clips(tables), np.stack([t.to_numpy() for t in tables]))


def test_a_submission_has_rows_in_the_order_of_its_ids(tmp_path):
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(97), size=2))
    nouns = np.log(np.random.default_rng(1).dirichlet(np.ones(300), size=2))
    table = pd.DataFrame(scores, index=["P01_11_1", "P01_11_0"])
    options = {"sls_pt": 0, "sls_tl": 3, "sls_td": 3, "noun": nouns}
    ids = ["P01_11_0", "P01_11_1"]
    with pytest.raises(ValueError, match="Row 0 of verb is named 'P01_11_1'"):
        write_submission(tmp_path / "a.json", ids, verb=table, **options)
    write_submission(tmp_path / "a.json", ids, verb=table.loc[ids], **options)
    write_submission(tmp_path / "a.json", ids, verb=pd.DataFrame(scores), **options)
    with pytest.raises(ValueError, match="Row 1 of verb is named 'P01_11_2'"):
        others = pd.DataFrame(scores, index=["P01_11_0", "P01_11_2"])
        write_submission(tmp_path / "a.json", ids, verb=others, **options)
    with pytest.raises(ValueError, match="Column 0 of verb is named 1, .* score of 0"):
        late = pd.DataFrame(scores, columns=range(1, 98))
        write_submission(tmp_path / "a.json", ids, verb=late, **options)


def test_features_of_all_videos_have_the_same_columns():
    segments = {
        "video": ["a", "a", "b"],
        "start_frame": [100, 400, 50],
        "stop_frame": [160, 450, 90],
        "action": [7, 8, 7],
    }
    pairs = unlabeled_pairs(segments, 9, clip_duration=1.0, fps=30, random_state=0)
    arrays = {name: RNG.normal(size=(440, 2)) for name in "ab"}
    tables = {n: pd.DataFrame(f, columns=["x", "y"]) for n, f in arrays.items()}
    cut = cut_pairs(pairs, tables, feature_rate=30, fps=30)
    expected = cut_pairs(pairs, arrays, feature_rate=30, fps=30)
    np.testing.assert_array_equal(cut.X_past, expected.X_past)
    for other, message in [
        (tables["b"][["y", "x"]], r"columns of features\['b'\] have the names"),
        (tables["b"].set_axis(["x", "z"], axis=1), r"features\['b'\] are named"),
    ]:
        with pytest.raises(ValueError, match=message):
            cut_pairs(pairs, tables | {"b": other}, feature_rate=30, fps=30)


def test_names_of_futures_behind_a_step_that_drops_those_of_the_past_are_told_of():
    names = [f"f{k}" for k in range(4)]
    rng = np.random.default_rng(0)
    past = pd.DataFrame(rng.normal(size=(30, 4)), columns=names)
    future = pd.DataFrame(rng.normal(size=(30, 4)), columns=names[::-1])
    model = DistilledAnticipator(MLP(4), max_epochs=1, random_state=0)
    pipeline = make_pipeline(StandardScaler(), model)
    with pytest.warns(UserWarning, match="X has feature names, but Distilled"):
        pipeline.fit(
            past, np.arange(30) % 3, distilledanticipator__X_future_unlabeled=future
        )


# ------------------------------------- past actions: the last column is the latest one

TIMES = ["t-3", "t-2", "t-1"]
LONG = pd.DataFrame([["cut pan", "wash pan", "dry cup"]] * 12, columns=TIMES)


NAMES_THAT_COUNT_BACK = """t-{} n-{} action_k-{} lag_{} tm{} y_tm{} tminus{} tMinus{}
    t_minus_{} t\N{MINUS SIGN}{} t\N{EN DASH}{} t0-{} i-{} -{}s -.{} prevAction{}
    actionLag{} action{}Ago last_{} neg{} shift{} offset-{}""".split()


@pytest.mark.parametrize("names", [*NAMES_THAT_COUNT_BACK, "t - {}", "{} steps ago"])
def test_columns_that_count_back_have_the_latest_last(names):
    columns = [names.format(k) for k in (3, 2, 1)]
    HistoryEncoder().fit(LONG.set_axis(columns, axis=1))
    with pytest.raises(ValueError, match="the latest last"):
        HistoryEncoder().fit(LONG.set_axis(columns[::-1], axis=1))


@pytest.mark.parametrize(
    "columns",
    [
        ["t-2", "t-1", "t"],
        ["t-2", "t-1", "t+0"],
        ["2 steps ago", "1 step ago", "0 steps ago"],
        ["prev3", "prev2", "prev"],
    ],
)
def test_the_step_of_now_is_after_those_that_count_back(columns):
    HistoryEncoder().fit(LONG.set_axis(columns, axis=1))
    with pytest.raises(ValueError, match="the latest last"):
        HistoryEncoder().fit(LONG.set_axis(columns[::-1], axis=1))


@pytest.mark.parametrize("names", ["step-{}", "village_{}", "P01-{}", "actions{}"])
def test_columns_that_count_on_rise(names):
    columns = [names.format(k) for k in (1, 2, 10)]
    HistoryEncoder().fit(LONG.set_axis(columns, axis=1))
    with pytest.warns(UserWarning, match="and fall: they are"):
        HistoryEncoder().fit(LONG.set_axis(columns[::-1], axis=1))


@pytest.mark.parametrize(
    "reader",
    [
        lambda table: HistoryEncoder().fit(table).transform,
        lambda table: HistoryText().fit(table).transform,
        lambda table: (
            HistoryTeacher(n_networks=1, max_epochs=1).fit(table, NEXT).predict_proba
        ),
        lambda table: (
            TeacherEnsemble([HistoryTeacher(n_networks=1, max_epochs=1)])
            .fit(table, NEXT)
            .predict_proba
        ),
    ],
    ids=["HistoryEncoder", "HistoryText", "HistoryTeacher", "TeacherEnsemble"],
)
def test_shorter_histories_keep_their_order_and_the_latest_action(reader):
    read = reader(LONG)
    for kept in (["t-1"], ["t-2", "t-1"], ["t-3", "t-1"]):
        np.testing.assert_array_equal(read(LONG[kept]), read(LONG[kept].to_numpy()))
    longer = LONG.assign(**{"t-4": "cut pan"})[["t-4", *TIMES]]
    np.testing.assert_array_equal(read(longer), read(longer.to_numpy()))
    for wrong in (["t-1", "t-2"], ["t-3", "t-2"], ["t-3"]):
        with pytest.raises(ValueError, match="the latest (action )?last"):
            read(LONG[wrong])
    for counted in (
        LONG[["t-1"]].set_axis([0], axis=1),
        LONG.set_axis(range(3), axis=1),
    ):
        assert len(read(counted)) == 12


def test_a_frozen_text_teacher_knows_which_action_is_the_latest():
    teacher = HistoryTeacher(n_networks=1, max_epochs=1).fit(LONG, NEXT)
    model = DistilledAnticipator(
        MLP(4), text_teacher=FrozenEstimator(teacher), max_epochs=1, random_state=0
    )
    model.fit(np.eye(12), NEXT, past_actions=LONG[["t-2", "t-1"]])
    for wrong in (["t-1", "t-2"], ["t-3", "t-2"]):
        with pytest.raises(ValueError, match="columns of past_actions .* latest"):
            model.fit(np.eye(12), NEXT, past_actions=LONG[wrong])


# ------------------------------------------------------- other columns, as many of them


def test_columns_that_are_named_by_other_numbers_are_refused():
    table = pd.DataFrame(RNG.normal(size=(30, 16)), columns=range(16))
    fitted = table[range(8, 16)]
    model = SmoothedAnticipator(MLP(4), max_epochs=1, random_state=0)
    model.fit(fitted, np.arange(30) % 3)
    expected = model.predict_proba(fitted.to_numpy())
    np.testing.assert_array_equal(model.predict_proba(fitted), expected)
    with pytest.raises(ValueError, match=r"X are named \[7, 8, .* expected \[8, 9"):
        model.predict_proba(table[range(7, 15)])
    counted = fitted.set_axis(range(8), axis=1)  # names of nothing
    np.testing.assert_array_equal(model.predict_proba(counted), expected)
    model.fit(counted, np.arange(30) % 3).predict_proba(table[range(7, 15)])


WIDE = pd.DataFrame(RNG.normal(size=(30, 8)), columns=[f"f{k}" for k in range(8)])


@pytest.mark.filterwarnings("error:X does not have valid feature names")
@pytest.mark.parametrize(
    "member",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), GaussianNB()),
        SmoothedAnticipator(MLP(4), max_epochs=1, random_state=0),
    ],
    ids=["scikit-learn", "Pipeline", "ours"],
)
@pytest.mark.parametrize("voting", [False, True])
def test_a_frozen_member_knows_its_channels(member, voting):
    y = np.arange(30) % 3
    own = FrozenEstimator(member.fit(WIDE.iloc[:, 4:], y))
    frozen = VotingClassifier([("a", own)], voting="soft") if voting else own
    fusion = LateFusion([("a", frozen, (4, None))]).fit(WIDE, y)
    expected = member.predict_proba(WIDE.iloc[:, 4:])
    assert_allclose(fusion.predict_proba(WIDE), expected)
    with pytest.raises(ValueError, match=r"that member 'a' sees are named \['f0', "):
        LateFusion([("a", frozen, (0, 4))]).fit(WIDE, y)


def test_a_frozen_teacher_refuses_other_columns():
    teacher = FrozenEstimator(LogisticRegression().fit(WIDE.iloc[:, 4:], Y.clip(0)))
    with pytest.raises(ValueError, match=r"X_future_unlabeled are named \['f0', "):
        student(teacher=teacher).fit(PAST, Y, WIDE.iloc[:, :4])


def test_labels_of_steps_are_in_the_order_of_the_steps():
    names = ["third", "second", "first"]
    clips = [
        pd.DataFrame(np.eye(3) + k, index=names, columns=list("abc")) for k in range(4)
    ]
    labels = pd.DataFrame([[0, 1, 0]] * 4, columns=names)
    model = SmoothedAnticipator(
        AVTHead(8, n_heads=2, past_weight=1.0), max_epochs=1, random_state=0
    )
    y = [0, 1, 0, 1]
    expected = model.fit(clips, y, y_past=labels.to_numpy()).predict_proba(clips)
    found = model.fit(clips, y, y_past=labels).predict_proba(clips)
    assert_allclose(found, expected, rtol=0, atol=0)
    with pytest.raises(ValueError, match="columns of y_past, next to the steps"):
        model.fit(clips, y, y_past=labels[names[::-1]])


# ---------------------------------------------------------------- fields of structs


class Structs:
    """What of a Series of polars is read whose entries are structs."""

    def __init__(self, table):
        self.table, self.shape = table, (len(table),)
        self.struct = SimpleNamespace(fields=list(table.columns))

    def __array__(self, dtype=None, copy=None):
        return np.array(self.table, dtype=dtype)

    def __len__(self):
        return len(self.table)


@pytest.mark.filterwarnings("ignore:X .* feature names:UserWarning")
def test_fields_of_structs_are_columns():
    past, y = PAST[:20], Y[:20]
    plain = student().fit(past, y).predict_proba(past)
    for known in (past, Structs(past)):
        model = student().fit(known, y)
        np.testing.assert_array_equal(model.predict_proba(past), plain)
        for turned in (Structs(past[list("dcba")]), past[list("dcba")]):
            with pytest.raises(ValueError, match="order"):
                model.predict_proba(turned)


@pytest.mark.parametrize(
    "name", ["Unnamed: 0", "Unnamed: 0.1", "", "__index_level_0__"]
)
def test_an_index_that_a_file_has_as_a_column_is_warned_of(name, tmp_path):
    table = pd.DataFrame({"a": [0.1, 0.2, 0.3, 0.4], "b": [1.0, 2.0, 3.0, 5.0]})
    read = table.rename_axis(name).reset_index()
    if name == "Unnamed: 0":  # as pandas itself does it
        table.to_csv(tmp_path / "X.csv")
        read = pd.read_csv(tmp_path / "X.csv")
    model = SmoothedAnticipator(MLP(4), max_epochs=1)
    with pytest.warns(UserWarning, match=f"X_past has the column '{name}', as a file"):
        model.fit(read, [0, 1, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(read.drop(columns=name), [0, 1, 0, 1])
        model.predict(table)


def tables_of_steps(column, counts):
    rng = np.random.default_rng(0)
    tables = [
        pd.DataFrame(rng.normal(size=(6, 2)), columns=["a", "b"]) for _ in range(8)
    ]
    for number, table in enumerate(tables):
        steps = np.arange(6) / 4 + number if counts else rng.normal(size=6)
        table.insert(0, column, steps)
    return tables


PAIRS = unlabeled_pairs(
    {"video": ["0"], "start_frame": [40], "stop_frame": [60], "action": [1]}, 0, fps=10
)
READERS_OF_STEPS = {
    "pad_clips": pad_clips,
    "first_fraction": first_fraction,
    "trimmed_pairs": lambda tables: trimmed_pairs(tables, n_steps=2),
    "from_arrays": lambda tables: FeatureTable.from_arrays(
        {str(k): table for k, table in enumerate(tables)}
    ),
    "cut_pairs": lambda tables: cut_pairs(
        PAIRS, {str(k): t for k, t in enumerate(tables)}, feature_rate=1, fps=10
    ),
    "fit": lambda tables: SmoothedAnticipator(LSTM(2), max_epochs=1).fit(
        tables, np.arange(8) % 2
    ),
}


@pytest.mark.parametrize("reader", READERS_OF_STEPS)
def test_a_column_that_counts_the_steps_is_told(reader):
    read = READERS_OF_STEPS[reader]
    for column in ("frame", "Time", "Unnamed: 0"):
        with pytest.warns(UserWarning, match=f"has the column '{column}', .*to_numpy"):
            read(tables_of_steps(column, counts=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tables_of_steps("time", counts=False))
        read(tables_of_steps("speed", counts=True))


DRAWN = np.random.default_rng(0).permutation(500)[:30]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        *((name, np.arange(30)) for name in ("frame_no", "row_nr", "uid", "level_0")),
        ("Frame Idx", np.arange(30)[::-1]),
        ("timestamp_sec", np.round(np.arange(30) / 29.97, 3)),
        ("clip_id", DRAWN),  # of rows that were shuffled
    ],
)
def test_a_column_that_numbers_rows_is_told_by_its_numbers(name, numbers):
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.normal(size=(30, 2)), columns=["a", "b"])
    model = SmoothedAnticipator(MLP(4), max_epochs=1)
    with pytest.warns(UserWarning, match=f"X_past has the column '{name}', as a file"):
        model.fit(features.assign(**{name: numbers}), np.arange(30) % 2)


def test_features_do_not_number_rows():
    rng = np.random.default_rng(0)
    others = {
        "step_length": np.arange(30) % 7,
        "time_of_day": rng.integers(0, 24, 30),
        "area": DRAWN,
        "ramp": np.minimum(np.arange(30), 20),
        "constant": np.ones(30),
    }
    model = SmoothedAnticipator(MLP(4), max_epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(pd.DataFrame(others), np.arange(30) % 2)
        model.fit(pd.DataFrame(np.arange(60).reshape(30, 2)), np.arange(30) % 2)
