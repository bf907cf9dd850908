"""Pre-training of a language model on the sentences of a domain."""

import numpy as np
import pytest
import torch
import transformers
from numpy.testing import assert_array_equal
from safetensors.torch import load_file
from tiny_bert import NOUNS, VERBS, WORDS, settings, write_tiny_bert

from skanticipate import CosineSchedule, HistoryText, LanguageTeacher
from skanticipate.teachers import pretrain_language_model
from skanticipate.teachers.language import masked_language
from skanticipate.teachers.language.embedding import Tokens, tokenize
from skanticipate.teachers.language.encoder import load_masked_model
from skanticipate.teachers.language.masked_language import (
    MaskedTerm,
    MaskedTokens,
    Masking,
    mask_words,
)
from skanticipate.terms.objective import Objective

PAIRS = list(zip(VERBS, NOUNS, strict=True))  # each verb has its noun
SENTENCES = [f"{v} <v> {n} <a> {v} <v> {n}" for v, n in PAIRS] * 8
CPU = torch.device("cpu")
MASK, N_SPECIAL = WORDS.index("[MASK]"), 5


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "bert")


def pretrain(model, folder, **params):
    defaults = {"max_epochs": 2, "device": "cpu", "random_state": 0, "lr": 1e-3}
    return pretrain_language_model(model, SENTENCES, folder, **{**defaults, **params})


