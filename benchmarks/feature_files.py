"""Clips out of a file of features: cutting and reading them, against plain readers.

A table of 23,000 clips of 14 x 1024 is cut out of a converted LMDB; then all of it is
read in shuffled batches of 128 by our view, by a plain index into a memory map of the
same file, and from the LMDB, a key at a time, as the original reader does it.
The file is in the page cache; every pass of a reader touches all clips. The first pass
also maps the pages of the file. Wall time, readers interleaved.

Then an epoch over 4 GB of maps that are not in the page cache (Linux), in shuffled
batches of 92 MB of which each is computed on for 150 ms: read as our training does, one
batch ahead, and in plain loops. Every epoch in a process of its own, with the memory
that it adds.
"""

import os
import tempfile
import tracemalloc
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import time

import h5py
import lmdb
import numpy as np
import torch
from common.arguments import plain_parser
from common.processes import added_mb, alone
from common.report import print_header, print_row
from common.timing import in_turns, wall_seconds

from skanticipate import NetworkSpec, RowView
from skanticipate.datasets import cut_clips, read_lmdb
from skanticipate.training.batches import Batches, BatchReader
from skanticipate.training.runtime import Compute

FPS, FIRST = 30, 110  # no start before FIRST: nothing is padded
KEY = "P{:02d}_01_frame_{:010d}.jpg"


def write_lmdb(path, n_videos, n_frames, d, rng):
    """Write an LMDB of the layout of RULSTM."""
    noise = rng.standard_normal((1000, d)).astype(np.float32)
    size = 2 * n_videos * n_frames * (4 * d + 200) + (1 << 24)
    with lmdb.open(str(path), map_size=size, sync=False) as env:
        for video in range(n_videos):
            with env.begin(write=True) as transaction:
                for frame in range(1, n_frames + 1):
                    key = KEY.format(video, frame).encode()
                    transaction.put(key, noise[frame % 1000].tobytes(), append=True)


def random_segments(n, n_videos, n_frames, rng):
    """Return a table of segments anywhere in the videos."""
    start = rng.integers(FIRST, n_frames, n)
    return {
        "video": np.array([f"P{v:02d}_01" for v in rng.integers(n_videos, size=n)]),
        "start_frame": start,
        "stop_frame": start + 60,
        "action": rng.integers(2513, size=n),
    }


def cut(features, segments):
    """Cut all clips.   -> Bunch, seconds, peak memory in MB."""
    seconds, data = wall_seconds(cut_clips, features, segments)
    tracemalloc.start()
    cut_clips(features, segments)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return data, seconds, peak


def lmdb_reader(env, features, rows):
    """Read clips as the original does: a transaction and a copy for each key."""
    video = np.searchsorted(features.first, rows, side="right") - 1
    frame = features.frames[rows]

    def read(batch):
        clips = []
        for videos, frames in zip(video[batch], frame[batch], strict=True):
            values = []
            for v, f in zip(videos.tolist(), frames.tolist(), strict=True):
                with env.begin() as transaction:
                    value = transaction.get(KEY.format(v, f).encode())
                values.append(np.frombuffer(value, dtype=np.float32))
            clips.append(np.array(values))
        return np.stack(clips)

    return read


def read_all(read, batches):
    """A pass over all clips."""
    for batch in batches:
        read(batch)


