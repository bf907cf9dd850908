"""The future as a signal: soft targets, weights and maps of a teacher that sees it."""

from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import torch

from skanticipate.data.axes import check_axes, check_axes_alike
from skanticipate.data.layout import hint_filled_rows, hint_other_scale
from skanticipate.data.leaks import warn_ungrouped
from skanticipate.data.leaves import first_table
from skanticipate.data.names import (
    check_column_order,
    check_columns_alike,
    check_names,
)
from skanticipate.data.parameters import nested_estimators
from skanticipate.data.validation import (
    check_futures,
    check_teacher_proba,
)
from skanticipate.data.warn import is_one_of_many, warn
from skanticipate.estimator.nested import names_of_axes, names_of_columns
from skanticipate.estimator.prediction import PredictionMixin
from skanticipate.networks.base import NetworkSpec
from skanticipate.signals.asking import split_transforms
from skanticipate.signals.maps import first_map, map_source, map_width, weights_for
from skanticipate.signals.signal import TeacherSignal, index_of, warn_of_silence
from skanticipate.terms.features import FeatureTerm, projection

_DEFAULT_FEATURE_WEIGHT = 0.1
_COMPARES = "which a positive feature_weight compares: set feature_weight=0"


@dataclass(eq=False)
class FutureSignal(TeacherSignal):
    """Clips of what comes after, and the teacher that sees them.

    Its answers, maps and weights teach; `teacher_proba` of `fit` replaces the answers.

    Parameters
    ----------
    asked, weight, temperature : object
        As in `TeacherSignal`; a weight of 0 has no term, and asks all the same.
    classes : array-like or None
        The parameter: order of the columns of `teacher_proba`.
    alignment, alpha, feature_weight : object
        Parameters of `DistilledAnticipator`.
    init_from_teacher : "auto" or bool
        Its parameter.
    started : bool or None
        Where training goes on: whether the network once started from its teacher.
    """

    name, sees, parameter = "teacher", "future", "teacher"
    purposes = ("teacher", "projection")  # of its maps
    nothing_to_learn = (
        "No labelled row has a future, so the teacher has nothing to learn from: give "
        "the futures of labelled rows too, or pass a FrozenEstimator or teacher_proba=."
    )

    _: KW_ONLY
    classes: object
    alignment: str
    alpha: float | None
    feature_weight: float | None
    init_from_teacher: object
    started: bool | None
    answers: np.ndarray | None = field(default=None, init=False)  # (n, C), given ones

    # -------------------------------------------------------------------- check

    def check(self, given, past, classes, *, marker, estimator):
        """Check futures and answers, and whether they go together with the past."""
        found, futures = {}, given.X_future_unlabeled
        teacher, cross_fit = self.asked.teacher, self.asked.cross_fit
        if futures is not None:
            clips, has_future = check_futures(
                futures, name="X_future_unlabeled", estimator=estimator
            )
            _compare_with_past(past, clips, has_future, teacher)
            _check_names(futures, teacher, estimator)
            warn_of_signed_labels(classes, marker, estimator)
            found = self.found(clips, has_future)
        if given.teacher_proba is not None:
            answers = check_teacher_proba(given.teacher_proba, classes, self.classes)
            found |= {"answers": answers, "has_answer": ~np.isnan(answers[:, 0])}
            self._warn_if_replaced(found, given.past_actions is not None)
        elif not np.any(found.get("has_future", False)):
            warn_of_silence(
                "neither a row with a future in X_future_unlabeled nor teacher_proba: "
                "no teacher is asked.",
                teacher=teacher is not None,
                teacher_weight=self.weight > 0,
                feature_weight=bool(self.feature_weight),
                init_from_teacher=self.init_from_teacher is True,
                cross_fit=bool(cross_fit) and given.past_actions is None,
                X_future_unlabeled=futures is not None,
            )
        some = np.any(found.get("has_future")) or given.past_actions is not None
        if cross_fit and some and given.groups is None:
            warn_ungrouped(f"cross_fit={cross_fit} divides the rows")
        warn_of_weights_of_zero(estimator)
        return found

    def _warn_if_replaced(self, found, others_divide):
        """Warn of a teacher that is not asked, since answers are given."""
        starts = self.init_from_teacher is True
        lacks = "neither a feature_weight nor init_from_teacher=True, which want"
        if self.feature_weight or starts:
            if np.any(found.get("has_future", False)):
                return
            lacks = "no row with a future in X_future_unlabeled for"
        warn_of_silence(
            f"teacher_proba in place of its answers, and {lacks} its maps or its "
            "weights: it is not fitted, and not asked.",
            teacher=self.asked.teacher is not None,
            feature_weight=bool(self.feature_weight),
            init_from_teacher=starts,
            cross_fit=bool(self.asked.cross_fit) and not others_divide,
        )

    def has(self, samples):
        """Samples that have an answer, or a future that somebody looks at."""
        nobody = np.zeros_like(samples.codes, dtype=bool)
        if "answers" not in samples.signals:
            return samples.signals.get("has_future", nobody)
        has = samples.signals["has_answer"]
        starts = self.init_from_teacher is True
        if self.feature_weight or (self.feature_weight is None and starts):
            has = has | samples.signals.get("has_future", nobody)
        return has

    # ---------------------------------------------------------------------- ask

    def asks(self, samples):
        """Whether somebody wants answers, maps or weights of a teacher."""
        looked_at = self.feature_weight or self.init_from_teacher is True
        if "answers" in samples.signals and not looked_at:
            return False
        return bool(np.any(samples.signals.get("has_future", False)))

    def ask(self, samples, classes, seeds, shared=None):
        """Fit the teacher and ask it about all futures, where that is of use."""
        self.answers = samples.signals.get("answers")
        super().ask(samples, classes, seeds, shared)
        if self.taught is not None:
            warn_of_early_answers(self.taught.last)

    def _start(self, network, spec):
        """Give the network the weights of the teacher, where that is wanted."""
        weights = None
        if self.taught is not None and self._may_start(spec):
            weights = weights_for(network, self.taught, self.labels)
        if weights is not None:
            network.load_state_dict(weights)
        elif self.init_from_teacher is True and self.taught is not None:
            raise ValueError(
                "init_from_teacher=True, but the teacher has no weights for this "
                "student: it needs the same network, clips of the same features and "
                "the same classes, and no transformer before it. Set it to 'auto'."
            )
        self.started = weights is not None

    def _may_start(self, spec):
        """Whether the student may take the weights of its teacher.

        "auto" does not give pre-trained ones up for those of a teacher that started at
        random.
        """
        own = getattr(spec, "loaded_", None)
        if self.init_from_teacher == "auto" and own:
            return _is_pretrained(self.taught.last)
        return bool(self.init_from_teacher)

    # -------------------------------------------------------------------- terms

    def said(self, samples):
        """Answers (m, C), the row of each sample (n,), and which samples have one."""
        if self.answers is None:
            return super().said(samples)
        has = samples.signals["has_answer"]
        return self.answers[has], index_of(np.flatnonzero(has), len(has)), has

    def terms(self, samples, spec, network, seeds, compute):
        """Divergence from the answers for labelled samples, and distance of maps.

        A network that begins may start from the weights of the teacher.
        """
        if self.started is None:
            self._start(network, spec)
        terms = super().terms(samples, spec, network, seeds, compute)
        if self.weight > 0 and not terms and not is_one_of_many():  # as a fold may be
            _, _, has = self.said(samples)
            warn_of_silence(
                "no labelled row with a future, or an answer in teacher_proba: "
                "unlabelled rows are taught without it.",
                teacher_weight=has.any(),
            )
        self.used_weight = self._weigh_features(samples, spec, network, compute)
        if self.used_weight > 0:
            seed = seeds["projection"]
            terms.append(self._feature_term(samples, spec, network, seed, compute))
        if not (terms or self.started or is_one_of_many()):
            self._warn_if_unheard(samples)
        return terms

    def _warn_if_unheard(self, samples):
        """Warn of a teacher that no loss, and no row without label, listens to."""
        _, _, has = self.said(samples)
        if not (has & (samples.codes < 0)).any():
            warn_of_silence(
                "no unlabelled row, and a weight of 0 for answers and maps: what the "
                "teacher says has no effect. Set teacher_weight.",
                teacher=self.taught is not None and self.asked.teacher is not None,
                X_future_unlabeled=self.taught is not None,
                teacher_proba=self.answers is not None,
            )

    def _weigh_features(self, samples, spec, network, compute):
        """Weight of the feature loss, 0 where there is nobody to compare with."""
        weight = self.feature_weight
        if self.taught is None:
            return 0.0
        if weight is None:
            theirs = getattr(self.taught.last, "network_", None)
            alike = type(theirs) is type(network)
            if not (self.started and alike):  # a warm start may have another teacher
                return 0.0
            # It has the network of its teacher, which may give none.
            own = first_map(network, samples.rows, compute)
            return 0.0 if own is None else _DEFAULT_FEATURE_WEIGHT
        own = getattr(spec, "loaded_", None)
        pretrained = own and _is_pretrained(self.taught.last)
        if weight > 0 and not (self.started or pretrained):
            warn(
                "feature_weight is positive, but the student starts at random: its map "
                "lives in another space than its teacher's, and feature losses hurt. "
                "Use the same network for both and init_from_teacher, or give both "
                "the same pre-trained weights."
            )
        return float(weight)

    def _feature_term(self, samples, spec, network, seed, compute):
        maps = map_source(
            self.taught,
            len(samples.codes),
            spec.crops_at_random and spec.crops_futures,
            compute,
            alpha=self.alpha,
            attended=self.alignment in ("weak", "teacher"),
        )
        generator = torch.Generator().manual_seed(seed)
        own_width = map_width(spec, network, samples.rows, compute, _COMPARES)
        between = compute.place(projection(own_width, maps.width, generator))
        return FeatureTerm(
            self.used_weight,
            samples.signals["has_future"],
            samples.weights,
            compute,
            alignment=self.alignment,
            alpha=self.alpha,
            maps=maps,
            projection=between,
        )

    # ------------------------------------------------------------------ what is told

    def fitted(self):
        """The teacher, and what was taken from it."""
        return {
            **super().fitted(),
            "started_from_teacher_": self.started,
            "feature_weight_": self.used_weight,
        }


