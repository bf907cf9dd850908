"""What priors bring to next actions over a plain student that is chosen as carefully.

Task, networks and priors are those of `next_action.py`. The plain student chooses its
network, head, dropout, length and uniform smoothing on parts of the training clips,
each 15 % (whole videos where the test part shares none); a student with a prior chooses
its weight, settings and length there, for the networks with the least log loss of the
plain one. Every row is chosen twice, by the least log loss and by the highest top-5
accuracy. What is chosen is stored under `settings/` before the test clips are scored,
once; `--chosen` runs a stored table again. The table is printed after every seed.

    python benchmarks/fair_priors.py --data FOLDER --sets egtea epic55 [--chosen]
"""

import json
import os
import warnings
from itertools import product
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common.arguments import next_action_parser, parse_with_data
from common.certainty import briers, calibration_error, holm, log_losses, p_value
from common.choices import stack
from common.data import load_clips
from common.gains import gain_of
from common.outcomes import outcomes
from common.report import OUTPUT, print_header, print_row
from next_action import SHARP, prior

from skanticipate import (
    LSTM,
    MLP,
    CosineSchedule,
    MixturePrior,
    SmoothedAnticipator,
    VerbNounHead,
    fit_many,
)

SETTINGS = Path(__file__).parent / "settings"
NETWORKS = ("MLP", "MLP, verbs and nouns", "GRU", "GRU, verbs and nouns")
PRIORS = {  # name -> settings that are chosen from
    "verb-noun": [{}],
    "GloVe": [{}, SHARP],
    "temporal": [{}, {"direction": "successor"}],
    "transition": [{}],
    "temporal + verb-noun": [{}],
}
PLAIN = "labels only"
HITS = ", by top-5"  # ends the name of a row that is chosen by it
FIGURES = {"top-1": 100, "top-5": 100, "recall@5": 100, "log loss": 1, "Brier": 1}
BUDGET = (  # what was looked at, stored beside what was chosen
    *("networks", "dropouts", "gru_dropouts", "epochs", "weights", "inner_parts"),
    *("kept", "prior_epochs", "prior_settings"),
)


class Choice(NamedTuple):
    """What is chosen for a row."""

    network: str
    dropout: float
    epochs: int
    smoothing: float = 0.0
    prior: str | None = None  # None: uniform
    options: dict = {}  # of the prior


# ------------------------------------------------------------------------- fitting


def student(choice, clips, seed):
    """Unfitted student of codes."""
    common = {
        "embedding": 64,
        "dropout": choice.dropout,
        "head": VerbNounHead(clips.actions) if "nouns" in choice.network else None,
    }
    recurrent = choice.network.startswith("GRU")
    spec = LSTM(256, cell="gru", **common) if recurrent else MLP(256, **common)
    return SmoothedAnticipator(
        spec,
        prior=choice.prior and prior_of(choice, clips),
        smoothing=choice.smoothing,
        classes=clips.classes,
        max_epochs=choice.epochs,
        lr_schedule=CosineSchedule(),
        random_state=seed,
    )


def prior_of(choice, clips):
    """The prior of a choice; of names with a plus between them the mean."""
    names = choice.prior.split(" + ")
    priors = [prior(name, clips, choice.options) for name in names]
    return MixturePrior(priors) if len(priors) > 1 else priors[0]


def answers(choices, clips, seeds):
    """Answers about the test clips.   -> list of (n, C)."""
    codes, rows = clips.codes(), clips.training
    pairs = zip(choices, seeds, strict=True)
    models = [student(choice, clips, seed) for choice, seed in pairs]
    fitted = fit_many(models, codes[rows], clips.y[rows], y_past=clips.seen[rows, -1])
    return [model.predict_proba(codes[clips.test]) for model in fitted]


def figures_of(proba, clips):
    """What each clip adds to every figure, and how sure it is.   -> {str: (n,)}."""
    y, classes = clips.y[clips.test], clips.classes
    columns = np.searchsorted(classes, y)
    found = outcomes(proba, y, classes, clips.many_shot)
    found["log loss"] = log_losses(proba, columns)
    found["Brier"] = briers(proba, columns)
    found["confidence"] = proba.max(axis=1)
    return {figure: found[figure] for figure in (*FIGURES, "confidence")}


# ------------------------------------------------------------------------- choosing


