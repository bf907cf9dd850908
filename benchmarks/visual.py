"""What teachers of the future and losses of maps bring on real visual features.

Arms: labels only; soft targets of a teacher of the past (the control) and of one that
sees the future; both from the weights of a teacher; and to the last losses of maps, of
every alignment at several weights. A share of the labels is kept, of whole videos
where those are the groups; other clips stay as pairs without label.

Network, dropout, smoothing and length of every arm are chosen from one space by the
least log loss on inner folds of the training part, and stored, before the test part is
answered for, once; "by accuracy" rows by the highest accuracy. Standard errors are over
seeds, which draw labels and weights, and over groups of clips.

    python benchmarks/visual.py --data FOLDER --set salads50
    python benchmarks/visual.py --data FOLDER --settings benchmarks/settings/FILE.json
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from common.contrast import run_sets

SETS = ["salads50", "gtea", "jaad", "jhmdb", "uti"]

if __name__ == "__main__":
    run_sets(__doc__, SETS, (0.1, 0.2, 0.5, 1.0))
