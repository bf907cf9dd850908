"""AttentionMapDisplay: where the feature maps of student and teacher are strong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing, check_scalar
from sklearn.utils.validation import _num_samples, check_is_fitted

from skanticipate.data.numbers import refuse_truths
from skanticipate.data.tensors import takes_tensors
from skanticipate.data.validation import check_aligned, check_clips
from skanticipate.plotting._look import wrapped
from skanticipate.plotting._mosaic import draw_map, new_axes
from skanticipate.plotting._pyplot import Axes, Colormap, import_pyplot
from skanticipate.signals.asking import seen_by_last_step, split_transforms
from skanticipate.signals.maps import compute_maps, has_map


class AttentionMapDisplay:
    """Length of the feature vectors at each position of a clip, or of some clips.

    Where a map is strong is what the network attends to. The picture shows it for the
    past clip under a student, or several beside each other; and for the future clip
    under the teacher, who can be shown the past clip too. Students share one scale of
    colours, the teacher has its own. Of several clips each has a row.

    Create it with `AttentionMapDisplay.from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    student : ndarray of shape (T,), (h, w) or (l, h, w), or dict of str to such arrays
        Euclidean length of the student's feature vectors of the past clip, on the grid
        of its map; NaN at positions of padding steps. A dict holds them by the names
        of several students.
    plain : ndarray of the same kind, default=None
        The same of a student without teacher.
    teacher : ndarray of the same kind, default=None
        The same of the teacher's map of the future clip.
    teacher_past : ndarray of the same kind, default=None
        The same of the teacher's map of the past clip.
    clips : sequence of length R, default=None
        What the clips are called, such as their rows. All arrays then have a first axis
        of R clips. None means that there is one clip, and no such axis.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
        One for each panel: students, plain student, teacher on the past, teacher on
        the future, where they are given; clip by clip.
    figure_ : matplotlib Figure
    ims_ : list of matplotlib AxesImage
        The images in the axes.

    References
    ----------
    V. Tran, Y. Wang, M. Hoai, "Back to the Future: Knowledge Distillation for Human
    Action Anticipation", arXiv 1904.04868: figure 3.

    Examples
    --------
    >>> from skanticipate import DistilledAnticipator, FeatureMapNet
    >>> from skanticipate.datasets import make_drifting_maps
    >>> from skanticipate.plotting import AttentionMapDisplay
    >>> maps = make_drifting_maps(n_unlabeled=40, n_test=1, random_state=0)
    >>> model = DistilledAnticipator(FeatureMapNet(8), max_epochs=1, random_state=0)
    >>> model = model.fit(maps.X_past, maps.y, maps.X_future)
    >>> display = AttentionMapDisplay.from_estimator(model, maps.X_past, maps.X_future)
    >>> display.student.shape, display.teacher.shape
    ((5, 5), (5, 5))

    Two students beside each other, and their teacher, of two clips:

    >>> direct = DistilledAnticipator(
    ...     FeatureMapNet(8), alignment="direct", max_epochs=1, random_state=0
    ... ).fit(maps.X_past, maps.y, maps.X_future)
    >>> display = AttentionMapDisplay.from_estimator(
    ...     {"direct": direct, "weak": model},
    ...     maps.X_past,
    ...     maps.X_future,
    ...     clip=[0, 1],
    ...     teacher_past=True,
    ... )
    >>> [ax.get_title() for ax in display.axes_[:4]]
    ['past, direct', 'past, weak', 'past, teacher', 'future, teacher']
    """

    axes_: list[Axes]

    def __init__(
        self,
        student: np.ndarray | Mapping[str, np.ndarray],
        plain: np.ndarray | None = None,
        teacher: np.ndarray | None = None,
        *,
        teacher_past: np.ndarray | None = None,
        clips: Sequence[object] | None = None,
    ) -> None:
        self.student = student
        self.plain = plain
        self.teacher = teacher
        self.teacher_past = teacher_past
        self.clips = clips

    @classmethod
    @takes_tensors
    def from_estimator(
        cls,
        estimator: BaseEstimator | Mapping[str, BaseEstimator],
        X_past: ArrayLike,
        X_future: ArrayLike | None = None,
        *,
        plain: BaseEstimator | None = None,
        clip: int | Sequence[int] = 0,
        teacher_past: bool = False,
        ax: Sequence[Axes] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the maps of a clip, or of some clips.

        Parameters
        ----------
        estimator : fitted anticipator, or dict of str to fitted anticipators
            The student, or several by name. Of a Pipeline pass the last step, and clips
            that have gone through the steps before it.
        X_past : array-like of shape (n, ..., d)
            Features observed before the actions.
        X_future : array-like of shape (n, ..., d), default=None
            Features of the clips to be anticipated, as the student's `fit` took them.
            None leaves out the teacher's map of them. Of several students it is the
            first teacher that has a map.
        plain : fitted anticipator, default=None
            A student that had no teacher. None leaves it out.
        clip : int or sequence of int, default=0
            Row of the clip to show; of several, each has a row of the picture.
        teacher_past : bool, default=False
            Whether to show the teacher's map of the past clip too.
        ax : sequence of matplotlib Axes, default=None
            One for each panel. None makes a figure of fitting size.
        **kwargs
            Further arguments of `plot`.

        Returns
        -------
        display : AttentionMapDisplay

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        TypeError
            If a student or the plain student has no feature map, or a clip is no whole
            number.
        ValueError
            If the teacher is to be shown but no student has one, or none with a feature
            map; if `X_future` has not one row for each of `X_past`, a clip has no
            future or is no row, or there is no student or no clip.
        """
        n = _num_samples(X_past)
        check_aligned(n, "X_past", X_past=X_past, X_future=X_future)
        named = estimator if isinstance(estimator, Mapping) else {"": estimator}
        rows = [clip] if np.ndim(clip) == 0 else list(clip)  # type: ignore[arg-type]  # it has an axis
        refuse_truths(rows, "clip")
        for row in rows:
            check_scalar(row, "clip", Integral, min_val=-n, max_val=n - 1)
        if not named or not rows:
            raise ValueError(
                "AttentionMapDisplay needs at least one student and one clip, got "
                f"{len(named)} and {len(rows)}."
            )
        past = _safe_indexing(X_past, rows)

        def shown(estimator, clips):
            maps = _magnitudes(estimator, clips)
            return maps[0] if np.ndim(clip) == 0 else maps

        students = {name: shown(_student(one), past) for name, one in named.items()}
        is_asked = X_future is not None or teacher_past
        teacher = _teacher_of([*named.values()]) if is_asked else None
        display = cls(
            students if isinstance(estimator, Mapping) else students[""],
            None if plain is None else shown(_student(plain), past),
            None if X_future is None else shown(teacher, _futures(X_future, rows)),
            teacher_past=shown(teacher, past) if teacher_past else None,
            clips=None if np.ndim(clip) == 0 else rows,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Sequence[Axes] | None = None,
        *,
        cmap: str | Colormap = "viridis",
        colorbar: bool = True,
    ) -> Self:
        """Draw one panel for each map.

        A map over time is a strip of steps, a map over space an image, a map over both
        a row of images, one a step. Padding is grey.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            One for each panel. None makes a figure of fitting size.
        cmap : str or matplotlib Colormap, default="viridis"
            Colours from the smallest length shown to the largest one.
        colorbar : bool, default=True
            Whether to draw the scales of the colours.

        Returns
        -------
        self
        """
        plt = import_pyplot()
        panels = self._panels()
        if ax is None:
            axes = new_axes(plt, panels, self.clips, colorbar)
        else:
            axes = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(axes) != len(panels):
            raise ValueError(
                f"ax must hold one Axes for each of the {len(panels)} panels, got "
                f"{len(axes)}."
            )
        cmap = plt.get_cmap(cmap).with_extremes(bad="0.85")
        self.axes_, self.figure_ = axes, axes[0].figure
        self.ims_ = [
            draw_map(axis, grid, cmap=cmap, title=title)
            for axis, (title, _, grid) in zip(axes, panels, strict=True)
        ]
        for group in dict.fromkeys(group for _, group, _ in panels):
            members = [k for k, panel in enumerate(panels) if panel[1] == group]
            self._share_colours(members, colorbar)
        if self.clips is not None:
            self._name_clips()
        return self

    def _panels(self):
        """Title, group and map of each panel, clip by clip."""
        several = isinstance(self.student, Mapping)
        students = self.student if several else {"student": self.student}
        columns = [
            *((f"past, {name}", "students", maps) for name, maps in students.items()),
            ("past, plain student", "students", self.plain),
            ("past, teacher", "teacher", self.teacher_past),
            ("future, teacher", "teacher", self.teacher),
        ]
        columns = [
            (wrapped(title, 24), group, self._by_clip(maps, title))
            for title, group, maps in columns
            if maps is not None
        ]
        return [
            ("" if r else title, group, maps[r])
            for r in range(1 if self.clips is None else len(self.clips))
            for title, group, maps in columns
        ]

    def _name_clips(self):
        """Names before the rows, steps below the last one."""
        rows = np.reshape(self.axes_, (len(self.clips), -1))
        for name, ax in zip(self.clips, rows[:, 0], strict=True):
            ax.set_ylabel(f"clip {name}")
        for ax in rows[:-1].flat:
            ax.set(xlabel="", xticks=[])

    def _by_clip(self, maps, title):
        """Maps with their axis of clips.   -> (R, *grid)."""
        maps = np.asarray(maps, dtype=float)
        if self.clips is None:
            return maps[None]
        if len(maps) != len(self.clips) or not len(maps):
            raise ValueError(
                f"The maps of {title!r} are {len(maps)}, but clips names "
                f"{len(self.clips)}: give a map of each clip, and one clip at least."
            )
        return maps

    def _share_colours(self, members, colorbar):
        """Give the images of a group one scale, and draw it once."""
        images = [self.ims_[k] for k in members]
        values = np.concatenate([im.get_array().compressed() for im in images])
        for image in images:
            image.set_clim(values.min(), values.max())
        if colorbar:
            self._draw_scale(images[0], [self.axes_[k] for k in members])

    def _draw_scale(self, image, axes):
        """Draw a scale of colours beside axes, equally thick beside few and many."""
        edges = np.array([ax.get_window_extent().extents for ax in axes])
        width, height = (edges[:, 2:].max(0) - edges[:, :2].min(0)) / self.figure_.dpi
        bar = self.figure_.colorbar(
            image, ax=axes, label="length", fraction=0.2 / width, aspect=height / 0.15
        )
        bar.outline.set_visible(False)


def _student(estimator):
    """Return the estimator, if it is fitted and has a map."""
    if not hasattr(estimator, "feature_map"):
        raise TypeError(
            f"{type(estimator).__name__} has no feature_map, which AttentionMapDisplay "
            "shows: pass a fitted anticipator. Of a Pipeline pass the last step, with "
            "clips transformed by the steps before it (pipeline[:-1].transform)."
        )
    check_is_fitted(estimator)
    return estimator


def _teacher_of(students):
    """The first teacher with a map."""
    teachers = [getattr(student, "teacher_", None) for student in students]
    teachers = [teacher for teacher in teachers if teacher is not None]
    if not teachers:
        raise ValueError(
            f"{type(students[-1]).__name__} was fitted without a teacher, so nobody "
            "has a map of X_future: leave X_future and teacher_past out, or fit a "
            "DistilledAnticipator with X_future_unlabeled."
        )
    for teacher in teachers:
        if has_map(teacher):
            return teacher
    raise ValueError(
        f"The teacher, {type(teachers[-1]).__name__}, has no feature_map: leave "
        "X_future and teacher_past out, or use a RecognitionTeacher."
    )


def _futures(X_future, rows):
    """Futures of some clips, which must be there.   -> (R, ..., d)."""
    futures = _safe_indexing(X_future, rows)
    for row, future in zip(rows, np.asarray(futures, dtype=float), strict=True):
        if np.isnan(future).all():
            raise ValueError(
                f"Clip {row} has no future (its row of X_future is all NaN): show "
                "another clip, or leave X_future out."
            )
    return futures


def _magnitudes(estimator, clips):
    """Lengths of the vectors of maps on their grid.   (R, ..., d) -> (R, *grid)."""
    transforms, last = split_transforms(estimator)
    rows = check_clips(clips, name="X", estimator=last, reset=False)
    lengths = np.linalg.norm(compute_maps(estimator, rows), axis=-1)  # (R, N)
    spec = getattr(last, "network_spec_", None)
    seen = seen_by_last_step(transforms, rows)
    grid = None if spec is None else spec.map_shape(seen.shape[1:])
    return lengths if grid is None else lengths.reshape(len(lengths), *grid)
