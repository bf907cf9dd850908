"""What every network has in common: the spec, its output, dropout, initial weights."""

import math
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from skanticipate._typing import Shape
from skanticipate.data.docs import filled
from skanticipate.data.layout import hint_channels_first
from skanticipate.data.padded import ends_of, hint_padding, hint_trailing_padding
from skanticipate.data.parameters import check_own
from skanticipate.data.rows import RowView
from skanticipate.data.whole_numbers import hint_whole_numbers
from skanticipate.networks.inputs import code_shape
from skanticipate.networks.output import Output as Output
from skanticipate.networks.pretrained import WEIGHTS_PARAGRAPH, brief_where_printed
from skanticipate.networks.stepping import Stepper


class NetworkSpec(BaseEstimator):
    """Description of a network: a scikit-learn estimator that can build it.

    Being an estimator, its parameters are keys of a grid search
    (``network__hidden_size``). To bring a network of your own, derive from this class
    and write `build`. One with a parameter `weights` starts from pre-trained weights as
    ours do, of which nothing need be known in `build`; ``{weights}`` in the docstring
    of a subclass stands for what the parameter may be.

    Attributes
    ----------
    uses_global_rng : bool
        Whether initial weights or dropout draw from torch's global stream, as most
        modules do. Such networks are built and trained one at a time, in a forked and
        seeded copy of that stream. Our own networks set it to False: they draw from
        generators only, and give the same bits in threads and processes.
    fixed_shape : bool
        Whether all clips must have the shape seen in fit. False means that the number
        of steps may differ.
    crops_at_random : bool
        Whether `crop` draws from its generator, so that no two epochs see the same
        clips.
    crops_futures : bool
        Whether a `crop` at random cuts futures too. False means that it leaves them as
        they are, so that a teacher's maps of them can be kept.
    stacks : bool
        Whether networks of this spec can be trained together as one: weights lie in
        linear layers, embeddings, norms and recurrent layers of torch, which are called
        as modules, and all else takes the rows of a batch one by one.
    loaded_ : list of str
        After a fit that began with `weights`: the names of what was loaded, among those
        of ``network_.state_dict()``.
    past_weight : float
        Weight of the loss of the labels that the steps of a clip have. Where it is
        positive and steps have labels (`y_past` of shape (n, T)), the attribute
        `scores_past` of the module is set to True, and in training its `Output` must
        hold `past_logits`.

    Examples
    --------
    >>> from torch import nn
    >>> from skanticipate import NetworkSpec, Output, SmoothedAnticipator
    >>> class Linear(nn.Linear):
    ...     def forward(self, clips):  # (B, d) -> logits (B, 1, C)
    ...         return Output(super().forward(clips).unsqueeze(1))
    >>> class LinearSpec(NetworkSpec):
    ...     def build(self, input_shape, n_classes, *, generator):
    ...         return Linear(*input_shape, n_classes)
    >>> model = SmoothedAnticipator(LinearSpec(), max_epochs=2, random_state=0)
    >>> model.fit([[0.0, 1.0], [1.0, 0.0]], ["cut", "wash"]).network_
    Linear(in_features=2, out_features=2, bias=True)
    """

    uses_global_rng = True
    fixed_shape = True
    crops_futures = True
    stacks = False
    past_weight = 0.0
    _maps_only = False  # whether clips are always maps (n, l, h, w, d)
    _only_for_fit = ("weights",)  # which predictions do not depend on
    _by_place = False  # whether the place of a step counts, with a single stage too
    _any_length = False  # whether a graph of it takes clips of any number of steps
    _stepper: type[Stepper] | None = (
        None  # kind of `Stepper`, of networks that can read step by step
    )
    _looks = "its spec does not say how it goes on from the step before"

    def __init_subclass__(cls, **options):
        """Complete the docstring of a subclass."""
        super().__init_subclass__(**options)
        if cls.__doc__ is not None:
            cls.__doc__ = filled(cls.__doc__, "{weights}", WEIGHTS_PARAGRAPH)
        if "build" in vars(cls):  # what is inherited was said of another network
            for name in {"_stepper", "_looks"} - vars(cls).keys():
                setattr(cls, name, getattr(NetworkSpec, name))

    @classmethod
    @cache
    def _get_param_names(cls):
        """As scikit-learn has it, which reads the signature at every call."""
        return super()._get_param_names()

    def _validate_params(self):
        check_own(self)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the spec.

        Parameters
        ----------
        deep : bool, default=True
            Whether to give those of a head too, as ``head__actions``.

        Returns
        -------
        dict
        """
        params = super().get_params(deep)
        has_arrays = isinstance(params.get("weights"), Mapping)
        return brief_where_printed(params) if has_arrays else params

    def __sklearn_clone__(self):
        """Clone everything but a mapping of weights, which a search must not copy."""
        if not isinstance(getattr(self, "weights", None), Mapping):
            return super().__sklearn_clone__()
        params = self.get_params(deep=False)
        weights = params.pop("weights")
        params = {name: clone(value, safe=False) for name, value in params.items()}
        return type(self)(weights=weights, **params)

    def build(
        self, input_shape: Shape, n_classes: int, *, generator: torch.Generator
    ) -> nn.Module:
        """Build the network with initial weights drawn from `generator`.

        Parameters
        ----------
        input_shape : tuple
            What `input_shape_of` gave: the shape of one clip.
        n_classes : int
            Number of classes C.
        generator : torch.Generator
            The source of every random number of the initial weights.

        Returns
        -------
        torch.nn.Module
            Maps clips (B, ...), NaN in padding steps, to `Output`. One that
            learns in phases may have a method ``begin_epoch(epoch, max_epochs)``, which
            is called before each epoch of training with the number of epochs done, and
            a number ``n_preparing`` of epochs of which early stopping keeps none.
        """
        raise NotImplementedError(f"{type(self).__name__} does not write build().")

    def parts_of(self, network: nn.Module) -> list[tuple["NetworkSpec", nn.Module]]:
        """Specs whose `weights` are loaded, and the modules that they built, in order.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` gave.

        Returns
        -------
        list of (NetworkSpec, torch.nn.Module)
            The spec itself, after those of other specs that it is made of.
        """
        return [(self, network)]

    def rename_weights(self, names: list[str]) -> Sequence[str | None]:
        """Names in the network of pre-trained weights that others named.

        Parameters
        ----------
        names : list of str
            Names of arrays in `weights`, without a common prefix.

        Returns
        -------
        list of str or None
            A name in ``state_dict()`` for each; None for those of other layers, of
            which no warning is due. Names as they are, unless a spec says otherwise.
        """
        return names

    def for_futures(self) -> Self:
        """Copy of the spec for clips of the action itself, as a teacher sees them.

        They are read to their end in training too, and their steps have no labels.
        """
        about_the_past = {"random_delay": 0, "past_weight": 0.0}
        own = about_the_past.keys() & self.get_params(deep=False).keys()
        return clone(self).set_params(**{name: about_the_past[name] for name in own})

    def input_shape_of(self, rows: RowView) -> Shape:
        """What `build` must know of the input: the shape of one clip.

        For specs with an `embedding` the last entry holds the sizes of its tables. Of
        features that look laid out in another way than they are read, it warns.
        """
        codes = getattr(self, "embedding", None) is not None
        shape = code_shape(rows) if codes else tuple(rows.shape[1:])
        if not codes and rows.dtype.kind in "iu":
            hint_whole_numbers(rows, may_embed=hasattr(self, "embedding"))
        if rows.ndim > 2 and not codes:  # else no axes could be meant otherwise
            hint_channels_first(rows, always_maps=self._maps_only)
        self._told_padding_ = self._hint_padding(rows)
        return shape

    def _hint_padding(self, rows, name="", *, is_new=False):
        """Warn of odd padding, unless that of the fit was told of; say if so."""
        if rows.ndim < 3 or getattr(self, "_told_padding_", False):
            return False
        codes, ends = getattr(self, "embedding", None) is not None, ends_of(rows)
        told = hint_padding(rows, name, codes=codes, ends=ends)
        goes_by_place = self.fixed_shape or self._by_place
        if goes_by_place or len(self.stage_times()) > 1:
            is_new &= goes_by_place  # a stage may be asked before all is seen
            who = type(self).__name__
            told |= hint_trailing_padding(rows, who, ends, codes=codes, is_new=is_new)
        return told

    def see_classes(self, classes: np.ndarray) -> None:
        """Take note of the labels of the scores before `build`, if they matter.

        For specs with a `head` it is fitted on them.
        """
        if getattr(self, "head", None) is not None:
            self.head_ = clone(self.head).fit(classes)

    @property
    def crops_at_random(self) -> bool:
        """Whether `crop` draws from its generator."""
        return False

    def crop(
        self, past: Tensor, future: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Cut the clips of a training batch to what the network reads.

        Past and future are cut at the same place, so that they go on showing the same
        part of the scene. Prediction does not call this: the network itself reads the
        middle of clips that were not cut.

        Parameters
        ----------
        past : torch.Tensor of shape (B, ...)
            The clips before the actions.
        future : torch.Tensor of shape (B, ...) or None
            The clips of the actions, where a teacher sees them.
        generator : torch.Generator
            The source of random places.

        Returns
        -------
        past, future : torch.Tensor
        """
        return past, future

    def map_shape(self, clip_shape: Shape) -> tuple[int, ...] | None:
        """Grid of the feature map of a clip: N, written as its axes.

        Parameters
        ----------
        clip_shape : tuple
            Shape of one clip, channels last.

        Returns
        -------
        tuple of int or None
            None where the spec does not say.
        """
        return None

    def stepper(self, network: nn.Module) -> Stepper:
        """What reads a clip step by step, for `stream`.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` gave, trained, in evaluation mode.

        Returns
        -------
        Stepper

        Raises
        ------
        ValueError
            If the network cannot, or does not go on from what it was at the step
            before.
        """
        if self._stepper is None:
            raise ValueError(
                f"{type(self).__name__} cannot read a stream: {self._looks}. LSTM "
                "(with cell='gru' too), RULSTM, ModalityAttention, FrameMLP and "
                "AVTHead can; of others call predict_proba for the clip so far."
            )
        n_stages = len(self.stage_times())
        return self._stepper(network, self.answering_stage(), n_stages)

    def stage_times(self) -> np.ndarray:
        """Anticipation time of each stage in seconds, NaN where it is not known."""
        return np.array([np.nan])

    def answering_stage(self) -> int:
        """Index of the stage that `predict_proba` reports."""
        return len(self.stage_times()) - 1


class Dropout(nn.Module):
    """Dropout whose random numbers come from a generator that the loop lends.

    Parameters
    ----------
    p : float
        Share of the values set to zero in training; the others grow by 1 / (1 - p).
    """

    def __init__(self, p):
        super().__init__()
        self.p = p
        self.generator = None

    def __call__(self, x):
        """Drop values in training, pass them in evaluation."""
        if not self.training or self.p == 0:  # the call of a module takes longer
            return x
        return super().__call__(x)

    def forward(self, x):
        """Drop values."""
        # In the order of the axes, however x lies in memory: a batch with padding comes
        # in another order than one without.
        keep = x.new_empty(x.shape).bernoulli_(1 - self.p, generator=self.generator)
        return x * keep.div_(1 - self.p)

    def extra_repr(self):
        """Show p in the printed network."""
        return f"p={self.p}"


@contextmanager
def lend_generator(network, generator):
    """Let every `Dropout` of the network draw from `generator` for a while."""
    dropouts = [m for m in network.modules() if isinstance(m, Dropout)]
    for module in dropouts:
        module.generator = generator
    try:
        yield
    finally:
        for module in dropouts:
            module.generator = None


def initialize(module, generator):
    """Draw initial weights from `generator`.

    The modules come from `skip_init`, so that building them draws nothing from torch's
    global stream. The distributions are torch's defaults, and the same seed gives the
    weights that plain torch gives; a module of ours that starts otherwise says so in
    `start`. They are drawn in float32 whatever torch's default type is: in another one
    the same seed would give others.
    """
    dtype = torch.get_default_dtype()
    if dtype != torch.float32:
        module.float()
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv3d)):
            nn.init.kaiming_uniform_(part.weight, a=math.sqrt(5), generator=generator)
            if part.bias is not None:
                _uniform(part.bias, part.weight[0].numel(), generator)
        elif isinstance(part, nn.RNNBase):
            for weight in part.parameters():
                _uniform(weight, part.hidden_size, generator)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, generator=generator)
        elif isinstance(part, (nn.LayerNorm, nn.GroupNorm, _BatchNorm)):
            part.reset_parameters()  # ones and zeros
        elif next(part.parameters(recurse=False), None) is not None:
            raise TypeError(f"No initial weights are defined for {type(part)}.")
    for part in module.modules():
        if hasattr(part, "start"):
            part.start()
    return module.double() if dtype == torch.float64 else module


def _uniform(weight, fan, generator):
    bound = 1 / math.sqrt(fan)
    nn.init.uniform_(weight, -bound, bound, generator=generator)
