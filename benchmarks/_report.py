"""Tables and figures of paired comparisons."""

import csv

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from _paired import mcnemar, paired_difference

METRICS = ("top-1", "top-5", "mean top-5 recall")


def table_of(results, rows, videos):
    """One line a row: mean and deviation of each metric, difference to one-hot.

    "p" is the largest of the seeds, of McNemar's two-sided test against the backed-off
    Markov chain; "better" says whether every seed has more hits than the chain.
    """
    reference = results["Markov, backed off"][0][1]
    lines = []
    for name, found in results.items():
        figures = 100 * np.array([(a.mean(), b.mean(), r) for a, b, r in found])
        spread = figures.std(axis=0, ddof=1) if len(found) > 1 else np.full(3, np.nan)
        line = {"row": name}
        for k, metric in enumerate(METRICS):
            line[metric], line[f"{metric} sd"] = figures[:, k].mean(), spread[k]
        if name in rows:
            hard = results[f"{rows[name][0].net}, one-hot"]
            top_5 = [np.array([h for _, h, _ in f], float) for f in (found, hard)]
            gain = 100 * np.array(paired_difference(*top_5, videos))
            line.update(zip(("gain", "se seeds", "se clips"), gain, strict=True))
            line["p"] = max(mcnemar(hits, reference) for _, hits, _ in found)
            line["better"] = min(top_5[0].mean(axis=1)) > reference.mean()
        lines.append(line)
    return lines


def show(title, lines):
    """Print a table as Markdown."""
    header = ("row", *METRICS, "gain in top-5 (se seeds / clips)", "p against Markov")
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for line in lines:
        cells = [figure(line[m], line[f"{m} sd"]) for m in METRICS]
        if "gain" in line:
            gain = "{gain:+.2f} ({se seeds:.2f} / {se clips:.2f})".format(**line)
            cells += [gain, f"{line['p']:.1e}" if line["better"] else "not better"]
        cells = [line["row"], *cells, *[""] * (5 - len(cells))]
        print("| " + " | ".join(cells) + " |")


def figure(mean, deviation):
    """Mean and deviation, or the mean alone where there is one run."""
    return f"{mean:.2f}" + ("" if np.isnan(deviation) else f" ± {deviation:.2f}")


def save(path, lines):
    """Write the table as csv."""
    columns = list(dict.fromkeys(key for line in lines for key in line))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(lines)


def draw(path, title, lines):
    """Top-5 accuracy of every row."""
    fig, ax = plt.subplots(figsize=(8, 6), layout="constrained")
    colours = {
        "plain MLP": "tab:cyan",
        "MLP": "tab:blue",
        "plain GRU": "gold",
        "GRU": "tab:orange",
    }
    for k, line in enumerate(reversed(lines)):
        colour = colours.get(line["row"].split(",")[0], "tab:gray")
        error = np.nan_to_num(line["top-5 sd"])
        ax.barh(k, line["top-5"], xerr=error, color=colour, height=0.7, capsize=2)
    ax.set_yticks(range(len(lines)), [line["row"] for line in reversed(lines)])
    shown = [line["top-5"] for line in lines[1:]]  # majority is far below
    ax.set_xlim(min(shown) - 2, max(shown) + 1)
    ax.set(title=title, xlabel="top-5 accuracy, per cent (deviation over seeds)")
    ax.grid(axis="x", alpha=0.4)
    fig.savefig(path, dpi=110)
    plt.close(fig)
