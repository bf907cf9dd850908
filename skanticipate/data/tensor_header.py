"""The header of a file of tensors: made here, and checked before anything is believed.

A safetensors file is eight bytes with the length of a header, the header in JSON, and
the numbers. Ours have a checksum at a fixed place of the header, which covers every
other byte of the file. What a header says is compared with the size of the file before
memory is taken for it.
"""

import json
import math
from typing import NamedTuple

import numpy as np

from skanticipate._version import __version__
from skanticipate.data.formats import foreign_format

FORMAT = "skanticipate 2"
# What the checksum covers is the name it has: the whole file, or the header only.
WHOLE, HEADER = "checksum", "checksum of header"

_LONGEST = 100_000_000  # bytes of a header; the limit of safetensors
_DEEPEST = 256  # containers within each other
_MOST_AXES = 32
_LARGEST = 2**62  # bytes; what NumPy takes for a shape, with an axis of 0 or without
_DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "|b1"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1"},
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_DIGITS = 64  # of a checksum: 32 bytes


class Header(NamedTuple):
    """What a header says, checked, and what tells whether it is intact."""

    layout: dict  # of each tensor its dtype and shape, in the order of the numbers
    description: object
    blanked: bytes  # length and header, with zeros in place of the checksum
    checksum: bytes


def storable(dtype):
    """The dtype in which a file holds such numbers, or None."""
    little = np.dtype(dtype).newbyteorder("<")
    return little if little.str in _NAMES else None


def make_header(layout, description, covers):
    """Length and header, with zeros in place of the checksum.   -> bytes.

    Raises
    ------
    ValueError
        If the description could not be read again.
    """
    text = json.dumps(description)
    if _depth(text.encode()) > _DEEPEST:
        raise ValueError(
            f"What is to be written has more than {_DEEPEST} containers within each "
            "other: a file cannot hold it. Put numbers into arrays."
        )
    said = {covers: "0" * _DIGITS, "format": FORMAT, "version": __version__}
    entries, end = {"__metadata__": said | {"description": text}}, 0
    for name, (dtype, shape) in layout.items():
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        entries[name] = {
            "dtype": _NAMES[dtype.str],
            "shape": [int(size) for size in shape],
            "data_offsets": [begin, end],
        }
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > _LONGEST:
        raise ValueError(
            f"What is to be written has a description of {len(header):,} bytes, and a "
            f"file can hold {_LONGEST:,}: put numbers into arrays."
        )
    return len(header).to_bytes(8, "little") + header


def signed(header, digest, covers):
    """A header with its checksum.   -> bytes."""
    place = _place(covers)
    return header[:place] + digest.hexdigest().encode() + header[place + _DIGITS :]


def _place(covers):
    return 8 + len(f'{{"__metadata__":{{"{covers}":"')


# --------------------------------------------------------------------------- reading


def read_header(path, file, size, covers):
    """Read the header of a file of `size` bytes.   -> Header.

    Raises
    ------
    ValueError
        If the file is none of ours, of another format, or not what its header says.
    """
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(size - 8, _LONGEST):
        raise unreadable(path, start + file.read(300))
    text = file.read(length)
    try:
        entries = parse(text)
        metadata = entries.pop("__metadata__", {})
        format_ = metadata.get("format")
    except (ValueError, AttributeError, TypeError) as error:
        raise unreadable(path, start + text[:300]) from error
    if format_ != FORMAT:
        raise ValueError(_of_another_format(path, format_, metadata))
    place = _place(covers)
    checksum = text[place - 8 : place - 8 + _DIGITS]
    if metadata.get(covers) != checksum.decode("latin-1"):
        raise damaged(path, f"it has no {covers} in its place")
    try:
        description = parse(metadata["description"].encode())
    except (ValueError, KeyError, AttributeError) as error:
        raise damaged(path, "its description cannot be read") from error
    blanked = start + text
    blanked = blanked[:place] + b"0" * _DIGITS + blanked[place + _DIGITS :]
    layout = _layout(path, entries, size - 8 - length)
    return Header(layout, description, blanked, checksum)


