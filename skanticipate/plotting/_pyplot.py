"""matplotlib, imported when something is drawn."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.colors import Colormap as Colormap
    from matplotlib.typing import ColorType as ColorType
else:  # it need not be there
    Axes = Colormap = ColorType = Any


def import_pyplot():
    """Import matplotlib.pyplot, or say how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'Plotting needs matplotlib: pip install "skanticipate[plot]".'
        ) from error
    return plt
