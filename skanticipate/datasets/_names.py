"""Names of videos and actions that numpy would change."""

import numpy as np

from skanticipate.data.missing import as_list


def check_names(column, what):
    """Refuse names that end in NUL: numpy drops it, and two names become one."""
    if isinstance(column, np.ndarray) and column.dtype != object:
        return  # dropped before we see it
    for row, name in enumerate(as_list(column)):
        if isinstance(name, str) and name.endswith("\0"):
            raise ValueError(
                f"{what} has the name {name!r} in row {row}: expected names that do "
                "not end in NUL, which numpy drops. Strip or replace it everywhere."
            )


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
