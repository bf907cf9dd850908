"""K trainings of one architecture as one: a batch of each at every step.

Weights and moments of the optimisers lie in common tensors (K, ...), of which those of
each model are views: who looks at a model between two epochs finds it as if it trained
alone. Models whose order is shorter rest at the end of an epoch, and who has stopped,
finished or gone astray leaves the stack after it.
"""

import copy
from numbers import Real

import torch
from torch import nn

from skanticipate.networks.base import lend_generator
from skanticipate.networks.stacked import StackedDropout, stacked
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import Batch
from skanticipate.training.loop import end as end_training
from skanticipate.training.loop import end_epoch, set_lr
from skanticipate.training.stackable import an_epoch
from skanticipate.training.stacked_batches import StackedReader, runs_of
from skanticipate.training.stacked_checkpoint import checkpoint_of
from skanticipate.training.step import (
    Diverged,
    StackedSums,
    clipped,
    gradients_of,
    max_norms_of,
)


def run_together(trainings):
    """Train all to the end, and keep the best weights of each.

    Parameters
    ----------
    trainings : list of K Training
        Of one kind; their states are changed in place.

    Returns
    -------
    list of K
        None, or the ValueError that ended this training.
    """
    checkpoint = checkpoint_of(trainings)
    with checkpoint.held():
        staying, errors = checkpoint.resume()
        while staying:
            stack = Stack(staying)
            while not (done := stack.epoch()):
                stack.settle()
                checkpoint.note(stack.trainings, errors)
            stack.dissolve()
            for training, error in done.items():
                errors[training] = error or _end(training)
            staying = [training for training in stack.trainings if training not in done]
            if staying:
                checkpoint.note(staying, errors)
        checkpoint.finish(errors)
    return [errors[training] for training in trainings]


def _left(state, error):
    """What is left of an error where the best weights are to be kept: None."""
    try:
        state.go_astray(error)
    except Diverged:
        return error
    return None


def _end(training):
    try:
        end_training(training.state)
    except ValueError as error:
        return error
    return None


