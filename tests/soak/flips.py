"""Bits of model files that are flipped, one at a time: each must be refused.

All bits of a small file, and some of a large one. Run by `make soak`; for Linux.
"""

import argparse
import os
import random
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import skanticipate  # noqa: E402
from skanticipate import MLP, SmoothedAnticipator  # noqa: E402


def saved(path, hidden_size):
    """Write a fitted model.   -> bytes."""
    X, y = np.eye(4), [0, 1, 0, 1]
    model = SmoothedAnticipator(MLP(hidden_size), max_epochs=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y).save(path)
    return path.read_bytes()


def n_refused(path, content, places):
    """How many files are refused of which one bit is another."""
    refused = 0
    path.write_bytes(content)
    with open(path, "r+b") as file:
        for place in places:
            byte = content[place // 8]
            for value in (byte ^ 1 << place % 8, byte):
                file.seek(place // 8)
                file.write(bytes([value]))
                file.flush()
                if value != byte:
                    try:
                        skanticipate.load(path)
                    except ValueError:
                        refused += 1
    skanticipate.load(path)  # all bits are back
    return refused


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--large", type=int, default=10_000, help="bits of a large file"
    )
    parser.add_argument("--small", type=int, help="bits of a small one; all by default")
    args = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        for hidden_size, n in ((1, args.small), (200_000, args.large)):
            content = saved(path, hidden_size)
            n_bits = 8 * len(content)
            places = (
                range(n_bits)
                if n is None
                else random.Random(0).sample(range(n_bits), n)
            )
            refused = n_refused(path, content, places)
            missed += len(places) - refused
            sys.stdout.write(
                f"{len(content)} bytes: {refused} of {len(places)} bits refused\n"
            )
            sys.stdout.flush()
    if missed:
        raise SystemExit(f"{missed} flipped bits were not noticed")


if __name__ == "__main__":
    main()
