"""Processes that train one model together: who they are, and how they speak.

Accelerate sets them up and carries what they say. A rank is one of the processes; all
of them run the same script, and must come to the same calls in the same order.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from numbers import Real
from typing import Any

import torch

from skanticipate.data.numbers import Interval
from skanticipate.training.runtime import RANKS

_SHOWN = 40  # characters of a value that ranks disagree about
_TIMEOUT = Interval(Real, 0, None, closed="neither")
_PARTED = (
    "The ranks of data_parallel were parted: another one ended, raised an error of its "
    "own, or did not come in time. Look for its error above, then start all of them "
    "again; with checkpoint, what was done is kept."
)


@contextmanager
def data_parallel(*, timeout: float = 1800.0) -> Iterator[Any]:
    """Region in which one fit is divided over several processes.

    Start the script on each of them with ``torchrun --nproc-per-node 2 script.py`` or
    ``accelerate launch``: every rank holds the whole data, draws the same batches,
    reads its part of each, and all add up their gradients. `batch_size` is that of all
    ranks together, so the fit is that of one process up to rounding, and all ranks end
    with the same weights. Started as a plain script it is one process, which fits as it
    does outside.

    Fits of teachers inside of the fit are divided too. What scikit-learn or `fit_many`
    train otherwise, and predictions, every rank does for itself. Checkpoints and caches
    are written, and lines printed, by rank 0 only.

    Parameters
    ----------
    timeout : float, default=1800.0
        Seconds that a rank waits for the others before it raises an error.

    Yields
    ------
    accelerate.Accelerator
        Whose ``is_main_process`` tells on which rank to save and to print.

    Raises
    ------
    ImportError
        If accelerate is not installed.
    ValueError
        By `fit`, on every rank: if the ranks differ in parameters, labels, shapes or
        seeds, or if one ends its training before the others.
    RuntimeError
        By `fit`, if another rank ended or failed.

    See Also
    --------
    fit_many : Many small fits, on the cores of one machine.

    Notes
    -----
    Dropout and random crops are drawn for each rank from a seed of its own, and a batch
    norm sees the part of its rank, with moments averaged after each epoch: there the
    fit is another one than that of one process, of the same kind. All of them are the
    same again with the same seed and number of ranks.

    The processes talk by gloo on CPUs and by NCCL on GPUs, of which each takes one. On
    a GPU this has not been tried.

    Examples
    --------
    >>> import skanticipate
    >>> from skanticipate import MLP, SmoothedAnticipator
    >>> from skanticipate.datasets import make_kitchen
    >>> kitchen = make_kitchen(random_state=0)
    >>> model = SmoothedAnticipator(MLP(64), max_epochs=2, random_state=0)
    >>> with skanticipate.data_parallel() as accelerator:
    ...     model = model.fit(kitchen.X_past, kitchen.y)
    >>> if accelerator.is_main_process:
    ...     print(accelerator.num_processes, model.n_iter_)
    1 2
    """
    if not _TIMEOUT.is_satisfied_by(timeout):
        raise ValueError(f"timeout must be a positive number, got {timeout!r}.")
    accelerator = _accelerator(timeout)
    if accelerator.num_processes == 1:
        yield accelerator
        return
    if not torch.distributed.is_initialized():
        raise RuntimeError(_PARTED)
    atexit.register(_end_threads, os.getpid())
    ranks = Ranks(accelerator)
    token = RANKS.set(ranks)
    try:
        yield accelerator
    except BaseException:
        ranks.part_ways()
        raise
    finally:
        RANKS.reset(token)


def _end_threads(pid):
    """End the threads of gloo: left to the end of Python, they abort the process.

    Torchrun would take that for a failure, and end the others, one that still saves
    its model too. In a forked child there are none.
    """
    distributed = torch.distributed
    if os.getpid() == pid and distributed.is_initialized():
        if distributed.get_backend() == "gloo":
            distributed.destroy_process_group()


def _accelerator(timeout):
    try:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs
    except ImportError as error:
        raise ImportError(
            'data_parallel needs accelerate: pip install "skanticipate[distributed]".'
        ) from error
    waiting = InitProcessGroupKwargs(timeout=timedelta(seconds=timeout))
    cpu = not torch.cuda.is_available()
    return Accelerator(cpu=cpu, kwargs_handlers=[waiting])


class Ranks:
    """The processes of a region, seen from one of them.

    Parameters
    ----------
    accelerator : accelerate.Accelerator
        Of two processes or more.

    Attributes
    ----------
    number, n : int
        Which rank this is, from 0, and how many there are.
    device : torch.device
        That of this rank.
    """

    def __init__(self, accelerator):
        self.accelerator = accelerator
        self.number, self.n = accelerator.process_index, accelerator.num_processes
        self.device, self.pid = accelerator.device, os.getpid()

    def sum(self, values):
        """Sum of a tensor over all ranks, to the bit the same on each, in its place."""
        with _together():  # accelerate's own `reduce` copies first
            torch.distributed.all_reduce(values)
            return values

    def of_first(self, value):
        """What rank 0 calls with.   -> its value, on every rank."""
        from accelerate.utils import broadcast_object_list

        with _together():
            return broadcast_object_list([value])[0]

    def copy_first(self, tensors):
        """Write what rank 0 has in these tensors into those of the others."""
        from accelerate.utils import broadcast

        with _together():
            for tensor in tensors:
                broadcast(tensor)

    def agree(self, told, remedy):
        """Compare what each rank tells.

        Parameters
        ----------
        told : dict of str to str
        remedy : str
            What to do where they differ.

        Raises
        ------
        ValueError
            On every rank, if they do.
        """
        from accelerate.utils import gather_object

        with _together():
            all_told = gather_object([told])  # of each rank
        names = dict.fromkeys(name for one in all_told for name in one)
        unlike = []
        for name in names:
            values = [one.get(name, "none") for one in all_told]
            if len(set(values)) > 1:
                shown = (f"rank {k}: {v[:_SHOWN]}" for k, v in enumerate(values))
                unlike.append(f"{name} ({', '.join(shown)})")
        if unlike:
            raise ValueError(f"The ranks disagree about {', '.join(unlike)}: {remedy}")

    def part_ways(self):
        """Leave the others, whose next word to this rank raises an error."""
        self.accelerator.state.destroy_process_group()


@contextmanager
def _together():
    """Say in words what becomes of a call that another rank does not answer."""
    if not torch.distributed.is_initialized():
        raise RuntimeError(_PARTED)
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(f"{_PARTED} ({error})") from error
