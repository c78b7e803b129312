"""Logging of a process's error output, to which C libraries, decoders and workers print."""

import contextlib
import logging
import os
import select
import sys
import threading
from types import TracebackType

PAUSE = 0.2  # seconds without output that end one record, such as a traceback
MOST = 1 << 16  # maximum bytes of one record
LOGGER = logging.getLogger("stderr")


class ErrorOutput(contextlib.AbstractContextManager["ErrorOutput"]):
    """Context that logs what is written to file descriptor 2, each burst as one record.

    The log itself must go elsewhere, such as to a duplicate of the descriptor.
    """

    def __enter__(self) -> "ErrorOutput":
        sys.stderr.flush()
        self._before = os.dup(2)
        self._source, write = os.pipe()
        os.dup2(write, 2)
        os.close(write)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._hooks = threading.excepthook, sys.unraisablehook
        threading.excepthook, sys.unraisablehook = _log_of_thread, _log_unraisable
        self._thread.start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        threading.excepthook, sys.unraisablehook = self._hooks
        sys.stderr.flush()
        os.dup2(self._before, 2)
        self._ended.set()
        self._thread.join()
        os.close(self._source)
        os.close(self._before)

    def _read(self) -> None:
        """Logs each burst, until all writers are closed or, after the context's end, there is a pause."""
        printed = b""
        while True:
            ended = self._ended.is_set()
            ready, _, _ = select.select([self._source], [], [], PAUSE)
            more = os.read(self._source, MOST) if ready else b""
            printed += more
            if not more or len(printed) >= MOST:
                log_printed(printed)
                printed = b""
            if not more and (ready or ended):
                return


def log_printed(printed: bytes) -> None:
    """Logs one burst of output: as an error if it has a traceback, otherwise as a warning."""
    text = printed.decode("utf-8", "replace").strip()
    if text:
        LOGGER.log(logging.ERROR if "Traceback (most recent call last)" in text else logging.WARNING, "%s", text)


def _log_of_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is not SystemExit:
        name = failed.thread.name if failed.thread else "a thread"
        error = failed.exc_value or failed.exc_type()
        logging.error("%s failed", name, exc_info=(failed.exc_type, error, failed.exc_traceback))


def _log_unraisable(failed: "sys.UnraisableHookArgs") -> None:
    error = failed.exc_value
    logging.error("%s: %r", failed.err_msg or "Exception ignored in", failed.object, exc_info=error)
