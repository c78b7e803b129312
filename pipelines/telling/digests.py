"""Digests that say whether two runs' networks make the same of a photo, and where earlier runs kept what they made."""

import hashlib
import json
from collections.abc import Container, Iterator, Sequence
from typing import Any

from model_handlers.pack import Pack
from pipelines.tables.commits import Run, comparable
from pipelines.tables.manifests import Manifest
from pipelines.telling.settings import Settings, changing_settings
from transforms.kept import KeptFile
from transforms.records import DEFERRED, Networks

FORMAT = 1  # another one where what the code makes of the same networks changes


def networks_of(settings: Settings) -> Networks | None:
    """Returns what decides feature vectors and captions; None where they are not kept.

    Another style, decoder or sentence encoder in a pack changes neither, though the pack has another digest then.
    """
    pack, used = settings.pack, settings.used()
    if used["features"] is not None or not used["keep_features"]:
        return None
    pixels = changing_settings(used, "features", digest="features")
    features = _digest({"format": FORMAT, "network": _facts(pack, "features")} | pixels)
    made = changing_settings(used, "captions", digest="captions")
    written = made.pop("written_captions")
    parts = made | {"features": features, "joint_embedding": _facts(pack, "joint_embedding")}
    if made["captions"] != "written":
        bank = _facts(pack, "captions")
        parts["bank"] = {name: value for name, value in bank.items() if name != "sentence_vectors"}
    if made["captions"] != "retrieved":
        parts |= {"writer": _facts(pack, "caption_writer"), "written": written}
    return Networks(features, _digest(parts))


def _facts(pack: Pack, component: str) -> dict[str, Any]:
    """Returns a component's entry in the card, with the sha256 of its files in place of their names."""
    files = pack.card["files"]
    entry = pack.component(component)
    return {
        name: files[value]["sha256"] if isinstance(value, str) and value in files else value
        for name, value in entry.items()
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def kept_files(
    run: Run, networks: Networks, manifests: Sequence[Manifest], told: Container[int] | None = None
) -> Iterator[KeptFile]:
    """Yields the files in which earlier runs kept feature vectors of the same network.

    Args:
        run: this one.
        networks: of this run.
        manifests: of earlier runs, as they stand.
        told: numbers of the comparable runs that told one of the photos wanted; None where nobody knows.
    """
    for manifest in manifests:
        if manifest.get("networks", {}).get("features") != networks.features:
            continue
        late = manifest.get("deadline") and manifest["counts"].get(DEFERRED)  # photos were seen, and told no more
        if told is not None and comparable(run, manifest) and manifest["number"] not in told and not late:
            continue
        for file in manifest["files"]:
            if file["table"] == "features":
                groups = file.get("groups")
                yield KeptFile(file["path"], manifest["number"], None if groups is None else tuple(groups))
