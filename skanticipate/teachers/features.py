"""The feature term of a fit: the maps of its teacher beside those of its student."""

import torch

from skanticipate._objectives import FeatureTerm, projection
from skanticipate._runtime import clip_reader


def feature_term(
    spec, network, samples, teaching, *, alignment, alpha, seed, dtype, device
):
    """Build the feature term.

    Parameters
    ----------
    spec, network : NetworkSpec and torch.nn.Module
        The student.
    samples : Samples
        Those of the fit.
    teaching : FutureTeaching
        Whose maps are compared.
    alignment, alpha : str, and float or None
        As in `DistilledAnticipator`.
    seed : int
        Of the projection that is learnt where the maps have different channels.
    dtype, device : torch dtype and device
        Those of the network.

    Returns
    -------
    FeatureTerm
    """
    options = {"dtype": dtype, "device": device}
    maps = teaching.maps(samples, crops_at_random=spec.crops_at_random, **options)
    generator = torch.Generator().manual_seed(seed)
    own_width = _map_width(spec, network, clip_reader(samples.rows[:1], **options))
    between = projection(own_width, maps.width, generator).to(**options)
    given = torch.as_tensor(samples.seen, device=device)
    return FeatureTerm(alignment, alpha, maps, given, between)


@torch.inference_mode()
def _map_width(spec, network, take):
    """Channels of the student's map."""
    features = network.eval()(take(torch.zeros(1, dtype=torch.int64))).features
    if features is None:
        raise ValueError(
            f"A network of {type(spec).__name__} gives no features, which a positive "
            "feature_weight compares: set feature_weight=0, or return "
            "Output(logits, features)."
        )
    return features.shape[-1]
