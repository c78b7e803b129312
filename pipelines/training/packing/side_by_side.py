"""Jobs in processes of their own, some at once, each after those that it needs."""

import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from graphlib import TopologicalSorter
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from typing import Any

from tqdm import tqdm


def run_side_by_side(jobs: Mapping[str, Callable[[], Any]], after: Mapping[str, Sequence[str]], at_once: int) -> None:
    """Runs all jobs; their processes end with this one, however it ends.

    Args:
        jobs: by name; those that can begin at once begin in this order.
        after: for each job those that must be done before; they are in `jobs` too.
        at_once: jobs that run at the same time.

    Raises:
        Exception: what a job raised; the others are broken off.
    """
    order = TopologicalSorter(after)
    order.prepare()
    context = get_context("spawn")
    lines: SimpleQueue[int] = context.SimpleQueue()
    for line in range(at_once):
        lines.put(line)
    listening, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(at_once, context, _begin, (lines, context.RLock(), listening))
    running: dict[Future[None], str] = {}
    try:
        while order.is_active():
            for name in sorted(order.get_ready(), key=list(jobs).index):
                running[pool.submit(jobs[name])] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                order.done(running.pop(future))
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)


def _begin(lines: "SimpleQueue[int]", lock: Any, listening: Connection) -> None:
    """Makes a process ready: its progress bars have a line of the screen, and it ends when the other end is closed."""
    tqdm.set_lock(lock)
    tqdm.__init__ = functools.partialmethod(tqdm.__init__, position=lines.get())  # type: ignore[assignment, method-assign]
    threading.Thread(target=_end_with, args=(listening,), daemon=True).start()


def _end_with(listening: Connection) -> None:
    """Ends this process when nobody holds the connection's other end any more."""
    listening.poll(None)
    os._exit(1)
