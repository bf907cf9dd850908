"""Calls in processes of their own, and the memory that a call adds (Linux)."""

import multiprocessing


def alone(function, *args):
    """What a function gives in a process of its own.

    It starts with what this process holds: call it before anything is computed here.
    """
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, args)


def added_mb(call):
    """Megabytes that a call adds to the peak of this process.

    A small call of the same kind should have loaded everything before.
    """
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    before = status_mb("VmRSS:")
    call()
    return status_mb("VmHWM:") - before


def status_mb(name):
    """Megabytes of this process, from the system's table."""
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) / 1024
