"""Files and values of other formats, given where ours are expected."""

import bz2
import gzip
import io
import lzma
import pickle
import zipfile

import numpy as np
import pytest
from gensim.models import KeyedVectors
from numpy.testing import assert_allclose

from skanticipate.datasets import read_class_list, read_segments
from skanticipate.priors import GloVePrior, read_word_vectors

LINES = b"the 1 2 3\ncut 0.5 -1 2e-1\npan 4 5 6\n"
SEGMENTS = "id,video,start_frame,stop_frame,verb,noun,action\n1,a,5,9,0,4,19\n"


def of(write):
    """Return what a function writes into a file, as bytes."""
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def zipped(content):
    def write(file):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("vectors.txt", content)

    return of(write)


# what a file begins like, by the libraries that write it
FORMATS = {
    "zip": zipped(LINES),
    "numpy": of(lambda file: np.save(file, np.ones(9))),
    ".npz": of(lambda file: np.savez(file, np.ones(9))),
    "bzip2": bz2.compress(LINES),
    "xz": lzma.compress(LINES),
    "pickle": pickle.dumps(np.ones(9)),
    "web page": b"\n<!DOCTYPE html>\n<html><body>404</body></html>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "PDF": b"%PDF-1.7\n",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(90),
}
ENCODED = {
    "UTF-16": ["utf-16", "utf-16-le", "utf-16-be"],
    "UTF-32": ["utf-32"],
}


# ---------------------------------------------------------------------- word vectors


