"""Language models of transformers: loaded from this machine, safely and quietly."""

import os
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch

from skanticipate.estimator.provenance import file_hash
from skanticipate.training.runtime import seeded_global_stream

_SETTINGS = threading.RLock()
_WEIGHTS = ".safetensors"
# Of weights, settings, and the tokenizers of transformers.
_READ = (_WEIGHTS, ".json", ".txt", ".model", ".codes", ".spm", ".tokenizer")


def _start_in_child():
    """Forget what another thread of the parent held when it forked."""
    global _SETTINGS
    _SETTINGS = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_in_child)


def load_encoder(model):
    """Tokenizer and network of a text encoder.

    Parameters
    ----------
    model : str or path-like
        Folder, or name of a model that was downloaded before.

    Returns
    -------
    tokenizer, network : transformers' objects
        The network in evaluation mode, float32, on the CPU.

    Raises
    ------
    ImportError
        If transformers is not installed.
    FileNotFoundError
        If there is no such folder, or it lacks a file.
    ValueError
        If its weights are pickled, incomplete or of another model, if it needs code of
        its own, or if it is no encoder.
    """
    folder, tokenizer, network, missing = _load(model, "AutoModel", seed=0)
    # Only the answer of the pooler is not used here.
    _check_none_missing(folder, [name for name in missing if "pooler" not in name])
    return tokenizer, network


def load_masked_model(model, seed=0):
    """Tokenizer and network of a model that fills in masked words.

    Of an encoder that never had one, the layer that names the words starts at random.
    Parameters, results and errors are those of `load_encoder`; there must be a token
    that masks, too.
    """
    folder, tokenizer, network, missing = _load(model, "AutoModelForMaskedLM", seed)
    encoder = f"{network.base_model_prefix}."
    _check_none_missing(folder, [name for name in missing if name.startswith(encoder)])
    if tokenizer.mask_token_id is None:
        raise ValueError(
            f"The tokenizer in {folder} has no token that masks: choose a model that "
            "was trained to fill in masked words, such as BERT."
        )
    return tokenizer, network


def model_files(model, *, weights=True):
    """Hash of each file that is read of a model, by name.   -> dict of str to str.

    Parameters
    ----------
    model : str or path-like
        As in `load_encoder`.
    weights : bool, default=True
        Whether those of the weights count.
    """
    return {
        path.name: file_hash(path)
        for path in sorted(_find_folder(model).iterdir())
        if path.suffix in _READ
        and (weights or _WEIGHTS not in path.suffixes)  # an index has them, too
        and path.is_file()
    }


def check_files(model, noted, *, weights):
    """Refuse a model that is not the one noted: its answers would mean nothing.

    Parameters
    ----------
    model, weights : object
        As in `model_files`.
    noted : dict of str to str
        What `model_files` gave when heads were trained.

    Raises
    ------
    ValueError
        If a file was changed, added or removed.
    """
    found = model_files(model, weights=weights)
    if changed := sorted({name for name, _ in noted.items() ^ found.items()}):
        raise ValueError(
            f"The model in {model} is not that of fit: {', '.join(changed)} changed. "
            "Restore these files, or fit again."
        )


@contextmanager
def quiet():
    """Let transformers write nothing; settings of the process are then as before."""
    from huggingface_hub import utils as hub
    from transformers.utils import logging

    # What is imported on the way sets filters of warnings and environment variables.
    with _SETTINGS, warnings.catch_warnings():
        environment = set(os.environ)
        verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        bars_of_hub = not hub.are_progress_bars_disabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            if bars:
                logging.enable_progress_bar()
            if bars_of_hub:
                hub.enable_progress_bars()
            else:
                hub.disable_progress_bars()
            for name in set(os.environ) - environment:
                del os.environ[name]


def longest_text(tokenizer, network):
    """Tokens that a model can read, those at both ends of a text included."""
    limit = getattr(network.config, "max_position_embeddings", None)
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            # RoBERTa counts positions from behind the padding.
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            limit = module.num_embeddings - first
    limits = [limit, tokenizer.model_max_length]
    return min(n for n in limits if n is not None and n > 0)  # XLNet's is -1: none


def _import_transformers():
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            "Reading text with a language model needs transformers: "
            'pip install "skanticipate[text]".'
        ) from error
    return transformers


