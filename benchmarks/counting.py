"""Students that count, and teachers of their own view: next action from labels.

A student sees the labels of the last 5 actions that had ended at least 1 s before, true
labels as in `next_action.py`. It is a network, or counts (`HistoryTeacher` with no
network), or the mean of both, which is what `LateFusion` answers. "own view", by
`--taught`: a network that also learns from soft targets of such a mean that reads what
it reads, cross-fitted (3 folds). All labels are there. EGTEA's split 1 shares videos;
"egtea-videos" holds out a fifth of them as a whole.

Epochs, order and strength of the counts, the share of the network and the weight of
soft targets are those of the least log loss on parts of the training clips, each 15 %
(whole videos where the test part shares none). They are stored under `settings/` before
the test clips are scored, once; `--chosen` runs a stored table again.

    python benchmarks/counting.py --data FOLDER [--sets egtea epic55] [--chosen]
"""

import json
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.answers import cross_fitted, proba_of
from common.arguments import next_action_parser, parse_with_data
from common.certainty import holm, p_value
from common.data import load_clips
from common.folds import held_out
from common.gains import gain_of
from common.report import OUTPUT, print_header, print_row
from common.scores import scores
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import make_pipeline

from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    DistilledAnticipator,
    HistoryEncoder,
    HistoryTeacher,
    LateFusion,
    VerbNounHead,
    fit_many,
)

SETTINGS = Path(__file__).parent / "settings"
SHARES = (0.85, 0.7, 0.5, 0.35)  # of the network in the mean with counts
COUNTS = ((3, 20.0), (3, 5.0), (5, 5.0), (5, 2.0))  # order and strength
FIGURES = {"top-1": (100, 2), "top-5": (100, 2), "log loss": (1, 3)}


class Choice(NamedTuple):
    """What is chosen for a row."""

    net: str  # "GRU" or "MLP"
    n_read: int  # past actions
    epochs: int
    share: float = 1.0  # of the network
    order: int = 3  # of the counts
    strength: float = 20.0
    soft_weight: float = 0.0  # of the teacher of the own view


# ------------------------------------------------------------------------- students


