"""Results of benchmarks: what `benchmarks/README.md` links to as csv is shown here.

A paragraph that is a link to a file of `results/` becomes the table in it, after the
picture of it if there is one.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "benchmarks" / "results"
sys.path.insert(0, str(RESULTS.parent))

from benchmark_pictures import PICTURES  # noqa: E402
from common.tables import to_markdown  # noqa: E402

LINK = re.compile(r"^\[results/(\w+)\.csv\]\(results/\w+\.csv\)$", re.MULTILINE)
FOLDER = "auto_benchmarks"  # beside the pages


def shown(name, folder):
    """Markdown of a file of results; draws its picture into a folder."""
    table = to_markdown((RESULTS / f"{name}.csv").read_text())
    if name not in PICTURES:
        return table
    says, draw = PICTURES[name]
    folder.mkdir(exist_ok=True)
    figure = draw(RESULTS)
    figure.savefig(folder / f"{name}.svg")
    return f"![{says}]({folder.name}/{name}.svg)\n\n{says}\n\n{table}"


def on_include(app, relative_path, parent_docname, content):
    """Show what a file that is included links to."""
    folder = Path(app.srcdir) / FOLDER
    content[0] = LINK.sub(lambda found: shown(found[1], folder), content[0])


def setup(app):
    """Listen before links are changed."""
    app.connect("include-read", on_include, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
