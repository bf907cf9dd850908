"""A process of its own that need not import everything again, as `python -c` must."""

import multiprocessing


def in_fork(function, *args):
    """Call a function in a forked process.   -> its exit code, 1 after an error."""
    process = multiprocessing.get_context("fork").Process(target=function, args=args)
    process.start()
    process.join()
    return process.exitcode