def _load(model, kind, seed):
    """Folder, tokenizer, network, and names of the weights that the folder lacks."""
    transformers = _import_transformers()
    folder = _find_folder(model)
    _check_files(folder)
    options = {"local_files_only": True, "trust_remote_code": False}
    # Weights that are missing are drawn from the global stream.
    with seeded_global_stream(seed), quiet():
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, truncation_side="left", **options
            )
            network, report = getattr(transformers, kind).from_pretrained(
                folder,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **options,
            )
        except Exception as error:
            reason = str(error).strip().split("\n")[0]
            raise ValueError(
                f"transformers cannot load the model in {folder} ({reason}). Get the "
                "folder again, or choose another model: one that needs code of its own "
                "is not supported, since none is run."
            ) from error
    network.config.return_dict = True  # outputs are read by name
    _check_fit_for_reading(folder, tokenizer, network)
    return folder, tokenizer, network.eval(), sorted(report["missing_keys"])


def _find_folder(model):
    """Folder of a model: the one given, or that of a model downloaded before."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    _import_transformers()  # says what to install, as its hub does not
    from huggingface_hub import snapshot_download

    name = os.fspath(model)
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"model={name!r} is no folder, and no model of this name was downloaded "
            "before. Check the path; or get the model where there is a network, with "
            f"`hf download {name} --local-dir FOLDER`, and pass model=FOLDER: nothing "
            "is downloaded here."
        ) from error


def _check_files(folder):
    """Refuse what is incomplete or pickled before transformers looks at it."""
    names = sorted(path.name for path in folder.iterdir())
    if "config.json" not in names:
        raise _incomplete(folder, "config.json")
    # Without these transformers makes a tokenizer of nothing but special tokens.
    vocabularies = ("tokenizer.json", "vocab.txt", "vocab.json", ".model")
    if not any(name.endswith(vocabularies) for name in names):
        raise _incomplete(folder, "vocabulary of a tokenizer")
    if {"model.safetensors", "model.safetensors.index.json"} & set(names):
        return
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".ckpt"))]
    if not pickled:
        raise _incomplete(folder, "model.safetensors")
    raise ValueError(
        f"{folder} holds its weights in {pickled[0]} only, a pickle, which can run any "
        "code when it is read: expected model.safetensors. Get the model in that form; "
        "or, if you trust the file, convert it once with transformers: from_pretrained("
        "..., use_safetensors=False), then save_pretrained(FOLDER)."
    )


def _incomplete(folder, what):
    return FileNotFoundError(
        f"{folder} has no {what}: expected the folder of a model of transformers, with "
        "config.json, model.safetensors and the files of its tokenizer, as "
        "save_pretrained and `hf download` write it."
    )


def _check_fit_for_reading(folder, tokenizer, network):
    """The tokenizer has words that the network knows; the network is an encoder."""
    try:
        known = network.get_input_embeddings().num_embeddings
    except (AttributeError, NotImplementedError):  # of pictures, or of two kinds
        known = None
    encodes = known is not None and not network.config.is_encoder_decoder
    if not encodes or tokenizer.pad_token_id is None:
        raise ValueError(
            f"{folder} holds a {type(network).__name__}, which is no plain encoder of "
            "text with a token for padding: choose a model such as BERT, RoBERTa or "
            "MiniLM."
        )
    if len(tokenizer) > known:
        raise ValueError(
            f"The tokenizer in {folder} has {len(tokenizer)} tokens, but the network "
            f"knows {known}: they belong to different models. Get the folder again."
        )
    if not _heeds_mask(network.eval(), tokenizer.pad_token_id, known):
        raise ValueError(
            f"The {type(network).__name__} in {folder} reads padding as if it were "
            "text, so what it says of a text would depend on the others in its batch: "
            "choose a model that heeds the attention mask, such as BERT, RoBERTa or "
            "MiniLM."
        )


@torch.no_grad()
def _heeds_mask(network, filler, n_tokens):
    """Whether a text means the same with padding behind it."""
    text = [token for token in range(n_tokens) if token != filler][:2]
    ids = torch.tensor([text + [filler] * 2])
    mask = torch.tensor([[1, 1, 0, 0]])
    padded, alone = (
        network.base_model(input_ids=ids[:, :n], attention_mask=mask[:, :n])[0][:, :2]
        for n in (4, 2)
    )
    # Weights that are not finite are another error, which training reports.
    return not (padded - alone).abs().max() > 1e-3 * alone.abs().max()


def _check_none_missing(folder, missing):
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} weights of its model, among them "
            f"{missing[0]}: they would be random. Get the folder again."
        )
