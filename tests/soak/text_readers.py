"""Readers of text: tables of segments and classes, word vectors, submissions."""

import bz2
import functools
import gzip
import io
import json
import lzma
import zipfile

import numpy as np
from bounded import Reader
from gensim.models import KeyedVectors
from mutants import mutated_tree
from mutations import changed_bytes, changed_text
from toy_submission import IDS, write

from skanticipate.datasets import (
    read_actions,
    read_class_list,
    read_classes,
    read_framewise,
    read_segments,
    read_video_info,
    validate_submission,
)
from skanticipate.priors import GloVePrior, read_word_vectors

# ------------------------------------------------------------------------------- csv

_EPIC100 = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,"
    "stop_timestamp,start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,"
    "all_nouns,all_noun_classes\n"
    "P01_01_0,P01,P01_01,00:00:01.089,00:00:00.14,00:00:03.37,8,202,open door,open,3,"
    "door,3,['door'],[3]\n"
    'P01_01_1,P01,P01_01,00:00:02.629,00:00:04.37,00:00:06.17,262,370,"turn on, light"'
    ",turn-on,6,light,114,\"['light', 'tap']\",\"[114, 2]\"\n"
    "P02_01_0,P02,P02_01,00:01:02.629,00:01:04.37,00:01:06.17,3862,3970,close door,"
    "close,4,door,3,['door'],[3]\n"
)
_EPIC55 = (
    "uid,participant_id,video_id,narration,start_timestamp,stop_timestamp,start_frame,"
    "stop_frame,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
    "6374,P03,P03_04,stir food,00:09:16.26,00:09:17.77,33376,33466,stir,20,food,27,"
    "['food'],[27]\n"
    "6375,P03,P03_04,take pan,00:09:18.26,00:09:19.77,33496,33586,take,0,pan,5,['pan'],"
    "[5]\n"
)
SEGMENTS = [
    _EPIC100,
    _EPIC55,
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,"
    "stop_timestamp,start_frame,stop_frame\nP01_11_0,P01,P01_11,00:00:00.00,"
    "00:00:00.00,00:00:01.89,1,113\nP01_11_1,P01,P01_11,00:00:01.43,00:00:01.88,"
    "00:00:04.24,112,254\n",
    "uid,participant_id,video_id,start_timestamp,stop_timestamp,start_frame,stop_frame"
    "\n1924,P01,P01_11,00:00:00.00,00:00:01.89,1,113\n",
    "0, P01_01, 4, 101, 3, 3, 22\n1, P01_01, 131, 185, 6, 114, 115\n"
    "00330, P01_02, 0152, 0205, 000, 004, 0194\n",
    "0, P01_11, 1, 57\n1, P01_11, 56, 127\n2, P01_12, 3, 9\n",
    "## Action ID; Clip Prefix; Video Session; Starting Time (ms); Ending Time (ms); "
    "Action Label; Verb Label; Noun Label(s)\n"
    "1; OP01-R01-PastaSalad-72680-75830; OP01-R01-PastaSalad; 72680; 75830; "
    "Inspect/Read recipe; Inspect/Read; recipe\n"
    "2; OP01-R01-PastaSalad-75830-79200; OP01-R01-PastaSalad; 75830; 79200; "
    "Open fridge; Open; fridge, drawer\n",
    "OP01-R01-PastaSalad-1002316-1004005-F024051-F024101 1 1 1\n"
    "OP01-R01-PastaSalad-1004110-1021110-F024103-F024612 2 2 2 7\n",
    "video,start_frame,stop_frame,action,verb,start_seconds,stop_seconds,note\n"
    "a,1,30,4,2,0.1,1.2,hello\nb,40,99,5,3,1.5,3.3,7\n",
]
ACTIONS = [
    "id,verb,noun,action\n0,0,10,take_knife\n1,0,2,take plate\n2,7,3,turn on_tap\n",
    "0, 0_10, Inspect/Read_recipe\n1, 1_3, Open fridge\n2, 1_4, Turn on faucet\n",
]
CLASSES = [
    'verb_id,class_key,verbs\n0,take,"[\'take\', \'grab\', ""pick-up""]"\n'
    "1,put,['put']\n",
    "noun_id,class_key,nouns\n1,pan,\"['pan', 'frying pan']\"\n0,tap,['tap']\n",
    "id,key,instances\n0,take,\"['take', 'collect-from']\"\n1,put,['put']\n",
    "Inspect/Read recipe 1\nOpen fridge 2\nTake eating_utensil 3\n",
]
LISTS = [
    "verb_class,verb\n1,put\n0,take\n5,open\n",
    "noun\n3\n12\n4\n",
    'action_class,verb_class,noun_class\n"(0, 1)",0,1\n"(3, 3)",3,3\n',
]
INFO = [
    "video_id,duration,fps,resolution\nP01_01,1652.15,59.94,1920x1080\n"
    "P01_02,503.15,50.0,1920x1080\n",
    "video,fps\na,30\nb,29.97\n",
]
TABLE = {"label": [7, 8, 9], "verb": [3, 6, 4], "noun": [3, 114, 3]}


