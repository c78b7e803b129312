"""This machine's cache: copies of remote packs, stamps of hashed packs, and computed caption indexes."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from model_handlers.pack_card import Json


def cache_folder() -> Path:
    """Returns the folder of the cache."""
    return Path("~/.cache/beam-storyteller").expanduser()


def read_stamp(file: Path) -> Json:
    """Returns the content that `write_stamp` wrote, None if there is no readable file."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def write_stamp(file: Path, stamp: Json) -> None:
    """Writes the stamp for the next start; if the cache is not writable, the pack is only hashed again."""
    put_into_cache(file, lambda stream: stream.write(json.dumps(stamp).encode()))


def put_into_cache(file: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Puts a complete file into the cache, or nothing if the cache is not writable."""
    temporary = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as stream:
            temporary = stream.name
            write(stream)
        os.replace(temporary, file)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
