"""A training divided over ranks: each takes its part of every batch.

Gradients are added up before the weights change, and every mean is one over the whole
batch, so all ranks make the step that one process would make.
"""

from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import torch

from skanticipate.terms.objective import Objective
from skanticipate.training.batches import Batch
from skanticipate.training.step import Diverged, GradientStep


@contextmanager
def divided(training, ranks):
    """Context that gives this rank's part of a training.

    Parameters
    ----------
    training : Training
        Its state is shared with what is given, and begins as that of rank 0. One whose
        step is of another kind is done as a whole on every rank.
    ranks : Ranks
    """
    if type(training.step) is not GradientStep:
        yield training
        return
    state = training.state
    _check_device(state.network, ranks)
    try:
        for module in state.modules.values():
            ranks.copy_first([w.data for w in module.state_dict().values()])
        yield _part(training, ranks)
        _meet(ranks, f"ends after epoch {state.epoch}")
    except Diverged:  # as on all others
        raise
    except BaseException:
        ranks.part_ways()
        raise


def _check_device(network, ranks):
    device = next(network.parameters()).device
    if device.type != ranks.device.type:
        raise ValueError(
            f"The fit is on device {str(device)!r}, and the ranks of data_parallel "
            f"speak by {str(ranks.device)!r}: leave device='auto', or hide the GPUs "
            "with CUDA_VISIBLE_DEVICES= to train on CPUs."
        )


def _meet(ranks, where):
    """See that all ranks come to the same place, or raise on all of them."""
    ranks.agree(
        {"the training": where}, "callbacks must stop it on all of them or on none."
    )


def _part(training, ranks):
    """What this rank does of a training.   -> Training."""
    state, score = training.state, training.score
    seed = state.generators["dropout"].initial_seed()

    def draw(generator):
        _meet(ranks, f"begins epoch {state.epoch + 1}")
        _reseed(state, [seed, state.epoch, ranks.number])
        parts = _Parts(training.draw(generator), ranks)
        return _Epoch(parts, ranks, state.network)

    return replace(
        training,
        step=_PartialStep(training.step, state, ranks),
        draw=draw,
        score=score and (lambda network: ranks.of_first(score(network))),
        checkpoint=_checkpoint(training.checkpoint, ranks),
    )


def _reseed(state, seed):
    """Seed what this rank draws for itself, such as dropout, for an epoch.

    By epoch, so that who goes on from a checkpoint draws the same.
    """
    for k, (name, generator) in enumerate(state.generators.items()):
        if name != "shuffle":
            own = np.random.SeedSequence([*seed, k]).generate_state(1)[0]
            generator.manual_seed(int(own))


