"""Public annotations of action anticipation data sets, downloaded on request."""

from __future__ import annotations

import hashlib
from numbers import Integral
from os import environ
from pathlib import Path
from typing import Literal

import numpy as np
from sklearn.utils import Bunch

from skanticipate._typing import FilePath
from skanticipate.data.numbers import Interval
from skanticipate.data.parameters import PATH, validate_params
from skanticipate.datasets import _sources
from skanticipate.datasets._participants import participants_of
from skanticipate.datasets._readers import (
    many_shot_actions,
    read_actions,
    read_class_list,
    read_classes,
)
from skanticipate.datasets._tables import read_segments

_FETCH_PARAMETERS = {
    "data_home": [PATH, None],
    "download_if_missing": ["boolean"],
}


@validate_params(_FETCH_PARAMETERS, prefer_skip_nested_validation=True)
def fetch_epic55(
    *, data_home: FilePath | None = None, download_if_missing: bool = True
) -> Bunch:
    """Fetch the action segments of EPIC-KITCHENS-55, split as RULSTM does.

    Annotations only, about 1.6 MB; videos and features are not part of it. The
    files are licensed CC BY-NC 4.0 by the authors of EPIC-KITCHENS: attribute them
    and do not use them commercially.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that keeps the files for the next call. By default the one that the
        environment variable `SKANTICIPATE_DATA` names, else `~/skanticipate_data`.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of downloading. Downloading needs the
        package pooch.

    Returns
    -------
    data : Bunch
        The same layout for every `fetch_*` function:

        train, validation : Bunch
            Segments as :func:`read_segments` returns them: `id`, `video`,
            `start_frame` and `stop_frame` at `fps` frames per second, and the
            class ids `verb`, `noun`, `action`.
        actions : Bunch
            Table with `label`, `verb` and `noun` (the names of the classes),
            `verb_id` and `noun_id`, for everything that takes `actions=`.
        verbs, nouns : ndarray of str
            Names of the classes, indexed by class id.
        fps : int
            Frames per second of the segments.
        many_shot : Bunch, only here
            Class labels `verb`, `noun` and `action`, each an array for the
            `labels=` of :func:`skanticipate.metrics.mean_top_k_recall_score`: verbs
            and nouns with more than 100 training instances, and the actions of
            which both are, as the official evaluation counts them. RULSTM's longer
            list is `many_shot_actions(..., rule="or")`.
        DESCR : str
            What the data are, their licence and what to cite.

    Raises
    ------
    OSError
        If a file is missing and may not or cannot be downloaded, or if its content
        is not the expected one. Nothing half-written is left.
    ImportError
        If pooch is needed and not installed.

    References
    ----------
    .. [1] Damen et al., "Scaling Egocentric Vision: The EPIC-KITCHENS Dataset",
       ECCV 2018.
    .. [2] Furnari and Farinella, "What Would You Expect? Anticipating Egocentric
       Actions with Rolling-Unrolling LSTMs and Modality Attention", ICCV 2019.

    Examples
    --------
    >>> from skanticipate.datasets import fetch_epic55, label_history
    >>> data = fetch_epic55()  # doctest: +SKIP
    >>> data.train.action.shape  # doctest: +SKIP
    (23493,)
    >>> past_actions = label_history(data.train, fps=data.fps)  # doctest: +SKIP
    """
    fetch = _Fetcher("epic55", data_home, download_if_missing)
    verbs = read_classes(fetch("EPIC_verb_classes.csv"))
    nouns = read_classes(fetch("EPIC_noun_classes.csv"))
    actions = read_actions(fetch("actions.csv"), verbs=verbs, nouns=nouns)
    many_shot_verbs = read_class_list(fetch("EPIC_many_shot_verbs.csv"))
    many_shot_nouns = read_class_list(fetch("EPIC_many_shot_nouns.csv"))
    return Bunch(
        train=read_segments(fetch("training.csv")),
        validation=read_segments(fetch("validation.csv")),
        actions=actions,
        verbs=verbs.name,
        nouns=nouns.name,
        fps=30,
        many_shot=Bunch(
            verb=many_shot_verbs,
            noun=many_shot_nouns,
            action=many_shot_actions(actions, many_shot_verbs, many_shot_nouns),
        ),
        DESCR=_sources.DESCRIPTIONS["epic55"],
    )


