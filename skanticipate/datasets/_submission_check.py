"""Files of predictions for the EPIC-KITCHENS challenges: their rules, checked."""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from numbers import Integral
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skanticipate._typing import FilePath
from skanticipate.data.missing import label_list
from skanticipate.datasets._csv import named

Challenge = Literal["action_anticipation", "action_recognition"]
Dataset = Literal["epic100", "epic55"]
CHALLENGES = get_args(Challenge)
N_ACTIONS = 100
_OF_EGO4D = ("clips", "annotations", "verbs", "videos")  # in place of results
_LEVELS = ("sls_pt", "sls_tl", "sls_td")


class Rules(NamedTuple):
    """What differs between the challenges of the two data sets."""

    version: str
    n_classes: dict
    levels: tuple
    id_name: str


RULES = {
    "epic100": Rules("0.2", {"verb": 97, "noun": 300}, _LEVELS, "narration_id"),
    "epic55": Rules("0.1", {"verb": 125, "noun": 352}, (), "uid"),
}


def _is_one_of(name, known):
    return isinstance(name, str) and name in known


def rules_of(dataset):
    """Rules of a data set."""
    if not _is_one_of(dataset, RULES):
        raise ValueError(f"dataset is {dataset!r}: expected one of {tuple(RULES)}.")
    return RULES[dataset]


def validate_submission(
    path: FilePath,
    ids: ArrayLike | None = None,
    *,
    challenge: Challenge = "action_anticipation",
    dataset: Dataset = "epic100",
) -> Bunch:
    """Check a file of predictions by the rules of the official evaluation, and read it.

    Parameters
    ----------
    path : str or path-like
        A JSON file as the challenges of EPIC-KITCHENS take it.
    ids : array-like of str of shape (n,), default=None
        The segments that must be in it, neither more nor less; of "epic55" their
        `uid`, strings or integers. None takes those of the file.
    challenge : {"action_anticipation", "action_recognition"}, \
            default="action_anticipation"
        The server that the file is for.
    dataset : {"epic100", "epic55"}, default="epic100"
        EPIC-KITCHENS-100, or -55 with 125 verbs, 352 nouns and no supervision levels.

    Returns
    -------
    submission : Bunch
        `ids`, a list of n segments, in the order of the argument; `verb` (n, 97) and
        `noun` (n, 300), scores; `action` (n, 100), scores in the order of the file,
        and `pairs` (n, 100, 2), the verb and noun of each, or None for both if the
        file has none; `sls_pt`, `sls_tl` and `sls_td` of "epic100".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file breaks a rule; names the file and the segment.

    Notes
    -----
    The rules: version "0.2"; the challenge; three supervision levels from 0 to 5; each
    segment has a finite score for each of 97 verbs and 300 nouns; all segments or none
    have actions, exactly 100 of them, whose keys "verb,noun" are in range. Two things
    are checked that the official evaluation lets pass: NaN, and a key that is there
    twice. EPIC-KITCHENS-55 has version "0.1", and two such files, `seen.json` and
    `unseen.json`.

    References
    ----------
    https://github.com/epic-kitchens/C3-Action-Anticipation

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skanticipate.datasets import validate_submission
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "test.json"
    ...     _ = path.write_text('{"version": "0.1"}')
    ...     validate_submission(path)
    Traceback (most recent call last):
    ValueError: ...test.json has the version '0.1': expected '0.2'. Say ...epic55'.
    """
    rules = rules_of(dataset)
    if not _is_one_of(challenge, CHALLENGES):
        raise ValueError(f"challenge is {challenge!r}: expected one of {CHALLENGES}.")
    content = _object(_read(path), str(path))
    if "results" not in content and not content.keys().isdisjoint(_OF_EGO4D):
        raise ValueError(f"{path} is JSON of Ego4D: read it with read_ego4d.")
    check_head(content, str(path), (challenge,), rules)
    results = _member(content, "results", str(path))
    ids = list(results) if ids is None else check_ids(ids, rules)
    _check_segments(results, ids, path)
    entries = {f"{path}, segment {name!r},": results[name] for name in ids}
    submission = Bunch(ids=ids, action=None, pairs=None)
    submission.update({level: content[level] for level in rules.levels})
    limits = rules.n_classes
    for task in limits:
        scores = [_class_scores(entry, task, w, limits) for w, entry in entries.items()]
        submission[task] = np.array(scores, dtype=np.float64)
    if "action" in results[ids[0]]:
        scores = [_action_scores(entry, w, limits) for w, entry in entries.items()]
        pairs, scores = zip(*scores, strict=True)
        submission.pairs = np.array(pairs)
        submission.action = np.array(scores, dtype=np.float64)
    return submission


def check_head(head, where, challenges, rules):
    """Check version, challenge and supervision levels."""
    needed = ("version", "challenge", *rules.levels)
    missing = [name for name in needed if name not in head]
    if "version" in head and head["version"] != rules.version:
        other = next((k for k, r in RULES.items() if r.version == head["version"]), "")
        raise ValueError(
            f"{where} has the version {head['version']!r}: expected "
            f"{rules.version!r}.{f' Say dataset={other!r}.' * bool(other)}"
        )
    if missing:
        raise ValueError(
            f"{where} has no {missing[0]!r}: expected {', '.join(needed)} and results."
        )
    if not _is_one_of(head["challenge"], challenges):
        raise ValueError(
            f"{where} has the challenge {head['challenge']!r}: expected "
            f"{' or '.join(map(repr, challenges))}."
        )
    for name in rules.levels:
        if type(head[name]) is not int or not 0 <= head[name] <= 5:
            raise ValueError(
                f"{where} has the supervision level {name}={head[name]!r}: expected a "
                "whole number from 0 to 5."
            )


