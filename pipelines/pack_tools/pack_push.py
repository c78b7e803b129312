"""Copying a pack to the place of its use: files first, card last, so that an unfinished copy is not a pack."""

import json
import posixpath
from typing import Any

from fsspec import AbstractFileSystem
from tqdm import tqdm

from model_handlers.pack import Pack, locate
from model_handlers.pack_card import CARD, PackError, card_digest
from pipelines.pack_tools.pack_verify import file_problems, unlisted


def push(source: str, target: str) -> tuple[int, list[str]]:
    """Returns the number of copied files, and the problems of those that differ from their source.

    Files that exist with the right size and sha256 are not copied again. The card is written when all files are right.

    Raises:
        PackError: the source is not a complete pack, or the target holds another pack or other files.
    """
    pack = Pack.open(source)
    filesystem, path = locate(target)
    problems = _other_pack(filesystem, path, pack, target)
    others = unlisted(filesystem, path, pack.card["files"])
    if others:
        problems.append(
            f"{target}: holds {len(others)} files that are not the pack's, {others[0]!r} first; name an empty folder"
        )
    if problems:
        raise PackError(problems)
    copied = 0
    for file, facts in tqdm(pack.card["files"].items(), desc=target, unit="file"):
        if file_problems(filesystem, path, {file: facts}, target):
            filesystem.makedirs(posixpath.dirname(f"{path}/{file}"), exist_ok=True)
            filesystem.put_file(str(pack.path(file)), f"{path}/{file}")
            problems += file_problems(filesystem, path, {file: facts}, target)
            copied += 1
    if not problems:
        filesystem.pipe_file(f"{path}/{CARD}", (pack.root / CARD).read_bytes())
        problems = _other_pack(filesystem, path, pack, target)
    return copied, problems


def _other_pack(filesystem: AbstractFileSystem, path: str, pack: Pack, target: str) -> list[str]:
    """Returns a problem if the target has another pack's card; a truncated card is not a problem."""
    try:
        found: Any = json.loads(filesystem.cat_file(f"{path}/{CARD}"))
    except (FileNotFoundError, ValueError):
        return []
    if card_digest(found) == pack.digest:
        return []
    name = found.get("name") if isinstance(found, dict) else None
    return [
        f"{target}: holds another pack ({name}, digest {card_digest(found)}); packs are immutable, name a new folder"
    ]
