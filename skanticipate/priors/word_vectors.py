"""Read the vectors of a few words out of a text file of word vectors."""

from __future__ import annotations

import gzip
import os
import zlib
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np

from skanticipate._typing import FilePath, KeyedVectors
from skanticipate.data.formats import UTF8_MARK, foreign_text
from skanticipate.data.missing import label_list
from skanticipate.data.numbers import number_in

_N_PROBED_LINES = 100
_N_PROBED_BYTES = 4096
_RATIO, _SMALL = 30, 2**22  # times, and bytes, that an archive may unpack to
_LONGEST = 2**18  # bytes of a line: some ten thousand numbers


def read_word_vectors(path: FilePath, words: Iterable[str]) -> KeyedVectors:
    r"""Read the vectors of some words from a text file, line by line.

    Reads the GloVe format (one word and its numbers a line) and the word2vec text
    format (the same after a header `count dimension`), in UTF-8, plain or compressed by
    gzip, whatever the name says. Only the lines of the words asked for are parsed, so a
    file of several GB costs no memory. Reading stops when all are found; a compressed
    file is read to its end, where its checksum is.

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
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, is no text of word vectors in UTF-8 (names what it is:
        word2vec's binary format, a pickle as gensim saves it, an archive, UTF-16, a web
        page, ...) or a damaged archive, or the line of a word that is asked for does
        not hold as many finite numbers as the other lines, too few or too many of them;
        names the file and the line.

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
    words = label_list(words, "words", ordered=False)
    path, wanted = Path(path), {word.encode() for word in words}
    first_tokens = {token for word in wanted for token in word.split()[:1]}
    try:
        with _open(path) as file:
            found, dimension = _read(path, file, wanted, first_tokens)
            while isinstance(file, gzip.GzipFile) and file.read(1 << 20):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is damaged or cut short, gzip cannot read it ({error}): get the "
            "file again."
        ) from error
    return _keyed_vectors(found, dimension)


def _open(path):
    """Open what is compressed and what is not, by its content."""
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return (gzip.open if compressed else open)(path, "rb")


def _read(path, file, wanted, first_tokens):
    """Vectors of the wanted words, by word in bytes, and their dimension."""
    _check_format(path, file.read(_N_PROBED_BYTES))
    file.seek(0)
    lines = _lines(path, file)
    found, probed = {}, list(islice(lines, _N_PROBED_LINES))
    probed[:1] = [line.removeprefix(UTF8_MARK) for line in probed[:1]]
    dimension, n_header_lines = _layout(probed, path)
    lines = islice(chain(probed, lines), n_header_lines, None)
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
    return found, dimension


def _lines(path, file):
    """Lines of a file, none of which is longer than vectors are.

    An archive of a megabyte may hold a line of a gigabyte.
    """
    most, n_bytes = os.stat(path).st_size * _RATIO + _SMALL, 0
    lines = iter(partial(file.readline, _LONGEST), b"")
    for number, line in enumerate(lines, start=1):
        n_bytes += len(line)
        if n_bytes > most:
            raise ValueError(
                f"{path} unpacks to more than {_RATIO} times its size, as no word "
                "vectors do: get the file again, or unpack it yourself if it is right."
            )
        if len(line) == _LONGEST:
            raise ValueError(
                f"{path}, line {number}, has {_LONGEST:,} bytes or more: expected a "
                "word and its numbers. Get the file again."
            )
        yield line


def _check_format(path, head):
    """Refuse a file that begins like something else."""
    found = foreign_text(head)
    if _is_binary_word2vec(head):
        found = "in word2vec's binary format"
    elif found is None and b"\r" in head and b"\n" not in head:
        found = "text whose lines end in a carriage return alone"
    if found is not None:
        raise ValueError(
            f"{path} is {found}: expected lines of a word and its numbers in UTF-8. "
            "Unpack or convert it; or load it with gensim (KeyedVectors.load, or "
            "load_word2vec_format with binary=True) and pass the KeyedVectors."
        )


def _is_binary_word2vec(head):
    r"""Whether a header `count dimension` precedes a word and the bytes of its vector.

    Examples
    --------
    >>> _is_binary_word2vec(b"1 2\ncut \x00\x00\x80?\x00\x00\x00\x00")
    True
    >>> _is_binary_word2vec(b"1 2\ncut 1.0 0.0\n")
    False
    """
    header, _, record = head.partition(b"\n")
    header = header.split()
    if len(header) != 2 or not all(token.isdigit() for token in header):
        return False
    vector = record.partition(b" ")[2][: 4 * int(header[1])]
    try:
        text = getincrementaldecoder("utf-8")().decode(vector)
    except UnicodeDecodeError:
        return True
    return any(ord(letter) < 32 and not letter.isspace() for letter in text)


def _layout(probed, path):
    """Dimension of the vectors and number of header lines.

    Most lines have one token more than the dimension: words with spaces have more of
    them, a broken line may have fewer.
    """
    lengths = [len(line.split()) for line in probed]
    header = probed[0].split() if probed else []
    dimension, n_header_lines = 0, 0
    counts = len(header) == 2 and all(map(_is_count, header))
    if counts and lengths[1:2] != [2]:
        dimension, n_header_lines = int(header[1]), 1
    elif any(lengths):
        dimension = Counter(filter(None, lengths)).most_common(1)[0][0] - 1
    rows = zip(lengths[n_header_lines:], probed[n_header_lines:], strict=True)
    if dimension < 1 or not any(
        length > dimension and all(map(_is_number, _split(line, dimension)[1]))
        for length, line in rows
    ):
        raise ValueError(
            f"{path} holds no word vectors: expected lines of a word and its numbers, "
            "separated by spaces."
        )
    return dimension, n_header_lines


def _is_count(token):
    return token.isdigit() and len(token) <= 400


def _split(line, dimension):
    """Return the word, spaces and all, and the tokens of its numbers."""
    word, *numbers = line.strip().rsplit(None, dimension)
    first, *others = word.split()
    if all(_is_number(token) for token in others):
        # too many numbers rather than a word with spaces
        return first, others + numbers
    return word, numbers


def _is_number(token):
    return number_in(token) is not None


def _parse(numbers, dimension):
    """Vector of float32, or None where the tokens are no `dimension` finite numbers."""
    if len(numbers) != dimension or not all(map(_is_number, numbers)):
        return None
    with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite
        vector = np.array([float(token) for token in numbers]).astype(np.float32)
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
