"""A script in a process of its own that need not import everything again.

It is forked from a server that has imported the package and done nothing else: without
threads, and with no memory of the tests.
"""

import contextlib
import io
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["alone", "sklearn.model_selection", "skanticipate"])


def run_alone(script, *args):
    """What a script prints, given arguments; its error, if it raises one."""
    with ProcessPoolExecutor(1, mp_context=SERVER) as process:
        return process.submit(_printed, script, args).result()


def run_file_alone(path, *args):
    """What a script in a file prints, given arguments: run as `python FILE` runs it."""
    as_main = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    return run_alone(as_main, str(path), *args)


def _printed(script, args):
    sys.argv[1:] = args
    main = vars(sys.modules["__main__"])  # where what it sends to processes is found
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(script, main)
    return out.getvalue()
