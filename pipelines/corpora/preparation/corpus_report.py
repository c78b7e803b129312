"""The manifest: the contents of a corpus, the texts left out, and its files."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from pipelines.corpora.preparation.corpus_records import (
    ARRAYS,
    DEV,
    FORMAT,
    MANIFEST,
    VOCABULARY,
    Piece,
    Refusal,
    Rules,
    Shard,
    TextFile,
)
from pipelines.corpora.preparation.shards import write_bytes


def write_manifest(
    rules: Rules,
    output: str,
    files: Iterable[TextFile],
    refused: Iterable[Refusal],
    held_out: frozenset[str],
    pieces: Iterable[Piece],
    shards: Iterable[Shard],
    words: Sequence[str],
) -> None:
    """Writes the vocabulary and then the manifest, which completes the corpus and depends only on its content."""
    vocabulary = write_bytes(VOCABULARY, json.dumps(words, indent=0).encode(), output)
    inputs = [
        {
            "uri": file.uri,
            "kind": DEV + file.kind if file.digest in held_out and rules.is_book(file.kind) else file.kind,
            "sha256": file.digest,
            "bytes": file.size,
            "copies": list(file.copies),
        }
        for file in files
    ]
    manifest = {
        "format": FORMAT,
        "settings": asdict(rules),
        "vocabulary": asdict(vocabulary) | {"words": len(words)},
        "kinds": describe_kinds(rules, list(pieces), list(shards)),
        "inputs": sorted(inputs, key=_uri),
        "refused": sorted((asdict(refusal) for refusal in refused), key=_uri),
    }
    write_bytes(MANIFEST, json.dumps(manifest, indent=1).encode(), output)


def _uri(entry: dict[str, Any]) -> str:
    return str(entry["uri"])


def describe_kinds(rules: Rules, pieces: Sequence[Piece], shards: Sequence[Shard]) -> dict[str, Any]:
    """Returns texts, words and files of each kind, and the number of texts left out for each reason."""
    kinds: dict[str, Any] = {}
    for kind in rules.kinds:
        cut = [piece for piece in pieces if piece.kind == kind]
        made = sorted((shard for shard in shards if shard.kind == kind), key=_number)
        texts, unknown = sum(shard.texts for shard in made), sum(shard.unknown for shard in made)
        kinds[kind] = {
            "texts": texts,
            "words": sum(shard.words for shard in made),
            "left_out": {
                "scraps": sum(piece.scraps for piece in cut),
                "repeated": sum(piece.texts for piece in cut) - texts - unknown,
                "unknown": unknown,
            },
            "shards": [
                {"texts": shard.texts, "words": shard.words}
                | {name: asdict(file) for name, file in zip(ARRAYS, shard.files, strict=True)}
                for shard in made
            ],
        }
    return kinds


def _number(shard: Shard) -> int:
    return shard.number


def describe(manifest: dict[str, Any], output: str) -> str:
    """Returns a manifest as readable text."""
    lines = [f"{output}: a vocabulary of {manifest['vocabulary']['words']:,} words, and"]
    for kind, entry in manifest["kinds"].items():
        out = entry["left_out"]
        if not entry["shards"]:
            continue
        lines.append(
            f"  {kind}: {entry['texts']:,} texts, {entry['words']:,} words; left out {out['scraps']:,} scraps, "
            f"{out['repeated']:,} repeated texts, {out['unknown']:,} with too many unknown words"
        )
    return "\n".join([*lines, *describe_refused(manifest)])


def describe_refused(manifest: dict[str, Any]) -> list[str]:
    """Returns a line for each refused file."""
    return [f"  refused: {entry['uri']} {entry['reason']}" for entry in manifest["refused"]]
