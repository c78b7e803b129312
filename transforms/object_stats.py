"""Metadata of a stored object: size, version, modification time and checksum."""

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Stat:
    """Metadata of a stored object.

    Attributes:
        size: number of bytes.
        version: generation, etag, or size and modification time.
        modified: seconds since 1970.
        checksum: checksum of its bytes, empty if the store's listings have none.
    """

    size: int
    version: str
    modified: float | None = field(default=None, compare=False)
    checksum: str = field(default="", compare=False)


def entry_version(entry: dict[str, Any]) -> str:
    """Returns the version in an fsspec listing's entry: generation, else etag, else size and modification time."""
    for key in ("generation", "ETag", "etag"):
        if entry.get(key):
            return str(entry[key]).strip('"')
    changed = next((entry[key] for key in ("mtime", "LastModified", "last_modified", "created") if entry.get(key)), "")
    return f"{entry.get('size') or 0}-{changed.isoformat() if hasattr(changed, 'isoformat') else changed}"


def entry_checksum(entry: dict[str, Any]) -> str:
    """Returns the checksum of an object's bytes in an fsspec listing's entry, empty if there is none.

    Google's store has a CRC32C of every object; S3 and similar stores have an MD5 sum as the ETag of an object that was
    uploaded in one piece.
    """
    if entry.get("crc32c"):
        return f"crc32c {entry['crc32c']}"
    tag = str(entry.get("ETag") or "").strip('"')
    return f"md5 {tag}" if MD5.fullmatch(tag) else ""


def entry_modified(entry: dict[str, Any]) -> float | None:
    """Returns the modification time in an fsspec listing's entry, in seconds since 1970; None if there is none."""
    names = ("timeCreated", "mtime", "LastModified", "last_modified", "modified", "updated", "created")
    changed = next((entry[name] for name in names if entry.get(name)), None)
    if isinstance(changed, str):
        try:
            changed = datetime.fromisoformat(changed)
        except ValueError:
            return None
    if isinstance(changed, datetime):
        return (changed if changed.tzinfo else changed.replace(tzinfo=UTC)).timestamp()
    return float(changed) if isinstance(changed, int | float) else None


def local_version(status: os.stat_result) -> str:
    """Returns a local file's version: its size and modification time in nanoseconds."""
    return f"{status.st_size}-{status.st_mtime_ns}"
