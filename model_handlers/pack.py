"""Model packs: immutable folders of weights, vocabularies and tables, named by the digest of their card.

A pack holds `pack.json` (the card), safetensors for weights, UTF-8 text or JSON for words and `.npy` arrays without
pickles for styles and tables. Nothing here unpickles.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, float32

from model_handlers.card_checks import card_problems
from model_handlers.machine_cache import cache_folder, read_stamp, write_stamp
from model_handlers.pack_card import CARD, Json, PackError, card_digest, file_facts
from model_handlers.pack_components import PackComponents
from model_handlers.precision import cast_floats
from model_handlers.process_cache import PROCESS_CACHE

LEFT_SECONDS = 24 * 3600  # seconds after which an incomplete copy counts as left by a killed process


class Pack(PackComponents):
    """Opened model pack: its card, and its files as tensors, arrays and words."""

    def __init__(self, location: str, root: Path, card: dict[str, Any]) -> None:
        super().__init__(location, card)
        self.root = root
        self.digest = card_digest(card)
        self._seen: dict[str, list[int]] = {}

    @classmethod
    def open(cls, location: str) -> "Pack":
        """Returns the pack at a folder or an fsspec URI; each machine copies a remote pack to its cache once.

        Each file is hashed once; afterwards a stamp of sizes and times is trusted.

        Raises:
            PackError: there is no pack, its card is wrong, or its files are damaged, missing or replaced.
        """
        root = _local_copy(location)
        card = _read_card(root, location)
        pack = cls(location, root, card)
        pack._verify()
        return pack

    @property
    def name(self) -> str:
        """Name of the pack, from the card."""
        return str(self.card["name"])

    def path(self, file: str) -> Path:
        """Returns the local path of one of the pack's files.

        Raises:
            PackError: the card does not list the file, or it was replaced since the pack was opened.
        """
        if file not in self.card["files"]:
            raise PackError([f"{self.location}: {file} is not among the pack's files"])
        if self._seen and _size_and_time(self.root / file) != self._seen[file]:
            raise PackError([f"{self.location}/{file}: replaced or damaged since the run began. Packs are immutable"])
        return self.root / file

    def tensors(self, file: str) -> dict[str, Tensor]:
        """Returns a safetensors file's tensors by name, with floating point ones widened to float32.

        Raises:
            PackError: the file is not a safetensors file.
        """
        try:
            return {name: cast_floats(value, float32) for name, value in load_file(self.path(file)).items()}
        except SafetensorError as error:
            raise PackError([f"{self.location}/{file}: not a safetensors file ({error})"]) from error

    def array(self, file: str) -> np.ndarray:
        """Returns a `.npy` file's array, memory-mapped; writes to it never reach the file.

        Raises:
            PackError: the file is not an array, or contains Python objects.
        """
        try:
            array: np.ndarray = np.load(self.path(file), mmap_mode="c", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise PackError([f"{self.location}/{file}: not a plain .npy array ({error})"]) from error
        return array

    def json(self, file: str) -> Json:
        """Returns the content of a JSON file."""
        return json.loads(self.path(file).read_text("utf-8"))

    def lines(self, file: str) -> list[str]:
        """Returns a text file's lines, split at line feeds only; bytes that are not UTF-8 become surrogates."""
        text = self.path(file).read_bytes().decode("utf-8", "surrogateescape")
        return text.removesuffix("\n").split("\n") if text else []

    def _verify(self, final: Path | None = None) -> None:
        """Hashes all files if the stamp is missing or differs; `final` is where the folder is about to be moved."""
        name = hashlib.sha256(str(final or self.root).encode()).hexdigest()
        stamp_file = cache_folder() / "stamps" / f"{name}.json"
        self._seen = self._sizes_and_times()
        stamp = {"digest": self.digest, "files": self._seen}
        if read_stamp(stamp_file) == stamp:
            return
        problems = []
        for file, facts in self.card["files"].items():
            if file_facts(self.root / file) != facts:
                problems.append(f"{self.location}/{file}: damaged; its sha256 is not the card's. Copy it again")
        if problems:
            raise PackError(problems)
        write_stamp(stamp_file, stamp)

    def _sizes_and_times(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        problems = []
        for file, facts in self.card["files"].items():
            found[file] = _size_and_time(self.root / file)
            if not found[file]:
                problems.append(f"{self.location}/{file}: missing. Copy the whole pack again")
            elif found[file][0] != facts["bytes"]:
                size, wanted = found[file][0], facts["bytes"]
                problems.append(f"{self.location}/{file}: {size} bytes, the card says {wanted}. Copy it again")
        if problems:
            raise PackError(problems)
        return found


def _size_and_time(file: Path) -> list[int]:
    """Returns a file's size, time and inode, which differ if another file replaces it; empty if there is no file."""
    try:
        status = file.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def locate(location: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Returns the file system of a folder or fsspec URI, and the path in it.

    Raises:
        PackError: the URI's scheme is unknown, or its client is not installed.
    """
    if "://" not in location:
        return fsspec.filesystem("file"), os.path.abspath(location)
    try:
        filesystem, path = fsspec.core.url_to_fs(location)
    except (ImportError, OSError, ValueError) as error:
        raise PackError([f"{location}: no pack can be read there ({type(error).__name__}: {error})"]) from error
    return filesystem, path


def is_local(filesystem: fsspec.AbstractFileSystem) -> bool:
    """Returns whether a file system is local."""
    return "file" in filesystem.protocol


def read_card(location: str) -> dict[str, Any]:
    """Returns the checked card of the pack at a folder or URI; no other files are read or copied.

    Raises:
        PackError: there is no pack, or its card is wrong.
    """
    filesystem, path = locate(location)
    if is_local(filesystem):
        return _read_card(Path(path), location)
    try:
        card = json.loads(filesystem.cat_file(f"{path}/{CARD}"))
    except Exception as error:  # each store's client raises its own errors
        raise PackError([f"{location}: no pack can be read there ({type(error).__name__}: {error})"]) from error
    return _checked(card, location)


def _checked(card: Json, location: str) -> dict[str, Any]:
    problems = card_problems(card, location)
    if problems:
        raise PackError(problems)
    checked: dict[str, Any] = card
    return checked


def _local_copy(location: str) -> Path:
    """Returns the local folder of the pack, after copying a remote one to the cache."""
    filesystem, path = locate(location)
    if is_local(filesystem):
        return Path(path)
    card = read_card(location)
    target = _cached(card_digest(card))
    if not target.exists():
        _copy(filesystem, path, Pack(location, target, card))
    return target


def _cached(digest: str) -> Path:
    """Returns the folder of the cache for the copy of a remote pack."""
    return cache_folder() / "packs" / digest


def _copy(filesystem: fsspec.AbstractFileSystem, path: str, pack: Pack) -> None:
    """Copies a pack to its place in the cache; files that do not match the card never get there."""
    target = pack.root
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(".*"):
        if left.stat().st_mtime < time.time() - LEFT_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
    try:
        for file in [CARD, *pack.card["files"]]:
            (temporary / file).parent.mkdir(parents=True, exist_ok=True)
            filesystem.get_file(f"{path}/{file}", str(temporary / file))
        Pack(pack.location, temporary, pack.card)._verify(final=target)
        os.rename(temporary, target)
    except OSError as error:
        if not target.exists():  # another process may have been faster
            problem = f"{pack.location}: the pack could not be copied ({type(error).__name__}: {error})"
            raise PackError([problem]) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read_card(root: Path, location: str) -> dict[str, Any]:
    try:
        card = json.loads((root / CARD).read_text("utf-8"))
    except FileNotFoundError as error:
        raise PackError([f"{location}: no model pack there ({CARD} is missing)"]) from error
    except (OSError, ValueError) as error:
        raise PackError([f"{location}/{CARD}: cannot be read ({error})"]) from error
    return _checked(card, location)


def open_once(location: str, digest: str) -> Pack:
    """Returns the pack at `location`, opened once in this process.

    Raises:
        PackError: it cannot be opened, or its digest is not the expected one.
    """

    def open_now() -> Pack:
        pack = Pack.open(location)
        _refuse_other(location, pack.digest, digest)
        return pack

    return PROCESS_CACHE.get(("pack", location, digest), open_now)


def check_unchanged(location: str, digest: str) -> None:
    """Checks that the pack at `location` is still the one that a run started with, without fetching files.

    Raises:
        PackError: the pack or its files on this machine were replaced, damaged or removed in the meantime.
    """
    card = read_card(location)
    _refuse_other(location, card_digest(card), digest)
    filesystem, path = locate(location)
    root = Path(path) if is_local(filesystem) else _cached(digest)
    if root.exists():
        Pack(location, root, card)._verify()


def _refuse_other(location: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise PackError([f"{location}: replaced during the run (digest {found}, expected {wanted})"])
