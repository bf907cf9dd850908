"""Files that are damaged or made to do harm: refused in words, in time and memory.

`SKANTICIPATE_TEST_MUTANTS` is how many mutants of each file; 100 by default.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from alone import run_file_alone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skanticipate
from skanticipate import (
    LSTM,
    MLP,
    AVTHead,
    DistilledAnticipator,
    HistoryTeacher,
    SmoothedAnticipator,
    VerbNounPrior,
)

N_MUTANTS = int(os.environ.get("SKANTICIPATE_TEST_MUTANTS", 100))
SEED = int(os.environ.get("SKANTICIPATE_TEST_SEED", 0))


def write_models(folder):
    """Small files that hold all there is to mutate."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 4)), np.array(["cut onion", "wash pan", "cut pan"] * 4)
    clips, short = X.reshape(12, 2, 2), {"max_epochs": 1, "random_state": 0}
    codes = np.tile([[0.0, 1.0], [1.0, 0.0]], (6, 1))
    past = [["cut onion", "wash pan"]] * 12
    found = {
        "prior": SmoothedAnticipator(MLP(3), prior=VerbNounPrior(), **short).fit(X, y),
        "sequences": SmoothedAnticipator(LSTM(3), **short).fit(clips, y),
        "attention": SmoothedAnticipator(
            AVTHead(4, n_heads=2, n_layers=1), **short
        ).fit(clips, y),
        "pipeline": make_pipeline(
            OneHotEncoder(sparse_output=False),
            StandardScaler(),
            SmoothedAnticipator(MLP(2), **short),
        ).fit(codes, y),
        "student": DistilledAnticipator(
            MLP(3), text_teacher=HistoryTeacher(hidden_size=4, **short), **short
        ).fit(X, y, X, past_actions=past),
    }
    for name, model in found.items():
        skanticipate.save(model, folder / f"{name}.safetensors")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_mutants_are_refused_in_words_or_answer(tmp_path):
    write_models(tmp_path)
    script = Path(__file__).with_name("mutants.py")
    said = run_file_alone(script, str(tmp_path), str(N_MUTANTS), str(SEED))
    n_refused, n_all = map(int, said.split(" of "))
    # the others differ in what says nothing about an answer, or in a number
    assert n_refused > 0.6 * n_all
