"""Why an input holds no photo, in words for those who named it."""

import os
from collections.abc import Sequence

from configs.spelling import did_you_mean
from transforms.redaction import bare_uri
from transforms.uris import absolute, is_local

MAGIC = frozenset("*?[")


def why_empty(source: str) -> str:
    """Returns why nothing was listed at a folder, file or glob: it is not there, it is empty, or nothing matches."""
    path = absolute(bare_uri(source))
    if not is_local(path) or (MAGIC.intersection(path) and not os.path.isdir(path)):
        return "nothing matches"
    if os.path.isdir(path):
        return "the folder is empty"
    folder, name = os.path.split(path.rstrip("/"))
    near = did_you_mean(name, os.listdir(folder)) if os.path.isdir(folder) else ""
    return f"no such file or folder{near}"


def only_ignored(source: str, ignored: Sequence[str]) -> str:
    """Returns that an input has files, but no photo among them."""
    files = "1 file was" if len(ignored) == 1 else f"{len(ignored):,} files were"
    return f"{source}: holds no photo; {files} ignored, such as {os.path.basename(ignored[0].rstrip('/'))}"
