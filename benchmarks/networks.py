"""RULSTM and AttentiveProbe beside the GRU, and remedies for its long tail.

The task and its protocol are those of `next_action.py`: the last five labels that had
ended at least 1 s before, EPIC-KITCHENS-55 and EGTEA Gaze+ (split 1). All networks are
256 units wide, read embeddings of 64 and take the same number of optimiser steps, that
which was chosen for the GRU.

Every choice (head and embedding, what NETWORKS lists, steps, weight of the verb and
noun terms, logit adjustment) is made on 15 % of the training videos, printed and
written down; then each row is fitted on all training clips with 5 seeds and the
validation clips are scored once. Logit adjustment needs no fit of its own. Networks are
chosen by top-5 accuracy, the remedies by mean top-5 recall.

    python benchmarks/networks.py --data FOLDER [--sets egtea epic55] [--jobs 2]
"""

import os
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

from common.arguments import next_action_parser, parse_with_data
from common.choices import best_first, fit_all, stack
from common.data import load_clips
from common.gains import lines_of
from common.outcomes import outcomes
from common.report import print_gains, write_csv, write_json
from joblib import Parallel

from skanticipate import (
    LSTM,
    RULSTM,
    AttentiveProbe,
    CosineSchedule,
    MarginalLoss,
    SmoothedAnticipator,
    VerbNounHead,
)

TITLES = {"top-1": "top-1", "top-5": "top-5", "recall@5": "mean top-5 recall"}
NETWORKS = {
    "GRU": [{}],
    # Its dropout stands in three places, where the GRU has one.
    "RULSTM": [{"anticipation_steps": 1, "dropout": p} for p in (0.5, 0.3)],
    "AttentiveProbe": [{"n_blocks": 1}, {"n_blocks": 2}],
}
INPUTS = [("linear", 1.0), ("verb-noun", 0.1)]  # those that other runs have chosen
TERM_WEIGHTS = [0.3, 1.0]
ADJUSTMENTS = [0.0, 0.2, 0.4, 0.6, 0.8]


class Choice(NamedTuple):
    """Everything that is chosen for a row of the table."""

    net: str
    options: dict
    head: str = "linear"
    embedding_std: float = 1.0
    epochs: int = 12
    term_weight: float = 0.0  # of the verb and the noun term


def network(choice, actions, width=256):
    """Spec of the network of a row."""
    common = {
        "embedding": 64,
        "embedding_std": choice.embedding_std,
        "dropout": 0.5,
        "head": VerbNounHead(actions) if choice.head == "verb-noun" else None,
        **choice.options,
    }
    if choice.net == "GRU":
        return LSTM(width, cell="gru", **common)
    if choice.net == "RULSTM":
        return RULSTM(width, **common)
    return AttentiveProbe(width, input_dropout=0.5, layer_dropout=0.2, **common)


def fit_and_look(choice, clips, seed, adjustments):
    """Fit a row once and look at it.   -> {logit adjustment: {figure: (clips,)}}."""
    terms = None
    if choice.term_weight:
        weights = {f"{part}_weight": choice.term_weight for part in ("verb", "noun")}
        terms = MarginalLoss(clips.actions, **weights)
    model = SmoothedAnticipator(
        network(choice, clips.actions),
        smoothing=0.0,
        marginal_loss=terms,
        classes=clips.classes,
        max_epochs=choice.epochs,
        batch_size=128,
        lr=2e-3,
        lr_schedule=CosineSchedule(),
        weight_decay=1e-4,
        random_state=seed,
    )
    codes, rows = clips.codes(), clips.training
    model.fit(codes[rows], clips.y[rows])
    found = {}
    for adjustment in adjustments:
        model.set_params(logit_adjustment=adjustment)
        proba = model.predict_proba(codes[clips.test])
        found[adjustment] = outcomes(proba, clips.y[clips.test], clips.classes)
    return found


# ---------------------------------------------------------------------- choosing


