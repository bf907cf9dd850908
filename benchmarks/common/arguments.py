"""Arguments of the command line that benchmarks share."""

import argparse


def plain_parser(doc):
    """Parser of a script that needs no data: `--tiny`.

    Parameters
    ----------
    doc : str
        Docstring of the script; its first line describes it.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="a run that only shows it")
    return parser


def device_parser(doc):
    """Parser of a script that computes on a device: `--tiny`, `--device`."""
    parser = plain_parser(doc)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    return parser


def data_parser(doc):
    """Parser of a script that reads public data: `--tiny`, `--data`."""
    parser = plain_parser(doc)
    parser.add_argument("--data", help="folder of the converted public data")
    return parser


def next_action_parser(doc):
    """Parser of a script about next actions: sets, seeds, epochs to choose from."""
    parser = data_parser(doc)
    parser.add_argument("--sets", nargs="+", default=["egtea", "epic55"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, nargs="+", default=[8, 12, 18])
    parser.add_argument("--jobs", type=int, default=2)
    return parser


def parse_with_data(parser, tiny):
    """Arguments of a script that only shows itself where it is given no data.

    Parameters
    ----------
    parser : ArgumentParser
        As `data_parser` makes it.
    tiny : dict of str to object
        Values of a run that only shows it: they replace those that were given.
    """
    args = parser.parse_args()
    args.tiny = args.tiny or args.data is None
    if args.tiny:
        vars(args).update(tiny)
    return args
