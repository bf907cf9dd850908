"""What teaching brings against a well-trained plain student: every arm chosen alike.

Sets: "manoeuvres-2" and "manoeuvres-4" (steps seen of 7) and "poses". Protocol as in
`visual.py`, whose sets are those of real visual features.

    python benchmarks/fair.py --data FOLDER --set manoeuvres-2
    python benchmarks/fair.py --data FOLDER --settings benchmarks/settings/FILE.json
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from common.contrast import run_sets

if __name__ == "__main__":
    run_sets(__doc__, ["manoeuvres-2", "manoeuvres-4", "poses"], (0.1, 0.2, 1.0))