def choose(clips, budget, parallel):
    """Choose on a part of the training videos.

    Returns
    -------
    dict of row to (Choice, logit adjustment, inner figure)
    """
    inner = clips.inner(clips.videos)

    def ranked(candidates, figure, adjustments=(0.0,)):
        runs = [(inner, 100 + seed, adjustments) for seed in range(budget.inner_seeds)]
        found = fit_all(fit_and_look, candidates, runs, parallel)
        pairs = [(choice, a) for choice in candidates for a in adjustments]
        looks = [[fit[a] for fit in fits] for fits in found for a in adjustments]
        return best_first(pairs, looks, figure)

    rows, epochs = {}, sorted(budget.epochs)[len(budget.epochs) // 2]
    for net in budget.networks:
        candidates = [
            Choice(net, options, head, std, epochs)
            for options in NETWORKS[net]
            for head, std in INPUTS
        ]
        (best, _), score = ranked(candidates, "top-5")[0]
        if net == "GRU":
            candidates = [best._replace(epochs=n) for n in budget.epochs]
            (best, _), score = ranked(candidates, "top-5")[0]
            epochs = best.epochs
        rows[net] = best, 0.0, score
    net = budget.networks[0]
    plain = rows[net][0]
    candidates = [plain._replace(term_weight=w) for w in (0.0, *budget.term_weights)]
    return rows | remedies(net, ranked(candidates, "recall@5", ADJUSTMENTS))


def remedies(net, order):
    """Weight of the verb and noun terms, and logit adjustment with and without."""
    rows = {}
    for name, wanted in (
        ("verb and noun terms", lambda c, a: c.term_weight > 0 and a == 0),
        ("logit adjustment", lambda c, a: c.term_weight == 0 and a > 0),
        ("both", lambda c, a: c.term_weight > 0 and a > 0),
    ):
        rows[f"{net}, {name}"] = next(
            (choice, adjustment, score)
            for (choice, adjustment), score in order
            if wanted(choice, adjustment)
        )
    return rows


def write_down(name, rows):
    """Print the choice, and write it to a file, before anything is measured."""
    plain = {row: [c._asdict(), a, score] for row, (c, a, score) in rows.items()}
    write_json(f"networks_{name}", plain)
    print("chosen on a part of the training videos (inner figure in brackets):")
    for row, (choice, adjustment, score) in rows.items():
        print(
            f"  {row}: {tuple(choice)}, adjustment {adjustment} ({score})", flush=True
        )


# --------------------------------------------------------------------- measuring


def measure(clips, rows, budget, parallel):
    """Fit every row with every seed.   -> {row: {figure: (seeds, clips)}}."""
    adjustments = sorted({adjustment for _, adjustment, _ in rows.values()})
    runs = [(clips, seed, adjustments) for seed in range(budget.seeds)]
    choices = []  # rows that differ in the adjustment share their fits
    for choice, _, _ in rows.values():
        if choice not in choices:
            choices.append(choice)
    found = fit_all(fit_and_look, choices, runs, parallel)
    return {
        row: stack([fit[adjustment] for fit in found[choices.index(choice)]])
        for row, (choice, adjustment, _) in rows.items()
    }


def table_of(results, videos):
    """Lines of the table, with the gain of each figure over that of another row.

    A network is compared with the first one, a remedy with its network without it.
    """
    first, *others = results
    others = {row: row.partition(", ")[0] if ", " in row else first for row in others}
    gains = {f"{figure} gain": (figure, others) for figure in TITLES}
    return lines_of(results, videos, gains)


def arguments():
    """What is run."""
    parser = next_action_parser(__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--inner-seeds", type=int, default=1)
    parser.add_argument("--term-weights", type=float, nargs="+", default=TERM_WEIGHTS)
    tiny = {"sets": ["kitchen"], "seeds": 2, "jobs": 1, "epochs": [2]}
    return parse_with_data(parser, {**tiny, "term_weights": [1.0]})


def main():
    """Choose, write the choice down, measure once, report."""
    budget = arguments()
    parallel = Parallel(n_jobs=budget.jobs)
    for name in budget.sets:
        clips = load_clips(name, budget.data)
        sizes = len(clips.training), len(clips.test)
        print(f"{name}: {sizes[0]} training and {sizes[1]} validation clips")
        rows = choose(clips, budget, parallel)
        write_down(name, rows)
        results = measure(clips, rows, budget, parallel)
        lines = table_of(results, clips.videos[clips.test])
        print(f"\n### {name}\n\ndifferences in brackets (se seeds / se clips)\n")
        print_gains(lines, TITLES)
        write_csv(f"networks_{name}", lines)


if __name__ == "__main__":
    main()
