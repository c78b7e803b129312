"""Model packs: immutable folders of weights, vocabularies and tables, named by the digest of their card.

A pack holds `pack.json` (the card), safetensors for weights, UTF-8 text or JSON for words and `.npy` arrays without
pickles for styles and tables. Nothing here unpickles.
"""

import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, dtype, float16, float32

FORMAT = 1
CARD = "pack.json"


class PackError(Exception):
    """A pack cannot be read or written; `problems` says each thing that is wrong, where, and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type["PackError"], tuple[list[str]]]:
        return PackError, (self.problems,)


def card_digest(card: Mapping[str, Any]) -> str:
    """Returns the pack digest: sha256 of the card, which names the sha256 of every file."""
    return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()


def cache_folder() -> Path:
    """Returns the folder of this machine's copies of remote packs, stamps and computed caption indexes."""
    return Path("~/.cache/beam-storyteller").expanduser()


class Pack:
    """An opened model pack: its card, and its files as tensors, arrays and words."""

    def __init__(self, location: str, root: Path, card: dict[str, Any]) -> None:
        self.location = location
        self.root = root
        self.card = card
        self.digest = card_digest(card)

    @classmethod
    def open(cls, location: str) -> "Pack":
        """Returns the pack at a folder or an fsspec URI; a remote one is copied to the cache once a machine.

        Every file is hashed once; afterwards a stamp of sizes and times is trusted.

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
        return str(self.card["name"])

    @property
    def components(self) -> dict[str, Any]:
        return self.card["components"]

    def component(self, name: str) -> dict[str, Any]:
        """Returns the card's entry for a component.

        Raises:
            PackError: the pack was made without it.
        """
        if name not in self.components:
            there = ", ".join(sorted(self.components)) or "nothing"
            raise PackError([f"{self.location}: the pack has no {name}; it holds {there}"])
        return self.components[name]

    def path(self, file: str) -> Path:
        """Returns the local path of one of the pack's files.

        Raises:
            PackError: the card does not list the file.
        """
        if file not in self.card["files"]:
            raise PackError([f"{self.location}: {file} is not among the pack's files"])
        return self.root / file

    def tensors(self, file: str) -> dict[str, Tensor]:
        """Returns a safetensors file's tensors by name, floating point ones widened to float32.

        Raises:
            PackError: the file is no safetensors file.
        """
        try:
            return {name: _as(float32, value) for name, value in load_file(self.path(file)).items()}
        except SafetensorError as error:
            raise PackError([f"{self.location}/{file}: not a safetensors file ({error})"]) from error

    def array(self, file: str) -> np.ndarray:
        """Returns a `.npy` file's array, memory-mapped; what is written to it never reaches the file.

        Raises:
            PackError: the file is no array, or holds Python objects.
        """
        try:
            return np.load(self.path(file), mmap_mode="c", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise PackError([f"{self.location}/{file}: not a plain .npy array ({error})"]) from error

    def json(self, file: str) -> Any:
        """Returns the content of a JSON file."""
        return json.loads(self.path(file).read_text("utf-8"))

    def lines(self, file: str) -> list[str]:
        """Returns a text file's lines, ended by line feeds alone; bytes that are not UTF-8 come as surrogates."""
        text = self.path(file).read_bytes().decode("utf-8", "surrogateescape")
        return text.removesuffix("\n").split("\n") if text else []

    def _verify(self, final: Path | None = None) -> None:
        """Hashes every file where the stamp is not there or differs; `final` is where the folder is about to move."""
        name = hashlib.sha256(str(final or self.root).encode()).hexdigest()
        stamp_file = cache_folder() / "stamps" / f"{name}.json"
        stamp = {"digest": self.digest, "files": self._sizes_and_times()}
        if _read_stamp(stamp_file) == stamp:
            return
        problems = []
        for file, facts in self.card["files"].items():
            if file_facts(self.root / file) != facts:
                problems.append(f"{self.location}/{file}: damaged; its sha256 is not the card's. Copy it again")
        if problems:
            raise PackError(problems)
        _write_stamp(stamp_file, stamp)

    def _sizes_and_times(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        problems = []
        for file, facts in self.card["files"].items():
            try:
                status = (self.root / file).stat()
            except OSError:
                problems.append(f"{self.location}/{file}: missing. Copy the pack again, whole")
                continue
            if status.st_size != facts["bytes"]:
                size, wanted = status.st_size, facts["bytes"]
                problems.append(f"{self.location}/{file}: {size} bytes, the card says {wanted}. Copy it again")
            found[file] = [status.st_size, status.st_mtime_ns, status.st_ino]
        if problems:
            raise PackError(problems)
        return found


def _as(kind: dtype, tensor: Tensor) -> Tensor:
    return tensor.to(kind) if tensor.is_floating_point() else tensor


def file_facts(path: Path) -> dict[str, Any]:
    """Returns a file's sha256 and its size in bytes."""
    with open(path, "rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def _read_stamp(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def _write_stamp(file: Path, stamp: Any) -> None:
    """Leaves the stamp for the next start; a cache that cannot be written only costs hashing again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as temporary:
            json.dump(stamp, temporary)
        os.replace(temporary.name, file)
    except OSError:
        return


def _local_copy(location: str) -> Path:
    """Returns the folder that holds the pack on this machine, after copying a remote one to the cache."""
    if "://" not in location:
        return Path(os.path.abspath(location))
    try:
        filesystem, path = fsspec.core.url_to_fs(location)
        if "file" in filesystem.protocol:
            return Path(path)
        card = json.loads(filesystem.cat_file(f"{path}/{CARD}"))
    except (OSError, ValueError, ImportError) as error:
        raise PackError([f"{location}: no pack can be read there ({type(error).__name__}: {error})"]) from error
    target = cache_folder() / "packs" / card_digest(card)
    if not target.exists():
        problems = _card_problems(card, location)
        if problems:
            raise PackError(problems)
        _copy(filesystem, path, Pack(location, target, card))
    return target


def _copy(filesystem: fsspec.AbstractFileSystem, path: str, pack: Pack) -> None:
    """Copies a pack to its place in the cache; files that are not the card's never get there."""
    target = pack.root
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        for file in [CARD, *pack.card["files"]]:
            (temporary / file).parent.mkdir(parents=True, exist_ok=True)
            filesystem.get_file(f"{path}/{file}", str(temporary / file))
        Pack(pack.location, temporary, pack.card)._verify(final=target)
        os.rename(temporary, target)
    except OSError as error:
        if not target.exists():  # another process may have been first
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
    problems = _card_problems(card, location)
    if problems:
        raise PackError(problems)
    return card


def _card_problems(card: Any, location: str) -> list[str]:
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        return [f"{location}/{CARD}: pack format {found!r}; this version reads format {FORMAT}"]
    shapes = {"name": str, "components": dict, "files": dict}
    problems = [
        f"{location}/{CARD}: {key} is missing or is no {kind.__name__}"
        for key, kind in shapes.items()
        if not isinstance(card.get(key), kind)
    ]
    problems = problems or _shape_problems(card["components"], location)
    if problems:
        return problems
    for file, facts in card["files"].items():
        parts = Path(file).parts
        if Path(file).is_absolute() or ".." in parts or "\\" in file or not parts:
            problems.append(f"{location}/{CARD}: the file {file!r} lies outside the pack; refused")
        if not isinstance(facts, dict) or not isinstance(facts.get("bytes"), int) or "sha256" not in facts:
            problems.append(f"{location}/{CARD}: {file} has no sha256 and bytes")
    problems += [
        f"{location}/{CARD}: a component names {file!r}, which is not among the files"
        for file in component_files(card["components"])
        if file not in card["files"]
    ]
    return problems


FILE_KEYS = {
    "features": ("weights",),
    "joint_embedding": ("weights", "vocabulary"),
    "captions": ("texts", "embeddings", "sentence_vectors"),
    "sentence_encoder": ("weights", "words", "uni_table", "bi_table"),
}
DECODER_FILE_KEYS = ("weights", "vocabulary")


def _shape_problems(components: Mapping[str, Any], location: str) -> list[str]:
    """Returns which of a card's components are not written as they must be."""
    known = {name: components[name] for name in (*FILE_KEYS, "decoders", "styles") if name in components}
    wrong = [name for name, entry in known.items() if not isinstance(entry, dict)]
    decoders = {} if "decoders" in wrong else components.get("decoders", {})
    wrong += [f"decoder {name}" for name, entry in decoders.items() if not isinstance(entry, dict)]
    if not wrong:
        wrong = [f"file name {file!r}" for file in component_files(components) if not isinstance(file, str)]
    return [f"{location}/{CARD}: {name} is not written as this version reads it" for name in wrong]


def component_files(components: Mapping[str, Any]) -> list[str]:
    """Returns the files that a card's components name."""
    files = [components[name].get(key) for name, keys in FILE_KEYS.items() if name in components for key in keys]
    files += [entry.get(key) for entry in components.get("decoders", {}).values() for key in DECODER_FILE_KEYS]
    files += [*components.get("styles", {}).values(), components.get("source_style")]
    return [file for file in files if file is not None]


class PackWriter:
    """Writes a new pack, from nothing or from an older one, and puts it in place whole.

    Args:
        output: a local folder that does not exist yet.
        base: a pack whose card and files the new one starts from; unchanged files are hard-linked where possible.

    Raises:
        PackError: the output exists already, or is not local.
    """

    def __init__(self, output: str, base: Pack | None = None) -> None:
        if "://" in output:
            raise PackError([f"{output}: packs are written to local folders; copy the folder afterwards"])
        self.output = Path(os.path.abspath(output))
        if self.output.exists():
            raise PackError([f"{output}: exists already; packs are immutable, name a new folder"])
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.root = Path(tempfile.mkdtemp(prefix=f".{self.output.name}.", dir=self.output.parent))
        self._facts: dict[str, dict[str, Any]] = {}
        self.card: dict[str, Any] = {"format": FORMAT, "name": self.output.name, "version": "1", "components": {}}
        if base is not None:
            self.card = json.loads(json.dumps(base.card))
            self._facts = dict(self.card.pop("files"))
            for file in self._facts:
                _link(base.path(file), self._new(file))

    @property
    def components(self) -> dict[str, Any]:
        return self.card["components"]

    def _new(self, file: str) -> Path:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        return path

    def _replace(self, file: str) -> Path:
        self._facts.pop(file, None)
        return self._new(file)

    def add_tensors(self, file: str, tensors: Mapping[str, Tensor], half: bool = False) -> str:
        """Writes tensors as safetensors, in half precision where asked; whole numbers stay; returns the file's name."""
        kind = float16 if half else float32
        plain = {name: _as(kind, value.detach()).contiguous().clone() for name, value in tensors.items()}
        save_file(plain, self._replace(file))
        return file

    def add_array(self, file: str, array: np.ndarray) -> str:
        """Writes an array as `.npy`; returns the file's name."""
        np.save(self._replace(file), array, allow_pickle=False)
        return file

    def reserve_array(self, file: str, shape: tuple[int, ...], dtype: str) -> np.memmap:
        """Returns a memory-mapped `.npy` array of the pack to be filled."""
        return np.lib.format.open_memmap(self._replace(file), mode="w+", dtype=np.dtype(dtype), shape=shape)

    def add_json(self, file: str, content: Any) -> str:
        """Writes JSON in ASCII (bytes that were not UTF-8 stay as escaped surrogates); returns the file's name."""
        self._replace(file).write_text(json.dumps(content, ensure_ascii=True), "ascii")
        return file

    def add_lines(self, file: str, lines: list[str]) -> str:
        """Writes text, each line ended by a line feed; returns the file's name."""
        text = "".join(f"{line}\n" for line in lines)
        self._replace(file).write_bytes(text.encode("utf-8", "surrogateescape"))
        return file

    def finish(self) -> Pack:
        """Returns the new pack, hashed and renamed into place; leftovers of replaced components are left out."""
        named = set(component_files(self.components))
        files = {}
        for path in sorted(path for path in self.root.rglob("*") if path.is_file()):
            file = path.relative_to(self.root).as_posix()
            if file not in named:
                path.unlink()
                continue
            files[file] = self._facts.get(file) or file_facts(path)
        self.card["files"] = files
        (self.root / CARD).write_text(json.dumps(self.card, indent=1) + "\n")
        self.root.chmod(0o755)
        os.rename(self.root, self.output)
        return Pack.open(str(self.output))

    def discard(self) -> None:
        """Removes what was written so far."""
        shutil.rmtree(self.root, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


_OPEN: dict[tuple[str, str], Pack] = {}
_LOCK = threading.Lock()


def open_once(location: str, digest: str) -> Pack:
    """Returns the pack at `location`, opened once in this process.

    Raises:
        PackError: it cannot be opened, or is another pack than the one whose digest was meant.
    """
    with _LOCK:
        if (location, digest) not in _OPEN:
            pack = Pack.open(location)
            if pack.digest != digest:
                raise PackError([f"{location}: replaced during the run (digest {pack.digest}, wanted {digest})"])
            _OPEN[location, digest] = pack
        return _OPEN[location, digest]
