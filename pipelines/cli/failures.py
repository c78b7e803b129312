"""Why a run failed, in words for those who can help it."""

import re
import traceback

NAMED = ("DeviceError", "OutOfMemory", "PackError", "StorageFullError", "WorkerDiedError")
"""Errors that are no bugs; their messages say what is wrong, where, and what to do."""

TOLD = re.compile(rf"^(?:.*[\s.])?(?:{'|'.join(NAMED)}): (.*?)(?: \[while running '[^']*'\])?$", re.MULTILINE)


def reason(error: BaseException) -> str | None:
    """Returns what ended a run, None where nobody foresaw it.

    Runners hand on an error of a worker as one of another class, which quotes it, so the text is searched.
    """
    found = TOLD.findall("".join(traceback.format_exception(error)))
    return found[-1] if found else None