class Stack:
    """Trainings side by side.

    Parameters
    ----------
    trainings : list of K Training
        Of one kind and one epoch, none of them finished.
    """

    def __init__(self, trainings):
        self.trainings = sorted(trainings, key=_places_in_stack(trainings))
        states = [training.state for training in self.trainings]
        steps = [training.step for training in self.trainings]
        self.weights, self.moments = _join_optimizers([s.optimizer for s in states])
        self.network = stacked(states[0].network).train()
        self.owners = [
            (part, name)
            for part in self.network.modules()
            for name, weight in part._parameters.items()
            if weight is not None
        ]
        self.objective = Objective.stack([step.objective for step in steps])
        self.reader = StackedReader([step.take_batch for step in steps])
        self.max_norms = max_norms_of(steps)
        self.learned = self.objective.terms[0].has  # samples (N,); None: all of them
        # Else a model may miss a step, and no other does what it does.
        certain = self.learned is None
        settings = [repr(_settings(t)) if certain else id(t) for t in self.trainings]
        self.alike = runs_of(settings)
        self.scheduled = any(state.schedule is not None for state in states)
        self.bound, self.optimizers = {}, {}
        self.now = None  # models whose weights the modules hold

    def epoch(self):
        """Train all for an epoch.   -> {Training that is done: its error or None}."""
        batches = [t.draw(t.state.generators["shuffle"]) for t in self.trainings]
        orders, sizes = [b.order for b in batches], [b.size for b in batches]
        lengths = [len(order) for order in orders]
        numbers = torch.zeros(len(orders), max(lengths), dtype=torch.int64)  # samples
        for row, order, start in zip(numbers, orders, self.reader.starts, strict=True):
            row[: len(order)] = order + start
        self.reader.note_alike(orders)
        names = [term.name for term in self.objective.terms]
        sums = StackedSums([len(b) for b in batches], names)
        keys = (
            (start, samples)
            for step in range(max(sums.n_steps))
            for start, _, samples, together in self._parts(step, numbers, batches)
            if together
        )
        with self.reader.ahead(keys, sum(sizes)):
            for step in range(max(sums.n_steps)):
                self._set_rates(step, sums.n_steps)
                for part in self._parts(step, numbers, batches):
                    for a, b, terms in self._steps(*part):
                        sums.put(step, a, b, terms)
        return self._note(sums)

    def _parts(self, step, numbers, batches):
        """Models that make a step on batches of one length, some at a time.

        Yields
        ------
        start, stop : int
            Which models.
        samples : tensor of shape (K, B)
            Their batches.
        together : bool
            Whether they go together. False: they have a step without any signal.
        """
        spans = [
            (step * b.size, min((step + 1) * b.size, len(b.order))) for b in batches
        ]
        for start, stop in runs_of(spans):
            first, last = spans[start]
            if first >= last:
                continue
            samples = numbers[start:stop, first:last]
            if self.learned is None or (told := self.learned[samples].any(1)).all():
                yield start, stop, samples, True
                continue
            for a, b in runs_of(told.tolist()):
                yield start + a, start + b, samples[a:b], bool(told[a])

    def _set_rates(self, step, n_steps):
        if step > 0 and not self.scheduled:
            return
        for training, n in zip(self.trainings, n_steps, strict=True):
            if step < n:
                state = training.state
                set_lr(state, state.epoch + (step + 0.5) / n, training.max_epochs)

    def _note(self, sums):
        """Records of an epoch.   -> {Training that is done: its error or None}."""
        done = {}
        for k, training in enumerate(self.trainings):
            state = training.state
            try:
                means = sums.of_model(k).means(state.epoch + 1)
                end_epoch(training, state.optimizer.lr, means)
            except Diverged as error:
                done[training] = _left(state, error)
            except ValueError as error:
                done[training] = error
            else:
                if state.finished(training.max_epochs):
                    done[training] = None
        return done

    def _steps(self, start, stop, samples, together):
        """Update the weights of some models by batches (K, B).

        Yields
        ------
        start, stop : int
            Models that went together.
        terms : dict
        """
        if together:
            yield start, stop, self._step(start, stop, samples)
            return
        for k in range(start, stop):  # nothing moves its classifier
            yield k, k + 1, self._step_alone(k, samples[k - start])

    def _step(self, start, stop, samples):
        """Update the weights of some models.   -> the terms, as the objective's.

        samples (K, B)
        """
        leaves = self._bind(start, stop)
        clips = self.reader.take(start, samples)
        batch = Batch(samples.flatten(), clips, models=slice(start, stop))
        terms, gradients = gradients_of(self.network, self.objective, batch, leaves)
        with torch.no_grad():
            if self.max_norms is not None:
                gradients = clipped(gradients, self.max_norms[start:stop])
            for head, first, last, end in self._moved_alike(start, stop):
                part = slice(first - start, last - start)
                self._optimizer(head, first, last, end).update(
                    [None if g is None else g[part] for g in gradients]
                )
        return terms

    def _moved_alike(self, start, stop):
        """Runs of models that one call of an optimiser moves.

        Yields
        ------
        head, first, last, end : int
            Models `first` to `last`, of those with the same settings but for the rate.
        """
        rates = [training.state.optimizer.lr for training in self.trainings]
        for head, end in self.alike:
            low, high = max(head, start), min(end, stop)
            if low < high:
                for a, b in runs_of(rates[low:high]):
                    yield head, low + a, low + b, end

    def _step_alone(self, k, samples):
        """Update the weights of one model, as if it trained alone.   -> the terms.

        samples (B,)
        """
        state, step = self.trainings[k].state, self.trainings[k].step
        state.network.train()
        with lend_generator(state.network, state.generators["dropout"]):
            terms = step(samples - self.reader.starts[k])
        return {
            name: (losses.reshape(1), torch.as_tensor(n).reshape(1))
            for name, (losses, n) in terms.items()
        }

    def _optimizer(self, head, first, last, end):
        """Optimiser of models `first` to `last`, with the rate of the moment."""
        own = self.trainings[head].state.optimizer
        if (first, last) not in self.optimizers:
            part = copy.copy(own)
            part.parameters = [weight[first:last] for weight in self.weights]
            for name, values in self.moments.items():
                setattr(part, name, [value[first:last] for value in values])
            self.optimizers[first, last] = part
        optimizer = self.optimizers[first, last]
        optimizer.lr = self.trainings[first].state.optimizer.lr
        optimizer.follow(own, shared=last == end)  # of a step the last one counts
        return optimizer

    def _bind(self, start, stop):
        """Let the modules be those of some models.   -> their weights, as leaves."""
        if self.now == (start, stop):
            return self.bound[start, stop]
        self.now = start, stop
        if (start, stop) not in self.bound:
            leaves = [nn.Parameter(weight[start:stop]) for weight in self.weights]
            self.bound[start, stop] = leaves
        leaves = self.bound[start, stop]
        for (module, name), leaf in zip(self.owners, leaves, strict=True):
            module._parameters[name] = leaf
        for module in self.network.modules():
            if isinstance(module, StackedDropout):
                module.generators = [
                    training.state.generators["dropout"]
                    for training in self.trainings[start:stop]
                ]
        return leaves

    def dissolve(self):
        """Give each model what is its own; the stack is of no more use."""
        self.network, self.owners, self.objective = None, [], None
        self.bound, self.optimizers = {}, {}  # they hold what is freed here
        optimizers = [training.state.optimizer for training in self.trainings]
        _part(self.weights, [o.parameters for o in optimizers])
        for name, stacks in self.moments.items():
            _part(stacks, [getattr(o, name) for o in optimizers])
        self.settle()

    def settle(self):
        """Let each optimiser know how far it is, as if it were alone."""
        for first, last in self.alike:
            head = self.trainings[first].state.optimizer
            for training in self.trainings[first + 1 : last]:
                training.state.optimizer.follow(head)


