"""The published files: names, sizes and hashes (SPEC section 12)."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """A published file's size in bytes and, where known, its hash."""

    bytes: int
    algorithm: str = ""
    digest: str = ""


FILES = {
    "dictionary.txt": Published(
        7_996_547, "sha256", "4dc5622978a30cddea8c975c871ea8b6382423efb107d27248ed7b6cfa490c7c"
    ),
    "utable.npy": Published(
        2_342_138_474, "sha256", "790951d4b08e843e3bca0563570f4134ffd17b6bd4ab8d237d2e5ae15e4febb3"
    ),
    "btable.npy": Published(
        2_342_138_474, "sha256", "4a4ed9d7560bb87f91f241739a8f80d8f2ba787a871da96e1119e913ccd61c53"
    ),
    "uni_skip.npz": Published(
        663_989_216, "sha256", "7f40ff16ff5c54ce9b02bd1a3eb24db3e6adaf7712a7a714f160af3a158899c8"
    ),
    "bi_skip.npz": Published(289_340_074, "sha256", "8ab7965d2db5d146a907956d103badfa723b57e0acffb75e10198ba9f124edb0"),
    "uni_skip.npz.pkl": Published(693, "md5", "e1a0ead377877ff3ea5388bb11cfe8d7"),
    "bi_skip.npz.pkl": Published(689, "md5", "c9b86840e1dedb05837735d8bf94cee2"),
    "coco_embedding.npz.pkl": Published(455),
    "coco_embedding.npz.dictionary.pkl": Published(1_167_410),
}


def is_published(path: Path) -> bool | None:
    """Returns whether a file is the published one of its name; None if the name is unknown."""
    facts = FILES.get(path.name)
    if facts is None:
        return None
    if path.stat().st_size != facts.bytes:
        return False
    if not facts.algorithm:
        return True
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(facts.algorithm, usedforsecurity=False)).hexdigest() == (
            facts.digest
        )
