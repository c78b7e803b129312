"""Ends a process when the process that started it ends, even by `kill -9`."""

import fcntl
import os
import select
import signal


def tie(descriptor: int) -> None:
    """Ends this process, whatever it is doing, when no process has the other end of a pipe open any more.

    From now on, anything that arrives on the pipe ends the process too; call `untie` before reading from it.

    Args:
        descriptor: file descriptor of the reading end.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # ends the process; a Python handler would wait for the interpreter
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    _set_async(descriptor, True)
    poll = select.poll()
    poll.register(descriptor, 0)
    if poll.poll(0):  # the other end was closed already
        os.kill(os.getpid(), signal.SIGIO)


def untie(descriptor: int) -> None:
    """Allows messages to arrive on the pipe again."""
    _set_async(descriptor, False)


def _set_async(descriptor: int, wanted: bool) -> None:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC if wanted else flags & ~os.O_ASYNC)