# ------------------------------------------------ whether futures go with the rest


def _check_names(futures, teacher, estimator):
    """Refuse a table of futures whose columns, or axes, are not those that are read.

    The student's own network reads futures as it reads the past, with the columns of
    `X_past`. Other teachers may see other features; frozen ones know their names.
    """
    if type(futures) is np.ndarray and not hasattr(estimator, "feature_names_in_"):
        return  # it names no columns
    name, table = "X_future_unlabeled", first_table(futures)
    for names in names_of_columns(teacher):
        check_columns_alike(table, names, name=name)
    for axes in names_of_axes(teacher):
        check_axes_alike(futures, axes, name=name)
    check_axes(futures, name=name, estimator=estimator, reset=False)
    check_column_order(table, getattr(estimator, "_columns", None), name=name)
    if teacher is None:
        check_names(futures, name=name, estimator=estimator, reset=False)


def _compare_with_past(past, futures, has_future, teacher):
    """Refuse futures that the student's own network cannot read; warn of odd ones.

    Parameters
    ----------
    past, futures : RowView of shape (n, ..., d)
        Checked clips.
    has_future : ndarray of shape (n,) of bool
        Rows that have a future.
    teacher : classifier or None
        None has the network of the student; a network of ours may start from it, or be
        compared with it. Any other reads features of its own.
    """
    alike = futures.ndim == past.ndim and futures.shape[-1] == past.shape[-1]
    if teacher is None and not alike:
        raise ValueError(
            f"X_future_unlabeled has shape {futures.shape} but X_past has "
            f"{past.shape}: with teacher=None the teacher has the student's own "
            "network, so both need as many axes and features. Pass a teacher of its "
            "own for other features, such as RecognitionTeacher()."
        )
    if hint_filled_rows(past, futures, has_future, "X_future_unlabeled"):
        return  # and their scale is that of the fill
    if alike and has_future.any() and _reads_as_student(teacher):
        if not has_future.all():
            past, futures = past[has_future], futures[has_future]
        hint_other_scale(past, futures, "X_future_unlabeled")