class Looks:
    """Candidates on parts of the training clips; each is fitted once.

    What was found stays in a file, if one is named: a search goes on where it stopped.
    """

    def __init__(self, parts, file):
        self.parts, self.file, self.known = parts, file, {}
        if file and file.exists():
            lines = file.read_text().splitlines()
            self.known = dict(json.loads(line) for line in lines)

    def look(self, candidates):
        """Mean log loss and top-5 accuracy over parts.   -> list of (choice, (2,))."""
        return [(choice, self.known_of(choice)) for choice in candidates]

    def known_of(self, choice):
        """Log loss and top-5 accuracy of a candidate."""
        key = json.dumps(choice)
        if key not in self.known:
            found = []
            for k, part in enumerate(self.parts):
                [proba] = answers([choice], part, [100 + k])
                told = figures_of(proba, part)
                found.append([told["log loss"].mean(), told["top-5"].mean()])
            self.known[key] = np.mean(found, axis=0).tolist()
            if self.file:
                with self.file.open("a") as file:
                    file.write(json.dumps([key, self.known[key]]) + "\n")
        loss, hits = self.known[key]
        print(f"  {tuple(choice)}: {loss:.3f}, {100 * hits:.2f}", flush=True)
        return loss, hits


def chosen(name, told):
    """A row chosen by log loss, and by top-5.   -> {row: Choice}."""
    by_loss = min(told, key=lambda one: one[1][0])[0]
    by_hits = max(told, key=lambda one: one[1][1])[0]
    return {name: by_loss, name + HITS: by_hits}


def plain_space(budget):
    """Candidates of the plain student.   -> list of Choice."""
    found = []
    for network in budget.networks:
        own = network.startswith("GRU") and budget.gru_dropouts
        space = product(own or budget.dropouts, budget.epochs, budget.weights)
        found += [Choice(network, *one) for one in space]
    return found


def choose(clips, budget):
    """Choose every row on parts of the training clips.   -> {row: Choice}."""
    parts = [clips.inner(clips.units, seed=seed) for seed in range(budget.inner_parts)]
    looks = Looks(parts, budget.looks)
    plain = looks.look(plain_space(budget))
    rows = chosen(PLAIN, plain)
    best = [choice[:2] for choice, _ in sorted(plain, key=lambda one: one[1][0])]
    kept = list(dict.fromkeys(best))[: budget.kept]  # networks and their dropout
    weights = [weight for weight in budget.weights if weight]
    for name, settings in PRIORS.items():
        tried = settings[: budget.prior_settings]
        epochs = budget.prior_epochs or budget.epochs
        space = product(kept, epochs, weights, tried)
        candidates = [Choice(*k, n, w, name, s) for k, n, w, s in space]
        rows |= chosen(name, looks.look(candidates))
    return rows


def store(name, rows, budget):
    """Write the choice down, before anything is measured."""
    lines = [f"  {json.dumps(r)}: {json.dumps(c._asdict())}" for r, c in rows.items()]
    looked_at = json.dumps({key: vars(budget)[key] for key in BUDGET})
    head = f'{{\n "set": "{name}",\n "seeds": {budget.seeds},\n'
    head += f' "budget": {looked_at},\n "rows": {{\n'
    file = SETTINGS / f"priors-{name}.json"
    file.write_text(head + ",\n".join(lines) + "\n }\n}\n")


def read_choice(name):
    """Choice of an earlier run."""
    rows = json.loads((SETTINGS / f"priors-{name}.json").read_text())["rows"]
    return {row: Choice(**choice) for row, choice in rows.items()}


# ------------------------------------------------------------------------ measuring


def measure(clips, rows, n_seeds):
    """Yield figures of every row after each seed: {row: {figure: (S, n)}}."""
    choices = {repr(choice): choice for choice in rows.values()}  # rows may share them
    told = {key: [] for key in choices}
    for seed in range(n_seeds):
        found = answers(list(choices.values()), clips, [seed] * len(choices))
        for key, proba in zip(choices, found, strict=True):
            told[key].append(figures_of(proba, clips))
        yield {row: stack(told[repr(choice)]) for row, choice in rows.items()}


def keep(name, found):
    """Write down what was found of every clip, for later questions."""
    OUTPUT.mkdir(exist_ok=True)
    flat = {f"{row}/{f}": v for row, own in found.items() for f, v in own.items()}
    np.savez_compressed(OUTPUT / f"fair_priors_{name}.npz", **flat)