def _join_optimizers(optimizers):
    """Weights and moments of all in common tensors.   -> list, dict of lists."""
    weights = _join([o.parameters for o in optimizers])
    names = optimizers[0].moments
    return weights, {
        name: _join([getattr(o, name) for o in optimizers]) for name in names
    }


def _join(lists):
    """K lists of tensors (...) as one of tensors (K, ...), of which they are views."""
    stacks = []
    for same in zip(*lists, strict=True):  # one by one, lest all be there twice
        stacks.append(torch.stack([tensor.detach() for tensor in same]))
        for tensor, own in zip(same, stacks[-1], strict=True):
            tensor.data = own
    return stacks


def _part(stacks, lists):
    """Undo `_join`: each tensor has memory of its own, and the common one is freed."""
    for place, same in enumerate(zip(*lists, strict=True)):
        for tensor in same:
            tensor.data = tensor.data.clone()
        stacks[place] = None


def _n_samples(training):
    return len(training.step.take_batch.rows)


def _places_in_stack(trainings):
    """Longest first; neighbours are moved by one call, or read from one array.

    -> key to sort by, which no place in memory decides: it is the same when all of them
    are there again
    """
    numbers = {}
    for training in trainings:
        base = training.step.take_batch.rows.base
        numbers.setdefault(id(base), len(numbers))

    def place(training):
        base = training.step.take_batch.rows.base
        settings, n_steps = _settings(training)
        rate, n_samples = training.state.lr, _n_samples(training)
        return -n_steps, repr(settings), rate, -n_samples, numbers[id(base)]

    return place


def _settings(training):
    """What models share that one call of an optimiser can move, but for the rate."""
    numbers = {
        name: value
        for name, value in vars(training.state.optimizer).items()
        if isinstance(value, Real) and name != "lr"
    }
    return numbers, len(an_epoch(training))
