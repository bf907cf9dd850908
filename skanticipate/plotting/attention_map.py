"""AttentionMapDisplay: where the feature maps of student and teacher are strong."""

from numbers import Integral

import numpy as np
from sklearn.utils import _safe_indexing, check_scalar
from sklearn.utils.validation import _num_samples, check_is_fitted

from skanticipate.data.names import check_rows_alike
from skanticipate.data.validation import check_clips, check_same_length
from skanticipate.plotting._pyplot import import_pyplot
from skanticipate.signals.asking import seen_by_last_step, split_transforms
from skanticipate.signals.maps import compute_maps, has_map


class AttentionMapDisplay:
    """Length of the feature vectors at each position of one clip.

    Where a map is strong is what the network attends to. The picture shows it for the
    past clip under the student, and for comparison under a student that had no
    teacher; and for the future clip under the teacher. The two past panels share one
    scale of colours, the future panel has its own.

    Create it with `AttentionMapDisplay.from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    student : ndarray of shape (T,), (h, w) or (l, h, w)
        Euclidean length of the student's feature vectors of the past clip, on the grid
        of its map; NaN at positions of padding steps.
    plain : ndarray of the same kind, default=None
        The same of a student without teacher.
    teacher : ndarray of the same kind, default=None
        The same of the teacher's map of the future clip.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
        One for each panel: student, plain student, teacher, where they are given.
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
    """

    def __init__(self, student, plain=None, teacher=None):
        self.student = student
        self.plain = plain
        self.teacher = teacher

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X_past,
        X_future=None,
        *,
        plain=None,
        clip=0,
        ax=None,
        **kwargs,
    ):
        """Plot the maps of one clip.

        Parameters
        ----------
        estimator : fitted anticipator
            The student. Of a Pipeline pass the last step, and clips that have gone
            through the steps before it.
        X_past : array-like of shape (n, ..., d)
            Features observed before the actions.
        X_future : array-like of shape (n, ..., d), default=None
            Features of the clips to be anticipated, as the student's `fit` took them.
            None leaves out the teacher.
        plain : fitted anticipator, default=None
            A student that had no teacher. None leaves it out.
        clip : int, default=0
            Row of the clip to show.
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
            If the student or the plain student has no feature map, or `clip` is no
            whole number.
        ValueError
            If `X_future` is given but the student has no teacher, or one without a
            feature map, or has not one row for each of `X_past`; or if the clip has no
            future, or is no row.
        """
        check_rows_alike(X_past=X_past, X_future=X_future)
        n = _num_samples(X_past)
        check_same_length(n, "X_past", X_future=X_future)
        check_scalar(clip, "clip", Integral, min_val=-n, max_val=n - 1)
        past = _safe_indexing(X_past, [clip])
        teacher = None
        if X_future is not None:
            future = _clip_with_future(X_future, clip)
            teacher = _magnitudes(_teacher_of(estimator), future)
        display = cls(
            _magnitudes(_student(estimator), past),
            None if plain is None else _magnitudes(_student(plain), past),
            teacher,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, cmap="viridis", colorbar=True):
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
            axes = _new_axes(plt, [np.asarray(m).shape for _, _, m in panels], colorbar)
        else:
            axes = list(np.ravel(ax))
        if len(axes) != len(panels):
            raise ValueError(
                f"ax must hold one Axes for each of the {len(panels)} panels, got "
                f"{len(axes)}."
            )
        cmap = plt.get_cmap(cmap).with_extremes(bad="0.85")
        self.axes_, self.figure_ = axes, axes[0].figure
        self.ims_ = [
            _draw_map(axis, np.asarray(grid, dtype=float), cmap=cmap, title=title)
            for axis, (title, _, grid) in zip(axes, panels, strict=True)
        ]
        for group in dict.fromkeys(group for _, group, _ in panels):
            members = [k for k, panel in enumerate(panels) if panel[1] == group]
            self._share_colours(members, colorbar)
        return self

    def _panels(self):
        """Title, group and map of each panel that is given."""
        panels = [
            ("past, student", "past", self.student),
            ("past, plain student", "past", self.plain),
            ("future, teacher", "future", self.teacher),
        ]
        return [panel for panel in panels if panel[2] is not None]

    def _share_colours(self, members, colorbar):
        """Give the images of a group one scale, and draw it once."""
        images = [self.ims_[k] for k in members]
        values = np.concatenate([im.get_array().compressed() for im in images])
        for image in images:
            image.set_clim(values.min(), values.max())
        if colorbar:
            bar = self.figure_.colorbar(
                images[0], ax=[self.axes_[k] for k in members], label="length"
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


def _teacher_of(estimator):
    teacher = getattr(_student(estimator), "teacher_", None)
    if teacher is None:
        raise ValueError(
            f"{type(estimator).__name__} was fitted without a teacher, so nobody has a "
            "map of X_future: leave X_future out, or fit a DistilledAnticipator with "
            "X_future_unlabeled."
        )
    if not has_map(teacher):
        raise ValueError(
            f"The teacher, {type(teacher).__name__}, has no feature_map: leave "
            "X_future out, or use a RecognitionTeacher."
        )
    return teacher


def _clip_with_future(X_future, clip):
    """Future of one clip, which must be there.   -> (1, ..., d)."""
    future = _safe_indexing(X_future, [clip])
    if np.isnan(np.asarray(future, dtype=float)).all():
        raise ValueError(
            f"Clip {clip} has no future (its row of X_future is all NaN): show another "
            "clip, or leave X_future out."
        )
    return future


def _magnitudes(estimator, clip):
    """Lengths of the vectors of a map on its grid.   (1, ..., d) -> (*grid)."""
    transforms, last = split_transforms(estimator)
    rows = check_clips(clip, name="X", estimator=last, reset=False)
    lengths = np.linalg.norm(compute_maps(estimator, rows)[0], axis=-1)  # (N,)
    spec = getattr(last, "network_spec_", None)
    seen = seen_by_last_step(transforms, rows)
    grid = None if spec is None else spec.map_shape(seen.shape[1:])
    return lengths if grid is None else lengths.reshape(grid)


def _new_axes(plt, shapes, colorbar):
    """One axes a panel: side by side, or below each other where they are wide."""
    heights, widths = zip(*map(_mosaic_shape, shapes), strict=True)
    wide = max(widths) > 2 * max(heights)
    n_rows, n_columns = (len(shapes), 1) if wide else (1, len(shapes))
    if wide:  # cells of a short strip shall not be huge
        cell = min(8 / max(widths), 2.6 / max(4, *heights))
    else:
        cell = 2.6 / max(*heights, *widths)
    size = (
        n_columns * cell * max(widths) + 1.2 * colorbar + 0.6,
        n_rows * (cell * max(heights) + 0.9) + 0.2,
    )
    _, axes = plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, layout="constrained"
    )
    return list(axes.ravel())


def _mosaic_shape(shape):
    """Rows and columns of the image of a grid."""
    if not 1 <= len(shape) <= 3:
        raise ValueError(
            f"A map has one to three axes, time first, got a grid of {shape}."
        )
    if len(shape) == 1:
        return 1, shape[0]
    if len(shape) == 2:
        return shape
    steps, height, width = shape
    return height, steps * width


def _draw_map(ax, grid, *, cmap, title):
    """Draw a grid as an image; the images of its steps side by side."""
    image = np.moveaxis(grid, 0, -2) if grid.ndim == 3 else grid  # (h, l, w)
    image = image.reshape(_mosaic_shape(grid.shape))
    im = ax.imshow(np.ma.masked_invalid(image), cmap=cmap, interpolation="nearest")
    ax.set(title=title, yticks=[], anchor="W")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    n_steps = 0 if grid.ndim == 2 else len(grid)
    width = image.shape[1] / max(n_steps, 1)
    ax.set_xticks(width * (np.arange(n_steps) + 0.5) - 0.5, range(1, n_steps + 1))
    for step in range(1, n_steps):
        ax.axvline(step * width - 0.5, color="white", linewidth=3)
    if n_steps:
        ax.set_xlabel("step")
    return im
