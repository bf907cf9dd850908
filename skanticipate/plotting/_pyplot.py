"""matplotlib, imported when something is drawn."""


def import_pyplot():
    """Import matplotlib.pyplot, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'Plotting needs matplotlib: pip install "skanticipate[plot]".'
        ) from error
    return plt
