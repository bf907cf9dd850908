"""Teachers that read past actions, on both devices."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny_bert import write_tiny_bert

from skanticipate import MLP, DistilledAnticipator, HistoryTeacher, LanguageTeacher
from skanticipate.datasets import make_kitchen
from skanticipate.teachers import pretrain_language_model

pytestmark = pytest.mark.gpu

KITCHEN = make_kitchen(20, 10, n_features=12, random_state=0)
PAST = np.array([["cut onion", "wash pan"], ["", "open pan"]] * 12, dtype=object)
Y = np.array(["take pan", "take onion"] * 12)
DEVICES = ("cpu", "cuda")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_bert(
        tmp_path_factory.mktemp("models") / "bert",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


@pytest.mark.parametrize("freeze", [True, False])
def test_language_teacher_is_the_same_on_both_devices(model, freeze):
    teachers = [
        LanguageTeacher(
            model,
            freeze=freeze,
            lr=1e-3,
            max_epochs=3,
            early_stopping=True,
            class_weight="balanced",
            device=device,
            random_state=0,
        ).fit(PAST, Y)
        for device in DEVICES
    ]
    assert_allclose(*(t.predict_proba(PAST) for t in teachers), atol=1e-4)
    assert all(isinstance(w, np.ndarray) for w in teachers[1].heads_.values())


def test_what_was_fitted_on_the_gpu_answers_on_the_cpu(model):
    teacher = LanguageTeacher(
        model, freeze=False, max_epochs=1, device="cuda", random_state=0
    ).fit(PAST, Y)
    there = teacher.predict_proba(PAST)
    assert_allclose(
        teacher.set_params(device="cpu").predict_proba(PAST), there, atol=1e-5
    )


def test_practice_is_the_same_on_both_devices(model, tmp_path):
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    losses = [
        [
            record["loss"]
            for record in pretrain_language_model(
                model,
                ["cut onion", "wash pan", "open pan"] * 8,
                tmp_path / device,
                device=device,
                random_state=0,
            )
        ]
        for device in DEVICES
    ]
    assert_allclose(*losses, rtol=1e-4)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])


def test_history_teacher_is_the_same_on_both_devices():
    past, y = KITCHEN.past_actions, KITCHEN.y
    proba = [
        HistoryTeacher(KITCHEN.actions, max_epochs=2, device=device, random_state=0)
        .fit(past, y, groups=KITCHEN.groups)
        .predict_proba(past)
        for device in DEVICES
    ]
    assert_allclose(*proba, atol=1e-3)


def test_a_student_with_a_text_teacher_is_the_same_on_both_devices():
    proba = [
        DistilledAnticipator(
            MLP(16),
            text_teacher=HistoryTeacher(
                KITCHEN.actions, n_networks=1, max_epochs=1, device="cpu"
            ),
            max_epochs=3,
            dtype="float32",
            device=device,
            random_state=0,
        )
        .fit(KITCHEN.X_past, KITCHEN.y, past_actions=KITCHEN.past_actions)
        .predict_proba(KITCHEN.X_past)
        for device in DEVICES
    ]
    assert_allclose(*proba, atol=1e-4)
