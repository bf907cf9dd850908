"""What a teacher that sees the futures tells its student: answers, weights, maps."""

import numpy as np

from skanticipate._prediction import PredictionMixin
from skanticipate._rows import RowView
from skanticipate._runtime import clip_reader
from skanticipate.teachers.maps import (
    ModuleMaps,
    StoredMaps,
    compute_maps,
    has_map,
)
from skanticipate.teachers.protocol import seen_by_last_step, split_transforms
from skanticipate.teachers.teaching import Teaching

_MAPS_IN_MEMORY = 1 << 28  # bytes


class FutureTeaching(Teaching):
    """What a teacher that sees the futures tells its student.

    Beside soft targets it has weights that a student of the same network can start
    from, and maps.
    """

    nothing_to_learn = (
        "No labelled row has a future, so the teacher has nothing to learn from: give "
        "the futures of labelled rows too, or pass a FrozenEstimator or teacher_proba=."
    )

    @staticmethod
    def material(samples):
        """Futures, and the samples that have one."""
        return samples.futures, samples.seen

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
        return last._predict(clip, lambda output, _: output.features) is not None

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
