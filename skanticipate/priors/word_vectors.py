"""Read the vectors of a few words out of a text file of word vectors."""

import gzip
from collections import Counter
from itertools import chain, islice
from pathlib import Path

import numpy as np

_N_PROBED_LINES = 100


def read_word_vectors(path, words):
    r"""Read the vectors of some words from a text file, line by line.

    Reads the GloVe format (one word and its numbers a line) and the word2vec text
    format (the same after a header `count dimension`), plain or compressed (.gz).
    Only the lines of the words asked for are parsed, and reading stops when all are
    found, so a file of several GB costs no memory.

    Parameters
    ----------
    path : str or path-like
        The file. Words may contain spaces, as in glove.840B.300d.
    words : iterable of str
        The words to keep. Of a word that is listed twice, the first line counts.

    Returns
    -------
    vectors : gensim.models.KeyedVectors
        The words that were found, in the order of the file; float32.

    Raises
    ------
    ValueError
        If the file is empty, or the line of a word that is asked for does not hold
        as many finite numbers as the other lines, too few or too many of them; names
        the file and the line.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from skanticipate.priors import read_word_vectors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "vectors.txt"
    ...     _ = path.write_text("cut 1 0\nat home 0 1\npan 0.5 1\n")
    ...     vectors = read_word_vectors(path, ["pan", "cut"])
    >>> vectors.index_to_key
    ['cut', 'pan']
    """
    path, wanted = Path(path), {word.encode() for word in words}
    first_tokens = {token for word in wanted for token in word.split()[:1]}
    found = {}
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        probed = list(islice(file, _N_PROBED_LINES))
        dimension, n_header_lines = _layout(probed, path)
        lines = islice(chain(probed, file), n_header_lines, None)
        for number, line in enumerate(lines, start=n_header_lines + 1):
            if len(found) == len(wanted):
                break
            first_token = line.split(None, 1)[:1]
            if not first_token or first_token[0] not in first_tokens:
                continue
            word, numbers = _split(line, dimension)
            if word in wanted:
                vector = _parse(numbers, dimension)
                if vector is None:
                    raise _broken_line(path, number, line, dimension)
                found.setdefault(word, vector)
    return _keyed_vectors(found, dimension)


def _layout(probed, path):
    """Dimension of the vectors and number of header lines.

    Most lines have one token more than the dimension: words with spaces have more of
    them, a broken line may have fewer.
    """
    lengths = [len(line.split()) for line in probed]
    header = probed[0].split() if probed else []
    if len(header) == 2 and all(token.isdigit() for token in header):
        if lengths[1:2] != [2]:
            return int(header[1]), 1
    lengths = [length for length in lengths if length]
    if not lengths or max(lengths) < 2:
        raise ValueError(
            f"{path} holds no word vectors: expected lines of a word and its numbers, "
            "separated by spaces."
        )
    return Counter(lengths).most_common(1)[0][0] - 1, 0


def _split(line, dimension):
    """Return the word, spaces and all, and the tokens of its numbers."""
    word, *numbers = line.strip().rsplit(None, dimension)
    first, *others = word.split()
    if all(_is_number(token) for token in others):
        # too many numbers rather than a word with spaces
        return first, others + numbers
    return word, numbers


def _is_number(token):
    try:
        float(token)
    except ValueError:
        return False
    return True


def _parse(numbers, dimension):
    """Vector of float32, or None where the tokens are no `dimension` finite numbers."""
    if len(numbers) != dimension or not all(map(_is_number, numbers)):
        return None
    vector = np.array([float(token) for token in numbers], dtype=np.float32)
    return vector if np.isfinite(vector).all() else None


def _broken_line(path, number, line, dimension):
    return ValueError(
        f"{path}, line {number}: expected a word and {dimension} finite numbers, got "
        f"{line[:60].decode(errors='replace')!r}...: download the file again; read "
        "binary word2vec files with gensim and pass its KeyedVectors."
    )


def _keyed_vectors(found, dimension):
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(dimension, dtype=np.float32)
    if found:
        words = [word.decode() for word in found]
        vectors.add_vectors(words, np.stack(list(found.values())))
    return vectors
