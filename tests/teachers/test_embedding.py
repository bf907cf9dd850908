"""Language models of transformers: loaded safely and quietly, texts as vectors."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny_bert import WORDS, tiny_tokenizer, write_tiny_bert
from transformers import AutoModel

from skanticipate.teachers.language.embedding import (
    TextReader,
    check_length,
    pad,
    tokenize,
)
from skanticipate.teachers.language.encoder import load_encoder

CPU = torch.device("cpu")
TEXTS = [
    "cut <v> onion <a> wash <v> pan <a> take <v> board",
    "",
    "open <v> pan",
    "take <v> cutting board <a> cut <v> onion",
    "wash <v> onion",
]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "bert")


def reader(model, pooling="mean", max_length=None):
    return TextReader(model, pooling=pooling, max_length=max_length, device=CPU)


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_vectors_are_those_of_a_loop_over_single_texts(model, pooling):
    ours = reader(model, pooling)
    vectors = ours.embed(ours.tokenize(TEXTS)[0]).numpy()
    network, tokenizer = AutoModel.from_pretrained(model).eval(), tiny_tokenizer()
    for text, vector in zip(TEXTS, vectors, strict=True):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            states = network(input_ids=ids).last_hidden_state[0]  # (T, d)
        alone = states[0] if pooling == "first" else states.mean(0)
        assert_allclose(vector, alone.numpy(), atol=1e-5)
    assert (
        np.abs(vectors[:, None] - vectors).max(-1)[~np.eye(5, dtype=bool)].min() > 0.1
    )


def test_batches_of_64_are_sorted_by_length_and_answers_are_not(model):
    ours, widths = reader(model), []
    ours.encoder.register_forward_pre_hook(
        lambda _, args: widths.append(args[0].ids.shape[1])
    )
    n_words = np.random.default_rng(0).integers(1, 20, 150)
    rows, _ = ours.tokenize([" ".join(["cut pan"] * n) for n in n_words])
    lengths = sorted(len(row) for row in rows)
    vectors = ours.embed(rows)
    assert widths == [lengths[63], lengths[127], lengths[149]]
    for row, vector in zip(rows[:20], vectors, strict=False):
        assert_allclose(ours.embed([row])[0], vector, atol=1e-5)


def test_embedding_takes_no_part_in_training(model):
    ours = reader(model)
    ours.encoder.train()
    rows, _ = ours.tokenize(TEXTS)
    assert torch.equal(ours.embed(rows), ours.embed(rows))  # no dropout
    assert not ours.embed(rows).requires_grad


def test_batches_are_padded_at_the_end():
    tokens = pad([[5, 6, 7], [8]], 9)
    assert tokens.ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert tokens.mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_of_long_texts_the_end_is_read(model):
    tokenizer, _ = load_encoder(model)
    rows, n_cut = tokenize(tokenizer, ["cut onion", "cut onion wash pan take board"], 5)
    words = [[WORDS[k] for k in row] for row in rows]
    assert words[0] == ["[CLS]", "cut", "onion", "[SEP]"]
    assert words[1] == ["[CLS]", "pan", "take", "board", "[SEP]"]
    assert n_cut == 1
    again, n_cut = tokenize(tokenizer, ["cut onion wash pan take board"], 48)
    assert len(again[0]) == 8 and n_cut == 0


def test_an_empty_text_has_a_token_where_nothing_marks_its_ends(model):
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None
    rows, _ = tokenize(tokenizer, ["", "cut"], 10)
    assert rows == [[tokenizer.pad_token_id], [WORDS.index("cut")]]


def test_max_length_is_at_most_that(model):
    parts = load_encoder(model)
    assert check_length(None, *parts) == 48
    assert check_length(7, *parts) == 7
    with pytest.raises(
        ValueError, match="max_length=49, but the model reads at most 48"
    ):
        check_length(49, *parts)


def test_given_weights_replace_those_of_the_folder(model):
    plain = reader(model)
    weights = {k: w.numpy() + 1 for k, w in plain.encoder.network.state_dict().items()}
    changed = TextReader(
        model, pooling="mean", max_length=None, device=CPU, weights=weights
    )
    for name, weight in changed.encoder.network.state_dict().items():
        assert_allclose(weight.numpy(), weights[name])
