"""Linear heads for action, verb and noun over one vector of a text; their training."""

from functools import partial
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils._param_validation import StrOptions
from torch import nn
from torch.nn import functional

from skanticipate.data.numbers import Interval
from skanticipate.data.warn import warn
from skanticipate.networks.bare import skip_init
from skanticipate.networks.base import initialize
from skanticipate.terms.marginals import MarginalLoss
from skanticipate.terms.objective import Objective, Term
from skanticipate.training.batches import Batch, shuffled
from skanticipate.training.loop import EarlyStopping, Training, initial_state, run
from skanticipate.training.optimizers import MatrixDecayAdamW
from skanticipate.training.runtime import Compute, seeded_global_stream
from skanticipate.training.schedules import Schedule, warn_of_warm_up
from skanticipate.training.scoring import ValidationScore
from skanticipate.training.step import GradientStep

TRAINING_CONSTRAINTS = {
    "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
    "batch_size": [Interval(Integral, 1, None, closed="left"), None],
    "lr": [Interval(Real, 0, None, closed="neither"), None],
    "weight_decay": [Interval(Real, 0, None, closed="left"), None],
    "lr_schedule": [Schedule, None],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "class_weight": [dict, StrOptions({"balanced"}), None],
}


class FrozenTexts:
    """Texts that the encoder reads once: what trains are the heads over its vectors.

    Their channels have mean 0 and deviation 1 over the texts that are learned from, so
    that the learning rate suits every encoder.

    Parameters
    ----------
    reader : TextReader
    rows : list of lists of int
        Token ids of the texts.
    learned : ndarray of int
        Numbers of the texts that are learned from.
    """

    defaults = {"max_epochs": 20, "batch_size": 128, "lr": 1e-3, "weight_decay": 1.0}

    def __init__(self, reader, rows, learned):
        self.device = reader.device
        self.encoder = nn.Identity()
        vectors = reader.embed(rows)  # (m, d), m distinct texts
        self.width = vectors.shape[1]
        kept = vectors[torch.from_numpy(learned)]
        scale, self.mean = torch.std_mean(kept, dim=0, correction=0)
        rounding = 1e-5 * kept.abs().max()  # of a channel that is constant
        self.scale = torch.where(scale > rounding, scale, 1)
        self.vectors = (vectors - self.mean) / self.scale

    def take(self, numbers):
        """Standardized vectors of some of the texts.   (B,) -> (B, d)."""
        return self.vectors[torch.from_numpy(numbers)]

    @torch.no_grad()
    def restore_scale(self, heads):
        """Let trained heads answer for vectors as the encoder gives them."""
        for head in heads.layers.values():
            head.weight /= self.scale
            head.bias -= head.weight @ self.mean


class TrainedTexts:
    """Texts that the encoder reads in every epoch, and learns to read better."""

    defaults = {  # the paper's
        "max_epochs": 8,
        "batch_size": 16,
        "lr": 1e-5,
        "weight_decay": 1e-7,
    }

    def __init__(self, reader, rows):
        self.device = reader.device
        self.encoder = reader.encoder
        self.reader, self.rows = reader, rows
        self.width = reader.embed(rows[:1]).shape[1]

    def take(self, numbers):
        """Tokens of some of the texts.   (B,) -> Tokens."""
        return self.reader.pad([self.rows[k] for k in numbers])

    def restore_scale(self, heads):
        """Nothing to do: the heads were trained on vectors as they are."""


def read_texts(reader, texts, samples, *, freeze):
    """What is read of texts: their vectors, or tokens where the encoder learns.

    Parameters
    ----------
    reader : TextReader
    texts : list of str
        Distinct ones.
    samples : Samples
        Their rows are numbers of texts.
    freeze : bool
        Whether the encoder stays as it is.

    Returns
    -------
    FrozenTexts or TrainedTexts
    """
    rows, n_cut = reader.tokenize(texts)
    if n_cut:
        warn(
            f"{n_cut} of {len(texts)} distinct texts have more than "
            f"{reader.max_length} tokens: only their ends are read, with the latest "
            "actions. Shorten the histories or the template, or choose a model that "
            "reads more.",
        )
    if not freeze:
        return TrainedTexts(reader, rows)
    learned = np.unique(samples.rows.take(np.arange(len(samples))))
    return FrozenTexts(reader, rows, learned)


class Scores(NamedTuple):
    """What heads say of a batch: {"action": (B, C), "verb": (B, V), ...}."""

    parts: dict
    auxiliary_loss: None = None

    @property
    def logits(self):
        """Scores of the actions, as the training loop asks for them.   (B, 1, C)."""
        return self.parts["action"].unsqueeze(1)


class Heads(nn.Module):
    """A linear layer for each part of the label.

    Parameters
    ----------
    width : int
        Channels d of a vector.
    sizes : dict of str to int
        Number of classes of each part.
    generator : torch.Generator
        Of the initial weights.
    """

    def __init__(self, width, sizes, generator):
        super().__init__()
        self.layers = nn.ModuleDict(
            {name: skip_init(nn.Linear, width, size) for name, size in sizes.items()}
        )
        initialize(self.layers, generator)

    def forward(self, vectors):
        """Vectors (B, d) -> Scores."""
        return Scores({name: head(vectors) for name, head in self.layers.items()})


