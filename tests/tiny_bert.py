"""A BERT of a few thousand weights that knows the words of a small kitchen."""

import os
import warnings

import torch
from huggingface_hub.utils import are_progress_bars_disabled
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast
from transformers.utils import logging

from skanticipate.teachers.language.encoder import quiet

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VERBS = ["take", "cut", "wash", "open"]
NOUNS = ["onion", "pan", "board", "cutting"]
WORDS = [*SPECIAL, "<", ">", "v", "a", *VERBS, *NOUNS]


def tiny_tokenizer(words=WORDS):
    """Tokens are words and signs, with [CLS] before a text and [SEP] after it."""
    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(name, numbers[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    names = ("pad", "unk", "cls", "sep", "mask")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{name}_token": f"[{name.upper()}]" for name in names},
    )


def tiny_config(**changes):
    sizes = {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 48,
    }
    # Large enough that texts differ well above rounding.
    return BertConfig(**{**sizes, "initializer_range": 0.3, **changes})


def write_tiny_bert(folder, **changes):
    """Write the model and its tokenizer.   -> the folder, as str."""
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        BertForMaskedLM(tiny_config(**changes)).save_pretrained(folder)
        tiny_tokenizer().save_pretrained(folder)
    return str(folder)


def settings():
    """What a process shares and a library must leave as it is."""
    return (
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        are_progress_bars_disabled(),
        dict(os.environ),
        list(warnings.filters),
        torch.get_num_threads(),
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
    )
