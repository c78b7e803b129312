"""Verifying a pack: all files are hashed, there are no others, and every component loads without pickles."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from fsspec import AbstractFileSystem

from model_handlers.caption_writer import WriterHandler
from model_handlers.captions import ReadyVectors, caption_embeddings, caption_texts
from model_handlers.card_checks import named_files
from model_handlers.handler import Placement
from model_handlers.pack import Pack, locate, read_card
from model_handlers.pack_card import CARD, PackError
from model_handlers.stories import StoryHandler
from transforms.preprocessing import check_recipe

CPU = torch.device("cpu")
TEXT = "A dog runs ."


def verify(location: str) -> tuple[list[str], list[str]]:
    """Returns everything that is wrong with a pack, and the names of the components that could be loaded."""
    try:
        card = read_card(location)
        filesystem, path = locate(location)
        problems = file_problems(filesystem, path, card["files"], location)
        problems += [
            f"{location}/{file}: not in the card; remove it" for file in unlisted(filesystem, path, card["files"])
        ]
        return (problems, []) if problems else load_all(Pack.open(location))
    except PackError as error:
        return error.problems, []


def file_problems(filesystem: AbstractFileSystem, path: str, files: dict[str, Any], location: str) -> list[str]:
    """Returns the problems of stored files: missing files, and sizes and sha256 that differ from the card's."""
    problems = []
    for file, facts in files.items():
        found = stored_facts(filesystem, f"{path}/{file}", facts["bytes"])
        if found is None:
            problems.append(f"{location}/{file}: missing. Copy the whole pack again")
        elif found["bytes"] != facts["bytes"]:
            problems.append(f"{location}/{file}: {found['bytes']} bytes, the card says {facts['bytes']}. Copy it again")
        elif found != facts:
            problems.append(f"{location}/{file}: damaged; its sha256 is not the card's. Copy it again")
    return problems


def stored_facts(filesystem: AbstractFileSystem, path: str, wanted: int) -> dict[str, Any] | None:
    """Returns a stored file's size, and its sha256 if it has `wanted` bytes; None if there is no such file."""
    try:
        count = filesystem.size(path)
        if count != wanted:
            return {"bytes": count}
        with filesystem.open(path, "rb") as file:
            return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": count}
    except FileNotFoundError:
        return None


def unlisted(filesystem: AbstractFileSystem, path: str, files: dict[str, Any]) -> list[str]:
    """Returns the names of stored files that are neither the card nor listed in it."""
    filesystem.invalidate_cache()
    names = (name.removeprefix(path).lstrip("/") for name in filesystem.find(path))
    return sorted(name for name in names if name not in ("", CARD, *files))


def load_all(pack: Pack) -> tuple[list[str], list[str]]:
    """Returns the problems of a complete pack's files and components, and the names of the components that loaded."""
    problems: list[str] = []
    for file in dict.fromkeys(named_files(pack.components, pack.card["files"])):
        problems += _attempt(pack, file, partial(_read, pack, file))
    if problems:
        return problems, []
    loads = dict(_loads(pack))
    found = {name: _attempt(pack, name, load) for name, load in loads.items()}
    return [problem for some in found.values() for problem in some], [name for name in found if not found[name]]


def _attempt(pack: Pack, name: str, load: Callable[[], Any]) -> list[str]:
    try:
        load()
    except PackError as error:
        return error.problems
    except Exception as error:  # a file of unknown origin can raise anything
        return [f"{pack.location}: {name} cannot be loaded ({type(error).__name__}: {error})"]
    return []


def _read(pack: Pack, file: str) -> None:
    readers = {".npy": pack.array, ".safetensors": pack.tensors, ".json": pack.json}
    readers.get(PurePath(file).suffix, pack.lines)(file)


def _loads(pack: Pack) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yields the components, each decoder and style separately, with functions that load one or raise."""
    single = {
        "features": _load_features,
        "joint_embedding": _load_joint_embedding,
        "captions": _load_captions,
        "caption_writer": _load_caption_writer,
        "sentence_encoder": _load_sentence_encoder,
    }
    for name, load in single.items():
        if name in pack.components:
            yield name, partial(load, pack)
    for name in pack.decoders:
        yield f"decoder {name}", partial(StoryHandler(_place(pack), name, 1).build, pack, CPU)
    styles = {f"style {name}": file for name, file in pack.styles.items()}
    if "source_style" in pack.components:
        styles["source_style"] = pack.source_style
    for name, file in styles.items():
        yield name, partial(_load_style, pack, file)
    for name, file in pack.spreads.items():
        yield f"spread {name}", partial(_load_spread, pack, file)
    for name, file in pack.passages.items():
        yield f"passages of {name}", partial(_load_passages, pack, file)


def _place(pack: Pack) -> Placement:
    return Placement(pack.location, pack.digest, "cpu")


def _load_features(pack: Pack) -> None:
    problems = check_recipe(pack.features.preprocessing)
    if problems:
        raise PackError([f"{pack.location}: {problem}" for problem in problems])
    pack.features.open(pack, CPU)


def _load_joint_embedding(pack: Pack) -> None:
    pack.joint_embedding.open(pack, CPU).embed([TEXT])


def _load_captions(pack: Pack) -> None:
    entry, captions = pack.captions, caption_texts(pack)
    if not captions:
        raise PackError([f"{pack.location}: the caption bank is empty"])
    if entry.embeddings is not None:
        caption_embeddings(pack, pack.joint_embedding.open(pack, CPU), captions)
    if entry.sentence_vectors is not None:
        ReadyVectors(_place(pack)).look_up(captions[:1])


def _load_caption_writer(pack: Pack) -> None:
    writer = WriterHandler(_place(pack), 1, 1, retrieve=False).build(pack, CPU).writer
    writer.write(torch.ones(1, pack.joint_embedding.width, dtype=torch.float64), 1)  # [1, J]


def _load_sentence_encoder(pack: Pack) -> None:
    pack.sentence_encoder.open(pack, CPU).encode([TEXT])


def _load_style(pack: Pack, file: str) -> None:
    vector = pack.array(file).reshape(-1)  # [S]
    _check_numbers(pack, file, vector, (_sentence_width(pack, vector.size),))


def _load_spread(pack: Pack, file: str) -> None:
    matrix = pack.array(file)  # [S, S]
    _check_numbers(pack, file, matrix, (_sentence_width(pack, len(matrix)),) * 2)


def _load_passages(pack: Pack, file: str) -> None:
    vectors = pack.array(file)  # [P, S]
    width = vectors.shape[-1] if vectors.ndim else 0
    _check_numbers(pack, file, vectors, (len(vectors) if width else 0, _sentence_width(pack, width)))


def _sentence_width(pack: Pack, width: int) -> int:
    """Returns the sentence encoder's S, or `width` in a pack without a sentence encoder."""
    return pack.sentence_encoder.width if "sentence_encoder" in pack.components else width


def _check_numbers(pack: Pack, file: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape or not np.isfinite(array).all():
        wanted = f"finite numbers of shape {list(shape)}, as the sentence encoder's vectors want"
        raise PackError([f"{pack.location}/{file}: holds no {wanted}"])
