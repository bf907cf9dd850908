"""Files that are whole or not there, and what tells one from another."""

import os
import secrets


def write_whole(path, content):
    """Write bytes to a file; an old one stays until the new one is whole."""
    unfinished = f"{os.fspath(path)}.{secrets.token_hex(4)}.tmp"
    try:
        with open(unfinished, "xb") as file:
            file.write(content)
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)


def file_marks(path):
    """Marks of a file that no replacement keeps, with the same size and date neither.

    -> (inode, size, time of the last change of the contents, and of the file's entry)
    """
    stat = os.stat(path)
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
