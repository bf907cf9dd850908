"""Linear heads for action, verb and noun over one vector of a text; their training."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import skip_init

from skanticipate._batches import Batch, shuffled
from skanticipate._targets import weighted_sum
from skanticipate._training import EarlyStopping, ValidationScore
from skanticipate.networks.base import initialize
from skanticipate.teachers.fine_tuning import train


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


class HeadObjective:
    """Cross-entropy of each head.

    Parameters
    ----------
    codes : dict of str to ndarray of shape (n,)
        Code of each sample's action, verb and noun.
    weights : ndarray of shape (n,) or None
        Weight of each sample.
    device : torch.device
        Of the heads.
    """

    def __init__(self, codes, weights, device):
        self.codes = {k: torch.as_tensor(c, device=device) for k, c in codes.items()}
        self.weights = weights
        if weights is not None:
            self.weights = torch.as_tensor(weights, dtype=torch.float32, device=device)

    def __call__(self, output, batch):
        """Sum of weighted losses and sum of weights of each head."""
        samples = batch.samples.to(next(iter(self.codes.values())).device)
        weights = None if self.weights is None else self.weights[samples]
        return {
            name: weighted_sum(
                functional.cross_entropy(
                    output.parts[name], codes[samples], reduction="none"
                ),
                weights,
            )
            for name, codes in self.codes.items()
        }


def train_heads(teacher, texts, samples, validation, parts, seeds):
    """Train heads, and the encoder below them where it learns.

    Parameters
    ----------
    teacher : LanguageTeacher
        Whose training parameters are used.
    texts : FrozenTexts or TrainedTexts
        What is read.
    samples, validation : Samples
        Their rows are numbers of texts; the latter None where nothing is held out.
    parts : list of (name, weight, code of each class)
        The heads, that of the action first.
    seeds : dict of str to int
        "init", "shuffle" and "dropout".

    Returns
    -------
    heads : Heads
    history : list of dict
    """
    n_classes = {name: int(code_of.max()) + 1 for name, _, code_of in parts}
    generator = torch.Generator().manual_seed(seeds["init"])
    heads = Heads(texts.width, n_classes, generator).to(texts.device)
    stopping = score = None
    if validation is not None:
        stopping = EarlyStopping(teacher.n_iter_no_change, teacher.tol)
        score = ValidationScore(
            lambda k: texts.take(validation.rows.take(k.numpy())),
            validation.codes,
            stage=0,
            watched="loss",
        )
    codes = {name: code_of[samples.codes] for name, _, code_of in parts}
    given = {name: getattr(teacher, name) for name in texts.defaults}
    own = {k: texts.defaults[k] if v is None else v for k, v in given.items()}
    history = train(
        nn.Sequential(texts.encoder, heads),
        lambda k: Batch(k, texts.take(samples.rows.take(k.numpy()))),
        HeadObjective(codes, samples.weights, texts.device),
        shuffled(len(samples), own["batch_size"]),
        lr=own["lr"],
        weight_decay=own["weight_decay"],
        schedule=teacher.lr_schedule,
        max_epochs=own["max_epochs"],
        seeds=seeds,
        term_weights={name: weight for name, weight, _ in parts},
        score=score,
        stopping=stopping,
    )
    texts.restore_scale(heads)
    return heads, history


def arrays(module):
    """Weights of a module by name, as arrays."""
    return {name: w.cpu().numpy() for name, w in module.state_dict().items()}
