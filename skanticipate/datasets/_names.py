"""Names of videos and actions that numpy would change."""

import numpy as np

from skanticipate.data.missing import as_list
from skanticipate.datasets._nul import refuse_nul


def check_names(column, what):
    """Refuse names of a column that `refuse_nul` refuses."""
    if isinstance(column, np.ndarray) and column.dtype != object:
        return  # dropped before we see it
    refuse_nul(as_list(column), what)


def one_each(files):
    """Files of videos, which are called by their names, each of another video.

    Raises
    ------
    ValueError
        If two are of one video, or one is there twice.
    """
    of_video = {}
    for file in files:
        if file.stem in of_video:
            raise ValueError(
                f"{file} is of the video {file.stem!r}, as {of_video[file.stem]} is: "
                "expected one file for each video."
            )
        of_video[file.stem] = file
    return files
