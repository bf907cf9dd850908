"""Prior from the meaning of the labels: similarity of word vectors."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache, partial
from numbers import Real
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods, StrOptions

from skanticipate._typing import Actions, FilePath, KeyedVectors
from skanticipate.data.actions import refuse_ids, verbs_and_nouns, words
from skanticipate.data.files import file_marks
from skanticipate.data.missing import number_names
from skanticipate.data.numbers import Interval
from skanticipate.data.tensors import plain_numbers
from skanticipate.data.warn import warn
from skanticipate.priors.base import BasePrior, normalize_rows
from skanticipate.priors.labels import verb_noun_rows
from skanticipate.priors.word_vectors import read_word_vectors

_MARKS = re.compile(r"[()\[\]{},;]")  # of which no word of a list has one


class GloVePrior(BasePrior):
    """More probability for actions whose verb and noun mean something similar.

    phi_k = [mean word vector of the verb; of the noun] and

        pi(i | k) = s(phi_k, phi_i) ** power / sum_j s(phi_k, phi_j) ** power

    with s(a, b) = abs(a . b) in the paper [1]_. Any word vectors will do.

    Parameters
    ----------
    actions : mapping, table or None, default=None
        Names of verb and noun of each label: a mapping label -> (verb, noun), or a
        table with the columns `label`, `verb`, `noun`, or None where the labels are
        strings "verb noun".
    vectors : path, mapping, KeyedVectors or str, default=None
        Word vectors, to be given: a text file in GloVe or word2vec format (also .gz), a
        mapping word -> (d,) array, gensim's KeyedVectors, or the name of a model of
        `gensim.downloader` in text format. Clones share the object.
    similarity : {"absdot", "cosine", "relu", "expcosine"}, default="absdot"
        abs(a . b); abs(cos(a, b)); max(0, a . b); or exp(cos(a, b)), so that
        power = 1 / temperature gives softmax(cos / temperature).
    power : float, default=1.0
        Exponent of the similarity; the dot product of word vectors is nearly flat over
        thousands of classes, and larger powers sharpen it.
    include_self : bool, default=True
        Whether the class itself has a part in its row, as in the paper.

    Attributes
    ----------
    matrix_ : (C, C) float32 array
        Row k is the distribution of class k.
    classes_ : (C,) array
        The class labels, in the order of rows and columns.

    Raises
    ------
    ValueError
        If `vectors` is missing, broken, or knows no word of any class, or a class has
        no verb and noun, or ids in their place.
    FileNotFoundError
        If `vectors` is a path without a file.
    OSError
        If gensim cannot fetch the model.

    Warns
    -----
    UserWarning
        If the vectors know no word of some verb or noun.

    Notes
    -----
    Names are split into lower-case words at spaces, brackets and - _ : / , ; as in
    Ego4D's "cut_(trim,_slice)", and the vectors of the known ones are averaged. A verb
    or noun without any known word is a block of zeros, with a warning; a class without
    any similarity to others falls back to its row of `VerbNounPrior`, which is one-hot
    where no class shares a word.

    References
    ----------
    .. [1] G. Camporese, P. Coscia, A. Furnari, G. M. Farinella, L. Ballan, "Knowledge
       Distillation for Action Anticipation via Label Smoothing", ICPR 2020.

    Examples
    --------
    >>> from skanticipate.priors import GloVePrior
    >>> vectors = {"cut": [1.0, 0.0], "slice": [1.0, 1.0], "onion": [0.0, 2.0]}
    >>> prior = GloVePrior(vectors=vectors).fit(["cut onion", "slice onion"])
    >>> prior.matrix_.round(2)
    array([[0.5 , 0.5 ],
           [0.45, 0.55]], dtype=float32)
    """

    _parameter_constraints = {
        "actions": [HasMethods("__getitem__"), None],
        "vectors": [
            str,
            os.PathLike,
            HasMethods(["__getitem__", "__contains__"]),
            None,
        ],
        "similarity": [StrOptions({"absdot", "cosine", "relu", "expcosine"})],
        "power": [Interval(Real, 0, None, closed="neither")],
        "include_self": ["boolean"],
    }

    def __init__(
        self,
        actions: Actions | None = None,
        vectors: FilePath | Mapping[str, ArrayLike] | KeyedVectors | None = None,
        *,
        similarity: Literal["absdot", "cosine", "relu", "expcosine"] = "absdot",
        power: float = 1.0,
        include_self: bool = True,
    ) -> None:
        self.actions = actions
        self.vectors = vectors
        self.similarity = similarity
        self.power = power
        self.include_self = include_self

    def __sklearn_clone__(self):
        """Clone everything but the vectors, gigabytes that a search must not copy."""
        params = self.get_params(deep=False)
        vectors = params.pop("vectors")
        params = {name: clone(value, safe=False) for name, value in params.items()}
        return type(self)(vectors=vectors, **params)

    def _fit_matrix(self, classes, y, y_past):
        names = verbs_and_nouns(classes, self.actions)
        refuse_ids(*names)
        codes, distinct = zip(*map(number_names, names), strict=True)
        grams = _gram_matrices(distinct, self.vectors)
        fallback = partial(verb_noun_rows, *names, include_self=self.include_self)
        matrix = _similarities(grams, codes, self.similarity)
        if not self.include_self:
            np.fill_diagonal(matrix, 0)
        return normalize_rows(_sharpened(matrix, self.power), fallback)


def _similarities(grams, codes, similarity):
    """Similarity of all pairs of classes, from inner products of names.

    Two small matrices, (V, V) of verbs and (N, N) of nouns -> (C, C) float32. A class
    of which no word is known has a row of zeros.
    """
    blocks = list(zip(grams, codes, strict=True))
    squares = sum(gram.diagonal()[code] for gram, code in blocks)
    # a common scale changes no row, and keeps long vectors within float32
    norms = np.sqrt(squares if "cosine" in similarity else squares.max())
    scale = np.full_like(squares, 1 / np.where(norms > 0, norms, 1))
    # columns first, while there are few rows; then whole rows are copied
    verbs, nouns = ((gram[:, code] * scale).astype(np.float32) for gram, code in blocks)
    matrix = verbs[codes[0]]
    matrix += nouns[codes[1]]
    matrix *= scale.astype(np.float32)[:, None]
    if similarity == "relu":
        np.maximum(matrix, 0, out=matrix)
    elif similarity == "expcosine":
        np.exp(matrix, out=matrix)
    else:
        np.abs(matrix, out=matrix)
    matrix[squares == 0] = 0
    return matrix


def _sharpened(matrix, power):
    """Raise each row to a power, relative to its maximum, so that none overflows."""
    if power == 1:
        return matrix
    largest = matrix.max(axis=1, keepdims=True)
    matrix /= np.where(largest > 0, largest, 1)
    return np.power(matrix, np.float32(power), out=matrix)


def _gram_matrices(blocks, vectors):
    """Inner products of the names in each block: verbs (V, V), nouns (N, N)."""
    tokens = {
        name: words(_MARKS.sub(" ", str(name))) for block in blocks for name in block
    }
    wanted = frozenset(word for parts in tokens.values() for word in parts)
    table = _word_table(vectors, wanted)
    if not table:
        first = ", ".join(sorted(wanted)[:5])
        raise ValueError(
            f"The word vectors know none of the {len(wanted)} words of the classes "
            f"({first}, ...): pass vectors with lower-case words of the same language."
        )
    dimension = len(next(iter(table.values())))
    zero = np.zeros((1, dimension))
    grams, unknown = [], []
    for block in blocks:
        known = [
            [table[word] for word in tokens[name] if word in table] for name in block
        ]
        unknown += [n for n, parts in zip(block, known, strict=True) if not parts]
        means = np.stack([np.mean(parts or zero, axis=0) for parts in known])
        grams.append(means @ means.T)
    if unknown:
        listed = ", ".join(str(name) for name in unknown[:5])
        rest = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        warn(
            f"No word vector for {len(unknown)} of {len(tokens)} names, which count as "
            f"a block of zeros: {listed}{rest}. Check how they are written, or give "
            "actions= in words that the vectors have."
        )
    return grams


def _word_table(vectors, wanted):
    """Vectors of the wanted words that are known: mapping word -> (d,) float64."""
    if vectors is None:
        raise ValueError(
            "GloVePrior needs vectors=: the path of a file such as glove.6B.300d.txt, "
            "a mapping word -> array, or gensim KeyedVectors."
        )
    if isinstance(vectors, (str, os.PathLike)):
        path = _local_path(vectors)
        vectors = _read_cached(path, file_marks(path), wanted)
    table = {
        word: np.asarray(
            plain_numbers(vectors[word], f"vectors[{word!r}]"), dtype=np.float64
        )
        for word in sorted(wanted)
        if word in vectors
    }
    shapes = {vector.shape for vector in table.values()}
    finite = all(np.isfinite(vector).all() for vector in table.values())
    if len(shapes) > 1 or not finite or any(len(shape) != 1 for shape in shapes):
        raise ValueError(
            "vectors must map each word to a 1-D array of finite numbers, all of one "
            f"length, got the shapes {sorted(shapes)}."
        )
    return table


@lru_cache(maxsize=4)
def _read_cached(path, marks, wanted):
    """Read a file once for the many fits of a search."""
    return read_word_vectors(path, wanted)


def _local_path(vectors):
    """Return the file of the vectors, which gensim may have to download."""
    path = Path(vectors).expanduser()
    if path.is_file():
        return path.resolve()
    if isinstance(vectors, os.PathLike) or path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(
            f"vectors: there is no file {path}; pass the path of a text file of word "
            "vectors, or the vectors themselves."
        )
    from gensim import downloader

    try:
        # the path only: loading would run code that came with the download
        return Path(downloader.load(vectors, return_path=True))
    except Exception as error:
        raise OSError(
            f"vectors={vectors!r} is no file, and gensim could not fetch a model of "
            f"that name ({type(error).__name__}: {error}): check the name with "
            "gensim.downloader.info() and the connection, or download a file of word "
            "vectors elsewhere and pass its path."
        ) from error
