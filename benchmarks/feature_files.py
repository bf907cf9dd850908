"""Clips out of a file of features: cutting and reading them, against plain readers.

A table of 23,000 clips of 14 x 1024 is cut out of a converted LMDB; then all of it is
read in shuffled batches of 128 by our view, by a plain index into a memory map of the
same file, and from the LMDB, a key at a time, as the original reader does it.
The file is in the page cache; every pass of a reader touches all clips. The first pass
also maps the pages of the file. Wall time, readers interleaved.
"""

import os
import tempfile
import tracemalloc
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import lmdb
import numpy as np
from common.arguments import plain_parser
from common.timing import in_turns, wall_seconds

from skanticipate.datasets import cut_clips, read_lmdb

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


def main():
    """Print the numbers."""
    parser = plain_parser(__doc__)
    parser.add_argument("--passes", type=int, default=5)
    args = parser.parse_args()
    n, n_videos, n_frames, d = (
        (100, 2, 300, 16) if args.tiny else (23_000, 40, 10_000, 1024)
    )
    rng = np.random.default_rng(0)
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
