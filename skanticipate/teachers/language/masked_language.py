"""Let a language model read the sentences of a domain before it teaches."""

from __future__ import annotations

import os
import secrets
import shutil
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.nn import functional

from skanticipate._typing import FilePath, Seed
from skanticipate.data.missing import as_list, check_label_list
from skanticipate.data.numbers import N_THREADS, Interval
from skanticipate.data.parameters import PATH, check_nested, validate_params
from skanticipate.teachers.language.embedding import Tokens, check_length, pad, tokenize
from skanticipate.teachers.language.encoder import load_masked_model, quiet
from skanticipate.teachers.language.heads import text_training
from skanticipate.terms.objective import Objective, Term
from skanticipate.training.batches import Batch, shuffled
from skanticipate.training.loop import run
from skanticipate.training.runtime import resolve_device, seeds_of, torch_threads
from skanticipate.training.schedules import Schedule


@validate_params(
    {
        "model": [PATH],
        "sentences": ["array-like"],
        "folder": [PATH],
        "mask_fraction": [Interval(Real, 0, 1, closed="neither")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "lr_schedule": [Schedule, None],
        "max_length": [Interval(Integral, 3, None, closed="left"), None],
        "device": [str, torch.device],
        "n_threads": [N_THREADS, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def pretrain_language_model(
    model: FilePath,
    sentences: ArrayLike,
    folder: FilePath,
    *,
    mask_fraction: float = 0.15,
    max_epochs: int = 3,
    batch_size: int = 16,
    lr: float = 5e-5,
    weight_decay: float = 0.01,
    lr_schedule: Schedule | None = None,
    max_length: int | None = None,
    device: str | torch.device = "auto",
    n_threads: int | None = None,
    random_state: Seed | None = None,
) -> list[dict[str, Any]]:
    """Train a language model to fill in masked words, and write it to a folder.

    In every batch 15 % of the tokens are drawn. Of these 80 % are masked, 10 % are
    replaced by any token and 10 % stay; the loss is the cross-entropy of the true
    tokens at the drawn places. Recipes or the histories of unlabelled videos, written
    by `HistoryText`, make a model of a kitchen out of one of everything.

    Parameters
    ----------
    model : str or path-like
        The model to start from, as in :class:`skanticipate.LanguageTeacher`.
    sentences : array-like of shape (n,) of str
        What is read, one or more sentences each. Of those that are too long the end is
        read.
    folder : str or path-like
        Folder to be written, for ``LanguageTeacher(model=folder)``. It must not exist,
        and appears once it is complete.
    mask_fraction : float, default=0.15
        Share of the tokens that are drawn.
    max_epochs : int, default=3
        Passes over the sentences.
    batch_size : int, default=16
        Sentences in a batch.
    lr : float, default=5e-5
        Learning rate of AdamW at the start.
    weight_decay : float, default=0.01
        Weight decay of AdamW; biases and norms have none.
    lr_schedule : Schedule, default=None
        Learning rate over the epochs.
    max_length : int, default=None
        Tokens of a sentence that are read. None: all that the model reads.
    device : str or torch.device, default="auto"
        Where to compute.
    n_threads : int, default=None
        Threads of torch, as in :class:`skanticipate.LanguageTeacher`.
    random_state : int, RandomState instance or None, default=None
        Seeds the order, the masks and dropout.

    Returns
    -------
    history : list of dict
        One record an epoch: "epoch", "lr" and "loss".

    Raises
    ------
    ImportError
        If transformers is not installed.
    FileExistsError
        If `folder` exists.
    FileNotFoundError, ValueError
        If the model cannot be read, as in :class:`skanticipate.LanguageTeacher`, does
        not fill in masked words, or there is nothing to read.

    References
    ----------
    J. Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for
    Language Understanding", NAACL 2019, section 3.1. For past actions: S. Ghosh et al.,
    "Distilling Knowledge from Language Models for Video-based Action Anticipation",
    arXiv 2210.05991.

    Examples
    --------
    >>> from skanticipate.teachers import pretrain_language_model
    >>> recipes = ["take <v> pan <a> pour <v> oil", "cut <v> onion <a> fry <v> onion"]
    >>> pretrain_language_model(  # doctest: +SKIP
    ...     "models/bert-base-uncased", recipes, "models/bert-kitchen", random_state=0
    ... )
    """
    if lr_schedule is not None:
        lr_schedule._validate_params()
        check_nested(lr_schedule)
    folder = _check_absent(folder)
    sentences = _check_sentences(sentences)
    seeds = seeds_of(random_state, ("init", "shuffle", "mask", "dropout"))
    with torch_threads(n_threads):
        tokenizer, network = load_masked_model(model, seeds["init"])
    rows, _ = tokenize(
        tokenizer, sentences, check_length(max_length, tokenizer, network)
    )
    device = resolve_device(device)
    masking = Masking(tokenizer, rows, mask_fraction, seeds["mask"], device)
    network = _AtDrawnPlaces(network).to(device)
    unfinished = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.tmp")
    unfinished.mkdir(parents=True)  # before hours of training
    try:
        with torch_threads(n_threads, network):
            training = text_training(
                network,
                masking.take,
                Objective([MaskedTerm()]),
                shuffled(len(masking.rows), batch_size),
                lr=lr,
                weight_decay=weight_decay,
                schedule=lr_schedule,
                max_epochs=max_epochs,
                seeds=seeds,
            )
            history = run(training)
        with torch_threads(n_threads), quiet():
            network.model.cpu().save_pretrained(unfinished)
            tokenizer.save_pretrained(unfinished)
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return [
        {name: record[name] for name in ("epoch", "lr", "loss")} for record in history
    ]


class MaskedTokens(NamedTuple):
    """Tokens of a batch with some masked, and what was drawn."""

    tokens: Tokens  # (B, T) each
    drawn: torch.Tensor  # (B, T) bool
    targets: torch.Tensor  # (m,) the true ids at the m drawn places


class Masking:
    """Batches of masked tokens.

    Parameters
    ----------
    tokenizer : tokenizer of transformers
    rows : list of lists of int
        Token ids of each sentence; those without a word are left out.
    fraction : float
        Share of the tokens that are drawn.
    seed : int
        Of what is drawn.
    device : torch.device
        Where the batches go.
    """

    def __init__(self, tokenizer, rows, fraction, seed, device):
        self.special = torch.tensor(tokenizer.all_special_ids)
        special = set(tokenizer.all_special_ids)
        self.rows = [row for row in rows if not special.issuperset(row)]
        if not self.rows:
            raise ValueError(
                "No sentence has a word that the tokenizer knows, so there is nothing "
                "to mask: pass sentences in the language of the model."
            )
        self.tokenizer, self.fraction, self.device = tokenizer, fraction, device
        self.generator = torch.Generator().manual_seed(seed)

    def take(self, samples):
        """Batch of some of the rows, masked anew each time.   (B,) -> Batch."""
        rows = [self.rows[k] for k in samples.tolist()]
        tokens = pad(rows, self.tokenizer.pad_token_id)
        words = ~torch.isin(tokens.ids, self.special)  # padding is special, too
        ids, drawn = mask_words(
            tokens.ids,
            words,
            fraction=self.fraction,
            mask_id=self.tokenizer.mask_token_id,
            n_tokens=len(self.tokenizer),
            generator=self.generator,
        )
        masked = MaskedTokens(
            Tokens(ids, tokens.mask).to(self.device),
            drawn.to(self.device),
            tokens.ids[drawn].to(self.device),
        )
        return Batch(samples, masked)


def mask_words(ids, words, *, fraction, mask_id, n_tokens, generator):
    """Hide some of the words: 80 % behind the mask, 10 % behind any token.

    Parameters
    ----------
    ids : int64 tensor of shape (B, T)
    words : bool tensor of shape (B, T)
        Tokens that may be drawn, at least one.
    fraction : float
        Share of them that is drawn, at least one.
    mask_id : int
        The token that masks.
    n_tokens : int
        Tokens in the vocabulary.
    generator : torch.Generator

    Returns
    -------
    ids : int64 tensor of shape (B, T)
    drawn : bool tensor of shape (B, T)
    """
    chance = torch.rand(ids.shape, generator=generator)
    fate = torch.rand(ids.shape, generator=generator)
    others = torch.randint(n_tokens, ids.shape, generator=generator)
    least = chance[words].min()  # a batch without a target has no loss
    drawn = words & ((chance < fraction) | (chance == least))
    ids = torch.where(drawn & (fate < 0.8), mask_id, ids)
    return torch.where(drawn & (fate >= 0.9), others, ids), drawn


class _Named(NamedTuple):
    """Scores of the tokens at the drawn places."""

    logits: torch.Tensor  # (m, vocabulary)
    auxiliary_loss: None = None


class _AtDrawnPlaces(nn.Module):
    """A model that fills in masked words, asked at the drawn places only.

    The layers behind the encoder read each token by itself. Scores of all words of the
    vocabulary at every token would cost more than the encoder does.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, masked):
        def keep_drawn(encoder, given, output):
            output.last_hidden_state = output.last_hidden_state[masked.drawn]  # (m, d)
            return output

        ids, mask = masked.tokens
        hook = self.model.base_model.register_forward_hook(keep_drawn)
        try:
            return _Named(self.model(input_ids=ids, attention_mask=mask).logits)
        finally:
            hook.remove()


class MaskedTerm(Term):
    """Cross-entropy of the words at the drawn places, a mean over places."""

    def __init__(self):
        self.name, self.weight = "masked", 1.0

    def __call__(self, output, batch):
        """Sum of the losses and number of places."""
        targets = batch.clips.targets
        total = functional.cross_entropy(output.logits, targets, reduction="sum")
        return total, len(targets)


def _check_absent(folder):
    folder = Path(folder).expanduser()
    if folder.exists():
        raise FileExistsError(
            f"{folder} exists: remove it, or choose another folder for the model."
        )
    return folder


def _check_sentences(sentences):
    check_label_list(sentences, "sentences")
    sentences = as_list(sentences)
    strangers = [sentence for sentence in sentences if not isinstance(sentence, str)]
    if strangers or not sentences:
        raise ValueError(
            "sentences must be a list of at least one str, got "
            f"{strangers[:1] or 'none'}: HistoryText writes past labels as text."
        )
    return sentences
