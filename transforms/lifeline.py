"""A process that ends when the one that started it does, however that ends: even by `kill -9`."""

import fcntl
import os
import select
import signal


def tie(descriptor: int) -> None:
    """Ends this process when nobody holds the other end of a pipe any more, whatever it is doing then.

    From here on anything that arrives on the pipe ends the process too; `untie` comes before that.

    Args:
        descriptor: of the reading end.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # which ends the process; a handler would wait for Python's turn
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    _set_async(descriptor, True)
    poll = select.poll()
    poll.register(descriptor, 0)
    if poll.poll(0):  # the other end was closed before
        os.kill(os.getpid(), signal.SIGIO)


def untie(descriptor: int) -> None:
    """Lets messages arrive on the pipe again."""
    _set_async(descriptor, False)


def _set_async(descriptor: int, wanted: bool) -> None:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC if wanted else flags & ~os.O_ASYNC)
