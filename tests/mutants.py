"""Mutants of model files: run by test_mutants.py in a process of bounded memory.

Arguments: a folder of files to mutate, how many mutants of each, a seed.
"""

import copy
import hashlib
import json
import random
import resource
import sys
import time
import warnings
from pathlib import Path

import skanticipate

MARK = b'{"__metadata__":{"checksum":"'
MEMORY = 2**30  # bytes beside what the process has when it starts
SECONDS = 5.0  # for one mutant, on a machine that is busy
STRANGE = [
    *(None, True, -1, 0, 1, 0.5, 2**31, 2**40, 2**63, 10**30, float("nan"), "", "a"),
    *([], {}, [[]], [-1], [0], [2**40], [2**32, 2**32], "F64", "|O", "<U9999999"),
    {"tensor": "0"},
    {"class": "os:system", "state": {"dict": []}},
    {"class": "skanticipate:MLP", "state": {"dict": [["hidden_size", 10**9]]}},
    {"array": ["a"], "dtype": "<U536870911", "shape": [1]},
    {"list": [{"list": []}] * 3},
]


def places(tree):
    """Where the values of a tree stand.   -> list of (container, key or index)."""
    found, open_ = [], [tree]
    while open_:
        node = open_.pop()
        inner = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in inner:
            found.append((node, key))
            if isinstance(value, dict | list):
                open_.append(value)
    return found


def mutated_tree(tree, rng):
    """A value of a tree replaced, swapped with another, taken out or given twice."""
    inner = places(tree)
    (parent, key), (other, k) = rng.choice(inner), rng.choice(inner)
    way = rng.randrange(5)
    if way == 0:
        parent[key] = copy.deepcopy(rng.choice(STRANGE))  # or others would share it
    elif way == 1:
        parent[key] = copy.deepcopy(other[k])
    elif way == 2:
        del parent[key]
    elif way == 3 and isinstance(parent, dict):
        name = rng.choice(["", "tensor", "class", f"{key}2"])
        parent[name] = copy.deepcopy(parent[key])
    elif isinstance(parent, list):
        parent.insert(key, copy.deepcopy(other[k]))
    elif isinstance(parent[key], int):
        parent[key] += rng.choice([-8, -1, 1, 8, 2**32, 2**64])
    return tree


def signed(header, numbers):
    text = json.dumps(header, separators=(",", ":")).encode()
    content = len(text).to_bytes(8, "little") + text + numbers
    if not text.startswith(MARK):
        return content
    place = 8 + len(MARK)
    blank = content[:place] + b"0" * 64 + content[place + 64 :]
    digest = hashlib.blake2b(blank, digest_size=32).hexdigest().encode()
    return content[:place] + digest + content[place + 64 :]


def mutated(content, rng):
    """Another file: of damage, or of intent, which puts the checksum right."""
    length = int.from_bytes(content[:8], "little")
    header, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
    way = rng.randrange(8)
    if way == 0:  # a bit
        changed = bytearray(content)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if way == 1:  # a piece that is lost, or there twice
        begin, end = sorted(rng.randrange(len(content)) for _ in range(2))
        return (
            content[:begin] + content[end:]
            if rng.random() < 0.5
            else (content[:end] + content[begin:])
        )
    if way == 2:  # numbers
        changed = bytearray(numbers)
        for _ in range(rng.randrange(1, 9)):
            changed[rng.randrange(len(changed))] = rng.choice([0, 127, 128, 240, 255])
        return signed(header, bytes(changed))
    if way == 3:
        return signed(mutated_tree(header, rng), numbers)
    said = header["__metadata__"]
    tree = json.loads(said["description"])
    for _ in range(rng.randrange(1, 4)):
        tree = mutated_tree(tree, rng)
        if not isinstance(tree, dict) or not tree:
            break
    said["description"] = json.dumps(tree)
    return signed(header, numbers)


def tried(path):
    """Whether a mutant is refused in words; anything but that or an answer raises."""
    begin = time.perf_counter()
    try:
        skanticipate.load(path)
    except (ValueError, OSError) as error:
        assert path.name in str(error), f"does not name the file: {error!r}"
        refused = True
    else:
        refused = False
    took = time.perf_counter() - begin
    assert took < SECONDS, f"took {took:.1f} s"
    return refused


def main(folder, n_mutants, seed):
    warnings.simplefilter("ignore")
    files = sorted(Path(folder).glob("*.safetensors"))
    for file in files:  # what is imported late is there before memory is bounded
        skanticipate.load(file)
    in_use = int(Path("/proc/self/statm").read_text().split()[0])
    limit = in_use * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    path, n_refused = Path(folder) / "mutant", 0
    for file in files:
        content = file.read_bytes()
        for k in range(n_mutants):
            path.write_bytes(mutated(content, random.Random(f"{seed} {file.name} {k}")))
            try:
                n_refused += tried(path)
            except BaseException as error:
                error.add_note(f"mutant {k} of {file.name}, seed {seed}")
                raise
    sys.stdout.write(f"{n_refused} of {n_mutants * len(files)}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
