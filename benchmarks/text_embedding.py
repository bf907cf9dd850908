"""Vectors of histories by a language model: ours against batches in file order.

The texts of the past actions of EPIC-KITCHENS-55 become vectors by a frozen encoder:
by the reader of `LanguageTeacher` (each distinct text once, sorted by length), and by
the plain loop that one writes first (all rows in the order of the file, each batch
padded to its longest text). Both have the same model, batch size and pooling, and
tokenise for themselves. CPU time of this process, interleaved; vectors are compared.
"""

import os
import tempfile

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from common.actions import read_actions
from common.arguments import data_parser
from common.timing import cpu_seconds, in_turns
from common.tiny_model import write_tiny_model

from skanticipate import HistoryText
from skanticipate.datasets import label_history, make_kitchen, read_segments
from skanticipate.teachers.language.embedding import TextReader

BATCH = 64


def ours(reader, texts):
    """Vectors of the reader of `LanguageTeacher`."""
    number = {text: k for k, text in enumerate(dict.fromkeys(texts))}
    rows, _ = reader.tokenize(list(number))
    return reader.embed(rows).numpy()[[number[text] for text in texts]]


@torch.inference_mode()
def plain(reader, texts):
    """Vectors in the order of the file."""
    tokenizer, network, found = reader.tokenizer, reader.encoder.network, []
    for start in range(0, len(texts), BATCH):
        batch = tokenizer(
            texts[start : start + BATCH], padding=True, return_tensors="pt"
        )
        ids, mask = batch["input_ids"], batch["attention_mask"]
        states = network(input_ids=ids, attention_mask=mask).last_hidden_state
        mask = mask.unsqueeze(-1)
        found.append((states * mask).sum(1) / mask.sum(1))
    return torch.cat(found).numpy()


def read_texts(args):
    """Texts of the histories, in the order of the file."""
    if args.tiny:
        kitchen = make_kitchen(8, random_state=0)
        return HistoryText(kitchen.actions).transform(kitchen.past_actions).tolist()
    folder = f"{args.data}/epic55"
    segments = read_segments(f"{folder}/train.csv")
    history = label_history(
        segments, history=args.history, anticipation_time=1.0, rule=args.rule
    )
    videos = np.unique(segments.video)
    kept = np.isin(segments.video, videos[:: args.every])
    text = HistoryText(read_actions(f"{folder}/actions.csv"))
    return text.transform(history[kept]).tolist()


def main():
    """Print the ratio."""
    parser = data_parser(__doc__)
    parser.add_argument("--model", help="folder of an encoder")
    parser.add_argument("--history", type=int, default=15)
    parser.add_argument("--rule", default="ended", choices=("ended", "started"))
    parser.add_argument(
        "--every", type=int, default=1, help="take one video of so many"
    )
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    if not args.tiny and not (args.data and args.model):
        parser.error("--data and --model are needed, or --tiny")
    torch.set_num_threads(1)
    texts = read_texts(args)
    with tempfile.TemporaryDirectory() as folder:
        reader = TextReader(
            write_tiny_model(folder, texts) if args.tiny else args.model,
            pooling="mean",
            max_length=None,
            device=torch.device("cpu"),
        )
    plain(reader, texts[:BATCH])  # warms up
    found = in_turns(
        lambda embed: cpu_seconds(embed, reader, texts), (ours, plain), args.rounds
    )
    times = np.array([[seconds for seconds, _ in both] for both in found])
    (_, ours_found), (_, plain_found) = found[-1]
    difference = np.abs(ours_found - plain_found).max()
    print(f"{len(texts)} histories, {len(set(texts))} distinct texts")
    print(f"ours {np.median(times[:, 0]):.1f} s, plain {np.median(times[:, 1]):.1f} s")
    print(f"{np.median(times[:, 1] / times[:, 0]):.2f} times as fast")
    print(f"largest difference of an entry: {difference:.1e}")
    assert difference < 1e-5


if __name__ == "__main__":
    main()
