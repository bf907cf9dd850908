"""What a student takes from its teacher of futures: its weights and its map."""

from skanticipate.anticipators._signals import warn_of_random_start
from skanticipate.teachers.features import feature_term

_DEFAULT_FEATURE_WEIGHT = 0.1


def start_from_teacher(student, network, teaching):
    """Give the network the weights of the teacher, where that is wanted.   -> bool."""
    weights = None
    if teaching is not None and student.init_from_teacher:
        weights = teaching.weights_for(network, student.classes_)
    if weights is not None:
        network.load_state_dict(weights)
    elif student.init_from_teacher is True and teaching is not None:
        raise ValueError(
            "init_from_teacher=True, but the teacher has no weights for this "
            "student: it needs the same network, clips of the same features and "
            "the same classes, and no transformer before it. Set it to 'auto'."
        )
    return weights is not None


def weigh_features(student, teaching):
    """Choose the weight of the feature loss, 0 where there is nobody to compare."""
    weight = student.feature_weight
    if teaching is None:
        return 0.0
    if weight is None:
        mapped = student.started_from_teacher_ and teaching.has_map()
        return _DEFAULT_FEATURE_WEIGHT if mapped else 0.0
    if weight > 0 and not student.started_from_teacher_:
        warn_of_random_start()
    return float(weight)


def compare_features(student, network, samples, teaching, seed, **options):
    """Feature term of a student, None where it counts nothing."""
    if student.feature_weight_ == 0:
        return None
    return feature_term(
        student.network_spec_,
        network,
        samples,
        teaching,
        alignment=student.alignment,
        alpha=student.alpha,
        seed=seed,
        **options,
    )