def check_ids(ids, rules=RULES["epic100"]):
    """Names of segments, none of them twice.   -> list of str."""
    ids = label_list(ids, "ids")
    if rules.id_name == "uid":  # numbers, as the official csv has them
        ids = [str(name) if isinstance(name, Integral) else name for name in ids]
    if not ids or not all(isinstance(name, str) for name in ids):
        raise ValueError(
            f"ids must hold the {rules.id_name} of at least one segment, strings such "
            f"as 'P01_11_0', got {ids[:3]}."
        )
    if len(set(ids)) < len(ids):
        repeated = _first_repeated(ids)
        raise ValueError(f"ids holds the segment {repeated!r} twice.")
    return ids


def _first_repeated(values):
    """Return the first of the values that occur more than once."""
    return next(value for value, n in Counter(values).items() if n > 1)


class _Object(dict):
    """A JSON object that knows a key that was written twice; a dict keeps the last."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.repeated = None
        if len(self) < len(pairs):
            self.repeated = _first_repeated(key for key, _ in pairs)


def _read(path):
    if not Path(path).is_file():  # of a device there may be no end
        raise FileNotFoundError(f"There is no file {path}.")
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file, object_pairs_hook=_Object)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no JSON ({error}). {named(path)}") from error


def _object(value, where):
    if not isinstance(value, _Object):
        raise ValueError(f"{where} is {value!r:.40}: expected a JSON object, {{...}}.")
    if value.repeated is not None:
        raise ValueError(f"{where} has the key {value.repeated!r} twice.")
    return value


def _member(parent, name, where):
    """Return the object `name` of an object."""
    if name not in parent:
        raise ValueError(f"{where} has no {name!r}.")
    return _object(parent[name], f"{where} {name!r}")


def _check_segments(results, ids, path):
    """The segments are those expected; all of them have actions, or none has."""
    missing = [name for name in ids if name not in results]
    if missing:
        raise ValueError(
            f"{path} lacks {len(missing)} segments, among them {missing[0]!r}: every "
            "segment must be in it."
        )
    strange = results.keys() - set(ids)
    if strange:
        raise ValueError(
            f"{path} has {len(strange)} segments that are not in ids, among them "
            f"{min(strange)!r}."
        )
    if not ids:
        raise ValueError(f"{path} has no segment.")
    with_actions = "action" in _member(results, ids[0], str(path))
    for name in ids:
        if ("action" in _member(results, name, str(path))) != with_actions:
            raise ValueError(
                f"{path}, segment {name!r}, has {'no ' * with_actions}actions, unlike "
                f"segment {ids[0]!r}: give actions for all segments or for none."
            )


def _class_scores(entry, task, where, limits):
    """Scores of all verbs or nouns, by id."""
    scores = _member(entry, task, where)
    by_id = {}
    for key in scores:
        (number,) = _ids_of(key, (task,), where, limits)
        if number in by_id:
            raise ValueError(f"{where} has the {task} {number} twice.")
        by_id[number] = _score(scores, key, task, where)
    missing = [number for number in range(limits[task]) if number not in by_id]
    if missing:
        raise ValueError(
            f"{where} has no score of the {task} {missing[0]}: expected "
            f"{limits[task]}, got {len(by_id)}."
        )
    return [by_id[number] for number in range(limits[task])]


def _action_scores(entry, where, limits):
    """Pairs (verb, noun) and their scores, in the order of the file."""
    scores = _member(entry, "action", where)
    if len(scores) != N_ACTIONS:
        raise ValueError(
            f"{where} has scores of {len(scores)} actions: expected {N_ACTIONS}."
        )
    pairs = [_ids_of(key, ("verb", "noun"), where, limits) for key in scores]
    if len(set(pairs)) < len(pairs):
        raise ValueError(f"{where} has the action {_first_repeated(pairs)} twice.")
    return pairs, [_score(scores, key, "action", where) for key in scores]


def _ids_of(key, tasks, where, limits):
    """Ids in a key: "3" of a verb or noun, "3,14" of an action."""
    bounds = tuple(limits[task] for task in tasks)
    ids = _parse_key(key, bounds)
    if ids is None:
        raise ValueError(
            f"{where} has the key {key!r}: expected {','.join(tasks)}, with ids below "
            f"{' and '.join(map(str, bounds))}, from 0."
        )
    return ids


@functools.lru_cache(maxsize=2**16)  # all segments have much the same keys
def _parse_key(key, bounds):
    try:
        ids = tuple(map(int, key.split(",")))
    except ValueError:
        return None
    in_range = len(ids) == len(bounds) and all(
        0 <= number < bound for number, bound in zip(ids, bounds, strict=True)
    )
    return ids if in_range else None


def _score(scores, key, task, where):
    score = scores[key]
    # the comparison is false for NaN and works for whole numbers of any length
    if type(score) not in (int, float) or not abs(score) <= sys.float_info.max:
        raise ValueError(
            f"{where} has {score!r:.40} as score of the {task} {key!r}: expected a "
            "finite number."
        )
    return score
