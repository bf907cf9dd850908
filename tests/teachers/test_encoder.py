"""Language models of transformers: loaded safely and quietly, texts as vectors."""

import json
import shutil
import socket
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_bert import WORDS, settings, tiny_config, tiny_tokenizer, write_tiny_bert
from transformers import (
    AutoModel,
    BartConfig,
    BartModel,
    FNetConfig,
    FNetModel,
    GPT2Config,
    GPT2Model,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTModel,
    XLNetConfig,
    XLNetModel,
)
from transformers.utils import logging

from skanticipate.teachers.language.embedding import TextReader
from skanticipate.teachers.language.encoder import (
    load_encoder,
    load_masked_model,
    longest_text,
    quiet,
)

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


@pytest.fixture
def copy(model, tmp_path):
    return shutil.copytree(model, tmp_path / "copy")


def reader(model, pooling="mean", max_length=None):
    return TextReader(model, pooling=pooling, max_length=max_length, device=CPU)


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# ------------------------------------------------------------------------------- limits


def test_the_longest_text_is_that_of_the_positions(model):
    tokenizer, network = load_encoder(model)
    assert longest_text(tokenizer, network) == 48
    config = RobertaConfig(
        vocab_size=17,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=34,  # two before the first token
    )
    network = RobertaModel(config).eval()
    assert longest_text(tokenizer, network) == 32
    ids = torch.full((1, 32), 5)
    assert network(input_ids=ids).last_hidden_state.shape == (1, 32, 8)
    with pytest.raises((IndexError, RuntimeError)):
        network(input_ids=torch.full((1, 33), 5))
    tokenizer.model_max_length = 20
    assert longest_text(tokenizer, network) == 20


# ---------------------------------------------------------------------- what is refused


def remove(*names):
    def change(folder):
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return change


@pytest.mark.parametrize(
    "change, what",
    [
        (remove("config.json"), "config.json"),
        (remove("model.safetensors"), "model.safetensors"),
        (remove("tokenizer.json"), "vocabulary of a tokenizer"),
        (remove("tokenizer.json", "tokenizer_config.json"), "vocabulary"),
    ],
)
def test_an_incomplete_folder_is_named_with_what_it_lacks(copy, change, what):
    change(copy)
    for load in (load_encoder, load_masked_model):
        with pytest.raises(FileNotFoundError, match=f"copy has no {what}.*hf download"):
            load(copy)


def test_pickled_weights_are_refused(copy):
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(
        ValueError, match=r"copy holds its weights in pytorch_model\.bin"
    ):
        load_encoder(copy)


def test_pickled_weights_beside_others_are_not_read(copy):
    (copy / "pytorch_model.bin").write_bytes(b"no pickle")
    load_encoder(copy)