def times_of_passes(data, features, folder, rounds, rng):
    """Seconds of passes of every reader.   -> {reader: (rounds,)}."""
    plain = np.load(folder / "rgb_features" / "features.npy", mmap_mode="r")
    rows = data.X_past.rows
    batches = np.array_split(rng.permutation(len(rows)), -(-len(rows) // 128))
    with lmdb.open(str(folder / "rgb"), readonly=True, lock=False) as env:
        readers = {
            "ours": data.X_past.take,
            "memory map": lambda batch: np.asarray(plain[rows[batch]]),
            "LMDB": lmdb_reader(env, features, rows),
        }
        for read in readers.values():
            expected = np.asarray(plain[rows[batches[0]]])
            assert np.array_equal(read(batches[0]), expected)
        found = in_turns(
            lambda read: wall_seconds(read_all, read, batches)[0],
            readers.values(),
            rounds,
        )
    return dict(zip(readers, np.transpose(found), strict=True))


def write_maps(folder, n, shape):
    """Write the same maps as a NumPy and as an HDF5 file."""
    mapped = np.lib.format.open_memmap(folder / "maps.npy", "w+", "f4", (n, *shape))
    part = np.random.default_rng(0).standard_normal((32, *shape), np.float32)
    with h5py.File(folder / "maps.h5", "w") as file:
        dataset = file.create_dataset("maps", (n, *shape), "f4")
        for start in range(0, n, 32):
            mapped[start : start + 32] = dataset[start : start + 32] = part[: n - start]
    mapped.flush()


def forget(path):
    """Let the system forget a file that it has read."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def compute(clips, seconds):
    """Compute for so long."""
    matrix = torch.ones(256, 256)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        matrix @ matrix
    assert len(clips)


def in_a_loop(read, batches, seconds):
    """An epoch in which one waits for every batch."""
    for batch in batches:
        compute(read(batch.numpy()), seconds)


def as_we_train(array, batches, seconds):
    """An epoch as training reads it."""
    device = Compute(torch.device("cpu"), torch.float32)
    reader = BatchReader(NetworkSpec(), RowView(array), device, generator=None)
    with reader.ahead(batches):
        for batch in batches:
            compute(reader(batch).clips, seconds)


def epoch_of(kind, folder, batches, seconds):
    """Seconds of an epoch from a cold file, and megabytes that it adds."""
    path = folder / ("maps.h5" if kind.startswith("HDF5") else "maps.npy")
    forget(path)
    torch.set_num_threads(1)
    if path.suffix == ".h5":
        array = h5py.File(path, "r")["maps"]
    else:
        array = np.load(path, mmap_mode="r")

    def rows(batch):  # of a dataset that wants them in order
        order = np.argsort(batch)
        return array[batch[order]][np.argsort(order)]

    epochs = {
        "memory map, fancy index": lambda: in_a_loop(
            lambda batch: np.asarray(array[batch]), batches, seconds
        ),
        "memory map, ours": lambda: as_we_train(array, batches, seconds),
        "HDF5, plain loop": lambda: in_a_loop(rows, batches, seconds),
        "HDF5, ours": lambda: as_we_train(array, batches, seconds),
    }
    found = []
    peak = added_mb(lambda: found.append(wall_seconds(epochs[kind])[0]))
    return found[0], peak


def table_of_cold_maps(folder, rounds, tiny):
    """Print the time of an epoch over maps that are larger than what one keeps."""
    shape, n, size = ((2, 3, 3, 8), 64, 8) if tiny else ((16, 14, 14, 229), 1408, 32)
    seconds = 0.001 if tiny else 0.15
    alone(write_maps, folder, n, shape)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    batches = Batches(order, size)
    kinds = ["memory map, fancy index", "memory map, ours"]
    kinds += ["HDF5, plain loop", "HDF5, ours"]
    found = in_turns(
        lambda kind: alone(epoch_of, kind, folder, batches, seconds), kinds, rounds
    )
    times, peaks = np.moveaxis(np.array(found), 2, 0)  # (rounds, kinds)
    batch_mb = 4 * size * np.prod(shape) / 2**20
    print_header("epoch over cold maps", "s", "against the loop", "MB", "of a batch")
    for k, kind in enumerate(kinds):
        loop = times[:, k - k % 2]
        cells = f"{np.median(times[:, k]):.1f}", f"{np.median(loop / times[:, k]):.2f}x"
        peak = peaks[:, k].max()
        print_row(kind, *cells, f"{peak:,.0f}", f"{peak / batch_mb:.1f}")


def main():
    """Print the numbers."""
    parser = plain_parser(__doc__)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="the cold maps alone")
    args = parser.parse_args()
    n, n_videos, n_frames, d = (
        (100, 2, 300, 16) if args.tiny else (23_000, 40, 10_000, 1024)
    )
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        table_of_cold_maps(Path(folder), 1 if args.tiny else 3, args.tiny)
    if args.cold:
        return
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_lmdb(folder / "rgb", n_videos, n_frames, d, rng)
        seconds, features = wall_seconds(
            lambda: read_lmdb(folder / "rgb", out=folder / "rgb_features")
        )
        megabytes = features.array.nbytes / 1e6
        print(f"converting {megabytes:,.0f} MB: {seconds:.1f} s")
        data, seconds, peak = cut(features, random_segments(n, n_videos, n_frames, rng))
        print(f"cutting {data.X_past.shape}: {seconds:.2f} s, {peak:.0f} MB at most")
        rounds = 2 if args.tiny else args.passes + 1
        times = times_of_passes(data, features, folder, rounds, rng)
    print("reader       first pass, s   later, s   against the memory map")
    for name, (first, *later) in times.items():
        ratio = np.median(np.array(later) / times["memory map"][1:])
        print(f"{name:12} {first:13.2f} {np.median(later):10.2f} {ratio:12.2f}x")


if __name__ == "__main__":
    main()