def masked(ids, words, fraction=0.15, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return mask_words(
        ids,
        words,
        fraction=fraction,
        mask_id=1,
        n_tokens=1000,
        generator=generator,
    )


# ---------------------------------------------------------------------------- masking


def test_15_percent_are_drawn_and_80_percent_of_these_masked():
    ids = torch.randint(2, 1000, (400, 500), generator=torch.Generator().manual_seed(1))
    words = torch.ones_like(ids, dtype=torch.bool)
    found, drawn = masked(ids, words)
    n = int(drawn.sum())
    assert n / ids.numel() == pytest.approx(0.15, abs=0.003)
    hidden, same = found == 1, found == ids
    assert int((hidden & drawn).sum()) / n == pytest.approx(0.8, abs=0.01)
    # One replacement in a thousand is the token itself, another one the mask.
    assert int((same & drawn).sum()) / n == pytest.approx(0.1, abs=0.01)
    others = found[drawn & ~hidden & ~same]
    assert len(others) / n == pytest.approx(0.1, abs=0.01)
    assert len(others.unique()) > 900
    assert torch.equal(found[~drawn], ids[~drawn])


def test_only_words_are_drawn():
    ids = torch.full((50, 50), 7)
    words = torch.arange(50).expand(50, 50) % 2 == 0
    _, drawn = masked(ids, words, fraction=0.9)
    assert not drawn[~words].any()
    assert 0.8 < drawn[words].float().mean() < 0.97


def test_a_batch_has_at_least_one_target():
    words = torch.tensor([[False, True, True, False]])
    for seed in range(20):
        _, drawn = masked(torch.full((1, 4), 7), words, fraction=1e-9, seed=seed)
        assert int(drawn.sum()) == 1 and words[drawn].all()


def test_masks_follow_from_the_seed():
    ids = torch.full((9, 9), 7)
    one, other, third = (masked(ids, ids > 0, seed=s)[0] for s in (0, 0, 1))
    assert torch.equal(one, other) and not torch.equal(one, third)


def masking_of(model, sentences, fraction=0.15):
    tokenizer, network = load_masked_model(model)
    rows, _ = tokenize(tokenizer, sentences, 48)
    return Masking(tokenizer, rows, fraction, 0, CPU), network


def test_ends_padding_and_unknown_words_are_never_targets(model):
    masking, _ = masking_of(model, ["cut onion", "cut zebra onion <v> pan"], 0.999)
    for _ in range(20):
        batch = masking.take(torch.arange(2))
        assert batch.clips.targets.min() >= N_SPECIAL
        assert not batch.clips.drawn[0, 3:].any()
        assert not batch.clips.drawn[1, 2]  # the zebra


def test_the_loss_is_that_of_transformers_over_the_masked_places(model):
    masking, network = masking_of(model, SENTENCES[:6], 0.4)
    batch = masking.take(torch.tensor([0, 3, 5]))
    tokens, drawn, targets = batch.clips
    wrapped = masked_language._AtDrawnPlaces(network)
    objective = Objective([MaskedTerm()])
    total, n = objective(wrapped(batch.clips), batch)["masked"]
    labels = torch.full_like(tokens.ids, -100)
    labels[drawn] = targets
    peer = network(input_ids=tokens.ids, attention_mask=tokens.mask, labels=labels).loss
    assert n == int(drawn.sum())
    assert (total / n).item() == pytest.approx(peer.item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DistilBert", "Albert", "MPNet"])
def test_every_family_is_asked_at_the_drawn_places_only(kind):
    sizes = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2}
    if kind == "DistilBert":
        sizes = {"vocab_size": 30, "dim": 8, "n_heads": 2, "hidden_dim": 16}
    config = getattr(transformers, f"{kind}Config")(**sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(transformers, f"{kind}ForMaskedLM")(config).eval()
    ids = torch.arange(5, 26).reshape(3, 7)
    tokens, drawn = Tokens(ids, torch.ones_like(ids)), ids % 3 == 0
    given = MaskedTokens(tokens, drawn, ids[drawn])
    found = masked_language._AtDrawnPlaces(network)(given).logits
    everywhere = network(input_ids=ids, attention_mask=tokens.mask).logits
    assert found.shape == (7, 30)
    torch.testing.assert_close(found, everywhere[drawn])
    # Nothing is left behind in the network.
    assert network(input_ids=ids).logits.shape == (3, 7, 30)


def test_sentences_without_words_are_left_out(model):
    masking, _ = masking_of(model, ["", "cut", "zebra"])
    assert masking.rows == [[2, WORDS.index("cut"), 3]]


# --------------------------------------------------------------------------- the folder


def test_it_learns_the_sentences_and_writes_a_model(model, tmp_path):
    folder = tmp_path / "new" / "kitchen"
    history = pretrain(model, folder, max_epochs=200, lr=5e-3)
    assert [record["epoch"] for record in history] == list(range(1, 201))
    assert history[-1]["loss"] < 0.2 * history[0]["loss"]
    assert [path.name for path in folder.parent.iterdir()] == ["kitchen"]
    tokenizer, network = load_masked_model(folder)
    for verb, noun in PAIRS:
        (row,), _ = tokenize(
            tokenizer, [f"{verb} <v> [MASK] <a> {verb} <v> {noun}"], 48
        )
        with torch.no_grad():
            logits = network(input_ids=torch.tensor([row])).logits[0, row.index(MASK)]
        assert WORDS[logits.argmax()] == noun


def test_a_teacher_reads_what_was_written(model, tmp_path):
    pretrain(model, tmp_path / "kitchen")
    past = np.array([["cut pan"], ["wash pan"]] * 4, dtype=object)
    y = ["take pan", "open pan"] * 4
    answers = [
        LanguageTeacher(m, random_state=0, device="cpu")
        .fit(past, y)
        .predict_proba(past)
        for m in (model, str(tmp_path / "kitchen"))
    ]
    assert np.abs(answers[0] - answers[1]).max() > 1e-4


def test_all_of_the_encoder_is_trained(model, tmp_path):
    pretrain(model, tmp_path / "kitchen")
    before, after = (
        load_file(f"{folder}/model.safetensors")
        for folder in (model, tmp_path / "kitchen")
    )
    assert set(before) == set(after)
    for name in before:
        # Adding the same number to all keys changes no attention.
        if not name.endswith("key.bias"):
            assert not torch.equal(before[name], after[name]), name


def test_same_seed_same_model(model, tmp_path):
    records = [
        pretrain(model, tmp_path / name, random_state=seed)
        for name, seed in (("one", 0), ("other", 0), ("third", 1))
    ]
    one, other, third = (
        load_file(tmp_path / name / "model.safetensors")
        for name in ("one", "other", "third")
    )
    assert records[0] == records[1] != records[2]
    for name in one:
        assert_array_equal(one[name], other[name])
    assert not torch.equal(
        one["bert.embeddings.word_embeddings.weight"],
        third["bert.embeddings.word_embeddings.weight"],
    )


def test_the_rate_follows_the_schedule(model, tmp_path):
    history = pretrain(
        model, tmp_path / "kitchen", lr_schedule=CosineSchedule(), batch_size=32
    )
    assert [record["lr"] for record in history] == pytest.approx(
        [1e-3 * (0.5 + 0.5**1.5), 1e-3 * (0.5 - 0.5**1.5)]
    )


def test_histories_are_sentences_and_long_ones_are_cut(model, tmp_path):
    past = np.array([["cut pan"] * 20, [""] * 19 + ["wash pan"]], dtype=object)
    texts = HistoryText().transform(past)
    pretrain_language_model(
        model, texts, tmp_path / "a", max_epochs=1, max_length=12, random_state=0
    )
    pretrain_language_model(model, texts, tmp_path / "b", max_epochs=1, random_state=0)


def test_nothing_around_it_changes(model, tmp_path, capfd):
    before = settings()
    pretrain(model, tmp_path / "kitchen")
    assert settings() == before
    assert capfd.readouterr() == ("", "")


def test_a_failure_leaves_no_folder(model, tmp_path):
    with pytest.raises(ValueError, match="Usual causes"):
        pretrain(model, tmp_path / "kitchen", lr=1e38, max_epochs=5)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_written_over(model, tmp_path):
    with pytest.raises(FileExistsError, match="choose another folder"):
        pretrain(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sentences, message",
    [
        ([], "list of at least one str"),
        ([1, 2], "list of at least one str"),
        ([["cut", "onion"]], "HistoryText writes past labels"),
        (["", "zebra"], "No sentence has a word that the tokenizer knows"),
    ],
)
def test_there_is_something_to_read(model, tmp_path, sentences, message):
    with pytest.raises(ValueError, match=message):
        pretrain_language_model(model, sentences, tmp_path / "kitchen")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "params, message",
    [
        ({"mask_fraction": 1.0}, "mask_fraction"),
        ({"max_length": 49}, "reads at most 48"),
        ({"lr": -1.0}, "lr"),
        ({"lr_schedule": CosineSchedule(warmup_epochs=-1)}, "warmup_epochs"),
        ({"device": "abacus"}, "names no device"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(model, tmp_path, params, message):
    with pytest.raises(ValueError, match=message):
        pretrain(model, tmp_path / "kitchen", **params)
    assert list(tmp_path.iterdir()) == []


def test_the_model_is_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder"):
        pretrain(tmp_path / "nothing", tmp_path / "kitchen")
