"""LanguageTeacher: the past actions, read as a text."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from skanticipate.teachers.language.heads import Heads, HeadTerm, Scores
from skanticipate.terms.objective import Objective
from skanticipate.training.batches import Batch
from skanticipate.training.runtime import Compute


def test_the_loss_of_a_batch_is_that_of_the_three_heads():
    rng = np.random.default_rng(0)
    logits = {
        name: rng.standard_normal((3, k)) for name, k in [("action", 4), ("verb", 2)]
    }
    codes = {"action": np.array([3, 0, 1, 2]), "verb": np.array([1, 0, 0, 1])}
    weights = np.array([1.0, 9.0, 2.0, 0.5])
    compute = Compute(torch.device("cpu"), torch.float32)
    objective = Objective(
        [HeadTerm(name, 0.5, weights, compute, codes=k) for name, k in codes.items()]
    )
    scores = Scores(
        {k: torch.tensor(z, dtype=torch.float32) for k, z in logits.items()}
    )
    rows = np.array([0, 2, 3])
    terms = objective(scores, Batch(torch.tensor(rows), None))
    for name, z in logits.items():
        losses = -log_softmax(z, axis=1)[range(3), codes[name][rows]]
        assert float(terms[name][0]) == pytest.approx(losses @ weights[rows], rel=1e-5)
        assert float(terms[name][1]) == pytest.approx(3.5)


def test_heads_start_as_linear_layers_of_torch_do():
    heads = Heads(4, {"action": 3}, torch.Generator().manual_seed(7))
    with torch.random.fork_rng():
        torch.manual_seed(7)
        peer = torch.nn.Linear(4, 3)
    assert torch.equal(heads.layers["action"].weight, peer.weight)
