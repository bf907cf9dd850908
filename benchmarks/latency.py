"""How long one prediction takes, by `predict_proba` and by an exported file.

Wall time on one thread, both in turns in one run; ratios are medians over rounds, and
below 1x the file is faster. The file is that of `export_onnx`, run by onnxruntime; it
knows padding, of which the clips have none. Clips of 14 steps, 50 classes; of one row
as many calls are timed as take 20 ms.

    python benchmarks/latency.py [--rounds 15]
"""

import os
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnxruntime
from common.arguments import device_parser
from common.report import print_header, print_row
from common.timing import medians

from skanticipate import (
    LSTM,
    MLP,
    RULSTM,
    AttentiveProbe,
    AVTHead,
    EncoderDecoderLSTM,
    FeatureMapNet,
    FrameMLP,
    SmoothedAnticipator,
    export_onnx,
)

N_CLASSES = 50
NETWORKS = [  # spec, shape of a clip
    (MLP(256), (256,)),
    (LSTM(128), (14, 256)),
    (LSTM(128, cell="gru"), (14, 256)),
    (RULSTM(128), (14, 256)),
    (EncoderDecoderLSTM(128), (14, 256)),
    (FrameMLP(128), (14, 256)),
    (AVTHead(128), (14, 256)),
    (AttentiveProbe(128), (14, 256)),
    (FeatureMapNet(32), (4, 7, 7, 64)),
]


def clips_of(shape, n):
    """Clips (n, ...) at random."""
    return np.random.default_rng(0).standard_normal((n, *shape), dtype=np.float32)


def exported(model):
    """Session of the file of a fitted model, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        export_onnx(model, path)
        return onnxruntime.InferenceSession(path, options)


def call_ms(call):
    """Milliseconds of a call, from as many as take 20 ms."""
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < 0.02 or not calls:
        call()
        calls += 1
    return 1e3 * (time.perf_counter() - start) / calls


def latency(model, session, clips, rounds):
    """Milliseconds of both, ratio, and largest difference of a probability."""
    calls = [
        lambda: model.predict_proba(clips),
        lambda: session.run(["proba"], {"clips": clips})[0],
    ]
    times, ratios = medians(call_ms, calls, rounds)
    native, ours = (call() for call in calls)
    return *times, ratios[1], np.abs(native - ours).max()


def main():
    """Print the table."""
    parser = device_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    networks, n_rows = NETWORKS, 1000
    if args.tiny:
        networks, n_rows, args.rounds = NETWORKS[:2], 10, 1
    titles = [f"{n:,} row{'s' * (n > 1)}" for n in (1, n_rows)]
    columns = [(f"{t}, native ms", "onnxruntime ms", "ratio") for t in titles]
    print_header("network", "clips", *sum(columns, ()), "largest difference")
    for spec, shape in networks:
        model = SmoothedAnticipator(
            spec, max_epochs=1, random_state=0, device=args.device
        )
        model.fit(clips_of(shape, 100), np.arange(100) % N_CLASSES)
        session, clips = exported(model), clips_of(shape, n_rows)
        cells, gap = [], 0.0
        for part in (clips[:1], clips):
            native, ours, ratio, difference = latency(model, session, part, args.rounds)
            cells += [f"{native:.3f}", f"{ours:.3f}", f"{ratio:.2f}x"]
            gap = max(gap, difference)
        print_row(str(spec), " x ".join(map(str, shape)), *cells, f"{gap:.0e}")


if __name__ == "__main__":
    main()
