"""What `_child` starts: calls one function of this package, and tells how it ended.

The packages around it are made empty: theirs import torch and scikit-learn, which take
seconds to load and memory that the limit below does not mean.
"""

import importlib
import json
import os
import sys
import types
from contextlib import suppress
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def _make_packages():
    for name in ("skanticipate", "skanticipate.data", "skanticipate.datasets"):
        package = types.ModuleType(name)
        package.__path__ = [str(_ROOT.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package


def _limit(memory):
    """Take so many bytes at most, and leave no dump of them after a crash."""
    with suppress(ImportError, OSError, ValueError):  # Windows; no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        if most == resource.RLIM_INFINITY or memory < most:
            resource.setrlimit(resource.RLIMIT_AS, (memory, most))


def _call(told):
    """Call the function.   -> None, or the kind of the error and its arguments."""
    module, name = told["function"]
    try:
        for each in told["imports"]:
            importlib.import_module(each)
        function = getattr(importlib.import_module(module), name)
        function(*told["args"], **told["kwargs"])
    except Exception as error:
        return _told(error)
    return None


def _told(error):
    kinds = (FileNotFoundError, OSError, MemoryError, ValueError, ImportError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), type(error))
    if isinstance(error, OSError) and error.errno is not None:
        name = error.filename and os.fsdecode(error.filename)
        return kind.__name__, [error.errno, error.strerror, name]
    return kind.__name__, [str(error)]


def main():
    """Read what is to be called, call it, and write how it ended."""
    told = json.load(sys.stdin)
    answers, sys.stdout = sys.stdout, sys.stderr  # where libraries may write
    sys.path[:] = told["sys_path"]
    _make_packages()
    _limit(told["memory"])
    json.dump({"error": _call(told)}, answers)
    answers.flush()
    os._exit(0)  # there is nothing to clear away, and libraries may crash over it


if __name__ == "__main__":
    main()
