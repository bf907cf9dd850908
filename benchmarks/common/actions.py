"""Verb and noun of each label: of public data, or at random."""

import csv

import numpy as np


def read_actions(path):
    """Label -> (verb, noun) of the converted data."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {int(r["id"]): (r["verb_name"], r["noun_name"]) for r in rows}


def random_actions(n_classes):
    """Label -> (verb, noun), as many verbs and nouns as EPIC-KITCHENS-100 has."""
    pairs = np.random.default_rng(0).permutation(97 * 300)[:n_classes]
    return {k: (f"verb{p // 300}", f"noun{p % 300}") for k, p in enumerate(pairs)}