def damaged(path, what):
    """Error of a file that is one of ours and not as it was written."""
    return ValueError(
        f"{path} is damaged: {what}. Take a copy of the file that is intact, or write "
        "it again."
    )


def unreadable(path, head):
    """Error of a file that is no safetensors file, from its first bytes."""
    found = foreign_format(head)
    like = "" if found in (None, "a safetensors file") else f", it looks like {found}"
    return ValueError(
        f"{path} is no readable safetensors file{like}: expected one that this library "
        "wrote. If it is one, it is damaged or cut short: write it again."
    )


def _of_another_format(path, format_, metadata):
    if format_ == "skanticipate 1":
        wrote, remedy = "0.1.0.dev0, before files had a checksum", "read it with that"
    elif isinstance(format_, str) and format_.startswith("skanticipate "):
        wrote, remedy = metadata.get("version"), "install that version, or a later one"
    else:
        return (
            f"{path} was not written by this library: its format is {format_!r}, "
            f"expected {FORMAT!r}. Name a file that save() wrote."
        )
    return (
        f"{path} was written by skanticipate {wrote}: its format is {format_!r}, and "
        f"this is {__version__}, which reads {FORMAT!r}. Fit again and save, or "
        f"{remedy}."
    )


def parse(text):
    """Read JSON that is nested as deeply as ours at most, and names nothing twice.

    Parameters
    ----------
    text : bytes

    Raises
    ------
    ValueError
        If it is no such JSON.
    """
    if _depth(text) > _DEEPEST:
        raise ValueError("it is nested too deeply")
    return json.loads(text.decode(), object_pairs_hook=_without_repetition)


def _depth(text):
    """How many containers of a JSON text lie within each other, at most.   -> int."""
    # Outside of strings only: without its escapes every other piece is a string.
    pieces = text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    outside = np.frombuffer(b"".join(pieces[::2]), dtype=np.uint8)
    steps = np.zeros(256, dtype=np.int8)
    steps[list(b"[{")], steps[list(b"]}")] = 1, -1
    return int(np.cumsum(steps[outside], dtype=np.int32).max(initial=0))


def _without_repetition(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it names something twice")
    return found


def _layout(path, entries, size):
    """Of each tensor its dtype and shape, in the order of the numbers.   -> dict.

    Raises
    ------
    ValueError
        If the numbers of all do not fill the `size` bytes, one after the other.
    """
    found = []
    for name, entry in entries.items():
        if not isinstance(entry, dict) or entry.keys() != {
            *("dtype", "shape", "data_offsets")
        }:
            raise damaged(path, f"{name!r} is no description of a tensor")
        offsets, shape = entry["data_offsets"], entry["shape"]
        if not _are_sizes(offsets) or len(offsets) != 2 or not _are_sizes(shape):
            raise damaged(path, f"{name!r} has a shape or a place of no such kind")
        if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
            raise damaged(path, f"{name!r} has an unknown type of numbers")
        found.append((*offsets, name, np.dtype(_DTYPES[entry["dtype"]]), tuple(shape)))
    found.sort(key=lambda tensor: tensor[:2])
    end = 0
    for begin, stop, name, dtype, shape in found:
        n_bytes = math.prod(shape) * dtype.itemsize
        if begin != end or stop - begin != n_bytes:
            raise damaged(path, f"{name!r} is not at the place that its shape takes")
        if math.prod(max(n, 1) for n in shape) * dtype.itemsize > _LARGEST:
            raise damaged(path, f"{name!r} has a shape of no array")
        end = stop
    if end != size:
        raise damaged(path, f"it holds {size:,} bytes of numbers, expected {end:,}")
    return {name: (dtype, shape) for _, _, name, dtype, shape in found}


def _are_sizes(values):
    return (
        isinstance(values, list)
        and len(values) <= _MOST_AXES
        and all(type(value) is int and value >= 0 for value in values)
    )