@pytest.mark.parametrize("name", ["nowhere/model", "/nowhere/a b", "../x", "bert-base"])
def test_a_model_that_is_not_there_is_an_error_with_a_remedy(name, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(
        FileNotFoundError, match=f"model='{name}' is no folder.*download"
    ):
        load_encoder(name)


def refuse(*args):
    raise AssertionError("something opened a connection")


def test_a_folder_is_read_without_a_network(model, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load_encoder(model)
    load_masked_model(model)


def test_a_downloaded_model_is_found_by_its_name(model, tmp_path, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", refuse)
    repository = tmp_path / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(model, repository / "snapshots" / ("0" * 40))
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    load_encoder("someone/tiny")


def test_a_broken_file_is_an_error_that_names_the_folder(copy):
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:500])
    with pytest.raises(ValueError, match="cannot load the model in .*copy.*header"):
        load_encoder(copy)
    (copy / "model.safetensors").write_bytes(weights)
    (copy / "config.json").write_text("{")
    with pytest.raises(ValueError, match="cannot load the model in .*copy.*JSON"):
        load_encoder(copy)


def test_weights_that_are_missing_are_not_made_up(copy):
    change_config(copy, num_hidden_layers=3)
    for load in (load_encoder, load_masked_model):
        with pytest.raises(ValueError, match="lacks 16 weights .*layer.2.*random"):
            load(copy)


def test_weights_of_another_size_are_refused(copy):
    change_config(copy, hidden_size=32)
    with pytest.raises(ValueError, match="cannot load the model in .*copy"):
        load_encoder(copy)


def test_code_of_a_model_is_never_run(copy):
    code = "raise SystemExit('this code was run')"
    (copy / "its_code.py").write_text(code)
    its_own = {"AutoConfig": "its_code.Config", "AutoModel": "its_code.Model"}
    change_config(copy, model_type="its own", auto_map=its_own)
    with pytest.raises(ValueError, match="code of its own is not supported"):
        load_encoder(copy)


def test_a_tokenizer_of_another_model_is_refused(copy):
    with quiet():
        tiny_tokenizer([*WORDS, "one", "two"]).save_pretrained(copy)
    with pytest.raises(ValueError, match="has 19 tokens, but the network knows 17"):
        load_encoder(copy)


def save(network, folder, **special):
    with quiet():
        network.save_pretrained(folder)
        tokenizer = tiny_tokenizer()
        for name, token in special.items():
            setattr(tokenizer, name, token)
        tokenizer.save_pretrained(folder)
    return folder


def test_models_that_write_are_refused(tmp_path):
    config = BartConfig(
        vocab_size=17,
        d_model=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=1,
        decoder_attention_heads=1,
        encoder_ffn_dim=8,
        decoder_ffn_dim=8,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    folder = save(BartModel(config), tmp_path / "bart")
    with pytest.raises(ValueError, match="BartModel, which is no plain encoder"):
        load_encoder(folder)
    config = GPT2Config(
        vocab_size=17, n_embd=8, n_layer=1, n_head=1, bos_token_id=2, eos_token_id=3
    )
    folder = save(GPT2Model(config), tmp_path / "gpt2", pad_token=None)
    with pytest.raises(ValueError, match="GPT2Model, which is no plain encoder"):
        load_encoder(folder)


def test_models_of_pictures_are_refused(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ViTConfig(**sizes, intermediate_size=8, image_size=32)
    folder = save(ViTModel(config), tmp_path / "vit")
    with pytest.raises(ValueError, match="ViTModel, which is no plain encoder of text"):
        load_encoder(folder)


def test_models_that_read_padding_are_refused(tmp_path):
    config = FNetConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        intermediate_size=8,
    )
    folder = save(FNetModel(config), tmp_path / "fnet")
    with pytest.raises(ValueError, match="FNetModel.*reads padding.*attention mask"):
        load_encoder(folder)


@pytest.mark.parametrize("weight", [0.0, np.nan])
def test_weights_without_a_meaning_are_not_taken_for_that(copy, weight):
    weights = load_file(copy / "model.safetensors")
    broken = {name: torch.full_like(w, weight) for name, w in weights.items()}
    save_file(broken, copy / "model.safetensors", metadata={"format": "pt"})
    load_encoder(copy)


def test_a_model_without_a_limit_reads_what_its_tokenizer_allows(tmp_path):
    config = XLNetConfig(
        vocab_size=len(WORDS), d_model=8, n_layer=1, n_head=2, d_inner=8
    )
    folder = save(XLNetModel(config), tmp_path / "xlnet")
    tokenizer, network = load_encoder(folder)
    tokenizer.model_max_length = 77
    assert longest_text(tokenizer, network) == 77


def test_a_model_whose_outputs_have_no_names_is_read(model, copy):
    change_config(copy, return_dict=False)
    one, other = (reader(folder).embed([[2, 9, 3]]) for folder in (model, copy))
    assert torch.equal(one, other)


def test_masking_needs_a_token_that_masks(model, copy):
    save(AutoModel.from_config(tiny_config()), copy, mask_token=None)
    load_encoder(copy)
    with pytest.raises(ValueError, match="no token that masks"):
        load_masked_model(copy)


def test_an_encoder_gets_a_layer_that_names_words(model, copy):
    weights = load_file(copy / "model.safetensors")
    kept = {k: w for k, w in weights.items() if k.startswith("bert.")}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    (_, one), (_, other), (_, third) = (load_masked_model(copy, s) for s in (0, 0, 1))
    ids = torch.tensor([[2, 10, 3]])
    assert torch.equal(one(input_ids=ids).logits, other(input_ids=ids).logits)
    assert not torch.equal(one(input_ids=ids).logits, third(input_ids=ids).logits)


def test_transformers_is_asked_for_by_name(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r'pip install "skanticipate\[text\]"'):
        load_encoder(model)


# ----------------------------------------------------------------- what stays as it was


@pytest.mark.parametrize("bars", [True, False])
def test_loading_and_reading_leave_no_trace(model, copy, bars, capfd):
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
    change_config(copy, num_hidden_layers=3)
    before = settings()
    try:
        ours = reader(model)
        ours.embed(ours.tokenize([*TEXTS, "cut " * 100])[0])
        load_masked_model(model)
        with pytest.raises(ValueError):
            load_encoder(copy)
        assert settings() == before
    finally:
        logging.enable_progress_bar()
    assert capfd.readouterr() == ("", "")
