"""Past action labels as text that a language model can read."""

from __future__ import annotations

from string import Formatter
from typing import Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import StrOptions

from skanticipate._typing import Actions, Labels
from skanticipate.data.actions import (
    action_lookup,
    refuse_ids,
    verb_noun_pairs,
    warn_of_long_names,
    words,
)
from skanticipate.data.missing import as_array, as_list, missing_mask
from skanticipate.data.parameters import check_used, fit_context
from skanticipate.data.rows_alike import check_rows_alike
from skanticipate.data.validation import refuse_sparse
from skanticipate.preprocessing.history import (
    HistoryInputMixin,
    check_history,
    distinct_labels,
)


class HistoryText(  # type: ignore[call-arg]  # scikit-learn has no types
    HistoryInputMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Write the labels of past actions as one text, the oldest action first.

    Each action becomes `template` with the words of its verb and its noun, and
    `separator` stands between two actions. Names are lower-cased and split at hyphens
    and capitals ("turn-on" -> "turn on"); a slash becomes "or" ("Clean/Wipe" -> "clean
    or wipe"). Padding is left out, so a clip without past actions has the text "".

    Parameters
    ----------
    actions : mapping, table or None, default=None
        Verb and noun of each label: a mapping label -> (verb, noun), or a table with
        columns label, verb and noun. None means that labels are strings "verb noun".
    template : str, default="{verb} <v> {noun}"
        Text of one action. The default and that of `separator` are those of the paper;
        sentence encoders may prefer "{verb} {noun}" and ", ", which is also shorter.
    separator : str, default=" <a> "
        Text between two actions.
    noun_order : {"head_first", "reading"}, default="head_first"
        Order of the parts of a noun that are joined by colons. "head_first" is EPIC-
        KITCHENS': "board:cutting" -> "cutting board". "reading" is EGTEA Gaze+'s:
        "cutting:board" -> "cutting board".

    See Also
    --------
    HistoryEncoder : The same labels as numbers.
    skanticipate.LanguageTeacher : A teacher that reads these texts.

    References
    ----------
    S. Ghosh et al., "Distilling Knowledge from Language Models for Video-based Action
    Anticipation", arXiv 2210.05991: the texts of its teacher.

    Examples
    --------
    >>> from skanticipate import HistoryText
    >>> past_actions = [["", "take board:cutting"], ["cut onion", "turn-on tap"]]
    >>> HistoryText().fit_transform(past_actions).tolist()
    ['take <v> cutting board', 'cut <v> onion <a> turn on <v> tap']

    With any text classifier of scikit-learn it is a teacher that reads the past:

    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> teacher = make_pipeline(HistoryText(), TfidfVectorizer(), LogisticRegression())
    >>> teacher.fit(past_actions, ["cut onion", "wash pan"]).predict(past_actions)
    array(['cut onion', 'wash pan'], dtype='<U9')
    """

    _parameter_constraints = {
        "actions": "no_validation",
        "template": [str],
        "separator": [str],
        "noun_order": [StrOptions({"head_first", "reading"})],
    }

    _used_after_fit = ("actions", "template", "separator", "noun_order")

    def __init__(
        self,
        actions: Actions | None = None,
        *,
        template: str = "{verb} <v> {noun}",
        separator: str = " <a> ",
        noun_order: Literal["head_first", "reading"] = "head_first",
    ) -> None:
        self.actions = actions
        self.template = template
        self.separator = separator
        self.noun_order = noun_order

    def __sklearn_tags__(self):
        """Return the tags: there is no fit, and texts come out."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        tags.requires_fit = False
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Labels, y: object = None) -> Self:
        """Check the histories; nothing is learned but the order of named columns.

        Parameters
        ----------
        X : array-like of shape (n, L)
            Labels of the last L actions before each clip, the latest last, left-padded
            with None, NaN, "" or -1.
        y : None
            Ignored, but for the names of its rows.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            As in `transform`, or if X and y name the same rows in different orders.
        """
        check_rows_alike(X=X, y=y)
        self._check_columns(X, reset=True)
        self.transform(X)
        return self

    def transform(self, X: Labels) -> np.ndarray:
        """Write histories as text.

        Parameters
        ----------
        X : array-like of shape (n, L)
            As in `fit`. No `fit` is needed before.

        Returns
        -------
        texts : ndarray of shape (n,) of str objects

        Raises
        ------
        ValueError
            If X is not (n, L) with n and L above 0, a label has no verb and noun or
            ids in their place, or the template names something else than verb and noun.
        """
        check_used(self)
        _check_template(self.template)
        self._check_columns(X, reset=False)
        history = check_history(X)
        self._hint_padding(history)
        which, labels = distinct_labels(history)
        phrases = self._phrases(labels)
        texts = np.empty(len(history), dtype=object)
        for row, numbers in enumerate(which.reshape(history.shape).tolist()):
            seen = [phrases[k] for k in numbers if phrases[k] is not None]
            texts[row] = self.separator.join(seen)
        return texts

    def _phrases(self, labels):
        """Text of each distinct label, None for padding."""
        seen = [label for label in labels if label is not None]
        pairs = verb_noun_pairs(seen, self.actions)  # names alike are one as words
        if self.actions is None:
            warn_of_long_names(seen)
        refuse_ids(*([pair[k] for pair in pairs] for k in range(2)))
        head_first = self.noun_order == "head_first"
        phrase_of = {
            label: self.template.format(
                verb=spell(verb), noun=spell(noun, head_first=head_first)
            )
            for label, (verb, noun) in zip(seen, pairs, strict=True)
        }
        return [phrase_of.get(label) for label in labels]


def texts_of(past_actions, writer):
    """One text for each row: that of its labels, or the one that was given.

    Parameters
    ----------
    past_actions : array-like of shape (n, L) or (n,)
        Labels as `HistoryText` takes them, or texts; a missing text is "".
    writer : HistoryText
        Turns labels into texts.

    Returns
    -------
    texts : list of n str

    Raises
    ------
    ValueError
        If it is neither of the two.
    """
    refuse_sparse(past_actions)
    history = as_array(past_actions)
    if history.ndim != 1:
        return writer.transform(history).tolist()
    texts = np.where(missing_mask(history), "", history.astype(object))
    strangers = [text for text in texts if not isinstance(text, str)]
    if strangers or not len(texts):
        raise ValueError(
            "Expected past labels of shape (n, L) or texts of shape (n,), and at least "
            f"one row; got shape {texts.shape} with entries such as "
            f"{strangers[:1]}: give one row of L past labels for each clip."
        )
    return texts.tolist()


def refuse_labels(texts, labels, writer):
    """Refuse texts that are labels, where `writer` would write them otherwise.

    Parameters
    ----------
    texts : list of str
        Those of one axis, after a fit on labels of past actions.
    labels : sequence of labels
    writer : HistoryText

    Raises
    ------
    ValueError
        If most texts are labels, of classes or in a table, and not their own texts.
    """
    distinct, known = set(texts) - {""}, set(as_list(labels))
    lookup = action_lookup(writer.actions)
    if writer.actions is not None:  # else each text of two words has verb and noun
        known |= distinct
    said = sorted(t for t in distinct & known if lookup(t) is not None)
    if 2 * len(said) <= len(distinct):
        return
    written = writer.transform([[label] for label in said]).tolist()
    if written != said:
        raise ValueError(
            f"past_actions has one axis, which is read as texts, but holds labels such "
            f"as {said[0]!r}, which fit has read as {written[0]!r}: give one row of L "
            "past labels for each clip, past_actions[:, None] of the last ones."
        )


def spell(name, *, head_first=False):
    """Words of a class name, as one reads them.

    Examples
    --------
    >>> spell("Divide/Pull Apart")
    'divide or pull apart'
    >>> spell("board:cutting", head_first=True)
    'cutting board'
    """
    parts = str(name).split(":")
    if head_first:
        parts.reverse()
    choices = " ".join(parts).split("/")
    return " or ".join(" ".join(words(choice)) for choice in choices)


def _check_template(template):
    remedy = "write one action with {verb} and {noun}, as in '{verb} <v> {noun}'."
    try:
        fields = [
            field for field in Formatter().parse(template) if field[1] is not None
        ]
    except ValueError as error:
        raise ValueError(f"template={template!r} ({error}): {remedy}") from error
    plain = all(
        name in ("verb", "noun") and not form and not conversion
        for _, name, form, conversion in fields
    )
    if not fields or not plain:
        raise ValueError(f"template={template!r}: {remedy}")
