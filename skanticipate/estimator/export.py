"""Fitted anticipators as ONNX files, which predict without torch and this package."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from skanticipate._typing import FilePath
from skanticipate._version import __version__
from skanticipate.data.whole_file import whole_file
from skanticipate.estimator.prediction import PredictionMixin
from skanticipate.training.runtime import torch_threads

_LARGEST_FILE = 1 << 31  # bytes; beyond them ONNX puts weights into other files

# What to do with what is no anticipator, by an attribute that tells what it is.
_REMEDIES = {
    "steps": "export its last step, estimator[-1], and give the file what the steps "
    "before make of clips, estimator[:-1].transform(X)",
    "estimators": "export each of its estimators_, and combine what their files say",
    "n_replicas": "export each of its estimators_, and average what their files say",
    "estimator": "export the fitted estimator in it, such as best_estimator_",
}


def export_onnx(
    estimator: PredictionMixin, path: FilePath, *, staged: bool = False
) -> None:
    """Write a fitted anticipator to an ONNX file.

    The file answers as `predict_proba` does, padding, unknown codes and
    `logit_adjustment` included. It computes in float32, whatever the precision of the
    fit, since runtimes know many operations in no other: of standardised clips
    probabilities agree to 1e-5. It has

    - an input "clips" of shape (n, ...) with any number n of rows but 0, as
      `predict_proba` takes them, of float32, or of int64 where the network has an
      `embedding`. Padding steps are NaN, or codes of -1. `LSTM`, `FrameMLP`,
      `AttentiveProbe` and `AVTHead` take clips of any number of steps, from 2 and
      `anticipation_steps` on; all others as many as in fit, so that shorter clips are
      to be padded;
    - an output "proba" of shape (n, C), and with `staged` "staged_proba" of shape
      (n, S, C);
    - metadata: "classes", the labels as a list in JSON, in the order of the columns;
      "anticipation_time" and "anticipation_times" in seconds, as numbers in JSON, null
      where they are not known; "skanticipate", the version that wrote it.

    What `predict_proba` refuses, such as a NaN within a step, no file refuses: check
    clips before. Of no rows at all onnxruntime ends the process in an LSTM.

    Parameters
    ----------
    estimator : SmoothedAnticipator, DistilledAnticipator or RecognitionTeacher
        Fitted. Its network may be one of your own that ``torch.export.export`` takes.
    path : str or path-like
        File to write; an old one is replaced once the new one is complete.
    staged : bool, default=False
        Whether the file gives the probabilities of all stages too, as
        `staged_predict_proba` does.

    Raises
    ------
    ImportError
        If onnx or onnxscript is not installed.
    TypeError
        If the estimator is no anticipator but, say, a Pipeline; if its labels are
        dates, which JSON has not.
    NotFittedError
        If it is not fitted.
    ValueError
        If the network cannot be written, or has weights of 2 GiB or more; or a
        parameter that predictions use was set to what it cannot be.

    Notes
    -----
    The networks are written by ``torch.export``, which takes ``estimator.network_``
    by itself too: the program maps clips to `Output`. That torch warns of
    ``_flat_weights``, which its own LSTM and GRU assign, means nothing. torch marks for
    the whole process that it traces: meanwhile fits and predictions in other threads
    may differ in their last bits.

    Examples
    --------
    >>> import json, os, tempfile
    >>> import numpy as np, onnxruntime
    >>> from skanticipate import SmoothedAnticipator, export_onnx
    >>> X = np.eye(2, dtype=np.float32)
    >>> model = SmoothedAnticipator(max_epochs=2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.onnx")
    ...     export_onnx(model.fit(X, ["cut", "wash"]), path)
    ...     session = onnxruntime.InferenceSession(path)
    >>> proba = session.run(["proba"], {"clips": X[:1]})[0]
    >>> bool(abs(proba - model.predict_proba(X[:1])).max() < 1e-5)
    True
    >>> json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    ['cut', 'wash']

    ``torch.export`` by itself:

    >>> import torch
    >>> program = torch.export.export(
    ...     model.network_,
    ...     (torch.zeros(2, 2),),
    ...     dynamic_shapes=({0: torch.export.Dim("n")},),
    ... )
    >>> program.module()(torch.from_numpy(X[:1])).logits.shape
    torch.Size([1, 1, 2])
    """
    _check_kind(estimator)
    estimator._warn_of_changes()
    _check_packages()
    metadata = _metadata(estimator)
    _check_size(estimator.network_)
    with torch_threads(estimator.n_threads, estimator.network_):
        program = _trace(estimator, staged)
    program.model.metadata_props.update(metadata)
    with whole_file(path) as write:
        write(program.model_proto.SerializeToString())


class _Answers(nn.Module):
    """What `predict_proba` says of clips, as a module."""

    def __init__(self, estimator, staged):
        super().__init__()
        # A copy: tracing puts other weights into a network for a while.
        self.network = copy.deepcopy(estimator.network_).float()
        times = estimator.anticipation_times_
        # From the end: that is where stages are, however long the clips.
        self.stage = estimator.network_spec_.answering_stage() - len(times)
        self.staged = staged
        bonus = estimator._adjusted(torch.zeros(len(estimator.classes_)))
        self.register_buffer("bonus", bonus)  # (C,)

    def forward(self, clips):
        """(B, ...) -> (B, C), and (B, S, C) where all stages are wanted."""
        staged = (self.network(clips).logits + self.bonus).softmax(-1)  # (B, S, C)
        proba = staged[:, self.stage]
        return (proba, staged) if self.staged else proba


def _trace(estimator, staged):
    """The program that torch makes of the network."""
    answers = _Answers(estimator, staged)
    spec, shape = estimator.network_spec_, estimator.input_shape_
    codes = getattr(spec, "embedding", None) is not None
    clips = torch.zeros(
        (2, *shape[:-1], estimator.feature_dim_),
        dtype=torch.int64 if codes else torch.float32,
    )
    free = {0: "n"}
    any_length = vars(type(spec)).get("_any_length", False)  # of a base: not known
    if any_length and shape[0] > 1:  # an axis of length 1 is never free
        free[1] = "steps"
    try:
        with torch.no_grad(), _quiet(), _fresh_kernels():
            return torch.onnx.export(
                answers.eval(),
                (clips,),
                dynamo=True,
                verbose=False,
                input_names=["clips"],
                output_names=["proba", "staged_proba"][: 1 + staged],
                dynamic_shapes={"clips": free},
            )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(
            f"torch cannot write a network of {type(spec).__name__} as ONNX. Its "
            "forward must be one that torch.export.export takes: operations of torch "
            "without branches on values, without len() of a tensor and without "
            "torch.autograd.Function, and the same for any number of rows."
        ) from error


@contextmanager
def _fresh_kernels():
    """Let torch look up how LSTM and GRU are traced, before and after.

    For clips of any length `torch.onnx` puts other kernels in their place for a while,
    but an operator that was traced before remembers the one that it found.
    """
    operators = [torch.ops.aten.lstm.input, torch.ops.aten.gru.input]
    caches = [getattr(operator, "_dispatch_cache", {}) for operator in operators]
    for cache in caches:
        cache.clear()
    try:
        yield
    finally:
        for cache in caches:
            cache.clear()


@contextmanager
def _quiet():
    """Let torch not tell of its own future, nor of packages that it can do without."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)


def _metadata(estimator):
    """What the file says beside its network.   -> dict of str to str."""
    times = [
        None if np.isnan(time) else float(time)
        for time in estimator.anticipation_times_
    ]
    stage = estimator.network_spec_.answering_stage()
    classes = estimator.classes_
    if classes.dtype.kind in "mM":
        raise TypeError(
            "The file names the classes in JSON, which has strings, numbers and bools; "
            f"got dates or times, {classes[0]}...: fit on y.astype(str)."
        )
    return {
        "classes": json.dumps(classes.tolist()),
        "anticipation_time": json.dumps(times[stage]),
        "anticipation_times": json.dumps(times),
        "skanticipate": __version__,
    }


# ------------------------------------------------------------------------ what may come


def _check_kind(estimator):
    if isinstance(estimator, PredictionMixin):
        return
    remedy = next(
        (text for name, text in _REMEDIES.items() if hasattr(estimator, name)),
        "only networks can be exported",
    )
    raise TypeError(
        "export_onnx takes a SmoothedAnticipator, DistilledAnticipator or "
        f"RecognitionTeacher, got {type(estimator).__name__}: {remedy}."
    )


def _check_packages():
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Writing ONNX files needs onnx and onnxscript: pip install "
            '"skanticipate[onnx]".'
        ) from error


def _check_size(network):
    parts = [*network.parameters(), *network.buffers()]
    n_bytes = sum(part.nbytes for part in parts)
    if n_bytes >= _LARGEST_FILE:
        raise ValueError(
            f"An ONNX file holds less than 2 GiB, but the weights have {n_bytes} "
            "bytes: fit a smaller network, or save the estimator, estimator.save(path)."
        )