def network(choice, clips, seed):
    """A student of codes, unfitted.   -> DistilledAnticipator."""
    common = {"embedding": 64, "dropout": 0.5, "head": VerbNounHead(clips.actions)}
    if choice.net == "GRU":  # as in HistoryTeacher
        spec = LSTM(128, cell="gru", **common)
        batch_size = int(np.clip(len(clips.training) // 64, 16, 256))
    else:
        spec, batch_size = MLP(256, **common), 128
    return DistilledAnticipator(
        spec,
        teacher_weight=choice.soft_weight,
        smoothing=0.0,
        classes=clips.classes,
        max_epochs=choice.epochs,
        batch_size=batch_size,
        lr=4e-3 if choice.net == "GRU" else 2e-3,
        lr_schedule=CosineSchedule(),
        random_state=seed,
    )


def counts(choice, clips):
    """What counts, unfitted."""
    settings = {"order": choice.order, "strength": choice.strength}
    return HistoryTeacher(clips.actions, n_networks=0, random_state=0, **settings)


def counting_student(choice, clips, seed):
    """A network of label histories and counts of them, as one.   -> LateFusion."""
    reader = make_pipeline(HistoryEncoder(clips.actions), network(choice, clips, seed))
    members = [
        ("network", reader, (0, None)),
        ("counts", counts(choice, clips), (0, None)),
    ]
    return LateFusion(members, weights=[choice.share, 1 - choice.share])


def seen_by(choice, clips):
    """Labels of the last actions that had ended 1 s before.   -> (n, n_read)."""
    return clips.histories["ended"][:, -choice.n_read :]


def by_networks(choice, clips, seeds, soft=None):
    """Answers of networks of several seeds about the test clips.   -> (S, n, C)."""
    codes = HistoryEncoder(clips.actions).fit_transform(seen_by(choice, clips))
    rows = clips.training
    models = [network(choice, clips, seed) for seed in seeds]
    given = {} if soft is None else {"teacher_proba": soft}
    fitted = fit_many(models, codes[rows], clips.y[rows], **given)
    return np.array([model.predict_proba(codes[clips.test]) for model in fitted])


def by_history(teacher, choice, clips):
    """Answers of a reader of labels about the test clips.   -> (n, C)."""
    read, rows = seen_by(choice, clips), clips.training
    teacher.fit(read[rows], clips.y[rows], groups=clips.units[rows])
    return proba_of(teacher, read[clips.test], clips.classes)


def own_view(choice, clips, seed=0):
    """Soft targets of the training clips, of students that count.   -> (n, C)."""
    read, y = seen_by(choice, clips)[clips.training], clips.y[clips.training]
    units = clips.units[clips.training]
    split = KFold(3, shuffle=True, random_state=0) if clips.shared else GroupKFold(3)

    def fit(rows):
        student = counting_student(choice, clips, seed)
        return student.fit(read[rows], y[rows], groups=units[rows])

    folds = split.split(read, y, units)
    return cross_fitted(fit, read, folds, clips.classes, dtype=np.float32)


def mixed(by_network, by_counts, share):
    """What `LateFusion` answers: the mean, by the share of the network."""
    return share * by_network + (1 - share) * by_counts


# ------------------------------------------------------------------------- choosing


def choose(clips, budget):
    """Choose every row on parts of the training clips.   -> {row: Choice}."""
    parts = [clips.inner(clips.units, seed=seed) for seed in range(budget.inner_parts)]
    rows = {}
    for net in budget.networks:
        told = [Told(part, 100 + k) for k, part in enumerate(parts)]
        plain = best([Choice(net, 5, epochs) for epochs in budget.epochs], told)
        counted = [
            plain._replace(share=0.0, order=order, strength=strength)
            for order, strength in COUNTS
        ]
        rows["counts"] = best(counted, told)
        mixtures = [one._replace(share=share) for one in counted for share in SHARES]
        rows |= {net: plain, f"{net}, counts": best(mixtures, told)}
        if net not in budget.taught:
            continue
        for one in told:
            one.soft = own_view(rows[f"{net}, counts"], one.clips)
        taught = [
            plain._replace(epochs=epochs, soft_weight=weight)
            for epochs in budget.epochs
            for weight in budget.weights
        ]
        rows[f"{net}, own view"] = best(taught, told)
    return rows


class Told:
    """A part, and answers about its held-out clips that are known already."""

    def __init__(self, clips, seed):
        self.clips, self.seed, self.soft, self.known = clips, seed, None, {}

    def loss(self, choice):
        """Log loss of a choice, and its top-5 accuracy."""
        proba = self.answers(choice)
        y = self.clips.y[self.clips.test]
        found = scores(proba[None], y, self.clips.classes)
        return found["log loss"].mean(), 100 * found["top-5"].mean()

    def answers(self, choice):
        """Answers of a choice, of which each half is worked out once."""
        by_network, by_counts = network_of(choice), counts_of(choice)
        if choice.share > 0 and by_network not in self.known:
            soft = self.soft if choice.soft_weight else None
            found = by_networks(by_network, self.clips, [self.seed], soft)[0]
            self.known[by_network] = found
        if choice.share < 1 and by_counts not in self.known:
            reader = counts(choice, self.clips)
            self.known[by_counts] = by_history(reader, choice, self.clips)
        known = self.known.get(by_network, 0), self.known.get(by_counts, 0)
        return mixed(*known, choice.share)


def network_of(choice):
    """What of a choice the network depends on."""
    return choice._replace(share=1.0, order=3, strength=20.0)


def counts_of(choice):
    """What of a choice the counts depend on."""
    return choice.n_read, choice.order, choice.strength


def best(candidates, told):
    """The candidate of the least mean log loss over parts."""
    losses = [np.mean([one.loss(c) for one in told], axis=0) for c in candidates]
    for candidate, (loss, hits) in zip(candidates, losses, strict=True):
        print(f"  {candidate}: {loss:.3f}, top-5 {hits:.2f}", flush=True)
    return candidates[int(np.argmin(np.array(losses)[:, 0]))]


def store(name, rows, budget):
    """Write the choice down, before anything is measured."""
    plain = {row: choice._asdict() for row, choice in rows.items()}
    lines = [f"  {json.dumps(row)}: {json.dumps(c)}" for row, c in plain.items()]
    head = f'{{\n "set": "{name}",\n "seeds": {budget.seeds},\n "rows": {{\n'
    file = SETTINGS / f"counting-{name}.json"
    file.write_text(head + ",\n".join(lines) + "\n }\n}\n")


def read_choice(name):
    """Choice of an earlier run."""
    rows = json.loads((SETTINGS / f"counting-{name}.json").read_text())["rows"]
    return {row: Choice(**choice) for row, choice in rows.items()}


# ------------------------------------------------------------------------ measuring


def measure(clips, rows, budget):
    """Yield rows and what each test clip adds to their figures: (S, n) each."""
    seeds, y, told = range(budget.seeds), clips.y[clips.test], {}
    for row, choice in rows.items():
        if budget.rows and row not in budget.rows:
            continue
        by_network, by_counts = network_of(choice), counts_of(choice)
        if choice.share > 0 and by_network not in told:
            soft = None
            if choice.soft_weight:
                soft = own_view(rows[f"{choice.net}, counts"], clips)
            told[by_network] = by_networks(by_network, clips, seeds, soft)
        if choice.share < 1 and by_counts not in told:
            told[by_counts] = by_history(counts(choice, clips), choice, clips)[None]
        known = told.get(by_network, 0), told.get(by_counts, 0)
        proba = mixed(*known, choice.share)
        yield row, scores(proba, y, clips.classes)
        if 0 < choice.share < 1:
            mean = proba.mean(axis=0, keepdims=True)
            name = row.replace(choice.net, f"{len(proba)} {choice.net}s", 1)
            yield name, scores(mean, y, clips.classes)
    if not budget.rows or "HistoryTeacher" in budget.rows:
        choice = rows["counts"]
        settings = {"order": choice.order, "strength": choice.strength}
        proba = [
            by_history(
                HistoryTeacher(clips.actions, random_state=seed, **settings),
                choice,
                clips,
            )
            for seed in range(min(budget.seeds, 2))
        ]
        figures = scores(np.array(proba), y, clips.classes)
        yield "HistoryTeacher", {f: v.mean(0)[None] for f, v in figures.items()}


def keep(name, found):
    """Write down what was found, so that rows can be measured one after the other."""
    OUTPUT.mkdir(exist_ok=True)
    flat = {f"{row}/{f}": v for row, own in found.items() for f, v in own.items()}
    np.savez_compressed(OUTPUT / f"counting_{name}.npz", **flat)


def kept(name):
    """What earlier runs have found.   -> {row: {figure: (S, n)}}."""
    found, file = {}, OUTPUT / f"counting_{name}.npz"
    for key, values in np.load(file).items() if file.exists() else ():
        row, figure = key.rsplit("/", 1)
        found.setdefault(row, {})[figure] = values
    return found


def opponent(row):
    """The row that a row is compared with: the network alone."""
    net = next((one for one in ("GRU", "MLP") if one in row.split(",")[0]), "GRU")
    return None if row == net else net


def show(name, found, groups):
    """Table of all rows, with differences to the network alone.

    A star: below 5 % after Holm's correction over all differences of the table.
    """
    print(f"\n### {name}\n")
    gains = {}
    for row in found:
        if opponent(row) not in found:
            continue
        for figure, (scale, _) in FIGURES.items():
            pair = found[row][figure], found[opponent(row)][figure]
            gains[row, figure] = gain_of(*pair, groups, scale=scale)
    adjusted = holm([p_value(gain) for gain in gains.values()])
    stars = dict(zip(gains, np.where(adjusted < 0.05, "*", ""), strict=True))
    print_header("row", *FIGURES, *(f"{f} over network alone" for f in FIGURES))
    for row, figures in found.items():
        cells = [f"{s * figures[f].mean():.{d}f}" for f, (s, d) in FIGURES.items()]
        for figure, (_, digits) in FIGURES.items():
            gain = gains.get((row, figure))
            star = stars.get((row, figure))
            cells.append("" if gain is None else f"{gain:.{digits}f}{star}")
        print_row(row, *cells)


def arguments():
    """What is run."""
    parser = next_action_parser(__doc__)
    parser.set_defaults(sets=["egtea", "egtea-videos", "epic55"])
    parser.add_argument("--inner-parts", type=int, default=2)
    parser.add_argument("--networks", nargs="+", default=["GRU"])
    parser.add_argument("--taught", nargs="*", default=[], help="networks")
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0, 3.0])
    parser.add_argument("--rows", nargs="+", help="those of the table; default all")
    parser.add_argument("--chosen", action="store_true", help="run a table again")
    tiny = {"sets": ["kitchen"], "seeds": 2, "inner_parts": 1, "epochs": [2]}
    return parse_with_data(parser, {**tiny, "weights": [1.0], "chosen": False})


def load(name, root):
    """Clips of a set; "egtea-videos": EGTEA with a fifth of its videos held out."""
    if name != "egtea-videos":
        return load_clips(name, root)
    clips = load_clips("egtea", root)
    held = held_out(clips.videos, 0.2, seed=0)
    parts = {"training": np.flatnonzero(~held), "test": np.flatnonzero(held)}
    return replace(clips, **parts, shared=False)


def main():
    """Choose, write the choice down, measure once, report."""
    budget = arguments()
    warnings.simplefilter("ignore")  # a HistoryTeacher without groups holds rows out
    for name in budget.sets:
        clips = load(name, budget.data)
        print(f"{name}: {len(clips.training)} clips to learn from, {len(clips.test)}")
        rows = read_choice(name) if budget.chosen else choose(clips, budget)
        if not (budget.chosen or budget.tiny):
            store(name, rows, budget)
        found = kept(name) if budget.rows else {}
        for row, figures in measure(clips, rows, budget):
            found[row] = figures
            means = [f"{s * figures[f].mean():.3f}" for f, (s, _) in FIGURES.items()]
            print(f"  {row}: {', '.join(means)}", flush=True)
            keep(name, found)
        show(name, found, clips.videos[clips.test])


if __name__ == "__main__":
    main()