@validate_params(_FETCH_PARAMETERS, prefer_skip_nested_validation=True)
def fetch_epic100(
    *, data_home: FilePath | None = None, download_if_missing: bool = True
) -> Bunch:
    """Fetch the action segments of EPIC-KITCHENS-100.

    Annotations only, about 3 MB; videos and features are not part of it. The files
    are licensed CC BY-NC 4.0 by the authors of EPIC-KITCHENS: attribute them and do
    not use them commercially.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that keeps the files for the next call. By default the one that the
        environment variable `SKANTICIPATE_DATA` names, else `~/skanticipate_data`.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of downloading. Downloading needs the
        package pooch.

    Returns
    -------
    data : Bunch
        Layout as for :func:`fetch_epic55`, with string ids such as `P01_11_0`.
        Instead of `many_shot`:

        tail : Bunch
            Class labels `verb`, `noun` and `action`, each an array for the
            `labels=` of :func:`skanticipate.metrics.mean_top_k_recall_score`. An
            action is a tail action if its verb or its noun is in the tail.
        unseen : ndarray of bool of shape (n_validation,)
            Validation segments of participants without any training video.

    Raises
    ------
    OSError
        If a file is missing and may not or cannot be downloaded, or if its content
        is not the expected one. Nothing half-written is left.
    ImportError
        If pooch is needed and not installed.

    References
    ----------
    .. [1] Damen et al., "Rescaling Egocentric Vision: Collection, Pipeline and
       Challenges for EPIC-KITCHENS-100", IJCV 2022.

    Examples
    --------
    >>> from skanticipate.datasets import fetch_epic100
    >>> data = fetch_epic100()  # doctest: +SKIP
    >>> data.tail.verb.shape  # doctest: +SKIP
    (86,)
    """
    fetch = _Fetcher("epic100", data_home, download_if_missing)
    verbs = read_classes(fetch("EPIC_100_verb_classes.csv"))
    nouns = read_classes(fetch("EPIC_100_noun_classes.csv"))
    actions = read_actions(fetch("actions.csv"), verbs=verbs, nouns=nouns)
    tail_verbs = read_class_list(fetch("EPIC_100_tail_verbs.csv"))
    tail_nouns = read_class_list(fetch("EPIC_100_tail_nouns.csv"))
    train = read_segments(fetch("training.csv"))
    validation = read_segments(fetch("validation.csv"))
    return Bunch(
        train=train,
        validation=validation,
        actions=actions,
        verbs=verbs.name,
        nouns=nouns.name,
        fps=30,
        tail=Bunch(
            verb=tail_verbs,
            noun=tail_nouns,
            action=many_shot_actions(actions, tail_verbs, tail_nouns, rule="or"),
        ),
        unseen=~np.isin(participants_of(validation), participants_of(train)),
        DESCR=_sources.DESCRIPTIONS["epic100"],
    )


@validate_params(
    {**_FETCH_PARAMETERS, "split": [Interval(Integral, 1, 3, closed="both")]},
    prefer_skip_nested_validation=True,
)
def fetch_egtea(
    *,
    split: Literal[1, 2, 3] = 1,
    data_home: FilePath | None = None,
    download_if_missing: bool = True,
) -> Bunch:
    """Fetch the action segments of EGTEA Gaze+, one of its three splits.

    Annotations only, about 0.5 MB; videos and features are not part of it. The
    repository that publishes these files states no licence; EGTEA Gaze+ itself is
    distributed for research.

    Parameters
    ----------
    split : {1, 2, 3}, default=1
        Number of the split. Results are usually averaged over the three. Splits are
        by clip: **training and validation share videos**, so what precedes a
        segment may be missing from its own part (see `max_gap` of
        :func:`label_sequences`).
    data_home : str or path-like, default=None
        Folder that keeps the files for the next call. By default the one that the
        environment variable `SKANTICIPATE_DATA` names, else `~/skanticipate_data`.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of downloading. Downloading needs the
        package pooch.

    Returns
    -------
    data : Bunch
        Layout as for :func:`fetch_epic55`, without `many_shot`.

    Raises
    ------
    OSError
        If a file is missing and may not or cannot be downloaded, or if its content
        is not the expected one. Nothing half-written is left.
    ImportError
        If pooch is needed and not installed.
    ValueError
        If `split` is not 1, 2 or 3.

    References
    ----------
    .. [1] Li, Liu and Rehg, "In the Eye of Beholder: Joint Learning of Gaze and
       Actions in First Person Video", ECCV 2018.

    Examples
    --------
    >>> from skanticipate.datasets import fetch_egtea
    >>> data = fetch_egtea(split=1)  # doctest: +SKIP
    >>> data.actions.verb[3], data.actions.noun[3]  # doctest: +SKIP
    ('Cut', 'tomato')
    """
    fetch = _Fetcher("egtea", data_home, download_if_missing)
    actions = read_actions(fetch("actions.csv"))
    return Bunch(
        train=read_segments(fetch(f"training{split}.csv")),
        validation=read_segments(fetch(f"validation{split}.csv")),
        actions=actions,
        verbs=_names_by_id(actions.verb_id, actions.verb),
        nouns=_names_by_id(actions.noun_id, actions.noun),
        fps=30,
        DESCR=_sources.DESCRIPTIONS["egtea"],
    )


def _names_by_id(ids, names):
    """Array whose entry i is the name of class i, "" for an id without a class."""
    by_id = np.full(ids.max() + 1, "", dtype=names.dtype)
    by_id[ids] = names
    return by_id


class _Fetcher:
    """Path of each file of a data set, downloaded where it has to be."""

    def __init__(self, dataset, data_home, download_if_missing):
        if data_home is None:
            data_home = environ.get("SKANTICIPATE_DATA", "~/skanticipate_data")
        self.folder = Path(data_home).expanduser() / dataset
        self.files = _sources.FILES[dataset]
        self.download_if_missing = download_if_missing

    def __call__(self, name):
        path = self.folder / name
        address, sha256 = self.files[name]
        if path.exists() and _sha256(path) == sha256:
            return path
        url = f"{_sources.HOST}/{address}"
        if not self.download_if_missing:
            state = "is not the expected file" if path.exists() else "is missing"
            raise OSError(
                f"{path} {state} (SHA-256 {sha256}): call with "
                f"download_if_missing=True, or put a copy of {url} there."
            )
        _download(url, path, sha256)
        return path


def _download(url, path, sha256):
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            "Downloading data sets needs the package pooch: "
            'pip install "skanticipate[data]"'
        ) from error
    try:
        # Pooch writes a temporary file and moves it once the hash is right.
        pooch.retrieve(
            url, known_hash=f"sha256:{sha256}", fname=path.name, path=path.parent
        )
    except (OSError, ValueError) as error:
        raise OSError(
            f"{path.name} could not be downloaded from {url}: {error}. Check the "
            f"network and try again, or put a copy with the SHA-256 {sha256} at "
            f"{path}."
        ) from error


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