def label_parts(classes, actions, verb_weight, noun_weight):
    """Name, weight and code of each class, for each head.

    Parameters
    ----------
    classes : ndarray of shape (C,)
    actions : mapping, table or None
        Verb and noun of each label.
    verb_weight, noun_weight : float
        Parameters of `LanguageTeacher`; the action has the rest of 1.

    Returns
    -------
    list of (str, float, ndarray of shape (C,))
        The action first.
    """
    rest = 1 - verb_weight - noun_weight
    if rest <= 0:
        raise ValueError(
            f"verb_weight={verb_weight} and noun_weight={noun_weight} leave nothing to "
            "the action: their sum must be below 1."
        )
    parts = [("action", rest, np.arange(len(classes)))]
    if rest == 1:
        return parts  # labels then need no names
    marginals = MarginalLoss(actions, verb_weight=verb_weight, noun_weight=noun_weight)
    return parts + marginals.parts(classes)


class HeadTerm(Term):
    """Cross-entropy of one head.

    Parameters
    ----------
    name, weight, sample_weight, compute : object
        As in `Term`.
    codes : ndarray of shape (n,)
        Code of each sample's action, verb or noun.
    """

    def __init__(self, name, weight, sample_weight, compute, *, codes):
        super().__init__(name, weight, codes >= 0, sample_weight, compute)
        self.codes = compute.indices(codes)

    def losses(self, output, batch, samples, rows):
        """Loss of each row.   -> (B,)."""
        scores = output.parts[self.name]
        return functional.cross_entropy(scores, self.codes[samples], reduction="none")


def train_heads(
    texts,
    samples,
    validation,
    parts,
    seeds,
    *,
    max_epochs,
    batch_size,
    lr,
    weight_decay,
    lr_schedule,
    n_iter_no_change,
    tol,
):
    """Train heads, and the encoder below them where it learns.

    Parameters
    ----------
    texts : FrozenTexts or TrainedTexts
        What is read.
    samples, validation : Samples
        Their rows are numbers of texts; the latter None where nothing is held out.
    parts : list of (name, weight, code of each class)
        The heads, that of the action first.
    seeds : dict of str to int
        "init", "shuffle" and "dropout".
    max_epochs, batch_size, lr, weight_decay, lr_schedule, n_iter_no_change, tol
        Parameters of `LanguageTeacher`; None among the first four is the default of
        the texts.

    Returns
    -------
    heads : Heads
    history : list of dict
    """
    given = {
        "max_epochs": max_epochs,
        "batch_size": batch_size,
        "lr": lr,
        "weight_decay": weight_decay,
    }
    own = {k: texts.defaults[k] if v is None else v for k, v in given.items()}
    compute = Compute(texts.device, torch.float32)
    n_classes = {name: int(code_of.max()) + 1 for name, _, code_of in parts}
    generator = torch.Generator().manual_seed(seeds["init"])
    heads = Heads(texts.width, n_classes, generator).to(texts.device)
    terms = [
        HeadTerm(name, weight, samples.weights, compute, codes=code_of[samples.codes])
        for name, weight, code_of in parts
    ]
    stopping = score = None
    if validation is not None:
        stopping = EarlyStopping(n_iter_no_change, tol)
        score = _score(texts, validation)
    training = text_training(
        nn.Sequential(texts.encoder, heads),
        lambda k: Batch(k, texts.take(samples.rows.take(k.numpy()))),
        Objective(terms),
        shuffled(len(samples), own["batch_size"]),
        lr=own["lr"],
        weight_decay=own["weight_decay"],
        schedule=lr_schedule,
        max_epochs=own["max_epochs"],
        seeds=seeds,
        score=score,
        stopping=stopping,
    )
    history = run(training)
    texts.restore_scale(heads)
    return heads, history


def _score(texts, validation):
    return ValidationScore(
        _TextsOf(texts, validation.rows),
        validation.codes,
        stage=0,
        watched="loss",
        weights=validation.weights,
    )


class _TextsOf:
    """Texts of samples (B,), whose rows are numbers of texts."""

    def __init__(self, texts, rows):
        self.texts, self.rows = texts, rows

    def __call__(self, samples):
        return self.texts.take(self.rows.take(samples))


def text_training(
    network,
    take_batch,
    objective,
    draw,
    *,
    lr,
    weight_decay,
    schedule,
    max_epochs,
    seeds,
    score=None,
    stopping=None,
):
    """Prepare training with the optimiser of language models.

    Dropout of their networks draws from torch's global stream.

    Parameters
    ----------
    network : torch.nn.Module
    take_batch, objective, draw, max_epochs, score : object
        As in `GradientStep` and `Training`.
    lr, weight_decay : float
        Of `MatrixDecayAdamW`.
    schedule : Schedule or None
        Factors of `lr`.
    seeds : dict of str to int
        "shuffle" and "dropout".
    stopping : EarlyStopping, default=None
        Watches the score.

    Returns
    -------
    Training
    """
    warn_of_warm_up(schedule, max_epochs)
    optimizer = MatrixDecayAdamW(network.parameters(), lr=lr, weight_decay=weight_decay)
    state = initial_state(
        {"network": network}, optimizer, seeds, schedule=schedule, stopping=stopping
    )
    return Training(
        state,
        GradientStep(state, take_batch, objective),
        draw,
        max_epochs,
        score=score,
        randomness=partial(seeded_global_stream, seeds["dropout"]),
    )


def arrays(module):
    """Weights of a module by name, as arrays."""
    return {name: w.cpu().numpy() for name, w in module.state_dict().items()}
