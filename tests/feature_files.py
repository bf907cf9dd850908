"""Writes small feature files of the layouts that are read."""

import lmdb
import numpy as np


def write_lmdb(path, videos, key="{}_frame_{:010d}.jpg", **options):
    """Write an LMDB.   videos: name -> {frame: features}, or (n, d) from frame 1 on."""
    with lmdb.open(str(path), map_size=1 << 26, **options) as env:
        with env.begin(write=True) as transaction:
            for name, frames in videos.items():
                if not isinstance(frames, dict):
                    frames = dict(enumerate(frames, start=1))
                for frame, features in frames.items():
                    value = np.asarray(features, dtype="<f4").tobytes()
                    transaction.put(key.format(name, frame).encode(), value)
    return path


def numbered(n_frames, video=0, d=3):
    """Features that tell their video and frame.   (n_frames, d), from frame 1 on."""
    features = np.zeros((n_frames, d), dtype=np.float32)
    features[:, 0], features[:, 1] = video, np.arange(1, n_frames + 1)
    return features