@pytest.fixture
def write(tmp_path):
    def write(content, name="vectors.txt"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("file_name", ["vectors.txt", "vectors.gz", "vectors.kv"])
def test_other_formats_are_no_word_vectors(write, name, file_name):
    path = write(FORMATS[name], file_name)
    with pytest.raises(ValueError, match=rf"{file_name} is .*{name}.*: expected lines"):
        read_word_vectors(path, ["cut"])


@pytest.mark.parametrize("name", FORMATS)
def test_the_prior_says_so_too(write, name):
    path = write(FORMATS[name])
    with pytest.raises(ValueError, match=rf"vectors.txt is .*{name}"):
        GloVePrior(vectors=path).fit(["cut pan", "wash pan"])


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_other_encodings_are_named(write, name, compress):
    for encoding in ENCODED[name]:
        path = write(compress(LINES.decode().encode(encoding)))
        with pytest.raises(ValueError, match=f"vectors.txt is text in {name}"):
            read_word_vectors(path, ["cut"])


@pytest.mark.parametrize("name", ["model.bin", "vectors.txt", "model.bin.gz"])
@pytest.mark.parametrize("d", [2, 3, 50])
def test_the_binary_format_of_word2vec_is_recognized(tmp_path, name, d):
    for numbers in (np.ones((2, d)), np.random.default_rng(d).normal(size=(2, d))):
        vectors = KeyedVectors(d)
        vectors.add_vectors(["cut", "pan"], numbers.astype(np.float32))
        path = tmp_path / name
        vectors.save_word2vec_format(str(path), binary=True)
        with pytest.raises(ValueError, match=r"word2vec's binary format: .*binary="):
            read_word_vectors(path, ["cut"])


def test_what_gensim_has_saved_is_recognized(tmp_path):
    vectors = KeyedVectors(3)
    vectors.add_vectors(["cut"], np.ones((1, 3), dtype=np.float32))
    vectors.save(str(tmp_path / "vectors.kv"))
    with pytest.raises(ValueError, match=r"is a Python pickle: .*KeyedVectors.load"):
        read_word_vectors(tmp_path / "vectors.kv", ["cut"])


@pytest.mark.parametrize("header", [b"", b"3 3\n"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_utf8_mark_is_skipped(write, header, compress):
    path = write(compress(b"\xef\xbb\xbf" + header + LINES))
    assert_allclose(read_word_vectors(path, ["the"])["the"], [1, 2, 3])


@pytest.mark.parametrize(("name", "compress"), [("a.gz", bytes), ("a", gzip.compress)])
def test_the_content_says_whether_it_is_compressed(write, name, compress):
    path = write(compress(LINES.replace(b"\n", b"\r\n")), name)
    assert_allclose(read_word_vectors(path, ["pan"])["pan"], [4, 5, 6])


def test_a_damaged_archive_is_refused(write):
    rng = np.random.default_rng(0)
    lines = [f"w{i} {' '.join(map(str, rng.normal(size=3)))}" for i in range(500)]
    content = gzip.compress("\n".join(lines).encode())
    for stop in (3, 12, 200, len(content) - 9, len(content) - 1):
        with pytest.raises(ValueError, match=r"vectors.txt is damaged or cut short"):
            read_word_vectors(write(content[:stop]), ["w0"])
    for place in range(10, len(content), 97):
        broken = bytearray(content)
        broken[place] ^= 0x10
        with pytest.raises(ValueError, match="vectors.txt"):
            read_word_vectors(write(broken), ["w0"])


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"5 3\n", b"0 0\n", b'{"cut": [1, 2]}\n', b"A text of words.\n" * 9]
    + [b"cut,1,2\npan,3,4\n", b"9 99999999999999999999\ncut 1 2\n"],
)
def test_text_without_vectors_is_refused(write, content):
    with pytest.raises(ValueError, match=r"vectors.txt holds no word vectors"):
        read_word_vectors(write(content), ["words"])


def test_lines_of_carriage_returns_are_refused(write):
    with pytest.raises(ValueError, match="lines end in a carriage return"):
        read_word_vectors(write(LINES.replace(b"\n", b"\r")), ["cut"])


# -------------------------------------------------------------------------- csv files


@pytest.mark.parametrize("name", [*FORMATS, "gzip"])
@pytest.mark.parametrize("reader", [read_segments, read_class_list])
def test_other_formats_are_no_csv(write, reader, name):
    content = FORMATS.get(name, gzip.compress(SEGMENTS.encode()))
    with pytest.raises(ValueError, match=rf"a.csv is .*{name}.*: expected a csv file"):
        reader(write(content, "a.csv"))


@pytest.mark.parametrize("name", ENCODED)
def test_csv_in_other_encodings_is_named(write, name):
    for encoding in ENCODED[name]:
        path = write(SEGMENTS.encode(encoding), "a.csv")
        with pytest.raises(ValueError, match=f"a.csv is text in {name}"):
            read_segments(path)


def test_nul_in_a_csv_is_refused(write):
    # numpy would read the videos "a" and "a\0" as one
    rows = "".join(f"{i},P01_{i:02d},5,9,0,4,19\n" for i in range(900))
    path = write((rows + "1,a\0,5,9,0,4,19\n").encode(), "a.csv")
    with pytest.raises(ValueError, match="a.csv, line 901, has a NUL character"):
        read_segments(path)


TABLES = [
    SEGMENTS,
    "id,action,verb,noun\n0, take_pan,0,1\n",
    "id,verb,noun,verb_name,noun_name\n0,0,1,take,pan\n",
    "id,narration,verb,nouns\nP01_01_0,open door,3,3\n",
    "narration_id,participant_id,verb,verb_class,noun,noun_class\nP01_1,P01,take,0,a,2",
    "verb_id,class_key,verbs\n0,take,\"['take']\"\n",
    "id,key,instances\n0,take,\"['take']\"\n",
    "3\n12\n",
]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_no_class_list_is_refused(write, table):
    with pytest.raises(ValueError, match=r"line 1, has the columns .*list of classes"):
        read_class_list(write(table.encode(), "a.csv"))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("verb\n3\n12\n3\n", "line 4, has the class 3,"),
        ("noun_class,noun\n-1,a\n", "line 2, has the class -1,"),
        (
            "action_class,noun,noun_class,verb,verb_class\n"
            '"(1, 7)",a,7,b,1\n"(1, 7)",a,7,b,1\n',
            "line 3, has the class 1, 7,",
        ),
    ],
)
def test_a_class_that_is_listed_twice_is_refused(write, text, match):
    with pytest.raises(ValueError, match=match):
        read_class_list(write(text.encode(), "a.csv"))
