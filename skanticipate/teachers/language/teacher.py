"""LanguageTeacher: reads the past actions as a text."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skanticipate._typing import Actions, FilePath, Labels, Seed
from skanticipate.data.leaks import warn_ungrouped
from skanticipate.data.missing import as_array, number_names
from skanticipate.data.numbers import N_THREADS, Interval
from skanticipate.data.parameters import (
    PATH,
    check_nested,
    check_used,
    fit_context,
    keep,
    kept,
)
from skanticipate.data.rows import RowView
from skanticipate.data.samples import Samples, hold_out, weigh_classes
from skanticipate.estimator.provenance import versions
from skanticipate.estimator.saving import SaveMixin
from skanticipate.preprocessing.history import HistoryInputMixin
from skanticipate.preprocessing.text import HistoryText, refuse_labels, texts_of
from skanticipate.teachers.labels import TeacherMixin, check_labelled
from skanticipate.teachers.language.embedding import TextReader
from skanticipate.teachers.language.encoder import check_files, model_files
from skanticipate.teachers.language.heads import (
    TRAINING_CONSTRAINTS,
    arrays,
    label_parts,
    read_texts,
    train_heads,
)
from skanticipate.training.runtime import all_or_nothing, seeds_of, torch_threads
from skanticipate.training.schedules import Schedule


class LanguageTeacher(HistoryInputMixin, SaveMixin, TeacherMixin, BaseEstimator):
    """Anticipate from the past actions, read as a text by a language model.

    The labels of the past actions become a text (see `HistoryText`), an encoder of
    transformers makes a vector of it, and three linear heads name the action, its verb
    and its noun. The loss is the weighted sum of their cross-entropies; the head of the
    action answers. As `text_teacher` of `DistilledAnticipator` it gives soft targets to
    a student that sees the video and never reads a text.

    Nothing is downloaded, no code of a model is run, and weights are read from
    safetensors files only.

    Parameters
    ----------
    model : str or path-like
        Folder of an encoder such as BERT or MiniLM, with its tokenizer, as
        `save_pretrained`, `hf download` and `pretrain_language_model` write it; or the
        name of a model that was downloaded before. Prediction reads it again, and
        refuses another one.
    actions : mapping, table or None, default=None
        Verb and noun of each label: a mapping label -> (verb, noun), or a table with
        columns label, verb and noun. None means that labels are strings "verb noun".
    template : str, default="{verb} <v> {noun}"
        Text of one action, the paper's; sentence encoders may prefer "{verb} {noun}".
    separator : str, default=" <a> "
        Text between two actions.
    noun_order : {"head_first", "reading"}, default="head_first"
        Order of the parts of a noun that are joined by colons: EPIC-KITCHENS'
        "board:cutting" is a "cutting board", EGTEA Gaze+ needs "reading".
    verb_weight, noun_weight : float, default=0.15
        Weights of the losses of verb and noun, together below 1; that of the action
        has the rest. The paper has 0.15 on EPIC-KITCHENS-55, and on EGTEA Gaze+ 0.1
        with `class_weight="balanced"`. A head of weight 0 is left out.
    freeze : bool, default=True
        Whether the encoder stays as it is: then each distinct text is read once, and
        only the heads are trained; give it short histories, since three actions were
        better than ten on both data sets of the paper. False trains all, as there.
    pooling : {"mean", "first"}, default="mean"
        How tokens become one vector: their mean, for which sentence encoders are made,
        or the first token, as in the paper.
    max_length : int, default=None
        Tokens of a text that are read, those that mark its ends included. Of longer
        texts the end is kept, with the latest actions. None: all that the model reads.
    max_epochs, batch_size : int, default=None
        None means 20 epochs in batches of 128 with a frozen encoder; else 8 in batches
        of 16.
    lr : float, default=None
        Learning rate of AdamW. None means 1e-3 with a frozen encoder, whose channels
        are standardized while the heads train; else 1e-5.
    weight_decay : float, default=None
        Of the matrices; biases and norms have none. None means 1 with a frozen encoder,
        so that heads of many classes do not overfit; else 1e-7.
    lr_schedule : Schedule, default=None
        Learning rate over the epochs, such as `CosineSchedule(warmup_epochs=1)`.
    early_stopping : bool, default=False
        Whether to hold rows out, whole groups where `groups` are given, and keep the
        weights with the lowest loss of the action on them.
    validation_fraction : float, default=0.1
        Share of the rows held out.
    n_iter_no_change : int, default=3
        Epochs without a gain of `tol` after which training stops.
    tol : float, default=1e-4
        Gain that counts.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with those of the rows.
    device : str or torch.device, default="auto"
        Where to compute; "auto" takes a GPU where there is one.
    n_threads : int, default=None
        Threads of torch. None: one for small models, else torch's own number; in a
        forked process always one.
    random_state : int, RandomState instance or None, default=None
        Seeds the heads, the order of the rows, dropout and the rows held out.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, in the order of the columns of `predict_proba`.
    heads_ : dict of str to ndarray
        Weights of the heads: "action.weight" (C, d), "action.bias" (C,), and those of
        verb and noun.
    encoder_weights_ : dict of str to ndarray
        Weights of the fine-tuned encoder. Only if `freeze` is False.
    model_files_ : dict of str to str
        Hash of each file of the model's folder on which predictions depend.
    history_ : list of dict
        One record an epoch: "epoch", "lr", "loss", the mean loss of each head, and with
        early stopping "val_loss", "val_accuracy" and "val_top_5_accuracy".
    loss_curve_ : list of float
        The loss of each epoch.
    n_iter_ : int
        Epochs done.

    See Also
    --------
    HistoryText : The same texts for the text classifiers of scikit-learn.
    skanticipate.teachers.pretrain_language_model : Let a model read texts first.

    Notes
    -----
    Every call of `fit` and of `predict_proba` reads its texts anew, so cross-fitting
    with k folds reads them about k times more often. The vectors of the distinct texts,
    of d channels each, are in memory during the call.

    References
    ----------
    S. Ghosh et al., "Distilling Knowledge from Language Models for Video-based Action
    Anticipation", arXiv 2210.05991: the teacher.

    Examples
    --------
    >>> from skanticipate import DistilledAnticipator, LanguageTeacher
    >>> teacher = LanguageTeacher("models/all-MiniLM-L6-v2")
    >>> student = DistilledAnticipator(text_teacher=teacher)
    >>> student.fit(X_past, y, past_actions=past_actions)  # doctest: +SKIP
    """

    classes_: np.ndarray

    _parameter_constraints = {
        "model": [PATH],
        **HistoryText._parameter_constraints,
        "verb_weight": [Interval(Real, 0, 1, closed="left")],
        "noun_weight": [Interval(Real, 0, 1, closed="left")],
        "freeze": ["boolean"],
        "pooling": [StrOptions({"mean", "first"})],
        "max_length": [Interval(Integral, 3, None, closed="left"), None],
        **TRAINING_CONSTRAINTS,
        "device": [str, torch.device],
        "n_threads": [N_THREADS, None],
        "random_state": ["random_state"],
    }

    _used_after_fit = ("model", "device", "n_threads")

    __metadata_request__fit = {"past_actions": UNUSED, "groups": True}
    __metadata_request__predict = {"past_actions": UNUSED}
    __metadata_request__predict_proba = {"past_actions": UNUSED}

    def __init__(
        self,
        model: FilePath,
        actions: Actions | None = None,
        *,
        template: str = "{verb} <v> {noun}",
        separator: str = " <a> ",
        noun_order: Literal["head_first", "reading"] = "head_first",
        verb_weight: float = 0.15,
        noun_weight: float = 0.15,
        freeze: bool = True,
        pooling: Literal["mean", "first"] = "mean",
        max_length: int | None = None,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        weight_decay: float | None = None,
        lr_schedule: Schedule | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        tol: float = 1e-4,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        device: str | torch.device = "auto",
        n_threads: int | None = None,
        random_state: Seed | None = None,
    ) -> None:
        self.model = model
        self.actions = actions
        self.template = template
        self.separator = separator
        self.noun_order = noun_order
        self.verb_weight = verb_weight
        self.noun_weight = noun_weight
        self.freeze = freeze
        self.pooling = pooling
        self.max_length = max_length
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.device = device
        self.n_threads = n_threads
        self.random_state = random_state

    @all_or_nothing
    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        past_actions: Labels,
        y: Labels,
        *,
        groups: Labels | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn which action follows.

        Parameters
        ----------
        past_actions : array-like of shape (n, L) or (n,)
            Labels of the last L actions before each clip, the latest last, left-padded
            with None, NaN, "" or -1. With one axis: texts, which are read as they are.
        y : array-like of shape (n,)
            Label of the action that follows. There is no marker of unlabelled rows:
            leave them out.
        groups : array-like of shape (n,), default=None
            Video or person of each row; early stopping holds out whole groups.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in the loss.

        Returns
        -------
        self : object

        Raises
        ------
        ImportError
            If transformers is not installed.
        FileNotFoundError
            If there is no such model, or its folder is incomplete.
        ValueError
            If the model cannot be read safely or is no encoder, a label has no verb and
            noun, an array does not fit the others, or a loss is not finite.
        """
        check_nested(self)
        keep(self, *HistoryText._parameter_constraints, "pooling", "max_length")
        which, texts = number_names(self._texts(past_actions, reset=True))
        samples = self._check_fit(past_actions, which, y, groups, sample_weight)
        validation = None
        weights = self.verb_weight, self.noun_weight
        parts = label_parts(self.classes_, self.actions, *weights)
        seeds = seeds_of(self.random_state, ("split", "init", "shuffle", "dropout"))
        if self.early_stopping:
            if groups is None:
                warn_ungrouped("early_stopping of LanguageTeacher holds rows out")
            held_out = self.validation_fraction, seeds["split"]
            samples, validation = hold_out(samples, *held_out)
        samples = weigh_classes(samples, self.class_weight, self.classes_)
        reader = self._reader()
        self.model_files_ = model_files(self.model, weights=self.freeze)
        with torch_threads(self.n_threads, reader.encoder):
            read = read_texts(reader, texts, samples, freeze=self.freeze)
            heads, self.history_ = train_heads(
                read,
                samples,
                validation,
                parts,
                seeds,
                max_epochs=self.max_epochs,
                batch_size=self.batch_size,
                lr=self.lr,
                weight_decay=self.weight_decay,
                lr_schedule=self.lr_schedule,
                n_iter_no_change=self.n_iter_no_change,
                tol=self.tol,
            )
        self.heads_ = arrays(heads.layers)
        self.__dict__.pop("encoder_weights_", None)
        if not self.freeze:
            self.encoder_weights_ = arrays(reader.encoder.network)
        self.loss_curve_ = [record["loss"] for record in self.history_]
        self.n_iter_ = len(self.history_)
        return self

    def predict_proba(self, past_actions: Labels) -> np.ndarray:
        """Probability of each action to follow.

        Parameters
        ----------
        past_actions : array-like of shape (n, L) or (n,)
            As in `fit`; L may differ.

        Returns
        -------
        ndarray of shape (n, C)
            Columns in the order of `classes_`.

        Raises
        ------
        FileNotFoundError
            If the folder of the model is gone.
        ValueError
            If a label has no verb and noun, a file of `model_files_` changed, or labels
            come with one axis, as texts, where `fit` had rows of labels.
        """
        vectors, which = self._vectors(past_actions)  # (m, d), m distinct texts
        with torch_threads(self.n_threads):
            weight = torch.tensor(self.heads_["action.weight"])  # (C, d)
            logits = vectors @ weight.T + torch.tensor(self.heads_["action.bias"])
            return logits.softmax(-1).numpy()[which]

    def feature_map(self, past_actions: Labels) -> np.ndarray:
        """Vectors that the heads read.   (n, L) or (n,) -> (n, 1, d)."""
        vectors, which = self._vectors(past_actions)
        return vectors.numpy()[which, None]

    def _vectors(self, past_actions):
        """Vector of each distinct text (m, d), and the text of each row (n,)."""
        check_is_fitted(self, ["heads_", "model_files_"])
        check_used(self)
        encoder_weights = getattr(self, "encoder_weights_", None)
        check_files(self.model, self.model_files_, weights=encoder_weights is None)
        which, texts = number_names(self._texts(past_actions, reset=False))
        reader = self._reader(encoder_weights)
        rows, _ = reader.tokenize(texts)
        with torch_threads(self.n_threads, reader.encoder):
            return reader.embed(rows).cpu(), which

    def predict(self, past_actions: Labels) -> np.ndarray:
        """Most probable label of each row.   (n, L) or (n,) -> (n,)."""
        columns = self.predict_proba(past_actions).argmax(axis=1)
        return self.classes_[columns]

    def _depends_on(self):
        """What answers depend on beside parameters and data, for keys of caches."""
        own = versions("transformers", "tokenizers")
        return {"files": model_files(self.model), "versions": own}

    def _texts(self, past_actions, reset):
        """One text for each row.   -> list of str."""
        self._check_columns(past_actions, reset=reset)
        names = HistoryText._parameter_constraints
        writer = HistoryText(**{name: kept(self, name) for name in names})
        writer._told_padding = reset or self._told_padding
        texts = texts_of(past_actions, writer)
        written = as_array(past_actions).ndim != 1
        if reset:
            self._writes_texts = written
        elif getattr(self, "_writes_texts", False) and not written:
            refuse_labels(texts, self.classes_, writer)
        return texts

    def _check_fit(self, past_actions, which, y, groups, sample_weight):
        """Check what came with the histories.   -> Samples of numbers of texts."""
        self.classes_, codes, groups, weights = check_labelled(
            self, past_actions, y, groups, sample_weight
        )
        samples = Samples(RowView(which), codes, weights, groups=groups)
        return samples if weights is None else samples.select(weights > 0)

    def _reader(self, weights=None):
        with torch_threads(self.n_threads):
            return TextReader(
                self.model,
                pooling=kept(self, "pooling"),
                max_length=kept(self, "max_length"),
                device=self.device,
                weights=weights,
            )
