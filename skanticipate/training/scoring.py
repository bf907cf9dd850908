"""A network asked about many clips, a batch at a time, and scored on held-out ones."""

import math
from contextlib import nullcontext

import numpy as np
import torch
from torch.nn import functional

from skanticipate.metrics.hits import ranks
from skanticipate.training.step import diverged

WATCHED = ("loss", "accuracy", "top_5_accuracy")
_PREDICT_BYTES = 1 << 22


class ValidationScore:
    """Figures of a network on held-out clips: what `training_epochs` calls `score`.

    Parameters
    ----------
    take_clips : ClipReader
        Sample indices (B,), an array, -> clips (B, ...) on the device; its `rows` say
        how many there are.
    codes : ndarray of shape (n,)
        Codes of the labels; -1 for a label that is no class, which counts as missed.
    stage : int
        The stage that is scored.
    watched : {"loss", "accuracy", "top_5_accuracy"} or callable
        The figure by which the best epoch is chosen; a callable says it of the network.
    adjust : callable, default=None
        Scores (B, C) -> those that predictions are made from; None leaves them.
    weights : ndarray of shape (n,), default=None
        Weight of each clip in the means; None means 1. A callable knows its own.
    """

    def __init__(self, take_clips, codes, *, stage, watched, adjust=None, weights=None):
        self.take_clips = take_clips
        self.codes = codes
        self.stage = stage
        self.watched = watched
        self.adjust = adjust
        self.weights = None if weights is None else torch.as_tensor(weights)

    def __call__(self, network):
        """Score the network.   -> {"val_...": float, "score": float}."""
        found = predict_batches(network, self.take_clips, self._judge)  # (n, 3)
        known = torch.as_tensor(self.codes >= 0)
        log_proba, first, among_five = found.unbind(1)
        figures = {
            "val_loss": self._mean_loss(log_proba, known),
            "val_accuracy": self._mean(first),
            "val_top_5_accuracy": self._mean(among_five),
        }
        if callable(self.watched):
            score = figures["val_score"] = self.watched(network)
            return {**figures, "score": score}
        score = figures[f"val_{self.watched}"]
        return {**figures, "score": -score if self.watched == "loss" else score}

    def _mean_loss(self, log_proba, known):
        """Mean over the clips whose label is a class.   (n,), (n,) -> float."""
        if self.weights is not None:
            return -self._mean(log_proba[known], self.weights[known])
        log_proba = log_proba[known].unsqueeze(1)  # as of a single class
        zeros = torch.zeros(len(log_proba), dtype=int)
        return float(functional.nll_loss(log_proba, zeros))

    def _mean(self, values, weights=None):
        """Mean of values (n,), with weights of those or of all.   -> float."""
        weights = self.weights if weights is None else weights
        if weights is None:
            return float(values.double().mean())
        return float((values.double() * weights).sum() / weights.sum())

    def _judge(self, output, samples):
        """Log probability of the label, and whether it is first and among five.

        -> (B, 3), so that no array grows with rows times classes
        """
        logits = output.logits[:, self.stage].cpu()
        if logits.isnan().any():
            raise diverged("Scores of the validation rows are NaN.")
        if self.adjust is not None:
            logits = self.adjust(logits)
        codes = self.codes[samples]
        own = np.maximum(codes, 0)
        hits = ranks(logits.numpy(), own)[:, None] < [1, 5]
        hits = torch.from_numpy(hits & (codes >= 0)[:, None])
        log_proba = logits.log_softmax(-1).gather(1, torch.from_numpy(own)[:, None])
        return torch.cat([log_proba, hits], 1)


def predict_batches(network, take_clips, part):
    """`part(output, samples)` of all clips, a batch at a time; None if it is.

    Samples are an array (B,); a part is a tensor that nobody else holds.

    -> (n, ...) on the CPU
    """
    n_samples, batch_size = take_clips.rows.shape[0], prediction_batch(take_clips.rows)
    found = None
    with torch.inference_mode(), _read_ahead(take_clips, n_samples, batch_size):
        for start in range(0, n_samples, batch_size):
            samples = np.arange(start, min(start + batch_size, n_samples))
            batch = part(network(take_clips(samples)), samples)
            if batch is None or len(batch) == n_samples:  # the only one
                return None if batch is None else batch.cpu().contiguous()
            if found is None:
                found = torch.empty((n_samples, *batch.shape[1:]), dtype=batch.dtype)
            found[start : start + len(samples)] = batch
            del batch  # else it would stand beside the next
    return found


def check_no_nan(scores, samples):
    """Refuse scores (b, ...) of some rows of X that are no numbers."""
    broken = scores.isnan().flatten(1).any(1)
    if broken.any():
        raise ValueError(
            f"The network gives NaN for row {samples[int(broken.nonzero()[0])]} of X: "
            "its values are too large for the precision of the network. Prepare X as "
            "in fit, standardised, or fit with dtype='float64'."
        )


def _read_ahead(take_clips, n_samples, batch_size):
    ahead = getattr(take_clips, "ahead", None)
    if ahead is None or n_samples <= batch_size:  # nothing comes after a single batch
        return nullcontext()
    return ahead(n_samples, batch_size)


def prediction_batch(rows):
    """Rows in a batch of prediction: about 4 MiB of clips, within bounds."""
    row_bytes = 4 * math.prod(rows.shape[1:])
    return min(max(_PREDICT_BYTES // row_bytes, 32), 512)