class _Parts:
    """The part (B',) of each batch of an epoch that a rank takes; it may be empty."""

    def __init__(self, batches, ranks):
        self.batches, self.ranks = batches, ranks

    @property
    def size(self):
        """Samples of a part, at most."""
        return -(-self.batches.size // self.ranks.n)

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for samples in self.batches:
            yield samples[self.ranks.number :: self.ranks.n]


class _Epoch:
    """The parts, and after the last of them a word with the others."""

    def __init__(self, parts, ranks, network):
        self.parts, self.ranks, self.network = parts, ranks, network

    def __len__(self):
        return len(self.parts)

    def __iter__(self):
        yield from self.parts
        self._share_buffers()

    def _share_buffers(self):
        """Average what the network counts beside its weights, as a batch norm does."""
        for buffer in self.network.buffers():
            if buffer.is_floating_point():
                self.ranks.sum(buffer).div_(self.ranks.n)
            else:
                self.ranks.copy_first([buffer])


class _PartialStep(GradientStep):
    """A step of all ranks, of which each knows its part of the batch."""

    def __init__(self, step, state, ranks):
        objective = _WholeObjective(
            step.objective.terms, step.objective.row_weights, ranks
        )
        super().__init__(
            state,
            _unless_empty(step.take_batch),
            objective,
            max_grad_norm=step.max_grad_norm,
            precision=step.precision,
        )
        self.ranks, self.whole_step = ranks, step

    def reading(self, batches):
        """Region in which this rank's parts of an epoch are read ahead."""
        return self.whole_step.reading(batches.parts)

    def gradients(self, batch):
        """Terms and gradients of the whole batch."""
        if len(batch.samples):
            terms, own = super().gradients(batch)
        else:
            like = self.optimizer.parameters[0]
            terms = self.objective.whole({}, like.new_zeros(()))
            own = [None] * len(self.optimizer.parameters)
        return terms, self._summed(own) if terms else []

    def _summed(self, gradients):
        """Gradients added up over the ranks; None where no rank has one."""
        parameters = self.optimizer.parameters
        sizes = [len(parameters), *(p.numel() for p in parameters)]
        has = [0.0 if gradient is None else 1.0 for gradient in gradients]
        parts = [
            parameter.new_zeros(n) if gradient is None else gradient.reshape(-1)
            for gradient, parameter, n in zip(
                gradients, parameters, sizes[1:], strict=True
            )
        ]
        # One message, as each takes its time.
        message = torch.cat([parameters[0].new_tensor(has), *parts])
        del gradients, parts
        has, *places = self.ranks.sum(message).split(sizes)
        return [
            place.view(parameter.shape) if there else None
            for there, place, parameter in zip(
                has.tolist(), places, parameters, strict=True
            )
        ]


def _unless_empty(take_batch):
    def take(samples):
        return take_batch(samples) if len(samples) else Batch(samples, None)

    return take


# A loss that a network has of its own, as one number of all rows.
_OF_BATCH = "auxiliary, of a batch"


class _WholeObjective(Objective):
    """The objective of the whole batch, and the gradient of this rank's part of it."""

    is_closed = False  # by autograd: sums are known only after the others have spoken

    def __init__(self, terms, row_weights, ranks):
        super().__init__(terms, row_weights)
        self.ranks = ranks

    def __call__(self, output, batch):
        """Terms of the whole batch, whose gradients are those of the part."""
        own, loss = super().__call__(output, batch), output.auxiliary_loss
        if loss is not None and not loss.ndim:  # a mean of the rows
            n_rows = len(batch.samples)
            own[_OF_BATCH] = own.pop("auxiliary")[0] * n_rows, n_rows
        nothing = 0.0 * output.logits.sum()  # for terms without a row of this part
        return self.whole(own, nothing)

    def whole(self, own, nothing):
        """Sums of the terms over the ranks, of which this one has its `own`."""
        names = [*(term.name for term in self.terms), "auxiliary", _OF_BATCH]
        message = torch.zeros(len(names), 2, dtype=torch.float64)
        for numbers, name in zip(message, names, strict=True):
            if name in own:
                numbers[0], numbers[1] = own[name][0].detach(), own[name][1]
        sums = self.ranks.sum(message.to(nothing.device)).tolist()
        found = {}
        for name, (total, count) in zip(names, sums, strict=True):
            if count > 0:
                part, _ = own.get(name, (nothing, 0))
                # The value of the whole, the gradient of the part.
                found[name] = part + (total - part.detach()), count
        if _OF_BATCH in found:
            losses, count = found.pop(_OF_BATCH)
            found["auxiliary"] = losses / count, 1.0
        return found


def _checkpoint(checkpoint, ranks):
    return checkpoint and _OneCheckpoint(checkpoint, ranks)


class _OneCheckpoint:
    """The checkpoint of rank 0, of which the others are told."""

    def __init__(self, checkpoint, ranks):
        self.checkpoint, self.ranks = checkpoint, ranks
        self.writes = ranks.number == 0

    def held(self):
        return self.checkpoint.held() if self.writes else nullcontext()

    def resume(self, state):
        told = None
        if self.writes:
            ended = self.checkpoint.resume(state)
            told = ended, state.end_dict() if ended else state.state_dict()
        ended, kept = self.ranks.of_first(told)
        if not self.writes:
            state.load_end(kept) if ended else state.load_state_dict(kept)
        return ended

    def noted(self, records, training):
        return self.checkpoint.noted(records, training) if self.writes else records

    def finish(self, state):
        if self.writes:
            self.checkpoint.finish(state)