class CsvReader(Reader):
    """Every reader of a csv file or of lines of text."""

    name = "csv"

    def prepare(self, folder):
        self.forms = [
            *((read_segments, text.encode()) for text in SEGMENTS),
            *((_segments_with_actions, text.encode()) for text in SEGMENTS[:2]),
            *((read_actions, text.encode()) for text in ACTIONS),
            *((_actions_with_names, text.encode()) for text in ACTIONS),
            *((read_classes, text.encode()) for text in CLASSES),
            *((read_class_list, text.encode()) for text in LISTS),
            *((read_video_info, text.encode()) for text in INFO),
        ]
        self.texts = [text for _, text in self.forms]

    def make(self, rng):
        if rng.random() < 0.15:
            return self._framewise(rng)
        _, text = rng.choice(self.forms)
        return {"a.csv": changed_text(text, rng, self.texts)}

    def _framewise(self, rng):
        files = {
            "mapping.txt": b"0 SIL\n1 take_cup\n2 pour_milk\n3 stir it\n",
            "groundTruth/a.txt": b"SIL\nSIL\ntake_cup\ntake_cup\npour_milk\nSIL\n",
            "groundTruth/b.txt": b"stir it\npour_milk\n",
            "splits/train.bundle": b"a.txt\nb.txt\n",
        }
        name = rng.choice(list(files))
        files[name] = changed_text(files[name], rng, list(files.values()))
        return files

    def read(self, folder, rng):
        if (folder / "mapping.txt").exists():
            place = rng.choice(["groundTruth", "splits/train.bundle"])
            mapping = folder / "mapping.txt"
            background = rng.choice([None, "SIL"])
            try:
                found = read_framewise(
                    folder / place, mapping=mapping, background=background
                )
            except ValueError as error:
                if "background has" in str(error):  # names the parameter
                    raise ValueError(f"{folder}: {error}") from error
                raise
            return check_columns(found)
        form, _ = self.forms[rng.randrange(len(self.forms))]
        first = (folder / "a.csv").read_bytes()[:40]
        own = [reader for reader, text in self.forms if text[:8] == first[:8]]
        if own and rng.random() < 0.9:
            form = rng.choice(own)
        found = form(folder / "a.csv")
        if form is read_class_list:
            assert found.dtype == np.int64 and len(found) and (found >= 0).all()
            return None
        return check_columns(found)


def _segments_with_actions(path):
    return read_segments(path, actions=TABLE)


def _actions_with_names(path):
    names = [f"name{k}" for k in range(120)]
    return read_actions(path, verbs=names, nouns=names)


def check_columns(table):
    """All columns have one length, and hold numbers that are finite, or texts."""
    assert len({len(column) for column in table.values()}) == 1, "lengths"
    for name, column in table.items():
        assert len(column), name
        if name == "instances":
            assert all(isinstance(form, str) for forms in column for form in forms)
            continue
        column = np.asarray(column)
        assert column.dtype.kind in "iUf" and column.ndim == 1, (name, column.dtype)
        if column.dtype.kind == "f":
            assert np.isfinite(column).all(), name
        if column.dtype.kind == "i":
            assert column.dtype == np.int64, name


# ---------------------------------------------------------------------- word vectors

_LINES = [
    b"the 1 2 3\ncut 0.5 -1 2e-1\npan 4 5 6\nonion -1 -2 0\nwash 0.1 0.2 0.3\n",
    b"5 3\nthe 1 2 3\ncut 0.5 -1 2e-1\npan 4 5 6\nonion -1 -2 0\nwash 0.1 0.2 0.3\n",
    b"at home 1 2\n. . . 0 1\ncut 3 4\n\xc3\xa9plucher 5 6\npan 0.1 7\nwash 8 9\n",
    b"the 1\ncut 2\npan 3\nwash 4\n",
]
_WORDS = ["cut", "pan", "the", "wash", "onion", "at home", "\u00e9plucher"]
_BOMBS = [
    (start, piece, n)
    for piece, n in [
        *((p, 10**6) for p in (b"0", b"\n", b"cut 0 ", b"cut 1 2 3\n", b"a", b"\0")),
        *((p, 10**8) for p in (b"0 ", b"\n")),
    ]
    for start in (b"", b"the 1 2 3\n")
]