def _reads_as_student(teacher):
    """Whether a teacher is a network of ours that sees futures as they come."""
    if teacher is None:
        return True
    transforms, last = split_transforms(teacher)
    return transforms is None and isinstance(last, PredictionMixin)


def warn_of_signed_labels(classes, marker, estimator):
    """Warn if -1 is read as a class, and nobody said so, although there are futures."""
    is_said = estimator.unlabeled_label is None or estimator.classes is not None
    if marker is None and not is_said and set(classes.tolist()) == {-1, 1}:
        warn(
            "y holds -1 and 1 only, which are read as two classes: pass "
            "unlabeled_label=-1 if -1 marks unlabelled rows.",
        )


def warn_of_weights_of_zero(estimator):
    """Warn of what has no weight, unless this fit is one of a search, say.

    Parameters
    ----------
    estimator : DistilledAnticipator
    """
    no_prior = estimator.smoothing == 0 and estimator.prior is not None
    no_answer = estimator.teacher_weight == 0 and estimator.temperature != 1
    if (no_prior or no_answer) and not is_one_of_many():
        told = "smoothing=0: no label is mixed with it."
        warn_of_silence(told, prior=no_prior)
        told = "teacher_weight=0: no labelled row is compared at it."
        warn_of_silence(told, temperature=no_answer)


def warn_of_early_answers(last):
    """Warn of a network of ours that does not see futures to their end.

    Parameters
    ----------
    last : classifier
        The last step of a fitted teacher; the members of an ensemble count.
    """
    for part in (last, *nested_estimators(last)):
        network = getattr(part, "network_spec_", getattr(part, "network", None))
        if not (isinstance(part, PredictionMixin) and isinstance(network, NetworkSpec)):
            continue
        stage, n_stages = network.answering_stage(), len(network.stage_times())
        if stage < n_stages - 1:
            warn(
                f"The network of the teacher {type(part).__name__} answers at stage "
                f"{stage + 1} of {n_stages}, before it has read clips of the future "
                "to their end: set its anticipation_time=None."
            )
            return


def _is_pretrained(last):
    """Whether a fitted network began with weights that were learned elsewhere."""
    return bool(getattr(getattr(last, "network_spec_", None), "loaded_", None))
