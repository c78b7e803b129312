"""Writes new model packs, from scratch or from an older one, and puts them in place complete."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import Tensor, float16, float32

from model_handlers.card_checks import named_files
from model_handlers.families.entry import CardEntry
from model_handlers.families.protocols import DecoderEntry
from model_handlers.pack import Pack
from model_handlers.pack_card import CARD, FORMAT, Json, PackError, file_facts
from model_handlers.pack_components import PackComponents
from model_handlers.precision import cast_floats


class PackWriter(PackComponents):
    """Writer of a new pack, from scratch or from an older one, that puts it in place complete.

    Args:
        output: a local folder that does not exist yet.
        base: pack whose card and files the new one starts from, and which the new card names; unchanged files are
            hard-linked if possible.

    Raises:
        PackError: the output already exists, or is not local.
    """

    def __init__(self, output: str, base: Pack | None = None) -> None:
        if "://" in output:
            raise PackError([f"{output}: packs are written to local folders; pipelines.packs push copies them"])
        self.output = Path(os.path.abspath(output))
        if self.output.exists():
            raise PackError([f"{output}: exists already; packs are immutable, name a new folder"])
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.root = Path(tempfile.mkdtemp(prefix=f".{self.output.name}.", dir=self.output.parent))
        self._facts: dict[str, dict[str, Any]] = {}
        own = {"format": FORMAT, "name": self.output.name, "version": "1"}
        super().__init__(output, own | {"components": {}})
        if base is not None:
            older = {"name": base.name, "version": base.card.get("version", "-"), "digest": base.digest}
            self.card = json.loads(json.dumps(base.card)) | own | {"made_from": older}
            self._facts = dict(self.card.pop("files"))
            for file in self._facts:
                _link(base.path(file), self._new(file))

    def put(self, name: str, entry: CardEntry) -> None:
        """Puts a component into the card, replacing any earlier one."""
        self.components[name] = entry.as_card()

    def put_decoder(self, name: str, entry: DecoderEntry) -> None:
        """Puts a story decoder into the card, replacing any other of that name."""
        self.components.setdefault("decoders", {})[name] = entry.as_card()

    def _new(self, file: str) -> Path:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        return path

    def _replace(self, file: str) -> Path:
        self._facts.pop(file, None)
        return self._new(file)

    def add_tensors(self, file: str, tensors: Mapping[str, Tensor], half: bool = False) -> str:
        """Writes tensors as safetensors, in half precision if requested, and returns the file's name; integers stay."""
        kind = float16 if half else float32
        plain = {name: cast_floats(value.detach(), kind).contiguous().clone() for name, value in tensors.items()}
        path = self._replace(file)
        save_file(plain, path)
        path.chmod(0o644)  # safetensors makes files that only their owner may read
        return file

    def add_array(self, file: str, array: np.ndarray) -> str:
        """Writes an array as `.npy` and returns the file's name."""
        np.save(self._replace(file), array, allow_pickle=False)
        return file

    def reserve_array(self, file: str, shape: tuple[int, ...], dtype: str) -> np.memmap:
        """Returns a memory-mapped `.npy` array of the pack, to be filled."""
        return np.lib.format.open_memmap(self._replace(file), mode="w+", dtype=np.dtype(dtype), shape=shape)

    def add_json(self, file: str, content: Json) -> str:
        """Writes JSON in ASCII (bytes that were not UTF-8 are escaped surrogates) and returns the file's name."""
        self._replace(file).write_text(json.dumps(content, ensure_ascii=True), "ascii")
        return file

    def add_lines(self, file: str, lines: list[str]) -> str:
        """Writes text with a line feed after each line, and returns the file's name."""
        text = "".join(f"{line}\n" for line in lines)
        self._replace(file).write_bytes(text.encode("utf-8", "surrogateescape"))
        return file

    def finish(self) -> Pack:
        """Hashes the new pack, renames it into place and returns it; files of replaced components are left out."""
        paths = {path.relative_to(self.root).as_posix(): path for path in self.root.rglob("*") if path.is_file()}
        named = set(named_files(self.components, paths))
        files = {}
        for file, path in sorted(paths.items()):
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
        """Removes everything written so far."""
        shutil.rmtree(self.root, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
