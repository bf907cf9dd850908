"""Tables and figures of what a teacher brings over the same student without it."""

import csv

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from _paired import paired_difference

REFERENCE = "labels only"


def outcomes(proba, y, pairs):
    """What each clip adds to a figure.   (n, C) -> {figure: (n,)}.

    The mean of "score" over the clips is the accuracy, or the class-mean recall among
    five answers.
    """
    columns = np.searchsorted(pairs.classes, y)
    order = np.argsort(-proba, axis=1, kind="stable")
    top_1 = (order[:, 0] == columns).astype(float)
    if not pairs.by_recall:
        return {"score": top_1}
    top_5 = (order[:, :5] == columns[:, None]).any(axis=1).astype(float)
    counts = np.bincount(columns)
    weights = len(y) / (np.count_nonzero(counts) * counts[columns])
    return {"score": top_5 * weights, "top-1": top_1, "top-5": top_5}


def table_of(results, units, controls):
    """One line a row: figures, and gains over labels only and over its control."""
    lines = []
    for name, figures in results.items():
        line = {"row": name}
        for key, values in figures.items():
            means = 100 * values.mean(axis=1)
            line[key] = means.mean()
            line[f"{key} sd"] = means.std(ddof=1) if len(means) > 1 else np.nan
        for gain, other in (("gain", REFERENCE), ("over control", controls.get(name))):
            if other is not None and other != name:
                pair = figures["score"], results[other]["score"]
                found = 100 * np.array(paired_difference(*pair, units))
                keys = (gain, f"{gain} se seeds", f"{gain} se clips")
                line.update(zip(keys, found, strict=True))
        lines.append(line)
    return lines


def show(title, lines):
    """Print a table as Markdown."""
    figures = [k for k in lines[0] if k != "row" and not k.endswith(" sd")]
    gains = ("gain", "over control")
    header = ("row", *figures, "gain (se seeds / se clips)", "gain over control")
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for line in lines:
        cells = [f"{line[k]:.1f} ± {line[f'{k} sd']:.1f}" for k in figures]
        cells += [gain_of(line, gain) if gain in line else "" for gain in gains]
        print("| " + " | ".join([line["row"], *cells]) + " |", flush=True)


def gain_of(line, gain):
    """A gain with its two standard errors."""
    seeds, clips = line[f"{gain} se seeds"], line[f"{gain} se clips"]
    return f"{line[gain]:+.1f} ({seeds:.1f} / {clips:.1f})"


def save(path, lines):
    """Write the table as csv."""
    columns = list(dict.fromkeys(key for line in lines for key in line))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(lines)


def draw(path, title, lines):
    """Gain of every row with two standard errors."""
    lines = [line for line in lines if "gain" in line][::-1]
    fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    for k, line in enumerate(lines):
        colour = "tab:gray" if "of the past" in line["row"] else "tab:blue"
        error = 2 * max(line["gain se seeds"], line["gain se clips"])
        ax.errorbar(line["gain"], k, xerr=error, color=colour, fmt="o", capsize=3)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(lines)), [line["row"] for line in lines])
    ax.set(title=title, xlabel="gain over labels only, points (two standard errors)")
    fig.savefig(path, dpi=110)
    plt.close(fig)
