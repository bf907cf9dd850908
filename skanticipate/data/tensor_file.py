"""Files of tensors with a description: written whole or not at all, read with care.

A safetensors file whose description stands in its header, with a checksum.
"""

import hashlib
import json
import os
import secrets

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

_FORMAT = "skanticipate tensors 1"


def write_tensors(path, tensors, description):
    """Write tensors to a file; an old one stays until the new one is whole.

    Parameters
    ----------
    path : path-like
    tensors : dict of str to ndarray
        Of numbers.
    description : object
        What JSON can hold.
    """
    tensors = {k: np.array(v, order="C", copy=None) for k, v in tensors.items()}
    description = json.dumps(description)
    metadata = {
        "format": _FORMAT,
        "description": description,
        "checksum": _checksum(tensors, description),
    }
    unfinished = f"{os.fspath(path)}.{secrets.token_hex(4)}.tmp"
    try:
        with open(unfinished, "xb") as file:
            file.write(save(tensors, metadata))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)


def read_tensors(path):
    """Read what `write_tensors` wrote.

    Returns
    -------
    tensors : dict of str to ndarray
    description : object

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or of another format.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is no readable safetensors file: {error}.") from error
    if metadata.get("format") != _FORMAT:
        raise ValueError(
            f"{path} is of the format {metadata.get('format')!r}, expected {_FORMAT!r}."
        )
    description = metadata.get("description", "")
    if metadata.get("checksum") != _checksum(tensors, description):
        raise ValueError(f"{path} is damaged: its checksum is not that of its data.")
    return tensors, json.loads(description)


def _checksum(tensors, description):
    digest = hashlib.blake2b(description.encode(), digest_size=20)
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].shape} {tensors[name].dtype}".encode())
        digest.update(tensors[name].reshape(-1).view(np.uint8))
    return digest.hexdigest()