def kept(name):
    """What earlier runs have found.   -> {row: {figure: (S, n)}}."""
    found = {}
    for key, values in np.load(OUTPUT / f"fair_priors_{name}.npz").items():
        row, figure = key.rsplit("/", 1)
        found.setdefault(row, {})[figure] = values
    return found


def error_of(figures):
    """Calibration error, in per cent, mean over seeds."""
    pairs = zip(figures["confidence"], figures["top-1"], strict=True)
    return 100 * np.mean([calibration_error(*pair) for pair in pairs])


def show(name, found, groups):
    """Table of all rows, with differences to the plain student chosen alike.

    Log losses are compared with the plain student chosen by log loss, other figures
    with that chosen by top-5. A star: below 5 % after Holm's correction over all
    differences of the table.
    """
    print(f"\n### {name}, seeds: {len(found[PLAIN]['top-1'])}\n")
    gains, compared = {}, ("top-5", "recall@5", "log loss")
    for row, figure in product(found, compared):
        if not row.startswith(PLAIN):
            other = found[PLAIN if figure == "log loss" else PLAIN + HITS]
            pair = found[row][figure], other[figure]
            gains[row, figure] = gain_of(*pair, groups, scale=FIGURES[figure])
    adjusted = holm([p_value(gain) for gain in gains.values()])
    stars = dict(zip(gains, np.where(adjusted < 0.05, "*", ""), strict=True))
    over = [f"{figure} over plain" for figure in compared]
    print_header("row", *FIGURES, "calibration error", *over)
    for row, own in found.items():
        cells = [
            f"{s * own[f].mean():.{3 if s == 1 else 1}f}" for f, s in FIGURES.items()
        ]
        cells.append(f"{error_of(own):.1f}")
        for figure in compared:
            gain, digits = gains.get((row, figure)), 2 if "loss" in figure else 1
            cells.append(f"{gain:.{digits}f}{stars[row, figure]}" if gain else "")
        print_row(row, *cells)


def arguments():
    """What is run."""
    parser = next_action_parser(__doc__)
    parser.set_defaults(sets=["egtea"], epochs=[6, 12])
    parser.add_argument("--inner-parts", type=int, default=2)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--dropouts", type=float, nargs="+", default=[0.3, 0.5])
    parser.add_argument("--gru-dropouts", type=float, nargs="+", help="default: those")
    parser.add_argument("--weights", type=float, nargs="+", default=[0, 0.1, 0.25, 0.5])
    parser.add_argument("--kept", type=int, default=2, help="networks, for priors")
    parser.add_argument("--prior-epochs", type=int, nargs="+", help="default: those")
    parser.add_argument("--prior-settings", type=int, default=2, help="of each prior")
    parser.add_argument("--looks", type=Path, help="file: a search of one set goes on")
    parser.add_argument("--rows", nargs="+", help="others: as an earlier run has them")
    parser.add_argument("--chosen", action="store_true", help="run a table again")
    tiny = {"sets": ["kitchen"], "seeds": 2, "inner_parts": 1, "epochs": [2]}
    tiny |= {"networks": ["MLP"], "dropouts": [0.5], "weights": [0, 0.3]}
    return parse_with_data(
        parser, tiny | {"chosen": False, "looks": None, "rows": None}
    )


def main():
    """Choose, write the choice down, measure once, report."""
    budget = arguments()
    warnings.simplefilter("ignore")  # words that GloVe does not know
    for name in budget.sets:
        clips = load_clips(name, budget.data)
        print(f"{name}: {len(clips.training)} clips to learn from, {len(clips.test)}")
        rows = read_choice(name) if budget.chosen else choose(clips, budget)
        if not (budget.chosen or budget.tiny):
            store(name, rows, budget)
        wanted = {row: rows[row] for row in budget.rows or rows}
        for row, choice in wanted.items():
            print(f"  {row}: {tuple(choice)}", flush=True)
        others = kept(name) if budget.rows else {}
        for found in measure(clips, wanted, budget.seeds):
            keep(name, others | found)
            if len({len(own["top-1"]) for own in (others | found).values()}) == 1:
                show(name, others | found, clips.videos[clips.test])


if __name__ == "__main__":
    main()
