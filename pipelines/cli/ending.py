"""The end of a command's process."""

import atexit
import os
import sys
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """Ends the process with an exit code, after its output and exit handlers but without finalising the interpreter.

    Runners and clients leave daemon threads behind. Finalising stops them wherever they are; inside C++ code this
    sometimes aborts a process (SIGABRT) whose work is done, and its last lines are lost.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
