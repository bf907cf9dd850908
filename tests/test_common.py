"""scikit-learn's own checks, over every public estimator and transformer."""

import inspect
import tempfile
import zlib
from collections.abc import Mapping

import pytest
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
)
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks
from tiny_bert import NOUNS, VERBS, write_tiny_bert

import skanticipate
from skanticipate import (
    MLP,
    BatchedGridSearchCV,
    BatchedRandomizedSearchCV,
    DistilledAnticipator,
    HistoryEncoder,
    HistoryTeacher,
    HistoryText,
    LanguageTeacher,
    LastAxisSlice,
    LateFusion,
    PerFrame,
    RecognitionTeacher,
    ReplicaEnsemble,
    SmoothedAnticipator,
    TeacherEnsemble,
)

WORDS = [*VERBS, *NOUNS]  # eight, which the small language model knows


class AnyAction(Mapping):
    """Verb and noun of every label there is, such as the numbers of the checks."""

    def __getitem__(self, label):
        number = zlib.crc32(str(label).encode())
        return "cut", " ".join(WORDS[number >> 3 * k & 7] for k in range(3))

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0

    def __repr__(self):  # the names of tests are the same in every process
        return "AnyAction()"


class Folder(str):
    """Of any name."""

    def __repr__(self):  # as above
        return "BERT"


QUICK = {"max_epochs": 8, "lr": 0.05}
BERT = Folder(write_tiny_bert(tempfile.mkdtemp(), max_position_embeddings=512))
MEMBER = SmoothedAnticipator(MLP(16), random_state=0, **QUICK)
ESTIMATORS = [
    SmoothedAnticipator(),
    SmoothedAnticipator(MLP(16), smoothing=0, **QUICK),
    SmoothedAnticipator(MLP(16), class_weight="balanced", **QUICK),
    DistilledAnticipator(),
    DistilledAnticipator(MLP(16), smoothing=0.1, **QUICK),
    RecognitionTeacher(),
    TeacherEnsemble([RecognitionTeacher(MLP(16), **QUICK)] * 2, random_state=0),
    TeacherEnsemble([LogisticRegression()], average="proba"),
    LateFusion([("all", MEMBER, (0, None)), ("same", MEMBER, (0, None))]),
    LateFusion(
        [("ours", MEMBER, (0, None)), ("theirs", LogisticRegression(), (0, None))],
        weights=[2, 1],
        combine="log_proba",
    ),
    ReplicaEnsemble(MEMBER, n_replicas=2, random_state=0),
    ReplicaEnsemble(
        LateFusion([("all", MEMBER, (0, None))]), n_replicas=2, random_state=0
    ),
    HistoryTeacher(n_networks=1, hidden_size=8, max_epochs=2),
    LanguageTeacher(BERT, AnyAction(), verb_weight=0, noun_weight=0),
    # What a fit raises is what the checks ask for, not that all fits failed.
    BatchedGridSearchCV(MEMBER, {"smoothing": [0.0, 0.1]}, cv=2, error_score="raise"),
    BatchedGridSearchCV(
        make_pipeline(StandardScaler(), MEMBER),
        {"standardscaler__with_mean": [True, False]},
        cv=2,
        error_score="raise",
    ),
    BatchedRandomizedSearchCV(
        LogisticRegression(),
        {"C": [0.1, 1.0]},
        n_iter=2,
        random_state=0,
        cv=2,
        error_score="raise",
    ),
    PerFrame(StandardScaler()),
    PerFrame(PCA(1)),
    LastAxisSlice(),
    LastAxisSlice(0, 1),
    HistoryEncoder(),
    HistoryEncoder(form="onehot"),
    HistoryText(AnyAction()),
]
KINDS = ClassifierMixin | TransformerMixin | MetaEstimatorMixin
PUBLIC = [
    kind
    for kind in map(skanticipate.__dict__.get, skanticipate.__all__)
    if inspect.isclass(kind) and issubclass(kind, KINDS)
]
# One that needs no argument is among them by itself.
LISTED = {type(estimator) for estimator in ESTIMATORS}
ESTIMATORS += [kind() for kind in PUBLIC if kind not in LISTED]

# The checks show tables of numbers. To those that read the labels of past actions a
# number is a label, the columns are no features, and their answer may be a text.
NO_FEATURES = "histories may be longer or shorter in prediction than in fit"
A_TEXT = "texts are compared as if they were numbers"
NOT_ORDERED = "every number is a label of its own, most of them never seen before"
NOT_FOR_LABELS = {
    HistoryTeacher: {
        "check_sample_weight_equivalence_on_dense_data": (
            "the part held out is a share of the rows, whatever their weight"
        )
    },
    LanguageTeacher: {
        "check_classifiers_train": NOT_ORDERED,
        "check_class_weight_classifiers": NOT_ORDERED,
        "check_sample_weight_equivalence_on_dense_data": (
            "float32, of which the last bits depend on the rows of a batch"
        ),
    },
    HistoryEncoder: {"check_transformer_general": NO_FEATURES},
    HistoryText: {
        "check_pipeline_consistency": A_TEXT,
        "check_estimators_pickle": A_TEXT,
        "check_transformer_general": A_TEXT,
        "check_methods_sample_order_invariance": A_TEXT,
        "check_methods_subset_invariance": A_TEXT,
        "check_fit_idempotent": A_TEXT,
    },
}


def test_every_public_estimator_and_transformer_is_checked():
    assert {type(estimator) for estimator in ESTIMATORS} == set(PUBLIC)


@pytest.mark.filterwarnings("ignore:X holds .* each number is read as the label")
@pytest.mark.filterwarnings("ignore:past_actions holds .* each number is read")
@parametrize_with_checks(
    ESTIMATORS,
    expected_failed_checks=lambda estimator: NOT_FOR_LABELS.get(type(estimator), {}),
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_check_of_parameters_that_scikit_learn_runs_on_itself(estimator):
    name = type(estimator).__name__
    estimator_checks.check_param_validation(name, clone(estimator))


@pytest.mark.parametrize(
    "estimator",
    [e for e in ESTIMATORS if type(e) not in NOT_FOR_LABELS],
    ids=repr,
)
def test_check_of_columns_that_scikit_learn_runs_on_itself(estimator):
    name = type(estimator).__name__
    estimator_checks.check_dataframe_column_names_consistency(name, clone(estimator))


PARTS = {
    name: kind
    for name, kind in vars(skanticipate).items()
    if name in skanticipate.__all__
    and inspect.isclass(kind)
    and issubclass(kind, BaseEstimator)
    and all(
        p.default is not p.empty for p in inspect.signature(kind).parameters.values()
    )
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_estimators_keep_their_parameters_as_estimators_do(name):
    part = PARTS[name]()
    estimator_checks.check_no_attributes_set_in_init(name, part)
    estimator_checks.check_parameters_default_constructible(name, part)
    estimator_checks.check_get_params_invariance(name, part)
    estimator_checks.check_estimator_cloneable(name, part)
    estimator_checks.check_estimator_repr(name, part)
