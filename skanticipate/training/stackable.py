"""Which trainings can be one, and how many of them are worth it."""

import math

import torch
from torch import nn

from skanticipate.networks.base import NetworkSpec
from skanticipate.networks.delays import RandomDelay
from skanticipate.networks.stacked import is_leaf
from skanticipate.training.batches import BatchReader
from skanticipate.training.optimizers import SGD, Adam, AdamW
from skanticipate.training.step import GradientStep

# Bytes of the numbers that a step works on: of all models together, and of one beyond
# which its products take longer than all the rest.
_CACHE, _LARGE = 32 << 20, 4 << 20
_WIDEST = 64


def kind_of(training):
    """What trainings share that can be one; None if this one has to be alone.

    Networks of one spec are meant: what modules do not print is not compared.

    Parameters
    ----------
    training : Training
        Prepared, and not begun.
    """
    step, state = training.step, training.state
    if type(step) is not GradientStep or type(step.take_batch) is not BatchReader:
        return None
    reader, objective = step.take_batch, step.objective.kind
    known = type(reader.spec).crop in (NetworkSpec.crop, RandomDelay.crop)
    plain = known and reader.take_futures is None and step.precision is None
    if not (plain and objective and _stacks(reader.spec, state)) or state.history:
        return None
    return (
        str(state.network),
        type(state.optimizer),
        reader.compute,
        reader.rows.shape[1:],
        objective,
        training.checkpoint and training.checkpoint.kind,
    )


def _stacks(spec, state):
    """Whether a stack computes what a network of a spec computes."""
    network = state.network
    weights = list(network.named_parameters(remove_duplicate=False))
    return (
        spec.stacks
        and not spec.uses_global_rng
        and not hasattr(network, "begin_epoch")
        and type(state.optimizer) in (SGD, Adam, AdamW)
        and len(weights) == len(state.optimizer.parameters)  # none twice, none beside
        and _is_known(network)
    )


def _is_known(module):
    """Whether all that holds weights, or anything else, is a leaf that stacks."""
    if is_leaf(module):
        return True
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return not own and all(map(_is_known, module.children()))


def usual_width(training):
    """How many trainings like this one are worth being one, by the size of a step.

    Small products cost more to start than to compute, so many of them pay; the numbers
    of a step of large ones would leave the cache. Each has the clips of its batch: of
    large ones there shall not be several.
    """
    network, reader = training.state.network, training.step.take_batch
    n_weights = sum(weight.numel() for weight in training.state.optimizer.parameters)
    batch = len(next(iter(an_epoch(training))))
    n_values = batch * _values_of_a_clip(network, reader)
    n_bytes = 4 * (4 * n_weights + 2 * n_values)
    clip_bytes = 4 * batch * math.prod(reader.rows.shape[1:])
    return (
        1 if max(n_bytes, clip_bytes) > _LARGE else int(min(_CACHE // n_bytes, _WIDEST))
    )


@torch.inference_mode()
def _values_of_a_clip(network, reader):
    """Numbers that the layers of a network make of a clip."""
    made = []

    def note(module, inputs, output):
        if isinstance(module, nn.RNNBase):
            gates = 6 if isinstance(module, nn.LSTM) else 5
            made.append(gates * module.num_layers * output[0].numel())
        elif next(module.parameters(recurse=False), None) is not None:
            made.append(output.numel())

    hooks = [m.register_forward_hook(note) for m in network.modules()]
    try:
        network.eval()(reader.take_clips(torch.zeros(1, dtype=torch.int64)))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(made)


def an_epoch(training):
    """Batches as long as those of every epoch."""
    return training.draw(torch.Generator().manual_seed(0))