class VectorReader(Reader):
    """Word vectors in text, plain or compressed, and what is none."""

    name = "word vectors"

    def prepare(self, folder):
        rng = np.random.default_rng(0)
        many = "".join(
            f"w{k} {' '.join(f'{v:.4f}' for v in rng.normal(size=8))}\n"
            for k in range(150)
        )
        self.texts = [*_LINES, many.encode() + b"cut" + b" 1" * 8 + b"\n"]
        vectors = KeyedVectors(3)
        vectors.add_vectors(["cut", "pan"], np.ones((2, 3), dtype=np.float32))
        vectors.save_word2vec_format(str(folder / "binary"), binary=True)
        self.others = [(folder / "binary").read_bytes()]
        vectors.save(str(folder / "kv"))
        self.others.append((folder / "kv").read_bytes())

    def make(self, rng):
        text = changed_text(rng.choice(self.texts), rng, self.texts)
        way = rng.randrange(100)
        if way < 40:
            return {"vectors.txt": text}
        if way < 60:
            return {"vectors.txt.gz": gzip.compress(text, 1, mtime=0)}
        if way < 85:
            content = gzip.compress(rng.choice(self.texts), 1, mtime=0)
            return {"vectors.gz": changed_bytes(content, rng)}
        if way < 96:
            content = rng.choice(self.others)
            return {"vectors.bin": changed_bytes(content, rng, self.others)}
        if way < 99 or rng.random() < 0.9:
            compress = rng.choice([bz2.compress, lzma.compress, _zipped])
            return {"vectors.bz2": compress(text)}
        return {"vectors.gz": _bomb(*rng.choice(_BOMBS))}

    def read(self, folder, rng):
        (path,) = folder.iterdir()
        if rng.random() < 0.1:
            prior = GloVePrior(vectors=path)
            try:
                matrix = prior.fit(["cut pan", "wash onion"]).matrix_
            except ValueError as error:
                if "know none of" in str(error):  # names the words
                    raise ValueError(f"{path}: {error}") from error
                raise
            assert np.isfinite(matrix).all()
            return
        words = rng.sample(_WORDS, rng.choice([1, 3, len(_WORDS)]))
        found = read_word_vectors(path, words)
        assert set(found.index_to_key) <= set(words)
        assert found.vectors.dtype == np.float32
        assert np.isfinite(found.vectors).all()


@functools.cache
def _bomb(start, piece, n_bytes):
    """A small archive of a large text."""
    return gzip.compress(start + piece * (n_bytes // len(piece)), 1)


def _zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("vectors.txt", content)
    return buffer.getvalue()


# ----------------------------------------------------------------------- submissions


class SubmissionReader(Reader):
    """Files of predictions in JSON."""

    name = "submission"

    def prepare(self, folder):
        rng = np.random.default_rng(0)
        path, one = folder / "test.json", IDS[:1]
        of55 = {"verb": rng.normal(size=(1, 125)), "noun": rng.normal(size=(1, 352))}
        none = dict.fromkeys(("sls_pt", "sls_tl", "sls_td", "action", "actions"))
        of100 = {"verb": rng.random((2, 97)), "noun": rng.random((2, 300))}
        self.contents = [
            (write(path, one, **_first_rows(1)), "epic100"),
            (write(path, IDS[:2], **of100, action=None, actions=None), "epic100"),
            (write(path, ["17"], **of55, dataset="epic55", **none), "epic55"),
        ]
        self.texts = [json.dumps(tree).encode() for tree, _ in self.contents]

    def make(self, rng):
        which = rng.randrange(len(self.contents))
        text = self.texts[which]
        way = rng.randrange(100)
        if way < 60:
            tree = json.loads(text)
            for _ in range(rng.randrange(1, 3)):
                tree = mutated_tree(tree, rng)
                if not isinstance(tree, dict) or not tree:
                    break
            text = json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode(
                "utf-8", "surrogatepass"
            )
        elif way < 80:
            text = changed_bytes(text, rng, self.texts)
        elif way < 98:
            text = changed_text(text, rng, self.texts)
        elif way == 98:
            text = _zipped(text)
        else:
            text = rng.choice([b"[", b'{"a":', b'{"results":{"a":'])
            text *= rng.choice([100, 5000, 100_000])
        return {f"{self.contents[which][1]}.json": text}

    def read(self, folder, rng):
        (path,) = folder.iterdir()
        dataset = path.stem
        if rng.random() < 0.05:
            dataset = rng.choice(["epic100", "epic55"])
        ids = rng.choice([None, None, IDS[:1]])
        found = validate_submission(path, ids, dataset=dataset)
        assert len(found.verb) == len(found.noun) == len(found.ids) > 0
        assert np.isfinite(found.verb).all() and np.isfinite(found.noun).all()
        if found.action is not None:
            assert found.action.shape == (len(found.ids), 100)
            assert found.pairs.shape == (len(found.ids), 100, 2)


def _first_rows(n):
    rng = np.random.default_rng(1)
    sizes = {"verb": 97, "noun": 300, "action": 120}
    return {name: rng.normal(size=(n, size)) for name, size in sizes.items()}
