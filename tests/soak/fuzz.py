"""Tries inputs of all readers, and calls, in numbers: `make soak`.

python tests/soak/fuzz.py --inputs 100000 --seed 0 [--only "csv" ...]

Failing inputs are written below --folder, with the seed in their name.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from bounded import print_counts, print_failures, timed, try_inputs  # noqa: E402
from calls import Calls  # noqa: E402
from file_readers import FILE_READERS  # noqa: E402
from text_readers import CsvReader, SubmissionReader, VectorReader  # noqa: E402

READERS = [CsvReader, VectorReader, SubmissionReader, *FILE_READERS]
MEMORY = Path("/dev/shm")  # where files take no time
FOLDER = (MEMORY if MEMORY.is_dir() else Path("/tmp")) / "skanticipate-soak"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="of each reader")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of readers")
    parser.add_argument("--folder", default=FOLDER)
    args = parser.parse_args()
    table, n_bad, write = {}, 0, sys.stdout.write
    for kind in [*READERS, Calls]:
        reader = kind()
        if args.only and reader.name not in args.only:
            continue
        folder = Path(args.folder) / reader.name.replace(" ", "_")
        n_inputs = args.calls if kind is Calls else args.inputs
        (counts, failures), seconds = timed(
            try_inputs, reader, n_inputs, args.seed, folder, args.start
        )
        table[reader.name] = counts
        n_bad += len(failures)
        write(f"{reader.name}: {seconds:.0f} s, {counts}\n")
        print_failures(failures, write)
        sys.stdout.flush()
    print_counts(table, write)
    if n_bad:
        raise SystemExit(f"{n_bad} inputs failed: see {args.folder}")


if __name__ == "__main__":
    main()
