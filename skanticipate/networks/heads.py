"""The last module of a network: from hidden units to the scores of the classes."""

from __future__ import annotations

from typing import Self

import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn import functional

from skanticipate._typing import Actions, Labels
from skanticipate.data.actions import verbs_and_nouns
from skanticipate.data.missing import number_names
from skanticipate.networks.bare import skip_init


class VerbNounHead(BaseEstimator):
    """Score an action as the score of its verb, plus that of its noun, plus its own.

    The actions that share a verb or a noun learn together, so that actions with a
    handful of examples profit from the others. The actions' own weights start at
    zero; scores of the verbs and nouns alone can be had from
    `metrics.marginalize`.

    Parameters
    ----------
    actions : mapping, table or None, default=None
        Verb and noun of each label: a mapping label -> (verb, noun), or a table with
        columns label, verb and noun. None means that labels are strings "verb noun".

    Attributes
    ----------
    verbs_, nouns_ : list
        Names of the verbs and nouns of the classes.
    verb_codes_, noun_codes_ : ndarray of shape (C,)
        Position in these lists of each class's verb and noun.

    Examples
    --------
    >>> from skanticipate import MLP, SmoothedAnticipator, VerbNounHead
    >>> X = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> y = ["cut onion", "cut bread", "wash onion"]
    >>> model = SmoothedAnticipator(MLP(8, head=VerbNounHead()), random_state=0)
    >>> model.fit(X, y).network_.classifier.verb.weight.shape
    torch.Size([2, 8])
    """

    def __init__(self, actions: Actions | None = None) -> None:
        self.actions = actions

    def fit(self, classes: Labels) -> Self:
        """Look up verb and noun of each class.

        Parameters
        ----------
        classes : array-like of shape (C,)
            The labels, in the order of the scores.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a class has no verb and noun.
        """
        verbs, nouns = verbs_and_nouns(classes, self.actions)
        self.verb_codes_, self.verbs_ = number_names(verbs)
        self.noun_codes_, self.nouns_ = number_names(nouns)
        return self

    def build(self, width: int) -> nn.Module:
        """Module from hidden units (..., width) to scores (..., C)."""
        return VerbNounClassifier(self, width)


class VerbNounClassifier(nn.Module):
    """What `VerbNounHead` builds."""

    def __init__(self, head, width):
        super().__init__()
        self.own = skip_init(nn.Linear, width, len(head.verb_codes_))
        self.verb = skip_init(nn.Linear, width, len(head.verbs_), bias=False)
        self.noun = skip_init(nn.Linear, width, len(head.nouns_), bias=False)
        # Not in the state: they follow from the classes.
        for name, codes in (
            ("verb_of", head.verb_codes_),
            ("noun_of", head.noun_codes_),
        ):
            self.register_buffer(name, torch.tensor(codes), persistent=False)

    def forward(self, hidden):
        """(..., width) -> (..., C)."""
        # Adding up the weights costs C x width, adding up the scores batch x C.
        weight = (
            self.own.weight
            + self.verb.weight.index_select(0, self.verb_of)
            + self.noun.weight.index_select(0, self.noun_of)
        )  # (C, width)
        return functional.linear(hidden, weight, self.own.bias)

    def start(self):
        """Begin with what actions share: their own weights are zero."""
        nn.init.zeros_(self.own.weight)
