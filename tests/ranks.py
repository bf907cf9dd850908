"""Functions on the ranks of `data_parallel`, in forked processes."""

import multiprocessing
import os
import pickle
import socket
import time
import traceback

from accelerate.state import AcceleratorState


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def on_ranks(function, n=2, limit=60):
    """What `function(rank)` gives on each of n ranks, or the error that it raises.

    A process that dies gives None. All of them end after `limit` seconds.
    """
    context, port = multiprocessing.get_context("fork"), free_port()
    pipes, processes = [], []
    for rank in range(n):
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(function, rank, n, port, theirs))
        process.start()
        theirs.close()
        pipes.append(mine)
        processes.append(process)
    end = time.monotonic() + limit
    try:
        return [_received(pipe, end) for pipe in pipes]
    finally:
        for process in processes:
            process.kill()
            process.join()


def _run(function, rank, n, port, pipe):
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": n, "LOCAL_WORLD_SIZE": n}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in told.items()})
    AcceleratorState._reset_state(reset_partial_state=True)  # what the parent was
    try:
        found = function(rank)
    except Exception as error:
        error.add_note(traceback.format_exc())
        found = error
    pipe.send_bytes(pickle.dumps(found))
    time.sleep(60)  # a process that ends would end the others: on_ranks ends this one


def _received(pipe, end):
    if not pipe.poll(max(0, end - time.monotonic())):
        raise TimeoutError("A rank hangs.")
    try:
        return pickle.loads(pipe.recv_bytes())
    except EOFError:
        return None
