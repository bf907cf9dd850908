"""What a teacher that sees the futures tells its student: answers, weights, maps."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skanticipate._prediction import PredictionMixin
from skanticipate._rows import RowView
from skanticipate._runtime import clip_reader
from skanticipate.teachers.cache import TeacherCache, key_of
from skanticipate.teachers.cross_fit import cross_fitted_proba
from skanticipate.teachers.maps import (
    ModuleMaps,
    StoredMaps,
    compute_maps,
    has_map,
)
from skanticipate.teachers.protocol import (
    ask,
    fit_teacher,
    seen_by_last_step,
    split_transforms,
)

_MAPS_IN_MEMORY = 1 << 28  # bytes


class FutureTeaching:
    """A teacher, fitted on the labelled futures of a fit, and its soft targets.

    Parameters
    ----------
    teacher : classifier
        Unfitted and seeded, or frozen.
    samples : Samples
        Those of the fit; `samples.seen` are the rows with a future.
    classes : ndarray of shape (C,)
        Labels of the student.
    cross_fit, seed : int
        Folds of cross-fitting, and seed of their shuffling.
    folder : path-like or None
        Where fitted teachers and maps are kept.

    Attributes
    ----------
    teacher : classifier
        The fitted one, whose maps and weights the student may use.
    proba : ndarray of shape (n, C)
        Soft targets of all samples; NaN in rows without a future.
    """

    def __init__(self, teacher, samples, classes, *, cross_fit, seed, folder):
        self.rows = np.flatnonzero(samples.seen)
        self.clips = samples.futures[self.rows]
        codes = samples.codes[self.rows]
        signals = {
            "groups": None if samples.groups is None else samples.groups[self.rows],
            "sample_weight": (
                None if samples.weights is None else samples.weights[self.rows]
            ),
        }
        if not isinstance(teacher, FrozenEstimator) and (codes < 0).all():
            raise ValueError(
                "No labelled row has a future, so the teacher has nothing to learn "
                "from: give the futures of labelled rows too, or pass a FrozenEstimator"
                " or teacher_proba=."
            )

        inputs = (teacher, self.clips, codes, classes, cross_fit, seed, signals)
        if folder is None:
            self.cache = None
            self.teacher, answers = _fit_and_ask(*inputs)
        else:
            self.cache = TeacherCache(folder)
            self.key = key_of(*inputs)
            self.teacher, answers = self.cache.teacher(
                self.key, _kinds(teacher), lambda: _fit_and_ask(*inputs)
            )
        self.proba = np.full((len(samples), len(classes)), np.nan, answers.dtype)
        self.proba[self.rows] = answers

    def accuracy(self, samples, classes):
        """Share of labelled samples with a future that the teacher names rightly."""
        rows = np.flatnonzero(samples.seen & (samples.codes >= 0))
        if not len(rows):
            return None
        proba = ask(self.teacher, samples.futures[rows], classes)
        return float(np.mean(proba.argmax(axis=1) == samples.codes[rows]))

    def weights_for(self, network, classes):
        """Weights of the teacher, if a network can start from them, else None."""
        transforms, last = split_transforms(self.teacher)
        if transforms is not None or not isinstance(last, PredictionMixin):
            return None
        if not np.array_equal(last.classes_, classes):
            return None
        own, theirs = network.state_dict(), last.network_.state_dict()
        same = own.keys() == theirs.keys() and all(
            own[name].shape == theirs[name].shape for name in own
        )
        return theirs if same and type(network) is type(last.network_) else None

    def has_map(self):
        """Whether the teacher has a map: not every network gives features."""
        transforms, last = split_transforms(self.teacher)
        if not isinstance(last, PredictionMixin):
            return has_map(self.teacher)
        clip = seen_by_last_step(transforms, self.clips[:1])
        return last._predict(clip, lambda output: output.features) is not None

    def maps(self, samples, *, crops_at_random, dtype, device):
        """Source of maps for the feature term.   -> StoredMaps or ModuleMaps."""
        options = {"dtype": dtype, "device": device}
        if not has_map(self.teacher):
            raise ValueError(
                f"{type(self.teacher).__name__} has no feature_map, which a positive "
                "feature_weight compares: set feature_weight=0, or use a "
                "RecognitionTeacher."
            )
        one = compute_maps(self.teacher, self.clips[:1]).base
        fits = one.nbytes * len(self.clips) <= _MAPS_IN_MEMORY
        foreign = not isinstance(split_transforms(self.teacher)[1], PredictionMixin)
        if crops_at_random:
            self._refuse_crops(foreign)
        if crops_at_random or not (self.cache or foreign or fits):
            return self._module_maps(len(samples), one.shape[-1], **options)
        if self.cache is not None:
            maps = self.cache.maps(self.key, self.teacher, self.clips)
            if fits:
                maps = RowView(np.array(maps.base))
        else:
            maps = compute_maps(self.teacher, self.clips)
        return StoredMaps(maps, self._position(len(samples)), **options)

    def _position(self, n_samples):
        """Row in `clips` of each sample; 0 where there is none.   (n,)."""
        position = np.zeros(n_samples, dtype=np.int64)
        position[self.rows] = np.arange(len(self.rows))
        return position

    def _refuse_crops(self, foreign):
        if self.cache is not None:
            raise ValueError(
                "teacher_cache keeps one map a clip, but the network crops clips at "
                "random: set teacher_cache=None, feature_weight=0, or cut the clips "
                "beforehand."
            )
        if foreign:
            raise ValueError(
                "The network crops clips at random, past and future alike, so the maps "
                "must come from a network of this library: use a RecognitionTeacher, "
                "or set feature_weight=0."
            )

    def _module_maps(self, n_samples, width, dtype, device):
        transforms, last = split_transforms(self.teacher)
        network = last._blueprint().load(last.network_.state_dict())
        network = network.to(dtype=dtype, device=device)
        # Transformers may refuse NaN, so they see existing futures only.
        seen = seen_by_last_step(transforms, self.clips)
        rows = seen[self._position(n_samples)]
        return ModuleMaps(network, clip_reader(rows, dtype=dtype, device=device), width)


def _fit_and_ask(teacher, clips, codes, classes, cross_fit, seed, signals):
    labelled = np.flatnonzero(codes >= 0)
    fitted = fit_teacher(
        teacher,
        clips[labelled],
        classes[codes[labelled]],
        **{name: None if s is None else s[labelled] for name, s in signals.items()},
    )
    if cross_fit:
        answers = cross_fitted_proba(
            teacher, clips, codes, classes, cross_fit, seed, **signals
        )
    else:
        answers = ask(fitted, clips, classes)
    return fitted, answers


def _kinds(value):
    """Classes of an estimator and of those among its parameters, in lists too."""
    if isinstance(value, list | tuple):
        return [kind for part in value for kind in _kinds(part)]
    if not isinstance(value, BaseEstimator):
        return []
    return [type(value), *_kinds(list(value.get_params(deep=False).values()))]
